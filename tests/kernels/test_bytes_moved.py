"""How many bytes the launches of a call move, read off their tables."""

import pytest
from strategies import width_for

from emul.ops.cuda.step_tables import NOTHING, RowStrides, StepTables
from emul.ops.cuda.tape import TapeTables
from emul.ops.fusing.fusion import CODES
from emul.ops.fusing.recipe import Recipe
from emul.plans import (
    COLLECTIVES,
    Program,
    Shape,
    build_plan,
)

READS = {CODES[name] for name in ("load", "combine", "combine_right", "move")}
WRITES = {CODES[name] for name in ("store", "move")}
N = 8
ROW_BYTES = 4096


def program_of(name, algorithm):
    shape = Shape(COLLECTIVES[name], N, width_for(name, N, ROW_BYTES // 4))
    return Program.of(build_plan(name, algorithm, (N,)), shape, 4)


def moved_in_one(program):
    """Bytes read and written by the fused launch: of each run, by its instructions."""
    recipe = Recipe.of(program, 0, commutes=True)
    tapes = TapeTables.of(recipe, 4, (ROW_BYTES, ROW_BYTES), 0, in_place=False)
    read = written = 0
    for length, _, first, end, *_ in tapes.runs.tolist():
        for code, _, count in tapes.tape[first:end].tolist():
            read += length * 4 * count * (code in READS)
            written += length * 4 * count * (code in WRITES)
    return read, written


def moved_in_steps(program, **places):
    """The same of all steps, and of what comes after them."""
    rows = StepTables.of(program, 0, RowStrides(ROW_BYTES, ROW_BYTES, **places), divides=False)
    stood, length = rows.table[:, 0], rows.table[:, 3]
    per_row = 4 * length * (2 + (stood != NOTHING))
    last = sum(batch.rows for batch in rows.last)
    return int(per_row[: len(per_row) - last].sum()), int(per_row[len(per_row) - last :].sum())


@pytest.mark.parametrize("algorithm", ["ring", "direct", "hierarchical", "double_binary_tree"])
def test_a_fused_all_reduce_reads_every_row_once_and_writes_every_row_once(algorithm):
    assert moved_in_one(program_of("all_reduce", algorithm)) == (N * ROW_BYTES, N * ROW_BYTES)


@pytest.mark.parametrize(
    ("name", "read", "written"),
    [
        ("reduce_scatter", N * N, N),  # rows of N blocks of ROW_BYTES
        ("all_gather", N, N * N),
        ("broadcast", 1, N),
        ("all_to_all", N * N, N * N),
    ],
)
def test_other_collectives_move_no_more_than_their_input_and_output(name, read, written):
    program = program_of(name, "direct" if name != "broadcast" else "ring")
    assert moved_in_one(program) == (read * ROW_BYTES, written * ROW_BYTES)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_ring_in_steps_copies_no_input_first(in_place):
    """N - 1 reductions of three and N - 1 copies of two times a row, whatever it lies in."""
    moved = moved_in_steps(program_of("all_reduce", "ring"), whole=True, in_place=in_place)
    assert moved == (5 * (N - 1) * ROW_BYTES, 0)


def test_only_ranks_that_exchange_what_they_have_written_set_it_aside():
    program = program_of("all_reduce", "recursive_doubling")
    for in_place, launches in ((False, [1, 2, 2]), (True, [2, 2, 2])):
        places = RowStrides(ROW_BYTES, ROW_BYTES, whole=True, in_place=in_place)
        rows = StepTables.of(program, 0, places, divides=False)
        assert [len(step) for step in rows.steps] == launches
