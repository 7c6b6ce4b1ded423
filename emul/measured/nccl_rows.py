"""The lines of the table of nccl-tests, also where other processes write into them.

A line is printed in three pieces: the collective, the times out of place, the times in place. A
message of NCCL may come between two pieces, behind the last or before the first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from emul.errors import EmulError, MeasurementError
from emul.measured.log_source import LogSource
from emul.measured.nccl_columns import NcclColumns
from emul.measured.nccl_names import Half, NcclRow
from emul.reading.place import Place
from emul.reading.values import (
    NUMBER,
    count,
    number,
    positive,
    rounding,
    whole_size,
)

__all__ = ["NcclTable"]

MESSAGE = re.compile(
    r"(?:\[[\d-]+[ T][\d:.]+\]\s*)?(?<![\w.-])[\w.-]+:\d+:\d+ \[[-\d]+\] |\[[\w.-]+:\d+\] "
)
"""The beginning of a message of NCCL (host:process:thread [device]) and of Open MPI."""
GLUED = re.compile(rf"(N/A|{NUMBER.pattern})([A-Za-z_][\w.-]*)?$", re.ASCII)
TIMESTAMP = re.compile(r"(?<!\s)\s+\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s*$")
"""The last column with -T."""
FIRST_CELL = re.compile(r"\s*[-+]?\d[^\s:-]*(?:\s|$)", re.ASCII)
CELL = re.compile(rf"{NUMBER.pattern}|N/A", re.ASCII)
WORD = re.compile(r"[A-Za-z]{2,}")

RIGHT = "0 or N/A, for only what is right counts"
MOST_COUNT = 1 << 60
CUT = "rows that another message has cut in two, whose rest does not come"
NO_ROW = "text that is no row of the table"
DAMAGED = "rows that are not complete"


@dataclass
class NcclTable:
    """The rows below one heading, and the row of which only the beginning has come."""

    source: LogSource
    columns: NcclColumns
    hosts: Sequence[str] = ()
    partial: bool = False
    rows: list[NcclRow] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    begun: Place | None = None
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Prepare the pattern of a whole row."""
        self.pattern = self.columns.row_pattern()

    def read(self, line: str, place: Place) -> None:
        """Take the rows, or the parts of them, that a line has."""
        line = TIMESTAMP.sub("", line)
        own, message = self._own(line)
        read = own if self.pattern.search(own) else line
        whole = list(self.pattern.finditer(read))
        if whole and not _number_first(self.pattern.sub(" ", read)):
            self.close()
            for match in whole:
                self._add(self.columns.filled(match[0].split()), place)
        elif self.begun and own.split() and _all_cells(own):
            self._go_on(own.split(), message, place)
        elif FIRST_CELL.match(own):
            self.close()
            self._begin(own.split(), message, place)
        else:
            self._pass_over(line, place)

    def _pass_over(self, line: str, place: Place) -> None:
        """Pass over a line without a row; it is told unless it is a message or a comment."""
        text = line.strip()
        self.interrupted = self.interrupted or bool(self.begun and text)
        if text.startswith("#"):
            text = text if any(map(str.isdigit, text)) and _all_cells(text.strip("#")[-8:]) else ""
        if text and not MESSAGE.match(text):
            self.source.leave_out(place.line, NO_ROW)

    def _own(self, line: str) -> tuple[str, bool]:
        """Return the line up to a message that begins in it, and whether one does."""
        match = MESSAGE.search(line)
        if match is None:
            return line, False
        before = line[: match.start()]
        glued = line[match.start() :].split(":")[0]
        host = next((host for host in self.hosts if glued.endswith(host)), "")
        if host and glued != host:
            return before + glued.removesuffix(host), True
        cell = GLUED.match(glued) if not host else None
        return before + (cell[1] if cell and cell[2] else ""), True

    def _begin(self, cells: list[str], message: bool, place: Place) -> None:
        """Take a row of which not all has come; text that begins with a number is none."""
        if len(cells) > 1 and WORD.fullmatch(cells[1]):
            self.source.leave_out(place.line, NO_ROW)
            return
        filled = self.columns.filled(cells)
        if len(filled) == len(self.columns.names):
            self._add(filled, place)
            return
        self.cells, self.begun, self.interrupted = cells, place, message
        if not self.columns.begin(filled):
            self.close()

    def _go_on(self, cells: list[str], message: bool, place: Place) -> None:
        """Take the next piece of the row that has begun."""
        first = self.begun
        together = self.columns.filled([*self.cells, *cells])
        if first is None or not self.columns.begin(together):
            self.close()
            self._damaged(cells, place)
        elif len(together) == len(self.columns.names):
            self.begun = None
            self._add(together, first)
        else:
            self.cells, self.interrupted = [*self.cells, *cells], self.interrupted or message

    def close(self) -> None:
        """Leave out or refuse the row that has begun and whose rest has not come."""
        place, self.begun = self.begun, None
        if place is not None and self.interrupted:
            self.source.leave_out(place.line, CUT)
        elif place is not None:
            self._damaged(self.cells, place)

    def _damaged(self, cells: Sequence[str], place: Place) -> None:
        names = self.columns.names
        self._leave_out(
            place,
            place.complaint(
                f"{len(cells)} columns: needed {len(names)}, which are {', '.join(names)} "
                "(--partial takes the complete rows alone)"
            ),
        )

    def _add(self, cells: list[str], place: Place) -> None:
        try:
            self.rows.append(_row(self.columns, cells, place))
        except MeasurementError as error:
            self._leave_out(place, error)

    def _leave_out(self, place: Place, error: EmulError) -> None:
        if not self.partial:
            raise error
        self.source.leave_out(place.line, DAMAGED)


