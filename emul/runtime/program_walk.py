"""Walks back through a program: from the latest rank through the causes of its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from emul.arrays import Int32Array
from emul.errors import ArgumentError
from emul.runtime.alone_period import Arrival
from emul.runtime.history import HistoryEntry
from emul.runtime.operation import Operation
from emul.runtime.operation_times import OperationTimes
from emul.runtime.program_path import COMPUTE, NOT_KEPT, PathPart, PathRow, ProgramPath
from emul.runtime.record import (
    ArriveAct,
    AttachAct,
    ComputeAct,
    IssueAct,
    Mark,
    Record,
    WaitAct,
)
from emul.timing import Segment

__all__ = ["RecordedTimes", "marks_between", "program_path"]

OUTAGE = "outage"
"""The term of an operation that failed."""


class RecordedTimes:
    """Tells the times of each operation of a record, those in flight by the program so far."""

    def __init__(
        self, record: Record, in_flight: Iterable[HistoryEntry], next_number: int = 0
    ) -> None:
        """Take the entries of the operations in flight; the first has the number given."""
        self.settled = record.times
        self.in_flight: dict[Operation, OperationTimes] = {}
        for number, entry in enumerate(in_flight, next_number):
            if isinstance(entry.times, OperationTimes):
                entry.times.number = number
                self.in_flight[entry.times.operation] = entry.times

    def __call__(self, operation: Operation) -> OperationTimes:
        """Return the times; without transfers where the record does not have the operation."""
        times = self.settled.get(operation) or self.in_flight.get(operation)
        return times or OperationTimes.of(operation, operation.moments, None)


def program_path(
    record: Record,
    times_of: Callable[[Operation], OperationTimes],
    since: Mark | str | None,
    until: Mark | str | None,
) -> ProgramPath:
    """Return the path between two marks, or their defaults (see World.critical_path)."""
    begin, end = marks_between(record, since, until)
    now = record.first + len(record.acts)
    end_ps = record.clocks_at(now, times_of) if end is None else record.mark_clocks(end, times_of)
    ranks = np.arange(len(end_ps), dtype=np.int32) if end is None else end.ranks
    rank = int(ranks[end_ps[ranks].argmax()])
    from_ps, to_ps = 0, int(end_ps[rank])
    if begin is not None:
        from_ps = int(record.mark_clocks(begin, times_of)[begin.ranks].max())
    if to_ps < from_ps:
        raise ArgumentError(f"until {end or 'now'}: needed a moment after since, {begin}")
    walk = _ProgramWalk(record, times_of)
    place = now if end is None else end.place
    rows = tuple(walk.rows(rank, place, to_ps, from_ps))
    return ProgramPath(rows, from_ps, to_ps, str(begin or "the beginning"), str(end or "now"))


def marks_between(
    record: Record, since: Mark | str | None, until: Mark | str | None
) -> tuple[Mark | None, Mark | None]:
    """Return the marks that a path is between; None for the birth of the World, and for now.

    By default as in World.critical_path. Raises ArgumentError.
    """
    marks = list(record.marks)
    begin = None if since is None else record.mark_of(since, "since")
    end = None if until is None else record.mark_of(until, "until")
    if end is None and marks and len(marks) > (begin is None):
        end = None if begin is marks[-1] else marks[-1]
    if since is None:
        before = [mark for mark in marks if end is None or mark.place < end.place]
        begin = before[-1] if before else None
    if begin is not None and end is not None and begin.place > end.place:
        raise ArgumentError(f"until {end}: needed a mark after since, {begin}")
    return begin, end


class _ProgramWalk:
    """Walks from a rank's clock at a place of the program back through its causes."""

    def __init__(self, record: Record, times_of: Callable[[Operation], OperationTimes]) -> None:
        self.record, self.times_of = record, times_of
        self.acts = record.acts
        self.issued_at: dict[Operation, int] = {}
        self.before: dict[Operation, Operation] = {}
        self.came_at: dict[Operation, list[tuple[Int32Array, int]]] = {}
        self._look_up()

    def _look_up(self) -> None:
        """Note where each operation was issued, by which ranks elsewhere, and after which one."""
        arrived_at: dict[Arrival, int] = {}
        last_of: dict[int, Operation] = {}
        for at, act in enumerate(self.acts):
            if isinstance(act, ArriveAct):
                arrived_at[act.arrival] = at
            elif isinstance(act, IssueAct):
                operation, number = act.operation, act.operation.member.number
                self.issued_at[operation] = at
                if number in last_of:
                    self.before[operation] = last_of[number]
                last_of[number] = operation
            if isinstance(act, IssueAct | AttachAct):
                came = self.came_at.setdefault(act.operation, [])
                came += [(each.ranks, arrived_at.get(each, -1)) for each in act.arrivals]
                if isinstance(act, AttachAct):
                    came.append((act.ranks, at))

    def rows(self, rank: int, place: int, at_ps: int, since_ps: int) -> Iterator[PathRow]:
        """Yield the rows from ``at_ps``, the clock of ``rank`` at a place, to ``since_ps``."""
        at = place - self.record.first
        while at_ps > since_ps:
            at = self._act_before(rank, at, at_ps)
            act = self.acts[at] if at >= 0 else None
            if isinstance(act, ComputeAct):
                row = _compute(rank, at_ps, act.duration_ps)
                yield row.clipped(since_ps)
                at_ps = row.from_ps
            elif isinstance(act, WaitAct):
                operation: Operation | None = act.operation
                while operation is not None and at_ps > since_ps:
                    row = self._operation(operation, rank, at_ps)
                    if row.duration_ps:
                        yield row.clipped(since_ps)
                    rank, at_ps = row.from_rank, row.from_ps
                    last, operation = operation, self._held_by(operation, rank, at_ps)
                at = self._came(last, rank)
            else:
                raise self.record.forgotten()

    def _act_before(self, rank: int, at: int, at_ps: int) -> int:
        """Return the last act before ``at`` that made the clock of ``rank`` what it is, or -1."""
        for earlier in range(at - 1, -1, -1):
            act = self.acts[earlier]
            if isinstance(act, ComputeAct):
                if act.duration_ps and (act.ranks is None or _has(act.ranks, rank)):
                    return earlier
            elif (
                isinstance(act, WaitAct)
                and _has(act.ranks, rank)
                and self.times_of(act.operation).done(rank) == at_ps
            ):
                return earlier
        return -1

    def _held_by(self, operation: Operation, rank: int, at_ps: int) -> Operation | None:
        """Return the operation before it, if ``rank`` started it when it was done with that one."""
        if self.times_of(operation).issued(rank) == at_ps:
            return None
        before = self.before.get(operation)
        if before is None or self.times_of(before).done(rank) != at_ps:
            raise self.record.forgotten()
        return before

    def _came(self, operation: Operation, rank: int) -> int:
        """Return the act at which ``rank`` came to an operation."""
        for ranks, at in self.came_at.get(operation, ()):
            if _has(ranks, rank):
                return at
        return self.issued_at.get(operation, -1)

    def _operation(self, operation: Operation, rank: int, at_ps: int) -> PathRow:
        """Return the row of an operation with which ``rank`` was done at ``at_ps``."""
        times, failed = self.times_of(operation), operation.failed
        segments: tuple[Segment, ...]
        if failed is not None and at_ps >= failed.at_ps:  # its end was the failure
            from_rank = rank
            segments = (Segment(failed.place, OUTAGE, at_ps - times.started(rank)),)
        elif (path := times.path_to_end(rank)) is None:
            from_rank = _straggler(operation, rank)
            segments = (Segment(NOT_KEPT, NOT_KEPT, at_ps - times.started(from_rank)),)
        else:
            from_rank, segments = path.from_rank, path.segments
        parts = tuple(_parts(segments, at_ps, times))
        from_ps = parts[-1].from_ps if parts else at_ps
        assert from_ps == times.started(from_rank), "the parts sum to the time of the operation"
        return PathRow(
            from_ps=from_ps,
            to_ps=at_ps,
            kind="operation",
            rank=rank,
            from_rank=from_rank,
            parts=parts,
            operation=operation.name,
            number=times.number,
            communicator=operation.member.communicator,
        )


def _compute(rank: int, to_ps: int, duration_ps: int) -> PathRow:
    from_ps = to_ps - duration_ps
    part = PathPart(from_ps, to_ps, f"rank {rank}", COMPUTE)
    return PathRow(from_ps, to_ps, "compute", rank, rank, (part,))


def _parts(segments: Iterable[Segment], to_ps: int, times: OperationTimes) -> Iterator[PathPart]:
    """Yield the parts of an operation's row, from ``to_ps`` back."""
    for each in segments:
        from_ps = to_ps - each.duration_ps
        src, dst = -1, -1
        if each.transfer >= 0 and times.sent is not None:
            timeline = times.sent.timeline
            src, dst = int(timeline.src[each.transfer]), int(timeline.dst[each.transfer])
        yield PathPart(from_ps, to_ps, each.place, each.term, src, dst)
        to_ps = from_ps


def _straggler(operation: Operation, rank: int) -> int:
    """Return the rank on whose start the end of ``rank`` hung."""
    moments = operation.moments
    return int(moments.straggler_of[np.searchsorted(moments.ranks, rank)])


def _has(ranks: Int32Array, rank: int) -> bool:
    at = int(np.searchsorted(ranks, rank))
    return at < len(ranks) and int(ranks[at]) == rank
