"""Collectives on the modelled clock, and the epoch in which several are under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from emul.errors import TimeLimitError
from emul.plans import Program
from emul.runtime.history import Carried, Entry
from emul.runtime.run import Prediction
from emul.timing import Compute, Footprint, Issue, Join, Moments, Outcome, Wait
from emul.units import PS_PER_S

if TYPE_CHECKING:
    from emul.runtime.clocks import Progress
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["Epoch", "Flight", "Member", "checked_clock"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

MANY = 64
"""Collectives after which an epoch is tried to be ended even if some are not waited for."""

MANY_TRANSFERS = 4096
"""Of an epoch, those of ranks to themselves included, after which it lets go of what is over when
it is timed: timing them takes some milliseconds."""

LATEST_PS = 1 << 61
"""Up to here clocks may go that differ, or are asked for one by one: 26 days. Whatever a collective
takes can be added and does not wrap."""


class Member(Protocol):
    """Who issues collectives: the world, or a group of its ranks."""

    @property
    def ranks(self) -> Int32Array:
        """The ranks of the world, rising."""

    @property
    def number(self) -> int:
        """0 for the world, then groups as they were made."""


class Flight:
    """One collective on the modelled clock; its ``moments`` are worked out when asked for."""

    __slots__ = (
        "entry",
        "is_counted",
        "issue",
        "known",
        "member",
        "prediction",
        "program",
        "progress",
        "start_ps",
        "waited",
    )

    def __init__(
        self,
        progress: Progress,
        member: Member,
        program: Program,
        prediction: Prediction,
        start_ps: int | None,
    ) -> None:
        """Take what is issued, and for a collective alone when all its ranks start."""
        self.progress = progress
        self.known: Moments | None = None  # for good
        self.issue: Issue | None = None  # in its epoch, as long as it is not over
        self.is_counted = False  # among the flights of its epoch
        self.entry: Entry | None = None  # when it is over, for the history
        self.member = member
        self.program = program
        self.prediction = prediction
        self.start_ps = start_ps
        self.waited = start_ps is not None

    @property
    def name(self) -> str:
        """The name of the collective."""
        return self.program.layout.shape.collective.name

    @property
    def moments(self) -> Moments:
        """When its ranks issued it, started it and were done: by the program so far."""
        return self.known or self.progress.moments_of(self)

    @property
    def time_ps(self) -> int:
        """From when the first rank started until the last was done."""
        if self.start_ps is not None:
            return self.prediction.total_ps
        return self.moments.time_ps

    @property
    def settled(self) -> bool:
        """Whether nothing that is issued from now on can change its moments."""
        return self.start_ps is not None or self.known is not None


class Epoch:
    """What was done since nothing was under way; its times count from ``base_ps``."""

    def __init__(self, base_ps: int, clocks_ps: Int64Array, course: JointSimulation) -> None:
        """Begin with ranks that are ``clocks_ps`` (n,) after it, where ``course`` begins."""
        self.base_ps = base_ps
        self.computed_ps = clocks_ps  # the clocks if nobody ever waited
        self.course = course
        self.flights: list[Flight] = []
        self.last_of: dict[int, Issue] = {}
        self.outstanding = 0
        self.all_joined = False
        self.next_tries = [MANY, 1]  # with some not waited for, and with none
        self.next_advance = MANY_TRANSFERS

    def compute(self, duration_ps: Int64Array) -> None:
        """Let each rank compute for so long."""
        computed_ps = self.computed_ps + duration_ps
        checked_clock(self.base_ps + int(computed_ps.max()))
        self.computed_ps = computed_ps
        self.course.take(Compute(duration_ps))

    def issue(self, flight: Flight, part: Footprint) -> None:
        """Let all ranks of ``part`` issue it."""
        flight.issue = Issue(part, self.last_of.get(part.communicator))
        self.course.take(flight.issue)
        self.last_of[part.communicator] = flight.issue
        self.flights.append(flight)
        flight.is_counted = True
        self.outstanding += 1
        self.all_joined = False

    def wait(self, flight: Flight) -> None:
        """Let the ranks of ``flight`` wait for it."""
        self.outstanding -= 1
        if flight.issue is not None:
            self.course.take(Wait(flight.issue))

    def join(self, ranks: Int32Array) -> None:
        """Let ``ranks`` wait for one another."""
        self.course.take(Join(ranks))
        self.all_joined = len(ranks) == len(self.computed_ps) and not self.outstanding

    def outcome(self) -> Outcome:
        """Return what has come of all that is not over.

        What is over is let go of when it has become much, which nobody can tell by any time.
        """
        outcome = self.course.outcome()
        if len(self.course) >= self.next_advance:
            self._advance()
            self.next_advance = len(self.course) + MANY_TRANSFERS
        return outcome

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds since ``base_ps``, by what was done."""
        if not self.course.clocks_are_known:
            self.outcome()
        return self.course.clocks_ps()

    @property
    def may_have_ended(self) -> bool:
        """Whether it is time to look, which costs as much as timing all that is kept."""
        return self.all_joined or len(self.flights) >= self.next_tries[not self.outstanding]

    def end(self) -> list[Entry]:
        """Let go of the flights that every rank has passed: all of them if nothing is under way.

        Returns what is noted of them. If nothing is, links forget what they have carried, so the
        program alone says when this is done.
        """
        outcome = self.course.outcome()
        last_ps = max((int(each.done_ps.max()) for each in outcome.moments.values()), default=0)
        if last_ps <= self.course.clocks_ps().min():
            self._let_go(list(outcome.moments), outcome)
        else:
            self._advance()
        ended = [flight for flight in self.flights if flight.entry]
        self.flights = [flight for flight in self.flights if not flight.entry]
        entries = [flight.entry for flight in ended if flight.entry]
        for flight in ended:
            flight.is_counted, flight.entry = False, None
        self.outstanding = sum(not flight.waited for flight in self.flights)
        # Look again when twice as much is under way: in all, that costs as much as once.
        least = MANY if self.outstanding else 1
        self.next_tries[not self.outstanding] = max(least, 2 * len(self.flights))
        return entries

    def under_way(self) -> list[Entry]:
        """Return what is noted of all flights, by the program so far."""
        outcome = self.outcome()
        return [flight.entry or self._entry(flight, outcome) for flight in self.flights]

    def _advance(self) -> None:
        outcome = self.course.outcome()
        self._let_go(self.course.advance(), outcome)

    def _let_go(self, over: list[Issue], outcome: Outcome) -> None:
        """Keep for good what became of the collectives that are ``over``, and nothing else."""
        gone = set(over)
        self.last_of = {each: last for each, last in self.last_of.items() if last not in gone}
        for flight in self.flights:
            if flight.issue is not None and flight.issue in gone:
                flight.entry = self._entry(flight, outcome).cut_out()
                flight.known = outcome.moments[flight.issue].after(self.base_ps)
                flight.issue.after = None  # or all that ever was would hang together
                flight.issue = None

    def _entry(self, flight: Flight, outcome: Outcome) -> Entry:
        assert flight.issue is not None
        moments = outcome.moments[flight.issue].after(self.base_ps)
        passage = (
            flight.name,
            flight.member.number,
            int(moments.issued_ps.min()),
            int(moments.started_ps.min()),
            int(moments.done_ps.max()),
        )
        return Entry(passage, Carried(outcome.timeline, outcome.lines[flight.issue], self.base_ps))


def checked_clock(clock_ps: int) -> int:
    """Return ``clock_ps`` if clocks can go so far."""
    if clock_ps > LATEST_PS:
        raise TimeLimitError(
            f"the modelled clock passes {LATEST_PS // PS_PER_S // 86400} days: needed a new "
            "World, so that picoseconds fit in 64 bits"
        )
    return clock_ps
