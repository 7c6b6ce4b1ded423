from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import links, program_of

from emul import World
from emul.errors import ArgumentError
from emul.links import Link
from emul.links.link import Jitter, OtherTraffic, Transport
from emul.plans import Places, SymmetricPlan, build_plan
from emul.timing import NCCL_SLICING, Slicing, critical_path, time_excerpt, time_plan
from emul.timing import symmetry as module
from emul.topology import Network, Node, Site, Topology, Trunk

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")
ALGORITHMS = (
    "hierarchical",
    "hierarchical:site=ring,trunk=direct",
    "hierarchical:site=ring,trunk=halving_doubling",
    "hierarchical:site=ring,trunk=double_binary_tree",
    "hierarchical:node=ring,site=ring,trunk=ring",
)
windows = st.sampled_from([0.0, 3e5, 1e6])
gaps = st.sampled_from([0.0, 0.0, 1e-6])
uplinks = st.sampled_from([float("inf"), float("inf"), 1.5e9])


@st.composite
def alike_links(draw):
    """Links on which nothing happens by chance."""
    transport = Transport(window_bytes=draw(windows), gap_s=draw(gaps))
    return replace(draw(links), transport=transport)


@st.composite
def alike_topologies(draw):
    """Sites of as many ranks each, which may have other links than the next site."""
    per_node, nodes = draw(st.sampled_from([(1, 2), (1, 5), (1, 30), (2, 3), (3, 14), (6, 1)]))
    names = [f"s{i}" for i in range(draw(st.integers(1, 3)))]
    link = draw(alike_links())
    sites = []
    for name in names:
        other = draw(alike_links()) if draw(st.booleans()) else link
        sites.append(Site(name, [Node(per_node, draw(links))] * nodes, other, draw(uplinks)))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("alike", tuple(sites), tuple(Trunk(p, draw(alike_links())) for p in pairs))


@st.composite
def cases(draw):
    topology = draw(alike_topologies())
    collective = draw(st.sampled_from(COLLECTIVES))
    algorithm = draw(st.sampled_from(ALGORITHMS))
    if "halving" in algorithm or "tree" in algorithm:
        collective = "all_reduce"
    times = draw(st.sampled_from([1, 3, 1000]))
    return topology, collective, algorithm, times


def both(topology, collective, algorithm, times, slicing=NCCL_SLICING):
    """The timelines of the whole plan and of its excerpt, for the same call."""
    places = Places.of(topology.ranks_by_node)
    excerpt = SymmetricPlan.of(collective, algorithm, places)
    plan = build_plan(collective, algorithm, topology.ranks_by_node)
    width = int(excerpt.top.partition.edges[-1]) * excerpt.ranks * times
    program = program_of(plan, width, 4)
    whole = time_plan(program, Network.of(topology), slicing)
    return whole, time_excerpt(excerpt, program.layout.shape, 4, topology, slicing)


def assert_alike(whole, few):
    assert few.total_ps == whole.total_ps
    assert few.sent == whole.sent
    assert np.array_equal(few.trunk_bytes, whole.trunk_bytes)
    assert few.roundings == whole.roundings
    assert critical_path(few).total_ps == few.total_ps


@given(cases())
def test_an_excerpt_takes_as_long_as_its_plan(case):
    topology, _, algorithm, _ = case
    levels = Places.of(topology.ranks_by_node).nodes[0]
    assume("node" not in algorithm or len(levels) == 1 or levels[0] == 1)
    assert_alike(*both(*case))


