"""The key of a drawing: a mark and a name for each kind of line, point or area."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emul.drawing.markup import Element, element, number

__all__ = ["Key", "key_rows"]

ROW_PX = 20
MARK_PX = 26
BETWEEN_PX = 18
CHARACTER_PX = 6.9
"""The width of a character in the mean, at most, of drawings' 12.5 pixels."""


@dataclass(frozen=True, slots=True)
class Key:
    """An entry. ``kind``: as of a Series, ``area``, or ``edge`` with the classes of a trunk."""

    name: str
    kind: str
    color: int


def text_px(text: str) -> float:
    """Return about how wide ``text`` is in a drawing."""
    return CHARACTER_PX * len(text)


def key_rows(
    keys: Sequence[Key], from_px: float, top_px: float, to_px: float
) -> tuple[list[Element], float]:
    """Return the entries, as many side by side as fit, and the pixel below them."""
    drawn: list[Element] = []
    x, y = from_px, top_px + ROW_PX / 2
    for key in keys:
        width = MARK_PX + text_px(key.name) + BETWEEN_PX
        if x > from_px and x + width - BETWEEN_PX > to_px:
            x, y = from_px, y + ROW_PX
        drawn.append(_mark(key, x, y))
        drawn.append(element("text", key.name, x=x + MARK_PX, y=y + 4))
        x += width
    return drawn, y + ROW_PX / 2 + 4 if keys else top_px


def _mark(key: Key, x: float, y: float) -> Element:
    if key.kind == "area":
        square = {"width": 14.0, "height": 14.0}
        return element("rect", x=x + 4, y=y - 7, **square, class_=f"f{key.color} part")
    color = f"k{key.color}"
    if key.kind == "dots":
        return element("path", d=f"M{number(x + 10)} {number(y)}h0", class_=f"dots {color}")
    if key.kind == "crosses":
        cross = f"M{number(x + 7)} {number(y - 3)}l6 6m0-6l-6 6"
        return element("path", d=cross, class_=f"crosses {color}")
    style = "" if key.kind == "curve" else f" {key.kind}"
    return element("path", d=f"M{number(x)} {number(y)}h20", class_=f"curve {color}{style}")
