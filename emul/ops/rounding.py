"""How far a reduction is from the exact one: in units of the last place, relative, overflowed.

Near zero, where numbers cancel, units of the last place and relative errors grow without end for
right data. The error relative to the sum of magnitudes does not: it has a bound that holds in every
order (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from emul.arrays import Array, Float64Array
from emul.ops.dtypes import float_form
from emul.ops.integers import advice_on, exact_columns, reduced_as_it_is, sure_to_fit

__all__ = ["RoundingError", "bound_of_any_order", "relative_rms", "rounding_error"]


COLUMNS_AT_ONCE = 1 << 16


@dataclass(frozen=True, slots=True)
class RoundingError:
    """Of all elements of an output against an exact reference.

    An ulp is the distance of neighbouring numbers of the element type at the reference: 1 for
    whole numbers. Relative errors leave out elements whose reference is zero. ``overflowed``: how
    many elements are whole numbers whose exact sum or product lies outside the type, so that they
    wrapped; of an average, it is the sum that is held against the type. Sums that leave the type
    on the way and come back are right, and do not count; minima and maxima never overflow. Floats
    overflow to infinity, which shows in the errors. ``advice``: in words the values that overflowed
    and the ways out; empty where nothing did.

    ``max_relative_to_magnitudes``: the largest |error| over the same reduction of the magnitudes
    |x|: their sum, for an average a part of it, for a product their product, for minima and maxima
    the largest. It does not grow where a sum is near zero; `bound_of_any_order` holds for it.

    ``wire_rms``: the error of a wire format, as `relative_rms` against the output of the same plan
    in float32 whose messages are as they are; None where elements went as they are.
    """

    max_ulp: float
    mean_ulp: float
    max_relative: float
    mean_relative: float
    overflowed: int = 0
    advice: str = ""
    max_relative_to_magnitudes: float = 0.0
    wire_rms: float | None = None


def bound_of_any_order(dtype: np.dtype[Any], terms: int) -> float:
    """Return the bound on ``max_relative_to_magnitudes`` of a sum or product of ``terms`` numbers.

    It is (n - 1)u / (1 - (n - 1)u), in any order of n terms, where nothing overflows, u being half
    the distance from 1 to the next number of the float ``dtype``; infinity where (n - 1)u reaches
    1. An average is rounded once more, as a sum of n + 1 terms is. A product that becomes subnormal
    has no bound; one in float64 has twice this, for its reference is rounded as often. Source:
    Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1 and (4.4).
    """
    digits, _ = float_form(dtype)
    roundings = (terms - 1) * 0.5 ** (digits + 1)
    return roundings / (1 - roundings) if roundings < 1 else math.inf


def relative_rms(values: Array, reference: Array) -> float:
    """Return the root mean square of ``values - reference`` over that of ``reference``.

    Both are of one shape, and are compared in float64. Elements that are the same infinity, or NaN
    in both, have no error; infinity where only one of both is finite, or where the reference is
    zero throughout and the values are not.
    """
    with np.errstate(all="ignore"):
        ours, theirs = values.astype(np.float64), reference.astype(np.float64)
        off = _distance(ours, theirs, np.zeros_like(theirs))
        squares = float(np.square(off).sum())
        all_squares = float(np.square(theirs[np.isfinite(theirs)]).sum())
    if not squares:
        return 0.0
    return math.sqrt(squares / all_squares) if all_squares else math.inf


class _Tally:
    """Errors of an output, part by part."""

    def __init__(self) -> None:
        self.worst: Float64Array = np.zeros(3)
        self.total: Float64Array = np.zeros(2)
        self.elements = self.nonzero = self.overflowed = 0

    def add(
        self,
        ulps: Float64Array,
        relative: Float64Array,
        to_magnitudes: Float64Array,
        *,
        times: int = 1,
    ) -> None:
        """Add elements, so many ``times``; ``relative``: of those whose reference is not zero."""
        largest = [each.max(initial=0) for each in (ulps, relative, to_magnitudes)]
        self.worst = np.maximum(self.worst, largest)
        self.total += np.array([ulps.sum(), relative.sum()]) * times
        self.elements += ulps.size * times
        self.nonzero += relative.size * times

    def add_right(self, elements: int, nonzero: int) -> None:
        """Add elements without any error, ``nonzero`` of them with a reference that is not zero."""
        self.elements += elements
        self.nonzero += nonzero

    def error(self, advice: str) -> RoundingError:
        """Return the sum of it all."""
        said = f"{self.overflowed} of {self.elements} elements: {advice}" if advice else ""
        return RoundingError(
            float(self.worst[0]),
            float(self.total[0]) / self.elements,
            float(self.worst[1]),
            float(self.total[1]) / self.nonzero if self.nonzero else 0.0,
            self.overflowed,
            said,
            float(self.worst[2]),
        )


def rounding_error(x: Array, output: Array, reduction: str) -> RoundingError:
    """Return the error of ``output``, the reduction of the rows of ``x``: (n, width).

    ``output`` holds the whole vector once or once per rank, in any shape. Sums of floats are
    referred to compensated float64 sums (Neumaier, 1974), other reductions to plain float64; whole
    numbers to exact ones, averages of them before they are cut off to whole numbers.
    """
    if not output.size:
        return RoundingError(0.0, 0.0, 0.0, 0.0)
    vectors = output.reshape(-1, x.shape[1])
    whole = output.dtype.kind in "iu"
    tally = _Tally()
    with np.errstate(all="ignore"):
        for low in range(0, x.shape[1], COLUMNS_AT_ONCE):
            columns = slice(low, low + COLUMNS_AT_ONCE)
            add = _add_whole if whole else _add_floats
            add(tally, x[:, columns], vectors[:, columns], reduction)
    return tally.error(advice_on(x.dtype, reduction, len(x)) if tally.overflowed else "")


def _add_floats(tally: _Tally, x: Array, values: Array, reduction: str) -> None:
    x64 = x.astype(np.float64)
    reference, rest = _reference(x64, reduction)
    off = _distance(values.astype(np.float64), reference, rest)
    nonzero = reference != 0
    tally.add(
        off / _ulp(reference, x.dtype),
        off[:, nonzero] / np.abs(reference[nonzero]),
        _over(off, _magnitudes(x64, reduction)),
    )


def _add_whole(tally: _Tally, x: Array, values: Array, reduction: str) -> None:
    """Add whole numbers; right values, and equal ranks, are looked at once."""
    if reduction != "avg" and sure_to_fit(x, reduction):
        right = reduced_as_it_is(x, reduction)
        if (values == right).all():
            tally.add_right(values.size, int(np.count_nonzero(right)) * len(values))
            return
    exact, rows = exact_columns(x, reduction), len(values)
    tally.overflowed += int(np.count_nonzero(exact.overflowed)) * rows
    times = rows if (values == values[0]).all() else 1
    off = exact.distance(values[:1] if times > 1 else values)
    nonzero = exact.value != 0
    relative = off[:, nonzero] / np.abs(exact.value[nonzero])
    relative[np.isnan(relative)] = 1.0  # of a product past float64, nothing but it counts
    to_magnitudes = _over(off, _magnitudes(x.astype(np.float64), reduction))
    to_magnitudes[np.isinf(off)] = 1.0  # likewise
    tally.add(off, relative, to_magnitudes, times=times)


def _magnitudes(x: Float64Array, reduction: str) -> Float64Array:
    """Return the reduction of the magnitudes in the rows of ``x``: (width,)."""
    combine: Any = {"prod": np.multiply, "min": np.maximum, "max": np.maximum}
    total: Float64Array = combine.get(reduction, np.add).reduce(np.abs(x), axis=0)
    return total / len(x) if reduction == "avg" else total


def _over(off: Float64Array, magnitudes: Float64Array) -> Float64Array:
    """Return ``off`` over ``magnitudes``: 0 where nothing is off, and infinity over zero or NaN."""
    ratio = np.where(off == 0, 0.0, off / magnitudes)
    return np.where(np.isnan(ratio), np.inf, ratio)


def _reference(x: Float64Array, reduction: str) -> tuple[Float64Array, Float64Array]:
    """Return the exact reduction as a float64 and its remainder."""
    nothing = np.zeros(x.shape[1])
    combine: Any = {"prod": np.multiply, "min": np.minimum, "max": np.maximum}.get(reduction)
    if combine is not None:
        return combine.reduce(x, axis=0), nothing
    total, lost = x[0].copy(), nothing.copy()
    for row in x[1:]:
        new = total + row
        larger = np.abs(total) >= np.abs(row)
        lost += np.where(larger, (total - new) + row, (row - new) + total)
        total = new
    finite = np.isfinite(total)
    exact = np.where(finite, total + lost, total)
    if reduction == "avg":
        return exact / len(x), nothing
    return exact, np.where(finite, lost - (exact - total), 0.0)


def _distance(values: Float64Array, reference: Float64Array, rest: Float64Array) -> Float64Array:
    """Return how far ``values`` are off; 0 where both are the same NaN or infinity."""
    unbounded = ~np.isfinite(reference)
    same = (values == reference) | (np.isnan(values) & np.isnan(reference))
    off = np.abs((values - reference) - rest)
    return np.where(unbounded & same, 0.0, np.where(np.isnan(off), np.inf, off))


def _ulp(reference: Float64Array, dtype: np.dtype[Any]) -> Float64Array:
    """Return the distance of neighbouring numbers of a float ``dtype`` at the reference."""
    digits, least = float_form(dtype)
    _, exponent = np.frexp(np.where(np.isfinite(reference), reference, 1.0))
    ulp: Float64Array = np.ldexp(1.0, np.maximum(exponent - 1, least) - digits)
    return ulp
