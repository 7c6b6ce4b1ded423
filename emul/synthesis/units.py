"""Shares as whole numbers of units."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["in_units"]


def in_units(shares: Sequence[float], units: int) -> list[int]:
    """Return whole numbers in proportion to ``shares`` that add up to ``units``.

    By largest remainders; of remainders as large, the first.

    >>> in_units([2.0, 1.0, 1.0], 6)
    [3, 2, 1]
    """
    exact = [share / sum(shares) * units for share in shares]
    whole = [int(each) for each in exact]
    by_rest = sorted(range(len(whole)), key=lambda i: (round(whole[i] - exact[i], 9), i))
    for i in by_rest[: units - sum(whole)]:
        whole[i] += 1
    return whole
