"""Recipes: what is read, in which order it is combined, what is kept on the way."""

import itertools

import numpy as np
import pytest
from strategies import CASES, program_of

from emul.ops.fusing import recipe
from emul.ops.fusing.recipe import Recipe
from emul.plans import COLLECTIVES, Program, Shape, algorithms_for, build_plan

ALGORITHMS = [name for name in algorithms_for("all_reduce") if not name.startswith("hier")]


def recipe_of(collective, algorithm, sizes, width, *, root=0, commutes=True):
    plan = build_plan(collective, algorithm, sizes, root=root)
    return Recipe.of(program_of(plan, width, 4), root, commutes=commutes)


def leaves(recipe, run):
    part = slice(*recipe.leaf_from[run : run + 2])
    return list(zip(recipe.leaf_rank[part].tolist(), recipe.leaf_low[part].tolist(), strict=True))


def targets(recipe, run):
    part = slice(*recipe.target_from[run : run + 2])
    return list(
        zip(recipe.target_rank[part].tolist(), recipe.target_low[part].tolist(), strict=True)
    )


def test_a_ring_adds_up_each_chunk_from_another_rank_on():
    recipe = recipe_of("all_reduce", "ring", (3,), 30)
    assert recipe.length.tolist() == [10, 10, 10]
    for run in range(3):
        assert recipe.text(run) == ["load 0 1", "combine 1 2", "finish 0 1", "store 0 3"]
        assert {low for _, low in leaves(recipe, run)} == {10 * run}
        assert targets(recipe, run) == [(rank, 10 * run) for rank in range(3)]
    assert len({tuple(leaves(recipe, run)) for run in range(3)}) == 3
    assert recipe.in_columns
    assert recipe.most_spilled == 0


def test_chunks_of_one_order_are_one_run():
    recipe = recipe_of("all_reduce", "direct:one_shot", (5,), 100)
    assert recipe.length.tolist() == [100]
    assert leaves(recipe, 0) == [(rank, 0) for rank in range(5)]


def test_ranks_that_exchange_share_an_expression_where_operands_may_be_exchanged():
    shared = recipe_of("all_reduce", "recursive_doubling", (8,), 10)
    assert shared.text(0)[-1] == "store 0 8"
    assert int(shared.leaf_from[1]) == 8
    assert shared.most_spilled == 2  # a balanced tree of eight
    apart = recipe_of("all_reduce", "recursive_doubling", (8,), 10, commutes=False)
    assert sum(line.startswith("store") for line in apart.text(0)) == 8


def joined(a, b):
    """Return a number that tells which operand was on which side."""
    return (31 * a + 17 * b + 5) % 1_000_003


def step_by_step(program, x):
    """Return the work buffers after all steps, every reduction by ``joined``."""
    work, rows = x.copy(), program.first_row[program.first_of_step]
    for first, end in itertools.pairwise(rows):
        before = work.copy()
        for i in range(first, end):
            into = slice(program.dst_low[i], program.dst_low[i] + program.length[i])
            sent = before[program.row_src[i]][program.src_low[i] :][: program.length[i]]
            there = work[program.row_dst[i], into]
            work[program.row_dst[i], into] = joined(there, sent) if program.reduce[i] else sent
    return work


def carried_out(recipe, run, x):
    """Return the value of each target of ``run``, every reduction by ``joined``."""
    length, spilled, total = int(recipe.length[run]), {}, None
    values = [x[rank, low : low + length] for rank, low in leaves(recipe, run)]
    stored = {}
    for line in recipe.text(run):
        verb, first, number = line.split()[0], *map(int, line.split()[1:])
        if verb == "store":
            stored |= dict.fromkeys(range(first, first + number), total)
        elif verb in ("spill", "reload"):
            spilled[first] = total if verb == "spill" else spilled[first]
            total = spilled[first]
        elif verb.endswith("spilled"):
            operands = (spilled[first], total) if "right" in verb else (total, spilled[first])
            total = joined(*operands)
        elif verb != "finish":
            for value in values[first : first + number]:
                operands = (value, total) if verb == "combine_right" else (total, value)
                total = value if verb == "load" else joined(*operands)
    return [stored[i] for i in range(len(stored))]


