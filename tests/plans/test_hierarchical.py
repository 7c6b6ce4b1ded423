"""Hierarchical plans of any depth: right, with the bytes the formulas say, and refused well."""

from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import is_right
from nightly import examples

from emul import ArgumentError, Link, Node, Site, Topology, Trunk, World
from emul.plans import ALGORITHMS, Partition, Places, Plan, Program, Shape, Step, build_hierarchy
from emul.plans.algorithms.hierarchical import (
    COLLECTIVES,
    build,
    build_spec,
    hierarchical_plan,
)
from emul.plans.collectives import collective_named
from emul.plans.proof.verify import verify

BELOW = (
    "ring",
    "ring:bidirectional",
    "ring:channels",
    "direct",
    "pairwise",
    "halving_doubling",
    "halving_doubling:far_first",
    "bruck",
    "pat",
)
ROOTED = ("broadcast", "reduce")


def one_shot(k):
    """An all_reduce in which each rank gets all vectors in its scratch, and reduces them there."""
    rank = np.arange(k)

    def steps():
        for i in range(1, k):
            yield Step.of(rank, (rank + i) % k, 0, dst_chunk=2 * i, nchunks=2, reduce=False)
        for i in range(1, k):
            yield Step.of(rank, rank, 2 * i, dst_chunk=0, nchunks=2, reduce=True)

    scratch = np.tile(np.arange(2, dtype=np.int32), (1, k - 1))
    return Plan("all_reduce", "one_shot", k, 0, Partition.uniform(2), steps, scratch=scratch)


def level(collective, algorithm, k, root):
    if algorithm == "one_shot":
        return one_shot(k)
    if algorithm not in ALGORITHMS:
        raise ArgumentError(f"unknown algorithm {algorithm!r}")
    if collective not in ALGORITHMS[algorithm].collectives:
        raise ArgumentError(f"algorithm {algorithm!r} does not do {collective}")
    return ALGORITHMS[algorithm].build(collective, Places.of([k]), root)


def hierarchy(collective, groups, algorithms, **more):
    return hierarchical_plan(collective, groups, algorithms, build_level=level, **more)


def at_top(collective):
    flat = [name for name in ALGORITHMS if not name.startswith("hierarchical")]
    able = [name for name in flat if collective in ALGORITHMS[name].collectives]
    return able + ["one_shot"] * (collective == "all_reduce")


def ranks_in(groups):
    return groups if isinstance(groups, int) else sum(map(ranks_in, groups))


def depth_of(groups):
    return 0 if isinstance(groups, int) else 1 + depth_of(groups[0])


def nested(depth, most=16):
    """Groups of ``depth`` levels of tuples, of any sizes that give no more than ``most`` ranks."""
    groups = st.integers(1, 4)
    for _ in range(depth):
        groups = st.lists(groups, min_size=1, max_size=3).map(tuple)
    return groups.filter(lambda drawn: ranks_in(drawn) <= most)


def is_tidy(step):
    """Whether rows of a transfer are adjacent, and none could go on in the next row."""
    pairs = list(zip(step.src, step.dst, step.channel, strict=True))
    stretches = 1 + sum(a != b for a, b in pairwise(pairs))
    columns = (step.src_chunk, step.dst_chunk, step.nchunks, step.reduce)
    rows = list(zip(pairs, *columns, strict=True))
    return stretches == len(set(pairs)) and not any(
        (pair, src + n, dst + n, reduce) == (row[0], row[1], row[2], row[4])
        for (pair, src, dst, n, reduce), row in pairwise(rows)
    )


@examples(80)
@given(st.data(), st.sampled_from(COLLECTIVES), st.integers(0, 4), st.integers(1, 3))
def test_any_hierarchy_is_right(data, collective, depth, pieces):
    groups = data.draw(nested(depth))
    algorithms = [data.draw(st.sampled_from(BELOW)) for _ in range(depth)]
    algorithms.append(data.draw(st.sampled_from(at_top(collective))))
    root = data.draw(st.integers(0, ranks_in(groups) - 1)) if collective in ROOTED else 0
    plan = hierarchy(collective, groups, algorithms, root=root, pieces=pieces)
    check(plan)
    assert plan.order == ("issue" if pieces > 1 else "free")


