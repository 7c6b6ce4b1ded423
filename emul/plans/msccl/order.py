"""The order of the steps in a program of threadblocks, and whether it can end at all.

A threadblock takes its steps in order. A step also waits for the step it depends on, and one that
receives for the matching send: messages between two ranks on a channel come in the order in which
they are sent. (Sends wait for nobody: how many messages a connection holds is a matter of time.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from emul.plans.msccl.document import Algo, Instruction, Threadblock, refusal

__all__ = ["ProgramOrder", "StepNode"]

ConnectionKey = tuple[int, int, int]


@dataclass(slots=True)
class StepNode:
    """A step with its place in the program, and the nodes that must come before it."""

    step: Instruction
    rank: int
    block: Threadblock
    number: int
    after: list[int]
    local_after: list[int]

    def __str__(self) -> str:
        """Name the step as error messages do."""
        at = f"gpu {self.rank} tb {self.block.id} step {self.number}"
        return f"{at} (line {self.step.line})"


class ProgramOrder:
    """The nodes of a program, an order in which they can run, and the pairs that are ordered."""

    def __init__(self, algo: Algo, path: str) -> None:
        """Join sends and receives; raises PlanError where they do not fit or go in a circle."""
        self.path = path
        self.nodes: list[StepNode] = []
        self.first: dict[tuple[int, int], int] = {}
        self.blocks = {gpu.id: len(gpu.threadblocks) for gpu in algo.gpus}
        for gpu in algo.gpus:
            for block in gpu.threadblocks:
                self.first[gpu.id, block.id] = len(self.nodes)
                for number, step in enumerate(block.steps):
                    before = [len(self.nodes) - 1] if number else []
                    self.nodes.append(StepNode(step, gpu.id, block, number, before, list(before)))
        self._add_dependencies()
        self.message_from: dict[int, int] = {}
        self._join_messages()
        self.sequence = self._sequence()
        self._clocks: dict[int, npt.NDArray[np.int32]] = {}

    def _add_dependencies(self) -> None:
        for node in self.nodes:
            if node.step.depends is not None:
                earlier = self._signal(node, *node.step.depends)
                node.after.append(earlier)
                node.local_after.append(earlier)

    def _signal(self, node: StepNode, block: int, number: int) -> int:
        """Return the node whose end lets ``node`` go on.

        A threadblock only says that a step is done if it hasdep=1; the next one that does, says it
        of those before it too.
        """
        start = self.first.get((node.rank, block))
        if start is None:
            self.refuse(node, f"depends on tb {block}, which gpu {node.rank} does not have")
        steps = self.nodes[start].block.steps if start < len(self.nodes) else []
        if number >= len(steps) or self.nodes[start].block.id != block:
            self.refuse(node, f"depends on step {number} of tb {block}, which has no such step")
        telling = next((i for i in range(number, len(steps)) if steps[i].has_dependents), None)
        if telling is None:
            self.refuse(
                node,
                f"depends on step {number} of tb {block}, which never says that it is done: "
                "needed hasdep=1 there",
            )
        return start + telling

    def _join_messages(self) -> None:
        sent, received = self._ends(sending=True), self._ends(sending=False)
        for connection in sorted(sent.keys() | received.keys()):
            sends, receipts = sent.get(connection, []), received.get(connection, [])
            src, dst, channel = connection
            if len(sends) != len(receipts):
                shorter = min(len(sends), len(receipts))
                odd = (sends if len(sends) > shorter else receipts)[shorter]
                self.refuse(
                    self.nodes[odd],
                    f"gpu {src} sends {len(sends)} messages to gpu {dst} on channel {channel}, "
                    f"which receives {len(receipts)}: needed as many",
                )
            for send, receipt in zip(sends, receipts, strict=True):
                counts = self.nodes[send].step.count, self.nodes[receipt].step.count
                if counts[0] != counts[1]:
                    self.refuse(
                        self.nodes[receipt],
                        f"receives cnt={counts[1]} of what {self.nodes[send]} sends with "
                        f"cnt={counts[0]}: needed the same",
                    )
                self.message_from[receipt] = send
                self.nodes[receipt].after.append(send)

    def _ends(self, *, sending: bool) -> dict[ConnectionKey, list[int]]:
        """Return the nodes that send, or receive, on each connection, in order."""
        ends: dict[ConnectionKey, list[int]] = {}
        users: dict[ConnectionKey, int] = {}
        for i, node in enumerate(self.nodes):
            if not (node.step.sends if sending else node.step.receives):
                continue
            peer = node.block.send if sending else node.block.recv
            pair = (node.rank, peer) if sending else (peer, node.rank)
            connection = (*pair, node.block.channel)
            if users.setdefault(connection, node.block.id) != node.block.id:
                self.refuse(
                    node,
                    f"tb {users[connection]} uses channel {node.block.channel} with gpu {peer} "
                    "already: needed one threadblock for each",
                )
            ends.setdefault(connection, []).append(i)
        return ends

    def _sequence(self) -> list[int]:
        """Return the nodes in an order in which they can run; the same for the same file."""
        waits = [len(node.after) for node in self.nodes]
        later: list[list[int]] = [[] for _ in self.nodes]
        for i, node in enumerate(self.nodes):
            for earlier in node.after:
                later[earlier].append(i)
        ready = deque(i for i, number in enumerate(waits) if not number)
        sequence = []
        while ready:
            i = ready.popleft()
            sequence.append(i)
            for waiter in later[i]:
                waits[waiter] -= 1
                if not waits[waiter]:
                    ready.append(waiter)
        if len(sequence) < len(self.nodes):
            self._refuse_circle({i for i, number in enumerate(waits) if number})
        return sequence

    def _refuse_circle(self, stuck: set[int]) -> None:
        """Raise PlanError that names a circle of nodes that wait for each other."""
        i = min(stuck)
        path: list[int] = []
        while i not in path:
            path.append(i)
            i = next(earlier for earlier in self.nodes[i].after if earlier in stuck)
        circle = [self.nodes[j] for j in path[path.index(i) :]]
        shown = ", which waits for ".join(str(node) for node in [*circle[:6], circle[0]])
        self.refuse(circle[0], f"deadlock, a circular wait of {len(circle)} steps: {shown}")

    def refuse(self, node: StepNode, complaint: str) -> NoReturn:
        """Raise PlanError about the line of a node."""
        raise refusal(self.path, node.step.line, complaint)

    def comes_before(self, earlier: int, later: int) -> bool:
        """Say whether ``earlier`` is certain to have happened before ``later``.

        Almost always the steps and dependencies of their own gpu say so; if not, messages may.
        """
        a = self.nodes[earlier]
        if self._clock(later)[a.block.id] >= a.number:
            return True
        return self._reached(earlier, later)

    def _clock(self, i: int) -> npt.NDArray[np.int32]:
        """Return the last step of each threadblock of the gpu that is certain before node i."""
        todo = [i]
        while todo:
            j = todo[-1]
            missing = [k for k in self.nodes[j].local_after if k not in self._clocks]
            if missing:
                todo += missing
                continue
            todo.pop()
            if j not in self._clocks:
                self._clocks[j] = self._joined(self.nodes[j])
        return self._clocks[i]

    def _joined(self, node: StepNode) -> npt.NDArray[np.int32]:
        clock = np.full(self.blocks[node.rank], -1, dtype=np.int32)
        for earlier in node.local_after:
            np.maximum(clock, self._clocks[earlier], out=clock)
        clock[node.block.id] = node.number
        return clock

    def _reached(self, earlier: int, later: int) -> bool:
        seen, todo = {later}, [later]
        while todo:
            for before in self.nodes[todo.pop()].after:
                if before == earlier:
                    return True
                if before not in seen:
                    seen.add(before)
                    todo.append(before)
        return False
