"""Why something is slow: the shares of its effects in the time, and the same in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from emul.reading.brief import brief, one_line
from emul.timing import OTHERS, terms
from emul.topology.bound_reason import BoundReason
from emul.topology.bound_slopes import TrunkSlope
from emul.units import PS_PER_S, counted, format_factor, format_time

__all__ = [
    "COMPUTE",
    "MEANINGS",
    "SCHEDULE",
    "SENDING",
    "ChainPart",
    "EffectShare",
    "Explanation",
    "Plans",
    "chain_of",
]

SCHEDULE, SENDING, COMPUTE = "schedule", "sending", "compute"
"""Parts of a time that are no effect of a link."""

MEANINGS = {
    "latency": "distance, and equipment on the way",
    "window": "limits of bytes and slices in flight",
    "gap": "spacing of slices",
    "loss": "lost packets, and the pace they force",
    "jitter": "messages that are later by chance",
    "queue": "packets of others in front, and pauses",
    "load": "the part of the rate that others take",
    "outage": "trunks that are down",
    "host": "software of the library, and copies",
    SCHEDULE: "time above the bound of all schedules",
    SENDING: "the bound with all of these off",
    COMPUTE: "compute, and waits for the compute of others",
}
"""The meaning of each part, in the order in which parts of equal size are told."""

HARDLY, MOSTLY = 0.1, 0.5
"""Parts of the time below which, and from which on, the distance is hardly or mostly the reason."""

NAMED = 3
"""Parts and places that a sentence names; the rest is summed up."""

OVERLAP = 0.01
"""Gains whose sum is off by more than this part of the time are said to overlap."""

LESS_OFTEN_TOLD = {OTHERS: "in front of a link in use by other operations"}

Plans = Literal["kept", "again"]


@dataclass(frozen=True, slots=True)
class EffectShare:
    """The share of one part of the time.

    ``name``: of the effect, ``gap + queue`` of two that were only switched off together; or
    ``schedule``, ``sending`` or ``compute`` (see emul.insight.attribution). ``share_ps``: its
    picoseconds of the time, below 0 for an effect that saves some. ``alone_ps``: by how many the
    time would be less with this one off and all others on, which is the most that a better schedule
    could bring for ``schedule``; None for a part that nobody can switch off. ``algorithm``: of the
    plan with this one off; empty where there is none.
    """

    name: str
    share_ps: int
    alone_ps: int | None
    algorithm: str = ""

    __repr__ = brief

    @property
    def effects(self) -> tuple[str, ...]:
        """The names of the effects that it is about."""
        return tuple(self.name.split(" + "))


@dataclass(frozen=True, slots=True)
class ChainPart:
    """The picoseconds of the critical path at a place, by a term (see emul.Segment)."""

    place: str
    term: str
    duration_ps: int

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a collective, or a stretch of a program, takes its time.

    ``subject``: what it is about, in words. ``plan``: ``kept`` where every time is of the plan of
    today, ``again`` where each is of the plan that is chosen then. ``algorithm``: of today, empty
    for a program. ``nbytes``: of the whole vector, as in Prediction; 0 for a program. ``time_ps``:
    the modelled time. ``bound_ps``: no algorithm is quicker on these links; None for a program.
    ``shares``: those of effects and of the schedule, the largest first, then ``sending`` and
    ``compute``; their ``share_ps`` sum to ``time_ps`` exactly. ``chain``: the places of the
    critical path, the one with most of it first; they sum to the time too.
    ``sites``: at which the ranks are. ``times``: how many times were worked out, of plans by
    ``algorithms`` (names, each once; none for a program). ``bound_reason``: the constraint of which
    the bound is the time. ``slopes``: of the trunks that it names.

    >>> import emul
    >>> found = emul.explain(emul.World("three-campus"), "all_reduce", 1 << 23)
    >>> found.shares[0].name, sum(each.share_ps for each in found.shares) == found.time_ps
    ('load', True)
    """

    subject: str
    plan: Plans
    algorithm: str
    nbytes: int
    time_ps: int
    bound_ps: int | None
    shares: tuple[EffectShare, ...]
    chain: tuple[ChainPart, ...]
    sites: int
    times: int
    algorithms: tuple[str, ...] = ()
    bound_reason: BoundReason | None = None
    slopes: tuple[TrunkSlope, ...] = ()

    @property
    def time_s(self) -> float:
        """The modelled time in seconds."""
        return self.time_ps / PS_PER_S

    @property
    def by_size(self) -> list[EffectShare]:
        """The shares, the largest first, whether somebody can switch them off or not."""
        return sorted(self.shares, key=lambda each: -each.share_ps)

    def share_of(self, effect: str) -> EffectShare | None:
        """Return the share that is of ``effect``, alone or with others; None where it has none."""
        return next((each for each in self.shares if effect in each.effects), None)

    def __repr__(self) -> str:
        """Say in one line how long it is, and the largest share."""
        most = f"; most by {self.by_size[0].name}" if self.time_ps else ""
        return one_line(
            f"<Explanation of {self.subject}: {format_time(self.time_s)}, plan {self.plan}{most}>"
        )

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        facts = [("time", format_time(self.time_s)), ("plan", self.plan)]
        facts += [(each.name, self._part(each.share_ps)) for each in self.shares]
        return sheet(f"Explanation of {self.subject}", facts, note=self.distance)

    def words(self) -> list[str]:
        """Return sentences: the largest shares, distance, schedule, bound, the chain, the plan."""
        if not self.time_ps:
            return [f"Why: no time passes in {self.subject}."]
        return [self._why(), self.distance, *self._schedule(), *self._bound(), *self._alone(),
                *self._together(), *self._chain(), self._plan()]  # fmt: skip

    @property
    def distance(self) -> str:
        """The answer to the question whether it was the distance, in a sentence."""
        asked = "Was it the distance?"
        if self.sites == 1:
            return f"{asked} No: all ranks are at one site."
        found = self.share_of("latency")
        if found is None or not self.time_ps:
            return f"{asked} No: without any latency it would take as long."
        part = found.share_ps / self.time_ps
        verdict = "Hardly" if part < HARDLY else "In part" if part < MOSTLY else "Mostly"
        left_s = (self.time_ps - (found.alone_ps or 0)) / PS_PER_S
        beside = f" with {', '.join(found.effects[1:])}" if len(found.effects) > 1 else ""
        return (
            f"{asked} {verdict}: latency{beside} is {self._part(found.share_ps)} of the "
            f"{format_time(self.time_s)}; without any, it would take {format_time(left_s)}."
        )

    def _why(self) -> str:
        named = [f"{each.name} {self._part(each.share_ps)}" for each in self.by_size[:NAMED]]
        rest = self.by_size[NAMED:]
        if rest:
            left = self._part(sum(each.share_ps for each in rest))
            named.append(f"{counted(len(rest), 'other')} {left}")
        return f"Why: {self.subject} takes {format_time(self.time_s)}: {', '.join(named)}."

    def _schedule(self) -> Iterator[str]:
        if self.bound_ps is None:
            return
        above_ps, bound = self.time_ps - self.bound_ps, format_time(self.bound_ps / PS_PER_S)
        if above_ps <= 0:
            yield f"Schedule: {self.algorithm} takes the {bound} of the bound: none is quicker."
            return
        times = ""
        if self.bound_ps:
            times = f", {format_factor(self.time_ps / self.bound_ps)} times as long"
        yield (
            f"Schedule: {self.algorithm} is {format_time(above_ps / PS_PER_S)} above the bound of "
            f"{bound}{times}: no other schedule can bring more."
        )

    def _bound(self) -> Iterator[str]:
        if self.bound_reason is not None:
            yield f"Bound: {self.bound_reason.words}."

    def _alone(self) -> Iterator[str]:
        """Yield how far the gains of single changes are from the gain of all of them."""
        switched = [each for each in self.shares if each.alone_ps is not None]
        alone_ps = sum(each.alone_ps or 0 for each in switched)
        together_ps = sum(each.share_ps for each in switched)
        if abs(alone_ps - together_ps) > OVERLAP * self.time_ps:
            yield (
                f"Alone: the gains of one change at a time sum to {_time(alone_ps)}, and all of "
                f"them together bring {_time(together_ps)}, for effects overlap; the shares add up."
            )

    def _chain(self) -> Iterator[str]:
        spent: dict[str, dict[str, int]] = {}
        for each in self.chain:
            spent.setdefault(each.place, {})[each.term] = each.duration_ps
        told = []
        for place, by_term in list(spent.items())[:NAMED]:
            known = sorted(by_term, key=_order)
            parts = ", ".join(f"{_time(by_term[term])} {_doing(term)}" for term in known)
            told.append(f"{self._part(sum(by_term.values()))} at {place}: {parts}")
        if rest := list(spent.values())[NAMED:]:
            left = sum(sum(by_term.values()) for by_term in rest)
            told.append(f"{self._part(left)} at {counted(len(rest), 'other place')}")
        if told:
            yield f"Chain: {'; '.join(told)}."

    def _together(self) -> Iterator[str]:
        """Yield the effects that were not told apart, of which there were too many."""
        for each in self.shares:
            if len(each.effects) > 1:
                yield (
                    f"Together: {' and '.join(each.effects)} were only switched off together, for "
                    "more effects are there than are switched one by one."
                )

    def _plan(self) -> str:
        every = counted(self.times, "time")
        of = f", {self.algorithm}," if self.algorithm else ""
        schedule = "this schedule" if self.algorithm else "these schedules"
        if self.plan == "kept":
            return (
                f"Plan: kept{of} in the {every} worked out, so this is the cost of the effects "
                f"for {schedule}."
            )
        other = [each for each in self.algorithms if each != self.algorithm]
        also = f" ({counted(len(other), 'other')} where some effects are off)" if other else ""
        return (
            f"Plan: chosen again{of} in each of the {every} worked out{also}, so this is the cost "
            "of the effects for those who choose anew."
        )

    def _part(self, ps: int) -> str:
        return f"{_time(ps)} ({100 * ps / self.time_ps:.3g} %)" if self.time_ps else _time(ps)


def chain_of(spent_ps: Mapping[tuple[str, str], int]) -> tuple[ChainPart, ...]:
    """Return the parts of a path by place and term, the place with most of it first."""
    by_place: dict[str, int] = {}
    for (place, _), ps in spent_ps.items():
        by_place[place] = by_place.get(place, 0) + ps
    order = sorted(by_place, key=lambda place: -by_place[place])
    return tuple(
        ChainPart(place, term, ps)
        for place in order
        for (at, term), ps in sorted(spent_ps.items(), key=lambda item: -item[1])
        if at == place and ps
    )


def _time(ps: int) -> str:
    return f"-{format_time(-ps / PS_PER_S)}" if ps < 0 else format_time(ps / PS_PER_S)


def _doing(term: str) -> str:
    return (terms.MEANINGS | LESS_OFTEN_TOLD).get(term, term)


def _order(term: str) -> int:
    known = [*terms.MEANINGS]
    return known.index(term) if term in known else len(known)
