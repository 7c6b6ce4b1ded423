import dataclasses
import importlib
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import is_right
from nightly import examples
from strategies import CASES, chaotic_plans, link, one_site, program_of

from emul import CapacityError, PlanError, World, memory
from emul.plans import (
    COLLECTIVES,
    Partition,
    Plan,
    Step,
    Waits,
    build_plan,
    verify,
)

verify_module = importlib.import_module("emul.plans.proof.verify")

SIZES = [(2,), (4,), (2, 2), (1, 3), (2, 1, 2)]


def verdict(plan):
    try:
        verify(plan)
    except PlanError as error:
        return str(error)
    return "right"


def with_steps(plan, steps):
    return dataclasses.replace(plan, steps=lambda: iter(steps))


def without_row(step, row):
    return Step(*(np.delete(getattr(step, name), row) for name in Step.__slots__))


def with_value(step, name, row, value):
    column = getattr(step, name).copy()
    column[row] = value
    return dataclasses.replace(step, **{name: column})


def mutants(plan):
    """Every plan that differs from ``plan`` by one dropped, doubled, retargeted, misplaced or
    turned row, or by two steps swapped."""
    steps = list(plan.steps())
    n, n_chunks = plan.world_size, plan.n_places
    for i, step in enumerate(steps):
        rest = steps[i + 1 :]
        yield "doubled", [*steps[:i], step, step, *rest]
        if rest:
            yield "swapped", [*steps[:i], rest[0], step, *rest[1:]]
        for row in range(len(step)):
            changed = [("dropped", without_row(step, row))]
            target = (step.dst[row] + 1) % n
            changed.append(("retargeted", with_value(step, "dst", row, target)))
            changed.append(("turned", with_value(step, "reduce", row, not step.reduce[row])))
            other = (step.dst_chunk[row] + 1) % n_chunks
            if other + step.nchunks[row] <= n_chunks:
                changed.append(("misplaced", with_value(step, "dst_chunk", row, other)))
            for name, mutant in changed:
                yield name, [*steps[:i], mutant, *rest]


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_mutants_are_refused_unless_they_compute_the_same(collective, algorithm):
    refused = 0
    for sizes in SIZES:
        for name, steps in mutants(plan := build_plan(collective, algorithm, sizes)):
            mutant = with_steps(plan, steps)
            said = verdict(mutant)
            assert said != "right" or is_right(mutant), (name, sizes, said)
            assert said == "right" or ("rank" in said and re.search("chunk|scratch", said)), said
            refused += said != "right"
    assert refused >= 30


@examples(200)
@given(st.integers(1, 4), st.sampled_from(list(COLLECTIVES)), st.data())
def test_nothing_wrong_passes(world_size, collective, data):
    plan = dataclasses.replace(data.draw(chaotic_plans(world_size)), collective=collective)
    assert verdict(plan) != "right" or is_right(plan)


def plan_of(n, *rows, collective="all_reduce", n_chunks=1):
    """A plan of one row (src, dst, chunk, reduce) a step."""
    steps = [Step.of(src, dst, chunk, reduce=reduce) for src, dst, chunk, reduce in rows]
    return Plan(collective, "custom", n, 0, Partition.uniform(n_chunks), lambda: iter(steps))


def test_a_missing_contribution_is_named():
    with pytest.raises(
        PlanError, match="after the last step, rank 0 chunk 0 lacks the contribution of rank 2"
    ):
        verify(plan_of(3, (1, 0, 0, True), (0, 1, 0, False), (0, 2, 0, False)))


def test_a_double_contribution_is_named():
    with pytest.raises(
        PlanError, match="step 1: rank 0 chunk 0 would count the contribution of rank 1 twice"
    ):
        verify(plan_of(2, (1, 0, 0, True), (1, 0, 0, True)))


