"""The values of files that people bring: numbers, names and ranges, or the error about their place.

A value of TOML or JSON has a type of its own; a cell of a table or a word of a log is text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from emul.errors import EmulError

__all__ = [
    "LEAST",
    "MEASURED",
    "MOST",
    "MOST_BYTES",
    "NUMBER",
    "ROW",
    "Range",
    "amount",
    "choice",
    "count",
    "flag",
    "name",
    "number",
    "positive",
    "real",
    "rounding",
    "whole",
    "whole_size",
    "within",
]

MOST_BYTES = 1 << 60
"""Of one message: far beyond any memory, and exact as a float."""
LEAST, MOST = 1e-15, 1e15
"""Of times and rates, in any unit: a number beyond was never measured."""

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
ROW = re.compile(r"\s*[-+]?\d[^\s:-]*(?:\s|$)", re.ASCII)
"""A line of a table of numbers; one that begins with a date or an hour is somebody else's."""
WITH_UNIT = re.compile(rf"({NUMBER.pattern})\s*([a-zA-Zµ%/]+)", re.ASCII)
NOT_FINITE = ("nan", "inf", "infinity")
LONGEST_NUMBER = 40
MOST_POWER = 250

LONGEST_NAME = 200
"""Characters of a name, where the name of a file is the default."""


class Refuses(Protocol):
    """A place that makes the error about the value there."""

    def refusal(self, came: object, needed: str) -> EmulError:
        """Return the error for a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a key may take, in ``unit``.

    ``low`` itself is among them only when ``closed``, ``high`` itself unless ``below``.
    """

    low: float
    high: float
    unit: str
    closed: bool = True
    below: bool = False

    def __contains__(self, value: float) -> bool:
        """Say whether ``value`` is finite and in range."""
        # A whole number may be too large for a float: compare before asking whether it is finite.
        if not self.low <= value <= self.high or (self.below and value == self.high):
            return False
        return value != self.low or self.closed

    def __str__(self) -> str:
        """Say the range in words, with its unit."""
        above = f"{self.low:g}" if self.closed else f"above {self.low:g}"
        high = f"below {self.high:g}" if self.below else f"{self.high:g}"
        return f"a number from {above} to {high} {self.unit}".rstrip()

    @property
    def whole(self) -> str:
        """The range in words, for whole numbers."""
        return f"a whole {str(self).removeprefix('a ')}"


MEASURED = Range(LEAST, MOST, "")
"""Times and rates that somebody can have measured, in any unit."""


def within(value: float, allowed: Range, place: Refuses, came: object, needed: str) -> float:
    """Return ``value`` if it lies in ``allowed``; the error shows ``came`` and ``needed``."""
    if value not in allowed:
        raise place.refusal(came, needed)
    return float(value)


def real(value: object, allowed: Range, place: Refuses, needed: str = "") -> float:
    """Return a number of a document that lies in ``allowed``; true and false are none."""
    needed = needed or str(allowed)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise place.refusal(value, needed)
    return within(value, allowed, place, value, needed)


def whole(value: object, allowed: Range, place: Refuses) -> int:
    """Return an integer of a document that lies in ``allowed``."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise place.refusal(value, allowed.whole)
    return value


def name(value: str, place: Refuses) -> str:
    """Return a name that is not too long to be printed."""
    if len(value) > LONGEST_NAME:
        raise place.refusal(value, f"a name of at most {LONGEST_NAME} characters")
    return value


def choice(value: object, known: Iterable[str], place: Refuses) -> str:
    """Return ``value`` if it is one of the names ``known``."""
    known = tuple(known)
    if value not in known:
        raise place.refusal(value, f"one of {', '.join(known)}")
    return str(value)


def flag(value: object, place: Refuses) -> bool:
    """Return ``value`` if it is true or false."""
    if not isinstance(value, bool):
        raise place.refusal(value, "true or false")
    return value


def number(value: str, place: Refuses, needed: str) -> float:
    """Return the finite number that ``value`` is; a unit, NaN and infinity are refused."""
    text = value.strip()
    if len(text) <= LONGEST_NUMBER and NUMBER.fullmatch(text):
        found = float(text)
        if math.isfinite(found):
            return found
    elif text.lower().lstrip("+-") in NOT_FINITE:
        raise place.refusal(value, f"{needed}, which is finite")
    elif unit := WITH_UNIT.fullmatch(text):
        raise place.refusal(value, f"{needed}, without the unit {unit[2]!r}")
    raise place.refusal(value, needed)


def rounding(value: str) -> float:
    """Return half a unit of the last digit of a number as it is printed."""
    digits, _, exponent = value.lower().partition("e")
    _, _, decimals = digits.partition(".")
    power = max(-MOST_POWER, min(MOST_POWER, int(exponent or 0)))
    return float(0.5 * 10.0 ** (power - len(decimals)))


def amount(value: str, allowed: Range, place: Refuses, needed: str) -> float:
    """Return the number in ``allowed`` that the text ``value`` is."""
    return within(number(value, place, needed), allowed, place, value, needed)


def positive(value: str, place: Refuses, unit: str) -> float:
    """Return the number above 0 that the text ``value`` is, in ``unit``."""
    needed = f"a number above 0, in {unit}"
    found = number(value, place, needed)
    return within(found, MEASURED, place, value, f"{needed}, from {LEAST:g} to {MOST:g}")


def whole_size(value: str, place: Refuses) -> int:
    """Return the whole number of bytes, 0 or more, that ``value`` is."""
    return count(value, place, "bytes", 0, MOST_BYTES)


def count(value: str, place: Refuses, what: str, least: int, most: int) -> int:
    """Return the whole number of ``what`` from ``least`` to ``most`` that ``value`` is."""
    needed = f"a whole number of {what} from {least} to {most}"
    found = amount(value, Range(least, most, what), place, needed)
    if found != int(found):
        raise place.refusal(value, needed)
    return int(found)
