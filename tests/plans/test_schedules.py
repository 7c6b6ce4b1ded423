"""Who sends which chunk to whom in which step, for a few ranks, written out by hand."""

from math import ceil, log2

import pytest

from emul.errors import ArgumentError
from emul.plans import (
    Expressions,
    build_plan,
)
from emul.plans.algorithms.trees import PIECES
from emul.plans.libraries.names import MOST_SEGMENTS


def rows(step):
    """(sender, receiver, first chunk, number of chunks) of each row, sorted."""
    columns = (step.src, step.dst, step.src_chunk, step.nchunks)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def steps_of(collective, algorithm, n, root=0):
    return list(build_plan(collective, algorithm, (n,), root=root).steps())


def pairs(step):
    return [(src, dst) for src, dst, _, _ in rows(step)]


def test_a_ring_hands_on_what_it_has_just_got():
    # Block b is added up from rank b on, so rank r first sends the block of the one behind it.
    steps = steps_of("all_reduce", "ring", 3)
    assert [rows(step) for step in steps] == [
        [(0, 1, 2, 1), (1, 2, 0, 1), (2, 0, 1, 1)],
        [(0, 1, 1, 1), (1, 2, 2, 1), (2, 0, 0, 1)],
        [(0, 1, 0, 1), (1, 2, 1, 1), (2, 0, 2, 1)],
        [(0, 1, 2, 1), (1, 2, 0, 1), (2, 0, 1, 1)],
    ]
    assert [bool(step.reduce.all()) for step in steps] == [True, True, False, False]


