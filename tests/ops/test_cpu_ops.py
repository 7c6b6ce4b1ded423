"""The fused arithmetic against NumPy's, step by step: the same bits, and nothing else written."""

import numpy as np
import pytest
from bits import drawn, same
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from same_bits import STEPWISE, any_order, check
from strategies import CASES, ranks_per_site, width_for

from emul import ArgumentError
from emul.ops import DTYPES, REDUCTIONS, CpuOps
from emul.ops.buffers import Buffers
from emul.ops.cpu import cpu_ops
from emul.ops.cpu.fused import INSTRUCTION_SETS, TYPES
from emul.plans import (
    COLLECTIVES,
    Program,
    Shape,
    algorithms_for,
    build_plan,
    plan_from,
    verify,
)
from emul.plans.libraries import library_algorithms

LIBRARIES = [(name, each) for name in COLLECTIVES for each in library_algorithms(name)]


@pytest.fixture(params=INSTRUCTION_SETS)
def ops(request):
    return CpuOps(1, request.param)


def test_every_element_type_has_its_kernels():
    assert sorted(TYPES) == sorted(DTYPES)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@examples(25)
@given(
    sizes=ranks_per_site,
    case=st.sampled_from([each for each in CASES if COLLECTIVES[each[0]].reduces]),
    count=st.integers(0, 300),
    seed=st.integers(0, 1000),
    offset=st.integers(0, 70),
    instructions=st.sampled_from(INSTRUCTION_SETS),
)
def test_reductions_have_the_bits_of_numpy(
    dtype, reduction, sizes, case, count, seed, offset, instructions
):
    n = sum(sizes)
    plan = build_plan(*case, sizes, root=seed % n)
    shape = Shape(COLLECTIVES[case[0]], n, width_for(case[0], n, count))
    check(CpuOps(1, instructions), plan, shape, dtype, reduction, seed=seed, offset=offset)


@examples(150)
@given(
    ranks_per_site,
    st.sampled_from([each for each in CASES if not COLLECTIVES[each[0]].reduces]),
    st.integers(0, 300),
    st.sampled_from(list(DTYPES.values())),
    st.integers(0, 1000),
    st.sampled_from(INSTRUCTION_SETS),
)
def test_copies_keep_every_bit(sizes, case, count, dtype, seed, instructions):
    n = sum(sizes)
    plan = build_plan(*case, sizes, root=seed % n)
    shape = Shape(COLLECTIVES[case[0]], n, width_for(case[0], n, count))
    check(CpuOps(1, instructions), plan, shape, dtype, "sum", seed=seed, offset=seed % 70)


@pytest.mark.parametrize(("collective", "algorithm"), LIBRARIES)
def test_plans_of_libraries_have_the_bits_of_numpy(ops, collective, algorithm):
    promise = COLLECTIVES[collective]
    for n in (1, 2, 3, 8, 13):
        plan = build_plan(collective, algorithm, [n], root=n // 2 if promise.rooted else 0)
        shape = Shape(promise, n, n * 41 if promise.in_blocks else 8 * n + 3)
        for reduction in ("sum", "max") if promise.reduces else ("sum",):
            for dtype in ("float32", "bfloat16"):
                check(ops, plan, shape, DTYPES[dtype], reduction, seed=n)


@examples(100)
@given(
    st.sampled_from(["reduce_scatter", "all_gather", "gather", "scatter", "all_to_all"]),
    st.integers(1, 9),
    st.integers(0, 1000),
    st.data(),
)
def test_unequal_counts_have_the_bits_of_numpy(collective, n, seed, data):
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 40, (n, n) if collective == "all_to_all" else (n,))
    counts *= generator.random(counts.shape) < 0.8
    algorithm = data.draw(st.sampled_from(algorithms_for(collective, uneven=True)))
    shape = Shape.of_counts(COLLECTIVES[collective], n, counts)
    plan = build_plan(collective, algorithm, [n], root=seed % n)
    instructions = data.draw(st.sampled_from(INSTRUCTION_SETS))
    check(CpuOps(1, instructions), plan, shape, DTYPES["float16"], "sum", seed=seed, counts=counts)


@examples(80)
@given(
    st.integers(2, 9),
    st.sampled_from(list(REDUCTIONS)),
    st.integers(0, 1000),
    st.sampled_from(INSTRUCTION_SETS),
)
def test_any_order_of_reduction_is_kept(n, reduction, seed, instructions):
    plan = plan_from(lambda n: any_order(n, seed), "all_reduce", n)
    verify(plan)
    shape = Shape(COLLECTIVES["all_reduce"], n, 40 * n + 3)
    check(CpuOps(1, instructions), plan, shape, DTYPES["float32"], reduction, seed=seed)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("reduction", ["min", "max"])
