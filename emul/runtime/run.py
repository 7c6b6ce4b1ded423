"""What a collective costs (Prediction), and what one that was run gave (Run)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError, one_of_many
from emul.ops import Arrays, RoundingError, rounding_error
from emul.plans import Plan, Shape, SymmetricPlan
from emul.stacks import IDEAL, Stack
from emul.timing import CriticalPath, Moments, Timeline, critical_path
from emul.topology.bound import Bounded
from emul.units import PS_PER_S, format_time
from emul.wall.lag import Arrival, Lag

if TYPE_CHECKING:
    from emul.runtime.busy_period import Flight

__all__ = ["Prediction", "Reduced", "Run", "by_reason"]


Reduced = tuple[npt.NDArray[Any], npt.NDArray[Any], str, Arrays]
"""Input, output, operator, and whose arrays they are."""


def by_reason(passed_over: Mapping[str, str]) -> str:
    """Return in words why algorithms were not timed: each reason once, behind their names."""
    names: dict[str, list[str]] = {}
    for name, why in passed_over.items():
        names.setdefault(why, []).append(name)
    return one_of_many(f"{', '.join(some)}: {why}" for why, some in names.items())


@dataclass(frozen=True)
class Prediction:
    """The modelled time of a collective, and why.

    ``of``: the plan, or of a plan over very many ranks that sit alike the excerpt that was timed.
    ``nbytes`` is the whole vector: the buffer of all_reduce, broadcast, reduce and send_recv, the
    input of reduce_scatter, scatter and all_to_all (of whoever sends most), the output of
    all_gather and gather. ``bounded``: what the bounds are of. ``stack``: as which the call is
    sent. ``considered``: the modelled seconds of each algorithm that ``auto`` chose from; empty
    when the algorithm was named, or is a library's own. ``ruled_out``: of those that it did not
    time, the seconds for which their busiest link is busy; infinity for those that an outage kills.
    ``passed_over``: of those that cannot be timed, for want of memory or as they would take too
    long, why not.
    """

    of: Plan | SymmetricPlan
    shape: Shape
    nbytes: int
    timeline: Timeline
    bound_ps: int
    window_bound_ps: int
    bounded: Bounded
    stack: Stack = IDEAL
    considered: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    ruled_out: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    passed_over: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

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
    def connections(self) -> int:
        """The most connections that a rank has beyond its site, out or in."""
        return self.bounded.connection.number

    @property
    def window_bound_s(self) -> float:
        """Seconds that no algorithm can beat whose ranks have no more connections between sites.

        No more than ``connections``. That is what windows, losses and slots leave; what it is above
        ``bound_s`` can be won by larger windows or more connections.
        """
        return self.window_bound_ps / PS_PER_S

    @property
    def below_bound(self) -> bool:
        """Whether the modelled time is below one of its bounds, by a defect of emul."""
        return self.total_ps < max(self.bound_ps, self.window_bound_ps)

    @cached_property
    def critical_path(self) -> CriticalPath:
        """The chain of causes that makes the time what it is."""
        return critical_path(self.timeline)

    @property
    def binding(self) -> str:
        """The term that rules the time: one of emul.timing.terms.TERMS."""
        return self.critical_path.binding


@dataclass(frozen=True)
class Run:
    """The result of one collective.

    ``output``: an array like the input (shape: see the collective). ``arrival``: when the call
    began, was ready, due and ended. ``reduced``: what ``error`` is worked out from: input, output,
    operator and whose arrays they are; None where nothing was reduced. ``step_lag_s`` (steps,): by
    how much each step ended after its modelled moment, as the device measured it; None where the
    steps are not waited for one by one. ``dilation``: by how much modelled time was stretched; None
    where nobody waited: on the virtual clock, and in a rehearsal.
    """

    output: Any
    prediction: Prediction
    arrival: Arrival
    reduced: Reduced | None = None
    step_lag_s: npt.NDArray[np.float64] | None = None
    dilation: float | None = None
    flight: Flight | None = None

    @property
    def time_s(self) -> float:
        """Modelled seconds from when the first rank started until the last was done.

        Before dilation; of what is still under way, by the program so far.
        """
        if self.flight is None:
            return self.prediction.time_s
        return self.flight.time_ps / PS_PER_S

    @property
    def moments(self) -> Moments:
        """When each rank issued it, started it and was done, and who waited for whom.

        Of what is still under way, by the program so far. Raises ArgumentError for a run that was
        not made by a World.
        """
        if self.flight is None:
            raise ArgumentError(f"moments of {self}: needed a run on the clock of a World")
        return self.flight.moments

    @property
    def bound_s(self) -> float:
        """Seconds that no algorithm can beat on this topology."""
        return self.prediction.bound_s

    @property
    def window_bound_s(self) -> float:
        """Seconds that no algorithm can beat with this run's connections between sites."""
        return self.prediction.window_bound_s

    @property
    def timeline(self) -> Timeline:
        """Start and arrival of every transfer, bytes per trunk."""
        return self.prediction.timeline

    @property
    def binding(self) -> str:
        """The term that rules the modelled time."""
        return self.prediction.binding

    @property
    def lag_s(self) -> float | None:
        """Measured seconds by which the call ended after its modelled moment.

        None where nobody waited.
        """
        return None if self.dilation is None else self.arrival.lag_ns / 1e9

    @property
    def wall_s(self) -> float:
        """Measured seconds of the call, from when its plan was there."""
        return (self.arrival.ended_ns - self.arrival.started_ns) / 1e9

    @property
    def lag(self) -> Lag | None:
        """By how much what was due came late, and why; None where nobody waited.

        What is due is the result of the call, or where a device waits step by step, every step.
        """
        if self.dilation is None:
            return None
        return Lag.of([self.arrival], self.dilation, self.step_lag_s)

    @cached_property
    def error(self) -> RoundingError:
        """Rounding error of the output against float64, in ulp and relative.

        Worked out when it is first asked for, from input and output as they are then; so ask
        before either is changed. Zero where nothing is rounded. Raises ArgumentError for a
        reduction in place, which leaves no input to compare with.
        """
        if self.reduced is None:
            return RoundingError(0.0, 0.0, 0.0, 0.0)
        x, output, op, arrays = self.reduced
        if x is output:
            raise ArgumentError(
                "error of a reduction in place: needed an input that is still there; give out= a "
                "buffer of its own"
            )
        x, output = arrays.to_host(x), arrays.to_host(output)
        if self.prediction.shape.counts is not None:  # rows are filled up with zeros
            lengths = np.diff(self.prediction.shape.output_spans, axis=1)[:, 0]
            output = output[np.arange(output.shape[1]) < lengths[:, None]]
        return rounding_error(x, output, op)

    def __repr__(self) -> str:
        """Say the result in one line, without the numbers in the array."""
        plan, steps = self.prediction.plan, ""
        dilated = f"dilation {self.dilation:g}, " if self.dilation not in (None, 1) else ""
        if self.step_lag_s is not None and len(self.step_lag_s):
            steps = f", a step at most {format_time(float(self.step_lag_s.max()))} late"
        return (
            f"<Run {plan}: output {tuple(self.output.shape)} {self.output.dtype}, "
            f"modelled {format_time(self.time_s)}, bound {format_time(self.bound_s)}, "
            f"{dilated}measured {format_time(self.wall_s)}{steps}>"
        )
