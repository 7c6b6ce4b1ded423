"""The clocks of all ranks on the modelled clock, and the collectives in flight between them.

A program of all ranks is issue, compute and wait, in this order. As long as nothing is in flight
and all ranks are at the same moment, a collective takes the time that was predicted for it alone.
Else a *busy period* is open: the program is laid out, and all of it is timed at once when a time is
asked for (emul.timing.joint). Operations that every rank has passed are let go of; their moments
stay with their handles, and the times of the rest do not change. When nothing is in flight any
more, the busy period ends, and links forget the traffic that they have carried.

The program alone decides when this happens, never a question for a time; so questions change no
modelled time.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.plans import Program
from emul.runtime.busy_period import BusyPeriod, checked_clock
from emul.runtime.history import History, HistoryEntry, HistoryRow, SentTransfers, TransferTable
from emul.runtime.operation import Issuer, Operation
from emul.runtime.planner import Planner
from emul.runtime.prediction import Prediction
from emul.runtime.traced import trace_of_history
from emul.stacks import IDEAL, Stack
from emul.timing import Footprint, Issue, Moments, Slicing
from emul.tracks import Trace

if TYPE_CHECKING:
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["RankClocks"]


FOOTPRINTS = 32
"""Collectives whose transfers are kept, as many as programs."""


class RankClocks:
    """The clocks of all ranks and the busy period. Safe to be used from several threads."""

    def __init__(self, planner: Planner) -> None:
        """Take the planner of the whole world: its network, and its settings."""
        self.planner = planner
        self.size = planner.topology.world_size
        self._lock = RLock()
        self._in_step = True  # nothing is in flight, and no rank is ahead of another
        self._base_ps = 0
        self._ahead_ps: Int64Array | None = None  # of each rank, where they differ
        self._busy: BusyPeriod | None = None
        self._history = History()
        self._footprints: dict[tuple[Program, int], Footprint] = {}

    @property
    def outstanding(self) -> int:
        """The number of collectives in flight that nobody has waited for."""
        with self._lock:
            return 0 if self._busy is None else self._busy.outstanding

    def admit(
        self, member: Issuer, program: Program, prediction: Prediction, *, waits: bool
    ) -> bool:
        """Say whether a collective is alone: all ranks start at one moment, and wait for its end.

        ``waits``: whether they do. Raises, before the collective is issued: OutageError for a
        collective that is in flight already, TimeLimitError, CapacityError.
        """
        if waits and self._in_step and member.number == 0:
            return True
        with self._lock:
            self._end_busy_period()
            if waits and self._in_step and member.number == 0:
                return True
            checked_clock(self._base_ps)
            self._footprint(program, prediction.stack, member)
            return False

    def call(self, member: Issuer, program: Program, prediction: Prediction) -> Operation:
        """Issue a collective that was admitted; let no rank of it go on before all are done."""
        with self._lock:
            if member.number or not self._in_step:
                operation = self.issue(member, program, prediction)
                self.wait(operation)
                assert self._busy is not None
                self._busy.join(member.ranks)
                return operation
            start_ps = self._base_ps
            self._base_ps = done_ps = start_ps + prediction.total_ps
            row = (prediction.shape.collective.name, 0, start_ps, start_ps, done_ps)
            sent = SentTransfers(prediction.timeline, slice(None), start_ps)
            self._history.add(HistoryEntry(row, sent))
            return Operation(member, program, prediction, start_ps, self.moments_of)

    def issue(self, member: Issuer, program: Program, prediction: Prediction) -> Operation:
        """Let every rank of ``member`` issue a collective that was admitted, and go on."""
        with self._lock:
            footprint = self._footprint(program, prediction.stack, member)
            if self._busy is None:
                simulation = self._simulation(self._ahead())
                self._busy = BusyPeriod(self._base_ps, self._ahead(), simulation)
                self._in_step = False
            operation = Operation(member, program, prediction, None, self.moments_of)
            self._busy.issue(operation, footprint)
            return operation

    def wait(self, operation: Operation) -> None:
        """Let every rank of a collective wait until its own part of it is done."""
        with self._lock:
            if self._busy is not None and operation.is_counted and not operation.waited:
                self._busy.wait(operation)
            operation.waited = True

    def compute(self, duration_ps: int, ranks: Sequence[int] | Int32Array | None) -> None:
        """Let some ranks, or all, compute for ``duration_ps``. Raises TimeLimitError."""
        with self._lock:
            if self._busy is None and ranks is None:
                self._base_ps += duration_ps
                return
            each: Int64Array = np.zeros(self.size, dtype=np.int64)
            each[slice(None) if ranks is None else np.asarray(ranks)] = duration_ps
            if self._busy is None:
                self._take_clocks(self._base_ps, self._ahead() + each)
            else:
                self._busy.compute(each)

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds, by the program so far."""
        with self._lock:
            if self._busy is not None:
                return self._busy.base_ps + self._busy.clocks_ps()
            return checked_clock(self._base_ps) + self._ahead()

    def moment_ps(self, ranks: Int32Array | None = None) -> int:
        """Return the latest clock of all ranks, or of some."""
        with self._lock:
            if self._in_step:
                return self._base_ps
            clocks = self.clocks_ps()
            return int(clocks.max() if ranks is None else clocks[ranks].max(initial=0))

    def moments_of(self, operation: Operation) -> Moments:
        """Return the moments of a collective that is not settled, or was alone."""
        with self._lock:
            if operation.known is not None:
                return operation.known
            if operation.start_ps is not None:
                footprint = self._footprint(
                    operation.program, operation.prediction.stack, operation.member
                )
                at_once: Int64Array = np.zeros(self.size, dtype=np.int64)
                simulation = self._simulation(at_once)
                simulation.take(Issue(footprint, None))
                (alone,) = simulation.outcome().moments.values()
                operation.known = alone.after(checked_clock(operation.start_ps))
                return operation.known
            busy, issue = self._busy, operation.issue
            assert busy is not None
            assert issue is not None
            return busy.outcome().moments[issue].after(busy.base_ps)

    def is_done(self, operation: Operation) -> bool:
        """Say whether the clock of every rank has reached the moment at which its part is done."""
        with self._lock:
            if operation.settled:
                return True
            moments = operation.moments
            return bool((self.clocks_ps()[moments.ranks] >= moments.done_ps).all())

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

    def _in_flight(self) -> list[HistoryEntry]:
        return [] if self._busy is None else self._busy.in_flight()

    def _end_busy_period(self) -> None:
        """Let go of the operations that have ended; without any left, the busy period ends."""
        busy = self._busy
        if busy is None or not busy.may_have_ended:
            return
        for entry in busy.end():
            self._history.add(entry)
        if not busy.operations:
            self._take_clocks(busy.base_ps, busy.clocks_ps())

    def _take_clocks(self, base_ps: int, clocks_ps: Int64Array) -> None:
        """Set the clocks to ``clocks_ps`` (n,) after ``base_ps``, with nothing in flight."""
        checked_clock(base_ps + int(clocks_ps.max()))
        first = int(clocks_ps.min())
        self._base_ps = base_ps + first
        self._ahead_ps = clocks_ps - first if clocks_ps.max() > first else None
        self._busy, self._in_step = None, self._ahead_ps is None

    def _ahead(self) -> Int64Array:
        """Return by how much each rank is ahead of the last one, where nothing is in flight."""
        nobody: Int64Array = np.zeros(self.size, dtype=np.int64)
        return nobody if self._ahead_ps is None else self._ahead_ps

    def _simulation(self, clocks_ps: Int64Array) -> JointSimulation:
        """Return the joint simulation of ranks whose clocks are at ``clocks_ps`` (n,)."""
        from emul.timing.joint.simulation import JointSimulation  # needed with handles only

        planner, stack = self.planner, self.planner.timing.stack
        return JointSimulation(
            clocks_ps,
            planner.network,
            whole_messages=stack is not IDEAL and stack.sends_whole_messages,
            seed=planner.timing.seed,
            start_s=planner.timing.start_s,
        )

    def _footprint(self, program: Program, stack: Stack, member: Issuer) -> Footprint:
        """Return the transfers of a collective; those of the last few are kept."""
        key = program, member.number
        footprint = self._footprints.pop(key, None)
        if footprint is None:
            timing = self.planner.timing
            footprint = Footprint.of(
                program,
                self.planner.network,
                Slicing.of(stack, timing.slicing),
                stack,
                member.ranks,
                member.number,
                timing.seed,
            )
        self._footprints[key] = footprint  # the last one used stands last
        if len(self._footprints) > FOOTPRINTS:
            del self._footprints[next(iter(self._footprints))]
        return footprint
