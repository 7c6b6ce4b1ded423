"""Waits and emulated collectives: how exact they are, beside time.sleep in the same run.

    python -m bench waits --out bench/results/waits.json

Waits of 20 us to 20 ms take turns with time.sleep. The report keeps by how much each ended late:
median, 99th percentile, most. Collectives are run on the wall clock, dilated to 1, 5 and 20 ms, and
measured from outside: the call as its caller sees it. Then a backward pass of 8 buckets, each
reduced while the next is computed: the exposed time on both clocks, against a closed form. Every
result is checked, and no wait may end early. The bound of each figure stands beside the figure; no
bound is enforced, because other programs may use the machine. ``steal_s`` is the processor time
that the host of a virtual machine took meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from emul import Link, Node, Site, Topology, Trunk, World
from emul.wall.pacer import margin_ns, may_be_realtime
from emul.wall.timer_accuracy import WaitErrors, clock_step_ns, measure_waits

__all__ = ["add_options", "measure"]

TIMES = 500
CALLS = 20

SHORT_NS = 1_000_000
MOST_OF_SHORT_NS = {"median_ns": 200, "p99_ns": 60_000}
LONG_NS = 10_000_000
MOST_OF_LONG_NS = {"median_ns": 1000}
CLOSER_NS, LEAST_CLOSER = 100_000, 100
"""Bounds on a quiet core: waits up to 1 ms, from 10 ms, and beside time.sleep."""

CALLS_S = {1e-3: 0.03, 5e-3: 0.01, 20e-3: 0.01}
"""Seconds that a collective takes, and how far it may be off in the median, as a part of them."""

CAMPUSES, BUCKETS, BUCKET = 4, 8, 65536
"""Sites of one rank, buckets of a backward pass, and float32 of each."""
FORWARD_S, BACKWARD_S = 5e-3, 12e-3
OVERLAP_ALLOWED = 0.02


def quantiles(late_ns: Any) -> dict[str, int]:
    """Return median, 99th percentile and most."""
    values = np.quantile(late_ns, (0.5, 0.99, 1.0), method="inverted_cdf").tolist()
    return dict(zip(("median_ns", "p99_ns", "max_ns"), values, strict=True))


def wait_row(errors: WaitErrors) -> dict[str, Any]:
    """Return by how much waits of one length were late, and whether that is within the bounds."""
    assert (errors.late_ns >= 0).all(), "a wait ended early"
    row: dict[str, Any] = {"wait_ns": errors.wait_ns, **quantiles(errors.late_ns)}
    row["time_sleep"] = quantiles(errors.sleep_late_ns)
    row["times_closer"] = errors.times_closer
    most = {}
    if errors.wait_ns <= SHORT_NS:
        most = MOST_OF_SHORT_NS
    elif errors.wait_ns >= LONG_NS:
        most = MOST_OF_LONG_NS
    row["reached"] = all(row[key] <= value for key, value in most.items()) and (
        errors.wait_ns != CLOSER_NS or errors.times_closer >= LEAST_CLOSER
    )
    return row


def call_row(seconds: float, allowed: float) -> dict[str, Any]:
    """Return how far collectives that take so many seconds are off, seen from outside."""
    x = np.ones((24, 256), np.float32)
    modelled_s = World("three-campus").predict("all_reduce", 256).time_s
    world = World("three-campus", clock="wall", dilation=seconds / modelled_s)
    out, ratios = np.empty_like(x), []
    for _ in range(CALLS + 2):
        world.restart()
        started = time.perf_counter()
        run = world.all_reduce(x, out=out)
        ratios.append((time.perf_counter() - started) / seconds - 1)
        assert (out == 24).all(), "a wrong element"
        assert run.lag_s >= 0, "a call ended early"
        out[...] = 0
    off = statistics.median(ratios[2:])
    return {
        "seconds": seconds,
        "off_median": off,
        "off_max": max(ratios[2:]),
        "allowed": allowed,
        "reached": off <= allowed,
        "lag_median_s": world.lag.median_s,
    }


def campuses() -> Topology:
    """Return sites of one rank each, all alike: then a collective ends for all at one moment."""
    nic, trunk = Link(1e12, 0.0), Link(5e8, 0.3e-3)
    sites = tuple(Site(name, (Node(1, nic),), nic) for name in "abcd"[:CAMPUSES])
    pairs = combinations([site.name for site in sites], 2)
    return Topology("campuses", sites, tuple(Trunk(pair, trunk) for pair in pairs))


def exposed_s(world: World, x: Any) -> tuple[float, float]:
    """Return the exposed time of the collectives of a step: measured, and on its clock."""
    world.barrier()  # or some ranks would begin before others
    began_s, started = world.now_s, time.perf_counter()
    world.compute(FORWARD_S)
    handles = []
    for _ in range(BUCKETS):
        world.compute(BACKWARD_S / BUCKETS)
        handles.append(world.all_reduce(x, algorithm="ring", async_op=True))
    runs = [handle.wait() for handle in handles]
    ended = time.perf_counter()
    assert all((run.output == CAMPUSES).all() for run in runs), "a wrong element"
    alone_s = FORWARD_S + BACKWARD_S
    return ended - started - alone_s, world.now_s - began_s - alone_s


def exposed_in_closed_form_s(cost_s: float) -> float:
    """Return the time after the backward pass until the last bucket is reduced.

    A bucket is ready when the backward pass has made it, and takes ``cost_s`` after that or after
    the bucket before it (Li et al., VLDB 2020).
    """
    end_s = 0.0
    for number in range(1, BUCKETS + 1):
        end_s = max(end_s, FORWARD_S + BACKWARD_S * number / BUCKETS) + cost_s
    return end_s - FORWARD_S - BACKWARD_S


def overlap_row() -> dict[str, Any]:
    """Return how far the exposed time of overlapped buckets is from the closed form."""
    x, topology = np.ones((CAMPUSES, BUCKET), np.float32), campuses()
    virtual, wall = World(topology), World(topology, clock="wall")
    cost_s = virtual.predict("all_reduce", BUCKET, algorithm="ring").time_s
    closed_s = exposed_in_closed_form_s(cost_s)
    _, virtual_s = exposed_s(virtual, x)
    steps = [exposed_s(wall, x) for _ in range(CALLS + 2)][2:]
    off = [measured_s / closed_s - 1 for measured_s, _ in steps]
    assert all(abs(modelled_s - closed_s) < 1e-11 for _, modelled_s in steps), "two models"
    return {
        "buckets": BUCKETS,
        "closed_form_s": closed_s,
        "virtual_s": virtual_s,
        "virtual_is_exact": abs(virtual_s - closed_s) < 1e-11,
        "off_median": statistics.median(off),
        "off_least": min(off),
        "off_max": max(off),
        "allowed": OVERLAP_ALLOWED,
        "reached": abs(statistics.median(off)) <= OVERLAP_ALLOWED,
        "lag_median_s": wall.lag.median_s,
        "blame": wall.lag.blame,
    }


def steal_s() -> float:
    """Return the processor time that a host took from this virtual machine so far, where told."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(first[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError):
        return 0.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this report to ``parser``."""
    parser.add_argument("--realtime", action="store_true", help="wait at real-time priority")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print; return the figures."""
    stolen = steal_s()
    load = os.getloadavg()[0]
    waits = [wait_row(each) for each in measure_waits(TIMES, realtime=options.realtime)]
    calls = [call_row(*case) for case in CALLS_S.items()]
    for row in waits:
        print("{wait_ns:9} ns: median {median_ns:7} 99 % {p99_ns:8} most {max_ns:8}, "
              "{times_closer:5.0f} times as close as time.sleep, reached: {reached}"
              .format(**row))  # fmt: skip
    for row in calls:
        print("collective of {seconds} s: {off_median:.3%} off, at most {off_max:.3%}, "
              "reached: {reached}".format(**row))  # fmt: skip
    overlap = overlap_row()
    print("8 overlapped buckets: {closed_form_s:.6f} s exposed, virtual exact: {virtual_is_exact}, "
          "wall {off_median:.3%} off ({off_least:.3%} to {off_max:.3%}), reached: {reached}"
          .format(**overlap))  # fmt: skip
    return {
        "margin_ns": margin_ns(),
        "clock_step_ns": clock_step_ns(),
        "may_be_realtime": may_be_realtime(),
        "realtime": options.realtime,
        "times": TIMES,
        "load_average": load,
        "steal_s": steal_s() - stolen,
        "waits": waits,
        "collectives": calls,
        "overlap": overlap,
    }
