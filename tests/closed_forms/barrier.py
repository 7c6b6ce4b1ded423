"""The largest of several lognormal delays."""

from __future__ import annotations

import math

import numpy as np

from emul.reading.checks import not_negative, whole_numbers

__all__ = [
    "expected_largest",
]

REACH = 12.0
"""Standard deviations beyond which a normal density is left out: less than 1e-31."""


def expected_largest(median: float, sigma: float, draws: int, *, points: int = 4001) -> float:
    """Return the mean of the largest of ``draws`` lognormal values, in the unit of ``median``.

    This is what a barrier over so many ranks waits for: the integral over z of
    median exp(sigma z) n phi(z) Phi(z)^(n-1), by the trapezoid rule at ``points`` places,
    which for a smooth integrand that ends flat is exact to rounding.

    >>> round(expected_largest(1.0, 0.4722, 24), 2)
    2.59
    """
    not_negative("the unit of the result", median=median)
    not_negative("natural logarithms", sigma=sigma)
    whole_numbers("draws", draws=draws)
    whole_numbers("points", 2, points=points)
    z = np.linspace(-REACH, REACH + sigma, points)
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])
    density = (
        np.exp(sigma * z - z * z / 2) * below ** (draws - 1) * (draws / math.sqrt(2 * math.pi))
    )
    return median * float(density.sum()) * float(z[1] - z[0])
