"""CSV files of our own, with named columns in any order; lines that begin with # are passed over.

Of collectives, a line for each time: ``collective, world_size, size_bytes, time_s``, and if wanted
``algorithm``. The size is the size of the whole vector, as in nccl-tests:

    collective,world_size,size_bytes,time_s
    all_reduce,8,1048576,0.00213

Of measurements between two ranks: ``kind, size_bytes, time_s``. The kind is ``latency`` (one
way, of next to nothing), ``rtt`` (there and back), ``message`` (one message, from the send to its
arrival) or ``goodput`` (bytes that a long stream moves in a time):

    kind,size_bytes,time_s
    rtt,0,0.00041
    goodput,1250000000,1.03

Numbers are plain: bytes whole, times in seconds, without units and without separators.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence

from emul.measured.forms import COLLECTIVES
from emul.measured.log_source import LogSource
from emul.measured.measurement import LATENCY, MESSAGE, STREAM, Hints, Log, Measurement
from emul.reading.place import Place
from emul.reading.values import choice, count, positive, whole_size

__all__ = ["ANCHORS", "RESULT", "is_csv", "read_csv"]

OF_COLLECTIVES = ("collective", "world_size", "size_bytes", "time_s")
OF_LINKS = ("kind", "size_bytes", "time_s")
MAY_BE_THERE = ("algorithm",)
KINDS = {"latency": LATENCY, "rtt": LATENCY, "message": MESSAGE, "goodput": STREAM}
WITHOUT_SIZE = ("latency", "rtt")
MOST_RANKS = 1_000_000
NAME = r"(?:collective|world_size|size_bytes|time_s|algorithm|kind)"
COMMENT = "comments that look like results"
ANCHORS = (re.compile(rf"\b{NAME}(?:\s*,\s*{NAME})+\s*$"),)
RESULT = re.compile(r"(?:\w+\s*,\s*){2,}[\w.+-]+\s*$")
"""A part of every line of results, also behind text that is not known."""


def is_csv(source: LogSource) -> bool:
    """Say whether the first line that says something names columns of ours."""
    for line in source.lines:
        if line.strip() and not line.lstrip().startswith("#"):
            names = {name.strip() for name in line.split(",")}
            return "," in line and bool(names & {*OF_COLLECTIVES, *OF_LINKS})
    return False


def read_csv(source: LogSource, hints: Hints) -> Log:
    """Return the measurements of a CSV file."""
    rows = _rows(source)
    first = next(rows, None)
    if first is None:
        raise Place(source.path).complaint("an empty file: needed named columns")
    place, names = first
    names = [name.strip() for name in names]
    columns = OF_LINKS if "kind" in names else OF_COLLECTIVES
    _check_columns(names, columns, place)
    found = [_measured(dict(zip(names, cells, strict=True)), place) for place, cells in
             _full(rows, names)]  # fmt: skip
    if not found:
        raise place.complaint("no line after that of the columns: needed at least one")
    return Log(source.path, "CSV", tuple(found))


def _rows(source: LogSource) -> Iterator[tuple[Place, list[str]]]:
    """Yield the cells of each line, with its place; no cell spans lines."""
    for place, line in source.numbered():
        if line.lstrip().startswith("#") and RESULT.search(line):
            source.leave_out(place.line, COMMENT)
        elif line.strip() and not line.lstrip().startswith("#"):
            yield place, next(csv.reader([line]))


def _check_columns(names: list[str], columns: Sequence[str], place: Place) -> None:
    for name in columns:
        if name not in names:
            raise place.complaint(
                f"no column {name!r} among {', '.join(names)}: needed {', '.join(columns)}"
            )
    for name in names:
        if names.count(name) > 1:
            raise place.at(name).complaint("given twice: needed one column of a name")
        if name not in columns and not (name in MAY_BE_THERE and columns is OF_COLLECTIVES):
            raise place.refusal(name, f"one of the columns {', '.join(columns)}")


def _full(
    rows: Iterator[tuple[Place, list[str]]], names: list[str]
) -> Iterator[tuple[Place, list[str]]]:
    """Yield the rows, each of which must have a cell for every column."""
    for place, cells in rows:
        if len(cells) != len(names):
            raise place.complaint(
                f"{len(cells)} columns: needed {len(names)}, which are {', '.join(names)}"
            )
        yield place, [cell.strip() for cell in cells]


def _measured(row: dict[str, str], place: Place) -> Measurement:
    time_s = positive(row["time_s"], place.at("time_s"), "seconds")
    size_bytes = whole_size(row["size_bytes"], place.at("size_bytes"))
    if "kind" in row:
        return _of_link(row["kind"], size_bytes, time_s, place)
    collective = choice(row["collective"], COLLECTIVES, place.at("collective"))
    if not size_bytes:
        raise place.at("size_bytes").refusal(0, "1 byte or more")
    ranks = count(row["world_size"], place.at("world_size"), "ranks", 2, MOST_RANKS)
    algorithm = row.get("algorithm", "")
    return Measurement(collective, time_s, place.file_name, size_bytes, ranks, algorithm)


def _of_link(kind: str, size_bytes: int, time_s: float, place: Place) -> Measurement:
    choice(kind, KINDS, place.at("kind"))
    if kind in WITHOUT_SIZE and size_bytes:
        raise place.at("size_bytes").refusal(size_bytes, f"0 bytes for kind {kind}")
    if kind == "goodput" and not size_bytes:
        raise place.at("size_bytes").refusal(0, "1 byte or more for kind goodput")
    one_way_s = time_s / 2 if kind == "rtt" else time_s
    return Measurement(KINDS[kind], one_way_s, place.file_name, size_bytes)
