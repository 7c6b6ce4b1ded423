"""Tables and sentences in Markdown; names from files are text there, never markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from emul.reading.printable import printable
from emul.report.fitted_table import COLUMNS, cells_of
from emul.report.perf_row import PerfRow
from emul.report.table import PerfTable
from emul.wall.lag import Lag

__all__ = ["MarkdownTable", "escaped", "markdown_row", "markdown_sentence"]

MARKS = re.compile(r"([\\`*_{}\[\]<>|~#&!$]|(?<=www)\.|:(?=//)|@)")
"""Characters with a meaning in Markdown, and those that make a link of a bare address."""

TEXTS = ("binding", "algorithm")


def escaped(text: str) -> str:
    r"""Return ``text`` such that Markdown shows it as it is.

    >>> escaped("a|b <i>") == r"a\|b \<i\>"
    True
    """
    return MARKS.sub(r"\\\1", printable(text))


def markdown_sentence(line: str) -> str:
    """Return a line of words as an item of a list, the part before its colon in bold."""
    label, colon, rest = line.partition(": ")
    return f"- **{escaped(label)}:** {escaped(rest)}" if colon else f"- {escaped(line)}"


class MarkdownTable(PerfTable):
    """All columns of the table that fits a terminal, with names in full."""

    def head(self, version: str, how: str) -> list[str]:
        """Return what was run, as a paragraph, and the heading of the table."""
        lines = [line.removeprefix("# ") for line in super().head(version, how)]
        said = lines[: -len(self.headings())]
        return [*(f"{escaped(line)}  " for line in said), *self.headings()]

    def headings(self) -> list[str]:
        """Return the names of the columns with their units, and on which side they are."""
        columns = [each for each in COLUMNS if each.key != "overflowed" or self.counts_overflow]
        names = [f"{each.heading} {each.unit}".strip() for each in columns]
        sides = [":---" if each.key in TEXTS else "---:" for each in columns]
        return ["", markdown_row(names), markdown_row(sides)]

    def line(self, row: PerfRow) -> str:
        """Return the line of one size."""
        cells = cells_of(row, {"time": 0, "measured": 0})
        if not self.counts_overflow:
            del cells["overflowed"]
        return markdown_row(
            [escaped(cell) if key in TEXTS else cell for key, cell in cells.items()]
        )

    def foot(self, rows: Sequence[PerfRow], lag: Lag) -> list[str]:
        """Return the summary as a list."""
        lines = (line.removeprefix("# ").split(" : ") for line in super().foot(rows, lag))
        return ["", *(markdown_sentence(f"{name.strip()}: {said}") for name, said in lines)]


def markdown_row(cells: Iterable[str]) -> str:
    """Return a line of a table, of cells in Markdown."""
    return f"| {' | '.join(cells)} |"
