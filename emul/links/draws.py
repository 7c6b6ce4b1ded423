"""Random numbers that are keyed, never drawn in turn: the same key, the same number.

A key is mixed from a seed, names and numbers; the order of calls does not matter, and the draws of
one link do not change when another link is added. Only additions, products and shifts are used, so
the bits are the same on every machine, which library functions do not promise.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Float64Array, UInt64Array

__all__ = ["exponential", "key_of", "lognormal", "mixed", "uniform"]


GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, and two odd multipliers (Steele et al., OOPSLA 2014: SplitMix)."""
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

LN_2 = 0.6931471805599453


def key_of(seed: int, *words: str) -> int:
    """Return the key of ``words`` under ``seed``.

    >>> key_of(0, "jitter", "a -> b") == key_of(0, "jitter", "a -> b") != key_of(1, "jitter")
    True
    """
    text = "\0".join([str(seed), *words])
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def mixed(key: int | UInt64Array, number: npt.ArrayLike) -> UInt64Array:
    """Return keys made of a key and whole numbers, in the shape in which the two broadcast."""
    with np.errstate(over="ignore"):
        steps = np.asarray(number).astype(np.uint64) + np.uint64(1)
        x = np.asarray(key, np.uint64) + steps * GOLDEN
        x = (x ^ (x >> np.uint64(30))) * FIRST
        x = (x ^ (x >> np.uint64(27))) * SECOND
        result: UInt64Array = x ^ (x >> np.uint64(31))
    return result


def uniform(key: int | UInt64Array, number: npt.ArrayLike) -> Float64Array:
    """Return numbers above 0 and below 1, in steps of 2^-52."""
    result: Float64Array = (
        (mixed(key, number) >> np.uint64(12)).astype(np.float64) + 0.5
    ) * 2.0**-52
    return result


def exponential(key: int | UInt64Array, number: npt.ArrayLike) -> Float64Array:
    """Return exponential numbers with a mean of 1."""
    result: Float64Array = -_log(uniform(key, number))
    return result


def lognormal(
    key: UInt64Array, median: float | Float64Array, sigma: float | Float64Array
) -> Float64Array:
    """Return one lognormal number per key, in the unit of ``median``.

    Both numbers may be by key.

    >>> bool(0.9 < np.median(lognormal(mixed(7, np.arange(9999)), 1.0, 0.5)) < 1.1)
    True
    """
    return median * _exp(sigma * _normal(uniform(key, 0)))


def _normal(p: Float64Array) -> Float64Array:
    """Return the quantiles of the normal law (Wichura, algorithm AS 241, PPND7: 1e-7)."""
    q = p - 0.5
    middle = np.abs(q) <= 0.425
    r = 0.180625 - q * q
    inner = q * _ratio(r, (59.109374720, 159.29113202, 50.434271938, 3.3871327179),
                       (67.187563600, 78.757757664, 17.895169469, 1.0))  # fmt: skip
    tail = np.sqrt(-_log(np.where(middle, 0.5, np.minimum(p, 1 - p))))
    near = _ratio(tail - 1.6, (0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777),
                  (0.12021132975, 0.73700164250, 1.0))  # fmt: skip
    far = _ratio(tail - 5.0, (0.017337203997, 0.42868294337, 3.0812263860, 6.6579051150),
                 (0.012258202635, 0.24197894225, 1.0))  # fmt: skip
    outer = np.where(tail <= 5.0, near, far)
    result: Float64Array = np.where(middle, inner, np.where(q < 0, -outer, outer))
    return result


def _ratio(x: Float64Array, above: tuple[float, ...], below: tuple[float, ...]) -> Float64Array:
    return _polynomial(x, above) / _polynomial(x, below)


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Float64Array:
    """Return the value of a polynomial whose highest coefficient comes first."""
    value: Float64Array = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _exp(x: Float64Array) -> Float64Array:
    """Return e^x: a power of two, and a series of Taylor for the remainder."""
    power = np.rint(x / LN_2)
    rest = x - power * LN_2
    series = np.ones_like(rest)
    for n in range(16, 0, -1):
        series = 1.0 + series * rest / n
    result: Float64Array = np.ldexp(series, power.astype(np.int32))
    return result


def _log(x: Float64Array) -> Float64Array:
    """Return the natural logarithm: of a power of two, and twice the area tangent of the rest."""
    fraction, power = np.frexp(x)
    y = (fraction - 1.0) / (fraction + 1.0)
    series = np.zeros_like(y)
    for n in range(51, 0, -2):
        series = series * (y * y) + 1.0 / n
    result: Float64Array = 2.0 * y * series + power * LN_2
    return result
