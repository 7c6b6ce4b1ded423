"""How far a reduction is from the exact one: in units of the last place, and relative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RoundingError", "rounding_error"]

Array = npt.NDArray[Any]
Float64Array = npt.NDArray[np.float64]

COLUMNS_AT_ONCE = 1 << 16

FORMATS = {
    "float64": (52, -1022),
    "float32": (23, -126),
    "float16": (10, -14),
    "bfloat16": (7, -126),
}
"""Bits of the significand after the point, and the least exponent of a normal number."""


@dataclass(frozen=True, slots=True)
class RoundingError:
    """Of all elements of an output against a float64 reference.

    An ulp is the distance of neighbouring numbers of the element type at the reference.
    Relative errors leave out elements whose reference is zero.
    """

    max_ulp: float
    mean_ulp: float
    max_relative: float
    mean_relative: float


def rounding_error(x: Array, output: Array, reduction: str) -> RoundingError:
    """Return the error of ``output``, the reduction of the rows of ``x``: (n, width).

    ``output`` holds the whole vector once or once per rank, in any shape. Sums are referred to
    compensated float64 sums (Neumaier, 1974), other reductions to plain float64. Whole numbers
    have no rounding error.
    """
    if output.dtype.name not in FORMATS or not output.size:
        return RoundingError(0.0, 0.0, 0.0, 0.0)
    vectors = output.reshape(-1, x.shape[1])
    worst: Float64Array = np.zeros(2)
    total: Float64Array = np.zeros(2)
    relative_to = 0
    with np.errstate(all="ignore"):
        for low in range(0, x.shape[1], COLUMNS_AT_ONCE):
            columns = slice(low, low + COLUMNS_AT_ONCE)
            reference, rest = _reference(x[:, columns].astype(np.float64), reduction)
            off = _distance(vectors[:, columns].astype(np.float64), reference, rest)
            ulps = off / _ulp(reference, output.dtype.name)
            nonzero = reference != 0
            relative = off[:, nonzero] / np.abs(reference[nonzero])
            worst = np.maximum(worst, [ulps.max(), relative.max(initial=0)])
            total += [ulps.sum(), relative.sum()]
            relative_to += relative.size
    mean_relative = float(total[1]) / relative_to if relative_to else 0.0
    return RoundingError(
        float(worst[0]), float(total[0]) / output.size, float(worst[1]), mean_relative
    )


def _reference(x: Float64Array, reduction: str) -> tuple[Float64Array, Float64Array]:
    """Return the exact reduction as a float64 and what that leaves over."""
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


def _ulp(reference: Float64Array, dtype: str) -> Float64Array:
    digits, least = FORMATS[dtype]
    _, exponent = np.frexp(np.where(np.isfinite(reference), reference, 1.0))
    ulp: Float64Array = np.ldexp(1.0, np.maximum(exponent - 1, least) - digits)
    return ulp
