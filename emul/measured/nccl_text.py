"""The output of nccl-tests as it is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from emul.measured import nccl_names
from emul.measured.measurement import Hints, Log, Measurement
from emul.measured.nccl_names import Row
from emul.measured.refusals import Place
from emul.measured.texts import ROW, count, lines_of, number, positive, whole_size

__all__ = ["is_nccl_text", "read_nccl_text"]

RUN = re.compile(r"#\s*nThread\s+(\d{1,6})\s+nGpus\s+(\d{1,6})\b")
RANK = re.compile(r"#\s+Rank\s+\d+\s+(?:Group\s+(\d{1,9})\s+)?Pid\s+\d+\s+on\s+(\S+)\s+device\b")
HEADER = re.compile(r"#\s+size\s+count\s+type\s")
UNITS = re.compile(r"#\s+\(B\)\s+\(elements\)\s")
END = re.compile(r"#\s*Avg bus bandwidth\s*:\s*\S+")
CONCLUDED = re.compile(r"#\s*Collective test concluded")
WRONG = re.compile(r"#\s*Out of bounds values\s*:\s*(\d+)")

RIGHT = "0 or N/A, for only what is right counts"
BANDWIDTHS = ["algbw", "busbw"]
OLD_NAMES = {"error": "#wrong"}
PER_ITERATION = ["i_min", "i_max", "i_p99", "i_cv%"]

HALVES = ("out of place", "in place")
MOST_COUNT = 1 << 60


def is_nccl_text(lines: list[str]) -> bool:
    """Say whether ``lines`` hold the head or the heading of a log of nccl-tests."""
    return any(RUN.search(line) or HEADER.search(line) for line in lines)


@dataclass
class Run:
    """One run of a program: what its head says, and its lines, as far as they are read."""

    first: Place
    processes: int = 0
    program: str = ""
    hosts: list[tuple[int, str]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    checked: bool = False
    ended: bool = False


def read_nccl_text(text: str, path: Path, hints: Hints) -> Log:
    """Return what a log says; it may hold several runs, and lines of others among its own."""
    runs = list(_runs(lines_of(text), path))
    measurements: list[Measurement] = []
    for run in runs:
        measurements += _measurements(run, path, hints)
    if not measurements:
        raise nccl_names.no_rows(Place(path))
    hosts = {nccl_names.ranks_of_hosts(run.hosts, run.first) for run in runs}
    return Log(path, "nccl-tests", tuple(measurements), hosts.pop() if len(hosts) == 1 else ())


def _runs(lines: list[str], path: Path) -> Iterator[Run]:
    """Yield the runs of a log, each of which must have come to its end."""
    run, program = Run(Place(path, 1)), ""
    for i, line in enumerate(lines, start=1):
        place = Place(path, i)
        named = None if CONCLUDED.search(line) else nccl_names.PROGRAM.search(line)
        program = named[1] if named else program
        begins = RUN.search(line)
        if begins:
            _check_ended(run, place)
            run = Run(place, int(begins[1]) * int(begins[2]))
        _read_line(run, line, place)
        run.program = program
        if END.search(line):
            run.ended = True
            _check_ended(run, place)
            yield run
            run, program = Run(place), ""
    _check_ended(run, Place(path, len(lines)))


def _check_ended(run: Run, place: Place) -> None:
    """Refuse a run that has begun, but not come to its closing lines."""
    begun = run.processes or run.columns or run.hosts
    if begun and not run.ended:
        raise place.complaint(
            "the log ends early: needed the closing lines '# Out of bounds values' and "
            "'# Avg bus bandwidth'"
        )
    if begun and not run.checked:
        raise place.complaint("no line '# Out of bounds values': needed the whole log")


def _read_line(run: Run, line: str, place: Place) -> None:
    rank, wrong = RANK.search(line), WRONG.search(line)
    if rank:
        run.hosts.append((int(rank[1] or 0), rank[2]))
    elif wrong:
        run.checked = True
    elif HEADER.search(line):
        run.columns = _columns(line[line.index("#") + 1 :].split(), place)
    elif UNITS.search(line) and run.columns:
        _check_units(run.columns, line[line.index("#") + 1 :].split(), place)
    elif run.columns and not run.ended and ROW.match(line):
        run.rows.append(_row(run.columns, line, place))


def _columns(names: list[str], place: Place) -> list[str]:
    """Return the names of the columns, having made sure that they are those of nccl-tests."""
    if "cputime" in names:
        raise place.at("cputime").complaint(
            "the time of launching (-C 1): needed that of the collective"
        )
    names = [OLD_NAMES.get(name, name) for name in names]
    at = names.index("time") if "time" in names else len(names)
    group = names[at:]
    one = ["time", *BANDWIDTHS, "#wrong"]
    full = [*one, *PER_ITERATION]
    known = [both for each in (one, full) for both in (each * 2, [*each * 2, "timestamp"])]
    if group not in known or names[:3] != ["size", "count", "type"]:
        raise place.complaint(
            f"columns {', '.join(names)}: needed those of nccl-tests, which are size, count, type, "
            "..., and time, algbw, busbw, #wrong out of place and in place"
        )
    return names


def _check_units(columns: list[str], units: list[str], place: Place) -> None:
    """Refuse a table that is not in bytes, microseconds and GB/s."""
    timed = [name for name in columns if name in ("time", *BANDWIDTHS, "i_min", "i_max", "i_p99")]
    needed = ["(B)", "(elements)"]
    needed += ["(us)" if name in ("time", *PER_ITERATION) else "(GB/s)" for name in timed]
    came = [unit for unit in units if unit.startswith("(") and unit != "(%)"]
    if came != needed:
        raise place.refusal(" ".join(came), f"the units {' '.join(needed)}")


def _row(columns: list[str], line: str, place: Place) -> Row:
    """Return a line of the table; a timestamp has a space in it, so it is taken off."""
    cells, names = line.split(), columns
    if names[-1] == "timestamp":
        cells, names = cells[:-2], names[:-1]
    if len(cells) != len(names):
        raise place.complaint(
            f"{len(cells)} columns: needed {len(names)}, which are {', '.join(names)}"
        )
    pairs = list(zip(names, cells, strict=True))
    for name, cell in pairs:
        if name == "#wrong" and cell != "N/A" and number(cell, place.at(name), RIGHT) != 0:
            raise place.at(name).refusal(cell, RIGHT)
    figures = [
        [number(cell, place.at(each), "a number of GB/s") for name, cell in pairs if name == each]
        for each in BANDWIDTHS
    ]
    by_name = dict(pairs)
    return Row(
        lambda: place,
        whole_size(by_name["size"], place.at("size")),
        count(by_name["count"], place.at("count"), "elements", 0, MOST_COUNT),
        by_name["type"],
        by_name.get("redop", ""),
        by_name.get("root", ""),
        tuple(positive(cell, place.at(name), "us") / 1e6 for name, cell in pairs if name == "time"),
        algbw_gb_per_s=figures[0][0],
        busbw_gb_per_s=figures[1][0],
    )


def _measurements(run: Run, path: Path, hints: Hints) -> list[Measurement]:
    """Return what the lines of a run say; those of 0 bytes, which move nothing, are left out."""
    rows = [row for row in run.rows if row.size_bytes]
    if not rows:
        return []
    hosts = nccl_names.ranks_of_hosts(run.hosts, run.first)
    world_size = nccl_names.world_size_of(hosts, run.processes, hints, run.first)
    if run.program:
        collective = nccl_names.program_named(run.program, run.first)
    else:
        collective = nccl_names.collective_of(rows, hints, run.first)
    nccl_names.check_busbw(rows, collective, world_size)
    return [
        Measurement(collective, time_s, path.name, row.size_bytes, world_size, place=half)
        for row in rows
        for half, time_s in zip(HALVES, row.times_s, strict=False)
    ]
