"""``packed`` for the rates of a topology: times near the bound, exact numbers, the same trees."""

import random
from functools import cache

import numpy as np
import pytest
from nightly import also
from random_sites import random_sites

from emul import ArgumentError, CapacityError, Link, Node, Site, Topology, Trunk, World
from emul.plans import Shape, collective_named, verify
from emul.runtime import packed as packing
from emul.runtime import planner as planning
from emul.runtime.packed import packed_plan_for
from emul.topology import Waypoint
from emul.topology.site_graph import site_graph

MIB = 1 << 20
TREES = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce")
ROUTES = ("all_to_all", "gather", "scatter")


def shape_of(topology, collective, nbytes):
    n = topology.world_size
    return Shape(collective_named(collective), n, max(n, nbytes // n * n))


def predicted(topology, collective, nbytes, algorithm="auto"):
    shape = shape_of(topology, collective, nbytes)
    request = planning.Request(shape, 1, algorithm=algorithm)
    return planning.Planner(topology).prepare(request).prediction


def without_packed(monkeypatch):
    """Let ``auto`` know the other algorithms alone."""
    names = planning.algorithms_for

    def others(*args, **more):
        return tuple(name for name in names(*args, **more) if name != "packed")

    monkeypatch.setattr(planning, "algorithms_for", others)


@cache
def three_campus():
    return World("three-campus").topology


@pytest.mark.parametrize(
    ("collective", "mib", "most"),
    [
        *((name, 32, 1.03) for name in (*TREES, "all_to_all", "gather")),
        ("scatter", 32, 1.2),
        ("all_reduce", 1, 1.3),
    ],
)
def test_auto_comes_close_to_the_bound_of_three_campuses(collective, mib, most):
    found = predicted(three_campus(), collective, mib * MIB)
    assert found.algorithm == "packed"
    assert 1 <= found.times_bound <= most


CASES = [(1, 2, 1.0), (3, 4, 0.0), (5, 6, 0.3), *also((2, 3, 1.0), (4, 5, 1.0))]


@pytest.mark.parametrize(("seed", "sites", "part"), CASES)
def test_auto_is_never_worse_than_without_packed_nor_below_the_bound(
    seed, sites, part, monkeypatch
):
    topology = random_sites(seed, sites, part)
    draw = random.Random(seed)
    calls = [(name, draw.choice((1, 32)) * MIB) for name in (*TREES, *ROUTES)]
    with_it = {call: predicted(topology, *call) for call in calls}
    packed = {call: predicted(topology, *call, "packed") for call in calls}
    without_packed(monkeypatch)
    for call, found in with_it.items():
        others = predicted(topology, *call)
        assert found.total_ps == min(others.total_ps, packed[call].total_ps)
        for each in (found, packed[call], others):
            assert not each.below_bound
        assert packed[call].algorithm == "packed"


@pytest.mark.parametrize(("seed", "sites", "part"), [(7, 12, 0.2), (8, 16, 0.1)])
def test_many_sites_are_packed_and_proven(seed, sites, part):
    topology = random_sites(seed, sites, part, most_ranks=3)
    draw = random.Random(seed)
    for collective in (*TREES, *ROUTES):
        found = predicted(topology, collective, draw.choice((1, 32)) * MIB, "packed")
        assert not found.below_bound
        verify(found.plan)


def numbers(world, collective, algorithm):
    """The output of a call on whole numbers, and the numbers that were to come out."""
    n = world.size
    x = np.random.default_rng(n).integers(-1000, 1000, size=(n, 24 * n))
    if collective == "all_reduce":
        return world.all_reduce(x, algorithm=algorithm).output, np.tile(x.sum(0), (n, 1))
    if collective == "reduce_scatter":
        return world.reduce_scatter(x, algorithm=algorithm).output, x.sum(0).reshape(n, -1)
    if collective == "all_gather":
        whole = np.tile(x.ravel(), (n, 1))
        return world.all_gather(x, algorithm=algorithm).output, whole
    if collective == "broadcast":
        run = world.broadcast(x, root=n - 1, algorithm=algorithm)
        return run.output, np.tile(x[n - 1], (n, 1))
    if collective == "reduce":
        return world.reduce(x, root=n // 2, algorithm=algorithm).output, x.sum(0)
    if collective == "gather":
        return world.gather(x, root=n // 2, algorithm=algorithm).output, x.ravel()
    if collective == "scatter":
        run = world.scatter(x[0], root=n - 1, algorithm=algorithm)
        return run.output, x[0].reshape(n, -1)
    run = world.all_to_all(x, algorithm=algorithm)
    return run.output, x.reshape(n, n, -1).swapaxes(0, 1).reshape(n, -1)


@pytest.mark.parametrize("collective", [*TREES, *ROUTES])
@pytest.mark.parametrize(("seed", "sites", "part"), [(2, 3, 1.0), (5, 6, 0.3)])
def test_numbers_are_exact(collective, seed, sites, part):
    world = World(random_sites(seed, sites, part))
    names = ("packed", "packed:pieces=3,leaders=2,channels=2")
    for name in names:
        found, wanted = numbers(world, collective, name)
        assert np.array_equal(np.asarray(found), wanted)


def trees_by_name(topology, collective, nbytes):
    """Trees or routes with the names of sites in place of their numbers."""
    names = [site.name for site in topology.sites]
    plan = packed_plan_for(topology, shape_of(topology, collective, nbytes), 1, 0)
    if collective == "all_to_all":
        return {(each.units, tuple(names[s] for s in each.path)) for each in plan.spec.routes}
    return {
        (tree.units, *sorted((names[s], names[p] if p >= 0 else "") for s, p in
                             enumerate(tree.parents)))
        for tree in plan.spec.trees
    }  # fmt: skip


@pytest.mark.covering(1)
@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"])
@pytest.mark.parametrize(("seed", "sites", "part"), [(2, 3, 1.0), (5, 6, 0.5), (6, 8, 1.0)])
def test_sites_in_another_order_get_the_same_trees_and_times(collective, seed, sites, part):
    given = random_sites(seed, sites, part)
    order = random.Random(seed).sample(range(sites), sites)
    other = random_sites(seed, sites, part, order=order)
    for nbytes in (MIB, 32 * MIB):
        assert trees_by_name(given, collective, nbytes) == trees_by_name(other, collective, nbytes)
        times = {predicted(each, collective, nbytes, "packed").total_ps for each in (given, other)}
        assert len(times) == 1


def alike_sites(k, ranks=2):
    """A full mesh of sites and trunks that are all alike."""
    fast = Link(1e12, 0.0)
    sites = tuple(Site(f"s{i}", (Node(ranks, fast),), fast) for i in range(k))
    trunks = tuple(
        Trunk((f"s{a}", f"s{b}"), Link(1e9, 1e-5)) for a in range(k) for b in range(a + 1, k)
    )
    return Topology("alike", sites, trunks)


def test_the_arcs_of_a_graph_pass_no_site_and_share_their_trunks():
    sites = [Site(name, (Node(1, Link(1e12, 0.0)),), Link(1e12, 0.0)) for name in "cab"]
    trunks = (
        Trunk(("a", "w"), Link(3e9, 1e-3)),
        Trunk(("w", "b"), Link(1e9, 2e-3, 1e-4)),
        Trunk(("w", "c"), Link(2e9, 4e-3)),
    )
    found = site_graph(Topology("y", tuple(sites), trunks, "", (Waypoint("w"),)))
    assert found.sites == (1, 2, 0)  # a, b, c in the topology
    assert found.graph.arcs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert found.graph.delay_s[0] == pytest.approx(3.1e-3)
    shared = {limit.arcs: limit.bytes_per_s for limit in found.graph.limits}
    assert shared[0, 1] == 3e9  # from a to b and to c
    assert shared[2, 3] == 1e9


def test_an_uplink_and_nics_limit_what_leaves_and_enters_a_site():
    topology = alike_sites(3)
    first, *others = topology.sites
    held = Site("s0", first.nodes, first.link, 1.5e9, 1.2e9)
    found = site_graph(Topology("held", (held, *others), topology.trunks))
    by_key = dict(zip(found.keys, found.graph.limits, strict=True))
    assert by_key["out", 0].bytes_per_s == 1.5e9
    assert by_key["in", 0].bytes_per_s == 1.2e9
    assert not {("out", 1), ("in", 1)} & by_key.keys()
    slow = Site("s1", first.nodes, Link(0.4e9, 0.0))
    found = site_graph(Topology("slow", (first, slow, others[1]), topology.trunks))
    assert dict(zip(found.keys, found.graph.limits, strict=True))["out", 1].bytes_per_s == 0.8e9


def test_paths_that_are_asked_for_over_sites_may_be_all_there_are():
    line = (Trunk(("a", "b"), Link(1e9, 1e-3)), Trunk(("b", "c"), Link(1e9, 1e-3)))
    sites = tuple(Site(name, (Node(1, Link(1e12, 0.0)),), Link(1e12, 0.0)) for name in "abc")
    assert site_graph(Topology("line", sites, line)).graph.arcs == ((0, 1), (1, 0), (1, 2), (2, 1))


def test_few_bytes_go_around_a_slow_trunk_and_many_over_it_too():
    near, far = Link(1e9, 1e-4), Link(1e9, 2e-2)
    sites = tuple(Site(name, (Node(1, Link(1e12, 0.0)),), Link(1e12, 0.0)) for name in "abc")
    trunks = (Trunk(("a", "b"), near), Trunk(("b", "c"), near), Trunk(("a", "c"), far))
    topology = Topology("bent", sites, trunks)

    def routes(nbytes):
        shape = shape_of(topology, "gather", nbytes)
        return {each.path: each.units for each in
                packed_plan_for(topology, shape, 1, 0).spec.routes}  # fmt: skip

    assert routes(MIB) == {(1, 0): 1, (2, 1, 0): 1}
    # Both trunks into a are full: 100 MB of b and 100 of c over two, of which one is 20 ms late.
    assert routes(300 * 10**6).keys() >= {(1, 0), (2, 0)}


def test_more_channels_where_windows_hold_a_connection():
    def pipeline(latency_s):
        fast = Link(1e12, 0.0)
        sites = tuple(Site(name, (Node(2, fast),), fast) for name in "ab")
        topology = Topology("far", sites, (Trunk(("a", "b"), Link(4e9, latency_s, 1e-6)),))
        return packed_plan_for(
            topology, shape_of(topology, "all_reduce", 1 << 30), 1, 0
        ).spec.pipeline

    # 4 MiB in flight for 2 x 5 ms are 0.42 GB/s of 4
    assert pipeline(5e-3).channels == 10
    assert pipeline(1e-5).channels == 1
    assert pipeline(5e-3).pieces >= 4 * 10


def test_more_leaders_where_their_nics_are_slower_than_the_trunks():
    fast, nic = Link(1e12, 0.0), Link(1e9, 1e-6)
    sites = tuple(Site(name, (Node(8, fast),), nic) for name in "ab")
    topology = Topology("fat", sites, (Trunk(("a", "b"), Link(3.5e9, 1e-5, 1e-6)),))
    plan = packed_plan_for(topology, shape_of(topology, "all_reduce", 1 << 28), 1, 0)
    assert plan.spec.pipeline.leaders == 4


def test_parts_of_the_name_are_taken_as_they_are():
    shape = shape_of(three_campus(), "all_reduce", MIB)
    plan = packed_plan_for(three_campus(), shape, 1, 0, "packed:pieces=5")
    own = packed_plan_for(three_campus(), shape, 1, 0)
    assert plan.spec.pipeline.pieces == 5
    assert plan.spec.trees == own.spec.trees
    assert (
        predicted(three_campus(), "all_reduce", MIB, "packed:pieces=5").algorithm == plan.algorithm
    )
    with pytest.raises(ArgumentError, match="needed one of pieces="):
        predicted(three_campus(), "all_to_all", MIB, "packed:piece=5")


def test_auto_passes_over_packed_where_it_would_be_too_much(monkeypatch):
    monkeypatch.setattr(packing, "MOST_SITES", 2)
    found = predicted(three_campus(), "all_reduce", MIB)
    assert "packed over 3 sites: needed at most 2" in found.passed_over["packed"]
    with pytest.raises(CapacityError, match="name another algorithm"):
        predicted(three_campus(), "all_reduce", MIB, "packed")


@pytest.mark.parametrize(
    ("sites", "part", "collective", "complaint"),
    [
        (26, 1.0, "all_reduce", "packed over 26 sites and 325 trunks: needed at most 104 trunks"),
        (33, 0.0, "all_to_all", "packed over 33 sites: needed at most 32 for all_to_all"),
        (65, 0.0, "broadcast", "packed over 65 sites: needed at most 64 for broadcast"),
    ],
)
def test_graphs_whose_trees_take_long_are_refused_at_once(sites, part, collective, complaint):
    topology = random_sites(1, sites, part, most_ranks=1)
    with pytest.raises(CapacityError, match=complaint):
        packed_plan_for(topology, shape_of(topology, collective, MIB), 1, 0)


def test_thirty_sites_with_few_trunks_are_packed():
    topology = random_sites(3, 30, 0.03, most_ranks=1)
    assert len(topology.trunks) < 2 * 30
    found = predicted(topology, "all_reduce", 16 * MIB)
    assert found.algorithm == "packed"
    ring = predicted(topology, "all_reduce", 16 * MIB, "ring:bidirectional")
    assert found.bound_s <= found.time_s < ring.time_s / 2


def test_rows_of_very_many_ranks_are_passed_over(monkeypatch):
    monkeypatch.setattr(packing, "MOST_ROWS_AT_ALL", 100)
    with pytest.raises(CapacityError, match="packed over 24 ranks: 960 transfers of a piece"):
        predicted(three_campus(), "all_gather", MIB, "packed")


@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter", "gather", "scatter"])
def test_unequal_blocks_are_packed_too(collective):
    world = World(random_sites(2, 3))
    counts = np.arange(world.size) * 1000
    found = world.predict(collective, counts, algorithm="packed")
    assert found.algorithm == "packed"
    assert not found.below_bound
    assert world.predict(collective, counts).time_s <= found.time_s


def test_one_site_and_nothing_to_send_are_no_trouble():
    one = World(random_sites(1, 2).in_one_place())
    assert one.predict("all_reduce", 1 << 10, algorithm="packed").time_s > 0
    assert World(random_sites(2, 3)).predict("all_reduce", 0, algorithm="packed").time_s == 0
