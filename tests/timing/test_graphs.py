"""Paths over several trunks: their times by closed forms, and shares by max-min fairness."""

import random
from dataclasses import replace

import numpy as np
import pytest
from closed_forms.sharing import Flow, finish_times_s
from graphs import MS, PORT, PS_PER_S, arrivals_ps, graph, site, timed
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples, fewer

from emul import Link, Node, Site, Topology, Trunk, World
from emul.links import Changes, Jitter, Outages, State, Transport
from emul.timing import critical_path
from emul.topology import Conduit, Network, PathVia, Waypoint

GB = 10**9


def test_a_chain_costs_overhead_the_slowest_trunk_and_all_latencies():
    trunks = {"ab": Link(4e9, MS, 2e-6), "bc": Link(1e9, 2 * MS, 3e-6), "cd": Link(2e9, 4 * MS)}
    chain = graph("abcd", trunks)
    # 3 us of the host, once; 1 MB over 1 GB/s; 1 + 2 + 4 ms.
    assert arrivals_ps(chain, [(0, 3, 10**6)]) == [(3 + 1000 + 7000) * 10**6]
    assert arrivals_ps(chain, [(3, 0, 10**6)]) == [(3 + 1000 + 7000) * 10**6]


def test_what_passes_through_loads_every_trunk_on_its_way():
    chain = graph("abc", {"ab": Link(1e9, MS), "bc": Link(1e9, MS)})
    # Each trunk has two flows: a to c, and one of its own. Half of the rate for everybody.
    messages = [(0, 2, 10**6), (0, 1, 10**6), (1, 2, 10**6)]
    assert arrivals_ps(chain, messages) == [4 * 10**9, 3 * 10**9, 3 * 10**9]
    # The other direction is a link of its own.
    assert arrivals_ps(chain, [(0, 2, 10**6), (2, 0, 10**6)]) == [3 * 10**9] * 2


def test_passing_a_site_costs_its_transit_and_neither_its_nics_nor_its_uplink():
    slow = Link(1e3, 0.0)
    b = Site("b", (Node(1, PORT),), slow, uplink_bytes_per_s=1e3, transit_s=0.5 * MS)
    trunks = (Trunk(("a", "b"), Link(1e9, MS)), Trunk(("b", "c"), Link(1e9, MS)))
    chain = Topology("graph", (site("a"), b, site("c")), trunks)
    assert arrivals_ps(chain, [(0, 2, 10**6)]) == [3_500_000_000]


def test_a_place_without_ranks_is_passed_like_a_site():
    trunks = (Trunk(("a", "w"), Link(1e9, MS)), Trunk(("w", "c"), Link(2e9, MS)))
    chain = Topology("graph", (site("a"), site("c")), trunks, waypoints=(Waypoint("w", 0.25 * MS),))
    assert arrivals_ps(chain, [(0, 1, 10**6)]) == [3_250_000_000]


def test_a_conduit_is_loaded_by_all_of_its_trunks():
    through = (Conduit("duct", 1e9),)
    trunks = {
        "ab": Trunk(("a", "b"), Link(1e9, MS), conduit="duct"),
        "ac": Trunk(("a", "c"), Link(1e9, MS), conduit="duct"),
    }
    both = graph("abc", trunks, conduits=through)
    shared = arrivals_ps(both, [(0, 1, 10**6), (0, 2, 10**6)])
    assert shared == pytest.approx([3 * 10**9] * 2, abs=2)  # the second leaves its port 1 ps later
    # b to c goes back along it, then forth: each direction carries it once.
    assert arrivals_ps(both, [(1, 2, 10**6)]) == [3 * 10**9]
    thin = replace(both, conduits=(Conduit("duct", 0.5e9),))
    assert arrivals_ps(thin, [(0, 1, 10**6)]) == [3 * 10**9]
    turned = replace(both.trunks[0], sites=("b", "a"))
    # Now b to c goes along the conduit twice in one direction, at half of its rate.
    twice = replace(both, trunks=(turned, both.trunks[1]))
    assert arrivals_ps(twice, [(1, 2, 10**6)]) == [4 * 10**9]