def _all_cells(text: str) -> bool:
    return all(CELL.fullmatch(cell) for cell in text.split())


def _number_first(rest: str) -> bool:
    """Say whether text beside whole rows begins with a number: then it may belong to them."""
    return any(CELL.fullmatch(cell) for cell in rest.split()[:1])


def _row(columns: NcclColumns, cells: list[str], place: Place) -> NcclRow:
    """Return a line of the table whose cells are complete, each refused where it cannot be."""
    by_name = dict(zip(columns.names, cells, strict=True))
    halves = [_half(columns, cells, at, name, place)
              for at, name in zip(columns.halves, columns.places, strict=True)]  # fmt: skip
    return NcclRow(
        _here(place),
        whole_size(by_name["size"], place.at("size")),
        count(by_name["count"], place.at("count"), "elements", 0, MOST_COUNT),
        by_name["type"],
        by_name.get("redop", ""),
        by_name.get("root", ""),
        tuple(halves),
    )


def _here(place: Place) -> Callable[[], Place]:
    return lambda: place


def _half(columns: NcclColumns, cells: list[str], at: int, name: str, place: Place) -> Half:
    time, algbw, busbw, verdict = cells[at : at + 4]
    _check_verdict(columns.verdict, verdict, place)
    time_us = positive(time, place.at("time"), "us")
    return Half(
        place=name,
        time_s=time_us / 1e6,
        algbw_gb_per_s=number(algbw, place.at("algbw"), "a number of GB/s"),
        busbw_gb_per_s=number(busbw, place.at("busbw"), "a number of GB/s"),
        checked=verdict != "N/A",
        error=0.0 if verdict == "N/A" else float(verdict),
        rounding=rounding(time) / time_us,
        rounding_gb_per_s=max(rounding(algbw), rounding(busbw)),
    )


def _check_verdict(name: str, cell: str, place: Place) -> None:
    """Refuse a wrong result; whether an error is one is said by the closing lines."""
    if cell == "N/A":
        return
    found = number(cell, place.at(name), RIGHT)
    if found < 0 or (name == "#wrong" and found):
        raise place.at(name).refusal(cell, RIGHT)
