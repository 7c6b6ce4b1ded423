"""The columns of the table of nccl-tests, of all versions and of rccl-tests.

Until 2.12, programs printed the columns they needed: no redop and root where there is none, and an
``error`` in place of ``#wrong``, the largest relative error. alltoall has a redop that is blank.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from emul.measured.measurement import IN_PLACE, OUT_OF_PLACE
from emul.reading.place import Place
from emul.reading.values import NUMBER

__all__ = ["NcclColumns", "columns_of"]

BANDWIDTHS = ["algbw", "busbw"]
HALF = ["time", *BANDWIDTHS]
VERDICTS = ("#wrong", "error")
PER_ITERATION = ["i_min", "i_max", "i_p99", "i_cv%"]
BEFORE = ["size", "count", "type", "redop", "root"]
OLD_NAMES = {"wrong": "#wrong"}

FORMS = {
    "size": r"\d+",
    "count": r"\d+",
    "type": r"[a-z]\w*",
    "redop": r"[a-z]\w*",
    "root": r"-?\d+",
    "#wrong": r"(?:N/A|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)",
    "error": rf"(?:N/A|{NUMBER.pattern})",
}
"""Patterns of cells; cells of other columns are numbers."""


@dataclass(frozen=True)
class NcclColumns:
    """The names of the columns in their order, and where the numbers of each half begin.

    ``places`` are the halves that the table has. A ``timestamp`` at the end of a line is no column.
    """

    names: tuple[str, ...]
    places: tuple[str, ...]

    @property
    def halves(self) -> list[int]:
        """The index of the time of each half."""
        return [i for i, name in enumerate(self.names) if name == "time"]

    @property
    def verdict(self) -> str:
        """The name of the column that says whether the result was right."""
        return next(name for name in self.names if name in VERDICTS)

    def filled(self, cells: Sequence[str]) -> list[str]:
        """Return the cells of a line, with an empty one where the operator is blank."""
        at = self.names.index("redop") if "redop" in self.names else len(self.names)
        blank = at < len(cells) and not cells[at][:1].isalpha()
        return [*cells[:at], "", *cells[at:]] if blank else list(cells)

    def begin(self, cells: Sequence[str]) -> bool:
        """Say whether ``cells`` are the beginning of a line of the table."""
        return len(cells) <= len(self.names) and all(
            not cell or re.fullmatch(form(name), cell)
            for name, cell in zip(self.names, cells, strict=False)
        )

    def row_pattern(self) -> re.Pattern[str]:
        """Return the pattern of a line of the table among other text in the same line."""
        cells = [
            rf"(?:\s+{form(name)})" + ("?" if name == "redop" else "") for name in self.names[1:]
        ]
        end = r"(?![\w.+/-])" if self.verdict == "error" else r"(?![\d.+/-]|e[+-]?\d)"
        return re.compile(rf"(?<!\S){form(self.names[0])}{''.join(cells)}{end}", re.ASCII)


def form(name: str) -> str:
    """Return the pattern of a cell of the column ``name``."""
    return FORMS.get(name, NUMBER.pattern)


def columns_of(names: list[str], title: str, place: Place) -> NcclColumns:
    """Return the columns of a heading, having made sure that nccl-tests prints them.

    ``title`` is the line above the heading, which names the halves.
    """
    if "cputime" in names:
        raise place.at("cputime").complaint(
            "the time of launching (-C 1): needed that of the collective"
        )
    names = [OLD_NAMES.get(name, name) for name in names]
    if names[-1] == "timestamp":
        names = names[:-1]
    at = names.index("time") if "time" in names else len(names)
    before, group = names[:at], names[at:]
    known = [[*HALF, verdict, *more] for verdict in VERDICTS for more in ([], PER_ITERATION)]
    times = next((n for one in known for n in (1, 2) if group == one * n), 0)
    in_order = before == [name for name in BEFORE if name in before]
    if not times or before[:3] != BEFORE[:3] or not in_order:
        raise place.complaint(
            f"columns {', '.join(names)}: needed those of nccl-tests, which are size, count, type, "
            "..., and time, algbw, busbw, #wrong out of place and in place"
        )
    alone = IN_PLACE if "in-place" in title and "out-of-place" not in title else OUT_OF_PLACE
    return NcclColumns(tuple(names), (OUT_OF_PLACE, IN_PLACE) if times == 2 else (alone,))
