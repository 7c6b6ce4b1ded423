"""The page of ``emul validate``: how far predictions are from measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from emul.drawing.scales import decimal_ticks, even_ticks
from emul.report.html.assumptions import counted_by_status, of_stack
from emul.report.html.cells import microseconds
from emul.report.html.chart import ChartAxis, Series, chart
from emul.report.html.page import Assumptions, Figure, Origin, Page, Section, Table, Words, table
from emul.report.validation import ValidationResult, summary_cells
from emul.stacks import Stack
from emul.units import counted, format_bytes, format_time
from emul.validation import Predicted, Summary, summary_of
from emul.validation.summary import errors_by, errors_by_delay

__all__ = ["validation_page"]

BAND = 0.1
"""Of the picture: predictions this near to the measured time."""

MOST_WORST = 20
MOST_NOTES = 40
LEAST_ERROR = 1e-4
"""Smaller errors are drawn as this, for a logarithmic axis has no 0."""

SUMMARY = ("rows", "median", "90th percentile", "worst", "within 10%", "textbook: median",
           "textbook: 90th percentile", "textbook: within 10%")  # fmt: skip

ROWS = ("line", "software", "collective", "algorithm", "ranks", "placement", "one-way delay",
        "rate (Mbit/s)", "size (B)", "measured (us)", "predicted (us)", "error", "binding",
        "textbook (us)", "its error")  # fmt: skip
ROW_TEXTS = ("software", "collective", "algorithm", "placement", "binding")


def validation_page(result: ValidationResult, origin: Origin) -> Page:
    """Return the page of predictions beside measurements."""
    model, textbook = summary_of(result.predictions)
    rows = counted(model.rows, "measured collective")
    return Page(
        f"How far can predictions be trusted, by {rows}?",
        _answer(model, textbook),
        tuple(_sections(result.predictions, result.stacks, result.fitted)),
        origin,
        f"Interrupted after {counted(model.rows, 'row')}: the others are missing."
        if result.interrupted
        else "",
    )


def _answer(model: Summary, textbook: Summary) -> str:
    return (
        f"Half of the predictions are within {model.median:.1%} of the measured time, nine in ten "
        f"within {model.p90:.1%}, and the worst is off by {model.worst:.1%}; by the textbook "
        f"formula, half are within {textbook.median:.1%} and nine in ten within {textbook.p90:.1%}."
    )


def _sections(
    predictions: Sequence[Predicted], stacks: Sequence[Stack], fitted: bool
) -> Iterator[Section]:
    yield _scatter(predictions)
    yield _distribution(predictions)
    yield from _by_kind(predictions)
    worst = sorted(predictions, key=lambda each: -abs(each.error))[:MOST_WORST]
    yield _rows(f"The {len(worst)} farthest off", worst)
    yield _rows("All rows", predictions)
    notes = list(dict.fromkeys(note for each in predictions for note in each.notes))
    if notes:
        yield Words("Notes", tuple(f"{note[:1].upper()}{note[1:]}." for note in notes[:MOST_NOTES]))
    yield _assumptions(stacks, fitted)


def _scatter(predictions: Sequence[Predicted]) -> Figure:
    """Return predicted over measured times, and those of the textbook."""
    model = tuple((each.row.measured_s, each.predicted_s) for each in predictions)
    textbook = tuple(
        (each.row.measured_s, each.textbook_s) for each in predictions if each.textbook_s > 0
    )
    within = sum(abs(each.error) <= BAND for each in predictions)
    return Figure(
        "Predicted over measured",
        chart(
            ChartAxis("measured", format_time, decimal_ticks),
            ChartAxis("predicted", format_time, decimal_ticks),
            [
                Series("textbook: alpha + beta x size", textbook, "crosses", 2),
                Series("emul", model, "dots", 1),
            ],
            diagonal=BAND,
        ),
        f"{within} of {len(predictions)} predictions are within {BAND:.0%} of the measured time.",
        f"On the line both are equal; in the grey band the prediction is within {BAND:.0%}. Both "
        "axes are logarithmic.",
    )


def _distribution(predictions: Sequence[Predicted]) -> Figure:
    """Return which part of the predictions has at most each error."""
    by_model = _shares(abs(each.error) for each in predictions)
    by_textbook = _shares(abs(each.textbook_error) for each in predictions)
    model, textbook = summary_of(predictions)
    return Figure(
        "Errors",
        chart(
            ChartAxis("error, of the measured time", _percent, decimal_ticks),
            ChartAxis("part of the predictions", _percent, even_ticks, is_log=False),
            [
                Series("emul", by_model, "curve", 1),
                Series("textbook", by_textbook, "dashed", 2),
            ],
        ),
        f"The error of emul is {model.median:.1%} in the median and {model.p90:.1%} at the 90th "
        f"percentile; of the textbook {textbook.median:.1%} and {textbook.p90:.1%}.",
        "The part of all predictions whose error is at most so large: the farther to the left, "
        "the better.",
    )


def _shares(errors: Iterable[float]) -> tuple[tuple[float, float], ...]:
    ordered = sorted(max(error, LEAST_ERROR) for error in errors)
    shares = {error: (at + 1) / len(ordered) for at, error in enumerate(ordered)}
    return tuple(shares.items())


def _percent(part: float) -> str:
    return f"{part * 100:.4g}%"


def _summary(
    title: str,
    name: str,
    groups: Mapping[Any, tuple[Summary, Summary]],
    predictions: Sequence[Predicted],
    said: Callable[[Any], str] = str,
) -> Table:
    """Return the errors of ``groups``, whose keys are ``said`` in words, and of all rows."""
    rows = [(said(key), *summary_cells(*both)) for key, both in groups.items()]
    rows.append(("all", *summary_cells(*summary_of(predictions))))
    return table(title, (name, *SUMMARY), rows, texts=(name,))


def _by_kind(predictions: Sequence[Predicted]) -> Iterator[Table]:
    """Yield the errors by delay, collective, software and size."""
    by_delay = errors_by_delay(predictions)
    by_collective = errors_by(lambda each: each.row.collective, predictions)
    by_software = errors_by(lambda each: each.row.sw, predictions)
    by_size = errors_by(lambda each: each.row.nbytes, predictions)
    yield _summary("By one-way delay", "one-way delay", by_delay, predictions, format_time)
    yield _summary("By collective", "collective", by_collective, predictions)
    yield _summary("By software", "software", by_software, predictions)
    yield _summary("By size", "size (B)", by_size, predictions, _size)


def _size(nbytes: int) -> str:
    return f"{nbytes:,} ({format_bytes(nbytes)})"


def _rows(title: str, predictions: Sequence[Predicted]) -> Table:
    return table(title, ROWS, map(_row, predictions), texts=ROW_TEXTS)


def _row(each: Predicted) -> tuple[str, ...]:
    row = each.row
    return (
        str(row.place.line),
        row.sw,
        row.collective,
        row.algorithm,
        str(row.ranks),
        row.placement,
        format_time(row.delay_s),
        f"{row.rate_bytes_per_s * 8 / 1e6:g}" if row.rate_bytes_per_s else "-",
        f"{row.nbytes:,}",
        microseconds(row.measured_s),
        microseconds(each.predicted_s),
        f"{each.error:+.1%}",
        each.binding,
        microseconds(each.textbook_s),
        f"{each.textbook_error:+.1%}",
    )


def _assumptions(stacks: Sequence[Stack], fitted: bool) -> Assumptions:
    placed = [of_stack(stack) for stack in stacks]
    remarks = [
        "Predictions rest on measurements of the links (ping and iperf3), and on the numbers of "
        "the software below.",
        "The error is the predicted time over the measured one, less one.",
        "The textbook formula is that of Hockney, with the one-way delay as alpha and the rate as "
        "beta.",
    ]
    if fitted:
        remarks.append(
            "Constants of the software were fitted to the rows without shaping, so that the errors "
            "of those rows say less."
        )
    counted = counted_by_status(placed)
    return Assumptions(
        "Assumptions and sources", tuple([*remarks, counted] if counted else remarks), tuple(placed)
    )
