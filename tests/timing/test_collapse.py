import re
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
from emul.plans import Places, Shape, SymmetricPlan, build_plan, collective_named
from emul.plans.cells import Cells
from emul.report import closing_words
from emul.timing import (
    NCCL_SLICING,
    Assumed,
    Slicing,
    critical_path,
    settled,
    symmetry,
    time_excerpt,
    time_plan,
)
from emul.topology import Network, Node, NodeRuns, Site, Topology, Trunk

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
    """Sites of sizes in small ratios, which may have other links than the next site."""
    per_node, nodes = draw(st.sampled_from([(1, 2), (1, 5), (1, 30), (2, 3), (3, 14), (6, 1)]))
    names = [f"s{i}" for i in range(draw(st.integers(1, 3)))]
    ratios = draw(st.sampled_from([(1, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 3), (5, 2, 3)]))
    link = draw(alike_links())
    sites = []
    for name, ratio in zip(names, ratios, strict=False):
        other = draw(alike_links()) if draw(st.booleans()) else link
        pattern = [Node(per_node, draw(links))]
        if draw(st.booleans()):
            pattern = [Node(per_node - 1 or 1, pattern[0].link), Node(per_node + 1, draw(links))]
        sites.append(Site(name, pattern * (nodes * ratio), other, draw(uplinks)))
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("alike", tuple(sites), tuple(Trunk(p, draw(alike_links())) for p in pairs))


@st.composite
def cases(draw):
    topology = draw(alike_topologies())
    assume(topology.world_size <= 300)
    assume(Cells.of(topology.ranks_by_node).number > 1)
    collective = draw(st.sampled_from(COLLECTIVES))
    algorithm = draw(st.sampled_from(ALGORITHMS))
    if "halving" in algorithm or "tree" in algorithm:
        collective = "all_reduce"
    times = draw(st.sampled_from([1, 3, 1000]))
    return topology, collective, algorithm, times


def both(topology, collective, algorithm, times, slicing=NCCL_SLICING, **options):
    """The timelines of the whole plan and of its excerpt, for the same call."""
    places = Places.of(topology.ranks_by_node)
    excerpt = SymmetricPlan.of(collective, algorithm, places)
    plan = build_plan(collective, algorithm, topology.ranks_by_node)
    width = divisor(excerpt) * times
    program = program_of(plan, width, 4)
    whole = time_plan(program, Network.of(topology), slicing)
    few = time_excerpt(excerpt, program.layout.shape, 4, topology, slicing, **options)
    assert few.assumed == Assumed()
    return whole, few.timeline


def divisor(excerpt):
    """The elements of the shortest vector that is cut alike for all ranks of a site."""
    shortest = 1
    while True:
        try:
            excerpt.lengths(Shape(collective_named(excerpt.collective), 1, shortest))
        except ArgumentError as error:
            shortest = int(re.search(r"that (\d+) divides", str(error))[1])
        else:
            return shortest


def assert_alike(whole, few):
    between = whole.trunk_bytes.any()
    assert few.total_ps == whole.total_ps, between
    assert few.sent == whole.sent
    assert np.array_equal(few.trunk_bytes, whole.trunk_bytes)
    assert few.roundings == whole.roundings
    assert critical_path(few).total_ps == few.total_ps


@given(cases())
def test_an_excerpt_takes_as_long_as_its_plan(case):
    topology, _, algorithm, _ = case
    sites = Places.of(topology.ranks_by_node).nodes
    assume("node" not in algorithm or all(len(each) == 1 or max(each) == 1 for each in sites))
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


def test_a_ring_that_is_disturbed_settles_again():
    node = Node(1, Link(1e9, 0.0))
    sites = tuple(
        Site(name, [node] * 60, Link(rate, 2e-6, 1e-6)) for name, rate in (("a", 9e9), ("b", 1e9))
    )
    topology = Topology("t", sites, (Trunk(("a", "b"), Link(50e9, 1e-5)),))
    whole, few = both(topology, "all_reduce", "hierarchical", 500)
    assert_alike(whole, few)
    assert len(few) < len(whole) / 20  # though messages from a come to the ring of b


