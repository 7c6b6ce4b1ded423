"""``emul validate MEASURED.csv --links LINKS.csv``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.calls import STACK_OPTION
from emul.cli.help import Command, option, options
from emul.cli.names import STACK, Recorded
from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED, Real, by_name
from emul.cli.pictures import check_plot
from emul.cli.reports import write_validation_report
from emul.cli.terminal import complain, console, print_table, say_each, say_fitted, terminal_width

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emul.report.validation import ValidationResult
    from emul.stacks import Stack
    from emul.validation import MeasuredLinks, MeasuredRow, Predicted, Predictor, Summary

__all__ = ["validate"]

BOUND_BROKEN = 1
NCCL = "nccl"


def _write_json(path: Path, result: ValidationResult) -> None:
    from emul import __version__
    from emul.report.documents import write_json
    from emul.report.validation import validation_document

    document = validation_document(__version__, result.predictions, interrupted=result.interrupted)
    write_json(path, document)


def _write_csv(path: Path, result: ValidationResult) -> None:
    from emul.files import write_text
    from emul.report.validation import validation_csv

    write_text(path, validation_csv(result.predictions))


def _draw(path: Path, result: ValidationResult) -> None:
    from emul.report.plot import plot_validation

    plot_validation(path, result.predictions)


FILES: Outputs[ValidationResult] = Outputs(
    Output("--json", "Write rows and summary as JSON (emul schema validate).", _write_json),
    Output("--csv", "Write the rows as CSV, by the names of the JSON.", _write_csv),
    Output("--plot", "Draw predicted over measured (.png, .svg, .pdf; Matplotlib).", _draw,
           check_plot),
    Output("--report", "Write a page in HTML: errors, pictures, sources.", write_validation_report),
)  # fmt: skip


@click.command(
    cls=Command,
    short_help="Predict measured collectives, and print the errors.",
    examples={
        "how far predictions are from what was measured": (
            "emul validate measured.csv --links links.csv --summary"
        ),
        "fail where the median error is above 4 %": (
            "emul validate measured.csv --links links.csv --max-median 0.04"
        ),
    },
    page="trust.md",
)
@click.argument("measured", type=Recorded(".csv"), metavar="MEASURED.csv")
@options(
    "Predictions",
    option(
        "--links",
        type=Recorded(".csv"),
        required=True,
        metavar="LINKS.csv",
        help="What was measured of the links alone: ping and iperf3.",
    ),
    option(
        "--stack",
        metavar="NAME|FILE",
        type=STACK,
        help="The stack of all rows (default: that of each row's sw).",
    ),
    STACK_OPTION,
    option(
        "--calibrate",
        is_flag=True,
        help="First fit constants of stacks to the rows without shaping.",
    ),
    option(
        "--min-delay",
        "min_delay_us",
        type=Real(0),
        default=0.0,
        metavar="US",
        help="Leave out rows with a shorter one-way delay.",
    ),
)
@options(
    "Bounds",
    option(
        "--max-median",
        type=Real(0),
        metavar="PART",
        help="Exit with 1 when the median error is larger, as in 0.04.",
    ),
    option(
        "--max-p90",
        type=Real(0),
        metavar="PART",
        help="Exit with 1 when the 90th percentile of the errors is larger.",
    ),
)
@options(
    "Table",
    option("--summary", "only_summary", is_flag=True, help="Do not print the rows."),
    option("--wide", is_flag=True, help="All columns, also beyond the terminal."),
)
@FILES.options
def validate(
    measured: Path,
    links: Path,
    stack: str | None,
    stack_option: tuple[str, ...],
    calibrate: bool,
    min_delay_us: float,
    only_summary: bool,
    wide: bool,
    max_median: float | None,
    max_p90: float | None,
    **asked: Any,
) -> None:
    """Predict timed collectives from measurements of their links, and print the errors.

    Columns of both files: see emul/validation/columns.py. Beside every prediction stands that
    of the textbook formula, with the one-way delay as alpha and the rate as beta.
    """
    from emul.report.validation import ValidationResult
    from emul.stacks.profile import load_stack
    from emul.stacks.transport import with_options
    from emul.validation import read_links, read_measured, summary_of

    FILES.check(asked, (measured, links, stack or ""))
    all_rows, table = read_measured(measured), read_links(links)
    rows = [row for row in all_rows if row.delay_s * 1e6 >= min_delay_us]
    if not rows:
        raise click.UsageError(f"no row has a one-way delay of {min_delay_us:g} us or more")
    options = by_name(stack_option)
    asked_stack = with_options(load_stack(stack), options) if stack else None
    of_rows = {} if stack else {NCCL: with_options(load_stack(NCCL), options)}
    predictor = _predictor(all_rows, table, asked_stack, of_rows, calibrate)
    predictions, interrupted = _predict(rows, predictor)
    if not predictions:
        sys.exit(INTERRUPTED)
    _print(predictions, only_summary, wide)
    stacks = {used.name: used for used in (predictor.stack_of(p.row) for p in predictions)}
    result = ValidationResult(
        predictions, sys.argv, interrupted, tuple(stacks.values()), fitted=bool(predictor.stacks)
    )
    FILES.write(asked, result)
    model, _ = summary_of(predictions)
    broken = _broken(model, max_median, max_p90)
    if interrupted:
        sys.exit(INTERRUPTED)
    if broken:
        sys.exit(BOUND_BROKEN)


def _predictor(
    rows: Sequence[MeasuredRow],
    table: MeasuredLinks,
    stack: Stack | None,
    stacks: dict[str, Stack],
    calibrate: bool,
) -> Predictor:
    """Return the predictor of rows, by ``stack`` or by those in ``stacks`` of their names.

    ``calibrate`` fits its constants to the unshaped rows.
    """
    from emul.validation import Predictor
    from emul.validation.constants import calibrated_stacks

    predictor = Predictor(table, stack, stacks)
    if not calibrate:
        return predictor
    fitted = calibrated_stacks(rows, table, predictor)
    for name, each in fitted.items():
        constants = each.constants
        said = (
            f"# {name}, fitted to the rows without shaping: call {constants.call_s * 1e6:.1f} us, "
            f"message {constants.message_s * 1e6:.1f} us, control {constants.control_s * 1e6:.1f} "
            f"us, completion {constants.completion_s * 1e6:.1f} us, byte "
            f"{constants.byte_s * 1e9:.3f} ns"
        )
        say_fitted([said], terminal_width())
    one = fitted.get(stack.name, stack) if stack else None
    return Predictor(table, one, {**stacks, **fitted})


def _predict(rows: Sequence[MeasuredRow], predictor: Predictor) -> tuple[list[Predicted], bool]:
    """Return the predictions, with progress on a terminal, and whether they were interrupted."""
    from rich.progress import track

    predictions: list[Predicted] = []
    shown = console(stderr=True)
    try:
        for row in track(rows, "predicting", console=shown, transient=True,
                         disable=not shown.is_terminal):  # fmt: skip
            predictions.append(predictor.predict(row))
    except KeyboardInterrupt:
        complain(f"emul: interrupted after {len(predictions)} of {len(rows)} rows")
        return predictions, True
    return predictions, False


def _print(predictions: Sequence[Predicted], only_summary: bool, wide: bool) -> None:
    from emul.report.validation import validation_summary, validation_table

    if not only_summary:
        print_table(validation_table(predictions), wide=wide)
    print_table(validation_summary(predictions), wide=wide)
    say_each("# ", (note for each in predictions for note in each.notes))


def _broken(model: Summary, max_median: float | None, max_p90: float | None) -> bool:
    """Say which stated bounds are broken, and whether any is."""
    bounds = (
        ("median error", model.median, max_median),
        ("90th percentile of the errors", model.p90, max_p90),
    )
    broken = False
    for name, value, bound in bounds:
        if bound is not None and value > bound:
            complain(f"emul: {name} {value:.2%}: needed at most {bound:.2%}")
            broken = True
    return broken
