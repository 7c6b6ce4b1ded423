"""When things are in use: a row of bars for each, with time from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emul.drawing.markup import Element, element, number
from emul.drawing.picture import PORT, TEXT, TRUNK, picture
from emul.reading.printable import clipped

__all__ = ["Bars", "gantt"]

WIDTH, LEFT, RIGHT = 720, 190, 20
ROW_PX, BAR_PX, AXIS_PX = 16, 11, 22
MOST_CHARACTERS = 30
LEAST_PX = 1.0
"""Of a bar; thinner ones could not be seen."""


class Bars(NamedTuple):
    """A row: from when until when, as parts of the time from 0 to 1."""

    name: str
    spans: Sequence[tuple[float, float]]
    is_trunk: bool


def gantt(rows: Sequence[Bars], ticks: Sequence[tuple[float, str]], said: str) -> Element:
    """Return the rows over an axis with ``ticks``: parts of the time, and the words at them.

    ``said``: the picture in words.
    """
    height = ROW_PX * len(rows) + AXIS_PX
    drawn = [part for at, row in enumerate(rows) for part in _row(at * ROW_PX, row)]
    axis = _axis(ROW_PX * len(rows), ticks)
    return picture([*axis, *drawn], (0, 0, WIDTH, height), said)


def _row(top: float, row: Bars) -> Iterator[Element]:
    """Yield the name of a row and its bars, which are one path."""
    shown = clipped(row.name, MOST_CHARACTERS)
    yield element("text", shown, x=LEFT - 8, y=top + 12, text_anchor="end", **TEXT)
    base = top + (ROW_PX - BAR_PX) / 2
    bars = []
    for begin, end in row.spans:
        x, width = _x(begin), max(_x(end) - _x(begin), LEAST_PX)
        bars.append(f"M{number(x)} {number(base)}h{number(width)}v{BAR_PX}h{number(-width)}z")
    yield element("path", d="".join(bars), fill=TRUNK if row.is_trunk else PORT)


def _axis(y: float, ticks: Sequence[tuple[float, str]]) -> Iterator[Element]:
    for part, words in ticks:
        x = _x(part)
        yield element("path", d=f"M{number(x)} 0V{number(y + 4)}", stroke="currentColor",
                      stroke_opacity="0.2", fill="none")  # fmt: skip
        anchor = "end" if part > 0.95 else "start" if part < 0.02 else "middle"
        yield element("text", words, x=x, y=y + 16, text_anchor=anchor, **TEXT)


def _x(part: float) -> float:
    return LEFT + part * (WIDTH - LEFT - RIGHT)
