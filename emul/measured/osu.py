"""The output of the OSU micro-benchmarks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from emul.errors import MeasurementError
from emul.measured.forms import WINDOW_MESSAGES
from emul.measured.log_source import LogSource
from emul.measured.measurement import MESSAGE, WINDOW, Hints, Log, Measurement
from emul.reading.place import Place
from emul.reading.values import (
    NUMBER,
    ROW,
    positive,
    rounding,
    whole_size,
)

__all__ = ["ANCHORS", "RESULT", "is_osu", "read_osu"]

TITLE = re.compile(r"(?:#\s*)?\bOSU (MPI|NCCL|RCCL|OpenSHMEM|UPC\S*|OSHM\S*)(\S*) (.+?) Test\b")
HEADING = re.compile(r"(?:#\s*)?\bSize\s+[A-Z(]")
PAIRS = re.compile(r"\[ pairs: (\d{1,9}) \]\s*\[ window size: (\d{1,9}|varied) \]")
RESULT = re.compile(r"(?<![\w.])\d+\s+\d+\.\d\d(?:\s+\d+\.\d\d)*\s*$", re.ASCII)
"""A part of every line of results, also behind text that is not known."""

ANCHORS = (TITLE, HEADING)
ONE_SIDED = re.compile(r"_(?:Put|Get|Acc|Fetch|Compare)|\b(?:Put|Get|mem(?:put|get)|Atomic)", re.I)
LIBRARIES = ("MPI", "NCCL", "RCCL")

BYTES_PER_MB = 1e6
"""OSU's MB (util/osu_util_mpi.c)."""
ALIKE = 0.01
LONGEST_SIZE = 19
NO_RESULT = "text that is no line of results"
CUT = "results that are not complete"


@dataclass(frozen=True, slots=True)
class OsuTest:
    """The measure of a test: ``kind``; ``blocks`` where its size is the size of a rank's block.

    ``directions``: how many streams the bandwidth is the sum of, 0 where a time is printed.
    ``pairs``: whether several pairs of ranks run at once.
    """

    kind: str
    blocks: bool = False
    directions: int = 0
    pairs: bool = False


TESTS: Mapping[str, OsuTest] = MappingProxyType(
    {
        "Latency": OsuTest(MESSAGE),
        "Multi Latency": OsuTest(MESSAGE, pairs=True),
        "Bandwidth": OsuTest(WINDOW, directions=1),
        "Bi-Directional Bandwidth": OsuTest(WINDOW, directions=2),
        "Multiple Bandwidth / Message Rate": OsuTest(WINDOW, directions=1, pairs=True),
        "Allreduce Latency": OsuTest("all_reduce"),
        "Broadcast Latency": OsuTest("broadcast"),
        "Reduce Latency": OsuTest("reduce"),
        "Allgather Latency": OsuTest("all_gather", blocks=True),
        "Reduce_scatter Latency": OsuTest("reduce_scatter"),
        "All-to-All Personalized Exchange Latency": OsuTest("all_to_all", blocks=True),
        "Gather Latency": OsuTest("gather", blocks=True),
        "Scatter Latency": OsuTest("scatter", blocks=True),
    }
)
"""By the words between "OSU MPI" and "Test"."""
OLD_NAMES = {"Bidirectional Bandwidth": "Bi-Directional Bandwidth"}

COLUMN = re.compile(r"(?:(?:Avg|Min|Max) )?[A-Z][a-z]+ ?\([^)]*\)|\S+")
TIMES = ("Latency (us)", "Avg Latency(us)", "Latency(us)")
RATES = ("Bandwidth (MB/s)", "MB/s")
MESSAGES = "Messages/s"


def is_osu(source: LogSource) -> bool:
    """Say whether lines hold the title of a test."""
    return any(TITLE.search(line) for line in source.lines)


@dataclass
class OsuOutput:
    """One test: its columns, the pairs that run at once, and its lines of results."""

    test: OsuTest
    columns: list[str] = field(default_factory=list)
    pairs: int = 0
    rows: list[tuple[Place, list[str]]] = field(default_factory=list)


