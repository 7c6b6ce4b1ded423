"""From a file to its measurements: the format follows from the content, never from the name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emul.errors import EmulError
from emul.measured import csv_table, iperf, nccl_json, nccl_text, osu, ping
from emul.measured.json_documents import START, documents_of
from emul.measured.log_source import LogSource
from emul.measured.measurement import Hints, Log, Measurement
from emul.measured.neighbours import neighbour_of
from emul.measured.prefixes import plain_lines, streams_of
from emul.reading.bounded_text import lines_of, text_of
from emul.reading.json_text import JsonText
from emul.reading.place import Place

__all__ = ["FORMATS", "read_measurements"]

FORMATS = (
    "the output of nccl-tests (as printed, or JSON by -J), of the OSU micro-benchmarks, of "
    "iperf3 -J or of ping, or a CSV with named columns"
)
JSON_FIRST = re.compile(r"\s*(?:\{|\[\s*[{\]])")
NOT_TEXT = "\ufffd"
STRANGER = "results whose line does not begin as the others do"
LONGEST_LINE = 2_000
"""Characters of a line, far more than any format here prints."""
LONG = f"more than {LONGEST_LINE} characters"
NO_JSON = "text that is not JSON"


@dataclass(frozen=True)
class Format:
    """A format of lines: the marks that tell it, and its reader.

    ``anchors`` find where its lines begin behind a prefix, ``result`` a part of every line of
    results.
    """

    anchors: Sequence[re.Pattern[str]]
    result: re.Pattern[str]
    knows: Callable[[LogSource], bool]
    read: Callable[[LogSource, Hints], Log]


OF_LINES = (
    Format(nccl_text.ANCHORS, nccl_text.RESULT, nccl_text.is_nccl_text, nccl_text.read_nccl_text),
    Format(osu.ANCHORS, osu.RESULT, osu.is_osu, osu.read_osu),
    Format(ping.ANCHORS, ping.RESULT, ping.is_ping, ping.read_ping),
    Format(csv_table.ANCHORS, csv_table.RESULT, csv_table.is_csv, csv_table.read_csv),
)
"""In the order in which they are tried."""


def read_measurements(path: Path, hints: Hints | None = None) -> Log:
    """Return the log in the file at ``path``; ``hints`` are facts that the user adds.

    Raises MeasurementError, with line and column, when the file cannot be read, is of no known
    format, is cut short, or holds a number that cannot be one.
    """
    hints = hints or Hints()
    text = text_of(path)
    lines = plain_lines(lines_of(text))
    log = None if JSON_FIRST.match("\n".join(lines)) else _of_lines(lines, path, hints)
    log = log or _of_json(lines, path, hints)
    if log is None:
        raise _unknown(lines, path)
    bad = text.count(NOT_TEXT)
    notes = [f"{path.name}: {bad} characters are not UTF-8 and were passed over"] if bad else []
    return replace(log, notes=(*log.notes, *notes))


def _of_lines(lines: list[str], path: Path, hints: Hints) -> Log | None:
    """Return the logs of all processes in a file of lines; None if it is of no format."""
    long = [number for number, line in enumerate(lines, start=1) if len(line) > LONGEST_LINE]
    lines = [line if len(line) <= LONGEST_LINE else "" for line in lines]
    for form in OF_LINES:
        logs: list[Log] = []
        for prefix, found, strangers in streams_of(lines, form.anchors):
            source = LogSource(path, found, prefix)
            if form.knows(source):
                for number in strangers if not logs else []:
                    if form.result.search(lines[number - 1]):
                        source.leave_out(number, STRANGER)
                source.left_out += [(number, LONG) for number in long if not logs]
                log = form.read(source, hints)
                logs.append(replace(log, notes=(*log.notes, *source.notes())))
        if logs:
            return _together(logs)
    return None


def _of_json(lines: list[str], path: Path, hints: Hints) -> Log | None:
    """Return the log of the JSON documents of a file, None if there are none."""
    source = _json_source(lines, path)
    documents, strangers = documents_of("\n".join(source.lines), path)
    if not documents:
        return None
    for number in strangers:
        source.leave_out(number, NO_JSON)
    logs = [_read_document(document, path, hints) for document in documents]
    several = [f"{path.name}: {len(logs)} documents, each with its results"] if logs[1:] else []
    log = _together(logs)
    return replace(log, notes=(*several, *log.notes, *source.notes()))


def _json_source(lines: list[str], path: Path) -> LogSource:
    """Return the lines of JSON without the prefix that stands before the first brace."""
    starts = ((i, match.start()) for i, line in enumerate(lines) if (match := START.search(line)))
    first, at = next(starts, (0, 0))
    before = lines[first][:at]
    if not before.strip():
        return LogSource(path, lines)
    anchor = re.compile(rf"(?<={re.escape(before)}){START.pattern}")
    prefix, rest, _ = streams_of(lines, [anchor])[0]
    if not prefix:
        rest = [*lines[:first], lines[first][at:], *lines[first + 1 :]]
    return LogSource(path, rest, prefix)


def _read_document(document: JsonText, path: Path, hints: Hints) -> Log:
    if nccl_json.is_nccl_json(document):
        return nccl_json.read_nccl_json(document, path, hints)
    if iperf.is_iperf(document):
        return iperf.read_iperf(document, path)
    raise document.place(()).complaint(f"JSON of an unknown format: needed {FORMATS}")


def _together(logs: Sequence[Log]) -> Log:
    """Return the logs of one file as one."""
    if len(logs) == 1:
        return logs[0]
    hosts = {log.ranks_of_hosts for log in logs}
    return Log(
        logs[0].path,
        " and ".join(dict.fromkeys(log.form for log in logs)),
        _numbered(logs),
        hosts.pop() if len(hosts) == 1 else (),
        tuple(dict.fromkeys(note for log in logs for note in log.notes)),
    )


def _numbered(logs: Sequence[Log]) -> tuple[Measurement, ...]:
    """Return the measurements of all logs, with their runs counted over all of them."""
    runs: dict[tuple[int, int], int] = {}
    return tuple(
        replace(each, run=runs.setdefault((i, each.run), len(runs) + 1))
        for i, log in enumerate(logs)
        for each in log.measurements
    )


def _unknown(lines: list[str], path: Path) -> EmulError:
    """Return the error for a file of no format that is read, with the name of its own if known."""
    known = neighbour_of(lines)
    if known:
        name, needed, number = known
        return Place(path, number).complaint(f"this is the output of {name}: needed {needed}")
    return Place(path).complaint(f"unknown format: needed {FORMATS}")
