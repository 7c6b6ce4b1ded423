"""Output of `emul calibrate`: the parameters, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from emul.measured import Calibration, Log, Parameter, SiteLayout, Taken
from emul.report.documents import document
from emul.report.text_table import TextTable
from emul.topology import Document
from emul.units import counted, format_bytes

__all__ = [
    "NOT_CALIBRATED",
    "CalibrationResult",
    "calibration_document",
    "calibration_table",
    "file_line",
    "fit_words",
]


NOT_CALIBRATED = (
    "Loss, windows and delays that vary are not calibrated: the calibrated link has none."
)


@dataclass(frozen=True)
class CalibrationResult:
    """A link fitted to files of measurements.

    ``taken``: the parts read of each file. ``link``: trunk, site or node. ``base``: the topology
    that the other links are from, if any, by the name that was given. ``command``: the words of the
    command line. ``stack``: the library that it was fitted by, if any, and ``net``, its transport.
    ``unfit``: why no link follows, if none does.
    """

    taken: Mapping[Log, Sequence[Taken]]
    layout: SiteLayout
    link: str
    parameters: Sequence[Parameter]
    calibration: Calibration
    base: Document | None
    base_name: str
    warnings: Sequence[str]
    command: Sequence[str]
    stack: str = ""
    net: str = ""
    unfit: str = ""


def calibration_table(parameters: Sequence[Parameter]) -> TextTable:
    """Return a table with a line for each parameter."""
    columns = ("parameter", "value", "interval", "status", "from")
    table = TextTable(*columns, right=("value", "interval"), prose=["interval", "from"])
    for each in parameters:
        value = f"{each.value:.6g} {each.unit}"
        table.row(each.name, value, each.interval or "-", each.status, each.source)
    return table


def file_line(log: Log, taken: Sequence[Taken]) -> str:
    """Return the line that counts the measurements of a file."""
    parts = "; ".join(each.words for each in taken)
    return f"{log.path}: {log.form}, {counted(len(log.measurements), 'measurement')}: {parts}"


def fit_words(calibration: Calibration) -> str:
    """Return how well the fit matches the measurements."""
    head = counted(calibration.measurements, "measurement")
    if calibration.measurements <= calibration.parameters:
        parameters = counted(calibration.parameters, "parameter")
        return f"{head} for {parameters}, so nothing is left to check the fit by"
    return (
        f"{head}; the fit is off by {calibration.typical_error:.2%} in the median, by "
        f"{calibration.worst_error:.2%} at worst{_slices(calibration)}"
    )


def _slices(calibration: Calibration) -> str:
    if not calibration.slice_bytes:
        return ""
    return f"; rings hand on slices of {format_bytes(calibration.slice_bytes)}"


@dataclass(frozen=True, slots=True)
class CalibratedFile:
    """A file of measurements: its format, the number read from it, and their groups."""

    file: str
    format: str
    measurements: int
    taken: Sequence[Taken]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class CalibrationContents:
    """The parameters of a link, and how well they match the measurements.

    ``slice_bytes``: of the pieces in which rings hand on chunks, 0 for whole chunks.
    ``typical_error``, ``worst_error``: relative, the median and the largest.
    """

    SCHEMA: ClassVar[str] = "emul-calibrate-1"

    files: Sequence[CalibratedFile]
    link: str
    parameters: Sequence[Parameter]
    slice_bytes: int
    typical_error: float
    worst_error: float
    warnings: Sequence[str]


def calibration_document(version: str, result: CalibrationResult) -> dict[str, Any]:
    """Return the JSON document of a calibration."""
    files = [
        CalibratedFile(str(log.path), log.form, len(log.measurements), taken, log.notes)
        for log, taken in result.taken.items()
    ]
    calibration = result.calibration
    contents = CalibrationContents(
        files,
        result.link,
        result.parameters,
        calibration.slice_bytes,
        calibration.typical_error,
        calibration.worst_error,
        result.warnings,
    )
    return document(version, contents)
