"""Sizes and quantities as people write and read them.

K, M and G after a size are binary, as in nccl-tests; GB in a rate is 10^9 bytes.
"""

from __future__ import annotations

import re

from emul.errors import ArgumentError

__all__ = ["PS_PER_S", "format_bytes", "format_rate", "format_time", "parse_size"]

PS_PER_S = 10**12

MOST_CHARACTERS = 100
"""Of a size: Python takes long over the digits of very long numbers, or refuses them."""

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)
_BINARY = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names, for example ``8``, ``128M`` or ``1.5G``.

    A part of a byte is left out; whole numbers are exact, however large they are. Raises
    ArgumentError when the text is not a number followed by nothing, K, M, G or T.
    """
    match = _SIZE.fullmatch(text) if len(text) <= MOST_CHARACTERS else None
    if match is None:
        raise ArgumentError(
            f"size {text!r}: needed a number of bytes, with K, M, G or T for powers of 1024 "
            "(for example 8, 64K or 128M)"
        )
    number, suffix = match.groups()
    whole, _, part = number.partition(".")
    tenths: int = 10 ** len(part)
    return int(whole + part) * _BINARY[suffix.upper()] // tenths


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


def format_rate(bytes_per_s: float) -> str:
    """Return a rate in GB/s (10^9 bytes) and in the Gbit/s printed on the equipment."""
    return f"{bytes_per_s / 1e9:.4g} GB/s ({bytes_per_s * 8 / 1e9:.4g} Gbit/s)"
