"""What `emul calibrate` prints and writes: its parameters, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from emul.measured import Calibration, Log, Parameter
from emul.report.documents import environment
from emul.units import format_bytes

__all__ = ["calibration_document", "calibration_table", "fit_words"]

SCHEMA = "emul-calibrate-1"


def calibration_table(parameters: Sequence[Parameter]) -> Table:
    """Return a table with a line for each parameter."""
    table = Table("parameter", box=box.SIMPLE)
    for column in ("value", "interval"):
        table.add_column(column, justify="right")
    for column in ("status", "from"):
        table.add_column(column)
    for each in parameters:
        value = f"{each.value:.6g} {each.unit}"
        table.add_row(each.name, value, each.interval or "-", each.status, each.source)
    return table


def fit_words(calibration: Calibration) -> str:
    """Return how well the fit matches what was measured."""
    found = calibration
    head = f"{found.measurements} measurement{'s' if found.measurements > 1 else ''}"
    if found.measurements <= found.parameters:
        return f"{head} for {found.parameters} parameters, so nothing is left to check the fit by"
    return (
        f"{head}; the fit is off by {found.typical_error:.2%} in the median, by "
        f"{found.worst_error:.2%} at worst{_slices(found)}"
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
