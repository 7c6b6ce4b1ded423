"""Resident memory and time of long programs: synchronous calls one after the other.

    python -m bench memory --calls 1000000

The calls are all_reduces of 3 x 8 ranks without data, on links without a memory and on links with
one. Resident memory is noted after a tenth of the calls, when all that is kept is there, and at the
end: it must not have grown. On Linux.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from emul import NoData, World

__all__ = ["add_options", "measure"]

TOPOLOGIES = ("one-campus", "three-campus-dark-fibre")
CALLS = 100_000
MOST_GROWTH = 0.02
"""Of the resident memory: the allocator keeps a page more or less."""


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def carry_out(world: World, calls: int) -> None:
    """Let compute and a synchronous call of all ranks follow each other."""
    x = NoData(1 << 18, "float32")
    for _ in range(calls):
        world.compute(1e-4)
        world.all_reduce(x, algorithm="hierarchical")


def row(topology: str, calls: int) -> dict[str, Any]:
    """Return the figures of so many calls on a topology."""
    world = World(topology)
    started_bytes, started = resident_bytes(), time.process_time()
    carry_out(world, calls // 10)
    early_bytes = resident_bytes()
    carry_out(world, calls - calls // 10)
    late_bytes, taken_s = resident_bytes(), time.process_time() - started
    assert world.history[-1].number == calls - 1, "not all calls were carried out"
    return {
        "topology": topology,
        "calls": calls,
        "processor_s": taken_s,
        "resident_at_start": started_bytes,
        "resident_after_a_tenth": early_bytes,
        "resident_at_end": late_bytes,
        "grew": late_bytes / early_bytes - 1,
        "reached": late_bytes <= early_bytes * (1 + MOST_GROWTH),
    }


def in_a_process(topology: str, calls: int) -> dict[str, Any]:
    """Return the same of a new process, in which nothing is kept of others."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(row, topology, calls).result()


def report(rows: list[dict[str, Any]]) -> str:
    """Return the rows as lines."""
    return "\n".join(
        f"{each['topology']:24} {each['calls']:9,} calls {each['processor_s']:8.1f} s   resident "
        f"{each['resident_at_start'] / 1e6:.0f}, {each['resident_after_a_tenth'] / 1e6:.0f}, "
        f"{each['resident_at_end'] / 1e6:.0f} MB   grew {100 * each['grew']:.1f} % "
        f"({'within' if each['reached'] else 'beyond'} {100 * MOST_GROWTH:.0f} %)"
        for each in rows
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the number of calls."""
    parser.add_argument(
        "--calls", type=int, default=CALLS, metavar="N", help=f"{CALLS} unless given"
    )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both kinds of links, print the table; return the figures."""
    rows = [in_a_process(topology, options.calls) for topology in TOPOLOGIES]
    print(report(rows))
    return {"rows": rows}
