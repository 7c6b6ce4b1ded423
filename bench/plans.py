"""Measures what plans cost: building, proving and timing them, reading and writing them.

    python -m bench.plans --out bench/results/plans.json

Every figure is the median of several runs, with the time of a calibration of the same run beside
it: copying as many rows as a plan has transfers, seven columns of int32 each. That the plan is
right and of the expected size is asserted before its time counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from emul import Link, Node, PlanError, Site, Topology, Trunk
from emul.plans import (
    COLLECTIVES,
    Plan,
    Program,
    Shape,
    build_plan,
    plan_xml,
    read_plan,
    verify,
)
from emul.timing import time_plan
from emul.topology import Network

REPEATS = 3
CASES = (
    ("all_reduce", "ring", (236,) * 3),
    ("all_reduce", "ring:channels", (84,) * 3),
    ("all_reduce", "direct", (236,) * 3),
    ("all_to_all", "pairwise", (333,) * 3),
    ("all_reduce", "hierarchical", (236,) * 3),
    ("all_reduce", "hierarchical", (409,) * 3),
    ("all_reduce", "hierarchical:pieces", (205,) * 3),
    ("all_reduce", "hierarchical", (97, 101, 103, 107, 109, 113, 127, 131)),
)
LINK = Link(1e10, 5e-6, 1e-6)


def median_s(work: Callable[[], object]) -> float:
    """Return the median seconds of ``work``."""
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def topology_of(sizes: tuple[int, ...]) -> Topology:
    """Return sites of single-rank nodes, every two joined by a trunk."""
    sites = tuple(Site(f"s{i}", (Node(1, LINK),) * size, LINK) for i, size in enumerate(sizes))
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    return Topology("bench", sites, tuple(Trunk(pair, Link(1e11, 1e-4, 1e-6)) for pair in pairs))


def measured(collective: str, algorithm: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return the costs of one plan, per transfer."""
    plan = build_plan(collective, algorithm, sizes)
    n = plan.world_size
    shape = Shape(COLLECTIVES[collective], n, n * 1000)
    program, network = Program.of(plan, shape, 4), Network.of(topology_of(sizes))
    transfers = int(np.count_nonzero(program.src != program.dst))
    timeline = time_plan(program, network)
    assert timeline.sent == transfers, "a transfer was not timed"
    rows = np.ones((transfers, 7), dtype=np.int32)
    seconds = {
        "build_and_prove_s": median_s(lambda: build_plan(collective, algorithm, sizes)),
        "prove_s": median_s(lambda: verify(plan)),
        "program_s": median_s(lambda: Program.of(plan, shape, 4)),
        "time_s": median_s(lambda: time_plan(program, network)),
        "calibration_s": median_s(rows.copy),
    }
    return {
        "collective": collective,
        "algorithm": algorithm,
        "sites": list(sizes),
        "chunks": plan.partition.n_chunks,
        "rows": len(program.row_src),
        "transfers": transfers,
        **seconds,
        "build_and_prove_us_per_transfer": seconds["build_and_prove_s"] / transfers * 1e6,
        "time_us_per_transfer": seconds["time_s"] / transfers * 1e6,
        "build_and_prove_over_calibration": (
            seconds["build_and_prove_s"] / seconds["calibration_s"]
        ),
    }


def files() -> dict[str, Any]:
    """Return what it takes to write and read the largest kind of file, and to refuse a bad one."""
    plan = build_plan("all_reduce", "ring", (128,))
    with tempfile.TemporaryDirectory() as folder:
        path, bad = Path(folder) / "plan.xml", Path(folder) / "bad.xml"
        path.write_text(plan_xml(plan), encoding="utf-8")
        steps = path.read_text(encoding="utf-8").count("<step ")
        bad.write_text(million_steps(), encoding="utf-8")
        return {
            "steps": steps,
            "write_s": median_s(lambda: plan_xml(plan)),
            "read_and_prove_s": median_s(lambda: read_plan(path)),
            "refuse_a_million_steps_s": median_s(lambda: refused(bad)),
        }


def million_steps() -> str:
    """Return a file with far too many steps."""
    head = plan_xml(build_plan("all_reduce", "ring", (2,))).split("<step", 1)[0]
    step = (
        '<step s="{}" type="nop" srcbuf="i" srcoff="-1" dstbuf="o" dstoff="-1" cnt="0" '
        'depid="-1" deps="-1" hasdep="0"/>\n'
    )
    return head + "".join(step.format(number) for number in range(10**6))


def refused(path: Path) -> Plan | None:
    """Read a file that must not be accepted."""
    try:
        plan = read_plan(path)
    except PlanError:
        return None
    raise AssertionError(f"{plan} was accepted")


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    rows = []
    for case in CASES:
        rows.append(measured(*case))
        print(
            "{collective:12} {algorithm:20} {transfers:9} transfers: {0:6.3f} us to build and "
            "prove, {time_us_per_transfer:6.3f} us to time, each".format(
                rows[-1]["build_and_prove_us_per_transfer"], **rows[-1]
            ),
            flush=True,
        )
    found = files()
    print(
        "file of {steps} steps: {write_s:.2f} s to write, {read_and_prove_s:.2f} s to read and "
        "prove; a million steps refused in {refuse_a_million_steps_s:.2f} s".format(**found)
    )
    document = {"machine": machine(), "plans": rows, "files": found}
    out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
