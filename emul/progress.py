"""How far the ranks have come on the modelled clock, and what is under way between them.

A program of all ranks is issue, compute and wait, in this order. As long as nothing is under way
and all ranks are at the same moment, a collective takes the time that was predicted for it alone.
Else an *epoch* is open: what the program does is kept, and when a time is asked for all of it is
timed at once (emul.timing.flight). What had ended at a moment that every rank has passed, and at
which nothing was under way, is let go of; its moments are kept by those who hold them. When that
is all, so is the epoch.

When that is looked up depends on the program alone, never on who asked for a time; so the modelled
times do not either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import RLock

import numpy as np
import numpy.typing as npt

from emul.flights import Epoch, Flight, Member, Passage, checked_clock
from emul.planning import Planner
from emul.plans import Program
from emul.run import Prediction
from emul.stacks import IDEAL, Stack
from emul.timing import Act, Flown, Issue, Moments, Part, Slicing, fly

__all__ = ["Progress"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

KEPT = 4096
"""Collectives whose passage is kept, the last ones: 0.5 MB at most."""

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
        self._past: deque[Passage | tuple[str, int, int]] = deque(maxlen=KEPT)
        self._parts: dict[tuple[Program, int], Part] = {}

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
            self._past.append((prediction.shape.collective.name, start_ps, done_ps))
            return Flight(self, member, program, prediction, start_ps)

    def issue(self, member: Member, program: Program, prediction: Prediction) -> Flight:
        """Let every rank of ``member`` issue a collective that was admitted, and go on."""
        with self._lock:
            part = self._part(program, prediction.stack, member)
            if self._epoch is None:
                self._epoch, self._in_step = Epoch(self._base_ps, self._ahead()), False
            flight = Flight(self, member, program, prediction, None)
            self._epoch.issue(flight, part)
            return flight

    def wait(self, flight: Flight) -> None:
        """Let every rank of a collective wait until it is done with it."""
        with self._lock:
            if self._epoch is not None and not flight.waited and not flight.settled:
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
                return self._epoch.base_ps + self._flown(self._epoch).clocks_ps
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
                (alone,) = self._fly([Issue(part, None)], at_once, {}).moments.values()
                flight.known = alone.after(checked_clock(flight.start_ps))
                return flight.known
            assert self._epoch is not None
            assert flight.issue is not None
            found = self._flown(self._epoch).moments[flight.issue]
            return found.after(self._epoch.base_ps)

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
            found = [
                each if isinstance(each, Passage) else Passage(each[0], 0, each[1], *each[1:])
                for each in self._past
            ]
            if self._epoch is not None:
                found += [flight.passage(flight.moments) for flight in self._epoch.flights]
            return found[-KEPT:]

    def _end_epoch(self) -> None:
        """Let go of what has ended in the epoch, and of the epoch when that is all of it."""
        epoch = self._epoch
        if epoch is None or not epoch.may_have_ended:
            return
        flown = self._flown(epoch)
        self._past += [flight.passage(flight.moments) for flight in epoch.end(flown)]
        epoch.goes_on()
        if not epoch.flights:
            self._take_clocks(epoch.base_ps, flown.clocks_ps)

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

    def _flown(self, epoch: Epoch) -> Flown:
        if epoch.flown is None:
            epoch.flown = self._fly(epoch.acts, epoch.clocks_ps, epoch.ended_ps)
        return epoch.flown

    def _fly(
        self, acts: Sequence[Act], clocks_ps: Int64Array, ended_ps: dict[Issue, Int64Array]
    ) -> Flown:
        planner = self.planner
        return fly(
            acts,
            clocks_ps,
            planner.network,
            ended_ps=ended_ps,
            whole_messages=planner.stack is not IDEAL and planner.stack.sends_whole_messages,
            seed=planner.seed,
            start_s=planner.start_s,
        )

    def _part(self, program: Program, stack: Stack, member: Member) -> Part:
        """Return the transfers of a collective; those of the last few are kept."""
        key = program, member.number
        part = self._parts.pop(key, None)
        if part is None:
            network, slicing = self.planner.network, Slicing.of(stack, self.planner.slicing)
            part = Part.of(program, network, slicing, stack, member.ranks, member.number)
        self._parts[key] = part  # the last one used stands last
        if len(self._parts) > PARTS:
            del self._parts[next(iter(self._parts))]
        return part
