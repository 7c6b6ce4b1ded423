"""What measurements tell of a link and of the software over it, and what they cannot tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emul.errors import MeasurementError
from emul.measured.fitting import Fit, fit
from emul.measured.forms import ALGORITHMS, check_algorithm
from emul.measured.measurement import Measurement
from emul.measured.model import BASE, LATENCY, OVERHEAD, SECONDS_PER_BYTE, Model
from emul.measured.ring import ALIKE, Ring
from emul.measured.sources import sources_of
from emul.units import format_rate, format_time

__all__ = ["Calibration", "Quantity", "calibrate"]

BLURRED = 0.5
"""Parameters are told apart, and determined, when their intervals are within this part of them."""
SLICES = (0, 512 << 10)
"""What is tried where nobody says it: whole chunks, and the slices of NCCL and of emul perf."""
CLEARLY = 0.9
"""A fit is better when its errors are less than this part of another's."""
POOR_FIT = 0.1
"""A typical error beyond which the form is not that of the data."""
OUTLYING_SIGMAS = 5.0

WITH_OVERHEAD = "the overhead of a message included"
WITHOUT_OVERHEAD = "if there is no overhead"
WITH_BASE = "the base of the call included, spread over its steps"
LEAST_OUTLIER = 0.01
"""Errors below this are never called outliers, however well the rest fits."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A value that was measured, and its 95 % interval; both ends NaN where it is not known.

    ``sources`` are the files that it comes from, the one that tells most first; ``holds`` says what
    is in it beside what it is named for.
    """

    value: float
    low: float
    high: float
    sources: tuple[str, ...]
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured: seconds, and bytes per second; None where nothing was.

    ``warnings`` say in sentences what the data cannot tell. ``typical_error`` is the median of the
    relative errors of the fit, ``worst_error`` the largest; ``slice_bytes`` the pieces in which
    it takes chunks of rings to be handed on, 0 for whole.
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


def calibrate(
    measurements: Sequence[Measurement],
    *,
    algorithm: str = "",
    slice_bytes: int | None = None,
    ring: Ring = ALIKE,
) -> Calibration:
    """Return what ``measurements`` tell.

    ``algorithm`` is how collectives were done whose files do not say it; ``slice_bytes`` the pieces
    in which a ring hands chunks on, 0 for whole, None for what fits better; ``ring`` the
    links that rings go over, where some are known. Raises MeasurementError when the
    measurements are too few or too much alike, ArgumentError for an unknown algorithm.

    >>> times = [(1 << k, 10e-6 + (1 << k) / 1e9) for k in range(8, 30)]
    >>> found = calibrate([Measurement("message", s, "a.csv", n) for n, s in times])
    >>> round(found.latency_s.value * 1e6, 3), round(found.rate_bytes_per_s.value / 1e9, 3)
    (10.0, 1.0)
    >>> found.warnings[0][:43]
    'latency and overhead cannot be told apart: '
    """
    check_algorithm(algorithm, {each.kind for each in measurements})
    slices = SLICES if slice_bytes is None else (slice_bytes,)
    settled = [
        _Merger(Model.of(measurements, algorithm=algorithm, slice_bytes=each, ring=ring))
        for each in slices
    ]
    fits = [each.settle() for each in settled]
    best = _best(fits)
    merger, found = settled[best], fits[best]
    warnings = [*merger.words, *_undetermined(found), *_misfits(found, measurements)]
    errors = np.abs(np.expm1(found.residuals))
    return Calibration(
        base_s=_quantity(found, BASE),
        latency_s=None if _step_unknown(found) else _quantity(found, LATENCY, merger.in_latency),
        overhead_s=None if _step_unknown(found) else _quantity(found, OVERHEAD, merger.in_overhead),
        rate_bytes_per_s=None if _rate_unknown(found) else _rate(found),
        warnings=tuple(warnings),
        measurements=len(measurements),
        typical_error=float(np.median(errors)),
        worst_error=float(errors.max()),
        slice_bytes=slices[best] if found.model.waits.any() else 0,
    )


def _best(fits: Sequence[Fit]) -> int:
    """Return the fit of least errors; a later one must be clearly better than the first."""
    errors = [float(np.abs(each.residuals).sum()) for each in fits]
    return min(range(len(fits)), key=lambda i: errors[i] / (CLEARLY if i else 1.0))


