"""The laws by which emul.links.draws draws, written out in NumPy: the same bits."""

import numpy as np

__all__ = ["exponential", "lognormal", "mixed", "uniform", "unmixed"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, and two odd multipliers (Steele et al., OOPSLA 2014: SplitMix)."""
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

LN_2 = 0.6931471805599453


def mixed(key, number):
    """Return keys made of a key and whole numbers, in the shape in which the two broadcast."""
    with np.errstate(over="ignore"):
        steps = np.asarray(number).astype(np.uint64) + np.uint64(1)
        x = np.asarray(key, np.uint64) + steps * GOLDEN
        x = (x ^ (x >> np.uint64(30))) * FIRST
        x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


def unmixed(keys):
    """Return the keys of which each is mixed, with the number 0: step by step back."""
    x = keys
    for factor, shift in ((SECOND, 31), (FIRST, 27), (np.uint64(1), 30)):
        for _ in range(3):  # a shift by s is undone in 64 / s rounds
            x = keys ^ (x >> np.uint64(shift))
        keys = x = x * np.uint64(pow(int(factor), -1, 2**64))
    return keys - GOLDEN


def uniform(key, number):
    """Return numbers above 0 and below 1, in steps of 2^-52."""
    return ((mixed(key, number) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def exponential(key, number):
    """Return exponential numbers with a mean of 1."""
    return -_log(uniform(key, number))


def lognormal(key, median, sigma):
    """Return one lognormal number per key, in the unit of ``median``."""
    return median * _exp(sigma * _normal(uniform(key, 0)))


def _normal(p):
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
    return np.where(middle, inner, np.where(q < 0, -outer, outer))


def _ratio(x, above, below):
    return _polynomial(x, above) / _polynomial(x, below)


def _polynomial(x, coefficients):
    """Return the value of a polynomial whose highest coefficient comes first."""
    value = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value


def _exp(x):
    """Return e^x: a power of two, and a series of Taylor for the remainder."""
    power = np.rint(x / LN_2)
    rest = x - power * LN_2
    series = np.ones_like(rest)
    for n in range(16, 0, -1):
        series = 1.0 + series * rest / n
    return np.ldexp(series, power.astype(np.int32))


def _log(x):
    """Return the natural logarithm: of a power of two, and twice the area tangent of the rest."""
    fraction, power = np.frexp(x)
    y = (fraction - 1.0) / (fraction + 1.0)
    series = np.zeros_like(y)
    for n in range(51, 0, -2):
        series = series * (y * y) + 1.0 / n
    return 2.0 * y * series + power * LN_2
