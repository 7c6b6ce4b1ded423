"""Programs whose messages are encoded, against values that are worked out expression by expression.

The model of the tests makes every value once, by the expression that it comes from: so all who hold
an expression hold the same bits, or the backends would not agree with it.
"""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import lengths_of
from strategies import ranks_per_site, width_for

from emul.ops import CpuOps, NumpyOps
from emul.ops.buffers import Buffers
from emul.ops.cpu import wire_windows
from emul.ops.wire import as_carried
from emul.ops.wire_steps import EncodedSteps
from emul.plans import (
    COLLECTIVES,
    WIRES,
    Encoding,
    Partition,
    Plan,
    Program,
    Shape,
    Step,
    algorithms_for,
    build_plan,
    verify,
    wire_named,
)

TAKING = ("all_reduce", "reduce_scatter", "all_gather")
CASES = [(name, algorithm) for name in TAKING for algorithm in algorithms_for(name)]
BACKENDS = {"numpy": NumpyOps(1), "cpu": CpuOps(1), "threads": CpuOps(3)}


def encoded_program(plan, width, wire, itemsize=4):
    shape = Shape(COLLECTIVES[plan.collective], plan.world_size, width)
    return Program.of(plan, shape, Encoding(itemsize, wire_named(wire)))


def performed(ops, program, x, reduction="sum", out=None):
    shape = program.layout.shape
    buffers = Buffers(shape.collective, shape.world_size, x, out, None)
    return ops.perform(program, buffers, reduction, 0)


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


class ByExpression:
    """The values of a plan: every input and every sum made once, and encoded if it is ever sent."""

    def __init__(self, plan, x, width, wire):
        self.lengths, self.wire = lengths_of(plan, width), WIRES[wire]
        edges = [np.cumsum([0, *each]) for each in self.lengths]
        first_of = {r: self.first_places(plan.collective, x, r, edges[r]) for r in range(len(x))}
        self.at = [
            [("input", r, place) for place in range(len(self.lengths[r]))] for r in range(len(x))
        ]
        self.inputs = {
            ("input", r, p): chunk for r, mine in first_of.items() for p, chunk in mine.items()
        }
        self.sent, self.parts = set(), {}
        for step in plan.steps():
            self.take(step)

    @staticmethod
    def first_places(collective, x, rank, edges):
        """The chunks of the input of a rank, by place."""
        low, high = 0, x.shape[1]
        if collective == "all_gather":
            n = len(x)
            spans = Shape(COLLECTIVES[collective], n, n * x.shape[1]).input_spans
            low, high = spans[rank]
        return {
            p: x[rank, a - low : b - low]
            for p, (a, b) in enumerate(pairwise(edges))
            if low <= a and b <= high
        }

    def take(self, step):
        before = [list(row) for row in self.at]
        for row in range(len(step)):
            src, dst = step.src[row], step.dst[row]
            for i in range(step.nchunks[row]):
                read, written = step.src_chunk[row] + i, step.dst_chunk[row] + i
                sent, stood = before[src][read], before[dst][written]
                if src != dst and self.lengths[src][read]:
                    self.sent.add(sent)
                if step.reduce[row]:
                    both = frozenset([sent, stood])
                    self.parts[both] = (stood, sent)
                    self.at[dst][written] = both
                else:
                    self.at[dst][written] = sent

    @cache  # noqa: B019 - as long as the test
    def value(self, expression):
        if expression in self.inputs:
            made = self.inputs[expression].astype(np.float32)
        else:
            stood, sent = self.parts[expression]
            made = self.value(stood) + self.value(sent)
        return as_carried(made, self.wire) if expression in self.sent else made


def expected_of(plan, x, wire):
    collective, n = plan.collective, plan.world_size
    width = x.shape[1] * (n if collective == "all_gather" else 1)
    model = ByExpression(plan, x, width, wire)
    spans = Shape(COLLECTIVES[collective], n, width).output_spans
    rows = []
    for rank, (low, high) in enumerate(spans.tolist()):
        edges = np.cumsum([0, *lengths_of(plan, width)[rank]])
        held = [
            model.value(model.at[rank][p])
            for p in range(plan.partition.n_chunks)
            if low <= edges[p] and edges[p + 1] <= high and edges[p] < edges[p + 1]
        ]
        rows.append(np.concatenate([np.zeros(0, np.float32), *held]))
    return np.stack(rows)


def drawn(shape, seed):
    generator = np.random.default_rng(seed)
    scales = 2.0 ** generator.integers(-8, 8, shape[0])[:, None]
    return (generator.normal(size=shape) * scales).astype(np.float32)


