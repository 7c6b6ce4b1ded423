"""The clocks of all ranks on the modelled clock, and the operations in flight between them.

Time is one line from the birth of a World. A program of all ranks is issue, compute and wait, in
this order; a synchronous call is issue and wait of all its ranks, each at its own clock. On links
without a memory, operations are timed alone as long as no two of them meet (an *alone period*);
else all that is in flight is one joint simulation (a *busy period*). Both give the same times.

Operations that nothing to come can change are let go of; their moments stay with their handles. The
program alone decides when this happens, never a question for a time; so questions change no
modelled time.
"""

from __future__ import annotations

import os
from functools import cached_property, partial
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.errors import OutageError
from emul.memory import check_fits
from emul.runtime.alone_period import NOBODY, AlonePeriod, Arrival, Issued, Timer
from emul.runtime.busy_period import BusyPeriod
from emul.runtime.cast import Cast
from emul.runtime.footprints import Footprints
from emul.runtime.history import History, HistoryEntry, HistoryRow, TransferTable
from emul.runtime.operation import Failed, Issuer, Operation, checked_clock
from emul.runtime.operation_times import OperationTimes
from emul.runtime.planner import Planner
from emul.runtime.prepared import Prepared
from emul.runtime.program_path import ProgramPath
from emul.runtime.program_walk import RecordedTimes, marks_between, program_path
from emul.runtime.record import Mark, Record, RecordedProgram
from emul.runtime.traced import trace_of_history
from emul.timing import Moments
from emul.timing.joint.alone import AloneTimes, has_memory, time_alone
from emul.tracks import Trace

if TYPE_CHECKING:
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["RankClocks"]

BYTES_TOGETHER = 1000
"""Of memory for each transfer of operations that are timed together (measured)."""

ALONE = True
"""Whether operations that meet no other are timed alone, which saves time and changes none."""


_LIVING: WeakSet[RankClocks] = WeakSet()
"""Whose locks are held while a process is forked, so that a child never finds one taken."""


FAR_PS = 1 << 58
"""Beyond which moments of a simulation are counted anew when nothing is in flight: 3.3 days."""