def test_rounds_of_messages_in_slices_are_left_out():
    sites = tuple(Site(name, [Node(1, Link(1e9, 0.0))] * 50, Link(1e9, 2e-6)) for name in "ab")
    topology = Topology("t", sites, (Trunk(("a", "b"), Link(5e9, 1e-5)),))
    whole, few = both(topology, "all_reduce", "hierarchical", 100, Slicing(256, 2))
    assert_alike(whole, few)
    assert len(whole) > 2 * (2 * 49 * 100 + 400)
    assert len(few) < len(whole) / 20


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
        (
            {"nodes": [*[Node(1, Link(1e9, 0.0))] * 3, Node(1, Link(2e9, 0.0))]},
            "nodes of b do not come again",
        ),
        ({"fabric": replace(Link(1e9, 1e-6), jitter=Jitter(1e-7))}, "inside b have jitter"),
        ({"trunk": replace(Link(1e9, 1e-5), jitter=Jitter(1e-7))}, "trunk a - b has jitter"),
        ({"trunk": replace(Link(1e9, 1e-5), waves=2)}, "trunk a - b has 2 waves"),
        ({"trunk": replace(Link(1e9, 1e-5), others=OtherTraffic(burst_bytes=9.0))}, "a - b has a"),
        ({"uplink": (1e9, None, 9.0)}, "b has a token bucket"),
    ],
)
def test_what_tells_ranks_apart_is_noticed(changes, complaint):
    with pytest.raises(ArgumentError, match=f"ranks are not alike: .*{complaint}"):
        both(quiet(**changes), "all_reduce", "hierarchical", 1, strict_draws=True)
    assert_alike(*both(quiet(), "all_reduce", "hierarchical", 1))


def test_a_world_is_timed_in_full_where_its_ranks_are_not_alike(monkeypatch):
    world = World(quiet(trunk=replace(Link(1e9, 1e-5), waves=2)))
    in_full = world.predict("all_reduce", 8, algorithm="hierarchical")
    few = world.predict("all_reduce", 8, algorithm="hierarchical", collapse=True)
    assert few.time_s == in_full.time_s
    assert few.plan.algorithm == "hierarchical"
    monkeypatch.setattr("emul.runtime.planner.MOST_RANKS_IN_FULL", 4)
    for algorithm in ("hierarchical", "auto"):
        with pytest.raises(ArgumentError, match="2 streams for each wave"):
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
    assert np.array_equal(settled._first_of_share(chosen), first)


def test_three_hundred_thousand_ranks_are_timed():
    world = World("three-campus-300k")
    assert world.size == 300_000
    prediction = world.predict("all_reduce", 300_000, algorithm="hierarchical", collapse=True)
    assert prediction.timeline.sent == 2 * 99_999 * 300_000 + 4 * 300_000
    assert prediction.time_s > prediction.bound_s > 0
    # every rank sends 100,000 shares on in its ring, twice, and its NIC is busy 11 us with each
    assert prediction.time_s == pytest.approx(2 * 1e5 * 11e-6, rel=1e-3)


