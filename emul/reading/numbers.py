"""Texts and numbers that others wrote: read within bounds, and refused with their place."""

from __future__ import annotations

import codecs
import math
import re
from pathlib import Path

from emul.errors import MeasurementError
from emul.reading.bounded_text import read_bytes
from emul.reading.place import Place

__all__ = [
    "LEAST",
    "MOST",
    "MOST_BYTES",
    "MOST_FILE_BYTES",
    "NUMBER",
    "ROW",
    "count",
    "lines_of",
    "number",
    "positive",
    "rounding",
    "text_of",
    "whole_size",
]

MOST_FILE_BYTES = 64 << 20
MOST_BYTES = 1 << 60
"""Of one message: far beyond any memory, and exact as a float."""
LEAST, MOST = 1e-15, 1e15
"""Of times and rates, in whatever unit: what is beyond was never measured."""

NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
ROW = re.compile(r"\s*[-+]?\d[^\s:-]*(?:\s|$)", re.ASCII)
"""A line of a table of numbers; one that begins with a date or an hour is somebody else's."""
WITH_UNIT = re.compile(rf"({NUMBER.pattern})\s*([a-zA-Zµ%/]+)", re.ASCII)
NOT_FINITE = ("nan", "inf", "infinity")
LONGEST_NUMBER = 40
MOST_POWER = 250
UTF16_SAMPLE = 400
"""Bytes at the beginning of a file that tell UTF-16 without a mark."""


def text_of(path: Path) -> str:
    """Return the text of the file at ``path``, refusing what is too large before it is parsed.

    The text is UTF-8 or, as a redirect of PowerShell writes it, UTF-16. A byte that is neither
    becomes U+FFFD, which no number has.
    """
    content = read_bytes(path, "a file of measurements", MOST_FILE_BYTES, MeasurementError)
    return content.decode(_encoding(content), errors="replace")


def _encoding(content: bytes) -> str:
    """Return the encoding: by the mark at the beginning, or by where the zero bytes stand."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = content[:UTF16_SAMPLE]
    if start[1::2].count(0) > len(start) // 4:
        return "utf-16-le"
    if start[::2].count(0) > len(start) // 4:
        return "utf-16-be"
    return "utf-8-sig"


def lines_of(text: str) -> list[str]:
    r"""Return the lines of ``text`` as editors count them, which end at \n, \r\n or \r."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def number(value: str, place: Place, needed: str) -> float:
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


def positive(value: str, place: Place, unit: str) -> float:
    """Return the number above 0 that ``value`` is, in ``unit``."""
    needed = f"a number above 0, in {unit}"
    found = number(value, place, needed)
    if not LEAST <= found <= MOST:
        raise place.refusal(value, f"{needed}, from {LEAST:g} to {MOST:g}")
    return found


def whole_size(value: str, place: Place) -> int:
    """Return the whole number of bytes, 0 or more, that ``value`` is."""
    return count(value, place, "bytes", 0, MOST_BYTES)


def count(value: str, place: Place, what: str, least: int, most: int) -> int:
    """Return the whole number of ``what`` from ``least`` to ``most`` that ``value`` is."""
    needed = f"a whole number of {what} from {least} to {most}"
    found = number(value, place, needed)
    if found != int(found) or not least <= found <= most:
        raise place.refusal(value, needed)
    return int(found)
