"""``emul validate MEASURED.csv --links LINKS.csv``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED, Real
from emul.cli.terminal import complain, console, print_wide, say, say_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emul.report.validation import ValidationResult
    from emul.stacks import Stack
    from emul.validation import MeasuredLinks, MeasuredRow, Predicted, Predictor, Summary

__all__ = ["validate"]

BOUND_BROKEN = 1


def _write_json(path: Path, result: ValidationResult) -> None:
    from emul import __version__
    from emul.report.documents import write_json
    from emul.report.validation import validation_document

    document = validation_document(__version__, result.predictions, interrupted=result.interrupted)
    write_json(path, document)


def _draw(path: Path, result: ValidationResult) -> None:
    from emul.report.validation import save_picture

    save_picture(path, result.predictions)


def _check_picture(path: Path) -> None:
    from emul.report.validation import check_picture

    check_picture(path)


FILES: Outputs[ValidationResult] = Outputs(
    Output("--json", "Write rows and summary as JSON.", _write_json),
    Output("--plot", "Draw predicted over measured (.png, .svg, .pdf; Matplotlib).", _draw,
           _check_picture),
)  # fmt: skip


@click.command()
@click.argument("measured", type=click.Path(path_type=Path), metavar="MEASURED.csv")
@click.option("--links", type=click.Path(path_type=Path), required=True, metavar="LINKS.csv",
              help="What was measured of the links alone: ping and iperf3.")  # fmt: skip
@click.option("--stack", metavar="NAME|FILE",
              help="The stack of all rows (default: that of each row's sw).")  # fmt: skip
@click.option("--calibrate", is_flag=True,
              help="First fit constants of stacks to the rows without shaping.")  # fmt: skip
@click.option("--min-delay", "min_delay_us", type=Real(0), default=0.0, metavar="US",
              help="Leave out rows with a shorter one-way delay.")  # fmt: skip
@click.option("--summary", "only_summary", is_flag=True, help="Do not print the rows.")
@click.option("--max-median", type=Real(0), metavar="PART",
              help="Exit with 1 when the median error is larger, as in 0.04.")  # fmt: skip
@click.option("--max-p90", type=Real(0), metavar="PART",
              help="Exit with 1 when the 90th percentile of the errors is larger.")  # fmt: skip
@FILES.options
def validate(
    measured: Path,
    links: Path,
    stack: str | None,
    calibrate: bool,
    min_delay_us: float,
    only_summary: bool,
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
    from emul.validation import read_links, read_measured, summary_of

    FILES.check(asked, (measured, links, stack or ""))
    all_rows, table = read_measured(measured), read_links(links)
    rows = [row for row in all_rows if row.delay_s * 1e6 >= min_delay_us]
    if not rows:
        raise click.UsageError(f"no row has a one-way delay of {min_delay_us:g} us or more")
    predictor = _predictor(all_rows, table, load_stack(stack) if stack else None, calibrate)
    predictions, interrupted = _predict(rows, predictor)
    if not predictions:
        sys.exit(INTERRUPTED)
    _print(predictions, only_summary)
    FILES.write(asked, ValidationResult(predictions, sys.argv, interrupted=interrupted))
    model, _ = summary_of(predictions)
    broken = _broken(model, max_median, max_p90)
    if interrupted:
        sys.exit(INTERRUPTED)
    if broken:
        sys.exit(BOUND_BROKEN)


def _predictor(
    rows: Sequence[MeasuredRow], table: MeasuredLinks, stack: Stack | None, calibrate: bool
) -> Predictor:
    """Return the predictor of rows; ``calibrate`` fits its constants to the unshaped rows."""
    from emul.validation import Predictor
    from emul.validation.constants import calibrated_stacks

    predictor = Predictor(table, stack)
    if not calibrate:
        return predictor
    fitted = calibrated_stacks(rows, table, predictor)
    for name, each in fitted.items():
        constants = each.constants
        say(
            f"# {name}, fitted to the rows without shaping: call {constants.call_s * 1e6:.1f} us, "
            f"message {constants.message_s * 1e6:.1f} us, control {constants.control_s * 1e6:.1f} "
            f"us, completion {constants.completion_s * 1e6:.1f} us, byte "
            f"{constants.byte_s * 1e9:.3f} ns"
        )
    return Predictor(table, fitted.get(stack.name, stack) if stack else None, fitted)


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


def _print(predictions: Sequence[Predicted], only_summary: bool) -> None:
    from emul.report.validation import validation_summary, validation_table

    if not only_summary:
        print_wide(validation_table(predictions))
    print_wide(validation_summary(predictions))
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
