"""The numbers that a fit determines, and the bounds that it gives of the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from emul.measured.fitting import Fit
from emul.measured.linear_model import LATENCY, OVERHEAD, SECONDS_PER_BYTE
from emul.measured.medians import Interval
from emul.measured.merging import BLURRED
from emul.units import format_rate, format_time

__all__ = ["BYTES", "STEP", "interval_of", "is_determined", "upper_end", "words_of_undetermined"]

BYTES = (SECONDS_PER_BYTE,)
STEP = (LATENCY, OVERHEAD)
"""Parameters that are judged together."""
NOTHING = 1e-6
"""A part of every time that is as good as 0, where no noise is known."""


def is_determined(found: Fit, columns: Sequence[int]) -> bool:
    """Say whether the sum of some parameters was measured, be it ever so roughly.

    It was if its interval leaves 0 out, or if it makes up the larger part of a time that was
    measured: then that time alone tells it within a factor of two. Where no interval is known,
    everything is taken as measured that is part of a time.
    """
    if columns[0] not in found.model.active:
        return False
    low = interval_of(found, columns).low
    share = _largest_share(found, columns)
    if math.isnan(low):
        return share > NOTHING
    return low > 0 or share > BLURRED


def upper_end(found: Fit, columns: Sequence[int]) -> float:
    """Return the most that the sum of some parameters may be; infinite where nothing tells it."""
    if columns[0] not in found.model.active:
        return math.inf
    high = interval_of(found, columns).high
    return math.inf if math.isnan(high) else high


def words_of_undetermined(found: Fit) -> Iterator[str]:
    """Yield each parameter that is not determined, with the reason and with its bound."""
    for columns, name, pronoun, regime in (
        (BYTES, "the rate is", "it", "latency"),
        (STEP, "latency and overhead are", "them", "bandwidth"),
    ):
        if columns[0] not in found.model.active:
            yield f"{name} not determined: nothing was measured that depends on {pronoun}"
        elif not is_determined(found, columns):
            why = _why(found, columns, regime, pronoun)
            yield f"{name} not determined: {why}{_bound(found, columns)}"


def _why(found: Fit, columns: Sequence[int], regime: str, pronoun: str) -> str:
    """Return the reason: all times are of one regime at any noise, or the noise."""
    most = upper_end(found, columns)
    times_s = found.model.predict(found.theta)
    paid = found.model.slopes(found.theta)[:, list(columns)].max(axis=1)
    share = most * float((paid / times_s).max())
    if share < BLURRED:
        return (
            f"the sizes never leave the {regime} regime (at most {share:.2%} of a time is theirs)"
        )
    noise = float(np.median(found.deviations))
    return f"times that scatter by {noise:.2%} hide {pronoun}"


def _bound(found: Fit, columns: Sequence[int]) -> str:
    most = upper_end(found, columns)
    if not math.isfinite(most):
        return ""
    if columns == BYTES:
        return f"; it is at least {format_rate(1 / most)}"
    return f"; together they are at most {format_time(most)}"


def interval_of(found: Fit, columns: Sequence[int]) -> Interval:
    """Return the interval of the sum of some parameters."""
    weights = np.zeros(len(found.theta))
    weights[list(columns)] = 1.0
    return found.interval(weights)


def _largest_share(found: Fit, columns: Sequence[int]) -> float:
    """Return the largest part of a modelled time that some parameters make up."""
    paid = found.model.slopes(found.theta)[:, list(columns)] @ found.theta[list(columns)]
    return float((paid / found.model.predict(found.theta)).max())
