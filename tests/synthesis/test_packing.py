"""Packings of trees, and routes, against closed forms and all partitions, cuts and trees."""

import random
from fractions import Fraction
from itertools import combinations, permutations, product

import numpy as np
import pytest
from closed_forms.packings import one_way_s, spanning_rate, spanning_trees

from emul.synthesis import (
    Limit,
    SiteGraph,
    in_units,
    least_length,
    least_tree,
    least_tree_from,
    pack_spanning_trees,
    pack_trees_from,
    packed_in_time,
    pool_of,
    route,
    without_slow_arcs,
)
from emul.synthesis.trees import cheapest_from, cheapest_spanning, meeting, quickest_from

GB = 1e9


def site_graph(n, rates, delays=None):
    """A graph of pairs with their rates, each trunk a limit either way."""
    arcs = tuple(sorted(arc for pair in rates for arc in (pair, pair[::-1])))
    delay_s = tuple((delays or {}).get(tuple(sorted(arc)), 1e-3) for arc in arcs)
    limits = tuple(Limit(rates[tuple(sorted(arc))], (i,)) for i, arc in enumerate(arcs))
    return SiteGraph(n, arcs, delay_s, limits)


def mesh(n, rate=GB):
    return dict.fromkeys(combinations(range(n), 2), rate)


def drawn(seed, n, part=1.0):
    """Rates of a random connected graph over n sites, from 0.05 to 5 GB/s."""
    draw = random.Random(seed)
    joined = {(site, site + 1) for site in range(n - 1)}
    pairs = [pair for pair in mesh(n) if pair in joined or draw.random() < part]
    return {pair: 5e7 * 100 ** draw.random() for pair in pairs}


@pytest.mark.parametrize("seed", range(4))
def test_a_triangle_takes_two_thin_trunks_or_half_of_all(seed):
    draw = random.Random(seed)
    a, b, c = sorted(draw.uniform(1e8, 1e9) for _ in range(3))
    found = pack_spanning_trees(site_graph(3, {(0, 1): c, (1, 2): b, (0, 2): a}))
    assert found.bytes_per_s == pytest.approx(min(a + b, (a + b + c) / 2), rel=1e-9)
    spread = pack_trees_from(site_graph(3, {(0, 1): c, (1, 2): b, (0, 2): a}), [1.0, 0.0, 0.0])
    assert spread.bytes_per_s == pytest.approx(min(a + b, a + c, b + c), rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 12])
def test_a_mesh_of_alike_trunks_carries_half_of_its_sites(n):
    graph = site_graph(n, mesh(n))
    assert pack_spanning_trees(graph).bytes_per_s == pytest.approx(n * GB / 2, rel=1e-6)
    assert pack_trees_from(graph, [1.0] * n).bytes_per_s == pytest.approx(n * GB, rel=1e-6)


@pytest.mark.parametrize("n", [4, 6, 9])
def test_a_ring_takes_its_thinnest_trunks(n):
    draw = random.Random(n)
    rates = {tuple(sorted((i, (i + 1) % n))): draw.uniform(1e8, 1e9) for i in range(n)}
    thin = sorted(rates.values())
    least = min(sum(thin[:p]) / (p - 1) for p in range(2, n + 1))
    assert pack_spanning_trees(site_graph(n, rates)).bytes_per_s == pytest.approx(least, rel=1e-9)


def test_a_star_takes_its_thinnest_trunk():
    rates = {(0, site): site * 1e8 for site in (3, 1, 4, 2)}
    assert pack_spanning_trees(site_graph(5, rates)).bytes_per_s == pytest.approx(1e8)


