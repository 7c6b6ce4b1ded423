"""Bounds by prices: closed forms that no cut reaches, and no run below them."""

import random
from itertools import permutations

import pytest
from closed_forms.packings import spanning_rate
from graphs import MS, graph
from random_sites import random_sites

from emul import Link, Trunk
from emul.runtime.planner import Planner
from emul.topology import Conduit, Waypoint
from emul.topology import price_bound as pricing
from emul.topology.bound import lower_bound_ps
from emul.topology.price_bound import priced

MB = 10**6


def bound_ms(topology, collective, nbytes, root=0):
    return lower_bound_ps(topology, collective, nbytes, root, 1) / 1e9


def ring(rates, latency_s=MS):
    """Sites a, b, c ... in a ring, the trunk behind each of its rate in bytes per second."""
    names = "abcdefghijklmnop"[: len(rates)]
    trunks = {names[i - 1] + names[i]: Link(rate, latency_s) for i, rate in enumerate(rates)}
    return graph(names, trunks)


def test_an_all_reduce_over_a_ring_pays_a_tree_of_it():
    # Six trunks alike: five of six are a tree, so 6/5 of a trunk, though a cut has two.
    assert bound_ms(ring([1e9] * 6), "all_reduce", 12 * MB) == pytest.approx(10 + 1, rel=1e-6)
    # The three thinnest of five carry 3 + 4 + 4 = 11 over 2 in all; a cut of two of them 7.
    found = bound_ms(ring([4e9, 3e9, 9e9, 4e9, 9e9]), "all_reduce", 55 * MB)
    assert found == pytest.approx(55 / 5.5 + 1, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_an_all_reduce_takes_the_worst_partition_of_sites(seed):
    draw = random.Random(seed)
    names = "abcdef"[: 4 + seed % 3]
    pairs = [a + b for at, a in enumerate(names) for b in names[at + 1 :]]
    rates = {pair: 1e8 * 50 ** draw.random() for pair in pairs}
    topology = graph(names, {pair: Link(rate, MS) for pair, rate in rates.items()})
    numbered = {(names.index(a), names.index(b)): rate for (a, b), rate in rates.items()}
    worst = spanning_rate(len(names), numbered)
    assert bound_ms(topology, "all_reduce", 100 * MB) == pytest.approx(
        1e3 * 100 * MB / worst + 1, rel=1e-5
    )


def test_an_all_to_all_over_a_ring_pays_every_hop():
    # Of five sites alike, each sends 2 blocks one hop and 2 blocks two: 30 hops of blocks of 3 MB
    # over ten directions of trunks. A cut of two sites: 12 blocks leave, or enter, over two.
    assert bound_ms(ring([1e9] * 5), "all_to_all", 15 * MB) == pytest.approx(9 + 1, rel=1e-6)
    assert bound_ms(ring([1e9] * 6), "all_to_all", 18 * MB) == pytest.approx(13.5 + 1, rel=1e-6)


def test_an_all_to_all_pays_paths_where_every_cut_is_wide():
    # Two hubs and three leaves, hubs joined to leaves alone: 28 hops of blocks of 3 MB over twelve
    # directions of trunks. The worst cuts, of a leaf with or without a hub, let 4 blocks out of 2,
    # or 6 out of 3.
    hubs = graph("abxyz", {hub + leaf: Link(1e9, MS) for hub in "ab" for leaf in "xyz"})
    assert bound_ms(hubs, "all_to_all", 15 * MB) == pytest.approx(28 / 12 * 3 + 1, rel=1e-6)


def test_trees_one_way_count_beyond_ten_sites():
    rates = [1e9] * 12
    rates[3] = rates[9] = 0.1e9  # the thin waist: 0.2 GB/s into each half, of 24 MB
    assert bound_ms(ring(rates), "broadcast", 24 * MB) == pytest.approx(120 + 1, rel=1e-5)
    assert bound_ms(ring(rates), "reduce", 24 * MB, 5) == pytest.approx(120 + 1, rel=1e-5)
    assert bound_ms(ring(rates), "all_gather", 24 * MB) == pytest.approx(60 + 1, rel=1e-5)


def costs_of(topology):
    k = len(topology.sites)
    return dict.fromkeys(permutations(range(k), 2), (0.0, MS))


def test_each_limit_counts_from_its_own_latency_on():
    far = graph("abc", {"ab": Link(1e9, MS), "bc": Link(1e9, MS), "ac": Link(1e9, 21 * MS)})
    # (T - 1) + (T - 1) + (T - 21) = 2 x 30 ms: both of a tree's trunks, of all three
    assert bound_ms(far, "all_reduce", 30 * MB) == pytest.approx((60 + 23) / 3, rel=1e-5)


def test_bytes_that_pass_at_once_are_no_time():
    def three(burst_bytes):
        link = Link(1e9, MS)
        held = Link(1e9, MS, others=type(link.others)(burst_bytes=burst_bytes))
        return graph("abc", {"ab": held, "bc": held, "ac": held})

    # Three trunks let 2 MB pass at once, so of 60 MB over 3 GB/s each way 54 take time.
    assert bound_ms(three(2 * MB), "all_reduce", 30 * MB) == pytest.approx(18 + 1, rel=1e-5)
    assert bound_ms(three(0), "all_reduce", 30 * MB) == pytest.approx(20 + 1, rel=1e-5)


def test_any_prices_hold_and_the_best_ones_are_of_the_packing(monkeypatch):
    topology = ring([4e9, 3e9, 9e9, 4e9, 9e9])
    best = priced(topology, "all_reduce", 0, costs_of(topology)).least_s(55 * MB)
    packed = pricing.pack_spanning_trees
    draw = random.Random(1)

    def badly(graph_):
        found = packed(graph_)
        prices = tuple(draw.random() for _ in found.prices)
        return type(found)(found.trees, found.bytes_per_s, prices)

    monkeypatch.setattr(pricing, "pack_spanning_trees", badly)
    for _ in range(10):
        other = priced(topology, "all_reduce", 0, costs_of(topology)).least_s(55 * MB)
        assert other <= best * (1 + 1e-9)


def test_places_without_ranks_and_conduits_are_priced_too():
    trunks = {
        "aw": Link(1e9, MS),
        "bw": Trunk(("b", "w"), Link(1e9, MS), conduit="duct"),
        "cw": Trunk(("c", "w"), Link(1e9, MS), conduit="duct"),
    }
    star = graph("abc", trunks, waypoints=(Waypoint("w"),), conduits=(Conduit("duct", 0.5e9),))
    # An element reaches b and c, so it passes the duct to w once at least, and back.
    assert bound_ms(star, "all_reduce", 10 * MB) >= 20
    assert not Planner(star).prepare(request(star, "all_reduce", 10 * MB)).prediction.below_bound


def request(topology, collective, nbytes, algorithm="auto"):
    from emul.plans import Shape, collective_named
    from emul.runtime.request import Request

    n = topology.world_size
    shape = Shape(collective_named(collective), n, nbytes // n * n)
    return Request(shape, 1, algorithm=algorithm)


def test_few_sites_and_very_many_have_other_bounds(monkeypatch):
    two, three = ring([1e9, 1e9, 1e9]), ring([1e9] * 3)
    assert priced(graph("ab", {"ab": Link(1e9, MS)}), "all_reduce", 0, {}) is None
    assert priced(three, "broadcast", 0, costs_of(three)) is None
    assert priced(two, "gather", 0, costs_of(two)) is None
    monkeypatch.setattr(pricing, "MOST_SITES", 2)
    assert priced(three, "all_reduce", 0, costs_of(three)) is None


@pytest.mark.parametrize("seed", range(4))
def test_no_run_is_below_a_bound_by_prices(seed):
    topology = random_sites(seed, 3 + seed, 0.5, most_ranks=2)
    planner = Planner(topology)
    for collective in ("all_reduce", "all_to_all"):
        for nbytes in (MB, 64 * MB):
            for algorithm in ("packed", "direct", "auto"):
                asked = request(topology, collective, nbytes, algorithm)
                assert not planner.prepare(asked).prediction.below_bound
