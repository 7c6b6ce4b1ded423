"""Programs whose calls along both axes of a mesh are in flight at once, by few ranks and rounds.

Against all rounds of the few ranks they are the same to the picosecond; against all ranks too, and
on trunks that are shared within one for each event.
"""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_examples import meshes
from nightly import examples
from test_collapsed import Side, check, ps

from bench.sharding import overlapping
from emul import Slicing, World
from emul.plans import RingRounds, Shape, collective_named
from emul.runtime.cast import PreparedAlongAxis
from emul.runtime.clocks import RankClocks
from emul.stacks import IDEAL
from emul.timing import Footprint
from emul.timing.joint.finding_windows import WindowFinder
from emul.timing.joint.rings import Rings
from emul.timing.mesh_windows import inner_windows, outer_windows
from emul.timing.quotient import INNER, OUTER, MeshQuotient
from emul.topology import load

NODES = [(1,) * 40, (2,) * 20, (4,) * 10, (1, 3) * 8]
REPLICAS = [(1, 1, 1), (2, 2, 2), (4, 2), (2, 1), (3,)]
SLICINGS = st.sampled_from([None, Slicing(4096, 2), Slicing(100_000, 8)])


@st.composite
def units(draw, most=4):
    """A program of units: each gathers ahead, computes, and reduces behind the next ones."""
    gather, reduce, computed = (draw(st.sampled_from([1, 50, 400])) for _ in range(3))
    program, waits = [("issue", "shard", "all_gather", gather)], 0
    for unit in range(draw(st.integers(1, most))):
        program.append(("wait", waits))
        waits = sum(act[0] == "issue" for act in program)
        program.append(("issue", "shard", "all_gather", gather))
        program.append(("compute", computed * 10**5, draw(st.sampled_from([None, None, 0, -1]))))
        program.append(("issue", "shard", "reduce_scatter", gather))
        if unit % 2 or draw(st.booleans()):
            program.append(("wait", waits + 1))
        program.append(("issue", "replicate", "all_reduce", reduce))
    return program