@pytest.mark.parametrize(
    ("seed", "n", "part"), [(1, 4, 1.0), (2, 5, 1.0), (3, 6, 1.0), (4, 6, 0.3), (5, 7, 0.5)]
)
def test_a_random_graph_takes_its_worst_partition_and_its_worst_cut(seed, n, part):
    rates = drawn(seed, n, part)
    graph = site_graph(n, rates)
    worst = spanning_rate(n, rates)
    assert pack_spanning_trees(graph).bytes_per_s == pytest.approx(worst, rel=1e-6)
    demands = [1.0 + site for site in range(n)]
    most = pack_trees_from(graph, demands).bytes_per_s
    assert 1 / most == pytest.approx(one_way_s(n, rates, demands) / sum(demands), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_trees_keep_within_every_limit_and_their_prices_prove_them_best(seed):
    n = 4 + seed
    rates = drawn(seed, n, 0.6)
    graph = site_graph(n, rates)
    found = pack_spanning_trees(graph)
    load = dict.fromkeys(rates, 0.0)
    for tree in found.trees:
        roots = [site for site, parent in enumerate(tree.parents) if parent < 0]
        edges = [tuple(sorted((s, p))) for s, p in enumerate(tree.parents) if p >= 0]
        for edge in [*edges, tuple(roots)]:
            load[edge] += tree.amount
    assert all(load[pair] <= rates[pair] * (1 + 1e-6) for pair in rates)
    assert sum(tree.amount for tree in found.trees) == pytest.approx(found.bytes_per_s, rel=1e-6)
    length = dict.fromkeys(rates, Fraction(0))
    for price, limit in zip(found.prices, graph.limits, strict=True):
        length[tuple(sorted(graph.arcs[limit.arcs[0]]))] += Fraction(price)
    paid = sum(length[pair] * Fraction(rate) for pair, rate in rates.items())
    assert float(paid / least_tree(n, length)) == pytest.approx(found.bytes_per_s, rel=1e-6)


def test_all_to_all_over_a_chain_takes_the_trunk_in_the_middle():
    draw = random.Random(1)
    for n in (4, 7):
        rates = {(i, i + 1): draw.uniform(1e8, 1e9) for i in range(n - 1)}
        demands = dict.fromkeys(permutations(range(n), 2), 1000000.0)
        least = max(1e6 * (i + 1) * (n - i - 1) / rates[i, i + 1] for i in range(n - 1))
        found = route(site_graph(n, rates), demands)
        assert 1 / found.parts_per_s == pytest.approx(least, rel=1e-6)


def test_all_to_all_over_a_triangle_relays_past_the_thinnest_trunk():
    graph = site_graph(3, {(0, 1): 3e8, (1, 2): 2e8, (0, 2): 1e8})
    demands = dict.fromkeys(permutations(range(3), 2), 1000000.0)
    found = route(graph, demands)
    assert 1 / found.parts_per_s == pytest.approx(2e6 / 3e8, rel=1e-6)  # out of the thin corner
    paths = {each.path for each in found.routes[0, 2]}
    assert paths == {(0, 2), (0, 1, 2)}


@pytest.mark.parametrize("seed", range(3))
def test_routes_carry_their_demands_within_every_limit(seed):
    n = 5
    rates = drawn(seed, n, 0.5)
    graph, draw = site_graph(n, rates), random.Random(seed)
    demands = {pair: draw.uniform(1e5, 1e7) for pair in permutations(range(n), 2)}
    found = route(graph, demands)
    load = dict.fromkeys(graph.arcs, 0.0)
    for pair, routes in found.routes.items():
        assert all((each.path[0], each.path[-1]) == pair for each in routes)
        sent = sum(each.amount for each in routes)
        assert sent == pytest.approx(found.parts_per_s * demands[pair], rel=1e-5)
        for each in routes:
            for arc in zip(each.path, each.path[1:], strict=False):
                load[arc] += each.amount
    assert all(load[a, b] <= rates[min(a, b), max(a, b)] * (1 + 1e-6) for a, b in load)
    length = {graph.arcs[limit.arcs[0]]: Fraction(price) for price, limit in
              zip(found.prices, graph.limits, strict=True)}  # fmt: skip
    paid = sum(Fraction(limit.bytes_per_s) * Fraction(price) for price, limit in
               zip(found.prices, graph.limits, strict=True))  # fmt: skip
    whole = {pair: Fraction(nbytes) for pair, nbytes in demands.items()}
    least_s = float(least_length(n, length, whole) / paid)
    assert least_s == pytest.approx(1 / found.parts_per_s, rel=1e-6)


def test_a_routing_is_done_when_its_last_pair_is():
    delays = {(0, 1): 1e-3, (1, 2): 2e-3, (0, 2): 7e-3}
    found = route(site_graph(3, mesh(3), delays), {(0, 2): 1e6, (1, 2): 1e6})
    # Both trunks into site 2 are full, each with its own bytes: 1 MB take 1 ms, and 7 ms the far.
    assert found.done_s(1.0) == pytest.approx(8e-3, rel=1e-4)
    assert {each.delay_s for each in found.routes[0, 2]} == {7e-3}


def test_slow_arcs_are_left_out_while_all_sites_are_joined():
    delays = {(0, 1): 1e-3, (1, 2): 2e-3, (0, 2): 7e-3}
    graphs = list(without_slow_arcs(site_graph(3, mesh(3), delays)))
    assert [len(each.arcs) for each in graphs] == [6, 4]
    assert graphs[1].arcs == ((0, 1), (1, 0), (1, 2), (2, 1))
    assert [limit.arcs for limit in graphs[1].limits] == [(0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("seed", range(5))
def test_cheapest_trees_are_those_of_all_trees(seed):
    draw, n = random.Random(seed), 5
    rates = drawn(seed, n, 0.8)
    graph = site_graph(n, rates)
    costs = [draw.choice((1.0, 2.0, 3.5, 7.0)) for _ in graph.edges]
    cost_of = dict(zip(graph.edges, costs, strict=True))
    tree = cheapest_spanning(graph, costs)
    least = min(sum(cost_of[e] for e in each) for each in spanning_trees(n, graph.edges))
    assert sum(costs[edge] for edge in tree) == least
    each_way = {arc: float(draw.randint(1, 9)) for arc in graph.arcs}
    parents = cheapest_from(graph, [each_way[arc] for arc in graph.arcs], 2)
    into = [[a for a, b in graph.arcs if b == site] if site != 2 else [-1] for site in range(n)]
    least = min(
        sum(each_way[parent, site] for site, parent in enumerate(chosen) if parent >= 0)
        for chosen in product(*into)
        if rooted(chosen, 2)
    )
    assert rooted(parents, 2)
    assert sum(each_way[p, site] for site, p in enumerate(parents) if p >= 0) == least
    exact = {arc: Fraction(cost) for arc, cost in each_way.items()}
    assert least_tree_from(n, exact, 2) == least


def rooted(parents, root):
    """Whether all sites lead to the root."""
    for site in range(len(parents)):
        here = site
        for _ in parents:
            here = here if here == root else parents[here]
        if here != root:
            return False
    return True


def test_a_tree_meets_in_its_middle():
    delays = {(0, 1): 1e-3, (1, 2): 5e-3, (2, 3): 2e-3}
    graph = site_graph(4, {(i, i + 1): GB for i in range(3)}, delays)
    parents, delay_s = meeting(graph, [(0, 1), (1, 2), (2, 3)])
    assert parents == (1, -1, -1, 2)
    assert delay_s == pytest.approx(9e-3)  # 2 up, 5 across, 2 down


def test_quickest_paths_go_around_a_slow_trunk():
    delays = {(0, 1): 1e-3, (1, 2): 1e-3, (0, 2): 5e-3}
    graph = site_graph(3, mesh(3), delays)
    assert quickest_from(graph, 0) == (-1, 0, 1)


def horizon_s(graph, nbytes, shares=None, most_trees=8):
    return packed_in_time(graph, pool_of(graph, shares), nbytes, shares, most_trees=most_trees)


def test_a_small_vector_leaves_out_a_slow_trunk_that_a_large_one_takes():
    delays = {(0, 1): 1e-4, (1, 2): 1e-4, (0, 2): 1e-2}
    graph = site_graph(3, mesh(3), delays)
    small, small_s = horizon_s(graph, 1e5)
    # One path of two trunks meets at the end of one: up and down, across.
    assert [tree.delay_s for tree in small.trees] == [pytest.approx(3e-4)]
    assert small_s == pytest.approx(3e-4 + 1e5 / GB, rel=1e-3)
    large, large_s = horizon_s(graph, 1e9)
    assert len(large.trees) > 1
    assert large_s < 3e-4 + 1e9 / GB
    assert large_s > 1e9 / (1.5 * GB)


def test_a_vector_of_one_site_takes_longer_by_the_delay_of_its_tree():
    graph = site_graph(2, {(0, 1): GB}, {(0, 1): 3e-3})
    assert horizon_s(graph, 1e6)[1] == pytest.approx(3e-3 + 1e-3)
    assert horizon_s(graph, 1e6, (1.0, 0.0))[1] == pytest.approx(3e-3 + 1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_few_trees_are_no_quicker_than_many_and_keep_their_shares(seed):
    graph = site_graph(6, drawn(seed, 6))
    shares = (1.0, 2.0, 3.0, 1.0, 1.0, 1.0)
    many, many_s = horizon_s(graph, 3e7, shares)
    few, few_s = horizon_s(graph, 3e7, shares, most_trees=1)
    assert few_s >= many_s * (1 - 1e-3)
    assert len(few.trees) == 6
    for found, done_s in ((many, many_s), (few, few_s)):
        for group, share in enumerate(shares):
            sent = sum(t.amount * (done_s - t.delay_s) for t in found.trees if t.group == group)
            assert sent >= 3e7 * share / 9 * (1 - 1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_rates_that_scale_scale_all(seed):
    rates = drawn(seed, 6)
    twice = {pair: 4 * rate for pair, rate in rates.items()}
    one, four = (pack_spanning_trees(site_graph(6, each)) for each in (rates, twice))
    assert four.bytes_per_s == pytest.approx(4 * one.bytes_per_s, rel=1e-12)
    assert [tree.parents for tree in four.trees] == [tree.parents for tree in one.trees]


def test_a_shared_limit_holds_its_arcs_together():
    graph = site_graph(3, mesh(3))
    out = Limit(0.5 * GB, tuple(i for i, (a, _) in enumerate(graph.arcs) if a == 0))
    limited = SiteGraph(3, graph.arcs, graph.delay_s, (*graph.limits, out))
    # Each tree leaves site 0 at least once, by an uplink of half a trunk.
    assert pack_spanning_trees(limited).bytes_per_s == pytest.approx(0.5 * GB)


def test_units_are_whole_and_add_up():
    assert in_units([1.0, 1.0, 1.0], 4) == [2, 1, 1]
    assert in_units([0.5, 0.26, 0.24], 48) == [24, 12, 12]
    for seed in range(20):
        draw = np.random.default_rng(seed)
        shares = draw.uniform(0, 1, 7).tolist()
        found = in_units(shares, 48)
        assert sum(found) == 48
        assert all(abs(u - s / sum(shares) * 48) < 1 for u, s in zip(found, shares, strict=True))


def test_more_limits_than_a_mesh_of_sixteen_sites_has_are_packed():
    rates = drawn(9, 16)
    graph = site_graph(16, rates)
    cut = min(sum(r for pair, r in rates.items() if site in pair) for site in range(16))
    every = sum(rates.values()) / 15
    found = pack_spanning_trees(graph).bytes_per_s
    assert found <= min(cut, every) * (1 + 1e-6)
    assert found >= min(cut, every) * 0.8
