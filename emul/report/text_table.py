"""The form of every table, whose cells may hold names from files."""

from __future__ import annotations

from collections.abc import Collection

from rich import box
from rich.table import Table
from rich.text import Text

from emul.reading.printable import printable

__all__ = ["TextTable"]


class TextTable(Table):
    """A table of text without markup: cells are shown as they are, control characters escaped."""

    def __init__(self, *columns: str, right: Collection[str] = (), title: str = "") -> None:
        """Take the headings of the columns, and of those to be aligned to the right."""
        heading = Text(printable(title)) if title else None
        super().__init__(box=box.SIMPLE, title=heading, title_justify="left")
        for name in columns:
            # Where a terminal is too narrow, a number is folded: cut off, it would be another one.
            self.add_column(name, justify="right" if name in right else "left", overflow="fold")

    def row(self, *cells: str) -> None:
        """Add a line."""
        self.add_row(*(Text(printable(cell)) for cell in cells))
