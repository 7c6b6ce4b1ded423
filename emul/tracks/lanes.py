"""Slices that overlap go on lanes: tracks beside one another, on each of which none overlap."""

from __future__ import annotations

from heapq import heappop, heappush

import numpy as np

from emul.arrays import Int64Array

__all__ = ["lanes"]


def lanes(start_ps: Int64Array, end_ps: Int64Array) -> Int64Array:
    """Return the lane of each slice, (slices,), from 0 on: the lowest one that is free.

    The slices are in order of their starts. As many lanes are used as slices overlap at most.
    """
    found: Int64Array = np.zeros(len(start_ps), dtype=np.int64)
    if not (start_ps[1:] < np.maximum.accumulate(end_ps)[:-1]).any():
        return found
    busy: list[tuple[int, int]] = []
    free: list[int] = []
    used = 0
    for number, (start, end) in enumerate(zip(start_ps.tolist(), end_ps.tolist(), strict=True)):
        while busy and busy[0][0] <= start:
            heappush(free, heappop(busy)[1])
        if not free:
            heappush(free, used)
            used += 1
        lane = heappop(free)
        heappush(busy, (end, lane))
        found[number] = lane
    return found
