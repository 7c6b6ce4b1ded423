"""The table of ``emul perf`` that fits a terminal: columns by their importance, one line per size.

Cells are plain numbers: sizes in bytes, times in microseconds. The columns that say least give way
first; the name of an algorithm is shortened in its middle, and the foot has it in
full.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from emul.reading.printable import printable
from emul.report.perf_row import PerfRow
from emul.report.table import PerfTable, figure, micro, times_us
from emul.runtime.request import AUTO
from emul.world import World

__all__ = ["COLUMNS", "Column", "FittedTable", "ShortNames", "cells_of"]

GAP = "  "
LEAST_NAME, MOST_NAME = 14, 26
"""Characters of an algorithm's name: no fewer, while other columns can give way, and no more."""

CUT = "~"
LEAST_TIME = 7


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its key, the two lines of its heading, and its least width."""

    key: str
    heading: str
    unit: str
    width: int


COLUMNS = (
    Column("size", "size", "(B)", 5),
    Column("time", "time", "(us)", LEAST_TIME),
    Column("times_bound", "x", "bound", 5),
    Column("busbw", "busbw", "(GB/s)", 6),
    Column("trunk", "trunk", "(GB/s)", 6),
    Column("bound", "bound", "(us)", LEAST_TIME),
    Column("binding", "binding", "", 7),
    Column("algorithm", "algorithm", "", LEAST_NAME),
    Column("measured", "measured", "(us)", 8),
    Column("lag", "lag", "(us)", 7),
    Column("wrong", "#wrong", "", 6),
    Column("overflowed", "overflowed", "", 10),
)
"""From left to right."""

FOR_NAMES = ("bound", "lag", "overflowed")
"""The columns that give way before the name of an algorithm is shortened, the first one first."""

GIVE_WAY = ("trunk", "wrong", "measured", "algorithm", "busbw", "binding", "times_bound")
"""Those that give way when names are as short as can be; size and time stay."""

TIMES = ("time", "bound", "measured")


class ShortNames:
    """Names in at most ``width`` cells, no two alike; those that are cut with their full text."""

    def __init__(self, width: int) -> None:
        """Begin without names."""
        self.width = width
        self._full: dict[str, str] = {}

    @property
    def cut(self) -> dict[str, str]:
        """The full names of those that are cut."""
        return {short: full for short, full in self._full.items() if short != full}

    def short(self, name: str) -> str:
        """Return ``name``, without its middle if it is too long."""
        full = printable(name)
        for number in range(len(self._full) + 2):
            short = self._cut(full, f"{number}" if number else "")
            if self._full.setdefault(short, full) == full:
                return short
        raise AssertionError(f"no short form of {name!r} is left")

    def _cut(self, full: str, mark: str) -> str:
        """Return ``full`` in at most ``width`` cells; ``mark`` tells it from names cut alike."""
        if cell_len(full) <= self.width:
            return full
        variant = full[full.rfind(":") :] if ":" in full else ""
        joint = CUT + mark
        left = self.width - len(joint)
        tail = variant if cell_len(variant) <= left - 3 else full[-(left // 2) :]
        while cell_len(tail) > left // 2 + 3:
            tail = tail[1:]
        head = full
        while cell_len(head) > left - cell_len(tail):
            head = head[:-1]
        return f"{head}{joint}{tail}"


class FittedTable(PerfTable):
    """Columns that fit into a width, for rows of which the largest is known roughly."""

    def __init__(
        self,
        world: World,
        collective: str,
        algorithm: str,
        *,
        width: int,
        most_bytes: int,
        most_s: float,
        counts_overflow: bool = False,
        runs: bool = True,
    ) -> None:
        """Choose the columns for ``width`` characters.

        ``most_bytes``, ``most_s``: size and modelled time of the largest row. ``runs``: whether
        calls are run, and not only modelled.
        """
        super().__init__(world, collective, algorithm, counts_overflow=counts_overflow)
        waits = runs and world.clock == "wall"
        absent = {
            "trunk": world.topology.slowest_trunk is None,
            "measured": not waits,
            "lag": not waits,
            "wrong": not runs,
            "overflowed": not counts_overflow,
        }
        longest_us = most_s * 1e6 * max(1.0, world.dilation if waits else 1.0)
        time_width = max(LEAST_TIME, len(f"{longest_us:.2f}"))
        widths = {each.key: each.width for each in COLUMNS if not absent.get(each.key)}
        widths["size"] = max(widths["size"], len(str(most_bytes)))
        for key in TIMES:
            if key in widths:
                widths[key] = max(widths[key], time_width)
        self._widths = _fitted(widths, width, _longest_name(algorithm))
        self._names = ShortNames(self._widths.get("algorithm", 0))
        self.shows_measured = "measured" in self._widths

    def headings(self) -> list[str]:
        """Return the names of the columns and their units, behind an empty line."""
        names = {each.key: each.heading for each in COLUMNS}
        units = {each.key: each.unit for each in COLUMNS}
        return ["", *(self._line(head).rstrip() for head in (names, units))]

    def line(self, row: PerfRow) -> str:
        """Return the line of one size."""
        cells = cells_of(row, self._widths)
        if "algorithm" in self._widths:
            cells["algorithm"] = self._names.short(row.algorithm)
        return self._line(cells)

    def key(self) -> dict[str, str]:
        """Return the full names of algorithms that are cut."""
        return self._names.cut

    def _line(self, cells: dict[str, str]) -> str:
        texts = ("binding", "algorithm")
        return GAP.join(
            set_cell_size(cells[key], width) if key in texts else f"{cells[key]:>{width}}"
            for key, width in self._widths.items()
        )


def _longest_name(algorithm: str) -> int:
    """Return the width of the column of names, for an algorithm that was asked for or ``auto``."""
    if algorithm == AUTO or "." in algorithm:
        return MOST_NAME
    return min(MOST_NAME, max(len("algorithm"), cell_len(printable(algorithm))))


def cells_of(row: PerfRow, widths: Mapping[str, int]) -> dict[str, str]:
    """Return the cells of ``row``, each number in the width of its column."""
    time_width = min(widths[key] for key in ("time", "measured") if key in widths)
    times = times_us(row, time_width, widths.get("lag", 0))
    if "measured" not in widths:
        times = (micro(row.modelled_s, time_width), "", "")
    return {
        "size": str(row.size_bytes),
        "time": times[0],
        "times_bound": figure(row.times_bound, widths.get("times_bound", 0)),
        "busbw": figure(row.busbw_GBps, widths.get("busbw", 0), digits=4),
        "trunk": figure(row.slowest_trunk_GBps, widths.get("trunk", 0), digits=4),
        "bound": micro(row.bound_s, widths.get("bound", 0)),
        "binding": row.binding,
        "algorithm": row.algorithm,
        "measured": times[1],
        "lag": times[2],
        "wrong": _number(row.wrong, widths.get("wrong", 0)),
        "overflowed": _number(row.overflowed, widths.get("overflowed", 0)),
    }  # fmt: skip


def _number(value: int | None, width: int) -> str:
    return "N/A" if value is None else figure(value, width, digits=0)


def _fitted(widths: dict[str, int], width: int, longest_name: int) -> dict[str, int]:
    """Return the widths of the columns that fit; the algorithm takes the room that is left."""
    kept = widths | {"algorithm": longest_name}
    for key in FOR_NAMES:
        if _room(kept, width) < 0:
            kept.pop(key, None)
    kept["algorithm"] = min(longest_name, LEAST_NAME)
    for key in GIVE_WAY:
        if _room(kept, width) < 0:
            kept.pop(key, None)
    if "algorithm" in kept:
        kept["algorithm"] = min(longest_name, kept["algorithm"] + _room(kept, width))
    return kept


def _room(widths: dict[str, int], width: int) -> int:
    return width - sum(widths.values()) - len(GAP) * (len(widths) - 1)
