"""Numbers as pages write them, in tables, in pictures and in the words beside them."""

from __future__ import annotations

__all__ = ["TINY", "microseconds", "share"]

TINY = "<0.1%"
"""A part that is not nothing, but would be rounded to it."""


def share(part: float) -> str:
    """Return the part of a whole in per cent.

    >>> share(0.0), share(0.0001), share(0.4866), share(1.0)
    ('0%', '<0.1%', '48.7%', '100.0%')
    """
    if not part:
        return "0%"
    said = f"{part:.1%}"
    return TINY if said == "0.0%" else said


def microseconds(seconds: float | None) -> str:
    """Return a time in microseconds; ``-`` where there is none.

    >>> microseconds(1.23456), microseconds(None)
    ('1,234,560.00', '-')
    """
    return "-" if seconds is None else f"{seconds * 1e6:,.2f}"
