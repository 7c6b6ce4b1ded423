"""Curves and points on two axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from emul.drawing.markup import Element, element, number
from emul.drawing.scales import LinearScale, LogScale, Scale
from emul.report.html.legend import Key, key_rows

__all__ = ["ChartAxis", "Series", "chart"]

WIDTH, HEIGHT = 480, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 14, 6, 48

MOST_MARKS = 120
"""Points of a curve that are marked one by one, each with its value where a mouse rests."""


@dataclass(frozen=True, slots=True)
class ChartAxis:
    """The words of an axis, the form of its values, and those that are written beside it.

    ``ticks`` returns them from the two ends. ``is_log``: logarithmic, for values above 0.
    """

    name: str
    form: Callable[[float], str]
    ticks: Callable[[float, float], list[float]]
    is_log: bool = True

    def scale(self, values: Sequence[float], from_px: float, to_px: float) -> Scale:
        """Return the scale on which all ``values`` lie, of which one at least has a place there."""
        if self.is_log:
            return LogScale.over(values, from_px, to_px)
        return LinearScale.over(values, from_px, to_px)

    def marks(self, scale: Scale) -> list[tuple[float, str]]:
        """Return the pixels and the words beside the axis."""
        values = self.ticks(scale.low, scale.high)
        return [(scale.px(v), self.form(v)) for v in values if scale.low <= v <= scale.high]


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one kind, (x, y), in the order of x where they are a curve.

    ``kind``: ``curve``, ``dashed`` or ``dotted`` (curves), ``dots`` or ``crosses`` (points apart).
    ``color``: a number from 1 to 9.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    kind: str
    color: int


def chart(
    x: ChartAxis, y: ChartAxis, series: Sequence[Series], *, diagonal: float | None = None
) -> Element:
    """Return the chart of ``series``, of which one at least has points.

    ``diagonal``: draw the line of equal values in a band that ends this part beside it; both axes,
    which are logarithmic, then have the same ends.
    """
    keys = [Key(each.name, each.kind, each.color) for each in series if each.name]
    legend, top = key_rows(keys, LEFT, TOP, WIDTH - RIGHT)
    xs = [point[0] for each in series for point in each.points]
    ys = [point[1] for each in series for point in each.points]
    if diagonal is not None:
        xs = ys = xs + ys
    across = x.scale(xs, LEFT, WIDTH - RIGHT)
    up = y.scale(ys, HEIGHT - BOTTOM, top)
    drawn = [] if diagonal is None else [*_band(across, up, diagonal)]
    drawn += _axes(x, y, across, up)
    for each in series:
        drawn += _series(each, x, y, across, up)
    return element("svg", *legend, *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}")


def _axes(x: ChartAxis, y: ChartAxis, across: Scale, up: Scale) -> Iterator[Element]:
    bottom, top, left, right = up.from_px, up.to_px, across.from_px, across.to_px
    for px, said in x.marks(across):
        yield element("path", d=f"M{number(px)} {number(bottom)}V{number(top)}", class_="grid")
        yield element("text", said, x=px, y=bottom + 17, text_anchor="middle", class_="small")
    for px, said in y.marks(up):
        yield element("path", d=f"M{number(left)} {number(px)}H{number(right)}", class_="grid")
        yield element("text", said, x=left - 7, y=px + 4, text_anchor="end", class_="small")
    frame = f"M{number(left)} {number(top)}V{number(bottom)}H{number(right)}"
    yield element("path", d=frame, class_="axis")
    yield element("text", x.name, x=(left + right) / 2, y=HEIGHT - 8, text_anchor="middle")
    turn = f"translate(15 {number((top + bottom) / 2)}) rotate(-90)"
    yield element("text", y.name, transform=turn, text_anchor="middle")


def _band(across: Scale, up: Scale, diagonal: float) -> Iterator[Element]:
    """Yield the line on which both values are equal, in a band of nearly equal ones."""
    low, high, factor = across.low, across.high, 1 + diagonal
    corners = [(low, low), (low, low * factor), (high / factor, high)]
    corners += [(b, a) for a, b in reversed(corners)]
    at = " L".join(f"{number(across.px(a))} {number(up.px(b))}" for a, b in corners)
    yield element("path", d=f"M{at}Z", class_="band")
    line = f"M{number(across.px(low))} {number(up.px(low))}"
    yield element(
        "path", d=f"{line}L{number(across.px(high))} {number(up.px(high))}", class_="axis"
    )


def _series(
    series: Series, x: ChartAxis, y: ChartAxis, across: Scale, up: Scale
) -> Iterator[Element]:
    at = [(number(across.px(a)), number(up.px(b))) for a, b in series.points]
    if not at:
        return
    color = f"k{series.color}"
    if series.kind == "dots":
        d = "".join(f"M{a} {b}h0" for a, b in dict.fromkeys(at))
        yield element("path", d=d, class_=f"dots {color}")
        return
    if series.kind == "crosses":
        d = "".join(f"M{a} {b}m-3-3l6 6m0-6l-6 6" for a, b in dict.fromkeys(at))
        yield element("path", d=d, class_=f"crosses {color}")
        return
    line = "M" + "L".join(f"{a} {b}" for a, b in at)
    style = "" if series.kind == "curve" else f" {series.kind}"
    yield element("path", d=line, class_=f"curve {color}{style}")
    if series.kind != "curve" or len(at) > MOST_MARKS:
        return
    for (a, b), (px, py) in zip(series.points, at, strict=True):
        said = element("title", f"{series.name}: {x.form(a)}, {y.form(b)}")
        yield element("circle", said, cx=px, cy=py, r="3.5", class_=f"f{series.color}")