@examples(40)
@given(st.integers(0, 3).flatmap(nested), st.integers(1, 3))
def test_scratch_of_the_top_becomes_scratch_of_the_owners(groups, pieces):
    algorithms = ["ring"] * depth_of(groups) + ["one_shot"]
    check(hierarchy("all_reduce", groups, algorithms, pieces=pieces))


def test_groups_may_be_nested_as_deep_as_one_likes():
    groups = (((2, 1), (2, 2)), ((1, 3), (2, 1)))
    algorithms = ("ring", "direct", "bruck", "halving_doubling")
    plan = build_hierarchy("all_reduce", groups, algorithms, pieces=2)
    check(plan)
    world = World("one-campus")
    sites = (Node(14, world.topology.sites[0].link),)
    world = World(Topology("deep", (Site("all", sites, world.topology.sites[0].link),)))
    x = np.arange(14.0 * 9).reshape(14, 9)
    assert np.array_equal(world.all_reduce(x, algorithm=plan).output, np.tile(x.sum(0), (14, 1)))
    with pytest.raises(ArgumentError, match="3 algorithms for 4 levels: needed one for each"):
        build_hierarchy("all_reduce", groups, algorithms[1:])


def check(plan):
    verify(plan)
    assert is_right(plan)
    assert all(map(is_tidy, plan.steps()))
    shape = Shape.of(collective_named(plan.collective), plan.world_size, 60 * plan.world_size)
    Program.of(plan, shape, 4)  # would refuse places of unequal length


@pytest.mark.parametrize("collective", ["reduce_scatter", "all_gather"])
@pytest.mark.parametrize("pieces", [1, 3])
def test_vector_forms_are_right(collective, pieces):
    world = World(two_level_topology(sizes=(2, 3, 4)))
    counts = np.array([5, 0, 7, 1, 2, 0, 11, 3, 64])
    plan = hierarchy(collective, (2, 3, 4), ("ring", "ring:bidirectional"), pieces=pieces)
    rng = np.random.default_rng(0)
    if collective == "all_gather":
        x = rng.integers(0, 9, (9, 64)).astype(np.float32)
        output = world.all_gather(x, counts=counts, algorithm=plan).output
        wanted = np.concatenate([row[:count] for row, count in zip(x, counts, strict=True)])
        assert np.array_equal(output, np.tile(wanted, (9, 1)))
        return
    x = rng.integers(0, 9, (9, counts.sum())).astype(np.float32)
    output = world.reduce_scatter(x, counts=counts, algorithm=plan).output
    for rank, block in enumerate(np.split(x.sum(axis=0), np.cumsum(counts)[:-1])):
        assert np.array_equal(output[rank, : len(block)], block)
        assert not output[rank, len(block) :].any()


