"""Does the same work with emul and with others, and prints both side by side.

    python -m bench peers --out bench/results/peers.json

The arithmetic: an all_reduce of 8 rows of 64 MiB of float32, against scaling the same bytes in
place right before and after. The scheduling: a ring all_reduce over 64 ranks, chunk by chunk. A
peer that is not installed is skipped, with the reason. Times are of the wall clock, since some
peers are many processes: the least of several counts, and on a machine that is not idle even that
says little.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.measuring import ROOT, repeated, roof
from bench.peers.protocol import Ring, Rows
from bench.worlds import WORKERS

TIME_LIMIT_S = 300
MPIRUN = (
    *("mpirun", "--oversubscribe", "--allow-run-as-root", "--bind-to", "none"),
    *("--mca", "pml", "ob1", "--mca", "btl", "self,vader"),
)
ARITHMETIC = {
    **{f"emul, {backend}": ("emul_call", backend) for backend in WORKERS},
    **{f"emul, {backend}, in place": ("emul_call", f"{backend}:in-place") for backend in WORKERS},
    **{f"emul, {backend}, one thread": ("emul_one_thread", backend) for backend in WORKERS},
    "textbook ring in NumPy": ("textbook",),
    "JAX, host devices": ("jax_devices",),
    "PyTorch, stack and sum": ("torch_stack",),
    "PyTorch, gloo": ("torch_gloo",),
    "Open MPI": ("mpi_ranks",),
}
SCHEDULING = {
    "emul": ("emul_scheduler",),
    "heapq": ("heapq_ring",),
    "SimPy": ("simpy_ring",),
    "SimGrid": ("simgrid_ring",),
}
ONE_PER_PROCESS = ("simgrid_ring",)

Row = dict[str, Any]


def answer(module: str, arguments: list[str], launcher: list[str]) -> Row:
    """Return the answer of a peer, or why it is skipped."""
    if launcher and shutil.which(launcher[0]) is None:
        return {"skipped": f"{launcher[0]} is not installed"}
    command = [*launcher, sys.executable, "-m", f"bench.peers.{module}", *arguments]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {"skipped": f"took longer than {TIME_LIMIT_S} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    skipped = [line for line in lines if '"skipped"' in line]
    if skipped or (done.returncode == 0 and lines):  # mpirun fails when its processes end early
        found: Row = json.loads((skipped or lines)[-1])
        return found
    last = (done.stderr.strip().splitlines() or ["no output"])[-1]
    raise SystemExit(f"bench.peers: {module} ended with exit status {done.returncode}: {last}")


def roof_s(rows: Rows) -> float:
    """Return the least wall-clock seconds of scaling all rows in place, one thread."""
    calibration = roof(rows.ranks * rows.row_bytes)
    return min(repeated(calibration.work, 3)) * 2 * rows.ranks * rows.row_bytes / calibration.nbytes


def arithmetic(rows: Rows, told: Callable[[str, Row], None]) -> list[Row]:
    """Return a row for each peer that reduces, with rates counted as 2 N S bytes."""
    found, nbytes = [], 2 * rows.ranks * rows.row_bytes
    for name, (module, *more) in ARITHMETIC.items():
        launcher = [*MPIRUN, "-n", str(rows.ranks)] if module == "mpi_ranks" else []
        before_s = roof_s(rows)
        row = {"peer": name, **answer(module, [*rows.arguments, *more], launcher)}
        if "seconds" in row:
            least_s, around_s = min(row["seconds"]), min(before_s, roof_s(rows))
            row |= {
                "least_s": least_s,
                "median_s": statistics.median(row["seconds"]),
                "GB_per_s": nbytes / least_s / 1e9,
                "roof_GB_per_s": nbytes / around_s / 1e9,
                "of_roof": around_s / least_s,
            }
        told(name, row)
        found.append(row)
    return found


def scheduling(ring: Ring, told: Callable[[str, Row], None]) -> list[Row]:
    """Return a row for each peer that schedules."""
    found = []
    for name, (module,) in SCHEDULING.items():
        times = ring.repeats if module in ONE_PER_PROCESS else 1
        answers = [answer(module, ring.arguments, []) for _ in range(times)]
        row = {"peer": name, **answers[0]}
        if "seconds" in row:
            row["seconds"] = [second for each in answers for second in each["seconds"]]
            least_s = min(row["seconds"])
            row |= {
                "least_s": least_s,
                "median_s": statistics.median(row["seconds"]),
                "transfers_per_s": ring.transfers / least_s,
            }
        told(name, row)
        found.append(row)
    return found


def with_ours_over(rows: list[Row], figure: str) -> list[Row]:
    """Return ``rows`` with how many times as fast as each the best of emul is."""
    ours = max(row[figure] for row in rows if row["peer"].startswith("emul"))
    return [
        {**row, "emul_times_as_fast": ours / row[figure]} if figure in row else row for row in rows
    ]


def table(title: str, rows: list[Row], columns: dict[str, str]) -> Table:
    """Return the rows as a table; ``columns``: figure and format."""
    found = Table(title=title, title_justify="left", box=None, pad_edge=False)
    found.add_column("peer", no_wrap=True)
    for name in columns:
        found.add_column(name.replace("_", " "), justify="right")
    found.add_column("configured", overflow="fold")
    for row in rows:
        figures = [
            format(row[name], form) if name in row else "-" for name, form in columns.items()
        ]
        found.add_row(
            row["peer"], *figures, row.get("configured", f"skipped: {row.get('skipped')}")
        )
    return found


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command line to ``parser``."""
    parser.add_argument("--mib", type=int, default=64, help="of each row (default %(default)s)")
    parser.add_argument("--repeats", type=int, default=7, help="default %(default)s")
    parser.add_argument("--ring", type=int, default=64, help="ranks to schedule for")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print two tables; return the figures."""
    rows, ring = Rows(8, options.mib << 20, options.repeats), Ring(options.ring, 4000, 5)

    def told(name: str, row: Row) -> None:
        print(f"{name}: {row.get('skipped', 'measured')}", file=sys.stderr, flush=True)

    reduced = with_ours_over(arithmetic(rows, told), "GB_per_s")
    scheduled = with_ours_over(scheduling(ring, told), "transfers_per_s")
    console = Console(width=None if sys.stdout.isatty() else 160)
    forms = {"least_s": ".4f", "GB_per_s": ".2f", "of_roof": ".3f", "emul_times_as_fast": ".2f"}
    console.print(table(f"all_reduce of 8 x {options.mib} MiB float32", reduced, forms))
    forms = {"least_s": ".4f", "transfers_per_s": ".3g", "emul_times_as_fast": ".3g"}
    console.print(
        table(f"ring over {ring.ranks} ranks: {ring.transfers} transfers", scheduled, forms)
    )
    return {
        "arithmetic": {
            "ranks": 8,
            "row_bytes": rows.row_bytes,
            "dtype": "float32",
            "rows": reduced,
        },
        "scheduling": {
            "ranks": ring.ranks,
            "chunk_bytes": ring.chunk_bytes,
            "transfers": ring.transfers,
            "total_ps": ring.total_ps,
            "rows": scheduled,
        },
    }
