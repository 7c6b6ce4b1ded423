"""When something is busy: a lane for each thing, with time from left to right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emul.arrays import Float64Array, Int64Array
from emul.drawing.markup import Element, element, number
from emul.drawing.scales import even_ticks
from emul.reading.printable import clipped
from emul.units import PS_PER_S, format_time

__all__ = ["BusyTimes", "busy_chart", "busy_parts"]

WIDTH = 480
LEFT, RIGHT, TOP, BOTTOM = 6, 6, 4, 40
LANE_PX, NAME_PX, BETWEEN_PX = 44, 20, 10
BINS = 468
"""Of a lane: one for each pixel. Busy times within one are put together, so files stay small."""

MOST_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class BusyTimes:
    """Busy times of one thing: (intervals, 2) picoseconds, in order, none over another."""

    name: str
    busy_ps: Int64Array
    color: int


def busy_parts(busy_ps: Int64Array, total_ps: int, bins: int) -> Float64Array:
    """Return the part of each of ``bins`` equal pieces of the time that is busy: (bins,)."""
    edges = np.linspace(0, total_ps, bins + 1)
    lengths = busy_ps[:, 1] - busy_ps[:, 0]
    # The busy time before a moment: that of the intervals before it, and of the one it lies in.
    before = np.append(0, np.cumsum(lengths)).astype(np.float64)
    index = np.searchsorted(busy_ps[:, 0], edges, side="right")
    last = np.maximum(index - 1, 0)
    until = before[index]
    if len(busy_ps):
        until = until - np.where(index > 0, np.maximum(busy_ps[last, 1] - edges, 0), 0)
    parts: Float64Array = np.clip(np.diff(until) * bins / total_ps, 0.0, 1.0)
    return parts


def busy_chart(lanes: Sequence[BusyTimes], total_ps: int) -> Element:
    """Return the lanes over a time above 0. The height of an area is the busy part of the time."""
    y = float(TOP)
    drawn: list[Element] = []
    for lane in lanes:
        drawn += _lane(lane, y, total_ps)
        y += NAME_PX + LANE_PX + BETWEEN_PX
    drawn += _time_axis(y - BETWEEN_PX + 4, total_ps / PS_PER_S)
    return element("svg", *drawn, viewBox=f"0 0 {WIDTH} {round(y - BETWEEN_PX + BOTTOM)}")


def _lane(lane: BusyTimes, y: float, total_ps: int) -> Iterator[Element]:
    top, bottom = y + NAME_PX, y + NAME_PX + LANE_PX
    yield element("text", clipped(lane.name, MOST_CHARACTERS), x=LEFT, y=y + 14)
    box = {"width": float(WIDTH - LEFT - RIGHT), "height": float(LANE_PX)}
    yield element("rect", x=LEFT, y=top, **box, class_="band")
    parts = busy_parts(lane.busy_ps, total_ps, BINS)
    yield element("path", d=_area(parts, top, bottom), class_=f"f{lane.color}")
    yield element("path", d=f"M{LEFT} {number(bottom)}H{WIDTH - RIGHT}", class_="axis")


def _area(parts: Float64Array, top: float, bottom: float) -> str:
    """Return the outline of steps; pieces of one height in a row are one step."""
    heights = [number(bottom - part * (bottom - top)) for part in parts]
    bin_px = (WIDTH - LEFT - RIGHT) / len(parts)
    steps, before = [f"M{LEFT} {number(bottom)}"], number(bottom)
    for at, height in enumerate(heights):
        if height != before:
            steps.append(f"H{number(LEFT + at * bin_px)}V{height}")
            before = height
    return f"{''.join(steps)}H{WIDTH - RIGHT}V{number(bottom)}Z"


def _time_axis(y: float, total_s: float) -> Iterator[Element]:
    for seconds in even_ticks(0.0, total_s):
        px = LEFT + seconds / total_s * (WIDTH - LEFT - RIGHT)
        anchor = "start" if px < LEFT + 30 else "end" if px > WIDTH - RIGHT - 30 else "middle"
        yield element("path", d=f"M{number(px)} {number(y - 4)}v5", class_="axis")
        said = format_time(seconds) if seconds else "0"
        yield element("text", said, x=px, y=y + 14, text_anchor=anchor, class_="small")
    middle = WIDTH / 2
    yield element("text", "time since the start", x=middle, y=y + 30, text_anchor="middle")
