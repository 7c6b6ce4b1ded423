"""Runs an MSCCL program chunk by chunk, and makes rows of the moves of its steps.

Every access to a place is held against the last one that it must not overtake: a read against the
last write, a write against the last write and the reads since. Where nothing makes sure that one
comes before the other, the result would be left to chance, and the file is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from emul.plans.msccl.buffer_places import BufferPlaces
from emul.plans.msccl.order import ProgramOrder, StepNode
from emul.plans.plan import place_name

__all__ = ["Interpreter", "MovedRun"]

Key = tuple[int, int]


@dataclass(slots=True)
class MovedRun:
    """One run of places that is moved: read at one node, written at another or the same.

    ``origins`` are the chunks of the vector that its values belong to.
    """

    src: int
    dst: int
    source: range
    target: range
    reduce: bool
    channel: int
    read_by: int
    written_by: int
    origins: list[int]


@dataclass(slots=True)
class _PlaceState:
    """Who wrote a place last, and who has read it since: (row, node); which chunk it holds."""

    writer: tuple[int, int] | None = None
    readers: list[tuple[int, int]] = field(default_factory=list)
    origin: int = -1


class Interpreter:
    """The rows of a program, and which of them must come before which.

    ``strict`` holds pairs of rows of which the second must be in a later step, ``loose`` those of
    which it must not be in an earlier one.
    """

    def __init__(self, order: ProgramOrder, buffers: BufferPlaces) -> None:
        """Run the program; raises PlanError for a place out of range, or a race."""
        self.order = order
        self.buffers = buffers
        self.gpus = buffers.algo.gpus
        self.rows: list[MovedRun] = []
        self.strict: list[tuple[int, int]] = []
        self.loose: list[tuple[int, int]] = []
        self.sent: dict[int, int] = {}
        self.received: dict[int, int] = {}
        self.aside = dict.fromkeys(range(len(self.gpus)), 0)
        self.places: dict[Key, _PlaceState] = {}
        self.origin_of_scratch: dict[Key, int] = {}
        for i in order.sequence:
            self._take(i, order.nodes[i])

    def _take(self, i: int, node: StepNode) -> None:
        step = node.step
        if step.type in ("cpy", "re"):
            row = self._new_row(node, i, self._range(node, "source"), reduce=step.type == "re")
            self.received[i] = row
            self._write(i, row, node.rank, self._range(node, "target"))
        if step.receives:
            self._receive(i, node)
        if step.type == "s":
            self.sent[i] = self._new_row(node, i, self._range(node, "source"), reduce=False)

    def _receive(self, i: int, node: StepNode) -> None:
        """Take a message in, and pass it on if the step does."""
        step = node.step
        reduces = step.type.startswith("rr")
        stored = step.type != "rrs"
        target = self._range(node, "target") if stored else self._set_aside(node.rank, step.count)
        if reduces:
            own = self._range(node, "source")
            if own != target:  # what it is reduced with is copied there first
                aside = self._new_row(node, i, own, reduce=False)
                self._write(i, aside, node.rank, target)
        row = self.sent[self.order.message_from[i]]
        self.rows[row].reduce = reduces
        self.received[i] = row
        self._write(i, row, node.rank, target)
        if step.sends:
            self.sent[i] = self._new_row(node, i, target, reduce=False)

    def _set_aside(self, rank: int, count: int) -> range:
        """Return places of a rank for values that are only passed on."""
        first = self.buffers.per_rank + self.aside[rank]
        self.aside[rank] += count
        return range(first, first + count)

    def _range(self, node: StepNode, end: str) -> range:
        place = node.step.source if end == "source" else node.step.target
        return self.buffers.range_of(self.gpus[node.rank], place, node.step.count, node.step.line)

    def _new_row(self, node: StepNode, i: int, source: range, *, reduce: bool) -> int:
        """Return the number of a new row that reads ``source`` now."""
        number = len(self.rows)
        states = [self._state(node.rank, place) for place in source]
        origins = [state.origin for state in states]
        channel = node.block.channel
        self.rows.append(MovedRun(node.rank, -1, source, range(0), reduce, channel, i, -1, origins))
        for place, state in zip(source, states, strict=True):
            if state.writer is not None:
                self._must_follow(state.writer, number, i, place, strictly=True)
            state.readers.append((number, i))
        return number

    def _write(self, i: int, number: int, rank: int, target: range) -> None:
        """Let row ``number`` write ``target`` now."""
        row = self.rows[number]
        row.dst, row.target, row.written_by = rank, target, i
        for place, origin in zip(target, row.origins, strict=True):
            state = self._state(rank, place)
            if state.writer is not None:
                self._must_follow(state.writer, number, i, place, strictly=True)
            for reader in state.readers:
                self._must_follow(reader, number, i, place, strictly=False)
            state.writer, state.readers = (number, i), []
            if not row.reduce:
                state.origin = origin
            if place >= self.buffers.vectors:
                self.origin_of_scratch.setdefault((rank, place), state.origin)

    def _must_follow(
        self, earlier: tuple[int, int], row: int, node: int, place: int, *, strictly: bool
    ) -> None:
        """Note that ``row`` comes after an earlier one; refuse it if that is left to chance."""
        if earlier[0] == row:
            return
        (self.strict if strictly else self.loose).append((earlier[0], row))
        if not self.order.comes_before(earlier[1], node):
            a, b = self.order.nodes[earlier[1]], self.order.nodes[node]
            did, name = "writes" if strictly else "reads", place_name(place, self.buffers.vectors)
            self.order.refuse(
                b,
                f"race: {b} and {a}, which {did} the same place ({name}), may come in "
                "either order: needed a dependency (depid, deps) between them",
            )

    def _state(self, rank: int, place: int) -> _PlaceState:
        state = self.places.get((rank, place))
        if state is None:
            origin = place % self.buffers.algo.n_chunks if place < self.buffers.vectors else -1
            state = self.places[rank, place] = _PlaceState(origin=origin)
        return state
