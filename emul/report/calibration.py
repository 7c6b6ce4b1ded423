"""What `emul calibrate` prints and writes: its parameters, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from emul.measured import Calibration, Log, Parameter
from emul.report.documents import environment
from emul.report.tables import TextTable
from emul.units import format_bytes

__all__ = ["calibration_document", "calibration_table", "fit_words"]

SCHEMA = "emul-calibrate-1"


def calibration_table(parameters: Sequence[Parameter]) -> TextTable:
    """Return a table with a line for each parameter."""
    columns = ("parameter", "value", "95 % interval", "status", "from")
    table = TextTable(*columns, right=("value", "95 % interval"))
    for each in parameters:
        value = f"{each.value:.6g} {each.unit}"
        table.row(each.name, value, _interval(each), each.status, each.source)
    return table


def _interval(parameter: Parameter) -> str:
    if parameter.low is None or parameter.high is None:
        return "-"
    return f"{parameter.low:.6g} to {parameter.high:.6g}"


def fit_words(calibration: Calibration) -> str:
    """Return how well the fit matches what was measured."""
    return (
        f"{calibration.measurements} measurements; the fit is off by "
        f"{calibration.typical_error:.2%} in the median, by {calibration.worst_error:.2%} at worst"
        f"{_slices(calibration)}"
    )


def _slices(calibration: Calibration) -> str:
    if not calibration.slice_bytes:
        return ""
    return f"; rings hand on slices of {format_bytes(calibration.slice_bytes)}"


def calibration_document(
    version: str,
    logs: Sequence[Log],
    link: str,
    parameters: Sequence[Parameter],
    calibration: Calibration,
    warnings: Sequence[str],
) -> dict[str, Any]:
    """Return the JSON document of a calibration."""
    return {
        "schema": SCHEMA,
        "environment": environment(version),
        "files": [
            {
                "file": str(log.path),
                "format": log.form,
                "measurements": len(log.measurements),
                "notes": list(log.notes),
            }
            for log in logs
        ],
        "link": link,
        "parameters": [asdict(each) for each in parameters],
        "slice_bytes": calibration.slice_bytes,
        "typical_error": calibration.typical_error,
        "worst_error": calibration.worst_error,
        "warnings": list(warnings),
    }
