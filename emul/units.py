"""Sizes and quantities as people write and read them.

K, M and G after a size are binary, as in nccl-tests; GB in a rate is 10^9 bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from emul.errors import ArgumentError, TimeLimitError, shown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "MOST_BYTES",
    "PS_PER_S",
    "counted",
    "format_bytes",
    "format_factor",
    "format_rate",
    "format_time",
    "parse_size",
    "picoseconds",
    "times_as_long",
]

PS_PER_S = 10**12

LATEST_PS = 1 << 62
"""Latest modelled moment: half of the range of int64, so that two may be added."""

MOST_BYTES = 1 << 62
"""Likewise of bytes."""

MOST_IN_FULL = 1e9
"""Quantities up to here are printed without an exponent."""

ALIKE = 0.005
"""Times that differ by less than this part are called alike."""

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
MOST_DIGITS = 40
"""Before and behind the point; more of them are no size, and take ever longer to read."""
_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names, for example ``8``, ``128M`` or ``1.5G``.

    Raises ArgumentError when the text is not a number followed by nothing, K, M, G or T.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ArgumentError(
            f"size {shown(text)}: needed a number of bytes, with K, M, G or T for powers of 1024 "
            "(for example 8, 64K or 128M)"
        )
    number, suffix = match.groups()
    whole, _, part = number.lstrip("0").partition(".")
    nbytes = int(whole[:MOST_DIGITS] + part[:MOST_DIGITS] or "0") * _BINARY[suffix.upper()]
    nbytes //= int(10 ** len(part[:MOST_DIGITS]))
    if nbytes > MOST_BYTES or len(whole) > MOST_DIGITS:
        raise ArgumentError(f"size {shown(text)}: needed at most {MOST_BYTES} bytes (4194304T)")
    return nbytes


def picoseconds(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return ``seconds`` in whole picoseconds; raises TimeLimitError where int64 has none."""
    rounded = (seconds * PS_PER_S).round()
    if rounded.size and not rounded.max() < LATEST_PS:
        raise TimeLimitError(
            f"the modelled time passes {LATEST_PS // PS_PER_S // 86400} days: needed a smaller "
            "size, so that picoseconds fit in 64 bits"
        )
    return rounded.astype("int64")


def format_bytes(nbytes: float) -> str:
    """Return ``nbytes`` with a binary unit and at most three digits after the point."""
    value, unit = float(nbytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.4g} {unit}"


def format_time(seconds: float) -> str:
    """Return ``seconds`` in the unit that leaves one to three digits before the point."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= scale:
            return f"{seconds / scale:.4g} {unit}"
    return f"{seconds / 1e-9:.4g} ns"


def format_factor(factor: float) -> str:
    """Return ``factor`` with three digits; of one from 1000 on, all before the point."""
    return f"{factor:.3g}" if factor < 999.5 else f"{factor:.0f}"


def times_as_long(factor: float) -> str:
    """Return in words how a time compares with one that it is ``factor`` times.

    >>> times_as_long(217.4), times_as_long(1.001)
    ('217 times as long', 'about as long')
    """
    return "about as long" if abs(factor - 1) < ALIKE else f"{format_factor(factor)} times as long"


def format_rate(bytes_per_s: float) -> str:
    """Return a rate in GB/s (10^9 bytes) and in the Gbit/s printed on the equipment."""
    return f"{_four_digits(bytes_per_s / 1e9)} GB/s ({_four_digits(bytes_per_s * 8 / 1e9)} Gbit/s)"


def counted(number: int, noun: str) -> str:
    """Return a number of things in words.

    >>> counted(1, "rank"), counted(300_000, "rank")
    ('1 rank', '300,000 ranks')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _four_digits(value: float) -> str:
    """Return ``value`` with four digits; of one with up to nine before the point, all of these."""
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+" in text and value < MOST_IN_FULL else text
