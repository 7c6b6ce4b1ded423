"""A map of sites and trunks, coloured by use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean

from emul.drawing.markup import Element, element, number
from emul.drawing.positions import Positions
from emul.reading.printable import clipped
from emul.report.html.cells import share

__all__ = ["MapTrunk", "site_map"]

WIDTH, HEIGHT = 480, 360
LEFT, RIGHT, TOP, BOTTOM = 110, 110, 88, 46
CLASSES = 5
"""Of use: 0 to 20 %, ... 80 to 100 %."""

WIDTHS_PX = (2.0, 3.0, 4.5, 6.0, 8.0)
NODE_PX = 9
MOST_CHARACTERS = 14
MOST_NAMES = 40
"""Sites that are named on the map; more names would hide each other."""

MOST_LABELS = 6
"""Trunks with their use beside them, if there are no more; else only the busiest."""

LABELS_OF_MANY = 3
MOST_TRUNKS = 400
"""That are drawn, the busiest of all."""

ALONG = 0.42
"""The part of the line at which its label stands: lines of a circle meet in their middles."""

BESIDE = 0.6
"""A name stands to the left or right of a site that lies this much more aside than up or down."""


@dataclass(frozen=True, slots=True)
class MapTrunk:
    """A trunk between two sites by number: ``use`` of its busier direction from 0 on, and words."""

    ends: tuple[int, int]
    use: float
    said: str


def site_map(
    sites: Sequence[tuple[str, str]], positions: Positions, trunks: Sequence[MapTrunk]
) -> Element:
    """Return the map; ``sites`` are names, each with a line below it."""
    points = positions.within(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    shown = sorted(trunks, key=lambda trunk: trunk.use)[-MOST_TRUNKS:]
    drawn = [_line(trunk, points) for trunk in shown]
    drawn += [_node(point, names) for point, names in zip(points, sites, strict=True)]
    drawn += [_label(trunk, points) for trunk in _labelled(shown)]
    if len(sites) <= MOST_NAMES:
        middle = (mean(x for x, _ in points), mean(y for _, y in points))
        for point, names in zip(points, sites, strict=True):
            drawn += _names(point, names, middle)
    legend = _legend() if trunks else []
    return element("svg", *legend, *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}")


def _labelled(by_use: Sequence[MapTrunk]) -> Sequence[MapTrunk]:
    """Return the trunks with their use beside them: all, or of many the busiest."""
    if len(by_use) <= MOST_LABELS:
        return by_use
    return [trunk for trunk in by_use[-LABELS_OF_MANY:] if use_class(trunk.use) > 1]


def use_class(use: float) -> int:
    """Return the class of a use, from 1 to 5.

    >>> use_class(0.0), use_class(0.2), use_class(0.999), use_class(1.0)
    (1, 2, 5, 5)
    """
    return min(CLASSES, 1 + int(use * CLASSES))


def _line(trunk: MapTrunk, points: Sequence[tuple[float, float]]) -> Element:
    (ax, ay), (bx, by) = (points[end] for end in trunk.ends)
    kind = use_class(trunk.use)
    return element(
        "path",
        element("title", trunk.said),
        d=f"M{number(ax)} {number(ay)}L{number(bx)} {number(by)}",
        class_=f"edge u{kind}" if trunk.use else "edge u1 dotted",
        stroke_width=WIDTHS_PX[kind - 1],
    )


def _label(trunk: MapTrunk, points: Sequence[tuple[float, float]]) -> Element:
    (ax, ay), (bx, by) = (points[end] for end in trunk.ends)
    part = 0.5 if len(points) <= 3 else ALONG
    x, y = ax + part * (bx - ax), ay + part * (by - ay) + 4
    return element("text", share(trunk.use), x=x, y=y, text_anchor="middle", class_="halo strong")


def _node(point: tuple[float, float], names: tuple[str, str]) -> Element:
    said = element("title", f"{names[0]}: {names[1]}")
    return element("circle", said, cx=point[0], cy=point[1], r=NODE_PX, class_="node")


def _names(
    point: tuple[float, float], names: tuple[str, str], middle: tuple[float, float]
) -> Iterator[Element]:
    """Yield the name of a site and the line below it, on its side away from the ``middle``."""
    (px, py), (name, below) = point, (clipped(each, MOST_CHARACTERS) for each in names)
    right, down = px - middle[0], py - middle[1]
    if abs(right) > BESIDE * abs(down):
        x, y, anchor = px + (15 if right > 0 else -15), py - 2, "start" if right > 0 else "end"
    else:
        x, y, anchor = px, py + (26 if down >= 0 else -30), "middle"
    yield element("text", name, x=x, y=y, text_anchor=anchor, class_="halo strong")
    yield element("text", below, x=x, y=y + 15, text_anchor=anchor, class_="halo small")


def _legend() -> Iterator[Element]:
    """Yield the key of the colours and widths, over the whole width of the map."""
    yield element("text", "use of the busier direction of a trunk:", x=6, y=14, class_="small")
    apart = (WIDTH - 6) / CLASSES
    for kind, width in enumerate(WIDTHS_PX, start=1):
        x = 8 + (kind - 1) * apart
        yield element("path", d=f"M{number(x)} 30h24", class_=f"edge u{kind}", stroke_width=width)
        upper = f"to {kind * 100 // CLASSES}%"
        yield element("text", upper, x=x + 33, y=34, class_="small")
