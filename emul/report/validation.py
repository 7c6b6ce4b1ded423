"""Predicted beside measured: table, JSON and picture of ``emul validate``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emul.errors import FileError, MissingLibraryError
from emul.report.documents import document
from emul.report.files import write_file
from emul.report.text_table import TextTable
from emul.units import format_bytes, format_time
from emul.validation import Predicted, Summary, summary_of
from emul.validation.summary import errors_by_delay

__all__ = [
    "ValidationResult",
    "save_picture",
    "validation_document",
    "validation_summary",
    "validation_table",
]

SCHEMA = "emul-validate-1"
COLUMNS = ("sw", "collective", "algorithm", "ranks", "placement", "delay", "rate", "size",
           "measured", "predicted", "error", "binding", "textbook", "its error")  # fmt: skip
TEXTS = ("sw", "collective", "algorithm", "placement", "binding")


@dataclass(frozen=True)
class ValidationResult:
    """The rows that were predicted, in input order, at least one.

    ``command``: the words of the command line. ``interrupted``: whether rows are missing.
    """

    predictions: Sequence[Predicted]
    command: Sequence[str]
    interrupted: bool = False


def validation_table(predictions: Iterable[Predicted]) -> TextTable:
    """Return a table with a line for each row."""
    table = TextTable(*COLUMNS, right=[each for each in COLUMNS if each not in TEXTS])
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
        table.row(format_time(delay_s), *_figures(*both))
    table.row("all", *_figures(*summary_of(predictions)))
    return table


def _figures(model: Summary, textbook: Summary) -> list[str]:
    return [
        str(model.rows),
        f"{model.median:.2%}",
        f"{model.p90:.2%}",
        f"{model.worst:.1%}",
        f"{model.within_10_percent:.0%}",
        f"{textbook.median:.1%}",
        f"{textbook.p90:.1%}",
        f"{textbook.within_10_percent:.0%}",
    ]


def validation_document(
    version: str, predictions: Sequence[Predicted], *, interrupted: bool = False
) -> dict[str, Any]:
    """Return the rows in input order and their summary, for programs."""
    contents = {
        "rows": [_row(each) for each in predictions],
        "summary": {
            **_both(*summary_of(predictions)),
            "by_delay": [
                {"delay_s": delay_s, **_both(*both)}
                for delay_s, both in errors_by_delay(predictions).items()
            ],
        },
    }
    return document(SCHEMA, version, contents, interrupted=interrupted)


def _both(model: Summary, textbook: Summary) -> dict[str, Any]:
    return {**asdict(model), "textbook": asdict(textbook)}


def _row(each: Predicted) -> dict[str, Any]:
    row = each.row
    return {
        "line": row.place.line,
        "sw": row.sw,
        "variant": row.variant,
        "collective": row.collective,
        "algorithm": row.algorithm,
        "ranks": row.ranks,
        "placement": row.placement,
        "delay_s": row.delay_s,
        "rate_bytes_per_s": row.rate_bytes_per_s,
        "shape": row.shape,
        "size_bytes": row.nbytes,
        "link": row.link,
        "measured_s": row.measured_s,
        "predicted_s": each.predicted_s,
        "error": each.error,
        "binding": each.binding,
        "textbook_s": each.textbook_s,
        "textbook_error": each.textbook_error,
        "notes": list(each.notes),
    }


def check_picture(path: Path) -> None:
    """Raise MissingLibraryError without Matplotlib, FileError for a form that it does not draw."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        raise MissingLibraryError("--plot needs Matplotlib: pip install '.[plot]'") from None
    forms = Figure().canvas.get_supported_filetypes()
    if _form(path) not in forms:
        raise FileError(f"--plot {path}: needed a name that ends in .{', .'.join(sorted(forms))}")


def _form(path: Path) -> str:
    return path.suffix.removeprefix(".").lower()


def save_picture(path: Path, predictions: Sequence[Predicted]) -> None:
    """Draw predicted over measured, and the textbook's, into the file at ``path``.

    Raises FileError; ``check_picture`` says before whether it can be drawn.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    measured = [each.row.measured_s for each in predictions]
    ends = [min(measured) / 2, max(measured) * 2]
    axes.plot(ends, ends, color="black", linewidth=0.8, label="predicted = measured")
    axes.fill_between(
        ends, [end / 1.1 for end in ends], [end * 1.1 for end in ends], color="0.88", label="±10 %"
    )
    axes.scatter(
        measured, [each.textbook_s for each in predictions], s=10, color="tab:orange", marker="x",
        label="textbook: alpha + beta S",
    )  # fmt: skip
    axes.scatter(
        measured, [each.predicted_s for each in predictions], s=12, color="tab:blue", label="emul"
    )
    axes.set(
        xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal",
        xlabel="measured (s)", ylabel="predicted (s)",
        title=f"{len(predictions)} collectives, predicted from their links",
    )  # fmt: skip
    axes.legend(loc="upper left")
    write_file(path, lambda file: figure.savefig(file, format=_form(path), dpi=120))
