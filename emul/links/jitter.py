"""Extra delay that differs from message to message: lognormal, by median and p99 / p50.

That spread matters more than the mean is measured (Underwood et al., ICPE 2018); that it is
lognormal is an assumption, and no measured distribution of a lit metro wave was found.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from emul.errors import ArgumentError
from emul.links.checks import not_negative, whole

__all__ = ["expected_largest", "lognormal_sigma"]

Z99 = NormalDist().inv_cdf(0.99)
"""Standard deviations below which 99 of 100 normal draws lie: 2.326."""

REACH = 12.0
"""Standard deviations beyond which a normal density is left out: less than 1e-31."""


def lognormal_sigma(p99_over_p50: float) -> float:
    """Return sigma = ln(p99 / p50) / 2.326 of a lognormal law.

    >>> round(lognormal_sigma(3.0), 4)
    0.4722
    """
    not_negative("medians", p99_over_p50=p99_over_p50)
    if p99_over_p50 < 1:
        raise ArgumentError(f"p99_over_p50 = {p99_over_p50!r}: needed 1 or more, in medians")
    return math.log(p99_over_p50) / Z99


def expected_largest(median: float, sigma: float, draws: int, *, points: int = 4001) -> float:
    """Return the mean of the largest of ``draws`` lognormal values, in the unit of ``median``.

    This is what a barrier over so many ranks waits for: the integral over z of
    median exp(sigma z) n phi(z) Phi(z)^(n-1), by the trapezoid rule at ``points`` places,
    which for a smooth integrand that ends flat is exact to rounding.

    >>> round(expected_largest(1.0, lognormal_sigma(3.0), 24), 2)
    2.59
    """
    not_negative("the unit of the result", median=median)
    not_negative("natural logarithms", sigma=sigma)
    whole("draws", draws=draws)
    whole("points", 2, points=points)
    z = np.linspace(-REACH, REACH + sigma, points)
    below = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in z])
    density = (
        np.exp(sigma * z - z * z / 2) * below ** (draws - 1) * (draws / math.sqrt(2 * math.pi))
    )
    return median * float(density.sum()) * float(z[1] - z[0])
