"""Elements of HTML and SVG, and the one place where text becomes markup.

Text from files and from the command line comes in as an attribute or a child of an element; here,
and nowhere else, it is escaped. Tags and names of attributes are of the code alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape

from emul.reading.printable import printable

__all__ = ["Child", "Element", "element", "markup", "number", "style_sheet"]

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
"""Of tags and attributes."""

VOID = frozenset({"meta"})
"""Tags that have no end."""

DECIMALS = 1
"""Of a coordinate: a tenth of a pixel."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element with its attributes and children, which are elements and text."""

    tag: str
    attributes: tuple[tuple[str, str], ...] = ()
    children: tuple[Child, ...] = field(default=())


Child = Element | str


def element(tag: str, *children: Child, **attributes: str | float | None) -> Element:
    """Return an element; attributes that are None are left out.

    ``class_`` stands for ``class``, and ``aria_label`` for ``aria-label``. Numbers are
    coordinates, rounded to a tenth.
    """
    given = tuple(
        (name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else number(value))
        for name, value in attributes.items()
        if value is not None
    )
    assert all(NAME.fullmatch(name) for name in (tag, *(name for name, _ in given)))
    return Element(tag, given, children)


def number(value: float) -> str:
    """Return a coordinate as text, as short as it can be.

    >>> number(12.04), number(-0.01), number(7)
    ('12', '0', '7')
    """
    rounded = round(value, DECIMALS)
    return f"{rounded:.{DECIMALS}f}".rstrip("0").rstrip(".") if rounded else "0"


def markup(children: Iterable[Child]) -> str:
    """Return elements and text as HTML.

    >>> markup([element("p", "<b> & \\u202e", title='"')])
    '<p title="&quot;">&lt;b&gt; &amp; \\\\u202e</p>'
    """
    return "".join(_pieces(children))


def _pieces(children: Iterable[Child]) -> Iterator[str]:
    for child in children:
        if isinstance(child, str):
            yield _escaped(child)
            continue
        attributes = "".join(f' {name}="{_escaped(value)}"' for name, value in child.attributes)
        yield f"<{child.tag}{attributes}>"
        if child.tag not in VOID:
            yield from _pieces(child.children)
            yield f"</{child.tag}>"


def _escaped(text: str) -> str:
    """Return ``text`` without anything that a browser obeys: tags, entities, marks of direction."""
    return escape(printable(text), quote=True)


def style_sheet(css: str) -> str:
    """Return a style element. Its text is of the code alone: no browser unescapes it."""
    assert "</" not in css
    return f"<style>{css}</style>"
