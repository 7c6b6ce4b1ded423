"""The output of nccl-tests as it is printed, of versions from 2.0 on and of rccl-tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from emul.errors import EmulError
from emul.measured import nccl_names
from emul.measured.log_source import LogSource
from emul.measured.measurement import Hints, Log, Measurement
from emul.measured.nccl_columns import columns_of
from emul.measured.nccl_names import NcclRow
from emul.measured.nccl_rows import NcclTable
from emul.reading.place import Place

__all__ = ["ANCHORS", "RESULT", "is_nccl_text", "read_nccl_text"]

# GitHub takes the # off lines of a log that does not stand in a block of code.
RUN = re.compile(r"(?:#\s*)?\bnThread\s+(\d{1,6})\s+nGpus\s+(\d{1,6})\b")
RANK = re.compile(
    r"\bRank\s+(\d{1,9})\s+(?:Group\s+(\d{1,9})\s+)?Pid\s+\d+\s+on\s+(\S+)\s+device\b"
)
RANK_CUT = re.compile(r"\s*#\s+R(?:a(?:n(?:k\b.*)?)?)?\s*$")
TITLE = re.compile(r"\bin-place\b")
HEADER = re.compile(r"(?:#\s*)?\bsize\s+count\s+type\s(.*)")
UNITS = re.compile(r"\(B\)\s+\(elements\)\s.*")
END = re.compile(r"(?:#\s*)?\bAvg bus bandwidth\s*:\s*\S+")
CONCLUDED = re.compile(r"(?:#\s*)?\bCollective test concluded")
WRONG = re.compile(r"(?:#\s*)?\bOut of bounds values\s*:\s*(\d+)")
RESULT = re.compile(r"\b\d+\s+\d+\s+[a-z]\w*\s+(?:[a-z]\w*\s+)?(?:-?\d+\s+)?\d+\.\d")
"""A part of every row, also behind text that is not known."""

ANCHORS = (HEADER, RUN)
CLOSING = "the closing lines '# Out of bounds values' and '# Avg bus bandwidth'"
NO_HEADING = "rows that stand under no heading"
WAY_OUT = "or --partial, which takes the complete rows"


def is_nccl_text(source: LogSource) -> bool:
    """Say whether lines hold the head or the heading of a log of nccl-tests."""
    return any(RUN.search(line) or HEADER.search(line) for line in source.lines)


@dataclass
class NcclRun:
    """One run of a program: the words of its head, and its lines, as far as they are read.

    ``heads`` counts the processes that print a head of their own, all in one log.
    """

    first: Place
    heads: int = 0
    processes: int = 0
    program: str = ""
    ranks: list[tuple[int, int, str]] = field(default_factory=list)
    ranks_cut: list[Place] = field(default_factory=list)
    title: str = ""
    table: NcclTable | None = None
    rows: list[NcclRow] = field(default_factory=list)
    checked: bool = False
    ended: bool = False

    @property
    def begun(self) -> bool:
        """Whether something of a run was seen."""
        return bool(self.heads or self.table or self.ranks)

    def close_table(self) -> None:
        """Take the rows of the table that has come to its end."""
        if self.table:
            self.table.close()
            self.rows += self.table.rows
            self.table = None


def read_nccl_text(source: LogSource, hints: Hints) -> Log:
    """Return the measurements of a log; it may hold several runs, and lines of others among its
    own."""
    runs = list(_runs(source, hints.partial))
    measurements: list[Measurement] = []
    for number, run in enumerate(runs, start=1):
        found = _measurements(run, source, hints)
        measurements += [replace(each, run=number) for each in found] if runs[1:] else found
    if not measurements:
        raise nccl_names.no_rows(Place(source.path))
    hosts = {_hosts(run) for run in runs}
    notes = [f"{source.path.name}: {len(runs)} runs in one log"] if len(runs) > 1 else []
    form = "nccl-tests"
    return Log(source.path, form, tuple(measurements), hosts.pop() if len(hosts) == 1 else (),
               (*notes, *_unclosed(runs, source)))  # fmt: skip


def _unclosed(runs: list[NcclRun], source: LogSource) -> Iterator[str]:
    for run in runs:
        if not (run.ended and run.checked):
            yield (
                f"{source.path.name}: the run of line {run.first.line} lacks {CLOSING}; its "
                f"{len(run.rows)} complete rows are taken"
            )


def _runs(source: LogSource, partial: bool) -> Iterator[NcclRun]:
    """Yield the runs of a log, each of which must have come to its end."""
    run, program = NcclRun(Place(source.path, 1)), ""
    closings = sum(1 for line in source.lines if END.search(line))
    heads = sum(1 for line in source.lines if RUN.search(line))
    for place, line in source.numbered():
        named = None if CONCLUDED.search(line) else nccl_names.PROGRAM.search(line)
        program = named[1] if named else program
        begins = RUN.search(line)
        mixed = run.begun and closings > heads
        if begins and not mixed:
            if run.begun:
                yield _closed(run, place, partial)
            run = NcclRun(place)
        if begins:
            run.heads, heads = run.heads + 1, heads - 1
            run.processes = int(begins[1]) * int(begins[2])
        _read_line(run, line, place, source, partial)
        run.program = program
        if END.search(line):
            run.ended, closings = True, closings - 1
            yield _closed(run, place, partial)
            run, program = NcclRun(place), ""
    if run.begun:
        yield _closed(run, source.end, partial)


def _closed(run: NcclRun, place: Place, partial: bool) -> NcclRun:
    """Return a run at its end; one that has not come to its closing lines is refused."""
    run.close_table()
    _check_processes(run)
    if not run.ended and not partial:
        raise place.complaint(f"the log ends early: needed {CLOSING}, {WAY_OUT}")
    if not run.checked and not partial:
        raise place.complaint(f"no line '# Out of bounds values': needed the whole log, {WAY_OUT}")
    return run


def _check_processes(run: NcclRun) -> None:
    """Refuse the log of several processes that do not know of each other."""
    numbers = [number for number, _, _ in run.ranks]
    times = max(run.heads, numbers.count(0))
    if times > 1:
        world = max(1, len(set(numbers)))
        raise run.first.complaint(
            f"{times} processes print into this log, each rank 0 of a world of its own of {world} "
            f"rank{'s' if world > 1 else ''}: needed the log of one world (nccl-tests built with "
            "MPI=1, or a file for each run)"
        )


def _read_line(run: NcclRun, line: str, place: Place, source: LogSource, partial: bool) -> None:
    ranks, header = RANK.findall(line), HEADER.search(line)
    if ranks:
        run.ranks += [(int(rank), int(group or 0), host) for rank, group, host in ranks]
    elif RANK_CUT.match(line):
        run.ranks_cut.append(place)
    elif header:
        run.close_table()
        names = ["size", "count", "type", *header[1].split()]
        hosts = [host for _, _, host in run.ranks]
        columns = columns_of(names, run.title, place)
        run.table = NcclTable(source, columns, hosts, partial)
    elif TITLE.search(line):
        run.title = line
    elif run.table:
        run.table.read(_of_table(run, run.table, line, place), place)
    elif WRONG.search(line):
        _of_closing(run, line, place)
    elif RESULT.search(line):
        source.leave_out(place.line, NO_HEADING)


def _of_table(run: NcclRun, table: NcclTable, line: str, place: Place) -> str:
    """Return the part of a line that belongs to the rows: behind the units, before the closing."""
    if UNITS.search(line):
        return _behind_units(table, line, place)
    return _of_closing(run, line, place)


def _of_closing(run: NcclRun, line: str, place: Place) -> str:
    """Return the part of a line before the closing lines, having read whether all is right."""
    wrong, end = WRONG.search(line), END.search(line)
    if wrong:
        _check_wrong(int(wrong[1][:18]), place)
        run.checked = True
    return line[: min(match.start() for match in (wrong, end) if match)] if wrong or end else line


def _check_wrong(wrong: int, place: Place) -> None:
    if wrong:
        raise place.refusal(wrong, "0 values out of bounds, for only what is right counts")


def _behind_units(table: NcclTable, line: str, place: Place) -> str:
    """Return the text behind the units, which must be bytes, microseconds and GB/s."""
    found = UNITS.search(line)
    needed = ["(B)", "(elements)"]
    for name in table.columns.names:
        if name in ("time", "i_min", "i_max", "i_p99"):
            needed.append("(us)")
        elif name in ("algbw", "busbw"):
            needed.append("(GB/s)")
    units = found[0].split() if found else []
    came = [unit for unit in units if unit.startswith("(") and unit != "(%)"]
    if came != needed:
        raise place.refusal(" ".join(came), f"the units {' '.join(needed)}")
    behind = line[line.rindex(")") + 1 :]
    return behind if table.pattern.search(behind) else ""


def _hosts(run: NcclRun) -> tuple[int, ...]:
    """Return the ranks of each host, of nothing where not all lines of ranks can be read."""
    hosts = [(group, host) for _, group, host in run.ranks]
    return () if _missing_rank(run) else nccl_names.ranks_of_hosts(hosts, run.first)


def _missing_rank(run: NcclRun) -> EmulError | None:
    """Return the error for a rank whose line cannot be read; the lines give the world size."""
    numbers = {number for number, _, _ in run.ranks}
    missing = [number for number in range(len(numbers)) if number not in numbers]
    if run.ranks_cut:
        return run.ranks_cut[0].complaint(
            "a line of a rank that is not complete: needed '# Rank ... Pid ... on ... device', or "
            "--world-size"
        )
    if missing:
        return run.first.complaint(
            f"rank {missing[0]} is not listed among {len(numbers)}: needed a line for each rank, "
            "or --world-size"
        )
    return None


def _measurements(run: NcclRun, source: LogSource, hints: Hints) -> tuple[Measurement, ...]:
    """Return the measurements of a run; lines of 0 bytes, which move nothing, are left out."""
    rows = [row for row in run.rows if row.size_bytes]
    if not rows:
        return ()
    missing = _missing_rank(run)
    if missing and not hints.world_size:
        raise missing
    world_size = nccl_names.world_size_of(_hosts(run), run.processes, hints, run.first)
    if run.program:
        collective = nccl_names.program_named(run.program, run.first)
    else:
        collective = nccl_names.collective_of(rows, world_size, hints, run.first)
    nccl_names.check_bandwidths(rows, collective, world_size)
    nccl_names.check_columns(rows, collective, run.first)
    if not run.checked:
        nccl_names.check_errors(rows, world_size)
    return nccl_names.measurements_of(rows, collective, world_size, source.path.name)