def read_osu(source: LogSource, hints: Hints) -> Log:
    """Return the measurements of an output, of one test or of several."""
    outputs: list[OsuOutput] = []
    if source.lines[-1].strip() and not hints.partial:
        raise source.end.refusal(
            source.lines[-1].strip(),
            "a whole output; this line has no end, so its number may be cut (--partial takes the "
            "lines before it)",
        )
    for place, line in source.numbered():
        if TITLE.search(line):
            outputs.append(OsuOutput(_test(line, place)))
        elif outputs:
            _read_line(outputs[-1], line, place, source)
    found = [each for output in outputs for each in _results(output, source, hints)]
    if not found:
        raise source.end.complaint("no line of results: needed at least one")
    notes = tuple(f"{source.path.name}: {note}" for note in _notes(outputs))
    return Log(source.path, "OSU micro-benchmarks", tuple(found), notes=notes)


def _notes(outputs: Sequence[OsuOutput]) -> list[str]:
    notes = []
    if any(each.test.kind == WINDOW and not each.test.pairs for each in outputs):
        notes.append(f"windows of {WINDOW_MESSAGES} messages, which is OSU's default")
    for each in outputs:
        if each.test.pairs:
            number = f"{each.pairs} pairs" if each.test.kind == WINDOW else "all pairs of ranks"
            notes.append(f"{number} ran at once; the numbers are those of one pair")
    return list(dict.fromkeys(notes))


def _read_line(output: OsuOutput, line: str, place: Place, source: LogSource) -> None:
    pairs = PAIRS.search(line)
    if pairs:
        _check_window(pairs[2], place)
        output.pairs = int(pairs[1])
    elif HEADING.search(line):
        output.columns = _columns(line, output.test, place)
    elif output.columns and ROW.match(line):
        output.rows.append((place, line.split()))
    elif line.strip() and (RESULT.search(line) or (output.columns and "#" not in line)):
        source.leave_out(place.line, NO_RESULT)


def _results(output: OsuOutput, source: LogSource, hints: Hints) -> list[Measurement]:
    """Return the measurements of a test; of a partial file, only its complete lines."""
    found: list[Measurement] = []
    largest = -1
    for place, cells in output.rows:
        try:
            measured = _measured(output, cells, hints, place)
            _check_whole(output, cells, largest, place, place.line == len(source.lines))
        except MeasurementError:
            if not hints.partial:
                raise
            source.leave_out(place.line, CUT)
        else:
            found += measured
            largest = int(float(cells[0]))
    return found


def _check_whole(
    output: OsuOutput, cells: list[str], largest: int, place: Place, without_end: bool
) -> None:
    """Refuse a line that may have lost its end or its beginning.

    The numbers of a test have as many digits behind the point as each other; its sizes double.
    """
    rows = [row for _, row in output.rows]
    finest = min(digits for row in rows if (digits := _digits(row)))
    if without_end or _digits(cells) > finest:
        needed = "as many digits as in the other lines, and an end; this line may be cut"
        raise place.refusal(" ".join(cells), needed)
    doubled = 2 * sum(_is_power(row[0]) for row in rows) > len(rows)
    if int(float(cells[0])) <= largest or (doubled and not _is_power(cells[0])):
        needed = f"a size above {largest}, and of powers of two one; this line may be cut"
        raise place.at("Size").refusal(cells[0], needed)


def _is_power(size: str) -> bool:
    """Say whether a size is 0 or a power of two: the benchmarks double it from line to line."""
    return size.isdecimal() and len(size) <= LONGEST_SIZE and (int(size) & (int(size) - 1)) == 0


def _digits(cells: list[str]) -> float:
    """Return the rounding of the number of a line, which all lines of a test share; 0 of none."""
    return rounding(cells[1]) if len(cells) > 1 and NUMBER.fullmatch(cells[1]) else 0.0


def _check_window(messages: str, place: Place) -> None:
    if messages != str(WINDOW_MESSAGES):
        raise place.refusal(
            f"window size: {messages}", f"windows of {WINDOW_MESSAGES} messages (-W), the default"
        )