def test_an_outage_of_a_conduit_takes_all_of_its_trunks():
    down = Changes(outages=Outages(((0.0, 0.010),)))
    trunks = {
        "ab": Trunk(("a", "b"), Link(1e9, MS), conduit="duct"),
        "bc": Trunk(("b", "c"), Link(1e9, MS), conduit="duct"),
        "cd": Link(1e9, MS),
    }
    chain = graph("abcd", trunks, conduits=(Conduit("duct", changes=down),))
    messages = [(0, 1, 10**6), (1, 2, 10**6), (2, 3, 10**6)]
    assert arrivals_ps(chain, messages) == [12 * 10**9, 12 * 10**9, 2 * 10**9]


def test_the_changes_of_every_trunk_of_a_path_count():
    slower = Changes((State(0.0), State(0.001, 0.5, 0.003)))
    trunks = {
        "ab": Trunk(("a", "b"), Link(1e9, MS), changes=slower),
        "bc": Trunk(("b", "c"), Link(1e9, MS), changes=Changes((State(0.0, 0.8),))),
    }
    chain = graph("abc", trunks)
    # 0.8 MB in the first millisecond, 0.2 MB at half the rate: 1.4 ms; and 2 + 3 ms under way.
    assert arrivals_ps(chain, [(0, 2, 10**6)]) == [6_400_000_000]
    # With a flow of its own on bc: 0.4 GB/s each, and b to c first: 1 MB takes 2.5 ms. a to c has
    # 0.4 GB/s from 1 ms on too, for half of ab is more.
    found = arrivals_ps(chain, [(0, 2, 10**6), (1, 2, 10**6)])
    assert found == [2_500_000_000 + 5 * 10**9, 2_500_000_000 + 10**9]


def test_windows_count_over_the_whole_round_trip():
    windowed = Transport(window_bytes=1e6)
    trunks = {"ab": Link(1e12, MS, transport=windowed), "bc": Link(1e12, 3 * MS)}
    chain = graph("abc", trunks)
    # 1 MB each 8 ms of round trip: 0.125 GB/s, while ab alone has 0.5.
    assert arrivals_ps(chain, [(0, 2, 10**6)]) == [12 * 10**9]
    assert arrivals_ps(chain, [(0, 1, 10**6)]) == [3 * 10**9]


def test_jitter_of_every_trunk_adds_up():
    jitter = Jitter(MS, 1.0)
    trunks = {"ab": Link(1e9, MS, jitter=jitter), "bc": Link(1e9, MS, jitter=jitter)}
    assert arrivals_ps(graph("abc", trunks), [(0, 2, 10**6)]) == [5 * 10**9]


def drawn_graph(draw):
    n = draw.randint(2, 7)
    names = "abcdefg"[:n]
    pairs = {(draw.randrange(at), at) for at in range(1, n)}
    pairs |= {tuple(sorted(draw.sample(range(n), 2))) for _ in range(draw.randint(0, 3))}
    trunks = {
        names[a] + names[b]: Link(draw.choice((1e8, 2e8, 3e8, 1e9)), draw.choice((1e-6, 1e-4, MS)))
        for a, b in sorted(pairs)
    }
    return graph(names, trunks)


@pytest.mark.parametrize("number", range(fewer(60)))
def test_shares_on_random_graphs_are_max_min_fair(number):
    draw = random.Random(number)
    topology = drawn_graph(draw)
    n = topology.world_size
    messages = [
        (*draw.sample(range(n), 2), draw.randint(1, 10**6)) for _ in range(draw.randint(1, 12))
    ]
    network = Network.of(topology)
    flows = {
        at: Flow(network.route(src, dst)[1:-1], nbytes=nbytes)
        for at, (src, dst, nbytes) in enumerate(messages)
    }
    rates = {link: float(network.link_rate[link]) for link in network.trunk_links}
    ends_s = finish_times_s(rates, flows)
    expected = [
        ends_s[at] * PS_PER_S + network.latency_ps(src, dst)
        for at, (src, dst, _) in enumerate(messages)
    ]
    # Each end of a flow is at a whole picosecond, where the rates of all others change.
    assert arrivals_ps(topology, messages) == pytest.approx(expected, abs=2 * len(messages), rel=0)
    timeline = timed(topology, messages)
    assert critical_path(timeline).total_ps == timeline.total_ps


def ring_of_six(order, start="abcdef"):
    sites = {name: site(name, ranks=2) for name in start}
    trunks = tuple(
        Trunk((a, b), Link(1.25e9, MS)) for a, b in zip(start, start[1:] + start[0], strict=True)
    )
    return Topology("ring", tuple(sites[name] for name in order), trunks)