def crossing(plan, place_of, width):
    """The bytes between ranks of unlike places, of a vector of ``width`` bytes."""
    whole = collective_named(plan.collective).input_whole
    count = width if whole else width // plan.world_size
    program = Program.of(
        plan, Shape.of(collective_named(plan.collective), plan.world_size, count), 1
    )
    place = np.array(place_of)
    return int(program.nbytes[place[program.src] != place[program.dst]].sum())


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("top", ["ring", "ring:bidirectional", "direct", "halving_doubling"])
@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("sites", [(3, 3, 3, 3), (1, 2, 3, 4)])
def test_bytes_between_sites(collective, top, pieces, sites):
    if collective not in ALGORITHMS[top].collectives:
        return
    size = 7200 * sum(sites)
    plan = hierarchy(collective, sites, ("ring", top), pieces=pieces)
    site = np.repeat(np.arange(4), sites)
    assert crossing(plan, site, size) == (6 if collective == "all_reduce" else 3) * size


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("pieces", [1, 3])
def test_bytes_between_nodes_of_three_levels(collective, pieces):
    groups = ((4, 4), (4, 4), (2, 6))
    sizes = [4, 4, 4, 4, 2, 6]
    size = 7200 * 24
    algorithms = ("ring", "direct", "direct" if collective in ROOTED else "ring")
    plan = hierarchy(collective, groups, algorithms, root=9 * (collective in ROOTED), pieces=pieces)
    times = 2 if collective == "all_reduce" else 1
    between_sites = crossing(plan, np.repeat(np.arange(3), 8), size)
    between_nodes = crossing(plan, np.repeat(np.arange(6), sizes), size) - between_sites
    assert between_sites == times * 2 * size
    # Each of three sites: a vector from node to node once per direction; the rooted ones also
    # scatter or gather at the root's site, half a vector.
    assert between_nodes == times * 3 * size + (size // 2) * (collective in ROOTED)


def test_plan_of_no_choice_has_two_levels_over_sites():
    places = Places.of([(4, 4), (4, 4), (2, 6)])
    plan = build("all_reduce", places, 0)
    verify(plan)
    assert (plan.algorithm, plan.order) == ("hierarchical", "free")
    assert len(list(plan.steps())) == 2 * (7 + 2)


def spec(text, collective="all_reduce", sites=((4, 4), (4, 4), (2, 6))):
    return build_spec(text, collective, Places.of(sites), 0, level)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_spec_without_parts_is_the_plan_of_no_choice(collective):
    named, usual = (
        spec("hierarchical", collective),
        build(collective, Places.of([(4, 4), (4, 4), (2, 6)]), 0),
    )
    for a, b in zip(named.steps(), usual.steps(), strict=True):
        assert all(np.array_equal(getattr(a, c), getattr(b, c)) for c in Step.__slots__)


def test_spec_chooses_levels():
    text = "hierarchical:node=direct,site=ring:bidirectional,trunk=halving_doubling,pieces=4"
    plan = spec(text)
    verify(plan)
    assert (plan.algorithm, plan.order) == (text, "issue")
    # Two directions at the middle level: its second channel is 3 further on than its first.
    assert {c for step in plan.steps() for c in step.channel.tolist()} == {0, 1, 2, 4}
    assert {c for s in spec("hierarchical:pieces=2").steps() for c in s.channel.tolist()} == {0, 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hierarchical:rack=ring", "'rack=ring': needed one of node=..., site=..., trunk=..."),
        ("hierarchical:", "'': needed one of node=..."),
        ("hierarchical:site", "'site': needed one of"),
        ("hierarchical:site=", "'site=': needed one of"),
        ("hierarchical:site=ring,site=ring", "site= is given twice"),
        ("hierarchical:pieces=0", "pieces=0: needed a whole number from 1 on"),
        ("hierarchical:pieces=1.5", "pieces=1.5: needed a whole number"),
        ("hierarchical:pieces=-2", "pieces=-2: needed a whole number"),
        ("hierarchical:site=rings", "site=rings: unknown algorithm 'rings'"),
        ("hierarchical:site=recursive_doubling", "does not do reduce_scatter"),
        ("hierarchical:node=double_binary_tree", "node=double_binary_tree: algorithm"),
        ("ring:site=ring", "needed hierarchical"),
    ],
)
def test_spec_that_cannot_be(text, said):
    with pytest.raises(ArgumentError) as caught:
        spec(text)
    assert said in str(caught.value)
    assert text in str(caught.value)


def test_top_that_does_not_do_the_collective():
    with pytest.raises(ArgumentError, match="trunk=bruck: algorithm 'bruck' does not do broadcast"):
        spec("hierarchical:trunk=bruck", "broadcast")


@pytest.mark.parametrize(
    ("groups", "algorithms", "more", "said"),
    [
        ((2, (2, 2)), ("ring",) * 3, {}, "same depth"),
        ((2, 0), ("ring",) * 2, {}, "group 0"),
        ((), ("ring",) * 2, {}, r"group \(\)"),
        ((2, True), ("ring",) * 2, {}, "group True"),
        ((2, 2), ("ring",), {}, "1 algorithms for 2 levels"),
        ((2, 2), ("ring",) * 2, {"root": 4}, "root 4: needed a rank from 0 to 3"),
        ((2, 2), ("ring",) * 2, {"pieces": 0}, "0 pieces"),
    ],
)
def test_hierarchy_that_cannot_be(groups, algorithms, more, said):
    with pytest.raises(ArgumentError, match=said):
        hierarchy("all_reduce", groups, algorithms, **more)
    with pytest.raises(
        ArgumentError, match="hierarchical does not do gather: needed one of all_reduce"
    ):
        hierarchy("gather", (2, 2), ("ring", "ring"))


