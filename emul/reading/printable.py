"""Text for a terminal: characters that a terminal would obey are escaped, all others stay."""

from __future__ import annotations

__all__ = ["clipped", "printable", "shortened"]

MOST_CHARACTERS = 1200
"""Of a message: about a dozen lines of a terminal."""

TAIL_CHARACTERS = 300
"""Of these at the end of a message, where the way out stands."""


def printable(text: str) -> str:
    r"""Return one line of ``text`` in which nothing moves a cursor, rings or hides.

    Escaped as in a Python string are control characters, line ends, marks of direction, spaces of
    an unusual kind and bytes of a file name that are no UTF-8; letters of every script stay.

    >>> printable("a\x1b[31m\u202eb")
    'a\\x1b[31m\\u202eb'
    """
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def clipped(text: str, most: int) -> str:
    """Return ``text`` as it is printed, without its end if it is longer than ``most`` characters.

    >>> clipped("north", 8), clipped("north-campus", 8)
    ('north', 'north-c…')
    """
    shown = printable(text)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def shortened(message: str) -> str:
    """Return ``message``, without its middle if it is longer than a dozen lines."""
    left_out = len(message) - MOST_CHARACTERS
    if left_out <= 0:
        return message
    head = message[: MOST_CHARACTERS - TAIL_CHARACTERS]
    return f"{head} [... {left_out} more characters ...] {message[-TAIL_CHARACTERS:]}"
