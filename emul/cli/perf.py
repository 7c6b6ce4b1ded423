"""``emul perf``: a sweep over sizes, printed as nccl-tests prints it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emul.cli.params import INTERRUPTED, Dilation, Real, Size, Whole
from emul.cli.terminal import complain, console, say

if TYPE_CHECKING:
    from emul.cli.sweep import Sweep
    from emul.report import PerfRow
    from emul.world import World

__all__ = ["perf"]

WRONG_OR_LATE = 1
MOST_SIZES = 10_000
"""Of one table: more lines than anybody waits for."""

NEXT_RANK = 1
"""Where send_recv sends to, as in nccl-tests."""


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
@click.option("--json", "json_path", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the lines as JSON.")  # fmt: skip
@click.option("--nccl-json", "nccl_json_path", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the JSON of nccl-tests (-J).")  # fmt: skip
def perf(
    collective: str | None, json_path: Path | None, nccl_json_path: Path | None, **asked: Any
) -> None:
    """Run a collective over a range of sizes, wait for its links, and check every element.

    COLLECTIVE is all_reduce, reduce_scatter, all_gather, broadcast, reduce, all_to_all, gather,
    scatter or send_recv (every rank to the next); by default all_reduce, or the one that a plan in
    FILE.xml computes. Sizes may end in K, M or G for powers of 1024. The exit status is 1 when an
    element is wrong, --strict is not met, or by a defect of emul a time is below its bound.
    """
    from emul.cli.sweep import Sweep
    from emul.files import check_outputs
    from emul.report import PerfTable

    outputs = {"--json": json_path, "--nccl-json": nccl_json_path}
    check_outputs(outputs, [asked["topology"], asked["algorithm"], asked["stack"]])
    _check_sizes(asked)
    if asked["no_data"] and asked["clock"] != "virtual":
        raise click.UsageError(
            f"--no-data with --clock {asked['clock']}: needed --clock virtual, for nothing is run "
            "that could be waited for"
        )
    collective, root = _collective_and_root(collective, asked)
    world = _world(asked)
    sweep = Sweep(
        world,
        collective,
        asked["algorithm"],
        asked["datatype"],
        asked["op"],
        root,
        asked["iters"],
        asked["warmup_iters"],
        asked["check"],
        asked["no_data"],
    )
    counts = _counts(sweep, asked)
    sweep.rehearse(counts)
    started = datetime.now()
    table = PerfTable(world, collective, sweep.algorithm, counts_overflow=sweep.counts_overflow)
    rows, interrupted = _print_table(sweep, table, counts)
    if rows:  # with none, a complete file of an earlier run is worth more
        missing = len(rows) < len(counts)
        _write(rows, json_path, nccl_json_path, asked, started, interrupted=missing)
    if interrupted:
        complain(f"emul perf: interrupted after {len(rows)} of {len(counts)} sizes")
        sys.exit(INTERRUPTED)
    late = _too_late(rows, asked["strict_s"])
    if late:
        complain(f"emul perf: {late}")
    if late or any(row.wrong or row.below_bound for row in rows):
        sys.exit(WRONG_OR_LATE)


def _collective_and_root(collective: str | None, asked: dict[str, Any]) -> tuple[str, int]:
    """Return the collective and its root, from the options or from the plan's file."""
    from emul.plans import is_plan_file, read_plan

    root = asked["root"]
    if is_plan_file(asked["algorithm"]):
        plan = read_plan(asked["algorithm"])
        collective = collective or plan.collective
        root = plan.root if root is None or collective == "send_recv" else root
    elif collective == "send_recv":
        root = NEXT_RANK
    return collective or "all_reduce", root or 0


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


