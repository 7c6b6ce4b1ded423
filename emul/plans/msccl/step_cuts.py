"""Cuts the rows of an MSCCL program into steps, and lists their waits besides those for their data.

In a plan all rows of a step read the state before it. So a row that reads the target of another, or
writes over it, belongs in a later step, and one that writes the source of another in no earlier
one. The order of the threadblocks is kept as well where steps allow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from emul.plans.msccl.machine import Interpreter
from emul.plans.msccl.order import ProgramOrder, StepNode
from emul.plans.plan import Waits

__all__ = ["Levels"]

Edge = tuple[int, int, int]


class _RowWait(NamedTuple):
    """Row ``later`` waits for row ``earlier``, as in emul.plans.Waits."""

    earlier: int
    later: int
    upon_issue: bool
    starts: bool

    @property
    def edge(self) -> Edge:
        """The rows, and by how many steps they are to be apart.

        The rows of a step are done after all of them are issued; two of a kind are kept
        apart, so that messages of a connection stay messages of their own.
        """
        return self.earlier, self.later, 0 if self.upon_issue and not self.starts else 1


class Levels:
    """The step of each row, (rows,), and the waits that hold between steps so cut."""

    def __init__(self, machine: Interpreter) -> None:
        """Find steps that keep as much of the order as can be; ``level`` is None for none."""
        rows = len(machine.rows)
        data = [(a, b, 1) for a, b in machine.strict] + [(a, b, 0) for a, b in machine.loose]
        waits = list(dict.fromkeys(_waits(machine.order, machine)))
        some = [wait for wait in waits if wait.starts or not wait.upon_issue]
        for kept in (waits, some, []):
            level = _longest(rows, data + [wait.edge for wait in kept])
            if level is not None:
                break
        self.level = level
        self.waits = waits

    def ordered(self, machine: Interpreter) -> list[int]:
        """Return the rows in the order of the plan: by step, then by who sends to whom."""
        assert self.level is not None
        level, rows = self.level, machine.rows
        return sorted(
            range(len(rows)),
            key=lambda i: (level[i], rows[i].src, rows[i].dst, rows[i].channel, i),
        )

    def kept_waits(self, ordered: list[int]) -> Waits:
        """Return the waits, by numbers of rows in the plan, that go from earlier to later ones."""
        place = {row: number for number, row in enumerate(ordered)}
        kept = [
            (place[wait.earlier], place[wait.later], wait.upon_issue, wait.starts)
            for wait in self.waits
            if place[wait.earlier] < place[wait.later]
        ]
        earlier, later, upon_issue, starts = zip(*kept, strict=True) if kept else ((),) * 4
        return Waits(
            np.array(earlier, dtype=np.int64),
            np.array(later, dtype=np.int64),
            np.array(upon_issue, dtype=bool),
            np.array(starts, dtype=bool),
        )


def _longest(rows: int, edges: list[Edge]) -> list[int] | None:
    """Return the least levels that keep all ``edges``; None when they go around in a circle.

    Rows that are bound to each other in both directions share a level, unless they are to be apart.
    """
    later: list[list[int]] = [[] for _ in range(rows)]
    for a, b, _ in edges:
        later[a].append(b)
    group, groups = _strong_groups(later)
    if any(apart and group[a] == group[b] for a, b, apart in edges):
        return None
    level = [0] * groups
    # Groups are numbered from the last to the first, so edges go from higher numbers to lower.
    for a, b, apart in sorted(edges, key=lambda edge: -group[edge[0]]):
        level[group[b]] = max(level[group[b]], level[group[a]] + apart)
    return [level[each] for each in group]


def _strong_groups(later: list[list[int]]) -> tuple[list[int], int]:
    """Return the strongly connected group of each row, and their number (Tarjan, 1972).

    A group is numbered after all that can be reached from it.
    """
    search = _Search(later)
    for row in range(len(later)):
        if search.index[row] < 0:
            search.visit(row)
    return search.group, search.groups


class _Search:
    """Tarjan's depth-first search, with a list in place of recursion."""

    def __init__(self, later: list[list[int]]) -> None:
        rows = len(later)
        self.later = later
        self.index = [-1] * rows
        self.low = [0] * rows
        self.group = [-1] * rows
        self.open: list[int] = []
        self.seen = self.groups = 0

    def visit(self, root: int) -> None:
        """Search from ``root``."""
        todo = [(root, self._enter(root))]
        while todo:
            row, children = todo[-1]
            child = next(children, None)
            if child is None:
                todo.pop()
                self._leave(row)
                if todo:
                    self._reach(todo[-1][0], self.low[row], row)
            elif self.index[child] < 0:
                todo.append((child, self._enter(child)))
            else:
                self._reach(row, self.index[child], child)

    def _enter(self, row: int) -> Iterator[int]:
        self.index[row] = self.low[row] = self.seen
        self.seen += 1
        self.open.append(row)
        return iter(self.later[row])

    def _reach(self, row: int, low: int, child: int) -> None:
        if self.group[child] < 0:
            self.low[row] = min(self.low[row], low)

    def _leave(self, row: int) -> None:
        if self.low[row] == self.index[row]:
            while self.group[row] < 0:
                self.group[self.open.pop()] = self.groups
            self.groups += 1


def _waits(order: ProgramOrder, machine: Interpreter) -> Iterator[_RowWait]:
    """Yield the constraints of the steps of threadblocks and of their dependencies."""
    for i, node in enumerate(order.nodes):
        if node.step.type == "nop":
            continue
        starts = i not in machine.received or node.step.type in ("cpy", "re")
        later = machine.sent[i] if i not in machine.received else machine.received[i]
        for j in _real_before(order, node):
            upon_issue = j in machine.sent
            earlier = machine.sent[j] if upon_issue else machine.received[j]
            if earlier != later:
                yield _RowWait(earlier, later, upon_issue, starts)


def _real_before(order: ProgramOrder, node: StepNode) -> Iterator[int]:
    """Yield the steps that are waited for, looking through those that do nothing."""
    todo = list(node.local_after)
    while todo:
        j = todo.pop()
        if order.nodes[j].step.type == "nop":
            todo += order.nodes[j].local_after
        else:
            yield j
