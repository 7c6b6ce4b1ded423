"""The parts of a whole as one bar, and as numbers that add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emul.drawing.markup import Element, element
from emul.report.html.legend import Key, key_rows

__all__ = ["Part", "adding_up", "share_bar"]

WIDTH = 480
LEFT, RIGHT, TOP = 6, 6, 4
BAR_PX = 46


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole, with its value, 0 or more, the same in words, and its color, 1 to 9.

    ``share`` is in words the part of the whole.
    """

    name: str
    value: int
    said: str
    share: str
    color: int


def share_bar(parts: Sequence[Part], ends: tuple[str, str]) -> Element:
    """Return a bar of ``parts``, side by side in their order, between the words of both ends.

    The values of all parts together are above 0.
    """
    keys = [Key(f"{part.name} {part.share}", "area", part.color) for part in parts]
    legend, top = key_rows(keys, LEFT, TOP, WIDTH - RIGHT)
    scale = (WIDTH - LEFT - RIGHT) / sum(part.value for part in parts)
    drawn, at = [], 0
    for part in parts:
        said = element("title", f"{part.name}: {part.said}, {part.share}")
        drawn.append(
            element(
                "rect",
                said,
                x=LEFT + at * scale,
                y=top,
                width=part.value * scale,
                height=BAR_PX,
                class_=f"f{part.color} part",
            )
        )
        at += part.value
    below = top + BAR_PX + 18
    first = element("text", ends[0], x=LEFT, y=below, class_="small")
    last = element("text", ends[1], x=WIDTH - RIGHT, y=below, text_anchor="end", class_="small")
    box = f"0 0 {WIDTH} {round(below + 8)}"
    return element("svg", *legend, *drawn, first, last, viewBox=box)


def adding_up(values: Sequence[int], whole: int) -> list[int]:
    """Return shares of ``whole``, in proportion to ``values``, which add up to it exactly.

    Each is rounded down, and the units that are left go to the largest remainders (Hamilton's
    method of apportionment).

    >>> adding_up([1, 1, 1], 1000)
    [334, 333, 333]
    """
    total = sum(values)
    shares = [value * whole // total for value in values]
    by_remainder = sorted(
        range(len(values)), key=lambda each: (-(values[each] * whole % total), each)
    )
    for each in by_remainder[: whole - sum(shares)]:
        shares[each] += 1
    return shares
