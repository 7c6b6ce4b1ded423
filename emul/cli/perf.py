"""``emul perf``: a sweep over sizes, printed as nccl-tests prints it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.outputs import Output, Outputs
from emul.cli.params import INTERRUPTED, Dilation, Real, Size, Whole
from emul.cli.terminal import complain, console, say

if TYPE_CHECKING:
    from emul.cli.sweep import Sweep
    from emul.report import PerfResult, PerfRow

__all__ = ["perf"]

WRONG_OR_LATE = 1


def _write_json(path: Path, result: PerfResult) -> None:
    from emul import __version__
    from emul.report import json_document, write_json

    write_json(path, json_document(__version__, result.rows, interrupted=result.interrupted))


def _write_nccl_json(path: Path, result: PerfResult) -> None:
    from emul.report import nccl_document, write_json

    write_json(path, nccl_document(result))


FILES: Outputs[PerfResult] = Outputs(
    Output("--json", "Write the lines as JSON.", _write_json),
    Output("--nccl-json", "Write the JSON of nccl-tests (-J).", _write_nccl_json),
)


@click.command()
@click.argument("collective", required=False)
@click.option("-b", "--minbytes", type=Size(), default="8", help="First size.", show_default=True)
@click.option("-e", "--maxbytes", type=Size(), default="32M", help="Last size.", show_default=True)
@click.option("-i", "--stepbytes", type=Size(), help="Add this to each size, instead of -f.")
@click.option("-f", "--stepfactor", type=Whole(2), default=2, show_default=True,
              help="Multiply each size by this.")  # fmt: skip
@click.option("-d", "--datatype", default="float32", show_default=True,
              help="Element type, also by the names of nccl-tests (float, half, ...).")  # fmt: skip
@click.option("-o", "--op", default="sum", show_default=True, help="sum, prod, min, max or avg.")
@click.option(
    "-r",
    "--root",
    type=Whole(0),
    show_default="0, or that of FILE.xml",
    help="Of broadcast, reduce, gather, scatter.",
)
@click.option("-n", "--iters", type=Whole(1), default=20, show_default=True,
              help="Timed runs per size; the one with the median lag is shown.")  # fmt: skip
@click.option("-w", "--warmup-iters", type=Whole(0), default=5, show_default=True,
              help="Runs per size before those.")  # fmt: skip
@click.option("-c", "--check", type=Whole(0), default=1, show_default=True,
              help="Runs per size whose every element is checked.")  # fmt: skip
@click.option("--topology", default="three-campus", show_default=True, metavar="NAME|FILE",
              help="A preset (see emul topology list) or a TOML file.")  # fmt: skip
@click.option("--algorithm", default="auto", show_default=True,
              help="A name, auto for the quickest by the model, or FILE.xml, a plan.")  # fmt: skip
@click.option("--stack", default="ideal", show_default=True, metavar="NAME|FILE",
              help="Whose messages: ideal, nccl, gloo, openmpi, or a profile in TOML. "
                   "auto is then that library's algorithm.")  # fmt: skip
@click.option("--backend", default="auto", show_default=True,
              help="cpu, numpy, cupy (on a GPU), or auto: the GPU if it can compute, else cpu; "
                   "see emul info.")  # fmt: skip
@click.option("--clock", default="wall", show_default=True,
              help="wall: wait for the links. virtual: only compute the time.")  # fmt: skip
@click.option("--no-data", is_flag=True,
              help="Only model the time, without arrays, on the virtual clock: for worlds of "
                   "hundreds of thousands of ranks.")  # fmt: skip
@click.option("--dilation", type=Dilation(), default="1", show_default=True,
              help="Stretch modelled time by this on the wall clock; auto finds it by a short "
                   "rehearsal.")  # fmt: skip
@click.option("--strict", "strict_s", type=Real(0), metavar="SECONDS",
              help="Fail when a timed call ends later than this after its moment.")  # fmt: skip
@click.option("--slice", "slice_bytes", type=Size(), default="512K", show_default=True,
              help="Send chunks on in pieces of this size; 0 for whole chunks.")  # fmt: skip
@click.option("--slots", type=Whole(1), default=8, show_default=True,
              help="Slices in flight on a connection.")  # fmt: skip
@click.option("--zero-latency", is_flag=True, help="No distance between the ranks.")
@click.option("--no-window", is_flag=True, help="Any number of bytes and slices in flight.")
@click.option("--no-gap", is_flag=True, help="Nothing between the slices of a stream.")
@click.option("--no-loss", is_flag=True, help="No packet is lost.")
@click.option("--no-jitter", is_flag=True, help="Every message takes the same time.")
@click.option("--no-queue", is_flag=True, help="No packets of others in front, no pauses.")
@click.option("--no-load", is_flag=True, help="The whole rate, whatever others take of it.")
@click.option("--no-outage", is_flag=True, help="Trunks are never down.")
@click.option("--start", "start_s", type=Real(0), default=0.0, show_default=True,
              metavar="SECONDS", help="When calls begin, where trunks change.")  # fmt: skip
@click.option("--seed", type=Whole(0), default=0, show_default=True,
              help="Of the data, and of whatever links do by chance.")  # fmt: skip
@FILES.options
def perf(**asked: Any) -> None:
    """Run a collective over a range of sizes, wait for its links, and check every element.

    COLLECTIVE is all_reduce, reduce_scatter, all_gather, broadcast, reduce, all_to_all, gather,
    scatter or send_recv (every rank to the next); by default all_reduce, or the one that a plan in
    FILE.xml computes. Sizes may end in K, M or G for powers of 1024. The exit status is 1 when an
    element is wrong, --strict is not met, or by a defect of emul a time is below its bound.
    """
    from emul.cli.perf_setup import check_asked, counts_of, sweep_of

    FILES.check(asked, [asked["topology"], asked["algorithm"], asked["stack"]])
    check_asked(asked)
    sweep = sweep_of(asked)
    counts = counts_of(sweep, asked)
    sweep.rehearse(counts)
    started = datetime.now()
    rows, words, interrupted = _print_table(sweep, counts)
    if rows:  # with none, a complete file of an earlier run is worth more
        FILES.write(asked, _result(sweep, counts, rows, words, asked, started))
    if interrupted:
        complain(f"emul perf: interrupted after {len(rows)} of {len(counts)} sizes")
        sys.exit(INTERRUPTED)
    late = _too_late(rows, asked["strict_s"])
    if late:
        complain(f"emul perf: {late}")
    if late or any(row.wrong or row.below_bound for row in rows):
        sys.exit(WRONG_OR_LATE)


def _result(
    sweep: Sweep,
    counts: list[int],
    rows: list[PerfRow],
    words: list[str],
    asked: dict[str, Any],
    started: datetime,
) -> PerfResult:
    """Return the rows that are done with all that the files tell of them."""
    from emul.cli.perf_setup import nccl_config
    from emul.report import PerfResult

    return PerfResult(
        sweep.world,
        rows,
        lambda at: sweep.predict(sweep.world, counts[at]),
        words,
        sweep.lag,
        sys.argv,
        nccl_config(asked, sweep.world.size),
        started,
        datetime.now(),
        interrupted=len(rows) < len(counts),
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


def _print_table(sweep: Sweep, counts: list[int]) -> tuple[list[PerfRow], list[str], bool]:
    """Print head, lines, foot and words; return rows and words, and if it was interrupted."""
    from emul import __version__
    from emul.report import PerfTable

    rows: list[PerfRow] = []
    words: list[str] = []
    table = PerfTable(
        sweep.world, sweep.collective, sweep.algorithm, counts_overflow=sweep.counts_overflow
    )
    try:
        say(*table.head(__version__, sweep.how))
        for number, count in enumerate(counts, start=1):
            with _progress(f"size {number} of {len(counts)}") as advance:
                row = sweep.row(count, advance)
            rows.append(row)
            say(table.line(row))
        words = _words(sweep, rows, counts[-1])
        say(*table.foot(rows, sweep.lag), *words)
    except KeyboardInterrupt:
        return rows, words, True
    return rows, words, False


def _words(sweep: Sweep, rows: list[PerfRow], count: int) -> list[str]:
    """Return the lines below the table: about the largest size, and elements that overflowed."""
    from emul.report import closing_words, overflow_words

    here = sweep.predict(sweep.world, count)
    words = closing_words(sweep.world, here, sweep.in_one_place(count))
    return [*words, overflow_words(rows, sweep.op)] if sweep.may_overflow else words


@contextmanager
def _progress(task: str) -> Iterator[Callable[[str], None]]:
    """Show the progress on a terminal, in a line that goes away."""
    if not sys.stderr.isatty():
        yield lambda doing: None
        return
    from rich.live import Live

    # Refreshed by hand: a refreshing thread would take time from what is measured.
    shown = console(stderr=True)
    with Live(task, console=shown, auto_refresh=False, transient=True) as live:
        yield lambda doing: live.update(f"{task}: {doing}", refresh=True)
