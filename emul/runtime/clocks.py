"""How far the ranks have come on the modelled clock, and what is under way between them.

A program of all ranks is issue, compute and wait, in this order. As long as nothing is under way
and all ranks are at the same moment, a collective takes the time that was predicted for it alone.
Else an *epoch* is open: what the program does is laid out, and when a time is asked for all of it
is timed at once (emul.timing.joint.simulation). What every rank has passed is let go of; its
moments are kept by those who hold them, and what comes of the rest is the same. When nothing is
under way any more,
the epoch ends, and links forget what they have carried.

When that is looked up depends on the program alone, never on who asked for a time; so the modelled
times do not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import RLock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emul.plans import Program
from emul.runtime.busy_period import (
    Epoch,
    Flight,
    Member,
    checked_clock,
)
from emul.runtime.history import (
    Carried,
    Entry,
    Passage,
    Past,
    TransferTable,
)
from emul.runtime.planner import Planner
from emul.runtime.run import Prediction
from emul.stacks import IDEAL, Stack
from emul.timing import Footprint, Issue, Moments, Slicing

if TYPE_CHECKING:
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["Progress"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

PARTS = 32
"""Collectives whose transfers are kept, as many as programs."""


class Progress:
    """The clocks of all ranks and the open epoch. Safe to be used from several threads."""

    def __init__(self, planner: Planner) -> None:
        """Take the places, and how messages are sent between them."""
        self.planner = planner
        self.size = planner.topology.world_size
        self._lock = RLock()
        self._in_step = True  # nothing is under way, and no rank is ahead of another
        self._base_ps = 0
        self._ahead_ps: Int64Array | None = None  # of each rank, where they differ
        self._epoch: Epoch | None = None
        self._past = Past()
        self._parts: dict[tuple[Program, int], Footprint] = {}

    @property
    def outstanding(self) -> int:
        """How many collectives are under way that nobody has waited for."""
        with self._lock:
            return 0 if self._epoch is None else self._epoch.outstanding

    def admit(
        self, member: Member, program: Program, prediction: Prediction, *, waits: bool
    ) -> bool:
        """Say whether a collective is alone: all ranks start at one moment, and wait for its end.

        ``waits``: whether they do. Raises, before it is issued, whatever would keep it from being
        so: OutageError for what is under way already, TimeLimitError, CapacityError.
        """
        if waits and self._in_step and member.number == 0:
            return True
        with self._lock:
            self._end_epoch()
            if waits and self._in_step and member.number == 0:
                return True
            checked_clock(self._base_ps)
            self._part(program, prediction.stack, member)
            return False

    def call(self, member: Member, program: Program, prediction: Prediction) -> Flight:
        """Issue a collective that was admitted; let no rank of it go on before all are done."""
        with self._lock:
            if member.number or not self._in_step:
                flight = self.issue(member, program, prediction)
                self.wait(flight)
                assert self._epoch is not None
                self._epoch.join(member.ranks)
                return flight
            start_ps = self._base_ps
            self._base_ps = done_ps = start_ps + prediction.total_ps
            passage = (prediction.shape.collective.name, 0, start_ps, start_ps, done_ps)
            self._past.add(Entry(passage, Carried(prediction.timeline, slice(None), start_ps)))
            return Flight(self, member, program, prediction, start_ps)

    def issue(self, member: Member, program: Program, prediction: Prediction) -> Flight:
        """Let every rank of ``member`` issue a collective that was admitted, and go on."""
        with self._lock:
            part = self._part(program, prediction.stack, member)
            if self._epoch is None:
                course = self._course(self._ahead())
                self._epoch = Epoch(self._base_ps, self._ahead(), course)
                self._in_step = False
            flight = Flight(self, member, program, prediction, None)
            self._epoch.issue(flight, part)
            return flight

    def wait(self, flight: Flight) -> None:
        """Let every rank of a collective wait until it is done with it."""
        with self._lock:
            if self._epoch is not None and flight.is_counted and not flight.waited:
                self._epoch.wait(flight)
            flight.waited = True

    def compute(self, duration_ps: int, ranks: Sequence[int] | Int32Array | None) -> None:
        """Let some ranks, or all, compute for so long. Raises TimeLimitError."""
        with self._lock:
            if self._epoch is None and ranks is None:
                self._base_ps += duration_ps
                return
            each: Int64Array = np.zeros(self.size, dtype=np.int64)
            each[slice(None) if ranks is None else np.asarray(ranks)] = duration_ps
            if self._epoch is None:
                self._take_clocks(self._base_ps, self._ahead() + each)
            else:
                self._epoch.compute(each)

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds, by the program so far."""
        with self._lock:
            if self._epoch is not None:
                return self._epoch.base_ps + self._epoch.clocks_ps()
            return checked_clock(self._base_ps) + self._ahead()

    def moment_ps(self, ranks: Int32Array | None = None) -> int:
        """Return the latest clock of all ranks, or of some."""
        with self._lock:
            if self._in_step:
                return self._base_ps
            clocks = self.clocks_ps()
            return int(clocks.max() if ranks is None else clocks[ranks].max(initial=0))

    def moments_of(self, flight: Flight) -> Moments:
        """Return the moments of a collective that is not settled, or was alone."""
        with self._lock:
            if flight.known is not None:
                return flight.known
            if flight.start_ps is not None:
                part = self._part(flight.program, flight.prediction.stack, flight.member)
                at_once: Int64Array = np.zeros(self.size, dtype=np.int64)
                course = self._course(at_once)
                course.take(Issue(part, None))
                (alone,) = course.outcome().moments.values()
                flight.known = alone.after(checked_clock(flight.start_ps))
                return flight.known
            epoch, issue = self._epoch, flight.issue
            assert epoch is not None
            assert issue is not None
            return epoch.outcome().moments[issue].after(epoch.base_ps)

    def is_done(self, flight: Flight) -> bool:
        """Say whether every rank of a collective has come to when it is done with it."""
        with self._lock:
            if flight.settled:
                return True
            moments = flight.moments
            return bool((self.clocks_ps()[moments.ranks] >= moments.done_ps).all())

    def past(self) -> list[Passage]:
        """Return the last collectives; those under way come last, by the program so far."""
        with self._lock:
            return self._past.passages(self._under_way())

    def transfers(self) -> TransferTable:
        """Return the transfers of the same, (transfers,), as far as they are kept."""
        with self._lock:
            return self._past.transfers(self._under_way())

    def _under_way(self) -> list[Entry]:
        return [] if self._epoch is None else self._epoch.under_way()

    def _end_epoch(self) -> None:
        """Let go of what has ended in the epoch, and of the epoch when that is all of it."""
        epoch = self._epoch
        if epoch is None or not epoch.may_have_ended:
            return
        for entry in epoch.end():
            self._past.add(entry)
        if not epoch.flights:
            self._take_clocks(epoch.base_ps, epoch.clocks_ps())

    def _take_clocks(self, base_ps: int, clocks_ps: Int64Array) -> None:
        """Let the ranks be so long after ``base_ps``, and nothing be under way."""
        checked_clock(base_ps + int(clocks_ps.max()))
        first = int(clocks_ps.min())
        self._base_ps = base_ps + first
        self._ahead_ps = clocks_ps - first if clocks_ps.max() > first else None
        self._epoch, self._in_step = None, self._ahead_ps is None

    def _ahead(self) -> Int64Array:
        """Return by how much each rank is ahead of the last one, where nothing is under way."""
        nobody: Int64Array = np.zeros(self.size, dtype=np.int64)
        return nobody if self._ahead_ps is None else self._ahead_ps

    def _course(self, clocks_ps: Int64Array) -> JointSimulation:
        """Return what ranks do from when they are at ``clocks_ps`` (n,)."""
        from emul.timing.joint.simulation import (
            JointSimulation,  # which programs without handles do without
        )

        planner = self.planner
        return JointSimulation(
            clocks_ps,
            planner.network,
            whole_messages=planner.stack is not IDEAL and planner.stack.sends_whole_messages,
            seed=planner.seed,
            start_s=planner.start_s,
        )

    def _part(self, program: Program, stack: Stack, member: Member) -> Footprint:
        """Return the transfers of a collective; those of the last few are kept."""
        key = program, member.number
        part = self._parts.pop(key, None)
        if part is None:
            network, slicing = self.planner.network, Slicing.of(stack, self.planner.slicing)
            part = Footprint.of(
                program, network, slicing, stack, member.ranks, member.number, self.planner.seed
            )
        self._parts[key] = part  # the last one used stands last
        if len(self._parts) > PARTS:
            del self._parts[next(iter(self._parts))]
        return part