@pytest.mark.parametrize("ranks", [2, 3, 4, 6, 8, 13])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_operands_stay_on_their_sides(algorithm, ranks):
    program = program_of(build_plan("all_reduce", algorithm, (ranks,)), 40, 4)
    recipe = Recipe.of(program, 0, commutes=False)
    width = program.layout.work_shape[1]
    x = np.arange(ranks * width).reshape(ranks, width) * 7919 % 1_000_003
    wanted = step_by_step(program, x)
    for run, length in enumerate(recipe.length.tolist()):
        stored = carried_out(recipe, run, x)
        for value, (rank, low) in zip(stored, targets(recipe, run), strict=True):
            assert value.tolist() == wanted[rank, low : low + length].tolist()


def test_stores_come_after_all_loads():
    for name, algorithm in CASES:
        if COLLECTIVES[name].reduces:
            recipe = recipe_of(name, algorithm, (3, 2), 60, commutes=False)
            for run in range(len(recipe)):
                verbs = [line.split()[0] for line in recipe.text(run)]
                first = verbs.index("store") if "store" in verbs else len(verbs)
                assert not {"load", "combine", "combine_right"} & set(verbs[first:])


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_every_element_of_the_output_is_written_once(collective, algorithm):
    n, root = 6, 4
    promise = COLLECTIVES[collective]
    shape = Shape(promise, n, 6 * 7 if promise.in_blocks else 43)
    plan = build_plan(collective, algorithm, (4, 2), root=root)
    recipe = Recipe.of(Program.of(plan, shape, 4), root, commutes=True)
    alone = promise.at_root_only == "output"
    written = np.zeros((n, shape.output_shape[-1]), int)
    for run, length in enumerate(recipe.length.tolist()):
        for rank, low in targets(recipe, run):
            written[rank, low : low + length] += 1
    assert (written[root if alone else slice(None)] == 1).all()
    assert written.sum() == np.prod(shape.output_shape)


def test_what_is_moved_to_other_columns_is_not_done_in_place():
    assert recipe_of("send_recv", "direct", (4,), 10, root=1).in_columns
    assert recipe_of("broadcast", "ring", (4,), 10).in_columns
    assert not recipe_of("all_to_all", "direct", (4,), 40).in_columns
    assert not recipe_of("reduce_scatter", "ring", (4,), 40).in_columns


@pytest.mark.parametrize(
    ("change", "runs"),
    [({}, 1), ({"leaf_low": [8, 16]}, 2), ({"target_low": [4, 0]}, 2), ({"leaf_rank": [0, 1]}, 2),
     ({"target_rank": [1, 2]}, 2), ({"tape": [[0, 0, 1], [1, 0, 1]]}, 2)],
)  # fmt: skip
def test_runs_are_one_where_all_of_them_goes_on(change, runs):
    """Two runs of four elements, from row 0 to row 1; the second begins where the first ends."""
    columns = {
        "tape": [[0, 0, 1]] * 2,
        "leaf_rank": [0, 0],
        "leaf_low": [8, 12],
        "target_rank": [1, 1],
        "target_low": [0, 4],
    } | change
    tape, leaf_rank, leaf_low, target_rank, target_low = (
        np.array(columns[name]) for name in columns
    )
    edges, length, copies = np.arange(3), np.array([4, 4]), np.array([True, True])
    rows = (leaf_rank, leaf_low, edges, target_rank, target_low, edges, length, copies)
    found = recipe._merged(Recipe(tape, edges, *rows, 0, False))
    assert found.length.tolist() == ([8] if runs == 1 else [4, 4])
    assert len(found.leaf_rank) == len(found.target_low) == len(found.tape) == runs


def test_long_chains_need_no_stack():
    recipe = recipe_of("all_reduce", "direct:one_shot", (1200,), 3)
    assert recipe.text(0)[:2] == ["load 0 1", "combine 1 1199"]
