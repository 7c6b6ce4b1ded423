"""Plans: the cost of building, proving, timing, reading and writing.

Every figure is the median of several runs, with the time of a calibration of the same run beside
it: copying as many rows as a plan has transfers, seven columns of int32 each. That the plan is
right and of the expected size is asserted before its time counts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.measuring import median_s
from bench.worlds import sites_of
from emul import Link, PlanError
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

__all__ = ["add_options", "measure"]

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
TRUNK = Link(1e11, 1e-4, 1e-6)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add nothing: every option is common to all reports."""


def measured(collective: str, algorithm: str, sizes: tuple[int, ...]) -> dict[str, Any]:
    """Return the costs of one plan, per transfer."""
    plan = build_plan(collective, algorithm, sizes)
    n = plan.world_size
    shape = Shape(COLLECTIVES[collective], n, n * 1000)
    program, network = Program.of(plan, shape, 4), Network.of(sites_of(sizes, TRUNK))
    transfers = int(np.count_nonzero(program.src != program.dst))
    timeline = time_plan(program, network)
    assert timeline.sent == transfers, "a transfer was not timed"
    rows = np.ones((transfers, 7), dtype=np.int32)
    seconds = {
        "build_and_prove_s": median_s(lambda: build_plan(collective, algorithm, sizes), REPEATS),
        "prove_s": median_s(lambda: verify(plan), REPEATS),
        "program_s": median_s(lambda: Program.of(plan, shape, 4), REPEATS),
        "time_s": median_s(lambda: time_plan(program, network), REPEATS),
        "calibration_s": median_s(rows.copy, REPEATS),
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
    """Return the seconds of writing and reading the largest kind of file, and of a refusal."""
    plan = build_plan("all_reduce", "ring", (128,))
    with tempfile.TemporaryDirectory() as folder:
        path, bad = Path(folder) / "plan.xml", Path(folder) / "bad.xml"
        path.write_text(plan_xml(plan), encoding="utf-8")
        steps = path.read_text(encoding="utf-8").count("<step ")
        bad.write_text(million_steps(), encoding="utf-8")
        return {
            "steps": steps,
            "write_s": median_s(lambda: plan_xml(plan), REPEATS),
            "read_and_prove_s": median_s(lambda: read_plan(path), REPEATS),
            "refuse_a_million_steps_s": median_s(lambda: refused(bad), REPEATS),
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


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and print every case; return the figures."""
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
    return {"plans": rows, "files": found}
