"""One line about a value, for people: what a Python prompt, a log or a debugger shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from emul.reading.printable import printable

__all__ = ["brief", "one_line"]

MOST_CHARACTERS = 160
MOST_OF_A_VALUE = 40
FEW = 3
"""Numbers and names that are shown one by one; of more, their number."""


def brief(thing: Any) -> str:
    """Return the name of a dataclass and its fields that differ from their defaults, in one line.

    Of arrays their shape, of collections their size, and of the rest no more than fits in a line.
    """
    shown = (f"{each.name}={_value(value)}" for each, value in _told(thing))
    text = ", ".join(shown)
    return one_line(f"{type(thing).__name__}({text})")


def one_line(text: str) -> str:
    """Return ``text`` in one line without control characters; of a long one the end is left out.

    >>> one_line("<World of\\n>"), len(one_line(f"<{'a' * 500}>"))
    ('<World of\\\\n>', 160)
    """
    shown = printable(text)
    if len(shown) <= MOST_CHARACTERS:
        return shown
    return f"{shown[: MOST_CHARACTERS - 4]}...{shown[-1]}"


def _told(thing: Any) -> list[tuple[Field[Any], Any]]:
    given = ((each, getattr(thing, each.name)) for each in fields(thing) if each.repr)
    return [(each, value) for each, value in given if not _is_default(each, value)]


def _is_default(each: Field[Any], value: object) -> bool:
    default = each.default
    if default is MISSING:
        made = each.default_factory
        default = made() if made is not MISSING else MISSING
    if type(default) is not type(value) or hasattr(value, "shape"):
        return False
    return bool(default == value)


def _value(value: object) -> str:
    """Return a few words about ``value``, which may be of any size."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype} {tuple(value.shape)}"
    if is_dataclass(value):
        return f"{type(value).__name__}(...)"
    if isinstance(value, Mapping):
        return f"{{{len(value)} items}}"
    if isinstance(value, str):
        return repr(value if len(value) <= MOST_OF_A_VALUE else f"{value[:MOST_OF_A_VALUE]}...")
    if isinstance(value, tuple | list):
        few = len(value) <= FEW and all(isinstance(each, int | float | str) for each in value)
        return f"({', '.join(map(_value, value))})" if few else f"({len(value)} items)"
    if isinstance(value, float):
        return f"{value:.6g}"
    text = repr(value) if not isinstance(value, int) else _number(value)
    return text if len(text) <= MOST_OF_A_VALUE else f"<{type(value).__name__}>"


def _number(value: int) -> str:
    """Return a whole number; Python refuses to print some that are very long."""
    return f"<{value.bit_length()} bits>" if abs(value) >= 10**MOST_OF_A_VALUE else repr(value)