def _test(line: str, place: Place) -> OsuTest:
    title = line.strip("# \t")
    name = TITLE.search(line)
    library, of_library, words = (name[1], name[2], name[3]) if name else ("", "", "")
    if ONE_SIDED.search(f"{of_library} {words}"):
        raise place.refusal(
            title, "a test in which both ranks take part (this one is one-sided: put, get, ...)"
        )
    found = TESTS.get(OLD_NAMES.get(words, words))
    if found is None or library not in LIBRARIES or of_library.startswith("_"):
        known = ", ".join(TESTS)
        raise place.refusal(title, f"one of the tests {known} of {', '.join(LIBRARIES)}")
    return found


def _columns(line: str, test: OsuTest, place: Place) -> list[str]:
    """Return the names of the columns; the second must be the measure of the test."""
    heading = line[line.index("Size") :].strip()
    known = RATES if test.directions else TIMES
    names = re.split(r"\s{2,}|\t", heading)
    if len(names) < 2:  # where somebody has put single spaces between the columns
        names = COLUMN.findall(heading)
    if len(names) < 2 or names[1] not in known:
        raise place.complaint(
            f"columns {', '.join(names)}: needed Size and then {' or '.join(known)}"
        )
    return names


def _measured(output: OsuOutput, cells: list[str], hints: Hints, place: Place) -> list[Measurement]:
    """Return the measurements of a line: none where its size is 0 and a bandwidth is printed."""
    columns, test = output.columns, output.test
    if len(cells) != len(columns):
        raise place.complaint(
            f"{len(cells)} columns: needed {len(columns)}, which are {', '.join(columns)}"
        )
    size_bytes = whole_size(cells[0], place.at(columns[0]))
    if columns[-1] == "Validation" and cells[-1] != "Pass":
        raise place.at("Validation").refusal(cells[-1], "Pass, for only what is right counts")
    if test.directions:
        return _window(output, cells, size_bytes, place) if size_bytes else []
    source = place.file_name
    time_s = positive(cells[1], place.at(columns[1]), "us") / 1e6
    if test.kind == MESSAGE:
        return [Measurement(MESSAGE, time_s, source, size_bytes, how="two-sided")]
    if hints.world_size < 2:
        raise place.complaint(
            "the output does not say how many ranks took part: needed --world-size"
        )
    whole_bytes = size_bytes * hints.world_size if test.blocks else size_bytes
    return [Measurement(test.kind, time_s, source, whole_bytes, hints.world_size)]


def _window(
    output: OsuOutput, cells: list[str], size_bytes: int, place: Place
) -> list[Measurement]:
    """Return the time of a window of one pair, from the rate of all of them together."""
    columns, test = output.columns, output.test
    rate = positive(cells[1], place.at(columns[1]), "MB/s") * BYTES_PER_MB
    if MESSAGES in columns:
        _check_messages(cells, columns, size_bytes, rate, place)
    if test.pairs and not output.pairs:
        raise place.complaint("no line '# [ pairs: ... ] [ window size: ... ]': needed the number")
    pairs = output.pairs if test.pairs else 1
    time_s = WINDOW_MESSAGES * test.directions * pairs * size_bytes / rate
    how = "both ways at once" if test.directions > 1 else "one way"
    return [Measurement(WINDOW, time_s, place.file_name, size_bytes, how=how)]


def _check_messages(
    cells: list[str], columns: list[str], size_bytes: int, rate: float, place: Place
) -> None:
    """Refuse a line whose messages per second do not fit its bytes per second."""
    cell = cells[columns.index(MESSAGES)]
    messages = positive(cell, place.at(MESSAGES), "messages/s")
    slack = (rounding(cells[1]) * BYTES_PER_MB + rounding(cell) * size_bytes) + ALIKE * rate
    if abs(messages * size_bytes - rate) > slack:
        raise place.at(MESSAGES).refusal(
            cell, f"{rate / size_bytes:.2f}, the messages of {size_bytes} B in {cells[1]} MB/s"
        )
