"""A small map: sites as points, trunks as lines between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from emul.drawing.markup import Element, element, number
from emul.drawing.picture import PORT, TEXT, TRUNK, picture
from emul.drawing.positions import Positions
from emul.reading.printable import clipped

__all__ = ["Line", "small_map"]

WIDTH, HEIGHT, SIDE, EDGE = 560, 230, 150, 34
LEAST_PX, MOST_PX = 1.5, 6.0
MOST_NAMES = 20
"""Sites with their names; more would hide each other."""

MOST_WORDS = 3
"""Lines with words at them; more may cross, and their words with them."""

MOST_CHARACTERS, OF_MANY, MANY = 22, 11, 6
"""Of a name, and of a name where there are many sites."""

BESIDE_PX, HALF_WORDS_PX = 12, 65
LEANING = 0.35
"""Of the direction away from a line: beyond it, words begin or end there."""

MIDDLE: Any = {**TEXT, "text_anchor": "middle"}


class Line(NamedTuple):
    """A line between two sites by number: its width from 0 to 1, and words about it."""

    ends: tuple[int, int]
    width: float
    words: str


def small_map(
    names: Sequence[tuple[str, str]], positions: Positions, lines: Sequence[Line], said: str
) -> Element:
    """Return the map; ``names``: of each site, with words below; ``said``: the map in words."""
    points = positions.within(SIDE, EDGE, WIDTH - SIDE, HEIGHT - EDGE)
    top = min(y for _, y in points) - EDGE
    height = max(y for _, y in points) + EDGE - top
    longest = OF_MANY if len(names) > MANY else MOST_CHARACTERS
    drawn: list[Element] = []
    for line in lines:
        drawn += _line(line, points, said_there=len(lines) <= MOST_WORDS)
    for point, (name, below) in zip(points, names, strict=True):
        drawn += _site(point, (name, below), longest if len(names) <= MOST_NAMES else 0)
    return picture(drawn, (0, top, WIDTH, height), said)


def _line(
    line: Line, points: Sequence[tuple[float, float]], *, said_there: bool
) -> Iterator[Element]:
    (ax, ay), (bx, by) = (points[end] for end in line.ends)
    width = LEAST_PX + line.width * (MOST_PX - LEAST_PX)
    yield element(
        "path",
        element("title", line.words),
        d=f"M{number(ax)} {number(ay)}L{number(bx)} {number(by)}",
        stroke=TRUNK,
        stroke_width=width,
        stroke_linecap="round",
        fill="none",
    )
    if said_there:
        yield _words(line.words, (ax + bx) / 2, (ay + by) / 2, (bx - ax, by - ay))


def _words(words: str, x: float, y: float, along: tuple[float, float]) -> Element:
    """Return words beside the middle of a line, on the side that is away from the map's middle."""
    length = math.hypot(*along) or 1.0
    right, down = -along[1] / length, along[0] / length
    if right * (x - WIDTH / 2) + down * (y - HEIGHT / 2) < 0:
        right, down = -right, -down
    anchor = "middle" if abs(right) < LEANING else "start" if right > 0 else "end"
    # Words above a slanted line stand clear of its higher end.
    beside = BESIDE_PX + (HALF_WORDS_PX * abs(right) if anchor == "middle" else 0.0)
    place = {"x": x + beside * right, "y": y + beside * down + 4}
    return element("text", words, **place, text_anchor=anchor, **TEXT)


def _site(point: tuple[float, float], names: tuple[str, str], longest: int) -> Iterator[Element]:
    """Yield a site with its names, of at most ``longest`` characters; with 0, without them."""
    (x, y), (name, below) = point, names
    yield element("circle", element("title", f"{name}: {below}"), cx=x, cy=y, r=6.0, fill=PORT)
    if longest:
        up = y < HEIGHT / 2
        place = {"x": x, "y": y + (-22 if up else 20)}
        yield element("text", clipped(name, longest), **place, font_weight="600", **MIDDLE)
        yield element("text", below, x=x, y=y + (-10 if up else 32), **MIDDLE)