def test_two_directions_and_channels_of_rings():
    both = steps_of("all_gather", "ring:bidirectional", 4)[0]
    ends = list(zip(both.src.tolist(), both.dst.tolist(), strict=True))
    assert ends[:4] == [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert ends[4:] == [(3, 2), (2, 1), (1, 0), (0, 3)]
    assert both.channel.tolist() == [0] * 4 + [1] * 4
    for sizes, number in (((4, 2), 4), ((3,), 3), ((12, 1), 8)):
        step = next(build_plan("all_gather", "ring:channels", sizes).steps())
        assert sorted(set(step.channel.tolist())) == list(range(number))
    second = next(build_plan("all_gather", "ring:channels", (3, 3)).steps())
    mine = second.channel == 1
    assert list(zip(second.src[mine].tolist(), second.dst[mine].tolist(), strict=True)) == [
        (1, 2), (2, 0), (0, 4), (4, 5), (5, 3), (3, 1),
    ]  # fmt: skip


def test_a_chain_is_a_pipeline_from_the_root_and_to_it():
    sent = steps_of("broadcast", "ring", 3, root=1)
    assert [rows(step) for step in sent] == [
        [(1, 2, 0, 1)],
        [(1, 2, 1, 1), (2, 0, 0, 1)],
        [(1, 2, 2, 1), (2, 0, 1, 1)],
        [(2, 0, 2, 1)],
    ]
    reduced = steps_of("reduce", "ring", 3, root=1)
    assert [pairs(step) for step in reduced] == [
        [(2, 0)],
        [(0, 1), (2, 0)],
        [(0, 1), (2, 0)],
        [(0, 1)],
    ]


def test_direct_plans_begin_with_the_next_rank():
    first, second = steps_of("reduce_scatter", "direct", 3)
    assert rows(first) == [(0, 1, 1, 1), (1, 2, 2, 1), (2, 0, 0, 1)]
    assert rows(second) == [(0, 2, 2, 1), (1, 0, 0, 1), (2, 1, 1, 1)]
    assert [pairs(step) for step in steps_of("reduce", "direct", 4, root=1)] == [
        [(2, 1)], [(3, 1)], [(0, 1)],
    ]  # fmt: skip
    (scattered,) = steps_of("scatter", "direct", 3, root=1)
    assert rows(scattered) == [(1, 0, 0, 1), (1, 2, 2, 1)]
    (shifted,) = steps_of("send_recv", "direct", 3, root=1)
    assert pairs(shifted) == [(0, 1), (1, 2), (2, 0)]


def test_orders_are_those_of_the_algorithms():
    # In lockstep, a rank goes on when it has sent and received; otherwise when its data are there.
    lockstep = {("all_to_all", "pairwise"), ("all_to_all", "bruck"), ("all_gather", "bruck")}
    for collective, algorithm in [*lockstep, ("all_to_all", "direct"), ("all_gather", "ring")]:
        found = build_plan(collective, algorithm, (4,)).order
        assert found == ("lockstep" if (collective, algorithm) in lockstep else "free")
    pieces = build_plan("all_reduce", "hierarchical:pieces", (2, 2))
    assert pieces.order == "issue"
    assert build_plan("all_reduce", "hierarchical", (2, 2)).order == "free"


def test_binomial_trees_double_who_has_it():
    assert [pairs(step) for step in steps_of("broadcast", "recursive_doubling", 6, root=1)] == [
        [(1, 5)],
        [(1, 3)],
        [(1, 2), (3, 4), (5, 0)],
    ]
    for n in (1, 2, 3, 5, 8, 9, 16, 17):
        assert len(steps_of("broadcast", "recursive_doubling", n)) == ceil(log2(n))


@pytest.mark.parametrize("n", range(2, 20))
def test_how_many_steps_there_are(n):
    up, down = ceil(log2(n)), int(log2(n))
    folded = 2 * (n != 2**down)
    assert len(steps_of("all_gather", "bruck", n)) == up
    assert len(steps_of("all_gather", "pat", n)) == up
    assert len(steps_of("all_to_all", "bruck", n)) == 1 + up
    assert len(steps_of("all_reduce", "recursive_doubling", n)) == down + folded
    assert len(steps_of("all_reduce", "ring", n)) == 2 * (n - 1)
    assert len(steps_of("all_to_all", "pairwise", n)) == n
    assert len(steps_of("all_reduce", "openmpi:recursive_doubling", n)) == down + folded
    assert len(steps_of("broadcast", "gloo:binomial", n)) == up


def test_the_near_or_the_far_half_comes_first():
    near = steps_of("reduce_scatter", "halving_doubling", 8)
    far = steps_of("reduce_scatter", "halving_doubling:far_first", 8)
    assert [abs(int(s.src[0]) - int(s.dst[0])) for s in near] == [1, 2, 4]
    assert [abs(int(s.src[0]) - int(s.dst[0])) for s in far] == [4, 2, 1]
    for step, blocks in zip(near, (4, 2, 1), strict=True):
        assert int(step.nchunks.sum()) == 8 * blocks
    folded = steps_of("all_reduce", "recursive_doubling", 5)
    assert (pairs(folded[0]), pairs(folded[-1])) == ([(4, 0)], [(0, 4)])


def test_bruck_sends_no_more_than_what_lacks():
    assert [int(step.nchunks.sum()) for step in steps_of("all_gather", "bruck", 6)] == [6, 12, 12]
    # Of six blocks per rank those whose way has the bit: 1, 3, 5; 2, 3; 4, 5.
    moved = [int(step.nchunks.sum()) for step in steps_of("all_to_all", "bruck", 6)]
    assert moved == [36, 18, 12, 12]
    assert [int(step.nchunks.sum()) for step in steps_of("all_gather", "pat", 6)] == [6, 6, 18]


def depths(n, tree):
    """How deep each rank but the root lies in a tree, and who its parent is."""
    plan = build_plan("broadcast", "double_binary_tree", (n,))
    parent = {}
    for step in plan.steps():
        for src, dst, chunk, _ in rows(step):
            if chunk == tree * PIECES:
                parent[dst] = src
    found = {}
    for rank in parent:
        at, found[rank] = rank, 0
        while at:
            at, found[rank] = parent[at], found[rank] + 1
    return found, parent


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9, 16, 17, 33, 64, 65, 100])
def test_two_trees_are_balanced_and_a_leaf_of_one_is_no_leaf_of_the_other(n):
    leaves = []
    for tree in (0, 1):
        deep, parent = depths(n, tree)
        assert sorted(deep) == list(range(1, n))
        # A balanced tree of n - 1 ranks, one deeper for the root; odd places cost one at most.
        assert max(deep.values()) <= ceil(log2(n)) + 1
        children = [list(parent.values()).count(rank) for rank in range(n)]
        assert children[0] == 1
        assert max(children) <= 2
        leaves.append({rank for rank in range(1, n) if not children[rank]})
    if n % 2:  # then every place is odd in one of the two trees
        assert not leaves[0] & leaves[1]
    assert len(leaves[0] & leaves[1]) <= 1


@pytest.mark.parametrize("n", [2, 3, 6, 9, 16])
def test_trees_are_pipelines_of_pieces(n):
    deepest = max(max(depths(n, tree)[0].values()) for tree in (0, 1))
    sent = steps_of("broadcast", "double_binary_tree", n)
    assert len(sent) == deepest + PIECES - 1
    for step in sent:  # a rank sends no chunk twice in a step, and only what it has
        assert len(set(rows(step))) == len(rows(step))
    reduced = steps_of("reduce", "double_binary_tree", n)
    turns = [
        (int(step.dst[i]), int(step.src_chunk[i])) for step in reduced for i in range(len(step))
    ]
    assert len(turns) == 2 * PIECES * (n - 1)
    # Of two children, one comes a turn after the other, so that neither is written in one step.
    assert all(
        len(set(zip(s.dst.tolist(), s.dst_chunk.tolist(), strict=True))) == len(s) for s in reduced
    )
    assert len(reduced) <= 2 * (deepest + PIECES - 1)


