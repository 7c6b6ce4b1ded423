"""From a file to what it says: its format is told by its content, never by its name."""

from __future__ import annotations

import re
from pathlib import Path

from emul.measured.csv_table import is_csv, read_csv
from emul.measured.iperf import is_iperf, read_iperf
from emul.measured.json_text import JsonText
from emul.measured.measurement import Hints, Log
from emul.measured.nccl_json import is_nccl_json, read_nccl_json
from emul.measured.nccl_text import is_nccl_text, read_nccl_text
from emul.measured.osu import is_osu, read_osu
from emul.measured.ping import is_ping, read_ping
from emul.measured.refusals import Place
from emul.measured.texts import lines_of, text_of

__all__ = ["FORMATS", "read_measurements"]

FORMATS = (
    "the output of nccl-tests (as printed, or JSON by -J), of the OSU micro-benchmarks, of "
    "iperf3 -J or of ping, or a CSV with named columns"
)
IPERF_TEXT = re.compile(r"\[ *ID\] +Interval +Transfer")


def read_measurements(path: Path, hints: Hints | None = None) -> Log:
    """Return what the file at ``path`` says; ``hints`` are what the user knows beside it.

    Raises MeasurementError, with line and column, when the file cannot be read, is of no known
    format, is cut short, or holds a number that cannot be one.
    """
    hints = hints or Hints()
    text = text_of(path)
    if text.lstrip().startswith("{"):
        return _read_json(JsonText(text, path), path, hints)
    lines = lines_of(text)
    if is_nccl_text(lines):
        return read_nccl_text(text, path, hints)
    if is_osu(lines):
        return read_osu(text, path, hints)
    if is_ping(lines):
        return read_ping(text, path)
    if is_csv(lines):
        return read_csv(text, path)
    if IPERF_TEXT.search(text):
        raise Place(path).complaint("iperf3 as printed: needed its JSON (-J)")
    raise Place(path).complaint(f"unknown format: needed {FORMATS}")


def _read_json(document: JsonText, path: Path, hints: Hints) -> Log:
    if is_nccl_json(document):
        return read_nccl_json(document, path, hints)
    if is_iperf(document):
        return read_iperf(document, path)
    raise document.place(()).complaint(f"JSON of an unknown format: needed {FORMATS}")
