"""Recorded traces in a table: a line for each change, with time and rate."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emul.errors import TopologyError
from emul.reading.bounded_text import MOST_TRACE_BYTES, read_text
from emul.reading.place import Place
from emul.reading.values import Range

__all__ = ["COLUMNS", "MOST_STATES", "recorded_rows"]

MOST_STATES = 100_000
"""Of one trace. A day by seconds has 86 400."""

MOST_COMMENTS = 10_000
"""Lines that are empty or comments, of one trace."""

SECONDS = {"from_s": 1.0, "from_ms": 1e-3}
RATES = {
    "rate_factor": 1.0,
    "rate_kbit_per_s": 1e3 / 8,
    "rate_mbit_per_s": 1e6 / 8,
    "rate_gbit_per_s": 1e9 / 8,
}
"""Bytes per second of one; a factor is a part of the link's rate."""

OTHERS = ("extra_delay_us", "loss", "up")
IGNORED = "_"
COLUMNS = (*SECONDS, *RATES, *OTHERS, IGNORED)
"""Names of columns; those called ``_`` are passed over."""

NEEDED = (
    "the names of the columns: from_s or from_ms, then rate_factor, rate_kbit_per_s, "
    "rate_mbit_per_s or rate_gbit_per_s, and of extra_delay_us, loss and up those that are there"
)
WITHOUT_NAMES = (
    'for a file whose first line does not name them so, say trace = { file = "...", columns = '
    '["from_s", "rate_mbit_per_s"] }'
)
DELIMITERS = (";", "\t", ",")
"""In this order: numbers in a table with semicolons may have a comma, and are refused."""
ROUNDING = 1e-9
"""Part of the rate of a link by which a recorded rate may be above the rate."""

TRUTH = {"1": True, "true": True, "0": False, "false": False}


def recorded_rows(
    path: Path, rate_bytes_per_s: float, columns: Sequence[str] = ()
) -> Iterator[tuple[str, list[object]]]:
    """Yield the rows of a table, each with its line, in the order of a trace's rows.

    Columns are separated by commas, semicolons, tabs or spaces. Their names are ``columns``, or
    else in the first line. Empty lines, and those that begin with ``#``, are passed over. Rates are
    returned as parts of ``rate_bytes_per_s``, and must not be above it.
    """
    lines = _lines(path)
    rows = _split(path, lines)
    number, first = next(rows, (1, []))
    if columns:
        table = _TraceTable(path, tuple(columns), rate_bytes_per_s, f"columns = {list(columns)}")
        if first and not any(map(_is_number, first)):
            number, first = next(rows, (number, []))  # names of others
    else:
        shown = f"line {number} = {lines[0][1][:200] if lines else ''!r}"
        table = _TraceTable(path, tuple(first), rate_bytes_per_s, shown)
        number, first = next(rows, (number, []))
    if not first:
        raise TopologyError(f"{path}: no line with numbers: needed at least one")
    yield table.row(number, first)
    for number, cells in rows:
        yield table.row(number, cells)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that say something, each with its number."""
    text = read_text(path, "a trace: a table of times and rates", MOST_TRACE_BYTES)
    # Counted first, so that a file of very many lines takes little memory.
    if text.count("\n") + text.count("\r") > 2 * (MOST_STATES + MOST_COMMENTS):
        raise TopologyError(f"{path}: more lines than {MOST_STATES + 1}: needed fewer")
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) > MOST_STATES + 1:
        raise TopologyError(f"{path}: {len(lines)} lines: needed at most {MOST_STATES + 1}")
    return lines


def _split(path: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of each line, which are separated as in the first one."""
    first = lines[0][1] if lines else ""
    delimiter = next((each for each in DELIMITERS if each in first), None)
    for number, line in lines:
        if delimiter is None:
            yield number, line.split()
            continue
        try:
            (cells,) = csv.reader([line], delimiter=delimiter)
        except csv.Error as error:
            raise TopologyError(f"{path}: line {number}: not CSV: {error}") from None
        yield number, [cell.strip() for cell in cells]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


@dataclass(frozen=True, slots=True)
class _TraceTable:
    """The columns of a trace: their names, and the rate that absolute rates are parts of."""

    path: Path
    names: tuple[str, ...]
    rate_bytes_per_s: float
    shown: str

    def __post_init__(self) -> None:
        """Refuse unknown names, one twice, and tables without one time and one rate."""
        known = [name for name in self.names if name != IGNORED]
        once = len(set(known)) == len(known)
        times, rates = (sum(name in among for name in known) for among in (SECONDS, RATES))
        if not set(known) <= set(COLUMNS) or not once or (times, rates) != (1, 1):
            raise TopologyError(f"{self.path}: {self.shown}: needed {NEEDED}; {WITHOUT_NAMES}")

    def row(self, number: int, cells: list[str]) -> tuple[str, list[object]]:
        """Return a line as a row of a trace: see change_tables.ROW."""
        if len(cells) != len(self.names):
            raise TopologyError(
                f"{self.path}: line {number} has {len(cells)} fields: needed {len(self.names)}, "
                f"which are {', '.join(self.names)}"
            )
        given = dict(zip(self.names, cells, strict=True))
        row: list[object] = [0.0, 0.0, 0.0, None, True]
        for name, text in given.items():
            if name in SECONDS:
                row[0] = self._number(number, name, text) * SECONDS[name]
            elif name in RATES:
                row[1] = self._factor(number, name, self._number(number, name, text))
            elif name in OTHERS and text:
                at = 2 + OTHERS.index(name)
                row[at] = self._cell(number, name, text)
        return f"line {number}", row

    def _factor(self, number: int, name: str, value: float) -> float:
        """Return a rate as a part of the link's."""
        if name == "rate_factor":
            return value
        most = self.rate_bytes_per_s / RATES[name]
        if value not in Range(0, most * (1 + ROUNDING), ""):
            needed = f"a number from 0 to {most:g}, the rate of the link"
            raise self._at(number).complaint(f"{name} = {value:g}: needed {needed}")
        return min(1.0, value / most)

    def _cell(self, number: int, name: str, text: str) -> object:
        if name != "up":
            return self._number(number, name, text)
        if text.lower() not in TRUTH:
            raise self._at(number).of(name).refusal(text, "1, 0, true or false")
        return TRUTH[text.lower()]

    def _number(self, number: int, name: str, text: str) -> float:
        if not _is_number(text):
            needed = "a number, with a point and not a comma"
            raise self._at(number).of(name).refusal(text, needed)
        return float(text)

    def _at(self, number: int) -> Place:
        return Place(f"{self.path}: line {number}", error_class=TopologyError)