def test_zeros_of_unlike_sign_and_the_first_nan_are_told_apart(ops, dtype, reduction):
    """Where ranks exchange, each keeps what NumPy keeps of its own order."""
    plan = build_plan("all_reduce", "recursive_doubling", (4,))
    program = Program.of(plan, Shape(COLLECTIVES["all_reduce"], 4, 200), DTYPES[dtype].itemsize)
    signs = np.random.default_rng(0).integers(0, 2, (4, 200)) * 2 - 1
    for values in (signs * 0.0, np.where(signs > 0, np.nan, -np.nan)):
        x = values.astype(DTYPES[dtype])
        given = [Buffers(COLLECTIVES["all_reduce"], 4, x, None, None) for _ in range(2)]
        got = ops.perform(program, given[0], reduction, 0)
        assert got.tobytes() == STEPWISE.perform(program, given[1], reduction, 0).tobytes()


@pytest.mark.covering(2)
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("streamed", [False, True])
def test_threads_slabs_and_streams_change_no_bit(ops, threads, streamed, monkeypatch):
    monkeypatch.setattr(cpu_ops, "THREADED_FROM_BYTES", 0)
    monkeypatch.setattr(cpu_ops, "STREAMED_FROM_BYTES", 0 if streamed else 1 << 62)
    monkeypatch.setattr(cpu_ops, "SLAB_BYTES", 300_000)
    several = CpuOps(threads, ops.instructions)
    for algorithm in ("ring", "hierarchical", "direct"):
        plan = build_plan("all_reduce", algorithm, (3, 2))
        for dtype, offset in (("float32", 0), ("float16", 6), ("int8", 1), ("bfloat16", 2)):
            for width in (5 * 4096, 20_011):
                shape = Shape(COLLECTIVES["all_reduce"], 5, width)
                check(several, plan, shape, DTYPES[dtype], "sum", offset=offset)
    for collective, algorithm, count in (
        ("all_gather", "ring", 270_001),
        ("all_to_all", "pairwise", 7_001),
        ("broadcast", "ring", 99),
    ):
        plan = build_plan(collective, algorithm, (5,))
        shape = Shape(COLLECTIVES[collective], 5, 5 * count)
        check(several, plan, shape, DTYPES["uint8"], "sum")


def test_rows_whose_elements_are_apart_are_left_to_numpy(ops):
    x = drawn(DTYPES["float32"], (5, 80), 3)
    plan = build_plan("all_reduce", "ring", (5,))
    program = Program.of(plan, Shape(COLLECTIVES["all_reduce"], 5, 40), 4)
    promise = COLLECTIVES["all_reduce"]
    expected = STEPWISE.perform(
        program, Buffers(promise, 5, x[:, ::2].copy(), None, None), "sum", 0
    )
    got = ops.perform(program, Buffers(promise, 5, x[:, ::2], None, None), "sum", 0)
    assert same(got, expected, "sum")
    backwards = ops.perform(program, Buffers(promise, 5, x[:, 39::-1], None, None), "sum", 0)
    assert backwards.shape == (5, 40)


def test_rows_may_lie_in_any_order_and_on_top_of_each_other(ops):
    x = drawn(DTYPES["int32"], (5, 40), 3)
    plan = build_plan("all_reduce", "ring", (5,))
    program = Program.of(plan, Shape(COLLECTIVES["all_reduce"], 5, 40), 4)
    for rows in (x[::-1], np.broadcast_to(x[0], (5, 40))):
        given = Buffers(COLLECTIVES["all_reduce"], 5, rows, None, None)
        with np.errstate(over="ignore"):
            expected = np.tile(rows.sum(axis=0, dtype=np.int32), (5, 1))
        assert np.array_equal(ops.perform(program, given, "sum", 0), expected)


def test_a_fused_call_needs_no_work_buffer():
    ops, promise = CpuOps(1), COLLECTIVES["all_reduce"]
    program = Program.of(build_plan("all_reduce", "ring", (4,)), Shape(promise, 4, 100), 4)
    x = np.zeros((4, 100), np.float32)
    needed = [
        ops.new_bytes(program, Buffers(promise, 4, x, out, None, revocable=revocable), "sum", 0)
        for out, revocable in ((None, False), (x.copy(), True), (x, False), (x, True))
    ]
    assert needed == [1600, 0, 0, 1600]
    scatter = COLLECTIVES["reduce_scatter"]
    program = Program.of(build_plan("reduce_scatter", "ring", (4,)), Shape(scatter, 4, 100), 4)
    for each, bytes_ in ((ops, 400), (STEPWISE, 400 + 1600)):
        assert each.new_bytes(program, Buffers(scatter, 4, x, None, None), "sum", 0) == bytes_


def test_an_instruction_set_that_is_not_there_is_refused():
    with pytest.raises(ArgumentError, match="unknown instruction set 'mmx': needed one of base"):
        CpuOps(1, "mmx")


def test_the_environment_names_the_instruction_set(monkeypatch):
    assert CpuOps().instructions == INSTRUCTION_SETS[-1]
    monkeypatch.setenv(cpu_ops.INSTRUCTIONS_VARIABLE, "baseline")
    assert CpuOps().instructions == "baseline"