def moments(topology, positions, program, slicing, *, windows):
    """The moments of all operations, and the clocks, by few ranks that are timed jointly."""
    axes = {"replicate": topology.world_size // positions, "shard": positions}
    world = World(topology, slicing=slicing)
    side = Side(world, world.collapse(**axes))
    in_full = patch.object(PreparedAlongAxis, "in_windows", lambda *_: None)
    with patch("emul.runtime.clocks.ALONE", False):
        if not windows:
            in_full.start()
        try:
            for act in program:
                side.take(*act)
            return side.moments(), ps(world.ranks_now_s)
        finally:
            if not windows:
                in_full.stop()


@examples(25)
@given(meshes(NODES, REPLICAS), units(), SLICINGS)
def test_few_rounds_of_rings_that_meet_have_the_moments_of_all_rounds(mesh, program, slicing):
    few = moments(*mesh, program, slicing, windows=True)
    full = moments(*mesh, program, slicing, windows=False)
    assert np.array_equal(few[0], full[0])
    assert np.array_equal(few[1], full[1])


@examples(4)
@given(meshes([(1,) * 32, (2,) * 16], [(1, 1, 1), (2, 1)]), units(2), SLICINGS)
def test_units_that_overlap_have_the_clocks_moments_and_history_of_all(mesh, program, slicing):
    check(mesh, program, slicing)


def counted(name, counts):
    """A patch that counts the calls of a method of Rings, by name."""
    method = getattr(Rings, name)

    def call(self, *arguments):
        counts[name] = counts.get(name, 0) + 1
        return method(self, *arguments)

    return patch.object(Rings, name, call)


@pytest.fixture(scope="module")
def large():
    """A hundred thousand ranks at each of three campuses."""
    return load("three-campus-300k")


def test_rings_of_three_hundred_thousand_ranks_move_up_skip_and_pause(large):
    """As in full: the times of the same program without windows were the same."""
    counts = {}
    world = World(large)
    mesh = world.collapse(replicate=375, shard=800)
    patches = [counted(name, counts) for name in ("_move_up", "_move_on", "_skip", "_stop")]
    for each in patches:
        each.start()
    overlapping(world, mesh, 2)
    now_s = world.now_s
    for each in patches:
        each.stop()
    assert counts["_move_up"] > 0 < counts["_move_on"]
    assert counts["_skip"] > 0
    # Four rings of six replicas, of 799 rounds each: stopped at far more rarely.
    assert counts["_stop"] < 4 * 6 * 799 / 4
    in_full = World(large)
    with patch.object(PreparedAlongAxis, "in_windows", lambda *_: None):
        overlapping(in_full, in_full.collapse(replicate=375, shard=800), 2)
        assert in_full.now_s == now_s


def test_what_is_kept_does_not_grow_with_the_units(large):
    """No more than comes between two looks, twice, and all that is in flight."""
    kept, laid_out, issue = [], [], RankClocks.issue

    def noted(clocks, member, prepared):
        kept.append(len(getattr(clocks._period, "simulation", ())))
        laid_out.append(clocks._footprints.of(prepared, member).size)
        return issue(clocks, member, prepared)

    world, between_looks = World(large), 40_000
    mesh = world.collapse(replicate=375, shard=800)
    with (
        patch.object(RankClocks, "issue", noted),
        patch("emul.runtime.busy_period.MANY_KEPT", between_looks),
    ):
        overlapping(world, mesh, 10)
    in_flight = 2 * max(laid_out)
    assert 0 < max(kept) < 2 * between_looks + in_flight < sum(laid_out) / 2


def inner(name, count, slicing=None):
    """The footprint in windows of a ring of each replica, at three campuses of 100,000."""
    quotient = MeshQuotient.of(load("three-campus-300k"), 800)
    plan = quotient.plan(INNER, name, "ring")
    shape = Shape(collective_named(name), 800, 800 * count)
    return quotient, inner_windows(quotient, plan, shape, 4, slicing, 1)


@pytest.mark.parametrize("name", ["all_gather", "reduce_scatter", "all_reduce"])
def test_all_rounds_of_an_inner_ring_but_the_first_and_the_last_are_in_its_window(name):
    _, footprint = inner(name, 1600)
    rounds = 1598 if name == "all_reduce" else 799
    assert len(footprint.windows) == 6
    for window in footprint.windows:
        assert window.size == 16
        assert 2 + window.rounds + window.omitted == rounds
        assert (window.before_start == 1).all()


def test_rings_whose_rounds_are_few_have_no_window():
    quotient = MeshQuotient.of(load("three-campus-300k"), 8)
    plan = quotient.plan(INNER, "all_gather", "ring")
    shape = Shape(collective_named("all_gather"), 8, 64)
    assert inner_windows(quotient, plan, shape, 4, None, 1) is None


def test_a_window_ends_where_rounds_differ():
    quotient = MeshQuotient.of(load("three-campus-300k"), 800)
    plan = quotient.plan(INNER, "all_gather", "ring")
    shape = Shape(collective_named("all_gather"), 800, 800 * 1600)
    program = plan.program(shape, 4, RingRounds((0,), (23,)))
    ranks = quotient.groups(INNER)[0]
    footprint = Footprint.of(program, quotient.network, None, IDEAL, ranks, 1, seed=0)
    window = WindowFinder(footprint).window(range(footprint.size), 16)
    assert (window.first, window.rounds, window.span) == (16, 21, 1)
    footprint.transfers.nbytes[16 * 15 + 3] += 1
    window = WindowFinder(footprint).window(range(footprint.size), 16)
    assert (window.first, window.rounds) == (16, 14)
    assert WindowFinder(footprint).window(range(footprint.size), 17) is None


def test_rings_from_replica_to_replica_are_windows_of_their_own():
    quotient = MeshQuotient.of(load("three-campus-300k"), 800)
    plan = quotient.plan(OUTER, "all_reduce", "hierarchical")
    shape = Shape(collective_named("all_reduce"), 375, 375 * 16)
    program = quotient.program(OUTER, plan, shape, 4)
    ranks = np.arange(96, dtype=np.int32)
    footprint = Footprint.of(program, quotient.network, None, IDEAL, ranks, 1, seed=0)
    windows = outer_windows(quotient, plan, footprint).windows
    # At 16 positions of three campuses, to reduce and to gather: 124 rounds of two replicas.
    assert len(windows) == 2 * 3 * 16
    assert {(each.size, each.rounds, each.omitted) for each in windows} == {(2, 122, 0)}