class _Merger:
    """Puts parameters together that the data cannot tell apart, and says so."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.words: list[str] = []
        self.in_latency = ""
        self.in_overhead = ""

    def settle(self) -> Fit:
        """Return the fit of the finest parameters that the data tell apart."""
        if self._spanned(OVERHEAD, [LATENCY, SECONDS_PER_BYTE]):
            self._put_overhead_in("all measurements pay both in one proportion", "a ping")
        if self._spanned(BASE, [LATENCY, OVERHEAD, SECONDS_PER_BYTE]):
            self._put_base_in("all calls have as many steps", "logs of several world sizes")
        self._check_sizes()
        found = fit(self.model)
        if _blurred(found, LATENCY, OVERHEAD):
            self._put_overhead_in("the noise hides the difference", "more of the same")
            found = fit(self.model)
        if _blurred(found, BASE, self._step):
            self._put_base_in("the noise hides the difference", "logs of more world sizes")
            found = fit(self.model)
        return found

    @property
    def _step(self) -> int:
        """The parameter that a step of a collective costs, beside the latency if that is known."""
        return OVERHEAD if OVERHEAD in self.model.active else LATENCY

    def _spanned(self, column: int, others: list[int]) -> bool:
        active = self.model.active
        kept = [each for each in others if each in active]
        return column in active and bool(kept) and self.model.spanned(column, kept)

    def _put_overhead_in(self, why: str, remedy: str) -> None:
        together = self.model.paid_together
        self.model = self.model.without(OVERHEAD)
        self.in_latency = WITH_OVERHEAD if together else WITHOUT_OVERHEAD
        what = "the sum of both" if together else "what it is if there is no overhead"
        self.words.append(
            f"latency and overhead cannot be told apart: {why}; latency_us is {what} "
            f"({remedy} would tell)"
        )

    def _put_base_in(self, why: str, remedy: str) -> None:
        name = "overhead" if self._step == OVERHEAD else "latency"
        self.model = self.model.without(BASE)
        if self._step == OVERHEAD:
            self.in_overhead = WITH_BASE
        else:
            self.in_latency = "; ".join(each for each in (self.in_latency, WITH_BASE) if each)
        self.words.append(
            f"the base of a call and the {name} of its steps cannot be told apart: {why}; "
            f"{name}_us holds both ({remedy} would tell)"
        )

    def _check_sizes(self) -> None:
        """Refuse data whose every line is a mixture of bytes and messages in one proportion."""
        others = [each for each in self.model.active if each != SECONDS_PER_BYTE]
        if self._spanned(SECONDS_PER_BYTE, others):
            raise MeasurementError(
                f"{', '.join(dict.fromkeys(self.model.sources))}: sizes do not differ, so "
                "time under way and time of sending cannot be told apart: needed two sizes or more"
            )


def _blurred(found: Fit, one: int, other: int) -> bool:
    """Say whether the intervals of two parameters are as wide as what both are together."""
    if not {one, other} <= set(found.model.active) or one == other:
        return False
    paid = (found.model.pays / found.model.times_s[:, None])[:, [one, other]]
    often = np.linalg.norm(paid, axis=0)
    both = float(often @ found.theta[[one, other]])
    widths = np.array(found.half_widths)[[one, other]] * often
    return bool((widths > BLURRED * both).all())


def _step_seconds(found: Fit) -> tuple[float, float]:
    """Return latency and overhead together, and the half-width of their interval."""
    weights = np.zeros(len(found.theta))
    weights[[LATENCY, OVERHEAD]] = 1.0
    return float(weights @ found.theta), found.half_width(weights)


def _step_unknown(found: Fit) -> bool:
    value, half = _step_seconds(found)
    return LATENCY not in found.model.active or 0 < BLURRED * value < half


def _rate_unknown(found: Fit) -> bool:
    value, half = found.theta[SECONDS_PER_BYTE], found.half_widths[SECONDS_PER_BYTE]
    return SECONDS_PER_BYTE not in found.model.active or half > BLURRED * value


def _undetermined(found: Fit) -> Iterator[str]:
    """Yield what the data do not determine, with the bound that they do give."""
    active = found.model.active
    if SECONDS_PER_BYTE not in active:
        yield "the rate is not determined: nothing was measured that depends on it"
    elif _rate_unknown(found):
        slowest = 1 / (found.theta[SECONDS_PER_BYTE] + found.half_widths[SECONDS_PER_BYTE])
        yield (
            "the rate is not determined: the sizes never leave the latency regime; it is at least "
            f"{format_rate(slowest)}"
        )
    if LATENCY not in active:
        yield "latency and overhead are not determined: nothing was measured that depends on them"
    elif _step_unknown(found):
        yield (
            "latency and overhead are not determined: the sizes never leave the bandwidth regime; "
            f"together they are at most {format_time(sum(_step_seconds(found)))}"
        )


def _misfits(found: Fit, measurements: Sequence[Measurement]) -> Iterator[str]:
    """Yield how the form differs from the data, where it does."""
    sizes = np.abs(found.residuals)
    typical = float(np.median(np.abs(np.expm1(found.residuals))))
    collectives = sorted({each.kind for each in measurements} & set(ALGORITHMS))
    if typical > POOR_FIT and collectives:
        known = ", ".join(dict.fromkeys(name for each in collectives for name in ALGORITHMS[each]))
        yield (
            f"the closed form is not that of these data: half of the times are off by more than "
            f"{typical:.0%}; another --algorithm ({known}) or --slice may be"
        )
    limits = OUTLYING_SIGMAS * found.deviations
    outlying = np.flatnonzero((sizes > limits) & (sizes > LEAST_OUTLIER))
    if outlying.size and typical <= POOR_FIT:
        worst = measurements[int(outlying[np.argmax(sizes[outlying])])]
        yield (
            f"{outlying.size} of {len(sizes)} measurements are outliers and count little; the "
            f"worst is {worst.kind} of {worst.size_bytes:.0f} B in {worst.source}"
        )


def _quantity(found: Fit, column: int, holds: str = "") -> Quantity | None:
    if column not in found.model.active:
        return None
    value, half = float(found.theta[column]), found.half_widths[column]
    low = half if math.isnan(half) else max(0.0, value - half)
    return Quantity(value, low, value + half, sources_of(found.model, column), holds)


def _rate(found: Fit) -> Quantity:
    """Return the rate; the ends of its interval are those of seconds per byte, turned over."""
    value, half = float(found.theta[SECONDS_PER_BYTE]), found.half_widths[SECONDS_PER_BYTE]
    sources = sources_of(found.model, SECONDS_PER_BYTE)
    return Quantity(1 / value, 1 / (value + half), 1 / (value - half), sources)
