from itertools import product

import numpy as np
import pytest
from nightly import some

from emul import World
from emul.ops import DTYPES, REDUCTIONS
from emul.ops.exact import PERIOD, ExactData
from emul.plans import COLLECTIVES, Shape, algorithms_for

CASES = [(name, op) for name in COLLECTIVES for op in (REDUCTIONS if "reduce" in name else ["sum"])]


def data_for(world, collective, dtype, op, root=0, seed=0):
    return ExactData(COLLECTIVES[collective], world.size, dtype, reduction=op, root=root, seed=seed)


def drawn(world, data, blocks):
    """The input for a vector of ``blocks`` per rank, and the output of a run on it."""
    promise = data.collective
    shape = Shape(promise, world.size, blocks * world.size)
    x = np.empty(shape.input_shape, data.dtype)
    data.fill(x)
    arguments = {"op": data.reduction} if promise.reduces else {}
    arguments |= {"root": data.root} if promise.rooted else {}
    arguments |= {"shift": data.root} if promise.name == "send_recv" else {}
    return x, arguments


def run(world, data, blocks, algorithm="auto"):
    x, arguments = drawn(world, data, blocks)
    return getattr(world, data.collective.name)(x, algorithm=algorithm, **arguments).output


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_right_results_have_no_wrong_element(collective):
    world = World("three-campus")
    reductions = REDUCTIONS if "reduce" in collective else ["sum"]
    for algorithm in algorithms_for(collective):
        types = sorted(DTYPES.values(), key=lambda dtype: dtype.itemsize)
        for op, dtype in some(product(reductions, types)):
            data = data_for(world, collective, dtype, op, root=5)
            assert data.wrong(run(world, data, 51, algorithm)) == 0, (algorithm, op, dtype)


@pytest.mark.parametrize(("collective", "op"), CASES)
def test_any_one_wrong_element_is_counted(collective, op):
    world = World("three-campus")
    data = data_for(world, collective, np.dtype(np.float32), op, root=1)
    output = run(world, data, 3)
    flat = output.reshape(-1)
    for place in (0, len(flat) // 2, len(flat) - 1):
        good = flat[place]
        for bad in (good + 1, np.nan):
            flat[place] = bad
            assert data.wrong(output) == 1
        flat[place] = good
    assert data.wrong(output) == 0


@pytest.mark.parametrize(("collective", "op"), CASES)
def test_parts_of_rows_are_held_against_the_same_elements(collective, op):
    world = World("three-campus")
    data = data_for(world, collective, np.dtype(np.float32), op, root=1)
    output = run(world, data, 87)
    count = output.shape[-1]
    for low, width in ((0, 5), (count // 3, 7), (count - 4, 4), (0, count)):
        part = output[..., low : low + width].copy()
        assert data.wrong(part, count=count, low=low) == 0
        part[..., -1] += 1
        assert data.wrong(part, count=count, low=low) == part.size // width


@pytest.mark.parametrize("op", ["sum", "avg", "prod", "max"])
def test_a_missing_and_a_misplaced_contribution_show(op):
    world = World("three-campus")
    data = data_for(world, "all_reduce", np.dtype(np.float32), op)
    x = np.empty((world.size, 2 * PERIOD), np.float32)
    data.fill(x)
    without = world.all_reduce(np.vstack([x[1:], x[1:2]]), op=op).output
    shifted = x.copy()
    shifted[3] = np.roll(shifted[3], 64)
    assert data.wrong(without) > PERIOD // 10
    assert data.wrong(world.all_reduce(shifted, op=op).output) > PERIOD // 10


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float16", "bfloat16"])
def test_no_partial_sum_rounds_or_overflows(dtype):
    for n in (2, 24, 300, 3000):
        data = ExactData(
            COLLECTIVES["all_reduce"], n, DTYPES[dtype], reduction="sum", root=0, seed=0
        )
        largest = sum(int(np.abs(data._terms(rank, 0, PERIOD)).max()) for rank in range(n))
        limit = {"int8": 127, "uint8": 255, "float16": 2**11, "bfloat16": 2**8}[dtype]
        assert 0 < largest <= limit


def test_the_seed_decides():
    rows = []
    for seed in (0, 0, 1):
        world = World("one-campus")
        x = np.empty((world.size, 100), np.float32)
        data_for(world, "all_reduce", x.dtype, "sum", seed=seed).fill(x)
        rows.append(x.tobytes())
    assert rows[0] == rows[1] != rows[2]
