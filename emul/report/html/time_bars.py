"""Times side by side: a bar for each, its name above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from emul.drawing.markup import Element, element
from emul.reading.printable import clipped
from emul.units import format_time

__all__ = ["TimeBar", "time_bars"]

WIDTH = 480
LEFT, RIGHT, TOP = 6, 6, 4
BAR_PX, NAME_PX, BETWEEN_PX = 14, 18, 8

MOST_CHARACTERS = 62


@dataclass(frozen=True, slots=True)
class TimeBar:
    """One time, in seconds, and the number of its color."""

    name: str
    seconds: float
    color: int


def time_bars(bars: Sequence[TimeBar]) -> Element:
    """Return the bars of times, of which one at least is above 0."""
    longest = max(bar.seconds for bar in bars)
    drawn: list[Element] = []
    for number, bar in enumerate(bars):
        drawn += _bar(bar, TOP + number * (NAME_PX + BAR_PX + BETWEEN_PX), longest)
    height = TOP + len(bars) * (NAME_PX + BAR_PX + BETWEEN_PX)
    return element("svg", *drawn, viewBox=f"0 0 {WIDTH} {height}")


def _bar(bar: TimeBar, y: float, longest: float) -> Iterator[Element]:
    whole = WIDTH - LEFT - RIGHT
    time = format_time(bar.seconds)
    name = clipped(bar.name, MOST_CHARACTERS - len(time))
    yield element("text", name, x=LEFT, y=y + 12, class_="small")
    yield element("text", time, x=WIDTH - RIGHT, y=y + 12, text_anchor="end", class_="small")
    top = y + NAME_PX
    box = {"x": float(LEFT), "y": top, "height": float(BAR_PX)}
    yield element("rect", width=float(whole), **box, class_="band")
    yield element("rect", width=whole * bar.seconds / longest, **box, class_=f"f{bar.color}")
