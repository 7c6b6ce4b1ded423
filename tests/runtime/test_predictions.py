"""What a call is predicted to take, and by which plan, stack and bound; worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import sites_of_one

from emul import ArgumentError, Link, Node, PlanError, Run, Site, Slicing, Topology, Trunk, World
from emul.links import Jitter
from emul.links.changes import Changes, Outages
from emul.plans import COLLECTIVES, Shape, build_plan
from emul.runtime.request import Request
from emul.stacks.overheads import with_overheads
from emul.wall.lag import CallTimes


def pair(link, changes=None):
    """Two ranks at two sites, whose ports are much faster than the trunk between them."""
    fabric = Link(1e12, 0.0)
    sites = tuple(Site(name, (Node(1, fabric),), fabric) for name in "ab")
    more = {} if changes is None else {"changes": changes}
    return Topology("pair", sites, (Trunk(("a", "b"), link, **more),))


def same_in_a_group(world):
    mine, group = (
        each.predict("broadcast", 1000, algorithm="direct").time_s
        for each in (world, world.group([0, 1]))
    )
    return mine == group


@pytest.mark.parametrize("seed", [0, 5])
def test_a_group_draws_with_the_seed_of_its_world(seed):
    jittery = Link(1e9, 1e-3, jitter=Jitter(1e-3, 5.0))
    world = World(pair(jittery), seed=seed)
    assert same_in_a_group(world)
    other = World(pair(jittery), seed=seed + 1).predict("broadcast", 1000, algorithm="direct")
    assert other.time_s != world.predict("broadcast", 1000, algorithm="direct").time_s


def test_a_group_begins_when_its_world_does():
    down = Changes(outages=Outages(((5.0, 1.0),)))
    link = Link(1e9, 1e-3)
    assert same_in_a_group(World(pair(link, down), start_s=10.0))
    with pytest.raises(ArgumentError, match="start_s -1"):
        World(pair(link), start_s=-1.0)


def test_a_group_sends_as_the_stack_of_its_world():
    for stack in ("gloo", "openmpi"):
        assert same_in_a_group(World(pair(Link(1e9, 1e-3)), stack=stack))


def test_a_call_goes_to_its_root():
    world = World(sites_of_one(lambda a, b: Link(1e9, 1e-3), 4))
    x = np.ones((4, 8))
    assert world.reduce(x, root=2).prediction.plan.root == 2
    assert world.broadcast(x, root=3).prediction.plan.root == 3
    assert world.gather(x, root=1).prediction.plan.root == 1
    assert world.send_recv(x, shift=-1).prediction.plan.root == 3
    assert world.send_recv(x).prediction.plan.root == 1
    counts = [1, 0, 4, 3]
    scattered = world.scatter(np.arange(8.0), root=1, counts=counts)
    assert scattered.prediction.shape.counts == tuple(counts)
    assert scattered.prediction.plan.root == 1


@pytest.mark.parametrize(
    "made", [("broadcast", (4,), 1), ("broadcast", (3,), 0), ("reduce", (4,), 0)]
)
def test_a_plan_for_something_else_is_refused(made):
    collective, sizes, root = made
    world = World(sites_of_one(lambda a, b: Link(1e9, 1e-3), 4))
    plan = build_plan(collective, "direct", sizes, root=root)
    with pytest.raises(PlanError, match="needed a plan for broadcast over 4 ranks, root 0"):
        world.broadcast(np.ones((4, 8)), algorithm=plan)


def test_bounds_count_bytes_and_slots():
    # 1 MB: 1 ms over 1 GB/s and 1 ms under way. In 8 slots of 10 kB, 80 kB go at once, and as
    # much again each 2 ms, when word of them is back: the last 920 kB take 23 ms, at 40 MB/s.
    world = World(pair(Link(1e9, 1e-3)), slicing=Slicing(10_000, 8))
    found = world.predict("broadcast", 250_000, dtype="float32", algorithm="direct")
    assert found.nbytes == 10**6
    assert found.bound_s == pytest.approx(1e-3 + 1e-3, rel=1e-6)
    assert found.window_bound_s == pytest.approx(1e-3 + 23e-3, rel=1e-6)
    whole = World(pair(Link(1e9, 1e-3)), slicing=None)
    unlimited = whole.predict("broadcast", 250_000, algorithm="direct")
    assert unlimited.window_bound_s == unlimited.bound_s


def test_what_nccl_cannot_do_is_chosen_by_the_model():
    world = World(pair(Link(1e9, 1e-3)), stack="nccl")
    assert not world.predict("all_gather", 8).considered
    uneven = world.predict("all_gather", [5, 3])
    assert len(uneven.considered) > 1
    assert uneven.time_s == min(uneven.considered.values())


def test_overheads_of_a_stack_are_those_of_each_kind_of_hop():
    kinds = {"node": 1e-6, "site": 2e-6, "trunk": 3e-6}
    base = pair(Link(1e9, 1e-3, 9e-6))
    some = with_overheads(base, kinds)
    assert some.trunks[0].link.overhead_s == 3e-6
    assert [site.link.overhead_s for site in some.sites] == [2e-6, 2e-6]
    assert [node.link.overhead_s for site in some.sites for node in site.nodes] == [1e-6, 1e-6]
    assert with_overheads(base, {"site": 2e-6}).trunks == base.trunks
    assert with_overheads(base, {}) is base


def test_a_run_is_measured_from_its_start_to_its_end():
    world = World(pair(Link(1e9, 1e-3)))
    shape = Shape.of(COLLECTIVES["broadcast"], world.size, 8)
    prepared = world.planner.prepare(Request(shape, 4))
    arrival = CallTimes(1_000, 3_000, 4_000, 4_500, 6_000, 3e-6)
    run = Run(None, prepared, arrival, dilation=1.0)
    assert (run.wall_s, run.lag_s) == (pytest.approx(5e-6), pytest.approx(2e-6))
    assert replace(run, dilation=None).lag_s is None


def test_seconds_of_computing_are_seconds():
    world = World(pair(Link(1e9, 1e-3)))
    world.compute(1.5)
    assert world.now_s == 1.5
    with pytest.raises(ArgumentError, match=r"seconds -0.5: needed a finite number, 0 or more"):
        world.compute(-0.5)


def test_the_error_of_unequal_blocks_is_of_what_was_asked_for():
    world = World(sites_of_one(lambda a, b: Link(1e9, 1e-3), 3))
    x = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    run = world.reduce_scatter(x, counts=[4, 0, 3], algorithm="ring")
    assert 0 < run.error.max_ulp <= 2
    assert world.all_gather(x).error.max_ulp == 0
