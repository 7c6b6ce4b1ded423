"""The arithmetic against an order of reduction that is worked out here, element by element."""

from itertools import accumulate

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import expected_output
from nightly import examples
from reference import lengths_of
from strategies import CASES, cases, program_of, ranks_per_site, width_for

from emul.ops import DTYPES, REDUCTIONS, NumpyOps, numpy_ops
from emul.ops.buffers import Buffers
from emul.plans import Program, Shape, build_plan, collective_named

SCALAR_OPS = {
    "sum": lambda a, b: a + b,
    "avg": lambda a, b: a + b,
    "prod": lambda a, b: a * b,
    "min": lambda a, b: a if a < b else b,
    "max": lambda a, b: a if a > b else b,
}


def step_by_step(plan, x, reduction):
    """Every element by itself, each combination rounded to the element type, in plan order."""
    edges = [[0, *accumulate(lengths)] for lengths in lengths_of(plan, x.shape[1])]
    widest, zero = max(each[-1] for each in edges), x.dtype.type(0)
    work = [[*row, *[zero] * (widest - len(row))] for row in x]
    combine = SCALAR_OPS[reduction]
    with np.errstate(all="ignore"):
        for step in plan.steps():
            before = [list(row) for row in work]
            for row in range(len(step)):
                sender, receiver = edges[step.src[row]], edges[step.dst[row]]
                low = sender[step.src_chunk[row]]
                high = sender[step.src_chunk[row] + step.nchunks[row]]
                into = receiver[step.dst_chunk[row]]
                for i in range(high - low):
                    sent = before[step.src[row]][low + i]
                    stood = before[step.dst[row]][into + i]
                    new = x.dtype.type(combine(stood, sent)) if step.reduce[row] else sent
                    work[step.dst[row]][into + i] = new
    return np.array(work, dtype=x.dtype)[:, : x.shape[1]]


def drawn(dtype, shape, seed):
    generator = np.random.default_rng(seed)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    return generator.normal(size=shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@examples(10)
@given(
    sizes=ranks_per_site,
    case=st.sampled_from([case for case in CASES if "reduce" in case[0]]),
    count=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_bits_follow_from_the_order_of_the_plan(dtype, reduction, sizes, case, count, seed):
    plan = build_plan(*case, sizes)
    width = width_for(case[0], sum(sizes), count)
    x = drawn(dtype, (sum(sizes), width), seed)
    expected = step_by_step(plan, x, reduction)
    program = program_of(plan, width, dtype.itemsize)
    work = np.zeros(program.layout.work_shape, dtype)
    work[:, :width] = x
    NumpyOps().execute(program, work, reduction)
    assert work[:, :width].tobytes() == expected.tobytes()


@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_threads_change_no_bit(collective, algorithm, monkeypatch):
    monkeypatch.setattr(numpy_ops, "THREADED_FROM_BYTES", 0)
    monkeypatch.setattr(numpy_ops, "WINDOW_BYTES", 500)
    plan = build_plan(collective, algorithm, (3, 1, 2))
    program = program_of(plan, 12 * 17, 4)
    x = drawn(np.dtype(np.float32), program.layout.work_shape, 1)
    results = []
    for threads in (1, 2, 3, 7):  # one thread works in windows
        work = x.copy()
        NumpyOps(threads).execute(program, work, "sum")
        results.append(work.tobytes())
    assert len(set(results)) == 1


def test_algorithms_differ_in_bits_but_not_in_value():
    x = drawn(np.dtype(np.float32), (6, 4000), 2)
    sums = []
    for algorithm in ("ring", "direct", "hierarchical", "recursive_doubling"):
        work = x.copy()
        program = program_of(build_plan("all_reduce", algorithm, (3, 3)), 4000, 4)
        NumpyOps().execute(program, work, "sum")
        sums.append(work)
        # six terms of size 1: the error bound is 5 additions of half an ulp of 8
        assert np.abs(work - x.sum(axis=0, dtype=np.float64)).max() < 5 * 2.0**-21
    assert len({each.tobytes() for each in sums}) == 4


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
def test_whole_numbers_are_averaged_towards_zero(dtype):
    info = np.iinfo(dtype)
    totals = [[info.min, info.min + 1, 0, 1, 4, 5, info.max, info.max - 1]]
    result = np.array(totals, dtype=dtype)
    NumpyOps().finish(result, "avg", 5)
    towards_zero = [abs(t) // 5 * (1 if t > 0 else -1) for t in totals[0]]
    assert result.tolist() == [towards_zero]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("n", [3, 24, 257, 4097])
def test_sums_are_divided_with_one_rounding_of_a_wide_quotient(dtype, n):
    totals = np.arange(-128, 128).astype(dtype)[None]
    result = totals.copy()
    NumpyOps().finish(result, "avg", n)
    wide = np.float64 if dtype is np.float64 else np.float32
    expected = [dtype(wide(t) / wide(n)) for t in totals[0]]
    assert result[0].tobytes() == np.array(expected, dtype=dtype).tobytes()


def test_other_reductions_are_final():
    result = np.array([[7.0]])
    for reduction in ("sum", "prod", "min", "max"):
        NumpyOps().finish(result, reduction, 3)
    assert result == 7.0


def test_infinities_and_nans_are_results(recwarn):
    x = np.array([[np.inf, np.nan, 3e38], [-np.inf, 1.0, 3e38]], dtype=np.float32)
    program = program_of(build_plan("all_reduce", "ring", (2,)), 3, 4)
    NumpyOps().execute(program, x, "sum")
    assert np.isnan(x[:, :2]).all()
    assert np.isinf(x[:, 2]).all()
    assert not recwarn


@given(ranks_per_site, cases, st.integers(0, 30), st.data())
def test_whole_numbers_come_out_right_whatever_the_order(sizes, case, blocks, data):
    name, n = case[0], sum(sizes)
    root = data.draw(st.integers(0, n - 1))
    promise = collective_named(name)
    shape = Shape(promise, n, width_for(name, n, blocks))
    x = np.random.default_rng(blocks).integers(-100, 100, shape.input_shape).astype(np.float32)
    buffers = Buffers(promise, n, x, None, None)
    assert buffers.shape == shape
    program = Program.of(build_plan(*case, sizes, root=root), shape, 4)
    work = buffers.load(program.layout, root)
    NumpyOps().execute(program, work, "sum")
    output = buffers.unload(program.layout, work, root)
    assert np.array_equal(output, expected_output(name, x, root, n))
