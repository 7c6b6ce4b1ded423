"""Extra delay that differs from message to message: lognormal, by median and p99 / p50.

That spread matters more than the mean is measured (Underwood et al., ICPE 2018); that it is
lognormal is an assumption, and no measured distribution of a lit metro wave was found.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from emul.errors import ArgumentError
from emul.reading.checks import not_negative

__all__ = ["lognormal_sigma"]

Z99 = NormalDist().inv_cdf(0.99)
"""Standard deviations below which 99 of 100 normal draws lie: 2.326."""


def lognormal_sigma(p99_over_p50: float) -> float:
    """Return sigma = ln(p99 / p50) / 2.326 of a lognormal law.

    >>> round(lognormal_sigma(3.0), 4)
    0.4722
    """
    not_negative("medians", p99_over_p50=p99_over_p50)
    if p99_over_p50 < 1:
        raise ArgumentError(f"p99_over_p50 = {p99_over_p50!r}: needed 1 or more, in medians")
    return math.log(p99_over_p50) / Z99