def two_level_topology(sizes=(8, 8, 8), node_rate=49e9):
    fabric, trunk = Link(49e9, 5e-6), Link(100e9, 130e-6)
    names = [f"site {i}" for i in range(len(sizes))]
    sites = (
        Site(name, (Node(size, Link(node_rate, 5e-6)),), fabric)
        for name, size in zip(names, sizes, strict=True)
    )
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("long trunks", tuple(sites), tuple(Trunk(pair, trunk) for pair in pairs))


@pytest.mark.parametrize("node_rate", [49e9, 450e9])
def test_pieces_overlap_the_levels(node_rate):
    world = World(two_level_topology(node_rate=node_rate), slicing=None)
    times = [
        world.predict(
            "all_reduce",
            (1 << 30) // 4,
            algorithm=hierarchy("all_reduce", (8, 8, 8), ("ring", "direct"), pieces=pieces),
        ).time_s
        for pieces in (1, 16)
    ]
    inside, outside = 2 * 7 / 8 * 2**30 / node_rate, 2 / 3 * 2**30 / 100e9
    assert times[0] > inside + outside
    assert max(inside, outside) < times[1] < max(inside, outside) + (inside + outside) / 16 + 2e-3


@pytest.mark.parametrize("pieces", [1, 5])
def test_world_runs_the_plan(pieces):
    world = World(two_level_topology())
    x = np.random.default_rng(1).integers(0, 9, (24, 1001)).astype(np.float32)
    plan = hierarchy("all_reduce", (8, 8, 8), ("ring", "one_shot"), pieces=pieces)
    assert np.array_equal(world.all_reduce(x, algorithm=plan).output, np.tile(x.sum(0), (24, 1)))


def test_unlike_primes_do_not_overflow():
    sites = (97, 101, 103, 107)
    plan = build("reduce_scatter", Places.of(sites), 0)
    assert plan.partition.edges.dtype == object
    assert plan.partition.edges[-1] == plan.partition.blocks * plan.partition.units
    lengths = np.diff(plan.partition.offsets(np.full((1, sum(sites)), prod(sites))))
    assert lengths.min() >= 1


def test_both_directions_below_carry_half():
    plan = hierarchy("all_reduce", (3, 3, 3), ("ring:bidirectional", "ring"))
    assert plan.partition.n_chunks == 3 * 3 * 2
    assert len(set(np.diff(plan.partition.edges).tolist())) == 1


@pytest.mark.parametrize("collective", ROOTED)
def test_root_meets_the_other_sites_directly(collective):
    site = np.repeat(np.arange(4), 2)
    plan = build(collective, Places.of([2, 2, 2, 2]), 2)
    for step in plan.steps():
        far = site[step.src] != site[step.dst]
        assert ((site[step.src] == 1) | (site[step.dst] == 1))[far].all()


def test_level_that_cuts_unevenly():
    def uneven(collective, algorithm, k, root):
        plan = level(collective, algorithm, k, root)
        return replace(plan, partition=Partition(1, 7, np.array([0, 3, 7])))

    with pytest.raises(ArgumentError, match="cuts the blocks of all ranks alike"):
        hierarchical_plan("all_reduce", (2, 2), ("ring", "ring"), build_level=uneven)


@pytest.mark.parametrize(
    ("variant", "node", "site", "trunk"),
    [("nodes", 4, 4, 2), ("pieces", 4, 4 + 3, 2 + 1), ("one_shot", 2, 2, 1)],
)
def test_variants_pay_every_level_as_often_as_their_algorithms_do(variant, node, site, trunk):
    # Among three, a ring takes two rounds each way, direct one; one shot takes one for both ways.
    # Of four pieces, each is one round behind the one before it inside a site; over the trunks two
    # go out before the first comes back, and two after it.
    near, fabric, far = (Link(1e15, latency_s) for latency_s in (1e-6, 1e-4, 1e-2))
    names = ("a", "b", "c")
    sites = tuple(Site(name, (Node(3, near),) * 3, fabric) for name in names)
    trunks = tuple(Trunk((a, b), far) for a, b in (("a", "b"), ("a", "c"), ("b", "c")))
    prediction = World(Topology("three by three by three", sites, trunks)).predict(
        "all_reduce", 27 * 4, algorithm=f"hierarchical:{variant}"
    )
    assert prediction.timeline.total_ps // 10**6 == node + 100 * site + 10_000 * trunk