@pytest.mark.parametrize("per_node", [1, 4])
@pytest.mark.parametrize("quick", [True, False])
def test_rounds_of_a_settled_ring_are_left_out(per_node, quick):
    fabric = Link(12.5e9, 3e-6, 11e-6 if quick else 0.0)
    node = Node(per_node, Link(370e9, 0.5e-6, 2.9e-6))
    sites = tuple(Site(name, [node] * (120 // per_node), fabric) for name in "abc")
    trunks = tuple(Trunk(pair, Link(100e9, 1e-4)) for pair in ("ab", "ac", "bc"))
    whole, few = both(Topology("t", sites, trunks), "all_reduce", "hierarchical", 50)
    assert_alike(whole, few)
    assert len(few) < len(whole) / 20
    parts = [
        [round(critical_path(each).spent_s(place, term), 12) for place in PLACES for term in TERMS]
        for each in (whole, few)
    ]
    assert parts[0] == parts[1]


PLACES = tuple(f"{what} of {site}" for what in ("NICs", "node links") for site in "abc")
TERMS = ("share", "latency", "overhead", "window", "gap")


def test_a_site_that_is_slower_than_the_others_is_timed_in_all_its_rounds():
    node = Node(1, Link(1e9, 0.0))
    sites = tuple(
        Site(name, [node] * 60, Link(rate, 2e-6, 1e-6)) for name, rate in (("a", 9e9), ("b", 1e9))
    )
    topology = Topology("t", sites, (Trunk(("a", "b"), Link(50e9, 1e-5)),))
    whole, few = both(topology, "all_reduce", "hierarchical", 500)
    assert_alike(whole, few)
    assert len(few) > len(whole) / 60  # what comes from a disturbs the ring of b


def test_messages_in_slices_are_timed_in_all_their_rounds():
    sites = tuple(Site(name, [Node(1, Link(1e9, 0.0))] * 50, Link(1e9, 2e-6)) for name in "ab")
    topology = Topology("t", sites, (Trunk(("a", "b"), Link(5e9, 1e-5)),))
    whole, few = both(topology, "all_reduce", "hierarchical", 100, Slicing(256, 2))
    assert_alike(whole, few)
    assert len(whole) > 2 * (2 * 49 * 100 + 400)


def quiet(**changes):
    """Two sites of four ranks, alike but for ``changes`` of a site, a trunk or a link."""
    fabric = changes.get("fabric", Link(1e9, 1e-6))
    nodes = changes.get("nodes", [Node(1, Link(1e9, 0.0))] * 4)
    sites = (
        Site("a", [Node(1, Link(1e9, 0.0))] * 4, Link(1e9, 1e-6)),
        Site("b", nodes, fabric, *changes.get("uplink", ())),
    )
    return Topology("t", sites, (Trunk(("a", "b"), changes.get("trunk", Link(1e9, 1e-5))),))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"nodes": [*[Node(1, Link(1e9, 0.0))] * 3, Node(1, Link(2e9, 0.0))]}, "nodes of b are"),
        ({"fabric": replace(Link(1e9, 1e-6), jitter=Jitter(1e-7))}, "inside b have jitter"),
        ({"trunk": replace(Link(1e9, 1e-5), jitter=Jitter(1e-7))}, "trunk a - b has jitter"),
        ({"trunk": replace(Link(1e9, 1e-5), waves=2)}, "trunk a - b has 2 waves"),
        ({"trunk": replace(Link(1e9, 1e-5), others=OtherTraffic(burst_bytes=9.0))}, "a - b has a"),
        ({"uplink": (1e9, None, 9.0)}, "b has a token bucket"),
    ],
)
def test_what_tells_ranks_apart_is_noticed(changes, complaint):
    with pytest.raises(ArgumentError, match=f"ranks are not alike: .*{complaint}"):
        both(quiet(**changes), "all_reduce", "hierarchical", 1)
    assert_alike(*both(quiet(), "all_reduce", "hierarchical", 1))


def test_a_world_is_timed_in_full_where_its_ranks_are_not_alike(monkeypatch):
    world = World(quiet(trunk=replace(Link(1e9, 1e-5), waves=2)))
    in_full = world.predict("all_reduce", 8, algorithm="hierarchical")
    few = world.predict("all_reduce", 8, algorithm="hierarchical", collapse=True)
    assert few.time_s == in_full.time_s
    assert few.plan.algorithm == "hierarchical"
    monkeypatch.setattr("emul.runtime.planner.MOST_RANKS_IN_FULL", 4)
    for algorithm in ("hierarchical", "auto"):
        with pytest.raises(ArgumentError, match="has 2 waves"):
            World(world.topology).predict("all_reduce", 8, algorithm=algorithm, collapse=True)
    with pytest.raises(ArgumentError, match="stack gloo"):
        World(quiet(), stack="gloo").predict("all_reduce", 8, collapse=True)


def test_a_prediction_by_an_excerpt_says_what_one_in_full_does():
    world = World(quiet())
    for collective in COLLECTIVES:
        in_full = world.predict(collective, 16, algorithm="hierarchical")
        few = world.predict(collective, 16, algorithm="hierarchical", collapse=True)
        for name in ("time_s", "bound_ps", "window_bound_ps", "nbytes", "binding", "algorithm"):
            assert getattr(few, name) == getattr(in_full, name)
        with pytest.raises(ArgumentError, match="is not there as a plan"):
            assert few.plan


def test_auto_takes_in_account_what_can_be_timed(monkeypatch):
    world = World(quiet())
    assert world.predict("all_reduce", 8, collapse=True).algorithm == (
        world.predict("all_reduce", 8).algorithm
    )
    monkeypatch.setattr("emul.runtime.planner.MOST_RANKS_IN_FULL", 4)
    few = World(quiet()).predict("all_reduce", 8, collapse=True)
    assert set(few.considered) == {"hierarchical", "hierarchical:nodes"}
    assert few.time_s == min(few.considered.values())


def test_the_first_transfers_of_shares_are_found():
    chosen = np.array([[0, 0, 1], [1, 0, 0], [1, 1, 1], [1, 1, 1]], dtype=bool)
    # share i starts at rank i; share 2 is chosen at once, the others from the third round on
    first = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 1], [0, 0, 0]], dtype=bool)
    assert np.array_equal(module._first_of_share(chosen), first)


def test_three_hundred_thousand_ranks_are_timed():
    world = World("three-campus-300k")
    assert world.size == 300_000
    prediction = world.predict("all_reduce", 300_000, algorithm="hierarchical", collapse=True)
    assert prediction.timeline.sent == 2 * 99_999 * 300_000 + 4 * 300_000
    assert prediction.time_s > prediction.bound_s > 0
    # every rank sends 100,000 shares on in its ring, twice, and its NIC is busy 11 us with each
    assert prediction.time_s == pytest.approx(2 * 1e5 * 11e-6, rel=1e-3)
