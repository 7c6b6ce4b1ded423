"""The numbers of a link and of the software over it from measurements, and the open ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from emul.measured.determined import (
    BYTES,
    STEP,
    interval_of,
    is_determined,
    upper_end,
    words_of_undetermined,
)
from emul.measured.forms import check_algorithm
from emul.measured.linear_model import BASE, LATENCY, OVERHEAD, Model
from emul.measured.measurement import STREAM, Measurement
from emul.measured.medians import CONFIDENCE, FEWEST, Interval
from emul.measured.merging import BLURRED, SLICES, Settled, settled
from emul.measured.misfits import has_another_form, words_of_misfit
from emul.measured.populations import Apart, apart
from emul.measured.ring_paths import ALIKE, Ring
from emul.reading.brief import brief
from emul.units import format_rate, format_time

__all__ = ["Calibration", "Quantity", "calibrate"]

UNKNOWN = Interval(math.nan, math.nan)
NAMES = {
    "base_s": "the base of a call",
    "latency_s": "the latency",
    "overhead_s": "the overhead",
    "rate_bytes_per_s": "the rate",
}

LEAST_SHARE = 0.1
"""A file whose lines have less than this part of all influence on a parameter is not named."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value that was measured, and the interval that holds the true one with ``confidence``.

    Both ends are NaN where no interval is known; ``high`` is infinite where it is open.
    ``sources`` are the files that the value comes from, the one that tells most first; ``holds``
    names the other quantities that it contains.
    """

    value: float
    low: float
    high: float
    sources: tuple[str, ...]
    holds: str = ""
    confidence: float = CONFIDENCE

    def in_words(self, words: Callable[[float], str]) -> str:
        """Return the value, and the interval where one is known; ``words`` says a number."""
        if math.isnan(self.low):
            return words(self.value)
        upper = f"to {words(self.high)}" if math.isfinite(self.high) else "or more"
        return f"{words(self.value)} ({self.confidence:.0%} sure: {words(self.low)} {upper})"

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class Calibration:
    """The measured numbers: seconds, and bytes per second; None where nothing was measured.

    Where the rate, or latency and overhead, are None, ``least_rate_bytes_per_s`` and
    ``most_step_s`` are the bounds that the data give of them, 0 and infinite where they give none.
    ``warnings`` say in sentences which questions the data leave open. ``typical_error`` is the
    median of the relative errors of the fit of ``parameters`` numbers, ``worst_error`` the largest;
    ``slice_bytes`` the pieces in which it takes chunks of rings to be handed on, 0 for whole.
    ``fitted_s``: the seconds of each measurement by the fit, in their order.
    """

    base_s: Quantity | None
    latency_s: Quantity | None
    overhead_s: Quantity | None
    rate_bytes_per_s: Quantity | None
    warnings: tuple[str, ...]
    measurements: int
    typical_error: float
    worst_error: float
    slice_bytes: int
    parameters: int = 0
    least_rate_bytes_per_s: float = 0.0
    most_step_s: float = math.inf
    fitted_s: tuple[float, ...] = ()

    __repr__ = brief

    def _repr_html_(self) -> str:
        """Return a small table of the numbers and the warnings, for notebooks."""
        from emul.drawing import sheet

        quantities = (
            ("base", self.base_s, format_time),
            ("latency", self.latency_s, format_time),
            ("overhead", self.overhead_s, format_time),
            ("rate", self.rate_bytes_per_s, format_rate),
        )
        facts = [
            (name, found.in_words(words)) for name, found, words in quantities if found is not None
        ]
        facts.append(("measurements", f"{self.measurements:,}"))
        error = f"{self.typical_error:.1%} in the median, {self.worst_error:.1%} at worst"
        facts.append(("error of the fit", error))
        return sheet("Calibration", facts, note=" ".join(self.warnings))

    @property
    def measured_anything(self) -> bool:
        """Whether any number of the link was measured."""
        return bool(self.latency_s or self.overhead_s or self.rate_bytes_per_s)


def calibrate(
    measurements: Sequence[Measurement],
    *,
    algorithm: str = "",
    slice_bytes: int | None = None,
    ring: Ring = ALIKE,
) -> Calibration:
    """Return the numbers that ``measurements`` determine.

    ``algorithm`` is how collectives were done whose files do not say it; ``slice_bytes`` the pieces
    in which a ring hands chunks on, 0 for whole, None for the better fit; ``ring`` the
    links that rings go over, where some are known. Raises MeasurementError when the
    measurements are too few or too much alike, or of two links; ArgumentError for an unknown
    algorithm.

    >>> times = [(1 << k, 10e-6 + (1 << k) / 1e9) for k in range(8, 30)]
    >>> found = calibrate([Measurement("message", s, "a.csv", n) for n, s in times])
    >>> round(found.latency_s.value * 1e6, 3), round(found.rate_bytes_per_s.value / 1e9, 3)
    (10.0, 1.0)
    >>> found.warnings[0][:43]
    'latency and overhead cannot be told apart: '
    """
    check_algorithm(algorithm, {each.kind for each in measurements})
    slices = SLICES if slice_bytes is None else (slice_bytes,)

    def by(name: str, rows: Sequence[Measurement] = measurements) -> Settled:
        return settled(rows, name, slices, ring)

    differing = apart(measurements, lambda rows: by(algorithm, rows))
    best = by(algorithm)
    quantities = _Quantities(best, differing, has_another_form(best, measurements))
    step, rate = is_determined(best.fit, STEP), is_determined(best.fit, BYTES)
    found = {
        "base_s": quantities.of(BASE),
        "latency_s": quantities.of(LATENCY, best.in_latency) if step else None,
        "overhead_s": quantities.of(OVERHEAD, best.in_overhead) if step else None,
        "rate_bytes_per_s": quantities.rate() if rate else None,
    }
    warnings = [
        *best.words,
        *words_of_undetermined(best.fit),
        *(each.words for each in differing),
        *words_of_misfit(best, measurements, algorithm, by),
        *_words_of_intervals(found),
        *_words_of_samples(measurements),
    ]
    return Calibration(
        **found,
        warnings=tuple(warnings),
        measurements=len(measurements),
        typical_error=best.typical_error,
        worst_error=float(np.abs(np.expm1(best.fit.residuals)).max()),
        slice_bytes=best.slice_bytes,
        parameters=len(best.fit.model.active),
        least_rate_bytes_per_s=1 / upper_end(best.fit, BYTES),
        most_step_s=upper_end(best.fit, STEP),
        fitted_s=tuple((best.fit.model.times_s * np.exp(best.fit.residuals)).tolist()),
    )


@dataclass(frozen=True)
class _Quantities:
    """Reads the parameters off a fit, with intervals that hold for all that was fitted together.

    Of a form that does not fit the data no interval is known.
    """

    settled: Settled
    differing: Sequence[Apart]
    another_form: bool

    def of(self, column: int, holds: str = "") -> Quantity | None:
        """Return a parameter, None if nobody pays it."""
        if column not in self.settled.fit.model.active:
            return None
        ends, value = self._interval(column), float(self.settled.fit.theta[column])
        sources = _sources_of(self.settled.fit.model, column)
        return Quantity(value, ends.low, ends.high, sources, holds, ends.confidence)

    def rate(self) -> Quantity | None:
        """Return the rate; the ends of its interval are the inverse ends of seconds per byte."""
        found = self.of(*BYTES)
        if found is None:
            return None
        high = 1 / found.low if found.low else math.inf
        return Quantity(1 / found.value, 1 / found.high, high, found.sources, "", found.confidence)

    def _interval(self, column: int) -> Interval:
        alone = [
            ends
            for each in self.differing
            for columns, ends in each.ends
            if tuple(columns) == (column,)
        ]
        if self.another_form:
            ends = alone[0] if alone else UNKNOWN
        else:
            ends = interval_of(self.settled.fit, (column,))
        return reduce(Interval.hull, alone, ends)


def _words_of_intervals(found: dict[str, Quantity | None]) -> Iterator[str]:
    """Yield which intervals are wide, or less sure than others."""
    for name, quantity in found.items():
        if quantity is None or math.isnan(quantity.high):
            continue
        half = max(quantity.high - quantity.value, quantity.value - quantity.low)
        say = format_rate if name == "rate_bytes_per_s" else format_time
        if half > BLURRED * quantity.value:
            to = f"to {say(quantity.high)}" if math.isfinite(quantity.high) else "on, without end"
            yield (
                f"{NAMES[name]}, {say(quantity.value)}, is uncertain: from {say(quantity.low)} {to}"
            )
        if quantity.confidence < CONFIDENCE:
            yield (
                f"the interval of {NAMES[name]} holds the true value with only "
                f"{quantity.confidence:.1%}, for it comes from a median of fewer than {FEWEST} "
                "samples"
            )


def _words_of_samples(measurements: Sequence[Measurement]) -> Iterator[str]:
    """Yield which medians are of samples that differ so much that no one number describes them."""
    for each in measurements:
        times_s = each.single_times_s or (each.time_s,)
        least, most = min(times_s), max(times_s)
        if most - least <= 2 * BLURRED * each.time_s:
            continue
        name = f"{each.source} (run {each.run})" if each.run else each.source
        fold = f"{most / least:.4g}-fold" if math.isfinite(most) else "down to nothing"
        if each.kind == STREAM:
            ends = (
                f"{format_rate(each.size_bytes / most)} to {format_rate(each.size_bytes / least)}"
            )
            yield f"{name}: the rate varies {fold}, from {ends}; a trace of the link would show it"
        else:
            ends = f"{format_time(least)} to {format_time(most)}"
            yield f"{name}: single times vary {fold}, from {ends}"


def _sources_of(model: Model, column: int) -> tuple[str, ...]:
    """Return the files that a parameter comes from, the one of most influence first.

    Of least squares, a parameter is a weighted sum of the measurements; the influence of a file is
    the sum of its weights, without their signs.
    """
    scaled = (model.pays / model.times_s[:, None])[:, model.active]
    weights = np.abs(np.linalg.pinv(scaled / np.linalg.norm(scaled, axis=0)))
    by_file: dict[str, float] = {}
    for source, weight in zip(model.sources, weights[model.active.index(column)], strict=True):
        by_file[source] = by_file.get(source, 0.0) + float(weight)
    least = LEAST_SHARE * sum(by_file.values())
    named = [source for source in by_file if by_file[source] >= least]
    return tuple(sorted(named, key=lambda source: -by_file[source]))
