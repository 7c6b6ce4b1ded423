"""The pages that commands write with ``--report``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from emul.cli.progress import progress

if TYPE_CHECKING:
    from emul.report import PerfResult
    from emul.report.calibration_words import CalibrationResult
    from emul.report.explanation import ExplainResult
    from emul.report.training import TrainResult
    from emul.report.tuning import TuneResult
    from emul.report.validation import ValidationResult
    from emul.runtime.alternatives import Alternative

__all__ = [
    "write_calibration_report",
    "write_explain_report",
    "write_perf_report",
    "write_train_report",
    "write_tune_report",
    "write_validation_report",
]


def write_perf_report(path: Path, result: PerfResult) -> None:
    """Write the page of a sweep; the changes are worked out for it.

    An interrupt then leaves out the other changes, and goes on when the page is written.
    """
    from emul import __version__
    from emul.report.html import Origin, PerfFindings, perf_page, write_report
    from emul.units import counted

    changes: list[Alternative] = []
    interrupt = None
    said = ""
    if result.interrupted:
        said = f"Interrupted after {counted(len(result.rows), 'size')}: the larger ones are missing"
        said += ", and no change was tried."
    else:
        try:
            _try_changes(result, changes)
        except KeyboardInterrupt as caught:
            interrupt = caught
            said = f"Interrupted after {counted(len(changes), 'change')}: the others are missing."
    findings = PerfFindings(
        result.world,
        result.rows,
        result.largest,
        closing=result.closing,
        changes=changes,
        document=result.document,
        overflow=result.overflow,
    )
    origin = Origin.of(__version__, result.command, result.ended)
    write_report(path, perf_page(findings, origin, interrupted=said))
    if interrupt is not None:
        raise interrupt


def _try_changes(result: PerfResult, changes: list[Alternative]) -> None:
    """Add the changes one by one, with progress on a terminal."""
    with progress("report") as advance:
        advance("what changes would bring")
        for each in result.alternatives():
            changes.append(each)
            advance(each.change)


def write_explain_report(path: Path, result: ExplainResult) -> None:
    """Write the page of the explanations of a collective."""
    from emul import __version__
    from emul.report.html import Origin, explain_page, write_report

    origin = Origin.of(__version__, result.command, datetime.now())
    write_report(path, explain_page(result, origin))


def write_train_report(path: Path, result: TrainResult) -> None:
    """Write the page of a training step by some methods."""
    from emul import __version__
    from emul.report.html import Origin, train_page, write_report

    origin = Origin.of(__version__, result.command, datetime.now())
    write_report(path, train_page(result, origin))


def write_tune_report(path: Path, result: TuneResult) -> None:
    """Write the page of a search over settings and upgrades."""
    from emul import __version__
    from emul.report.html import Origin, tune_page, write_report

    origin = Origin.of(__version__, result.command, datetime.now())
    write_report(path, tune_page(result, origin))


def write_validation_report(path: Path, result: ValidationResult) -> None:
    """Write the page of predictions beside measurements."""
    from emul import __version__
    from emul.report.html import Origin, validation_page, write_report

    origin = Origin.of(__version__, result.command, datetime.now())
    write_report(path, validation_page(result, origin))


def write_calibration_report(path: Path, result: CalibrationResult) -> None:
    """Write the page of a calibration."""
    from emul import __version__
    from emul.report.html import Origin, calibration_page, write_report

    origin = Origin.of(__version__, result.command, datetime.now())
    write_report(path, calibration_page(result, origin))
