"""A value as a notebook shows it: a title, a small table of facts, and pictures.

Styles stand in the elements, and colours are those of the notebook, so that the sheet is readable
on light and on dark paper and changes nothing around it.
"""

from __future__ import annotations

from collections.abc import Sequence

from emul.drawing.markup import Element, element, markup
from emul.reading.printable import clipped

__all__ = ["Fact", "sheet"]

Fact = tuple[str, str]
"""A name and a value."""

BOX = "max-width:46em;font-family:system-ui,sans-serif;font-size:13px;line-height:1.45"
TITLE = "font-weight:600;overflow-wrap:anywhere"
TABLE = "border-collapse:collapse;margin:4px 0;background:none;font-size:13px"
NAME = (
    "text-align:left;vertical-align:top;font-weight:400;padding:1px 14px 1px 0;border:0;"
    "opacity:.75;white-space:nowrap"
)
VALUE = "text-align:left;padding:1px 0;border:0;overflow-wrap:anywhere"
NOTE = "margin:4px 0;opacity:.75"
LONGEST = 200
"""Characters of a value; the rest is left out."""


def sheet(title: str, facts: Sequence[Fact], *pictures: Element, note: str = "") -> str:
    """Return the HTML of a value; ``note``: a sentence below it."""
    rows = [
        element(
            "tr",
            element("th", name, scope="row", style=NAME),
            element("td", clipped(value, LONGEST), style=VALUE),
            style="background:none",
        )
        for name, value in facts
    ]
    parts = [
        element("div", clipped(title, LONGEST), style=TITLE),
        element("table", element("tbody", *rows), style=TABLE),
        *pictures,
    ]
    if note:
        parts.append(element("div", note, style=NOTE))
    return markup([element("div", *parts, style=BOX)])
