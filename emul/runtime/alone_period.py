"""A stretch of a program in which no two operations meet: each takes the time that it takes alone.

On links without a memory, an operation hangs on others only where both use a link at the same time,
and where it waits for the one before on its communicator. So it is timed alone, from the starts of
its ranks on, and its uses of links are held against those of the operations that may still be in
flight. Where two meet, this period ends, and all that is in flight is one busy period.

What is in flight is kept as acts, from the first operation on that a later one may still meet: one
that ends after the earliest clock, or arrival, of any rank.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.runtime.history import HistoryEntry, SentTransfers
from emul.runtime.operation import Failed, Operation, checked_clock
from emul.runtime.operation_times import OperationTimes
from emul.timing import Moments
from emul.timing.joint.alone import AloneTimes

__all__ = [
    "NOBODY",
    "AlonePeriod",
    "Arrival",
    "Arrived",
    "Attached",
    "Computed",
    "Issued",
    "Timer",
    "Waited",
]

NOBODY: Int32Array = np.zeros(0, dtype=np.int32)
"""No rank."""


KEPT = 256
"""Times of operations that are kept, by program and by the starts of the ranks."""

KEPT_TRANSFERS = 1 << 18
"""Transfers of them, but for those of the last one: 70 MB at most."""


class Arrival:
    """The clocks of some ranks at a place of the program, at which they issue an operation.

    ``clocks_ps`` (ranks,): as far as they are known, from the base of the period.
    """

    __slots__ = ("clocks_ps", "ranks")

    def __init__(self, ranks: Int32Array, clocks_ps: Int64Array) -> None:
        """Take the ranks, rising, and their clocks."""
        self.ranks, self.clocks_ps = ranks, clocks_ps


class Computed(NamedTuple):
    """Each rank has computed for so long: (n,) picoseconds."""

    duration_ps: Int64Array


class Arrived(NamedTuple):
    """Some ranks have come to an operation that others are yet to come to."""

    arrival: Arrival


class Issued:
    """An operation was issued: by the ranks of ``arrivals`` there, by the others here.

    The ranks ``missing`` are yet to issue it. ``issued_ps``, ``starts_ps``, ``done_ps`` (ranks,):
    when each issued it, started it and is done; ``first_ps`` and ``last_ps``: the first start, and
    the last use of a link or end.
    """

    def __init__(
        self,
        operation: Operation,
        arrivals: tuple[Arrival, ...],
        missing: Int32Array,
        issued_ps: Int64Array,
        starts_ps: Int64Array,
        times: AloneTimes,
        before: Issued | None,
    ) -> None:
        """Take the operation and its times from its first start on.

        ``before``: the one before it on its communicator, if that may still count.
        """
        self.before = before
        self.operation, self.arrivals, self.missing = operation, arrivals, missing
        self.issued_ps, self.starts_ps = issued_ps, starts_ps
        self.times = times
        self.first_ps = int(starts_ps.min())
        self.done_ps: Int64Array = self.first_ps + times.done_ps
        self.last_ps = self.first_ps + times.until_ps
        self.late: Int64Array = np.zeros(0, dtype=np.int64)  # places of ranks that came last

    @property
    def moments_of(self) -> Callable[[], Moments]:
        """Who tells the moments of the ranks, from the base of the period on.

        An operation keeps this as long as it lives, so no timeline hangs on it.
        """
        own = self.issued_ps, self.starts_ps, self.done_ps
        return partial(_moments, self.times.moments_of, self.late, *own)

    def entry(self, base_ps: int) -> HistoryEntry:
        """Return the entry for the history, where moments count from ``base_ps``."""
        operation, times = self.operation, self.times
        row = (
            operation.name,
            operation.member.communicator,
            base_ps + int(self.issued_ps.min()),
            base_ps + self.first_ps,
            base_ps + int(self.done_ps.max()),
            None,
        )
        since_ps = base_ps + self.first_ps
        sent = SentTransfers(times.timeline, times.lines, since_ps, times.origin)
        ranks, starts_ps = operation.member.ranks, self.starts_ps
        moments_ps = (self.issued_ps, starts_ps, self.done_ps)
        own = OperationTimes(operation, base_ps, ranks, *moments_ps, sent, is_alone=True)
        return HistoryEntry(row, sent, own)

    def after_wait(self, ranks: Int32Array, clocks_ps: Int64Array) -> Int64Array:
        """Return the clocks, (n,), after ``ranks`` of the operation have waited for it."""
        later = clocks_ps.copy()
        later[ranks] = np.maximum(clocks_ps[ranks], self.done_ps[self.at(ranks)])
        return later

    def at(self, ranks: Int32Array) -> Int64Array:
        """Return the places of ``ranks`` among those of the operation."""
        places: Int64Array = np.searchsorted(self.operation.member.ranks, ranks)
        return places

    def attach(self, ranks: Int32Array, issued_ps: Int64Array) -> None:
        """Let ``ranks`` that were missing issue it at ``issued_ps`` (ranks,)."""
        at = self.at(ranks)
        self.issued_ps[at] = self.starts_ps[at] = issued_ps
        late = issued_ps >= self.done_ps[at]
        self.late = np.concatenate([self.late, at[late]])
        self.done_ps[at] = np.maximum(issued_ps, self.done_ps[at])
        self.last_ps = max(self.last_ps, int(self.done_ps.max()))
        self.missing = np.setdiff1d(self.missing, ranks).astype(np.int32)


def _moments(
    alone_of: Callable[[], Moments],
    late: Int64Array,
    issued_ps: Int64Array,
    starts_ps: Int64Array,
    done_ps: Int64Array,
) -> Moments:
    """Return the moments of an operation that was timed alone, by its own starts and ends.

    ``late``: the places of the ranks that came last, on whose own start their end hung.
    """
    alone = alone_of()
    straggler_of = alone.straggler_of.copy()
    straggler_of[late] = alone.ranks[late]
    return replace(
        alone,
        issued_ps=issued_ps,
        started_ps=starts_ps,
        done_ps=done_ps,
        straggler_of=straggler_of,
    )


class Attached(NamedTuple):
    """Some ranks that were missing in an operation have issued it."""

    issued: Issued
    ranks: Int32Array
    arrivals: tuple[Arrival, ...]


class Waited(NamedTuple):
    """Some ranks of an operation wait until they are done with it."""

    issued: Issued
    ranks: Int32Array


Act = Computed | Arrived | Issued | Attached | Waited


class Timer:
    """Times operations alone; those lately timed are kept."""

    def __init__(
        self, anew: Callable[[Operation, Int64Array, int], AloneTimes], *, changes: bool
    ) -> None:
        """Take who times an operation whose ranks start at given moments, 0 the first.

        ``changes``: whether the moment of that first start counts.
        """
        self._anew = anew
        self._changes = changes
        self._kept: OrderedDict[tuple[object, ...], AloneTimes] = OrderedDict()
        self._transfers = 0

    def times(self, operation: Operation, starts_ps: Int64Array, at_ps: int) -> AloneTimes:
        """Return the times of an operation whose ranks start at ``starts_ps`` (ranks,).

        These are 0 for the first, which is at the moment ``at_ps``.
        """
        at_ps = at_ps if self._changes else 0
        key = operation.program, operation.member.number, starts_ps.tobytes(), at_ps
        times = self._kept.get(key)
        if times is None:
            times = self._kept[key] = self._anew(operation, starts_ps, at_ps)
            self._transfers += len(times.timeline)
            self._forget()
        else:
            self._kept.move_to_end(key)
        return times

    def _forget(self) -> None:
        """Forget those not asked for lately, beyond the limits."""
        while len(self._kept) > 1 and (len(self._kept) > KEPT or self._transfers > KEPT_TRANSFERS):
            _, oldest = self._kept.popitem(last=False)
            self._transfers -= len(oldest.timeline)


def _ordered_after(before: Issued, issued_ps: Int64Array, ordered: Int32Array | None) -> Int64Array:
    """Return when ranks start what they issue after ``before``, all or those that are ordered."""
    starts_ps = issued_ps.copy()
    at = slice(None) if ordered is None else before.at(ordered)
    starts_ps[at] = np.maximum(issued_ps[at], before.done_ps[at])
    return starts_ps


class AlonePeriod:
    """The program since nothing was in flight, as long as no two operations meet.

    Its times count from ``base_ps`` after the birth of the World.
    """

    def __init__(self, base_ps: int, clocks_ps: Int64Array, timer: Timer) -> None:
        """Begin with ranks at ``clocks_ps`` (n,), and nothing in flight."""
        self.base_ps = base_ps
        self.from_ps = clocks_ps  # before the acts
        self.now_ps = clocks_ps
        self.timer = timer
        self.acts: deque[Act] = deque()
        self.in_flight: dict[Operation, Issued] = {}
        self.last_of: dict[int, Issued] = {}
        self.arrivals: list[Arrival] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight that a later operation may meet, and nobody has arrived."""
        return not self.acts and not self.arrivals

    @property
    def operations(self) -> list[Operation]:
        """The operations in flight."""
        return list(self.in_flight)

    @property
    def outstanding(self) -> int:
        """The number of operations in flight that some rank has not waited for."""
        return sum(not each.waited.all() for each in self.in_flight)

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds since ``base_ps``."""
        return self.now_ps

    def compute(self, duration_ps: Int64Array) -> None:
        """Let each rank compute for ``duration_ps`` (n,)."""
        self.now_ps = self.now_ps + duration_ps
        if self.acts:
            self.acts.append(Computed(duration_ps))
        else:
            self.from_ps = self.now_ps

    def arrive(self, ranks: Int32Array) -> Arrival:
        """Note that ``ranks`` come here to an operation that is yet to be issued."""
        arrival = Arrival(ranks, self.now_ps[ranks])
        self.arrivals.append(arrival)
        self.acts.append(Arrived(arrival))
        return arrival

    def meets(
        self, operation: Operation, arrivals: tuple[Arrival, ...], missing: Int32Array = NOBODY
    ) -> Issued | None:
        """Return the issue of an operation; None where it would meet another.

        Raises the faults of timing it alone.
        """
        ranks = operation.member.ranks
        issued_ps = self._issued_ps(ranks, arrivals)
        if len(missing):  # it sends nothing, and its own start changes no other's
            late = np.searchsorted(ranks, missing)
            issued_ps[late] = np.delete(issued_ps, late).min()
        starts_ps, before = issued_ps, self.last_of.get(operation.member.number)
        if before is not None:
            starts_ps = _ordered_after(before, issued_ps, operation.member.ordered)
        first_ps = int(starts_ps.min())
        times = self.timer.times(operation, starts_ps - first_ps, self.base_ps + first_ps)
        if not self._is_apart(times, first_ps):
            return None
        return Issued(operation, arrivals, missing, issued_ps, starts_ps, times, before)

    def _issued_ps(self, ranks: Int32Array, arrivals: tuple[Arrival, ...]) -> Int64Array:
        """Return when each of ``ranks`` comes: when it arrived, or now."""
        issued_ps = self.now_ps[ranks]
        for arrival in arrivals:
            issued_ps[np.searchsorted(ranks, arrival.ranks)] = arrival.clocks_ps
        return issued_ps

    def _is_apart(self, times: AloneTimes, first_ps: int) -> bool:
        """Say whether an operation that starts then uses no link at once with another."""
        return all(
            each.times.use.is_apart(times.use, first_ps - each.first_ps)
            for each in self.in_flight.values()
            if each.last_ps > first_ps
        )

    def issue(self, act: Issued) -> None:
        """Issue an operation that meets no other."""
        self.acts.append(act)
        self.in_flight[act.operation] = act
        self.last_of[act.operation.member.number] = act
        for arrival in act.arrivals:
            self.arrivals.remove(arrival)

    def attach(
        self, operation: Operation, ranks: Int32Array, arrivals: tuple[Arrival, ...]
    ) -> None:
        """Let ``ranks`` that were missing in an operation issue it."""
        act = self.in_flight[operation]
        act.attach(ranks, self._issued_ps(ranks, arrivals))
        self.acts.append(Attached(act, ranks, arrivals))
        for arrival in arrivals:
            self.arrivals.remove(arrival)

    def wait(self, operation: Operation, ranks: Int32Array) -> None:
        """Let ``ranks`` of an operation wait until they are done with it; of one over, they are."""
        act = self.in_flight.get(operation)
        if act is not None:
            self.now_ps = act.after_wait(ranks, self.now_ps)
            self.acts.append(Waited(act, ranks))

    def end(self) -> list[HistoryEntry]:
        """Let go of the operations that no later one can meet; return their entries."""
        entries: list[HistoryEntry] = []
        if self.acts:
            for _ in range(self._number_over(self._earliest_ps())):
                self._pass(self.acts.popleft(), entries)
        return entries

    def _number_over(self, until_ps: int) -> int:
        """Return how many of the first acts are over; an arrival only with the issue that uses it.

        A busy period that takes an issue over needs its arrivals too.
        """
        over, unused = 0, set[Arrival]()
        for number, act in enumerate(self.acts, 1):
            if not self._is_over(act, until_ps):
                break
            if isinstance(act, Arrived):
                unused.add(act.arrival)
            elif isinstance(act, Issued | Attached):
                unused.difference_update(act.arrivals)
            if not unused:
                over = number
        return over

    def _earliest_ps(self) -> int:
        """Return the earliest moment at which an operation to come may start."""
        first = int(self.now_ps.min())
        return min([first, *(int(each.clocks_ps.min()) for each in self.arrivals)])

    def _is_over(self, act: Act, until_ps: int) -> bool:
        """Say whether nothing to come can hang on an act otherwise than by the clocks after it."""
        if isinstance(act, Arrived):
            users = (each for each in self.acts if isinstance(each, Issued | Attached))
            used = any(act.arrival in each.arrivals for each in users)
            return not used and act.arrival not in self.arrivals
        return not isinstance(act, Issued) or (act.last_ps <= until_ps and not len(act.missing))

    def _pass(self, act: Act, entries: list[HistoryEntry]) -> None:
        """Put an act behind, into the clocks before the others."""
        if isinstance(act, Computed):
            self.from_ps = self.from_ps + act.duration_ps
        elif isinstance(act, Waited):
            self.from_ps = act.issued.after_wait(act.ranks, self.from_ps)
        elif isinstance(act, Issued):
            entries.append(self._settle(act))

    def _settle(self, act: Issued) -> HistoryEntry:
        operation, base_ps = act.operation, self.base_ps
        del self.in_flight[operation]
        act.before = None  # or every operation would keep all earlier ones
        if self.last_of.get(operation.member.number) is act:
            del self.last_of[operation.member.number]
        moments_of, last_ps = act.moments_of, act.times.last_ps
        operation.settle(lambda: moments_of().after(checked_clock(base_ps)), last_ps)
        return act.entry(base_ps)

    def moments_of(self, operation: Operation) -> Moments:
        """Return the moments of an operation in flight."""
        return self.in_flight[operation].moments_of().after(checked_clock(self.base_ps))

    def time_of(self, operation: Operation) -> int:
        """Return the picoseconds that an operation in flight takes."""
        return self.in_flight[operation].times.last_ps

    def failure_of(self, operation: Operation) -> Failed | None:
        """Return None: on links that never change, no operation fails."""

    def entries(self) -> list[HistoryEntry]:
        """Return the entries of the operations in flight."""
        return [act.entry(self.base_ps) for act in self.in_flight.values()]
