"""The algorithms of libraries: right, and with the bytes that the libraries were seen to send."""

import csv
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from strategies import one_site

from emul import ArgumentError, Link, World
from emul.ops import DTYPES, CpuOps, NumpyOps
from emul.ops.buffers import Buffers
from emul.ops.exact import ExactData
from emul.plans import COLLECTIVES, Program, Shape, Step, build_plan, plan_xml
from emul.plans.libraries import LIBRARY_ALGORITHMS, library_algorithms

OPS = (CpuOps(1), NumpyOps(1))
FIDELITY = Path(__file__).parents[1] / "fidelity" / "collectives.csv"
CASES = [
    (collective, name + segments)
    for name, each in LIBRARY_ALGORITHMS.items()
    for collective in each.collectives
    for segments in (["", ",segments=3"] if each.in_segments else [""])
]


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_plans_are_proven_and_exact(collective, algorithm):
    promise = COLLECTIVES[collective]
    for n in [*range(1, 18), 24, 33]:
        root = n // 2 if promise.rooted else 0
        plan = build_plan(collective, algorithm, [n], root=root)  # which proves it
        shape = Shape(promise, n, n * 5 if promise.in_blocks else 3 * n + 2)
        data = ExactData(promise, n, DTYPES["float32"], reduction="sum", root=root, seed=n)
        x = np.empty(shape.input_shape, np.float32)
        data.fill(x)
        buffers = Buffers(promise, n, x, None, None)
        program = Program.of(plan, shape, 4)
        for ops in OPS:
            assert data.wrong(ops.perform(program, buffers, "sum", root)) == 0, n


def large_points():
    """Points of a MiB and more, in which headers and acknowledgements are small."""
    with FIDELITY.open() as file:
        for row in csv.DictReader(file):
            if int(row["bytes"]) >= 1 << 20:
                yield row


def plan_of(row):
    names = {"allreduce": "all_reduce", "allgather": "all_gather"}
    collective = names.get(row["coll"], row["coll"])
    algorithm = row["algo"].split("_eager")[0].split("_256K")[0].replace("segmented_", "")
    if row["sw"] == "gloo":
        algorithm = "gloo:binomial" if collective == "broadcast" else "gloo:ring"
    else:
        algorithm = f"openmpi:{algorithm}"
    return build_plan(collective, algorithm, [int(row["ranks"])])


def test_plans_send_the_bytes_that_were_counted_on_the_wire():
    points = list(large_points())
    assert len(points) > 100
    for row in points:
        plan, n, nbytes = plan_of(row), int(row["ranks"]), int(row["bytes"])
        promise = COLLECTIVES[plan.collective]
        width = nbytes // (n if promise.in_blocks else 1) * (n if promise.in_blocks else 1)
        program = Program.of(plan, Shape(promise, n, width), 1)
        sent = program.nbytes[program.src != program.dst].sum()
        counted = float(row["wan_tx_bytes"])
        # 52 of 9000 bytes are headers, and acknowledgements come on top.
        assert 0.965 < sent / counted < 1, row


@pytest.mark.parametrize("segments", [1, 2, 5])
def test_segments_of_a_ring_move_the_same_bytes(segments):
    whole = build_plan("all_reduce", "openmpi:ring", [4])
    cut = build_plan("all_reduce", f"openmpi:ring,segments={segments}", [4])
    shape = Shape(COLLECTIVES["all_reduce"], 4, 40)
    assert Program.of(whole, shape, 4).nbytes.sum() == Program.of(cut, shape, 4).nbytes.sum()
    assert len(list(cut.steps())) == 3 * segments + 3  # Open MPI gathers whole blocks


@pytest.mark.parametrize("n", [3, 5, 6, 7, 12])
def test_ranks_beyond_a_power_of_two_fold_as_in_open_mpi(n):
    steps = list(build_plan("all_reduce", "openmpi:recursive_doubling", [n]).steps())
    extra = n - 2 ** (n.bit_length() - 1)
    first, last = steps[0], steps[-1]
    assert first.src.tolist() == [2 * i for i in range(extra)]
    assert first.dst.tolist() == [2 * i + 1 for i in range(extra)]
    assert last.dst.tolist() == first.src.tolist()
    assert len(steps) == 2 + (n.bit_length() - 1)


def test_gloo_keeps_two_segments_under_way_and_drains_between_its_phases():
    # Zero overhead and rate without end: only latencies count, and each wait shows.
    world = World(one_site(4, Link(1e15, 1e-3)), slicing=None)
    timeline = world.predict("all_reduce", 4 * 6, algorithm="gloo:ring,segments=6").timeline
    starts = np.unique(np.round(timeline.start_ps / 1e9)).tolist()
    # Of each phase's 18 segments, two go every millisecond.
    assert len(starts) == ceil(18 / 2) * 2
    assert timeline.total_s == pytest.approx(18e-3, rel=1e-6)


def test_a_free_ring_would_not_wait_so():
    world = World(one_site(4, Link(1e15, 1e-3)), slicing=None)
    assert world.predict("all_reduce", 24, algorithm="ring").time_s == pytest.approx(6e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("collective", "name", "said"),
    [
        ("all_reduce", "gloo:tree", "unknown algorithm 'gloo:tree': needed one of gloo:ring"),
        ("all_reduce", "openmpi:", "unknown algorithm 'openmpi:'"),
        ("all_reduce", "gloo:ring,segments=0", "needed 1 to 65536 segments"),
        ("all_reduce", "gloo:ring,segments=9999999", "needed 1 to 65536 segments"),
        ("all_gather", "openmpi:bruck,segments=2", "of one that has any"),
        ("broadcast", "gloo:ring", "does not do broadcast: needed one of gloo:binomial"),
    ],
)
def test_names_that_are_none_are_refused(collective, name, said):
    with pytest.raises(ArgumentError, match=said):
        build_plan(collective, name, [4])


def test_algorithms_are_listed_by_collective():
    assert "openmpi:rabenseifner" in library_algorithms("all_reduce")
    assert library_algorithms("gather") == ()


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_plans_are_written_and_read_back_as_the_same(collective, algorithm, file):
    plan = build_plan(collective, algorithm, [6])
    again = file(plan_xml(plan))
    assert (again.order, again.under_way, again.drains) == (
        plan.order,
        plan.under_way,
        plan.drains,
    )
    for one, other in zip(plan.steps(), again.steps(), strict=True):
        rows = [list(zip(*(getattr(step, name).tolist() for name in Step.__slots__), strict=True))
                for step in (one, other)]  # fmt: skip
        assert sorted(rows[0]) == sorted(rows[1])
