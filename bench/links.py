"""Measures what shared trunks cost to time: flow starts and ends per second of the scheduler.

    python -m bench.links --out bench/results/links.json

3 sites of 64 ranks, three trunks that all of their connections share, and the same with one uplink
per site or with streams thrown on eight waves. Every figure is the median of several runs, beside a
calibration of the same run: copying as many rows of seven int32 as there are transfers. What was
timed is checked: no transfer is missing, and no trunk carries more than its rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from emul import Link, Node, Site, Slicing, Topology, Trunk
from emul.links import Transport
from emul.plans import COLLECTIVES, Program, Shape, build_plan
from emul.timing import dependencies, schedule
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.traffic import Traffic
from emul.topology import Network
from emul.units import PS_PER_S

REPEATS = 5
TRUNK = Link(1.25e9, 1e-4, 1e-6)
WAVES = replace(TRUNK, waves=8, transport=Transport(streams=4, window_bytes=1 << 20))
CASES = (("all_to_all", "direct"), ("all_to_all", "pairwise"), ("all_reduce", "direct"))
BYTES_PER_PAIR = 40_000


def topology_of(trunk: Link, uplink: float) -> Topology:
    """Return 3 sites of 8 nodes of 8 ranks, every two joined by ``trunk``."""
    nic, node = Link(12.5e9, 5e-6, 1e-6), Node(8, Link(300e9, 1e-6))
    sites = tuple(Site(name, (node,) * 8, nic, uplink) for name in ("a", "b", "c"))
    pairs = (("a", "b"), ("b", "c"), ("a", "c"))
    return Topology("bench", sites, tuple(Trunk(pair, trunk) for pair in pairs))


def check(traffic: Traffic, network: Network, times: dict[str, Any]) -> None:
    """Assert that all transfers were timed, and that every trunk had the time for its bytes."""
    carried = network.link_bytes(traffic.src, traffic.dst, traffic.nbytes)
    least_s = float((carried / network.link_rate).max())
    sent = traffic.src != traffic.dst
    assert (times["done_ps"][sent] > 0).all(), "a transfer was not timed"
    assert times["done_ps"].max() / PS_PER_S >= least_s, "a trunk carried more than its rate"


def measured(kind: str, topology: Topology, collective: str, algorithm: str) -> dict[str, Any]:
    """Return what one plan costs on one kind of trunks."""
    n = topology.world_size
    plan = build_plan(collective, algorithm, topology.ranks_by_node)
    shape = Shape(COLLECTIVES[collective], n, n * BYTES_PER_PAIR // 4)
    traffic = Traffic.of(Program.of(plan, shape, 4), Slicing())
    network = Network.of(topology)
    table = ConnectionTable.of(traffic, network, seed=0, start_s=0.0, until_s=60.0)
    taken = []
    for _ in range(REPEATS):
        edges = dependencies(traffic, n)
        started = time.perf_counter()
        times, failure = schedule(traffic, edges, network, table)
        taken.append(time.perf_counter() - started)
        assert failure is None
        check(traffic, network, times)
    streams = np.diff(table.first_stream)
    on = streams[table.connection[table.connection >= 0]]
    rows, copies = np.ones((len(traffic.src), 7), dtype=np.int32), []
    for _ in range(REPEATS):
        started = time.perf_counter()
        rows.copy()
        copies.append(time.perf_counter() - started)
    seconds = statistics.median(taken)
    return {
        "trunks": kind,
        "collective": collective,
        "algorithm": algorithm,
        "transfers": len(traffic.src),
        "flows": int((on > 0).sum()),
        "streams": int(on.sum()),
        "schedule_s": seconds,
        "calibration_s": statistics.median(copies),
        "starts_and_ends_per_s": 2 * int((on > 0).sum()) / seconds,
        "stream_starts_and_ends_per_s": 2 * int(on.sum()) / seconds,
    }


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    kinds = {
        "shared": topology_of(TRUNK, np.inf),
        "shared, one uplink per site": topology_of(TRUNK, 2e9),
        "8 waves, 4 streams each": topology_of(WAVES, np.inf),
    }
    found = []
    for kind, topology in kinds.items():
        for case in CASES:
            row = measured(kind, topology, *case)
            found.append(row)
            print(
                "{trunks:28} {collective:10} {algorithm:9} {flows:6} flows: {0:5.2f} million "
                "starts and ends of flows per second, {1:5.2f} of streams".format(
                    row["starts_and_ends_per_s"] / 1e6,
                    row["stream_starts_and_ends_per_s"] / 1e6,
                    **row,
                ),
                flush=True,
            )
    out.write_text(json.dumps({"machine": machine(), "flows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
