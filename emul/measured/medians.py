"""The interval of a median, by order statistics: exact for every distribution.

Of n independent draws, the number below the true median is binomial with one half. So the k-th
smallest and the k-th largest draw enclose the true median with the probability 1 - 2 P(B < k).
H. A. David, H. N. Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

__all__ = ["CONFIDENCE", "FEWEST", "Interval", "deviation_of", "median_interval"]

CONFIDENCE = 0.95
"""Probability with which an interval is wanted to hold the true value."""
FEWEST = 6
"""Samples of which the extremes enclose the median with CONFIDENCE: 1 - 2 / 2^6 = 0.969."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Two ends, and the probability with which the true value lies between them.

    An end is NaN where nothing tells it, infinite where it is open.
    """

    low: float
    high: float
    confidence: float = CONFIDENCE

    def meets(self, other: Interval) -> bool:
        """Say whether two intervals have a value in common."""
        return self.low <= other.high and other.low <= self.high

    def hull(self, other: Interval) -> Interval:
        """Return the interval from the lower low end to the higher high end, NaN if one is."""
        if math.isnan(self.high) or math.isnan(other.high):
            return Interval(math.nan, math.nan)
        ends = min(self.low, other.low), max(self.high, other.high)
        return Interval(*ends, min(self.confidence, other.confidence))


def median_interval(samples: Sequence[float]) -> Interval:
    """Return the narrowest interval of two order statistics that has CONFIDENCE.

    Fewer than FEWEST samples have none; their extremes are returned, which have less.

    >>> median_interval([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    Interval(low=2, high=9, confidence=0.978515625)
    >>> median_interval([1, 2, 3])
    Interval(low=1, high=3, confidence=0.75)
    """
    ordered, n = sorted(samples), len(samples)
    left_out = 0
    outside = 2 * math.exp(-n * math.log(2))
    while True:
        more = outside + 2 * math.exp(_log_choices(n, left_out + 1) - n * math.log(2))
        if more > 1 - CONFIDENCE:
            break
        left_out, outside = left_out + 1, more
    return Interval(ordered[left_out], ordered[n - 1 - left_out], 1 - outside)


def _log_choices(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def deviation_of(samples: Sequence[float]) -> float:
    """Return the relative standard error of a median that its interval stands for."""
    interval = median_interval(samples)
    quantile = NormalDist().inv_cdf((1 + interval.confidence) / 2)
    return (interval.high - interval.low) / (2 * quantile * median(samples))
