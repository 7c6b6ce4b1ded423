"""Plans over several trees of sites, and over routes with relays: proven, and refused."""

import pickle
import random

import numpy as np
import pytest

from emul.errors import ArgumentError
from emul.plans import Places, build_plan, verify
from emul.plans.algorithms.packed import (
    TREE_COLLECTIVES,
    PackedSpec,
    Pipeline,
    SiteTree,
    asked_pipeline,
    is_packed,
    stars,
)
from emul.plans.algorithms.rank_tree import RankTree, leaders_of
from emul.plans.algorithms.routed import ROUTE_COLLECTIVES, RoutedSpec, SiteRoute

PLACES = [((1,), (1,)), ((3,), (2, 2), (1,)), ((2, 3), (4,), (1, 1, 2), (1,))]
PIPELINES = [Pipeline(), Pipeline(3), Pipeline(4, 2), Pipeline(5, 3, 2)]


def random_tree(draw, sites, root):
    """The parents of a random tree of all sites."""
    parents, reached = [-1] * sites, [root]
    for site in draw.sample([s for s in range(sites) if s != root], sites - 1):
        parents[site] = draw.choice(reached)
        reached.append(site)
    return parents


def random_trees(draw, collective, places, root):
    """Up to three trees for each site that needs some, of 6 units together."""
    sites, found = len(places.sites), []
    roots = range(sites)
    if collective in ("broadcast", "reduce"):
        roots = [places.site_of(root)]
    elif collective == "all_reduce":
        roots = [draw.randrange(sites)]
    for site in roots:
        for units in draw.choice(([6], [4, 2], [3, 2, 1])):
            parents = random_tree(draw, sites, site)
            if collective == "all_reduce" and sites > 1 and draw.random() < 0.5:
                parents[draw.choice([s for s, p in enumerate(parents) if p == site])] = -1
            found.append(SiteTree(units, tuple(parents)))
    return tuple(found)


@pytest.mark.parametrize("nodes", PLACES)
@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("collective", TREE_COLLECTIVES)
def test_plans_over_random_trees_are_proven(collective, pipeline, nodes):
    draw = random.Random(str((collective, pipeline, nodes)))
    places = Places(nodes)
    for root in (0, places.world_size - 1):
        trees = random_trees(draw, collective, places, root)
        order = tuple(draw.sample(range(len(nodes)), len(nodes)))
        spec = PackedSpec(collective, "packed", places, root, trees, pipeline, order)
        plan = spec.build()
        verify(plan)
        assert pickle.loads(pickle.dumps(plan)) == plan
        blocks = 1 if collective in ("all_reduce", "broadcast", "reduce") else places.world_size
        assert plan.partition.edges[-1] == 6 * pipeline.pieces * blocks


def moved(plan, site_of):
    """The units of the vector that go from each site to each other."""
    found = {}
    edges = plan.partition.edges
    for step in plan.steps():
        for src, dst, chunk, n in zip(
            step.src, step.dst, step.src_chunk, step.nchunks, strict=True
        ):
            pair = site_of[src], site_of[dst]
            if pair[0] != pair[1]:
                found[pair] = found.get(pair, 0) + int(edges[chunk + n] - edges[chunk])
    return found


def test_each_tree_carries_its_share_once_each_way():
    places = Places(((3,), (2,), (1, 2)))
    trees = (SiteTree(2, (1, -1, 1)), SiteTree(1, (-1, 0, -1)))
    plan = PackedSpec("all_reduce", "packed", places, 0, trees, Pipeline(4)).build()
    units = moved(plan, [0, 0, 0, 1, 1, 2, 2, 2])
    # 0-1 in both trees, 1-2 in the first, 0-2 in the second; four pieces of three units
    assert units == {(0, 1): 12, (1, 0): 12, (1, 2): 8, (2, 1): 8, (0, 2): 4, (2, 0): 4}
    plan = PackedSpec("broadcast", "packed", places, 4, (trees[0],), Pipeline(2)).build()
    assert moved(plan, [0, 0, 0, 1, 1, 2, 2, 2]) == {(1, 0): 4, (1, 2): 4}


