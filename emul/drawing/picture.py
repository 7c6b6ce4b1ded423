"""The form of all small pictures: they shrink with their place, and take its colors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emul.drawing.markup import Element, element, number

__all__ = ["PORT", "TEXT", "TRUNK", "picture"]

PORT, TRUNK = "#2f8fc4", "#d9691e"
"""Colors of ports and sites, and of trunks: both stand out on white and on black paper."""

TEXT: Any = {"fill": "currentColor", "font_size": 11.0}


def picture(drawn: Iterable[Element], box: tuple[float, float, float, float], said: str) -> Element:
    """Return a drawing; ``box``: left, top, width and height, ``said``: the picture in words."""
    return element(
        "svg",
        *drawn,
        viewBox=" ".join(map(number, box)),
        role="img",
        aria_label=said,
        style=f"width:100%;max-width:{number(box[2])}px;height:auto;font-family:system-ui,sans-serif",
    )
