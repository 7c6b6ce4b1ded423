"""The record of a program: the acts of its ranks, as far as they are kept, and their marks.

Nothing is computed until somebody asks. The record holds the last acts and the transfers of the
last operations; the older acts are summed up in the clocks after them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emul.arrays import Int32Array, Int64Array
from emul.errors import ArgumentError, listed, shown
from emul.reading.brief import one_line
from emul.runtime.alone_period import NOBODY, Arrival
from emul.runtime.operation import Operation
from emul.runtime.operation_times import OperationTimes
from emul.units import PS_PER_S, counted

__all__ = [
    "ArriveAct",
    "AttachAct",
    "ComputeAct",
    "IssueAct",
    "Mark",
    "Record",
    "RecordedAct",
    "RecordedProgram",
    "WaitAct",
]

MOST_ACTS = 1 << 13
"""Acts that are kept, the last ones: some 8 MB with small operations."""

MOST_RANKS = 1 << 22
"""Ranks of the operations among them, taken together: some 100 MB of moments."""

MOST_TRANSFERS = 1 << 18
"""Transfers that are kept with them, but for those of the last operation: some 100 MB."""


class Mark:
    """A place in the program, and the clock of each of its ``ranks`` there.

    ``name``: several marks may have the same. ``number``: how many marks were made before it.
    Moments are told by the program so far, as those of handles are.

    >>> import emul
    >>> world = emul.World("three-campus")
    >>> world.compute(0.25, ranks=[3])
    >>> world.mark("late").now_s
    0.25
    """

    __slots__ = ("_clocks_of", "clocks_ps", "name", "number", "place", "ranks", "record")

    def __init__(
        self,
        name: str,
        number: int,
        ranks: Int32Array,
        record: Record,
        place: int,
        clocks_of: Callable[[Mark], Int64Array],
    ) -> None:
        """Take the place, which is the number of acts of ``record`` before it."""
        self.name, self.number, self.ranks = name, number, ranks
        self.record, self.place = record, place
        self._clocks_of = clocks_of
        self.clocks_ps: Int64Array | None = None  # (n,), once nothing can change them any more

    @property
    def ranks_now_s(self) -> npt.NDArray[np.float64]:
        """The modelled clock of each of its ranks there, (ranks,) in seconds."""
        return self._clocks_of(self)[self.ranks] / PS_PER_S

    @property
    def now_s(self) -> float:
        """The latest of these clocks."""
        return int(self._clocks_of(self)[self.ranks].max()) / PS_PER_S

    def __repr__(self) -> str:
        """Name the mark."""
        return one_line(f"<{self}>")

    def __str__(self) -> str:
        """Name the mark as sentences do."""
        return f"mark {self.name!r} ({self.number})"


class ComputeAct(NamedTuple):
    """Some ranks, or all, computed for so long."""

    duration_ps: int
    ranks: Int32Array | None


class ArriveAct(NamedTuple):
    """Some ranks came to an operation that others were yet to come to."""

    arrival: Arrival


class IssueAct(NamedTuple):
    """An operation was issued: by the ranks of ``arrivals`` there, not yet by the ``missing``."""

    operation: Operation
    arrivals: tuple[Arrival, ...]
    missing: Int32Array


class AttachAct(NamedTuple):
    """Some ranks that were missing in an operation issued it."""

    operation: Operation
    ranks: Int32Array
    arrivals: tuple[Arrival, ...]


class WaitAct(NamedTuple):
    """Some ranks of an operation waited until they were done with it."""

    operation: Operation
    ranks: Int32Array


RecordedAct = ComputeAct | ArriveAct | IssueAct | AttachAct | WaitAct | Mark

TimesOf = Callable[[Operation], OperationTimes]


class RecordedProgram(NamedTuple):
    """All ``acts`` of a program, and the marks of a stretch of it.

    ``begin``, ``end``: None for the birth of the World, and for now.
    """

    acts: tuple[RecordedAct, ...]
    begin: Mark | None
    end: Mark | None


class Record:
    """The last acts of all ranks, in the order of the program.

    ``first``: how many acts came before those that are kept; ``clocks_ps`` (n,): the clocks after
    them.
    """

    def __init__(self, size: int, *, keeps_all: bool) -> None:
        """Begin with ranks at moment 0; ``keeps_all``: forget nothing."""
        self.acts: list[RecordedAct] = []
        self.first = 0
        self.clocks_ps: Int64Array = np.zeros(size, dtype=np.int64)
        self.times: dict[Operation, OperationTimes] = {}
        self.marks: deque[Mark] = deque()
        self._forgotten: Counter[type] = Counter()
        self._marks_made = 0
        self._keeps_all = keeps_all
        self._ranks = 0  # of the operations among the acts
        self._next_cut, self._next_ranks = MOST_ACTS, MOST_RANKS
        self._with_transfers: deque[OperationTimes] = deque()
        self._users: dict[int, list[int]] = {}  # how many, by the timeline of their transfers
        self._transfers = 0

    def compute(self, duration_ps: int | Int64Array, ranks: Int32Array | None) -> None:
        """Note that some ranks, or all, compute for as long, or each for its own (ranks,)."""
        if not isinstance(duration_ps, int):
            assert ranks is not None
            for each in np.unique(duration_ps).tolist():
                self.compute(each, ranks[duration_ps == each])
            return
        self._add(ComputeAct(duration_ps, ranks))

    def arrive(self, arrival: Arrival) -> None:
        """Note that some ranks come to an operation that others are yet to come to."""
        self._add(ArriveAct(arrival))

    def issue(
        self, operation: Operation, arrivals: tuple[Arrival, ...], missing: Int32Array = NOBODY
    ) -> None:
        """Note that an operation is issued."""
        self._ranks += len(operation.member.ranks)
        self._add(IssueAct(operation, arrivals, missing))

    def attach(
        self, operation: Operation, ranks: Int32Array, arrivals: tuple[Arrival, ...]
    ) -> None:
        """Note that ``ranks`` that were missing issue an operation."""
        self._add(AttachAct(operation, ranks, arrivals))

    def wait(self, operation: Operation, ranks: Int32Array) -> None:
        """Note that ``ranks`` wait for an operation."""
        self._add(WaitAct(operation, ranks))

    def mark(self, name: str, ranks: Int32Array, clocks_of: Callable[[Mark], Int64Array]) -> Mark:
        """Return a mark at this place."""
        place = self.first + len(self.acts)
        mark = Mark(name, self._marks_made, ranks, self, place, clocks_of)
        self._marks_made += 1
        self.marks.append(mark)
        self._add(mark)
        return mark

    def over(self, times: OperationTimes, number: int) -> None:
        """Take the times of an operation that nothing can change any more, and its number."""
        assert times.sent is not None
        times.number = number
        self.times[times.operation] = times
        self._with_transfers.append(times)
        timeline = times.sent.timeline
        users = self._users.get(id(timeline))
        if users is not None:
            users[0] += 1
            return
        self._users[id(timeline)] = [1]
        self._transfers += len(timeline)
        if not self._keeps_all:
            while self._transfers > MOST_TRANSFERS and len(self._with_transfers) > 1:
                self._forget_transfers(self._with_transfers.popleft())

    def clocks_at(self, place: int, times_of: TimesOf) -> Int64Array:
        """Return the clocks of all ranks at a place, (n,) picoseconds, by ``times_of``.

        Raises ArgumentError where the acts are not kept.
        """
        if place < self.first:
            raise self.forgotten()
        clocks_ps = self.clocks_ps.copy()
        for act in self.acts[: place - self.first]:
            _go_on(act, clocks_ps, times_of)
        return clocks_ps

    def mark_clocks(self, mark: Mark, times_of: TimesOf) -> Int64Array:
        """Return the clocks of all ranks at a mark, (n,) picoseconds."""
        if mark.clocks_ps is not None:
            return mark.clocks_ps
        return self.clocks_at(mark.place, times_of)

    def told_marks(self, marks: list[Mark], times_of: TimesOf) -> list[Int64Array]:
        """Return the clocks of the ranks of each of ``marks``, in one pass; they come in order."""
        clocks_ps, at, told = self.clocks_ps.copy(), self.first, []
        for mark in marks:
            if mark.clocks_ps is not None:
                told.append(mark.clocks_ps[mark.ranks])
                continue
            for act in self.acts[at - self.first : mark.place - self.first]:
                _go_on(act, clocks_ps, times_of)
            at = mark.place
            told.append(clocks_ps[mark.ranks])
        return told

    def mark_of(self, given: Mark | str, what: str) -> Mark:
        """Return a mark, or the last one with a name. Raises ArgumentError."""
        if isinstance(given, Mark):
            if given.record is not self:
                raise ArgumentError(f"{what} {given}: needed a mark of this World since its start")
            return given
        for mark in reversed(self.marks):
            if mark.name == given:
                return mark
        known = listed(dict.fromkeys(repr(each.name) for each in self.marks)) or "none was made"
        raise ArgumentError(f"{what} {shown(given)}: needed a Mark or the name of one: {known}")

    def forgotten(self) -> ArgumentError:
        """Return the error for a question about acts that are not kept."""
        gone = self._forgotten
        computes, operations = gone[ComputeAct], gone[IssueAct]
        return ArgumentError(
            f"the record of the program begins after {counted(self.first, 'act')} "
            f"({counted(computes, 'compute')}, {counted(operations, 'operation')}), at "
            f"{int(self.clocks_ps.max()) / PS_PER_S:g} s: needed World(record=True), which "
            "keeps all, or marks that are less far back"
        )

    def _add(self, act: RecordedAct) -> None:
        self.acts.append(act)
        if len(self.acts) >= self._next_cut or self._ranks > self._next_ranks:
            self._cut()

    def _cut(self) -> None:
        """Sum up the older half of the acts, but for those that something may still change."""
        if not self._keeps_all:
            self._sum_up(len(self.acts) // 2)
            self._forget_times()
        # Look again when as much has come: what is in flight for long would be looked at each time.
        self._next_cut = max(MOST_ACTS, len(self.acts) + MOST_ACTS // 2)
        self._next_ranks = max(MOST_RANKS, self._ranks + MOST_RANKS // 2)

    def _sum_up(self, most: int) -> None:
        """Put the first acts, ``most`` at most, behind, into the clocks after them."""
        until = 0
        while until < most and self._is_over(self.acts[until]):
            until += 1
        gone, self.acts = self.acts[:until], self.acts[until:]
        for act in gone[self._certain(gone) :]:
            if isinstance(act, Mark):
                act.clocks_ps = self.clocks_ps.copy()
            else:
                _go_on(act, self.clocks_ps, self.times.__getitem__)
        self._forgotten.update(map(type, gone))
        self._ranks -= sum(len(act.operation.member.ranks) for act in gone if type(act) is IssueAct)
        self.first += until
        while self.marks and self.marks[0].place < self.first:
            self.marks.popleft()

    def _certain(self, gone: list[RecordedAct]) -> int:
        """Return the first of the acts ``gone`` that the clocks after them hang on.

        After a call of all ranks each clock is where its rank was done, whatever was before; but
        marks want the clocks before too.
        """
        if any(type(act) is Mark for act in gone):
            return 0
        for at in range(len(gone) - 1, 0, -1):
            act, before = gone[at], gone[at - 1]
            if (
                type(act) is WaitAct
                and len(act.ranks) == len(self.clocks_ps)
                and type(before) is IssueAct
                and before.operation is act.operation
            ):
                return at
        return 0

    def _is_over(self, act: RecordedAct) -> bool:
        return type(act) is not WaitAct or act.operation in self.times

    def _forget_times(self) -> None:
        """Forget the times of operations that no act is about, and their transfers."""
        about = (IssueAct, AttachAct, WaitAct)
        named = {act.operation for act in self.acts if isinstance(act, about)}
        for operation in [each for each in self.times if each not in named]:
            self._forget_transfers(self.times.pop(operation))
        self._with_transfers = deque(each for each in self._with_transfers if each.sent is not None)

    def _forget_transfers(self, times: OperationTimes) -> None:
        if times.sent is None:
            return
        timeline, times.sent = times.sent.timeline, None
        users = self._users[id(timeline)]
        users[0] -= 1
        if not users[0]:
            del self._users[id(timeline)]
            self._transfers -= len(timeline)


def _go_on(act: RecordedAct, clocks_ps: Int64Array, times_of: TimesOf) -> None:
    """Let the clocks, (n,), go on by one act."""
    if isinstance(act, ComputeAct):
        clocks_ps[slice(None) if act.ranks is None else act.ranks] += act.duration_ps
    elif isinstance(act, WaitAct):
        times_of(act.operation).after_wait(act.ranks, clocks_ps)
