"""The one template: a Page as a file of HTML that needs nothing else and asks nobody.

The head forbids every request (Content-Security-Policy), and allows this style sheet by its hash.
There is no script: everything is on the page as it is, for printing, for readers by ear, and for
browsers in which scripts are off.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path

from emul.drawing.markup import Element, element, markup, style_sheet
from emul.files import write_text
from emul.report.html.page import (
    Assumption,
    Assumptions,
    Figure,
    Origin,
    Page,
    Section,
    Table,
    Words,
)

__all__ = ["render", "write_report"]

MOST_ROWS = 1000
"""Of one table; a reader who wants more takes the JSON file."""

MOST_COLUMNS = 10
"""Of a table whose letters stay as large on paper."""

MOST_OPEN_PLACES = 12
"""Whose numbers are open at once."""

MOST_OPEN = 60
"""Of a table that is open at once; a reader opens longer ones."""

ASSUMED = "assumed"


def write_report(path: Path, page: Page) -> None:
    """Write ``page`` as HTML to ``path``, whole or not at all. Raises FileError."""
    write_text(path, render(page))


def render(page: Page) -> str:
    """Return ``page`` as one document of HTML."""
    head = markup(_head(page.question))
    body = markup([element("a", "Skip to the answer", href="#answer", class_="skip"), _main(page)])
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>{head}{style_sheet(_css())}</head>\n'
        f"<body>{body}</body>\n</html>\n"
    )


@cache
def _css() -> str:
    """Return the style sheet."""
    return files("emul.report.html").joinpath("page.css").read_text(encoding="utf-8")


def _policy() -> str:
    """Return the policy: no request at all, and no style but the one of this page."""
    digest = base64.b64encode(hashlib.sha256(_css().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _head(question: str) -> Iterator[Element]:
    yield element("meta", charset="utf-8")
    yield element("meta", http_equiv="Content-Security-Policy", content=_policy())
    yield element("meta", name="viewport", content="width=device-width, initial-scale=1")
    yield element("meta", name="color-scheme", content="light dark")
    yield element("meta", name="referrer", content="no-referrer")
    yield element("title", f"emul: {question}")


def _main(page: Page) -> Element:
    head = [element("h1", page.question), element("p", page.answer, id="answer", class_="answer")]
    if page.interrupted:
        head.append(element("p", page.interrupted, class_="interrupted", role="note"))
    return element(
        "main",
        element("header", *head),
        *_groups(page.sections),
        element("footer", *_origin(page.origin)),
    )


def _groups(sections: tuple[Section, ...]) -> Iterator[Element]:
    """Yield the sections; figures that follow one another stand side by side where they fit."""
    numbered = list(enumerate(sections, start=1))
    for are_figures, group in groupby(numbered, lambda each: isinstance(each[1], Figure)):
        drawn = [_section(section, f"s{number}") for number, section in group]
        if are_figures:
            yield element("div", *drawn, class_="figures")
        else:
            yield from drawn


def _section(section: Section, key: str) -> Element:
    """Return a section; ``key`` begins the names by which its parts refer to each other."""
    match section:
        case Figure():
            return _figure(section, key)
        case Table():
            return _table(section, key)
        case Words():
            return _titled(section.title, key, *(element("p", each) for each in section.sentences))
        case Assumptions():
            return _assumptions(section, key)


def _titled(title: str, key: str, *children: Element, tag: str = "section") -> Element:
    heading = element("h2", title, id=f"{key}-title")
    return element(tag, heading, *children, aria_labelledby=f"{key}-title")


def _figure(section: Figure, key: str) -> Element:
    named = [("role", "img"), ("aria-labelledby", f"{key}-name"), ("aria-describedby", f"{key}-is")]
    drawing = section.drawing
    drawn = Element(
        drawing.tag,
        (*drawing.attributes, *named),
        (
            element("title", section.title, id=f"{key}-name"),
            element("desc", section.says, id=f"{key}-is"),
            *drawing.children,
        ),
    )
    parts = [
        element("div", drawn, class_="drawing", **_scrolled(section.title)),
        element("figcaption", section.caption),
    ]
    if section.numbers is not None:
        numbers = section.numbers
        opened = element("summary", "The numbers of this picture")
        parts.append(element("details", opened, *_table_parts(numbers)))
    return _titled(section.title, key, *parts, tag="figure")


def _table(section: Table, key: str) -> Element:
    parts = tuple(_table_parts(section))
    if len(section.rows) <= MOST_OPEN:
        return _titled(section.title, key, *parts)
    opened = element("summary", f"All {len(section.rows):,} lines")
    return _titled(section.title, key, element("details", opened, *parts))


def _assumptions(section: Assumptions, key: str) -> Element:
    tables = [_numbers_of(*placed) for placed in section.by_place]
    parts = [element("p", each) for each in section.remarks] + tables[:MOST_OPEN_PLACES]
    more = tables[MOST_OPEN_PLACES:]
    if more:
        opened = element("summary", f"{len(more)} more")
        parts.append(element("details", opened, *more))
    return _titled(section.title, key, *parts)


def _numbers_of(place: str, numbers: tuple[Assumption, ...]) -> Element:
    """Return the table of the numbers of a place."""
    rows = [
        element(
            "tr",
            element("th", each.name, scope="row"),
            element("td", each.value, class_="number"),
            element("td", each.status, class_="assumed" if each.status == ASSUMED else None),
            element("td", each.source, class_="source"),
        )
        for each in numbers
    ]
    names = ("number", "value", "known how", "source or formula")
    head = element("tr", *(element("th", name, scope="col") for name in names))
    caption = element("caption", place)
    whole = element("table", caption, element("thead", head), element("tbody", *rows))
    return _boxed(whole, place)


def _table_parts(section: Table) -> Iterator[Element]:
    """Yield the table in a box that scrolls, and the sentences below it."""
    heads = [
        element("th", each.name, scope="col", class_="number" if each.is_number else None)
        for each in section.columns
    ]
    rows = [_row(section, row) for row in section.rows[:MOST_ROWS]]
    whole = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        class_="many" if len(heads) > MOST_COLUMNS else None,
    )
    yield _boxed(whole, section.title)
    left_out = len(section.rows) - MOST_ROWS
    if left_out > 0:
        yield element("p", f"{left_out} more lines are left out here.", class_="note")
    if section.note:
        yield element("p", section.note, class_="note")


def _row(section: Table, row: tuple[str, ...]) -> Element:
    cells = zip(section.columns, row, strict=True)
    return element(
        "tr",
        *(element("td", cell, class_="number" if each.is_number else None) for each, cell in cells),
    )


def _boxed(whole: Element, title: str) -> Element:
    return element("div", whole, class_="wide", **_scrolled(title))


def _scrolled(title: str) -> dict[str, str]:
    """Return the attributes of a box that scrolls, which the keyboard has to reach."""
    return {"role": "region", "tabindex": "0", "aria-label": title}


def _origin(origin: Origin) -> Iterator[Element]:
    yield element("h2", "How this page was made")
    yield element("p", "The command, to be run again:")
    yield element("pre", element("code", origin.command), tabindex="0", aria_label="command")
    versions = ", ".join(f"{name} {version}" for name, version in origin.versions.items())
    yield element("p", f"{versions}. Made on ", element("time", origin.made), ".")
