"""Predicted beside measured: table and JSON of ``emul validate``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from emul.report.documents import document, rows_csv
from emul.report.text_table import TextTable
from emul.stacks import Stack
from emul.units import format_bytes, format_time
from emul.validation import Predicted, Summary, summary_of
from emul.validation.summary import errors_by_delay

__all__ = [
    "ValidationResult",
    "summary_cells",
    "validation_csv",
    "validation_document",
    "validation_summary",
    "validation_table",
]

COLUMNS = ("sw", "collective", "algorithm", "ranks", "placement", "delay", "rate", "size",
           "measured", "predicted", "error", "binding", "textbook", "its error")  # fmt: skip
TEXTS = ("sw", "collective", "algorithm", "placement", "binding")
GIVE_WAY = ("placement", "its error", "textbook", "binding", "ranks", "rate", "sw", "delay")
"""On a narrow terminal, the first one first."""


@dataclass(frozen=True)
class ValidationResult:
    """The rows that were predicted, in input order, at least one.

    ``command``: the words of the command line. ``interrupted``: whether rows are missing.
    ``stacks``: those whose messages were predicted; ``fitted``: whether constants of theirs come
    from rows that were measured without shaping.
    """

    predictions: Sequence[Predicted]
    command: Sequence[str]
    interrupted: bool = False
    stacks: Sequence[Stack] = ()
    fitted: bool = False


def validation_table(predictions: Iterable[Predicted]) -> TextTable:
    """Return a table with a line for each row."""
    right = [each for each in COLUMNS if each not in TEXTS]
    table = TextTable(*COLUMNS, right=right, give_way=GIVE_WAY)
    for each in predictions:
        row = each.row
        rate = f"{row.rate_bytes_per_s * 8 / 1e6:g} Mbit/s" if row.rate_bytes_per_s else "-"
        table.row(
            row.sw,
            row.collective,
            row.algorithm,
            str(row.ranks),
            row.placement,
            format_time(row.delay_s),
            rate,
            format_bytes(row.nbytes),
            format_time(row.measured_s),
            format_time(each.predicted_s),
            f"{each.error:+.1%}",
            each.binding,
            format_time(each.textbook_s),
            f"{each.textbook_error:+.1%}",
        )
    return table


def validation_summary(predictions: Sequence[Predicted]) -> TextTable:
    """Return the errors by one-way delay and of all rows, the model's beside the textbook's."""
    ours = ("rows", "median", "90th percentile", "worst", "within 10 %")
    figures = (*ours, "textbook: median", "90th percentile", "within 10 %")
    table = TextTable("one-way delay", *figures, right=figures)
    for delay_s, both in errors_by_delay(predictions).items():
        table.row(format_time(delay_s), *summary_cells(*both))
    table.row("all", *summary_cells(*summary_of(predictions)))
    return table


def summary_cells(model: Summary, textbook: Summary) -> list[str]:
    """Return the cells of a line of errors, the model's before those of the textbook formula."""
    return [
        f"{model.rows:,}",
        f"{model.median:.2%}",
        f"{model.p90:.2%}",
        f"{model.worst:.1%}",
        f"{model.within_10_percent:.0%}",
        f"{textbook.median:.1%}",
        f"{textbook.p90:.1%}",
        f"{textbook.within_10_percent:.0%}",
    ]


@dataclass(frozen=True, slots=True)
class ValidatedRow:
    """A measured collective and its prediction; ``line``: of the file. Errors are relative."""

    line: int
    sw: str
    variant: str
    collective: str
    algorithm: str
    ranks: int
    placement: str
    delay_s: float
    rate_bytes_per_s: float | None
    shape: str
    size_bytes: int
    link: str
    measured_s: float
    predicted_s: float
    error: float
    binding: str
    textbook_s: float
    textbook_error: float
    notes: Sequence[str]

    @classmethod
    def of(cls, each: Predicted) -> ValidatedRow:
        """Return the row of a prediction."""
        row = each.row
        return cls(
            row.place.line,
            row.sw,
            row.variant,
            row.collective,
            row.algorithm,
            row.ranks,
            row.placement,
            row.delay_s,
            row.rate_bytes_per_s,
            row.shape,
            row.nbytes,
            row.link,
            row.measured_s,
            each.predicted_s,
            each.error,
            each.binding,
            each.textbook_s,
            each.textbook_error,
            each.notes,
        )


@dataclass(frozen=True, slots=True)
class DelaySummary(Summary):
    """The errors of the rows with one one-way delay, beside those of the textbook formula."""

    textbook: Summary
    delay_s: float


@dataclass(frozen=True, slots=True)
class WholeSummary(Summary):
    """The errors of all rows, beside those of the textbook formula, and by one-way delay."""

    textbook: Summary
    by_delay: Sequence[DelaySummary]


@dataclass(frozen=True, slots=True)
class ValidationContents:
    """Predictions beside measurements, in the order of the file, and a summary of their errors."""

    SCHEMA: ClassVar[str] = "emul-validate-1"

    rows: Sequence[ValidatedRow]
    summary: WholeSummary


def validation_csv(predictions: Sequence[Predicted]) -> str:
    """Return the rows in input order as CSV."""
    return rows_csv([ValidatedRow.of(each) for each in predictions])


def validation_document(
    version: str, predictions: Sequence[Predicted], *, interrupted: bool = False
) -> dict[str, Any]:
    """Return the rows in input order and their summary, for programs."""
    by_delay = [
        DelaySummary(**asdict(model), textbook=textbook, delay_s=delay_s)
        for delay_s, (model, textbook) in errors_by_delay(predictions).items()
    ]
    model, textbook = summary_of(predictions)
    summary = WholeSummary(**asdict(model), textbook=textbook, by_delay=by_delay)
    rows = [ValidatedRow.of(each) for each in predictions]
    return document(version, ValidationContents(rows, summary), interrupted=interrupted)