@pytest.mark.parametrize(
    ("algorithm", "n", "depth"),
    [("direct:one_shot", 6, 5), ("ring", 6, 5), ("recursive_doubling", 8, 3),
     ("recursive_doubling", 5, 3), ("halving_doubling", 8, 3), ("double_binary_tree", 4, 3)],
)  # fmt: skip
def test_the_depth_of_a_sum(algorithm, n, depth):
    expressions = Expressions(build_plan("all_reduce", algorithm, (n,)))
    assert expressions.depth(expressions.result) == depth


def test_a_sum_is_written_as_it_is_added_up():
    chained = Expressions(build_plan("reduce", "direct", (3,), root=1))
    assert chained.text(chained.result) == "((1 + 2) + 0)"
    assert chained.depth(chained.result) == 2
    assert chained.depth(0) == 0


def test_gloo_goes_down_and_open_mpi_up():
    down = steps_of("all_reduce", "gloo:ring", 3)
    up = steps_of("all_reduce", "openmpi:ring", 3)
    # Gloo cuts a block into two segments at least, one after the other.
    assert [rows(step) for step in down[:2]] == [
        [(0, 2, 2, 1), (1, 0, 4, 1), (2, 1, 0, 1)],
        [(0, 2, 3, 1), (1, 0, 5, 1), (2, 1, 1, 1)],
    ]
    assert rows(up[0]) == [(0, 1, 2, 1), (1, 2, 0, 1), (2, 0, 1, 1)]
    plan = build_plan("all_reduce", "gloo:ring", (3,))
    assert (plan.under_way, plan.drains, plan.order) == (2, (4,), "lockstep")
    longer = build_plan("all_reduce", "gloo:ring,segments=5", (4,))
    assert longer.drains == (15,)
    assert build_plan("all_gather", "gloo:ring", (4,)).drains == ()


def test_segments_in_open_mpi_are_reduced_one_after_the_other():
    steps = steps_of("reduce_scatter", "openmpi:ring,segments=2", 3)
    assert [sorted({chunk % 2 for _, _, chunk, _ in rows(step)}) for step in steps] == [
        [0], [0], [1], [1],
    ]  # fmt: skip
    assert [
        rows(step) for step in steps_of("broadcast", "openmpi:chain,segments=2", 3, root=1)
    ] == [
        [(1, 2, 0, 1)],
        [(1, 2, 1, 1), (2, 0, 0, 1)],
        [(2, 0, 1, 1)],
    ]


def test_libraries_fold_even_or_odd_ranks():
    # Rabenseifner's odd ones sit out, and reduce the right half; elsewhere the even ones do.
    first = steps_of("all_reduce", "openmpi:rabenseifner", 6)[0]
    assert rows(first) == [(0, 1, 2, 2), (1, 0, 0, 2), (2, 3, 2, 2), (3, 2, 0, 2)]
    for algorithm in ("recursive_doubling", "recursive_halving"):
        collective = "all_reduce" if algorithm.endswith("doubling") else "reduce_scatter"
        first = steps_of(collective, f"openmpi:{algorithm}", 6)[0]
        assert pairs(first) == [(0, 1), (2, 3)]
        assert build_plan(collective, f"openmpi:{algorithm}", (6,)).order == "lockstep"
    # Halving begins with the far half; Bruck goes down by one, two, four.
    halved = steps_of("reduce_scatter", "openmpi:recursive_halving", 8)
    assert [abs(int(step.src[0]) - int(step.dst[0])) for step in halved] == [4, 2, 1]
    gathered = steps_of("all_gather", "openmpi:bruck", 5)
    assert [pairs(step)[-1] for step in gathered] == [(4, 3), (4, 2), (4, 0)]


def test_names_may_ask_for_the_most_segments():
    plan = build_plan("broadcast", f"openmpi:chain,segments={MOST_SEGMENTS}", (1,))
    assert plan.partition.n_chunks == MOST_SEGMENTS


def test_roots_are_ranks():
    for root in (-1, 4):
        with pytest.raises(ArgumentError, match=f"root {root}: needed a rank from 0 to 3"):
            build_plan("broadcast", "direct", [4], root=root)
    assert build_plan("broadcast", "direct", [4], root=3).root == 3  # the last
