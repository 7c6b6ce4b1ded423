"""Shared trunks: flow starts and ends per second of the scheduler.

3 sites of 64 ranks, three trunks that all of their connections share, and the same with one uplink
per site or with streams thrown on eight waves. Every figure is the median of several runs, beside a
calibration of the same run: copying as many rows of seven int32 as there are transfers. The times
are checked: no transfer is missing, and no trunk carries more than its rate.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np

from bench.measuring import median_s
from bench.worlds import SchedulingProblem, campuses_of_nodes
from emul import Link, Slicing, Topology
from emul.links import Transport

__all__ = ["TRUNK", "add_options", "measure"]

REPEATS = 5
TRUNK = Link(1.25e9, 1e-4, 1e-6)
WAVES = replace(TRUNK, waves=8, transport=Transport(streams=4, window_bytes=1 << 20))
CASES = (("all_to_all", "direct"), ("all_to_all", "pairwise"), ("all_reduce", "direct"))
BYTES_PER_PAIR = 40_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: every option is common to all reports."""


def scheduled(kind: str, topology: Topology, collective: str, algorithm: str) -> dict[str, Any]:
    """Return the cost of one plan on one kind of trunks."""
    problem = SchedulingProblem.of(
        topology, collective, algorithm, Slicing(), chunk_bytes=BYTES_PER_PAIR
    )
    taken = []
    for _ in range(REPEATS):
        edges = problem.edges()
        started = time.perf_counter()
        times = problem.schedule(edges)
        taken.append(time.perf_counter() - started)
        problem.check(times)
    table, transfers = problem.table, len(problem.traffic.src)
    streams = np.diff(table.first_stream)
    on = streams[table.connection[table.connection >= 0]]
    seconds = statistics.median(taken)
    return {
        "trunks": kind,
        "collective": collective,
        "algorithm": algorithm,
        "transfers": transfers,
        "flows": int((on > 0).sum()),
        "streams": int(on.sum()),
        "schedule_s": seconds,
        "calibration_s": median_s(np.ones((transfers, 7), dtype=np.int32).copy, REPEATS),
        "starts_and_ends_per_s": 2 * int((on > 0).sum()) / seconds,
        "stream_starts_and_ends_per_s": 2 * int(on.sum()) / seconds,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print every case; return the figures."""
    kinds = {
        "shared": campuses_of_nodes(TRUNK),
        "shared, one uplink per site": campuses_of_nodes(TRUNK, 2e9),
        "8 waves, 4 streams each": campuses_of_nodes(WAVES),
    }
    rows = []
    for kind, topology in kinds.items():
        for case in CASES:
            rows.append(scheduled(kind, topology, *case))
            print(
                "{trunks:28} {collective:10} {algorithm:9} {flows:6} flows: {0:5.2f} million "
                "starts and ends of flows per second, {1:5.2f} of streams".format(
                    rows[-1]["starts_and_ends_per_s"] / 1e6,
                    rows[-1]["stream_starts_and_ends_per_s"] / 1e6,
                    **rows[-1],
                ),
                flush=True,
            )
    return {"flows": rows}