def unequal(per_site, trunk, **changes):
    """Sites of so many ranks in nodes of two, over trunks of 4, 2 and 1 times the rate of one."""
    node = Node(2, Link(370e9, 0.5e-6, 2.9e-6))
    sites = tuple(
        Site(name, NodeRuns(((node, ranks // 2),)), Link(12.5e9, 3e-6, 11e-6))
        for name, ranks in zip("abc", per_site, strict=True)
    )
    trunks = tuple(
        Trunk(
            pair, replace(trunk, rate_bytes_per_s=waves * 49e9, waves=changes.get("waves", waves))
        )
        for pair, waves in (("ab", 4), ("bc", 2), ("ac", 1))
    )
    return Topology("unequal", sites, trunks)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_sites_of_unequal_size_are_timed_by_the_cells_that_they_come_to(collective):
    topology = unequal((200, 100, 40), Link(49e9, 1e-4), waves=1)
    whole, few = both(topology, collective, "hierarchical", 1)
    assert_alike(whole, few)
    assert len(few) < len(whole) / 5


def test_streams_of_very_many_ranks_are_spread_evenly_over_waves():
    """A trunk of several waves is then one of the same rate, which every stream has a part of."""
    lit, joined = (
        World(unequal((2000, 1000, 400), Link(49e9, 1e-4), **waves)).predict(
            "all_reduce", 6_000_000, algorithm="hierarchical", collapse=True
        )
        for waves in ({}, {"waves": 1})
    )
    assert lit.time_s == joined.time_s
    assert (lit.assumed.spread, joined.assumed.spread) == (500, 0)  # 2000 on four waves
    assert ("assumed", "500 streams and more were spread evenly over each wave") in lit.facts


def test_one_connection_draws_for_all_that_it_stands_for():
    late = replace(Link(49e9, 1e-4), jitter=Jitter(1e-5, 4.0))
    topology = unequal((2000, 1000, 400), late, waves=1)
    call = ("all_reduce", 6_000_000)
    kept = World(topology).predict(*call, algorithm="hierarchical", collapse=True)
    assert kept.assumed.drawn_for == 100  # cells of 20, 10 and 4 ranks
    (line,) = (each for each in closing_words(World(topology), kept, None) if "Alike: " in each)
    assert "drawn once for 100 alike" in line
    again = World(topology, seed=1).predict(*call, algorithm="hierarchical", collapse=True)
    assert again.total_ps != kept.total_ps


def test_strict_draws_are_refused_where_there_are_too_many_ranks(monkeypatch):
    monkeypatch.setattr("emul.runtime.planner.MOST_RANKS_IN_FULL", 4)
    world = World(quiet(trunk=replace(Link(1e9, 1e-5), jitter=Jitter(1e-7))))
    call = {"algorithm": "hierarchical", "collapse": True}
    assert world.predict("all_reduce", 8, **call).assumed.drawn_for == 2
    with pytest.raises(ArgumentError, match="trunk a - b has jitter or losses"):
        world.predict("all_reduce", 8, strict_draws=True, **call)


def test_ranks_that_begin_far_apart_begin_together_instead(monkeypatch):
    """That is never quicker, and said; and no slower than a few percent here."""
    topology = unequal((200, 100, 40), Link(5e8, 1e-4), waves=1)
    places = Places.of(topology.ranks_by_node)
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", places)
    shape = Shape(collective_named("all_reduce"), 340, 600_000)
    exact = time_excerpt(excerpt, shape, 4, topology, NCCL_SLICING)
    monkeypatch.setattr(symmetry, "MOST_TRANSFERS", 2000)
    few = time_excerpt(excerpt, shape, 4, topology, NCCL_SLICING)
    assert few.assumed == Assumed(together=True)
    assert 1 < few.timeline.total_ps / exact.timeline.total_ps < 1.05
    assert few.timeline.sent == exact.timeline.sent
    site_of = few.timeline.network.site_of
    src, dst = site_of[few.timeline.src], site_of[few.timeline.dst]
    first = 1 + int(np.flatnonzero(src != dst)[-1])  # of the last ring, site by site
    begins = few.timeline.start_ps[first : first + sum(excerpt.periods)]
    assert [len(set(begins[src[first : first + len(begins)] == site])) for site in range(3)] == [
        1, 1, 1,
    ]  # fmt: skip


def test_three_unequal_campuses_are_timed():
    """A hundredth of a second for each 50 MB of wave, or the rings, whichever is longer."""
    world = World(unequal((100_000, 50_000, 20_000), Link(49e9, 1e-4)))
    kept = world.predict("all_reduce", 1 << 28, algorithm="hierarchical", collapse=True)
    rounds_s = 2 * 99_999 * 11e-6
    assert rounds_s < kept.time_s < 1.1 * rounds_s
    assert kept.timeline.sent == 2 * sum(n * (n - 1) for n in (100_000, 50_000, 20_000)) + (
        4 * (100_000 + 60_000 + 100_000)
    )
