"""Collectives on the modelled clock, and the epoch in which several are under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from emul.errors import TimeLimitError
from emul.plans import Program
from emul.run import Prediction
from emul.timing import Act, Compute, Flown, Issue, Join, Moments, Part, Wait
from emul.units import PS_PER_S

if TYPE_CHECKING:
    from emul.progress import Progress

__all__ = ["Epoch", "Flight", "Member", "Passage", "checked_clock"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]

MANY = 64
"""Collectives after which an epoch is tried to be ended even if some are not waited for."""

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


@dataclass(frozen=True, slots=True)
class Passage:
    """That a collective ran, in picoseconds since the World was made.

    ``communicator``: 0 for the world, then groups as they were made. ``issued_ps``, ``started_ps``:
    of the first rank; ``done_ps``: of the last.
    """

    collective: str
    communicator: int
    issued_ps: int
    started_ps: int
    done_ps: int


class Flight:
    """One collective on the modelled clock; its ``moments`` are worked out when asked for."""

    __slots__ = (
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
        self.issue: Issue | None = None  # in its epoch
        self.member = member
        self.program = program
        self.prediction = prediction
        self.start_ps = start_ps
        self.waited = start_ps is not None

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

    def passage(self, moments: Moments) -> Passage:
        """Return what is kept of it when it has passed."""
        return Passage(
            self.program.layout.shape.collective.name,
            self.member.number,
            int(moments.issued_ps.min()),
            int(moments.started_ps.min()),
            int(moments.done_ps.max()),
        )


class Epoch:
    """What was done since nothing was under way; its times count from ``base_ps``."""

    def __init__(self, base_ps: int, clocks_ps: Int64Array) -> None:
        """Begin with ranks that are ``clocks_ps`` (n,) after it."""
        self.base_ps = base_ps
        self.clocks_ps = clocks_ps
        self.computed_ps = clocks_ps  # the clocks if nobody ever waited
        self.acts: list[Act] = []
        self.flights: list[Flight] = []
        self.ended_ps: dict[Issue, Int64Array] = {}
        self.last_of: dict[int, Issue] = {}
        self.outstanding = 0
        self.all_joined = False
        self.next_tries = [MANY, 1]  # with some not waited for, and with none
        self.flown: Flown | None = None

    def add(self, act: Act) -> None:
        """Take note of one more act; what was known of the times before it is out of date."""
        self.flown = None
        last = self.acts[-1] if self.acts else None
        if isinstance(act, Compute) and isinstance(last, Compute):
            self.acts[-1] = Compute(last.duration_ps + act.duration_ps)
        else:
            self.acts.append(act)

    def compute(self, duration_ps: Int64Array) -> None:
        """Let each rank compute for so long."""
        computed_ps = self.computed_ps + duration_ps
        checked_clock(self.base_ps + int(computed_ps.max()))
        self.computed_ps = computed_ps
        self.add(Compute(duration_ps))

    def issue(self, flight: Flight, part: Part) -> None:
        """Let all ranks of ``part`` issue it."""
        flight.issue = Issue(part, self.last_of.get(part.communicator))
        self.add(flight.issue)
        self.last_of[part.communicator] = flight.issue
        self.flights.append(flight)
        self.outstanding += 1
        self.all_joined = False

    def wait(self, flight: Flight) -> None:
        """Let the ranks of ``flight`` wait for it."""
        assert flight.issue is not None
        self.add(Wait(flight.issue))
        self.outstanding -= 1

    def join(self, ranks: Int32Array) -> None:
        """Let ``ranks`` wait for one another."""
        self.add(Join(ranks))
        self.all_joined = len(ranks) == len(self.clocks_ps) and not self.outstanding

    @property
    def may_have_ended(self) -> bool:
        """Whether it is time to look, which costs as much as timing all of it."""
        return self.all_joined or len(self.flights) >= self.next_tries[not self.outstanding]

    def end(self, flown: Flown) -> list[Flight]:
        """Let go of what has ended, and of all acts before the first issue that has not.

        Every rank has passed it, so nothing that is done from now on hangs on it.
        """
        ended = dict.fromkeys(flown.ended())
        gone = [flight for flight in self.flights if flight.issue in ended]
        if not gone:
            return []
        self.flights = [flight for flight in self.flights if flight.issue not in ended]
        for flight in gone:
            assert flight.issue is not None
            moments = flown.moments[flight.issue]
            self.ended_ps[flight.issue] = moments.done_ps
            flight.known = moments.after(self.base_ps)
            flight.issue.after = None  # or all that ever was would hang together
            flight.issue = None
        self.outstanding = sum(not flight.waited for flight in self.flights)
        self.last_of = {each: last for each, last in self.last_of.items() if last not in ended}
        self.acts = [act for act in self.acts if act not in ended]
        self._fold()
        self.flown = None
        return gone

    def _fold(self) -> None:
        """Do the acts up to the first issue, and forget ends on which no other act hangs."""
        issues = (at for at, act in enumerate(self.acts) if isinstance(act, Issue))
        clocks_ps, first = self.clocks_ps.copy(), next(issues, len(self.acts))
        for act in self.acts[:first]:
            if isinstance(act, Compute):
                clocks_ps += act.duration_ps
            elif isinstance(act, Wait):
                ranks = act.issue.part.ranks
                clocks_ps[ranks] = np.maximum(clocks_ps[ranks], self.ended_ps[act.issue])
            elif isinstance(act, Join):
                clocks_ps[act.ranks] = clocks_ps[act.ranks].max()
        self.clocks_ps, self.acts = clocks_ps, self.acts[first:]
        waited = [act.issue for act in self.acts if isinstance(act, Wait)]
        waited += [act.after for act in self.acts if isinstance(act, Issue) and act.after]
        self.ended_ps = {each: self.ended_ps[each] for each in waited if each in self.ended_ps}

    def goes_on(self) -> None:
        """Look again when twice as much is under way: in all, that costs as much as once."""
        least = MANY if self.outstanding else 1
        self.next_tries[not self.outstanding] = max(least, 2 * len(self.flights))


def checked_clock(clock_ps: int) -> int:
    """Return ``clock_ps`` if clocks can go so far."""
    if clock_ps > LATEST_PS:
        raise TimeLimitError(
            f"the modelled clock passes {LATEST_PS // PS_PER_S // 86400} days: needed a new "
            "World, so that picoseconds fit in 64 bits"
        )
    return clock_ps