def test_trees_have_channels_of_their_own_and_pieces_take_turns_on_them():
    places = Places(((2,), (2,)))
    trees = (SiteTree(1, (-1, -1)), SiteTree(1, (-1, 0)))
    plan = PackedSpec("all_reduce", "packed", places, 0, trees, Pipeline(4, 1, 2)).build()
    channels = {}
    for step in plan.steps():
        for src, dst, chunk, channel in zip(
            step.src, step.dst, step.src_chunk, step.channel, strict=True
        ):
            if (src < 2) != (dst < 2):
                channels.setdefault(int(channel), set()).add(int(chunk))
            else:
                assert channel == 0
    assert channels == {1: {0, 4}, 2: {2, 6}, 3: {1, 5}, 4: {3, 7}}


def test_ranks_hang_on_heads_in_a_chain_of_nodes():
    places = Places(((2, 3, 2), (1,)))
    tree = RankTree.of(places, (-1, 0), leaders=[3, 7])
    # Rank 3 is the second of its node: so are the heads of the others, 6 first, then 1.
    assert tree.parents == [1, 6, 3, -1, 3, 6, 3, 3]
    assert tree.rooted_at(0).parents == [-1, 0, 3, 6, 3, 6, 1, 3]
    assert leaders_of(places, 1, 2) == [3, 7]


def test_the_ends_of_an_edge_exchange_one_stage_before_a_root_would_send_back():
    places = Places(((1,), (1,)))
    two = PackedSpec("all_reduce", "x", places, 0, (SiteTree(1, (-1, -1)),), Pipeline()).build()
    one = PackedSpec("all_reduce", "x", places, 0, (SiteTree(1, (-1, 0)),), Pipeline()).build()
    assert len(list(two.steps())) == 1
    assert len(list(one.steps())) == 2


@pytest.mark.parametrize("nodes", PLACES)
@pytest.mark.parametrize("collective", ROUTE_COLLECTIVES)
def test_plans_over_random_routes_are_proven(collective, nodes):
    draw = random.Random(str((collective, nodes)))
    places, sites = Places(nodes), len(nodes)
    routes = []
    for a in range(sites):
        for b in range(sites):
            others = [s for s in range(sites) if s not in (a, b)]
            for units in draw.choice(([5], [3, 2], [1, 2, 2])) if a != b else ():
                between = draw.sample(others, draw.randint(0, len(others)))
                routes.append(SiteRoute(units, (a, *between, b)))
    for root in (0, places.world_size - 1):
        order = tuple(draw.sample(range(sites), sites))
        plan = RoutedSpec(collective, "packed", places, root, tuple(routes), order).build()
        verify(plan)
        assert plan == pickle.loads(pickle.dumps(plan))


def test_a_relay_keeps_what_passes_in_scratch_only_where_its_places_are_taken():
    places = Places(((1,), (1,), (1,)))
    routes = tuple(
        SiteRoute(1, (a, b) if {a, b} != {0, 2} else (a, 1, b))
        for a in range(3) for b in range(3) if a != b
    )  # fmt: skip
    passing = RoutedSpec("all_to_all", "x", places, 0, routes).build()
    assert passing.scratch.shape == (3, 2)  # at rank 1, a block either way
    assert RoutedSpec("gather", "x", places, 0, routes).build().scratch.size == 0
    hops = [
        list(zip(step.src.tolist(), step.dst.tolist(), strict=True)) for step in passing.steps()
    ]
    assert {(0, 1), (2, 1)} <= set(hops[0])
    assert set(hops[1]) == {(1, 0), (1, 2)}


@pytest.mark.parametrize("sites", [1, 2, 5])
def test_stars_load_all_trunks_alike(sites):
    places = Places(((1,),) * sites)
    for collective in TREE_COLLECTIVES:
        spec = PackedSpec(collective, "x", places, 0, stars(sites, collective, 0), Pipeline())
        units = moved(spec.build(), range(sites))
        if collective in ("broadcast", "reduce"):
            assert len(set(units.values())) <= 1
        else:
            assert len(units) == sites * (sites - 1)
            assert len(set(units.values())) <= 1


