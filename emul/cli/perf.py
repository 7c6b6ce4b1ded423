"""``emul perf``: a sweep over sizes, in the manner of nccl-tests."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli import pictures
from emul.cli.calls import (
    DATA,
    NETWORK,
    SEED,
    STEP,
    SWITCHES,
    WIRE_FORMAT,
    sizes_by_factor,
)
from emul.cli.help import Command, option, options
from emul.cli.names import BACKEND, CLOCK, COLLECTIVE
from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED, Dilation, Real, Whole
from emul.cli.places import PLACES, document_asked
from emul.cli.progress import progress
from emul.cli.reports import write_perf_report
from emul.cli.terminal import complain

if TYPE_CHECKING:
    from emul.cli.perf_sheet import PerfSheet
    from emul.cli.sweep import Sweep
    from emul.report import PerfResult, PerfRow
    from emul.report.closing import Closing, Overflow
    from emul.topology import Document

__all__ = ["perf"]

WRONG_OR_LATE = 1


def _write_json(path: Path, result: PerfResult) -> None:
    from emul import __version__
    from emul.report import perf_document, write_json

    write_json(path, perf_document(__version__, result))


def _write_nccl_json(path: Path, result: PerfResult) -> None:
    from emul.report import nccl_document, write_json

    write_json(path, nccl_document(result))


def _write_csv(path: Path, result: PerfResult) -> None:
    from emul.files import write_text
    from emul.report.documents import rows_csv

    write_text(path, rows_csv(result.rows))


FILES: Outputs[PerfResult] = Outputs(
    Output("--json", "Write the lines and all that the words say as JSON (emul schema perf).",
           _write_json),
    Output("--csv", "Write the lines as CSV, by the names of the JSON.", _write_csv),
    Output("--nccl-json", "Write the JSON of nccl-tests (-J).", _write_nccl_json),
    Output("--trace", "Write a trace of the largest size that is done: .json, .json.gz (Chrome), "
           ".pftrace or .perfetto-trace.", pictures.trace_largest, pictures.check_trace),
    Output("--plot", "Draw time over size (.png, .svg, .pdf; Matplotlib).", pictures.draw_perf,
           pictures.check_plot),
    Output("--plot-timeline", "Draw trunks and ports over time, of the largest size that is done.",
           pictures.draw_timeline, pictures.check_plot_timeline),
    Output("--report", "Write a page in HTML: the answer, pictures, changes, sources.",
           write_perf_report),
)  # fmt: skip


@click.command(
    cls=Command,
    short_help="Run a collective, time it, and say what binds it.",
    examples={
        "what three campuses cost for gradients of 64 MiB": "emul perf -b 64M -e 64M",
        "one algorithm on a topology of your own, without waiting for it": (
            "emul perf broadcast --topology campuses.toml --algorithm ring --clock virtual"
        ),
    },
    page="reading-results.md",
)
@click.argument("collective", required=False, type=COLLECTIVE)
@options(
    "Sizes",
    *sizes_by_factor("8", "32M", 2),
    STEP,
)
@options("Data", *DATA, WIRE_FORMAT, SEED)
@options("Network and algorithm", *PLACES, *NETWORK)
@options("Effects left out", *SWITCHES)
@options(
    "Runs and clock",
    option(
        "-n",
        "--iters",
        type=Whole(1),
        default=20,
        show_default=True,
        help="Timed runs per size; the one with the median lag is shown.",
    ),
    option(
        "-w",
        "--warmup-iters",
        type=Whole(0),
        default=5,
        show_default=True,
        help="Runs per size before those.",
    ),
    option(
        "-c",
        "--check",
        type=Whole(0),
        default=1,
        show_default=True,
        help="Runs per size whose every element is checked.",
    ),
    option(
        "--clock",
        type=CLOCK,
        metavar="wall|virtual",
        help="wall (the default): wait for the links. virtual (with --no-data always): only "
        "compute the time.",
    ),
    option(
        "--no-data",
        is_flag=True,
        help="Only model the time, without arrays, on the virtual clock: for worlds of "
        "hundreds of thousands of ranks.",
    ),
    option(
        "--strict-draws",
        is_flag=True,
        help="With --no-data: refuse worlds so large that one connection draws jitter, losses and "
        "waves for all that are alike.",
    ),
    option(
        "--backend",
        type=BACKEND,
        default="auto",
        show_default=True,
        help="cpu, numpy, cupy (on a GPU), or auto: the GPU if it can compute, else cpu; see "
        "emul info.",
    ),
    option(
        "--dilation",
        type=Dilation(),
        default="1",
        show_default=True,
        help="Stretch modelled time by this on the wall clock; auto finds it by a short rehearsal.",
    ),
    option(
        "--strict",
        "strict_s",
        type=Real(0),
        metavar="SECONDS",
        help="Fail when a timed call ends later than this after its moment.",
    ),
)
@options(
    "Table",
    option(
        "--wide/--narrow",
        default=None,
        help="All columns of nccl-tests and all algorithms of auto, or the columns that fit "
        "the terminal. By default wide in a pipe, narrow on a terminal.",
    ),
    option("--markdown", is_flag=True, help="Print the table and the words as Markdown."),
)
@FILES.options
def perf(**asked: Any) -> None:
    """Run a collective over a range of sizes, wait for its links, and check every element.

    COLLECTIVE is all_reduce, reduce_scatter, all_gather, broadcast, reduce, all_to_all, gather,
    scatter or send_recv (every rank to the next); by default all_reduce, or the one that a plan in
    FILE.xml computes. Names may be spelled as elsewhere: AllReduce, all-reduce, allreduce.

    Sizes may end in K, M or G for powers of 1024. The exit status is 1 when an element is wrong,
    --strict is not met, or by a defect of emul a time is below its bound.
    """
    from emul.cli.algorithms import file_read
    from emul.cli.perf_setup import check_asked, counts_of, sweep_of
    from emul.cli.perf_sheet import sheet_of

    asked["clock"] = asked["clock"] or ("virtual" if asked["no_data"] else "wall")
    FILES.check(asked, [asked["topology"] or "", file_read(asked["algorithm"]), asked["stack"]])
    check_asked(asked)
    document = document_asked(asked)
    sweep = sweep_of(asked, document.topology)
    counts = counts_of(sweep, asked)
    pictures.check_largest(asked, lambda: sweep.predict(sweep.world, counts[-1]))
    sweep.rehearse(counts)
    started = datetime.now()
    outcome = SweepOutcome()
    interrupted = _run(sweep, counts, sheet_of(sweep, counts, asked), outcome)
    if outcome.rows:  # with none, a complete file of an earlier run is worth more
        FILES.write(asked, _result(sweep, counts, outcome, asked, started, document))
    if interrupted:
        complain(f"emul perf: interrupted after {len(outcome.rows)} of {len(counts)} sizes")
        sys.exit(INTERRUPTED)
    late = _too_late(outcome.rows, asked["strict_s"])
    if late:
        complain(f"emul perf: {late}")
    if late or any(row.wrong or row.below_bound for row in outcome.rows):
        sys.exit(WRONG_OR_LATE)


@dataclass
class SweepOutcome:
    """The rows of a sweep as far as it has come, and the conclusions when it is complete."""

    rows: list[PerfRow] = field(default_factory=list)
    closing: Closing | None = None
    overflow: Overflow | None = None
    words: list[str] = field(default_factory=list)


def _run(sweep: Sweep, counts: list[int], sheet: PerfSheet, outcome: SweepOutcome) -> bool:
    """Run every size and print it, and the words; return whether it was interrupted."""
    from emul import __version__
    from emul.report.closing import closing_of, overflow_of

    try:
        sheet.head(__version__, sweep.how)
        for number, count in enumerate(counts, start=1):
            with progress(f"size {number} of {len(counts)}") as advance:
                row = sweep.row(count, advance)
            outcome.rows.append(row)
            sheet.row(row)
        here = sweep.predict(sweep.world, counts[-1])
        outcome.closing = closing_of(sweep.world, here, sweep.in_one_place(counts[-1]))
        outcome.overflow = overflow_of(outcome.rows, sweep.op) if sweep.may_overflow else None
        outcome.words = sheet.end(outcome.rows, sweep, outcome.closing, outcome.overflow)
    except KeyboardInterrupt:
        return True
    return False


def _result(
    sweep: Sweep,
    counts: list[int],
    outcome: SweepOutcome,
    asked: dict[str, Any],
    started: datetime,
    document: Document,
) -> PerfResult:
    """Return the rows that are done with all that the files tell of them."""
    from emul.cli.perf_setup import nccl_config
    from emul.report import PerfResult

    done = counts[: len(outcome.rows)]
    return PerfResult(
        sweep.world,
        outcome.rows,
        predict=lambda at: sweep.predict(sweep.world, done[at]),
        closing=outcome.closing,
        overflow=outcome.overflow,
        words=outcome.words,
        lag=sweep.lag,
        command=sys.argv,
        config=nccl_config(asked, sweep.world.size),
        started=started,
        ended=datetime.now(),
        alternatives=lambda: sweep.alternatives(done[-1]),
        document=document,
        interrupted=len(done) < len(counts),
    )


def _too_late(rows: list[PerfRow], strict_s: float | None) -> str | None:
    """Return a sentence about the size that lagged most, if the lag is beyond the bound."""
    from emul.units import format_bytes, format_time
    from emul.wall.lag import round_up

    lagging = [row for row in rows if row.lag_max_s is not None and row.lag_max_s > (strict_s or 0)]
    if strict_s is None or not lagging:
        return None
    worst = max(lagging, key=lambda row: row.lag_max_s or 0.0)
    said = (
        f"{worst.collective} of {format_bytes(worst.size_bytes)} ended up to "
        f"{format_time(worst.lag_max_s or 0.0)} behind its modelled moment: needed at most "
        f"{format_time(strict_s)} (--strict)"
    )
    enough = max(row.enough_dilation or 0.0 for row in lagging)
    if enough > worst.dilation:
        return f"{said}; --dilation {round_up(enough):g} would have been enough for the arithmetic"
    why = {
        "arithmetic": "it is modelled to take no time",
        "program": "emul itself was at something else",
        "waiting": "waits ended late",
    }
    return f"{said}; {why[worst.blame or 'waiting']}: use a quieter machine, or a larger bound"