class RankClocks:
    """The clocks of all ranks, and what is in flight. Safe to be used from several threads."""

    def __init__(
        self,
        planner: Planner,
        *,
        keeps_all: bool = False,
        cast: Cast | None = None,
    ) -> None:
        """Take the planner of the whole world: its network, and its settings.

        ``keeps_all``: whether the record of the program forgets nothing. ``cast``: the few ranks
        whose planner it is, where they play the parts of all.
        """
        self._cast = cast
        self._keeps_all = keeps_all
        self.planner = planner
        self.size = planner.topology.world_size
        self._lock = RLock()
        _LIVING.add(self)
        self._footprints = Footprints(planner)
        self._timer = Timer(self._time_alone, changes=planner.changes)
        self._begin()

    def _begin(self) -> None:
        """Begin with all ranks at moment 0, nothing in flight and nothing passed."""
        self._is_untouched = True  # no operation was ever issued
        self._room_bytes = 0  # of memory that need not be asked for until it is looked again
        self._history = History()
        self._record = Record(self.size, keeps_all=self._keeps_all)
        self._period: AlonePeriod | BusyPeriod = self._alone(0, _zeros(self.size))

    def restart(self) -> None:
        """Begin a new line of time: nothing in flight, no history, links at rest."""
        with self._lock:
            period = self._period
            for operation in period.operations:
                if self.planner.changes:
                    operation.failure = operation.failed
                operation.settle(partial(period.moments_of, operation))
            self._footprints.restart()
            self._begin()

    @cached_property
    def _have_memory(self) -> bool:
        """Whether earlier traffic, or the moment, counts on some link."""
        return has_memory(self.planner.network, self.planner.timing.stack)

    @cached_property
    def _is_joint(self) -> bool:
        """Whether all operations but the first are timed jointly."""
        return self._have_memory or self._footprints.links_draw

    @property
    def outstanding(self) -> int:
        """The number of collectives in flight that some rank has not waited for."""
        with self._lock:
            return self._period.outstanding

    def at_rest(self) -> bool:
        """Say whether nothing is in flight, and all ranks are at the same moment."""
        with self._lock:
            self._let_go()
            period = self._period
            if not period.is_idle:
                return False
            clocks_ps = period.clocks_ps()
            return bool((clocks_ps == clocks_ps[0]).all())

    def admit(self, member: Issuer, prepared: Prepared) -> None:
        """Raise, before a collective is issued, TimeLimitError and CapacityError."""
        with self._lock:
            self._let_go()
            if self._may_meet(member, prepared):
                self._check_fits(prepared, member)

    def _may_meet(self, member: Issuer, prepared: Prepared) -> bool:
        """Say whether a collective that is issued now has to be timed with others in flight."""
        period = self._period
        if isinstance(period, BusyPeriod) or self._is_joint or not ALONE:
            return True
        if not member.number and period.is_idle:
            return False
        return period.meets(self._operation(member, prepared), ()) is None

    def _check_fits(self, prepared: Prepared, member: Issuer) -> None:
        """Raise CapacityError where an operation cannot be timed together with those in flight."""
        period, sizes = self._period, [self._footprints.of(prepared, member).size]
        if isinstance(period, BusyPeriod):
            sizes.append(len(period.simulation))
        else:
            sizes += [self._footprints.of(op.prepared, op.member).size for op in period.operations]
        transfers = sum(sizes)
        if transfers * BYTES_TOGETHER > self._room_bytes:
            what = f"timing {transfers:,} transfers of operations that may meet"
            self._room_bytes = check_fits(transfers * BYTES_TOGETHER, what) // 2

    def issue(
        self,
        member: Issuer,
        prepared: Prepared,
        arrivals: tuple[Arrival, ...] = (),
        missing: Int32Array = NOBODY,
        name: str = "",
    ) -> Operation:
        """Let every rank of ``member`` issue a collective, and go on.

        Those of ``arrivals`` issued it there, the others here; the ranks ``missing``, which send
        nothing, are yet to come. ``name``: where it is not that of the collective.
        """
        with self._lock:
            self._let_go()
            operation = self._operation(member, prepared, name)
            operation.messages = self._footprints.issued(prepared, member)
            self._record.issue(operation, arrivals, missing)
            if isinstance(self._period, AlonePeriod):
                if act := self._alone_act(self._period, operation, arrivals, missing):
                    self._period.issue(act)
                    return operation
                self._period = self._busy(self._period)
            self._period.issue(operation, arrivals, missing)
            return operation

    def _alone_act(
        self,
        period: AlonePeriod,
        operation: Operation,
        arrivals: tuple[Arrival, ...],
        missing: Int32Array,
    ) -> Issued | None:
        """Return the issue of an operation that meets no other; None where it may.

        On links with a memory, or that draw, only the first one meets nothing: it takes what was
        predicted.
        """
        if not ALONE:
            return None
        if self._is_joint:
            first, self._is_untouched = self._is_untouched, False
            together = (period.now_ps == period.now_ps[0]).all()
            if operation.member.number or not (first and period.is_idle and together):
                return None
            if self.planner.changes and not operation.prepared.arrives:
                return None
        return period.meets(operation, arrivals, missing)

    def attach(
        self, operation: Operation, ranks: Int32Array, arrivals: tuple[Arrival, ...] = ()
    ) -> None:
        """Let ``ranks`` that were missing in an operation issue it: where they arrived, or here."""
        with self._lock:
            self._period.attach(operation, ranks, arrivals)
            self._record.attach(operation, ranks, arrivals)

    def arrive(self, ranks: Int32Array) -> Arrival:
        """Note that ``ranks`` come here to a collective that others are yet to come to."""
        with self._lock:
            arrival = self._period.arrive(ranks)
            self._record.arrive(arrival)
            return arrival

    def wait(self, operation: Operation, ranks: Int32Array | None = None) -> None:
        """Let ``ranks`` of a collective, or all, wait until their own part of it is done."""
        with self._lock:
            fresh = operation.wait(ranks)
            if len(fresh):
                self._period.wait(operation, fresh)
                self._record.wait(operation, fresh)

    def compute(self, duration_ps: int | Int64Array, ranks: Int32Array | None) -> None:
        """Let some ranks compute for ``duration_ps``, or each for its own (ranks,).

        ``ranks``: None for all, for as long. Raises TimeLimitError; ArgumentError where a cast
        would have to do one thing for some and another for others.
        """
        longest_ps = duration_ps if isinstance(duration_ps, int) else int(duration_ps.max())
        if ranks is not None and self._cast is not None:
            ranks = self._cast.players(ranks)
        with self._lock:
            if isinstance(self._period, AlonePeriod):
                self._let_go()
            period = self._period
            if ranks is None and isinstance(period, AlonePeriod) and period.is_idle:
                period.base_ps += longest_ps
                self._record.compute(duration_ps, ranks)
                return
            checked_clock(longest_ps)
            each = _zeros(self.size)
            each[slice(None) if ranks is None else ranks] = duration_ps
            if isinstance(period, AlonePeriod):
                checked_clock(int((period.clocks_ps() + each).max()))
            period.compute(each)
            self._record.compute(duration_ps, ranks)

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds, by the program so far."""
        return self._of_all(self._clocks_ps())

    def _clocks_ps(self) -> Int64Array:
        """Return the clocks of those that are timed."""
        with self._lock:
            return checked_clock(self._period.base_ps) + self._period.clocks_ps()

    def _of_all(self, clocks_ps: Int64Array) -> Int64Array:
        return clocks_ps if self._cast is None else clocks_ps[self._cast.rank_of]

    def moment_ps(self, ranks: Int32Array | None = None) -> int:
        """Return the latest clock of all ranks, or of some."""
        with self._lock:
            clocks_ps = self._period.clocks_ps()
            latest = clocks_ps.max() if ranks is None else clocks_ps[ranks].max(initial=0)
            return self._period.base_ps + int(latest)

    def earliest_ps(self, ranks: Int32Array) -> int:
        """Return the earliest clock of some ranks."""
        with self._lock:
            return self._period.base_ps + int(self._period.clocks_ps()[ranks].min())

    def check(self, operation: Operation) -> None:
        """Raise OutageError where a collective has failed, by the program so far."""
        if not self.planner.changes:
            return
        with self._lock:
            if (failed := operation.failed) is not None:
                raise OutageError(failed.why)

    def is_done(self, operation: Operation) -> bool:
        """Say whether the clock of every rank has reached the moment at which its part is done."""
        with self._lock:
            if operation.settled:
                return True
            moments = operation.moments
            return bool((self._clocks_ps()[moments.ranks] >= moments.done_ps).all())

    def history(self) -> list[HistoryRow]:
        """Return the last collectives; those in flight come last, as known so far."""
        with self._lock:
            return self._history.rows(self._in_flight())

    def transfers(self) -> TransferTable:
        """Return the transfers of the same collectives, (transfers,), as far as they are kept."""
        with self._lock:
            return self._history.transfers(self._in_flight())

    def trace(self) -> Trace:
        """Return the trace of the same collectives, on one line of time."""
        with self._lock:
            return trace_of_history(self._history.entries(self._in_flight()), self.planner.network)

    def mark(self, name: str, ranks: Int32Array) -> Mark:
        """Note a place in the program for some ``ranks``."""
        with self._lock:
            return self._record.mark(name, ranks, self._clocks_of)

    def _clocks_of(self, mark: Mark) -> Int64Array:
        """Return the clocks of all ranks at a mark, (n,) picoseconds, by the program so far."""
        with self._lock:
            times = RecordedTimes(mark.record, self._in_flight())
            return self._of_all(mark.record.mark_clocks(mark, times))

    def told_marks(self, marks: list[Mark]) -> list[Int64Array]:
        """Return the clocks of the ranks of each of ``marks``, which come in order."""
        with self._lock:
            return self._record.told_marks(marks, RecordedTimes(self._record, self._in_flight()))

    def critical_path(self, since: Mark | str | None, until: Mark | str | None) -> ProgramPath:
        """Return why the program takes as long as it does from one mark to another."""
        with self._lock:
            times = RecordedTimes(self._record, self._in_flight(), self._history.next_number)
            return program_path(self._record, times, since, until)

    def recorded(self, since: Mark | str | None, until: Mark | str | None) -> RecordedProgram:
        """Return the whole program, with the marks of a stretch as in ``critical_path``.

        Raises ArgumentError where its first acts are not kept any more.
        """
        with self._lock:
            begin, end = marks_between(self._record, since, until)
            if self._record.first:
                raise self._record.forgotten()
            return RecordedProgram(tuple(self._record.acts), begin, end)

    def _in_flight(self) -> list[HistoryEntry]:
        return self._period.entries()

    def _operation(self, member: Issuer, prepared: Prepared, name: str = "") -> Operation:
        tellers = self._moments_of, self._time_of, self._failure_of
        return Operation(member, prepared, *tellers, name)

    def _moments_of(self, operation: Operation) -> Moments:
        """Return the moments of a collective that is not settled."""
        with self._lock:
            return operation.moments if operation.settled else self._period.moments_of(operation)

    def _time_of(self, operation: Operation) -> int:
        with self._lock:
            return operation.time_ps if operation.settled else self._period.time_of(operation)

    def _failure_of(self, operation: Operation) -> Failed | None:
        with self._lock:
            settled = operation.settled
            return operation.failure if settled else self._period.failure_of(operation)

    def _let_go(self) -> None:
        """Let go of operations that are over; without any left, links without memory are idle."""
        period = self._period
        if isinstance(period, AlonePeriod):
            if not self._is_joint:  # else the first operation counts for those to come
                for entry in period.end():
                    self._pass(entry)
            return
        may_be_dropped = ALONE and not self._have_memory
        # Links that draw need no new simulation, but for one whose moments fit: look there.
        is_far = may_be_dropped and not period.outstanding and period.computed_ps.min() > FAR_PS
        if not (is_far or period.may_have_ended):
            return
        may_be_dropped &= not self._is_joint or bool(period.clocks_ps().min() > FAR_PS)
        self._room_bytes = 0
        for entry in period.end(may_be_dropped=may_be_dropped):
            self._pass(entry)
        if period.is_idle and may_be_dropped:
            self._period = self._alone(period.base_ps, period.clocks_ps())

    def _pass(self, entry: HistoryEntry) -> None:
        """Add an entry to the history, and its times to the record."""
        if isinstance(entry.times, OperationTimes):
            self._record.over(entry.times, self._history.next_number)
            entry.times = None
        self._history.add(entry)

    def _alone(self, base_ps: int, clocks_ps: Int64Array) -> AlonePeriod:
        """Return the period of ranks at ``clocks_ps`` (n,) after ``base_ps``, none in flight."""
        first = int(clocks_ps.min())
        return AlonePeriod(base_ps + first, clocks_ps - first, self._timer)

    def _busy(self, alone: AlonePeriod) -> BusyPeriod:
        """Return the busy period of all that is in flight, and of what is to come."""
        simulation = self._simulation(alone.base_ps, alone.from_ps)
        return BusyPeriod.going_on(alone, simulation, self._footprints)

    def _simulation(self, base_ps: int, clocks_ps: Int64Array) -> JointSimulation:
        """Return the joint simulation of ranks that are at ``clocks_ps`` (n,) after ``base_ps``."""
        from emul.timing.joint.simulation import JointSimulation  # needed with handles only

        timing = self.planner.timing
        return JointSimulation(
            clocks_ps,
            self.planner.network,
            fills_windows=self._footprints.fills_windows,
            seed=timing.seed,
            start_s=timing.start_s,
            base_ps=base_ps,
        )

    def _time_alone(self, operation: Operation, starts_ps: Int64Array, at_ps: int) -> AloneTimes:
        """Return the times of an operation that meets no other, whose first start is ``at_ps``."""
        if self._cast is not None:
            return self._cast.time_alone(operation, starts_ps, self._footprints)

        def in_full() -> AloneTimes:
            clocks_ps = _zeros(self.size)
            clocks_ps[operation.member.ranks] = starts_ps
            footprint = self._footprints.of(operation.prepared, operation.member)
            return time_alone(footprint, self._simulation(at_ps, clocks_ps))

        if operation.member.number or starts_ps.any():
            return in_full()
        timeline = operation.prediction.timeline
        return AloneTimes.at_once(timeline, self.size, lambda: in_full().moments_of())

    def hold(self) -> None:
        """Let no other thread in until ``let_in``."""
        self._lock.acquire()

    def let_in(self) -> None:
        """Let other threads in again."""
        self._lock.release()


_held: list[RankClocks] = []


def _hold_all() -> None:
    _held[:] = _LIVING
    for clocks in _held:
        clocks.hold()


def _let_in_all() -> None:
    while _held:
        _held.pop().let_in()


os.register_at_fork(before=_hold_all, after_in_parent=_let_in_all, after_in_child=_let_in_all)


def _zeros(ranks: int) -> Int64Array:
    zeros: Int64Array = np.zeros(ranks, dtype=np.int64)
    return zeros
