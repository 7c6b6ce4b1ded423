"""The sheet that ``emul perf`` prints: table and words, as wide as the reader can take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emul.cli.perf_setup import notes_on_sizes
from emul.cli.sweep import Sweep
from emul.cli.terminal import columns, say, say_fitted, terminal_width
from emul.report import WideTable
from emul.report.closing import Closing, Overflow
from emul.report.fitted_table import FittedTable
from emul.report.markdown import MarkdownTable, markdown_sentence
from emul.report.words import overflow_sentence, sentences, wire_sentence

if TYPE_CHECKING:
    from emul.report import PerfRow
    from emul.report.table import PerfTable

__all__ = ["PerfSheet", "sheet_of"]


class PerfSheet:
    """Prints a table line by line, and the words under it.

    ``width``: the columns that lines of words are wrapped to, None for one line each. ``every``:
    whether all algorithms that were timed are named. ``notes``: sentences about the request.
    """

    def __init__(
        self, table: PerfTable, width: int | None, *, every: bool, notes: Sequence[str]
    ) -> None:
        """Take the table."""
        self.table = table
        self.width = width
        self.every = every
        self.notes = notes

    def head(self, version: str, how: str) -> None:
        """Print the lines above the first size."""
        self._say(self.table.head(version, how))

    def row(self, row: PerfRow) -> None:
        """Print the line of one size."""
        say(self.table.line(row))

    def end(
        self, rows: Sequence[PerfRow], sweep: Sweep, closing: Closing, overflow: Overflow | None
    ) -> list[str]:
        """Print the lines under the table, and return the sentences among them, in full."""
        self._say(self.table.foot(rows, sweep.lag))
        more = [overflow_sentence(overflow)] if overflow else []
        more += [*([wire_sentence(rows[-1])] if sweep.wire else []), *self.notes]
        self._say_words([*sentences(closing, every=self.every), *more])
        return [*sentences(closing), *more]

    def _say(self, lines: Sequence[str]) -> None:
        """Print lines about the table wrapped, and those of the table as they are."""
        for line in lines:
            say_fitted([line], self.width if line.startswith("#") else None)

    def _say_words(self, lines: Sequence[str]) -> None:
        say_fitted(["", *lines] if self.width else lines, self.width)


class MarkdownSheet(PerfSheet):
    """The same as Markdown."""

    def _say_words(self, lines: Sequence[str]) -> None:
        say(*map(markdown_sentence, lines))


def sheet_of(sweep: Sweep, counts: Sequence[int], asked: Mapping[str, Any]) -> PerfSheet:
    """Return the sheet in the form that was asked for: to fit the terminal, or wide in a pipe."""
    about = (sweep.world, sweep.collective, sweep.algorithm)
    notes = notes_on_sizes(asked)
    if asked["markdown"]:
        table = MarkdownTable(*about, counts_overflow=sweep.counts_overflow)
        return MarkdownSheet(table, None, every=bool(asked["wide"]), notes=notes)
    width = terminal_width()
    wide = width is None if asked["wide"] is None else asked["wide"]
    if wide:
        wide_table = WideTable(*about, counts_overflow=sweep.counts_overflow)
        return PerfSheet(wide_table, None, every=True, notes=notes)
    width = width or columns()
    largest = sweep.predict(sweep.world, counts[-1])
    fitted = FittedTable(
        *about,
        width=width,
        most_bytes=largest.nbytes,
        most_s=largest.time_s,
        counts_overflow=sweep.counts_overflow,
        runs=not sweep.no_data,
    )
    return PerfSheet(fitted, width, every=False, notes=notes)
