"""The result of a collective that was run: modelled and measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError
from emul.ops import Arrays, RoundingError, relative_rms, rounding_error
from emul.reading.brief import one_line
from emul.runtime.operation import Operation
from emul.runtime.prediction import Prediction
from emul.runtime.prepared import Prepared
from emul.timing import Moments, Timeline
from emul.units import PS_PER_S, format_bytes, format_time
from emul.wall.lag import CallTimes, Lag

__all__ = ["Reduced", "Run"]

Reduced = tuple[npt.NDArray[Any], npt.NDArray[Any], str, Arrays]
"""Input, output, operator, and the Arrays that both belong to."""


@dataclass(frozen=True)
class Run:
    """The result of one collective.

    ``output``: an array like the input (shape: see the collective); None of a call without data.
    ``prepared``: its program, and its ``prediction`` alone; both for the ``nbytes`` of the call,
    where those were given. ``call_times``: the moments at which the call began, was ready, due and
    ended. ``reduced``: input, output, operator and their Arrays, from which ``error`` is computed;
    None where nothing was reduced or encoded. ``in_float32``: returns the output without the wire
    format; None where there is none. ``step_lag_s`` (steps,): by how much each step ended after its
    modelled moment, as the device measured it; None where the steps are not waited for one by one.
    ``dilation``: the factor by which modelled time was stretched; None where nobody waited: on the
    virtual clock, and in a rehearsal.

    A pickled run leaves its arrays behind: ``output`` is None in the copy, and ``error`` is there
    if it was computed before.
    """

    output: Any
    prepared: Prepared
    call_times: CallTimes
    reduced: Reduced | None = None
    step_lag_s: npt.NDArray[np.float64] | None = None
    dilation: float | None = None
    operation: Operation | None = None
    without_arrays: bool = False
    in_float32: Callable[[], npt.NDArray[np.float32]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return all but the arrays, with the moments of all ranks."""
        gone = self.without_arrays or self.output is not None
        left = dict.fromkeys(("output", "reduced", "in_float32"))
        return self.__dict__ | left | {"without_arrays": gone}

    @property
    def prediction(self) -> Prediction:
        """The prediction of the collective alone, all ranks at once, from its moment on.

        Raises OutageError where it comes to an outage so.
        """
        return self.prepared.prediction

    @property
    def arrival(self) -> CallTimes:
        """An older name of ``call_times``."""
        return self.call_times

    @property
    def time_s(self) -> float:
        """Modelled seconds from the start of the first rank until the last was done.

        It holds the wait for ranks that start late, as they do where the call before ended at
        different moments. Before dilation; as known so far, while the collective is in flight.
        """
        if self.operation is None:
            return self.prediction.time_s
        return self.operation.time_ps / PS_PER_S

    @property
    def moments(self) -> Moments:
        """The moments at which each rank issued it, started it and was done, and the stragglers.

        As known so far, while the collective is in flight. Raises ArgumentError for a run that was
        not made by a World.
        """
        if self.operation is None:
            raise ArgumentError(f"moments of {self}: needed a run on the clock of a World")
        return self.operation.moments

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
        return None if self.dilation is None else self.call_times.lag_ns / 1e9

    @property
    def wall_s(self) -> float:
        """Measured seconds of the call, from when its plan was there."""
        return (self.call_times.ended_ns - self.call_times.started_ns) / 1e9

    @property
    def lag(self) -> Lag | None:
        """The lag of the result behind its moment, and its cause; None where nobody waited.

        Where a device waits step by step, the lag of every step.
        """
        if self.dilation is None:
            return None
        return Lag.of([self.call_times], self.dilation, self.step_lag_s)

    @cached_property
    def error(self) -> RoundingError | None:
        """Rounding error of the output against float64, in ulp and relative.

        Of a call with a wire format, ``wire_rms`` is the part of it that the format costs. None of
        a call without data.

        Computed at first use, from input and output as they are then; so ask before either is
        changed. Zero where nothing is rounded. Raises ArgumentError for a reduction in place, which
        leaves no input to compare with, and for a run that was pickled before it was computed.
        """
        if self.without_arrays:
            raise ArgumentError(
                f"error of {self}: its arrays were left behind when it was pickled: needed to ask "
                "for the error before"
            )
        if self.output is None:
            return None
        if self.reduced is None:
            return RoundingError(0.0, 0.0, 0.0, 0.0)
        x, output, op, arrays = self.reduced
        if x is output:
            raise ArgumentError(
                "error of a reduction in place: needed an input that is still there; give out= a "
                "buffer of its own"
            )
        x, output = arrays.to_host(x), arrays.to_host(output)
        plain = None if self.in_float32 is None else self.in_float32()
        if plain is not None and not self.prediction.shape.collective.reduces:
            x = plain[:1].astype(output.dtype)
        if self.prediction.shape.counts is not None:  # rows are filled up with zeros
            lengths = np.diff(self.prediction.shape.output_spans, axis=1)[:, 0]
            there = np.arange(output.shape[1]) < lengths[:, None]
            output, plain = output[there], None if plain is None else plain[there]
        if plain is None:
            return rounding_error(x, output, op)
        return replace(rounding_error(x, output, op), wire_rms=relative_rms(output, plain))

    def _repr_html_(self) -> str:
        """Return a small table and the bars of the busiest links, for notebooks."""
        from emul.drawing import sheet
        from emul.timing.views import timeline_picture

        facts = dict(self.prediction.facts)
        if self.time_s != self.prediction.time_s:  # others were in flight, or ranks came late
            facts |= {"modelled time": format_time(self.time_s)}
            facts |= {"alone, all ranks at once": format_time(self.prediction.time_s)}
        if self.output is not None:
            facts["output"] = f"{tuple(self.output.shape)} {self.output.dtype}"
        facts[self._measured] = format_time(self.wall_s)
        if self.lag_s is not None:
            facts["lag"] = format_time(self.lag_s)
        picture, note = timeline_picture(self.timeline)
        return sheet(f"Run of {self.prepared.plan}", list(facts.items()), *picture, note=note)

    @property
    def _measured(self) -> str:
        """Say which time was measured: on the virtual clock nobody waits."""
        return "arithmetic" if self.dilation is None else "measured"

    @property
    def _timed_for(self) -> str:
        """Say the size for which it was timed, where the arrays are of another (``nbytes``)."""
        if self.output is None:
            return ""
        timed = self.prepared.program.layout.shape.output_shape
        here = self.output.shape
        if prod(here) == prod(timed[-len(here) :]):  # a message has the row of its receiver only
            return ""
        return f", timed for {format_bytes(self.prepared.nbytes)}"

    def __repr__(self) -> str:
        """Say the result in one line, without the numbers in the array."""
        plan, steps = self.prepared.plan, ""
        dilated = f"dilation {self.dilation:g}, " if self.dilation not in (None, 1) else ""
        if self.step_lag_s is not None and len(self.step_lag_s):
            steps = f", a step at most {format_time(float(self.step_lag_s.max()))} late"
        output = (
            "none" if self.output is None else f"{tuple(self.output.shape)} {self.output.dtype}"
        )
        return one_line(
            f"<Run {plan}: output {output}{self._timed_for}, "
            f"modelled {format_time(self.time_s)}, bound {format_time(self.bound_s)}, "
            f"{dilated}{self._measured} {format_time(self.wall_s)}{steps}>"
        )