@examples(25)
@given(st.permutations("abcdef"), st.sampled_from(["ring", "hierarchical", "auto"]))
def test_the_order_of_sites_changes_no_time(order, algorithm):
    expected = World(ring_of_six("abcdef")).predict("all_reduce", 10**5, algorithm=algorithm)
    found = World(ring_of_six(order)).predict("all_reduce", 10**5, algorithm=algorithm)
    assert (found.total_ps, found.bound_ps) == (expected.total_ps, expected.bound_ps)


@examples(25)
@given(st.integers(0, 10**6), st.randoms(use_true_random=False))
def test_the_order_of_sites_of_any_graph_changes_no_time(number, draw):
    topology = drawn_graph(random.Random(number))
    pairs = topology.world_size * (topology.world_size - 1) // 2
    if len(topology.trunks) == pairs:
        return  # in a full mesh, ranks are numbered as the file lists them
    sites = draw.sample(topology.sites, len(topology.sites))
    mixed = replace(topology, sites=tuple(sites), trunks=topology.trunks[::-1])
    for algorithm in ("ring", "direct"):
        times = [
            World(each).predict("all_reduce", 1000, algorithm=algorithm).total_ps
            for each in (topology, mixed)
        ]
        assert times[0] == times[1]


def test_ranks_that_share_a_nic_share_its_port():
    nic, nvlink = Link(1e9, 1e-6), Link(1e18, 0.0)
    far = Link(1e12, MS)

    def two(nics):
        sites = tuple(Site(name, (Node(4, nvlink, nics),), nic) for name in "ab")
        return Topology("two", sites, (Trunk(("a", "b"), far),))

    # A million bytes from each of four ranks, over four NICs, two and one.
    messages = [(rank, 4 + rank, 10**6) for rank in range(4)]
    for nics, ms in ((4, 1), (2, 2), (1, 4)):
        assert timed(two(nics), messages).total_ps == (ms + 1) * 10**9
    assert Network.of(two(2)).nic_of.tolist() == [0, 0, 2, 2, 4, 4, 6, 6]
    # Ranks 0 and 3 of the node, by themselves, have the NICs that they had.
    assert two(2).of_ranks([0, 1, 3]).sites[0].nodes[0].nic_of == (0, 0, 1)


def test_a_ring_over_shared_nics_is_timed_alike_by_rule_and_by_transfer():
    nic, nvlink = Link(1e9, 1e-6), Link(8e9, 1e-6)
    site_of = lambda name: Site(name, (Node(4, nvlink, 1), Node(3, nvlink, 2)), nic)  # noqa: E731
    two = Topology("two", (site_of("a"), site_of("b")), (Trunk(("a", "b"), Link(1e12, MS)),))
    for algorithm in ("ring", "ring:interleaved", "ring:channels"):
        by_rule = World(two).predict("all_reduce", 1400, algorithm="auto").considered
        alone = World(two).predict("all_reduce", 1400, algorithm=algorithm).time_s
        assert by_rule.get(algorithm, alone) == pytest.approx(alone, rel=1e-12)


def test_a_path_that_is_asked_for_is_taken():
    trunks = {"ab": Link(1e9, MS), "bc": Link(1e9, MS), "ac": Link(1e9, 9 * MS)}
    mesh = graph("abc", trunks)
    assert arrivals_ps(mesh, [(0, 2, 10**6)]) == [10 * 10**9]
    over_b = replace(mesh, paths_via=(PathVia(("c", "a"), ("b",)),))
    assert arrivals_ps(over_b, [(0, 2, 10**6), (2, 0, 10**6)]) == [3 * 10**9] * 2


def test_every_rank_of_a_group_keeps_its_path():
    chain = World(graph("abcd", {"ab": Link(1e9, MS), "bc": Link(1e9, MS), "cd": Link(1e9, MS)}))
    group = chain.group([0, 3])
    x = np.ones((2, 250), np.float32)
    assert group.broadcast(x, root=0, algorithm="direct").time_s >= 3 * MS
    alone = chain.topology.of_ranks([0, 3])
    assert [trunk.name for trunk in alone.trunks] == ["a - b", "b - c", "c - d"]
    assert [place.name for place in alone.waypoints] == ["b", "c"]
