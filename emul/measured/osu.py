"""The output of the OSU micro-benchmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from emul.measured.forms import WINDOW_MESSAGES
from emul.measured.measurement import MESSAGE, WINDOW, Hints, Log, Measurement
from emul.measured.refusals import Place
from emul.measured.texts import ROW, lines_of, positive, whole_size

__all__ = ["is_osu", "read_osu"]

TITLE = re.compile(r"#\s*OSU (?:MPI|NCCL|OpenSHMEM|UPC)\S* (.+?)(?: Latency)? Test\b")
HEADING = re.compile(r"#\s*Size\s+\S")

BYTES_PER_MB = 1e6
"""OSU's MB (util/osu_util_mpi.c)."""


@dataclass(frozen=True, slots=True)
class Test:
    """What a test measures: ``kind``; ``blocks`` where its size is that of a rank's block.

    ``directions``: how many streams the bandwidth is the sum of, 0 where a time is printed.
    """

    kind: str
    blocks: bool = False
    directions: int = 0


TESTS: Mapping[str, Test] = MappingProxyType(
    {
        "": Test(MESSAGE),
        "Bandwidth": Test(WINDOW, directions=1),
        "Bi-Directional Bandwidth": Test(WINDOW, directions=2),
        "Allreduce": Test("all_reduce"),
        "Broadcast": Test("broadcast"),
        "Reduce": Test("reduce"),
        "Allgather": Test("all_gather", blocks=True),
        "Reduce_scatter": Test("reduce_scatter"),
        "All-to-All Personalized Exchange": Test("all_to_all", blocks=True),
        "Gather": Test("gather", blocks=True),
        "Scatter": Test("scatter", blocks=True),
    }
)
"""By what stands between "OSU MPI" and "Test", without "Latency"."""

TIMES = ("Latency (us)", "Avg Latency(us)", "Latency(us)")
RATES = ("Bandwidth (MB/s)",)


def is_osu(lines: list[str]) -> bool:
    """Say whether ``lines`` hold the title of a test."""
    return any(TITLE.search(line) for line in lines)


def read_osu(text: str, path: Path, hints: Hints) -> Log:
    """Return what an output says, of one test or of several."""
    test: Test | None = None
    columns: list[str] = []
    found: list[Measurement] = []
    lines = lines_of(text)
    if lines[-1].strip():
        raise Place(path, len(lines)).refusal(
            lines[-1].strip(), "a whole output; this line has no end, so its number may be cut"
        )
    for number, line in enumerate(lines, start=1):
        place = Place(path, number)
        if TITLE.search(line):
            test, columns = _test(line, place), []
        elif test and HEADING.search(line):
            columns = _columns(line, test, place)
        elif test and columns and ROW.match(line):
            found += _measured(test, columns, line.split(), hints, place)
    if not found:
        raise Place(path, len(lines)).complaint("no line of results: needed at least one")
    notes: tuple[str, ...] = ()
    if any(each.kind == WINDOW for each in found):
        notes = (f"{path.name}: windows of {WINDOW_MESSAGES} messages, which is OSU's default",)
    return Log(path, "OSU micro-benchmarks", tuple(found), notes=notes)


def _test(line: str, place: Place) -> Test:
    title = line.strip("# \t")
    name = TITLE.search(line)
    found = TESTS.get("" if name and name[1] == "Latency" else name[1] if name else title)
    if found is None:
        known = ", ".join(each or "Latency" for each in TESTS)
        raise place.refusal(title, f"one of the tests {known}")
    return found


def _columns(line: str, test: Test, place: Place) -> list[str]:
    """Return the names of the columns; the second must be what the test is read for."""
    names = re.split(r"\s{2,}|\t", line.strip().lstrip("# \t"))
    known = RATES if test.directions else TIMES
    if len(names) < 2 or names[1] not in known:
        raise place.complaint(
            f"columns {', '.join(names)}: needed Size and then {' or '.join(known)}"
        )
    return names


def _measured(
    test: Test, columns: list[str], cells: list[str], hints: Hints, place: Place
) -> list[Measurement]:
    """Return what a line says: nothing where its size is 0 and a bandwidth is printed."""
    if len(cells) != len(columns):
        raise place.complaint(
            f"{len(cells)} columns: needed {len(columns)}, which are {', '.join(columns)}"
        )
    size_bytes = whole_size(cells[0], place.at(columns[0]))
    if columns[-1] == "Validation" and cells[-1] != "Pass":
        raise place.at("Validation").refusal(cells[-1], "Pass, for only what is right counts")
    source = place.path.name
    if test.directions and not size_bytes:
        return []
    if test.directions:
        rate = positive(cells[1], place.at(columns[1]), "MB/s") * BYTES_PER_MB
        time_s = WINDOW_MESSAGES * test.directions * size_bytes / rate
        return [Measurement(WINDOW, time_s, source, size_bytes)]
    time_s = positive(cells[1], place.at(columns[1]), "us") / 1e6
    if test.kind == MESSAGE:
        return [Measurement(MESSAGE, time_s, source, size_bytes)]
    if hints.world_size < 2:
        raise place.complaint(
            "the output does not say how many ranks took part: needed --world-size"
        )
    whole_bytes = size_bytes * hints.world_size if test.blocks else size_bytes
    return [Measurement(test.kind, time_s, source, whole_bytes, hints.world_size)]
