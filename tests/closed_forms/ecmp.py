"""What hashing does: n equal flows thrown at random on m equal paths (balls into bins)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.reading.checks import whole_numbers

__all__ = ["expected_most_flows", "no_collision_probability", "used_paths_fraction"]

CERTAIN = 1e-15
"""What is left of a probability of 1 when the sum over loads may end."""


def no_collision_probability(flows: int, paths: int) -> float:
    """Return the probability that no two flows meet: m! / ((m - n)! m^n), 0 for n > m.

    >>> round(no_collision_probability(8, 8), 6)
    0.002403
    """
    whole_numbers("flows", 0, flows=flows)
    whole_numbers("paths", paths=paths)
    return math.prod(max(0, paths - taken) / paths for taken in range(min(flows, paths + 1)))


def used_paths_fraction(flows: int, paths: int) -> float:
    """Return the mean part of the paths that carry a flow: 1 - (1 - 1/m)^n.

    >>> round(used_paths_fraction(8, 8), 2)
    0.66
    """
    whole_numbers("flows", 0, flows=flows)
    whole_numbers("paths", paths=paths)
    unused: float = (1 - 1 / paths) ** flows
    return 1 - unused


def expected_most_flows(flows: int, paths: int) -> float:
    """Return the mean number of flows on the path with most; the slowest gets one part of it.

    The sum over k >= 0 of P(most > k), exact: flows are Poisson per path, given their sum.

    >>> round(expected_most_flows(8, 8), 2)
    2.6
    """
    whole_numbers("flows", 0, flows=flows)
    whole_numbers("paths", paths=paths)
    least = -(-flows // paths)
    if flows <= 1 or paths == 1:
        return float(least)
    mean = float(least)
    for load in range(least, flows):
        exceeds = 1 - _none_above(load, flows, paths)
        mean += max(0.0, exceeds)
        if exceeds < CERTAIN:
            break
    return mean


def _none_above(load: int, flows: int, paths: int) -> float:
    """Return P(no path carries more than ``load`` flows): a power of a cut Poisson law."""
    law = _poisson(flows / paths, flows)
    law[load + 1 :] = 0.0
    together = _power(law, paths)[flows]
    return float(together / _poisson(float(flows), flows)[flows])


def _poisson(mean: float, most: int) -> npt.NDArray[np.float64]:
    """Return the probabilities of 0 to ``most`` events, (most + 1,)."""
    logs = [k * math.log(mean) - mean - math.lgamma(k + 1) for k in range(most + 1)]
    law: npt.NDArray[np.float64] = np.exp(np.array(logs))
    return law


def _power(law: npt.NDArray[np.float64], times: int) -> npt.NDArray[np.float64]:
    """Return the law of the sum of ``times`` draws, cut at the length of ``law``."""
    result: npt.NDArray[Any] = np.zeros_like(law)
    power: npt.NDArray[Any] = law
    result[0] = 1.0
    while times:
        if times & 1:
            result = np.convolve(result, power)[: law.size]
        power = np.convolve(power, power)[: law.size]
        times >>= 1
    return result