def _world(asked: dict[str, Any]) -> World:
    """Return the World that was asked for, without the effects that are to be left out."""
    from emul.links import EFFECTS
    from emul.ops import AUTO_BACKEND, best_backend
    from emul.stacks.profile import load_stack
    from emul.timing import UNLIMITED, Slicing
    from emul.topology import load
    from emul.world import World

    stack = load_stack(asked["stack"])
    if asked["no_window"] and stack.slice_bytes:
        stack = replace(stack, slots=UNLIMITED)
    slots = UNLIMITED if asked["no_window"] else asked["slots"]
    backend = asked["backend"]
    if backend == AUTO_BACKEND and not asked["no_data"]:
        backend = best_backend()
    return World(
        load(asked["topology"]).without([each for each in EFFECTS if asked[_switch(each)]]),
        backend=backend,
        clock=asked["clock"],
        dilation=asked["dilation"],
        seed=asked["seed"],
        slicing=Slicing(asked["slice_bytes"], slots) if asked["slice_bytes"] else None,
        start_s=asked["start_s"],
        stack=stack,
    )


def _switch(effect: str) -> str:
    """Return the name of the option that turns an effect off."""
    return "zero_latency" if effect == "latency" else f"no_{effect}"


def _check_sizes(asked: dict[str, Any]) -> None:
    first, last = asked["minbytes"], asked["maxbytes"]
    if first < 1:
        raise click.UsageError(f"-b {first}: needed at least 1 byte")
    if first > last:
        raise click.UsageError(f"-b {first} is above -e {last}: needed the smaller size first")
    if asked["stepbytes"] is not None and asked["stepbytes"] < 1:
        raise click.UsageError(f"-i {asked['stepbytes']}: needed at least 1 byte")
    number = 1 + (last - first) // (asked["stepbytes"] or last)
    if number > MOST_SIZES:
        raise click.UsageError(
            f"-b {first} -e {last} -i {asked['stepbytes']}: {number} sizes: needed at most "
            f"{MOST_SIZES}, by a larger -i or by -f"
        )


def _counts(sweep: Sweep, asked: dict[str, Any]) -> list[int]:
    """Return the counts to run; refuse options that cannot be met at the largest."""
    from emul.cli.sweep import sizes
    from emul.errors import unknown_name
    from emul.ops import REDUCTIONS

    if sweep.op not in REDUCTIONS:
        raise unknown_name("op", sweep.op, REDUCTIONS)
    wanted = sizes(
        asked["minbytes"], asked["maxbytes"], step=asked["stepbytes"], factor=asked["stepfactor"]
    )
    counts = sweep.counts(wanted)
    sweep.check_feasible(counts[-1])
    return counts


def _print_table(sweep: Sweep, table: Any, counts: list[int]) -> tuple[list[PerfRow], bool]:
    """Print head, lines, foot and words; return the rows, and whether it was interrupted."""
    from emul import __version__

    rows: list[PerfRow] = []
    try:
        say(*table.head(__version__, sweep.how))
        for number, count in enumerate(counts, start=1):
            with _progress(f"size {number} of {len(counts)}") as advance:
                row = sweep.row(count, advance)
            rows.append(row)
            say(table.line(row))
        say(*table.foot(rows, sweep.lag), *_words(sweep, rows, counts[-1]))
    except KeyboardInterrupt:
        return rows, True
    return rows, False


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


def _write(
    rows: list[PerfRow],
    json_path: Path | None,
    nccl_json_path: Path | None,
    asked: dict[str, Any],
    started: datetime,
    *,
    interrupted: bool,
) -> None:
    from emul import __version__
    from emul.report import json_document, nccl_document, write_json

    if json_path is not None:
        write_json(json_path, json_document(__version__, rows, interrupted=interrupted))
    if nccl_json_path is None:
        return
    step = {"step_bytes": asked["stepbytes"]}
    if asked["stepbytes"] is None:
        step = {"step_factor": asked["stepfactor"]}
    config = {
        "nthreads": 1,
        "ngpus": rows[0].world_size,
        "minimum_bytes": asked["minbytes"],
        "maximum_bytes": asked["maxbytes"],
        **step,
        "warmup_iters": asked["warmup_iters"],
        "iterations": asked["iters"],
        "aggregated_iterations": 1,
        "validation": asked["check"],
        "graph": 0,
    }
    stamps = tuple(f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (started, datetime.now()))
    document = nccl_document(
        rows,
        args=sys.argv,
        config=config,
        times=(stamps[0], stamps[1]),
        interrupted=interrupted,
    )
    write_json(nccl_json_path, document)
