"""Axes: from values to pixels, and the values that are written beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["LinearScale", "LogScale", "Scale", "binary_ticks", "decimal_ticks", "even_ticks"]

PART_BEYOND = 0.04
"""Of the length of an axis, beyond the first and the last value."""

STEPS = (1.0, 2.0, 5.0)
FINER_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
FEWEST = 3
"""Values beside an axis."""


@dataclass(frozen=True, slots=True)
class LogScale:
    """A logarithmic axis from ``low`` to ``high``, both above 0, over pixels."""

    low: float
    high: float
    from_px: float
    to_px: float

    @classmethod
    def over(cls, values: Iterable[float], from_px: float, to_px: float) -> LogScale:
        """Return the axis on which all ``values`` lie, of which at least one is above 0.

        Values that are not are left out; a single value lies in the middle.
        """
        logs = [math.log(value) for value in values if value > 0]
        least, most = min(logs), max(logs)
        beyond = (most - least) * PART_BEYOND or math.log(2)
        return cls(math.exp(least - beyond), math.exp(most + beyond), from_px, to_px)

    def px(self, value: float) -> float:
        """Return the pixel of a value above 0."""
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.from_px + part * (self.to_px - self.from_px)


@dataclass(frozen=True, slots=True)
class LinearScale:
    """An axis of equal steps from ``low`` to ``high`` over pixels."""

    low: float
    high: float
    from_px: float
    to_px: float

    @classmethod
    def over(cls, values: Iterable[float], from_px: float, to_px: float) -> LinearScale:
        """Return the axis on which all ``values`` lie, of which there is one at least.

        Equal values lie in the middle.
        """
        given = list(values)
        least, most = min(given), max(given)
        beyond = (most - least) * PART_BEYOND or abs(most) or 1.0
        return cls(least - beyond, most + beyond, from_px, to_px)

    def px(self, value: float) -> float:
        """Return the pixel of a value."""
        part = (value - self.low) / (self.high - self.low)
        return self.from_px + part * (self.to_px - self.from_px)


Scale = LogScale | LinearScale


def binary_ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Return powers of two from ``low`` to ``high``, evenly spaced, ``most`` of them at most.

    >>> binary_ticks(8, 1 << 25)
    [8.0, 128.0, 2048.0, 32768.0, 524288.0, 8388608.0]
    """
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    apart = max(1, math.ceil((last - first + 1) / most))
    found = [2.0**power for power in range(first, last + 1, apart)]
    return found or even_ticks(low, high)


def decimal_ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Return powers of ten from ``low`` to ``high``; less than two decades are parted further.

    >>> decimal_ticks(0.02, 900.0), decimal_ticks(1.5, 9.0)
    ([0.1, 1.0, 10.0, 100.0], [1.5, 2.0, 3.0, 5.0, 7.0])
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first >= 1:
        apart = max(1, math.ceil((last - first + 1) / most))
        return [float(f"1e{power}") for power in range(first, last + 1, apart)]
    for steps in (STEPS, FINER_STEPS):
        every = [
            float(f"{each:g}e{power}") for power in range(first - 1, last + 1) for each in steps
        ]
        found = [each for each in every if low <= each <= high]
        if len(found) >= FEWEST:
            return found
    return even_ticks(low, high)


def even_ticks(low: float, high: float, *, most: int = 5) -> list[float]:
    """Return round values that lie evenly between ``low`` and ``high``.

    >>> even_ticks(0.0, 290.0)
    [0.0, 100.0, 200.0]
    """
    span = high - low
    if not span > 0:
        return [low]
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    apart = next((step * power for step in STEPS if step * power >= rough), 10 * power)
    first = math.ceil(low / apart - 1e-9)
    number = math.floor(high / apart + 1e-9) - first + 1
    return [float(f"{(first + each) * apart:.12g}") for each in range(number)]