def test_a_name_says_its_parts():
    assert is_packed("packed:pieces=3")
    assert not is_packed("packet")
    assert asked_pipeline("packed") == {}
    plan = build_plan("all_reduce", "packed:pieces=3,leaders=2", [4, (2, 2)])
    assert plan.partition.n_chunks == 2 * 3
    assert plan.algorithm == "packed:pieces=3,leaders=2"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("packed:", "'': needed one of pieces=..."),
        ("packed:pieces=0", "'pieces=0': needed one of"),
        ("packed:pieces=2000", "a whole number from 1 to 1024"),
        ("packed:depth=3", "'depth=3': needed one of pieces=..., leaders=..., channels=..."),
        ("packed:pieces=2,pieces=3", "pieces= is given twice: needed once at most"),
    ],
)
def test_a_name_that_says_something_else_is_refused(name, said):
    with pytest.raises(ArgumentError, match=said):
        build_plan("all_reduce", name, [2, 2])


@pytest.mark.parametrize(
    ("collective", "trees", "said"),
    [
        ("gather", ((-1, 0),), "trees do not do gather: needed one of all_reduce"),
        ("all_reduce", ((-1, 0, 0),), "needed a tree of 2 sites"),
        ("all_reduce", ((1, 0),), "needed a tree of 2 sites"),
        ("all_reduce", ((-1, 7),), "needed a tree of 2 sites"),
        ("broadcast", ((-1, -1),), "needed 1 root at most"),
        ("broadcast", ((1, -1),), r"at a site of \[0\]"),
        ("all_gather", ((-1, 0),), "needed as many for each site"),
        ("all_reduce", (), "needed as many for each site"),
    ],
)
def test_trees_that_do_not_fit_are_refused(collective, trees, said):
    given = tuple(SiteTree(1, parents) for parents in trees)
    with pytest.raises(ArgumentError, match=said):
        PackedSpec(collective, "x", Places(((2,), (2,))), 0, given, Pipeline()).build()


@pytest.mark.parametrize(
    ("collective", "paths", "said"),
    [
        ("broadcast", [(0, 1)], "routes do not do broadcast"),
        ("all_to_all", [(0, 1)], "no route from site 1 to site 0: needed one"),
        ("all_to_all", [(0, 1, 0)], "needed a path over different ones of 2 sites"),
        ("all_to_all", [(0, 2)], "needed a path over different ones of 2 sites"),
        ("all_to_all", [(0, 1), (0, 1), (1, 0)], "needed as many between any two sites"),
    ],
)
def test_routes_that_do_not_fit_are_refused(collective, paths, said):
    routes = tuple(SiteRoute(1, path) for path in paths)
    with pytest.raises(ArgumentError, match=said):
        RoutedSpec(collective, "x", Places(((2,), (2,))), 0, routes).build()


def test_a_pipeline_without_pieces_is_refused():
    trees = (SiteTree(1, (-1, 0)),)
    with pytest.raises(ArgumentError, match="needed 1 or more of each"):
        PackedSpec("all_reduce", "x", Places(((1,), (1,))), 0, trees, Pipeline(0)).build()


def test_an_order_that_leaves_out_a_site_is_refused():
    trees = (SiteTree(1, (-1, 0)),)
    with pytest.raises(ArgumentError, match="needed each of 2 once"):
        PackedSpec("reduce", "x", Places(((1,), (1,))), 0, trees, Pipeline(), (0, 0)).build()


def test_steps_come_out_the_same_at_every_pass():
    plan = build_plan("all_gather", "packed:pieces=2", [3, (2, 2), 1])
    once, again = list(plan.steps()), list(plan.steps())
    assert all(np.array_equal(a.src_chunk, b.src_chunk) for a, b in zip(once, again, strict=True))
