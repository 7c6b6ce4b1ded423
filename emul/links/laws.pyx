"""The laws of random numbers, number by number: what is drawn by a key and a whole number.

Only additions, products, quotients, roots and shifts are used, in one order, so the bits are the
same on every machine, which library functions do not promise.
"""

cimport cython
from libc.math cimport fabs, frexp, ldexp, rint, sqrt
from libc.stdint cimport uint64_t

import numpy as np

__all__ = ["exponentials", "lognormals", "mixes", "uniforms"]

cdef double LN_2 = 0.6931471805599453

cdef double[26] ODD   # 1 over 51, 49 and so on, down to 1 over 1
for _at in range(26):
    ODD[_at] = 1.0 / (51 - 2 * _at)

# 2^64 over the golden ratio, and two odd multipliers (Steele et al., OOPSLA 2014: SplitMix).
cdef uint64_t GOLDEN = 0x9E3779B97F4A7C15
cdef uint64_t FIRST = 0xBF58476D1CE4E5B9
cdef uint64_t SECOND = 0x94D049BB133111EB

# The quantiles of the normal law (Wichura, algorithm AS 241, PPND7: 1e-7): of its middle, and of
# its near and its far tails; the highest coefficient of each polynomial comes first.
cdef double[4] MIDDLE = [59.109374720, 159.29113202, 50.434271938, 3.3871327179]
cdef double[4] UNDER_MIDDLE = [67.187563600, 78.757757664, 17.895169469, 1.0]
cdef double[4] NEAR = [0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777]
cdef double[3] UNDER_NEAR = [0.12021132975, 0.73700164250, 1.0]
cdef double[4] FAR = [0.017337203997, 0.42868294337, 3.0812263860, 6.6579051150]
cdef double[3] UNDER_FAR = [0.012258202635, 0.24197894225, 1.0]


def mixes(const uint64_t[:] keys, const uint64_t[:] numbers):
    """Return a key for each key and whole number."""
    cdef Py_ssize_t i, by_key = keys.shape[0] > 1, by_number = numbers.shape[0] > 1
    cdef uint64_t[::1] drawn = np.empty(_common(len(keys), len(numbers)), dtype=np.uint64)
    for i in range(drawn.shape[0]):
        drawn[i] = mix(keys[i * by_key], numbers[i * by_number])
    return np.asarray(drawn)


def uniforms(const uint64_t[:] keys, const uint64_t[:] numbers):
    """Return a number above 0 and below 1 for each key and number, in steps of 2^-52."""
    cdef Py_ssize_t i, by_key = keys.shape[0] > 1, by_number = numbers.shape[0] > 1
    cdef double[::1] drawn = np.empty(_common(len(keys), len(numbers)))
    for i in range(drawn.shape[0]):
        drawn[i] = uniform(mix(keys[i * by_key], numbers[i * by_number]))
    return np.asarray(drawn)


def exponentials(const uint64_t[:] keys, const uint64_t[:] numbers):
    """Return an exponential number with a mean of 1 for each key and number."""
    cdef Py_ssize_t i
    cdef double[::1] drawn = uniforms(keys, numbers)
    for i in range(drawn.shape[0]):
        drawn[i] = -log(drawn[i])
    return np.asarray(drawn)


def lognormals(const uint64_t[:] keys, const double[:] median, const double[:] sigma):
    """Return a lognormal number for each key, by its ``median`` and ``sigma`` (keys,)."""
    cdef Py_ssize_t i
    cdef double[::1] drawn = np.empty(len(keys))
    for i in range(drawn.shape[0]):
        drawn[i] = median[i] * exp(sigma[i] * normal(uniform(mix(keys[i], 0))))
    return np.asarray(drawn)


def _common(Py_ssize_t keys, Py_ssize_t numbers):
    """Return the common length of columns, one of which may be a number for all."""
    assert keys == numbers or keys == 1 or numbers == 1
    return numbers if keys == 1 else keys


@cython.overflowcheck(False)  # it is to wrap
cdef inline uint64_t mix(uint64_t key, uint64_t number) noexcept nogil:
    cdef uint64_t x = key + (number + 1) * GOLDEN
    x = (x ^ (x >> 30)) * FIRST
    x = (x ^ (x >> 27)) * SECOND
    return x ^ (x >> 31)


cdef inline double uniform(uint64_t key) noexcept nogil:
    return (<double>(key >> 12) + 0.5) * 2.0 ** -52


cdef inline double polynomial(double x, const double* coefficients, int number) noexcept nogil:
    cdef double value = coefficients[0]
    cdef int i
    for i in range(1, number):
        value = value * x + coefficients[i]
    return value


cdef double normal(double p) noexcept nogil:
    """Return the quantile of the normal law."""
    cdef double q = p - 0.5, r, tail
    if fabs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * (polynomial(r, MIDDLE, 4) / polynomial(r, UNDER_MIDDLE, 4))
    tail = sqrt(-log(p if p < 1 - p else 1 - p))
    if tail <= 5.0:
        r = polynomial(tail - 1.6, NEAR, 4) / polynomial(tail - 1.6, UNDER_NEAR, 3)
    else:
        r = polynomial(tail - 5.0, FAR, 4) / polynomial(tail - 5.0, UNDER_FAR, 3)
    return -r if q < 0 else r


cdef double exp(double x) noexcept nogil:
    """Return e^x: a power of two, and a series of Taylor for the remainder."""
    cdef double power = rint(x / LN_2), series = 1.0
    cdef double rest = x - power * LN_2
    cdef int n
    for n in range(16, 0, -1):
        series = 1.0 + series * rest / n
    return ldexp(series, <int>power)


cdef double log(double x) noexcept nogil:
    """Return the natural logarithm: of a power of two, and twice the area tangent of the rest."""
    cdef int power = 0, n
    cdef double fraction = frexp(x, &power), y, series = 0.0
    y = (fraction - 1.0) / (fraction + 1.0)
    for n in range(26):
        series = series * (y * y) + ODD[n]
    return 2.0 * y * series + power * LN_2