@settings(max_examples=60)
@given(
    sizes=ranks_per_site,
    case=st.sampled_from(CASES),
    wire=st.sampled_from(sorted(WIRES)),
    count=st.integers(0, 70),
    seed=st.integers(0, 1000),
)
def test_backends_have_the_bits_of_the_expressions(sizes, case, wire, count, seed):
    plan, n = build_plan(*case, sizes), sum(sizes)
    width = width_for(case[0], n, count)
    x = drawn((n, width // n if case[0] == "all_gather" else width), seed)
    program = encoded_program(plan, width, wire)
    before, expected = x.copy(), expected_of(plan, x, wire)
    for ops in BACKENDS.values():
        assert same_bits(performed(ops, program, x), expected)
    assert same_bits(x, before)


@pytest.mark.parametrize("algorithm", algorithms_for("all_reduce"))
@pytest.mark.parametrize("sizes", [(3, 4, 4), (8,), (2, 1)])
def test_all_ranks_of_an_all_reduce_have_the_same_bits(algorithm, sizes):
    plan = build_plan("all_reduce", algorithm, sizes)
    program = encoded_program(plan, 1000, "int8")
    output = performed(CpuOps(), program, drawn((sum(sizes), 1000), 1))
    assert all(same_bits(row, output[0]) for row in output)


def test_a_ring_encodes_each_sum_on_its_way_by_hand():
    """Of 3 ranks, rank 0 sends chunk 2 to rank 1, which adds its own and sends the sum to rank 2.

    That one adds its own, and all get this last sum. A chunk is encoded three times in all.
    """
    plan = build_plan("all_reduce", "ring", [3])
    program = encoded_program(plan, 9, "int8")
    steps = EncodedSteps.of(program)
    counted = np.diff(steps.first_place).tolist()
    assert counted == [3, 3, 3, 0, 0]
    assert steps.length.tolist() == [3] * 9
    assert len(set(zip(steps.rank.tolist(), steps.low.tolist(), strict=True))) == 9


def test_direct_encodes_each_contribution_and_each_sum_once_by_hand():
    x = np.array([[100, 0, 1], [27, 0, 127], [-3, 0, 2]], np.float32)  # blocks of one element
    plan = build_plan("all_reduce", "direct", [3])
    output = performed(NumpyOps(), encoded_program(plan, 3, "bfloat16"), x)
    assert output.tolist() == 3 * [[124, 0, 130]]
    steps = EncodedSteps.of(encoded_program(plan, 3, "int8"))
    # Two chunks of each rank go to others before the first step, and its own sum at the end of the
    # second one; the own contribution to it is never sent.
    assert np.diff(steps.first_place).tolist() == [6, 0, 3, 0, 0]


def test_a_value_that_only_its_own_rank_moves_is_not_encoded():
    """Rank 0 sets its part of chunk 0 aside and takes it back; rank 1 sends it another."""
    rows = [
        [(0, 0, 0, 2, False)],
        [(0, 0, 2, 0, False)],
        [(1, 0, 0, 0, True), (0, 1, 1, 1, True)],
    ]

    def steps():
        for step in rows:
            src, dst, read, written, reduce = np.array(step).T
            one = np.ones(len(step), np.int32)
            yield Step(*(c.astype(np.int32) for c in (src, dst, read, written)), one,
                       reduce.astype(bool), 0 * one)  # fmt: skip

    scratch = np.zeros((1, 1), dtype=np.int32)
    plan = Plan("reduce_scatter", "own", 2, 0, Partition.uniform(2), steps, scratch=scratch)
    verify(plan)
    x = drawn((2, 80), 13)
    kept = x[0, :40] + as_carried(x[1, :40], WIRES["fp4"])
    for ops in BACKENDS.values():
        assert same_bits(performed(ops, encoded_program(plan, 80, "fp4"), x)[0], kept)


def test_a_value_that_is_passed_on_is_not_encoded_again():
    plan = build_plan("all_gather", "ring", [4])
    assert np.diff(EncodedSteps.of(encoded_program(plan, 8, "fp8")).first_place).tolist() == [
        4,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("wire", ["int8", "fp4", "bfloat16"])
@pytest.mark.parametrize("algorithm", ["ring", "direct", "halving_doubling", "recursive_doubling"])
def test_windows_change_no_bit(monkeypatch, wire, algorithm):
    monkeypatch.setattr(wire_windows, "WINDOW_BYTES", 4096)
    monkeypatch.setattr(wire_windows, "LEAST_OF_A_ROW", 1)
    monkeypatch.setattr(wire_windows, "THREADED_FROM_BYTES", 0)
    plan, width = build_plan("all_reduce", algorithm, [3, 2]), 5003
    program = encoded_program(plan, width, wire)
    assert len(wire_windows._edges(program, 32)) > 10
    x = drawn((5, width), 3)
    expected = performed(NumpyOps(), program, x)
    for threads in (1, 3):
        assert same_bits(performed(CpuOps(threads), program, x), expected)


def test_windows_begin_between_blocks_and_cover_every_column_once(monkeypatch):
    monkeypatch.setattr(wire_windows, "WINDOW_BYTES", 5 * 4 * 64)  # 64 columns of 5 ranks
    monkeypatch.setattr(wire_windows, "LEAST_OF_A_ROW", 1)
    program = encoded_program(build_plan("all_reduce", "ring", [5]), 1003, "fp8")
    edges, ends = wire_windows._edges(program, 32).tolist(), program.layout.edges[0].tolist()
    assert (edges[0], edges[-1]) == (0, 1003)
    assert edges == sorted(set(edges))
    for edge in edges[:-1]:
        place = max(low for low in ends if low <= edge)
        assert (edge - place) % 32 == 0


def test_windows_leave_rows_long_enough_to_be_looked_at(monkeypatch):
    """Of 1000 elements in rows of 200, windows of a third leave 67 on average, of a quarter 50."""
    monkeypatch.setattr(wire_windows, "WINDOW_BYTES", 1)
    program = encoded_program(build_plan("all_reduce", "ring", [5]), 1000, "fp8")
    assert len(wire_windows._edges(program, 32)) - 1 == 3


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("reduction", ["sum", "avg"])
def test_short_floats_are_added_in_float32_and_rounded_once(dtype, reduction):
    plan = build_plan("all_reduce", "direct", [3])
    x = drawn((3, 700), 5).astype(dtype)
    wide = performed(NumpyOps(), encoded_program(plan, 700, "fp8"), x.astype(np.float32), reduction)
    for ops in BACKENDS.values():
        found = performed(ops, encoded_program(plan, 700, "fp8", 2), x, reduction)
        assert same_bits(found, wide.astype(dtype))


def test_an_average_of_float16_may_have_a_sum_beyond_its_type():
    plan = build_plan("all_reduce", "ring", [3])
    x = np.full((3, 40), 60000, np.float16)
    for ops in BACKENDS.values():
        found = performed(ops, encoded_program(plan, 40, "float32", 2), x, "avg")
        assert (found == 60000).all()


@pytest.mark.parametrize("reduction", ["sum", "avg"])
def test_float32_on_the_wire_changes_nothing(reduction):
    for collective, algorithm in CASES:
        plan = build_plan(collective, algorithm, [3, 2])
        width = width_for(collective, 5, 13)
        x = drawn((5, width // 5 if collective == "all_gather" else width), 7)
        program = encoded_program(plan, width, "float32")
        expected = performed(NumpyOps(), replace(program, encoding=Encoding(4)), x, reduction)
        for ops in BACKENDS.values():
            assert same_bits(performed(ops, program, x, reduction), expected)


def test_in_place_has_the_same_bits_and_the_memory_that_was_told():
    program = encoded_program(build_plan("all_reduce", "hierarchical", [3, 2]), 900, "int8")
    x = drawn((5, 900), 9)
    expected = performed(NumpyOps(), program, x)
    for ops in BACKENDS.values():
        given_buffer = x.copy()
        assert performed(ops, program, given_buffer, out=given_buffer) is given_buffer
        assert same_bits(given_buffer, expected)
        buffers = Buffers(program.layout.shape.collective, 5, x.astype(np.float16), None, None)
        half = encoded_program(build_plan("all_reduce", "ring", [5]), 900, "int8", 2)
        assert ops.new_bytes(half, buffers, "sum", 0) == 5 * 900 * 2 + 5 * 900 * 4


def test_rows_with_gaps_between_their_elements_have_the_same_bits():
    program = encoded_program(build_plan("all_reduce", "ring", [4]), 300, "fp8")
    x = drawn((4, 600), 11)[:, ::2]
    expected = performed(NumpyOps(), program, np.ascontiguousarray(x))
    for ops in BACKENDS.values():
        assert same_bits(performed(ops, program, x), expected)


@pytest.mark.parametrize("wire", ["int8", "fp8", "fp4"])
def test_nan_and_infinity_spoil_their_block_at_every_rank(wire):
    block = WIRES[wire].block
    program = encoded_program(build_plan("all_reduce", "direct", [2]), 4 * block, wire)
    x = np.ones((2, 4 * block), np.float32)
    x[1, 0] = np.inf  # in the first block of the chunk of rank 0, sent by rank 1
    for ops in BACKENDS.values():
        spoilt = np.isnan(performed(ops, program, x))
        assert spoilt.tolist() == 2 * [block * [True] + 3 * block * [False]]