def test_a_stray_contribution_is_named():
    stray = with_value(Step.of(0, 1, 0, reduce=False), "dst_chunk", 0, 1)
    good = [Step.of(0, 1, 0, reduce=False), Step.of(1, 0, 1, reduce=False)]
    plan = plan_of(2, collective="all_gather", n_chunks=2)
    verify(with_steps(plan, good))
    with pytest.raises(
        PlanError, match="rank 1 chunk 1 lacks the contribution of rank 1 and holds that of rank 0"
    ):
        verify(with_steps(plan, [*good, stray]))


def test_sending_what_is_not_there_is_refused():
    with pytest.raises(PlanError, match="step 0: rank 1 chunk 0 is sent without holding anything"):
        verify(plan_of(2, (1, 0, 0, False), collective="broadcast"))


def test_reducing_into_nothing_is_refused():
    with pytest.raises(PlanError, match="rank 1 chunk 0 is reduced into without holding"):
        verify(plan_of(2, (0, 1, 0, True), collective="broadcast"))


def test_writing_a_chunk_twice_in_a_step_is_refused():
    step = Step.of([1, 2], [0, 0], 0, reduce=True)
    plan = Plan("all_reduce", "custom", 3, 0, Partition.uniform(1), lambda: iter([step]))
    with pytest.raises(PlanError, match="step 0: rank 0 chunk 0 is written twice in one step"):
        verify(plan)


def test_ranks_may_exchange_a_chunk_in_one_step():
    step = Step.of([0, 1], [1, 0], 0, reduce=True)
    plan = Plan("all_reduce", "custom", 2, 0, Partition.uniform(1), lambda: iter([step]))
    verify(plan)
    assert is_right(plan)


def test_values_at_the_wrong_place_are_named():
    good = [Step.of([0, 1], [1, 0], [0, 1], reduce=True)]
    good += [Step.of([1, 0], [0, 1], [0, 1], reduce=False)]
    plan = plan_of(2, n_chunks=2)
    verify(with_steps(plan, good))
    misplaced = [*good, with_value(Step.of(0, 1, 0, reduce=False), "dst_chunk", 0, 1)]
    with pytest.raises(PlanError, match="rank 1 chunk 1 holds values of chunk 0: needed chunk 1"):
        verify(with_steps(plan, misplaced))
    mixed = [with_value(Step.of(0, 1, 0, reduce=True), "dst_chunk", 0, 1)]
    with pytest.raises(PlanError, match="step 0: rank 1 chunk 1 would mix values of chunk 1 with"):
        verify(with_steps(plan, mixed))


def test_chunks_of_unlike_length_are_not_joined():
    step = Step.of(0, 1, 0, dst_chunk=1, reduce=False)
    plan = Plan("all_reduce", "custom", 2, 0, Partition.uniform(2), lambda: iter([step]))
    assert program_of(plan, 6, 4).length.tolist() == [3]
    with pytest.raises(PlanError, match="chunk 0 of 4 elements is sent to chunk 1 of 3: needed"):
        program_of(plan, 7, 4)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ((2, 0, 0), "rank out of range: there are 2 ranks and 1 chunks"),
        ((0, -1, 0), "rank out of range"),
        ((0, 1, 1), "chunk out of range"),
        ((0, 1, -1), "chunk out of range"),
    ],
)
def test_ranks_and_chunks_out_of_range_are_refused(row, complaint):
    with pytest.raises(PlanError, match=complaint):
        verify(plan_of(2, (*row, False)))


def test_a_row_of_no_chunks_is_refused():
    step = Step.of(0, 1, 0, reduce=True, nchunks=0)
    plan = Plan("all_reduce", "custom", 2, 0, Partition.uniform(1), lambda: iter([step]))
    with pytest.raises(PlanError, match="number of chunks out of range"):
        verify(plan)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_a_proof_of_some_chunks_at_a_time_says_the_same(collective, algorithm, monkeypatch):
    plan = build_plan(collective, algorithm, (3, 2), root=1)
    moves = any((step.src_chunk != step.dst_chunk).any() for step in plan.steps())
    wrong = [with_steps(plan, steps) for name, steps in mutants(plan) if name == "dropped"]
    said = [verdict(mutant) for mutant in wrong]
    monkeypatch.setattr(
        verify_module, "_chunks_at_once", lambda plan: min(2, plan.n_places - 1) or 1
    )
    if moves:
        with pytest.raises(CapacityError, match=r"row \d+ moves a chunk to another place, so all"):
            verify(plan)
        return
    assert verdict(plan) == "right"
    for mutant, before in zip(wrong, said, strict=True):
        now = verdict(mutant)
        assert (now == "right") == (before == "right")
        if ": step" not in before:
            assert now == before  # the first chunk with something missing is the same


