"""The double binary tree: how deep it is, who is inside, and how pieces follow one another."""

import math
from collections import Counter

import pytest

from emul.plans import build_plan
from emul.plans.algorithms.trees import PIECES

WORLDS = [2, 3, 4, 5, 7, 8, 9, 16, 17, 24, 33, 64, 100]


def rows_of(collective, n, root):
    """The rows of each step: from, to, and the tree and the piece of its chunk."""
    plan = build_plan(collective, "double_binary_tree", (n,), root=root)
    return [
        [(a, b, *divmod(chunk, PIECES)) for a, b, chunk in zip(
            step.src.tolist(), step.dst.tolist(), step.src_chunk.tolist(), strict=True)]
        for step in plan.steps()
    ]  # fmt: skip


def depths(edges, root):
    """How many edges lie between the root and each rank, from (parent, child) pairs."""
    found, left = {root: 0}, set(edges)
    while left:
        below = {(a, b) for a, b in left if a in found}
        assert below, "ranks that hang from nothing"
        found.update({b: found[a] + 1 for a, b in below})
        left -= below
    return found


@pytest.mark.parametrize("n", WORLDS)
@pytest.mark.parametrize("collective", ["broadcast", "reduce"])
def test_both_trees_are_as_deep_as_the_logarithm(n, collective):
    root = n // 3
    steps = rows_of(collective, n, root)
    for tree in (0, 1):
        edges = [(a, b) for step in steps for a, b, t, piece in step if (t, piece) == (tree, 0)]
        if collective == "reduce":
            edges = [(b, a) for a, b in edges]
        assert len(edges) == n - 1
        depth = depths(edges, root)
        assert len(depth) == n
        assert max(depth.values()) <= math.ceil(math.log2(n))
        assert max(Counter(parent for parent, _ in edges).values()) <= 2


@pytest.mark.parametrize("n", WORLDS)
def test_who_is_inside_one_tree_is_a_leaf_of_the_other(n):
    steps = rows_of("broadcast", n, 0)
    inside = [{a for step in steps for a, _, t, _ in step if t == tree} - {0} for tree in (0, 1)]
    assert not inside[0] & inside[1]


@pytest.mark.parametrize("n", WORLDS)
def test_pieces_come_one_step_after_another_and_a_step_later_at_each_depth(n):
    steps = rows_of("broadcast", n, 0)
    for tree in (0, 1):
        edges = [(a, b) for step in steps for a, b, t, piece in step if (t, piece) == (tree, 0)]
        depth = depths(edges, 0)
        for number, step in enumerate(steps):
            assert all(number == depth[b] - 1 + piece for _, b, t, piece in step if t == tree)
