"""The modelled cost of a collective, and its reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from emul.errors import ArgumentError, one_of_many
from emul.fixed_mapping import FixedMapping
from emul.plans import Plan, Shape, SymmetricPlan
from emul.reading.brief import one_line
from emul.stacks import IDEAL, Stack
from emul.timing import Assumed, CriticalPath, Timeline, critical_path
from emul.topology.bounded import Bounded
from emul.units import PS_PER_S, format_bytes, format_factor, format_time

__all__ = ["Prediction", "by_reason"]


SHOWN = 3
"""Algorithms that auto timed, in a small table."""


def by_reason(passed_over: Mapping[str, str]) -> str:
    """Return in words why algorithms were not timed: each reason once, behind their names."""
    names: dict[str, list[str]] = {}
    for name, why in passed_over.items():
        names.setdefault(why, []).append(name)
    return one_of_many(f"{', '.join(some)}: {why}" for why, some in names.items())


@dataclass(frozen=True)
class Prediction:
    """The modelled time of a collective, and why.

    ``of``: the plan, or the part of a symmetric plan that was timed for all. ``nbytes`` is the
    whole vector: the buffer of all_reduce, broadcast, reduce and send_recv, the input of
    reduce_scatter, scatter and all_to_all (the longest one), the output of all_gather and gather.
    ``bounded``: the terms of the bounds. ``stack``: the library that sends. ``considered``: the
    modelled seconds of each algorithm that ``auto`` timed, for so many groups at once as
    ``company``, all other times being of one alone; empty when the algorithm was named,
    or is a library's own. ``ruled_out``: of each algorithm that can take no less than the quickest,
    the seconds for which its busiest link is busy; infinity for those that an outage kills.
    ``passed_over``: of each that cannot be timed (memory, an outage, much work), the reason.
    ``assumed``: of the ranks that a few of them stand for; None where each was timed.
    """

    of: Plan | SymmetricPlan
    shape: Shape
    nbytes: int
    timeline: Timeline
    bound_ps: int
    window_bound_ps: int
    bounded: Bounded
    stack: Stack = IDEAL
    company: int = 1
    considered: Mapping[str, float] = field(default_factory=lambda: FixedMapping())
    ruled_out: Mapping[str, float] = field(default_factory=lambda: FixedMapping())
    passed_over: Mapping[str, str] = field(default_factory=lambda: FixedMapping())
    assumed: Assumed | None = None

    def _repr_html_(self) -> str:
        """Return a small table and the bars of the busiest links, for notebooks."""
        from emul.drawing import sheet
        from emul.timing.views import timeline_picture

        picture, note = timeline_picture(self.timeline)
        return sheet(f"Prediction of {self.of}", self.facts, *picture, note=note)

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Names and values of a small table about it."""
        bound = format_time(self.bound_s)
        if self.times_bound is not None:
            bound += f" (the time is {format_factor(self.times_bound)} times the bound)"
        place = self.critical_path.binding_place
        longest = format_time(self.critical_path.spent_s(place))
        facts = [
            ("size", format_bytes(self.nbytes)),
            ("modelled time", format_time(self.time_s)),
            ("bound", bound),
            ("binds", self.binding),
            (
                "longest at",
                f"{place}, {longest}",
            ),
        ]
        if self.slice_growth > 1:
            facts.append(("slices", f"each stands for {self.slice_growth}, as there are too many"))
        if self.assumed is not None:
            facts += [("assumed", each) for each in self.assumed.words]
        if self.considered:
            quickest = sorted(self.considered, key=self.considered.__getitem__)
            timed = (f"{name} {format_time(self.considered[name])}" for name in quickest[:SHOWN])
            more = f" and {len(quickest) - SHOWN} more" if len(quickest) > SHOWN else ""
            at_once = f", {self.company} groups at once" if self.company > 1 else ""
            facts.append(("auto timed" + at_once, f"{', '.join(timed)}{more}"))
        return facts

    def __repr__(self) -> str:
        """Say the modelled time in one line."""
        grown = f", each slice for {self.slice_growth}" if self.slice_growth > 1 else ""
        return one_line(
            f"<Prediction {self.of}: {format_bytes(self.nbytes)}, modelled "
            f"{format_time(self.time_s)}, bound {format_time(self.bound_s)}{grown}>"
        )

    @property
    def plan(self) -> Plan:
        """The plan. Raises ArgumentError where only an excerpt of it was timed."""
        if isinstance(self.of, SymmetricPlan):
            raise ArgumentError(f"{self.of} is not there as a plan: needed a prediction in full")
        return self.of

    @property
    def algorithm(self) -> str:
        """The name of the algorithm."""
        return self.of.algorithm

    @cached_property
    def total_ps(self) -> int:
        """Modelled picoseconds from the start until the last rank is done."""
        return self.timeline.total_ps

    @property
    def time_s(self) -> float:
        """The same in seconds."""
        return self.total_ps / PS_PER_S

    @property
    def part_sent(self) -> float:
        """The part of the bytes of ``timeline`` that are sent: below 1 for lengthened shares."""
        return (
            1 / (1 + self.of.rounded_up(self.shape)) if isinstance(self.of, SymmetricPlan) else 1.0
        )

    @property
    def bound_s(self) -> float:
        """Seconds that no algorithm can beat on this topology."""
        return self.bound_ps / PS_PER_S

    @property
    def times_bound(self) -> float | None:
        """The modelled time over that bound; None where the bound is 0."""
        return self.time_s / self.bound_s if self.bound_ps else None

    @property
    def connections(self) -> int:
        """The most connections that a rank has beyond its site, out or in."""
        return self.bounded.connection.number

    @property
    def window_bound_s(self) -> float:
        """Seconds that no algorithm can beat whose ranks have no more connections between sites.

        No more than ``connections``. It is the bound under windows, losses and slots; its excess
        over ``bound_s`` can be won by larger windows or more connections.
        """
        return self.window_bound_ps / PS_PER_S

    @property
    def below_bound(self) -> bool:
        """Whether the modelled time is below one of its bounds, by a defect of emul."""
        return self.total_ps < max(self.bound_ps, self.window_bound_ps)

    @property
    def slice_growth(self) -> int:
        """The number of slices that each slice stands for: 1, or more where there are too many.

        With more than 10^6 transfers and slices, and 16 for each message, slices double in size
        until no more are left. Each takes the credit of one, and word of its arrival takes as many
        round trips as it stands for, so windows hold it back as much as those. Times with a few
        times 10^6 slices moved by less than 0.1 % (rings, direct, hierarchies by steps), and by up
        to 8 % in pipelined hierarchies whose connections are held back by credit now and then.
        """
        return int(self.timeline.transfers.growth.max(initial=1))

    @cached_property
    def critical_path(self) -> CriticalPath:
        """The chain of causes that adds up to the time."""
        return critical_path(self.timeline)

    def to_perfetto(self, path: str | Path) -> None:
        """Write a trace of the transfers to ``path``, as Timeline.to_perfetto does."""
        self.timeline.to_perfetto(path)

    @property
    def binding(self) -> str:
        """The term that rules the time: one of emul.timing.terms.TERMS."""
        return self.critical_path.binding
