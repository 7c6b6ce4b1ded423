"""Topology files as text: what a program writes, and the reader takes back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["comment", "document_lines", "table_lines", "value_text"]

Table = Mapping[str, Any]


def document_lines(document: Table) -> Iterator[str]:
    """Yield the lines of a topology file: name, defaults, lists of tables, costs."""
    for key in ("name", "description"):
        if key in document:
            yield f"{key} = {value_text(document[key])}"
    yield ""
    for key, table in document.get("defaults", {}).items():
        yield from table_lines(f"[defaults.{key}]", table)
    for kind in ("site", "trunk", "conduit", "path"):
        for table in document.get(kind, []):
            yield from table_lines(f"[[{kind}]]", table)
    if "cost" in document:
        yield from table_lines("[cost]", document["cost"])


def table_lines(head: str, table: Table) -> Iterator[str]:
    """Yield the lines of a table under ``head``, with its sources and an empty line behind it."""
    yield head
    yield from (f"{key} = {value_text(each)}" for key, each in table.items() if key != "sources")
    if table.get("sources"):
        yield f"sources = {value_text(table['sources'])}"
    yield ""


def comment(remark: str) -> str:
    """Return a remark as one line of TOML, in which a comment holds no control characters."""
    return "# " + "".join(each if each.isprintable() else " " for each in remark)


def value_text(value: object) -> str:
    """Return a value as TOML; its strings are written as in JSON, but for the character DEL."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {value_text(each)}' for key, each in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(each) for each in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
