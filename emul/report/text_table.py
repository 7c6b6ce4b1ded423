"""The form of every table, whose cells may hold names from files.

A table has its columns in full where there is room, as in a pipe. In a terminal that is narrower,
columns of prose are wrapped between words, and those columns give way that say least, the first of
``give_way`` first; a number and a name are never broken into two lines.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from emul.reading.printable import printable

__all__ = ["Cell", "TextTable"]

Cell = str | tuple[str, str]
"""A text, or a long and a short text of which the short one is for narrow terminals."""

GAP = 2
"""Columns between two columns: a space of padding, and one that rich puts there."""
LEAST_PROSE = 12


class TextTable(Table):
    """A table of text without markup: cells are shown as they are, control characters escaped."""

    def __init__(
        self,
        *columns: str,
        right: Collection[str] = (),
        prose: Collection[str] = (),
        give_way: Sequence[str] = (),
        title: str = "",
    ) -> None:
        """Take the headings of the columns, and of those aligned to the right, and so on."""
        heading = Text(printable(title)) if title else None
        super().__init__(box=box.SIMPLE, title=heading, title_justify="left")
        self._names = columns
        self._right = right
        self._prose = prose
        self._give_way = give_way
        self._cells: list[list[tuple[str, str]]] = []
        for name in columns:
            # Where there is no room at all, a number is folded: cut off, it would be another one.
            self.add_column(name, justify="right" if name in right else "left", overflow="fold")

    def row(self, *cells: Cell) -> None:
        """Add a line."""
        pairs = [(each, each) if isinstance(each, str) else each for each in cells]
        self._cells.append([(printable(long), printable(short)) for long, short in pairs])
        self.add_row(*(Text(printable(long)) for long, _ in pairs))

    def fitted(self, width: int) -> tuple[Table, list[str]]:
        """Return the table in ``width`` columns, and the headings of those that gave way."""
        if sum(self._widths(0)) + (GAP + 1) * len(self._names) + 1 <= width:
            return self, []
        kept = {at: self._least(at) for at in range(len(self._names))}
        for name in self._give_way:
            if _taken(kept) > width:
                del kept[self._names.index(name)]
        self._share_out(kept, width)
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False,
            title=self.title, title_justify="left", collapse_padding=True,
        )  # fmt: skip
        for at, columns in kept.items():
            name = self._names[at]
            table.add_column(
                Text("\n".join(wrap(name, max(columns, _longest_word(name))))),
                justify="right" if name in self._right else "left",
                width=columns,
                overflow="fold",
                no_wrap=name not in self._prose and _taken(kept) <= width,
            )
        for cells in self._cells:
            table.add_row(*(Text(cells[at][1]) for at in kept))
        return table, [name for at, name in enumerate(self._names) if at not in kept]

    def _widths(self, form: int) -> list[int]:
        """Return the widths of unbroken columns: of headings and long texts, or of short ones."""
        return [
            max(
                [cell_len(name) * (not form), *(cell_len(cells[at][form]) for cells in self._cells)]
            )
            for at, name in enumerate(self._names)
        ]

    def _least(self, at: int) -> int:
        """Return the least width of a column: of prose, that of its longest word."""
        name, texts = self._names[at], [cells[at][1] for cells in self._cells]
        if name in self._prose:
            longest = max((_longest_word(text) for text in texts), default=0)
            return max(min(LEAST_PROSE, self._widths(1)[at]), longest, _longest_word(name))
        return max(_longest_word(name), self._widths(1)[at])

    def _share_out(self, kept: dict[int, int], width: int) -> None:
        """Give the room that is left to the columns of prose, as much as each can use."""
        natural = self._widths(1)
        while True:
            hungry = [
                at for at in kept if kept[at] < natural[at] and self._names[at] in self._prose
            ]
            room = width - _taken(kept)
            if room <= 0 or not hungry:
                return
            for at in hungry[:room]:
                kept[at] += min(max(1, room // len(hungry)), natural[at] - kept[at])


def _taken(kept: dict[int, int]) -> int:
    return sum(kept.values()) + GAP * (len(kept) - 1)


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)
