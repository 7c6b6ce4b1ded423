"""The frontier of time against money: no point on it is both slower and dearer than another."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["frontier"]

Point = tuple[float, float]
"""Money per month and seconds."""


def frontier(points: Sequence[Point]) -> list[int]:
    """Return the numbers of the points on the frontier: the money rises, and the time falls.

    Of equal points, the first.

    >>> frontier([(0, 9.0), (5, 4.0), (7, 6.0), (8, 3.0), (5, 5.0)])
    [0, 1, 3]
    """
    found: list[int] = []
    for number in sorted(range(len(points)), key=lambda each: (*points[each], each)):
        if not found or points[number][1] < points[found[-1]][1]:
            found.append(number)
    return found
