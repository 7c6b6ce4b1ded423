"""Reductions of whole numbers against exact ones: which elements their type cannot hold.

Exact values are worked out by column in 64 bits: sums of int64 in two halves, products as a
magnitude that stops growing once it is past the type.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from emul.arrays import Array, BoolArray, Float64Array, Int64Array, UInt64Array
from emul.ops.numpy_ops import REDUCTIONS

__all__ = [
    "WRAPPING",
    "ExactColumns",
    "advice_on",
    "exact_columns",
    "reduced_as_it_is",
    "safe_range",
    "sure_to_fit",
]


WRAPPING = {"sum": "sum", "avg": "sum", "prod": "product"}
"""Reductions that may leave the type, and the value that it must hold: of an average, the sum."""

HALF = 32
LOW = (1 << HALF) - 1


class ExactColumns(NamedTuple):
    """The exact reduction of each column, (width,).

    Its value is high * 2^32 + low over ``divisor``, the number of ranks for an average, else 1;
    where a product ``overflowed``, it is ``value``, to the rounding of float64. ``overflowed``:
    the sum or product lies outside the type.
    """

    high: Int64Array
    low: Int64Array
    divisor: int
    overflowed: BoolArray
    value: Float64Array

    def distance(self, values: Array) -> Float64Array:
        """Return how far ``values``, (any, width), are from the exact ones, rounded once."""
        whole = values.astype(np.int64)
        high = ((whole >> HALF) * self.divisor - self.high).astype(np.float64)
        low = ((whole & LOW) * self.divisor - self.low).astype(np.float64)
        off: Float64Array = np.abs(np.ldexp(high, HALF) + low) / self.divisor
        return off


class Products(ExactColumns):
    """Columns of products, whose halves say nothing where they overflowed."""

    __slots__ = ()

    def distance(self, values: Array) -> Float64Array:
        """Return how far ``values``, (any, width), are from the exact ones."""
        return np.where(self.overflowed, np.abs(values - self.value), super().distance(values))


def exact_columns(x: Array, reduction: str) -> ExactColumns:
    """Return the exact reduction of the rows of ``x``, (n, width), of whole numbers."""
    if sure_to_fit(x, reduction):
        high, low = _halves(reduced_as_it_is(x, reduction).astype(np.int64))
        overflowed = np.zeros(x.shape[1], bool)
    elif reduction == "prod":
        return _products(x)
    else:
        high, low = _sums(x)
        overflowed = _outside(high, low, np.iinfo(x.dtype))
    divisor = len(x) if reduction == "avg" else 1
    return ExactColumns(high, low, divisor, overflowed, _value(high, low) / divisor)


def reduced_as_it_is(x: Array, reduction: str) -> Array:
    """Return the reduction of the rows of ``x`` in their own type, before any division."""
    combine: Any = REDUCTIONS[reduction]
    result: Array = combine.reduce(x, axis=0, dtype=x.dtype)
    return result


def sure_to_fit(x: Array, reduction: str) -> bool:
    """Say whether the extremes of each row show that nothing overflows, in any order.

    That takes a tenth of the time of an exact sum, and is so of most data that do fit.
    """
    if reduction not in WRAPPING:
        return True
    held, extremes = np.iinfo(x.dtype), (x.min(axis=1).tolist(), x.max(axis=1).tolist())
    if reduction == "prod":
        reached = 1
        for least, most in zip(*extremes, strict=True):
            reached = min(reached * max(1, most, -least), 1 << 64)
        return reached <= held.max
    least, most = (
        sum(pick(0, each) for each in end) for end, pick in zip(extremes, (min, max), strict=True)
    )
    return bool(held.min <= least and most <= held.max)


def _halves(whole: Int64Array) -> tuple[Int64Array, Int64Array]:
    return whole >> HALF, whole & LOW


def _value(high: Int64Array, low: Int64Array) -> Float64Array:
    value: Float64Array = np.ldexp(high.astype(np.float64), HALF) + low
    return value


def _sums(x: Array) -> tuple[Int64Array, Int64Array]:
    """Return the halves of exact sums; of fewer than 2^31 ranks, no partial sum overflows."""
    if x.dtype.itemsize < np.dtype(np.int64).itemsize:
        return _halves(np.add.reduce(x, axis=0, dtype=np.int64))
    high, low = np.add.reduce(x >> HALF, axis=0), np.add.reduce(x & LOW, axis=0)
    return high + (low >> HALF), low & LOW


def _outside(high: Int64Array, low: Int64Array, held: np.iinfo[Any]) -> BoolArray:
    """Say which values the type with the range ``held`` cannot hold."""

    def below(bound: int) -> BoolArray:
        first, second = bound >> HALF, bound & LOW
        less: BoolArray = (high < first) | ((high == first) & (low < second))
        return less

    outside: BoolArray = below(int(held.min)) | ~below(int(held.max) + 1)
    return outside


def _products(x: Array) -> Products:
    """Return exact products.

    All factors but zero are at least 1 in magnitude, so a product that was once past the type
    stays so unless a zero comes.
    """
    held = np.iinfo(x.dtype)
    most = max(int(held.max), -int(held.min))
    negative = np.zeros(x.shape[1], bool)
    size = np.ones(x.shape[1], np.uint64)
    for row in x:
        negative ^= row < 0
        size = _capped_product(size, _magnitude(row), most + 1)
    overflowed = size > np.where(negative, np.uint64(-int(held.min)), np.uint64(held.max))
    signed = np.where(negative, ~size + np.uint64(1), size).view(np.int64)
    with np.errstate(over="ignore"):
        approximate = np.multiply.reduce(x.astype(np.float64), axis=0)
    high, low = _halves(signed)
    value = np.where(overflowed, approximate, _value(high, low))
    return Products(high, low, 1, overflowed, value)


def _magnitude(row: Array) -> UInt64Array:
    whole = row.astype(np.int64)
    size: UInt64Array = np.where(whole < 0, -whole, whole).view(np.uint64)  # -2^63 is 2^63 so
    return size


def _capped_product(a: UInt64Array, b: UInt64Array, cap: int) -> UInt64Array:
    """Return a * b, or ``cap`` where that is more; both are at most 2^63 + 1.

    Where the product would not fit into 64 bits, its float64 is far above 2^63.5; else it is exact.
    """
    beyond = a.astype(np.float64) * b.astype(np.float64) > 2.0**63.5
    product: UInt64Array = np.where(beyond, np.uint64(cap), np.minimum(a * b, np.uint64(cap)))
    return product


def safe_range(dtype: np.dtype[Any], reduction: str, ranks: int) -> tuple[int, int]:
    """Return the least and greatest value whose reduction over ``ranks`` is sure to fit ``dtype``.

    As far as both signs go alike.
    """
    held = np.iinfo(dtype)
    most = int(held.max)
    if reduction == "prod":
        root = round(most ** (1 / ranks))
        most = root if root**ranks <= most else root - 1
    elif reduction in WRAPPING:
        most //= ranks
    return (0 if held.min == 0 else -most), most


def advice_on(dtype: np.dtype[Any], reduction: str, ranks: int) -> str:
    """Return in words that ``dtype`` cannot hold the reduction, and the ways out."""
    held = np.iinfo(dtype)
    divided = ", which an average is divided from" if reduction == "avg" else ""
    return (
        f"{dtype} cannot hold the {WRAPPING[reduction]} of {ranks} ranks{divided}: it holds "
        f"{held.min} to {held.max}, and what lies outside wrapped; reduce in "
        f"{_wider(held, reduction, ranks)}, or all_gather codes and scales and reduce what they "
        "stand for"
    )


def _wider(held: np.iinfo[Any], reduction: str, ranks: int) -> str:
    """Return the least type that holds the reduction of any ``ranks`` values of a type."""
    most = max(int(held.max), -int(held.min))
    bits = most.bit_length() - 1  # at least; 2^63 and more fits no whole numbers here
    past = reduction == "prod" and ranks * bits >= HALF * 2
    reached = 1 << 64 if past else most**ranks if reduction == "prod" else most * ranks
    for name in ("int32", "int64"):
        if reached <= np.iinfo(name).max:
            return name
    return "float64 (which rounds)"
