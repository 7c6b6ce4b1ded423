"""The rate in use of a trunk over time, whose sum over time is the bytes that it carried.

A timeline has when each transfer took its connection and when its last byte had left, not the rate
at each moment in between. As long as connections share the line and have no limit but a constant
one, the rate is the lower of the line's and that limit times the connections in use. Where
this does not come to the bytes of a stretch in which the trunk was never idle (windows that grow,
uplinks, buckets, outages), the rate of the whole stretch is its mean. So no rate is made up.
"""

from __future__ import annotations

import numpy as np

from emul.arrays import Float64Array, Int64Array
from emul.units import PS_PER_S

__all__ = ["rates_in_use"]

ROUNDING_PS = 2
"""By which a crossing may be longer or shorter than its bytes take, at either end."""


def rates_in_use(
    from_ps: Int64Array,
    until_ps: Int64Array,
    nbytes: Int64Array,
    alike: Int64Array,
    *,
    line_bytes_per_s: float,
    limit_bytes_per_s: float,
) -> tuple[Int64Array, Float64Array]:
    """Return the moments at which the rate of a trunk changes, and the bytes per second from then.

    ``from_ps``, ``until_ps``: when each crossing began and ended, (crossings,); ``nbytes``: its
    bytes, of all the ``alike`` connections that it stands for. ``limit_bytes_per_s``: of one.
    """
    lasts = until_ps > from_ps
    begin, end, carried = from_ps[lasts], until_ps[lasts], nbytes[lasts].astype(np.float64)
    if not len(begin):
        return np.zeros(0, np.int64), np.zeros(0)
    moments, at = np.unique(np.concatenate([begin, end]), return_inverse=True)
    first, last = at[: len(begin)], at[len(begin) :]
    change = np.zeros(len(moments))
    np.add.at(change, first, alike[lasts])
    np.add.at(change, last, -alike[lasts])
    in_use = np.cumsum(change)
    used = in_use > 0
    rate = np.where(used, line_bytes_per_s, 0.0)
    rate[used] = np.minimum(line_bytes_per_s, in_use[used] * limit_bytes_per_s)
    stretch = np.cumsum(np.append(True, ~used[:-1])) - 1
    lengths_s = np.append(np.diff(moments), 0) / PS_PER_S
    stretches = int(stretch[-1]) + 1
    brought = np.bincount(stretch[first], carried, stretches)
    modelled = np.bincount(stretch, rate * lengths_s, stretches)
    length_s = np.bincount(stretch, lengths_s * used, stretches)
    crossings = np.bincount(stretch[first], minlength=stretches)
    bound = crossings * 2 * ROUNDING_PS / PS_PER_S * line_bytes_per_s + 1e-9 * brought
    fits = np.abs(modelled - brought) <= bound
    with np.errstate(invalid="ignore", divide="ignore"):
        exact = np.where(fits & (modelled > 0), brought / modelled, 0.0)
        mean = np.where(length_s > 0, brought / length_s, 0.0)
    shaped = rate * exact[stretch]
    flat = mean[stretch] * used
    found: Float64Array = np.where(exact[stretch] > 0, shaped, flat)
    return _changes(moments, found)


def _changes(moments: Int64Array, rate: Float64Array) -> tuple[Int64Array, Float64Array]:
    """Return the same without moments at which nothing changes."""
    changes = np.append(True, rate[1:] != rate[:-1])
    return moments[changes], rate[changes]