def test_a_proof_that_does_not_fit_is_cut_up_or_refused(monkeypatch):
    ring = build_plan("all_reduce", "ring", (40,))
    exchange = build_plan("all_to_all", "direct", (40,))
    needed = 2 * 40 * 2 * 8
    monkeypatch.setattr(memory, "ALWAYS_THERE_BYTES", 0)
    for module in (memory, verify_module):
        monkeypatch.setattr(module, "available_bytes", lambda: 10 * needed)
    verify(ring)
    with pytest.raises(CapacityError, match=r"proving direct all_to_all over 40 ranks: .* needed"):
        verify(exchange)
    for module in (memory, verify_module):
        monkeypatch.setattr(module, "available_bytes", lambda: 1)
    with pytest.raises(CapacityError, match=r"proving ring all_reduce over 40 ranks: .* needed"):
        verify(ring)


def test_columns_of_other_integers_are_taken_as_they_are():
    plan = build_plan("all_reduce", "ring", (3,))
    wide = [
        Step(*(getattr(s, c).astype(bool if c == "reduce" else np.int64) for c in Step.__slots__))
        for s in plan.steps()
    ]
    verify(with_steps(plan, wide))
    program = program_of(with_steps(plan, wide), 12, 4)
    assert program.row_src.dtype == np.int32


def test_finer_chunks_of_blocks_lie_inside_them():
    finer = plan_of(2, (0, 1, 0, False), (0, 1, 1, False), (1, 0, 2, False), (1, 0, 3, False),
                    collective="all_gather", n_chunks=4)  # fmt: skip
    world = World(one_site(2, link()))
    for count in range(6):
        x = np.arange(2.0 * count).reshape(2, count)
        assert world.all_gather(x, algorithm=finer).output.tolist() == [x.ravel().tolist()] * 2
        counts = [count, 3]
        ragged = np.arange(2.0 * max(counts)).reshape(2, -1)
        output = world.all_gather(ragged, counts=counts, algorithm=finer).output
        assert output[1].tolist() == [*ragged[0, :count], *ragged[1, :3]]


def test_blocks_that_are_not_those_of_the_ranks_are_refused():
    plan = plan_of(1, collective="all_gather", n_chunks=3)
    two = dataclasses.replace(plan, world_size=2)
    with pytest.raises(PlanError, match="all_gather over 2 ranks in 3 blocks: needed as many for"):
        program_of(two, 6, 4)


@pytest.mark.parametrize("edges", [[0, 2, 3], [0, 1, 3], [0, 1, 2]])
def test_chunks_that_reach_into_the_next_block_are_refused(edges):
    partition = Partition(edges[-1], 1, np.array(edges))
    good = build_plan("all_gather", "direct", (3,))
    plan = dataclasses.replace(good, partition=partition, steps=lambda: iter(()))
    with pytest.raises(PlanError, match="needed edges where the block of each rank begins"):
        verify(plan)


@pytest.mark.parametrize(("earlier", "later"), [(1, 0), (1, 1), (-1, 0)])
def test_waits_that_could_go_around_in_a_circle_are_refused(earlier, later):
    plan = plan_of(2, (1, 0, 0, True), (0, 1, 0, False))
    no, yes = np.zeros(1, bool), np.ones(1, bool)
    verify(dataclasses.replace(plan, waits=Waits(np.array([0]), np.array([1]), no, yes)))
    waits = Waits(np.array([earlier]), np.array([later]), no, yes)
    with pytest.raises(PlanError, match=f"row {later} waits for row {earlier}: needed an earlier"):
        verify(dataclasses.replace(plan, waits=waits))
