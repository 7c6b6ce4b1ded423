"""The kernels on a GPU, held against NumPy as they are on the CPU; and on what stands in for one.

Some run under compute-sanitizer too, when bench.gpu asks for it.
"""

import pytest
from gpus import OnGpu, StandIn, real_gpu
from host_device import COMPILER, WITHOUT_COMPILER
from ptx import BUILDS, EVERY, needed
from same_bits import any_order, check
from strategies import CASES

from emul.ops import DTYPES, REDUCTIONS
from emul.ops.cuda import GpuOps
from emul.ops.cuda.choice import find_gpu
from emul.ops.cuda.gpu_ops import BLOCKS_PER_MULTIPROCESSOR
from emul.ops.cuda.sources import TILE_BYTES
from emul.plans import COLLECTIVES, Shape, build_plan, plan_from

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

REDUCED = [case for case in CASES if COLLECTIVES[case[0]].reduces]
OFFSETS = (0, 2, 16, 37)
"""Bytes that rows are off; half as many for those of the output."""

PAIRS = [(dtype, reduction) for dtype in DTYPES for reduction in REDUCTIONS]
WATCHED = [("float16", "sum"), ("bfloat16", "prod"), ("float32", "avg"), ("int8", "max")]


def on_each(every, few, watched=()):
    """Parameters: of a GPU ``every``, of the stand-in a ``few``, ``watched`` by a sanitizer.

    The stand-in carries out the PTX of ``every`` where that is asked for.
    """
    real = [
        pytest.param(
            "cupy", *case, marks=[pytest.mark.gpu, pytest.mark.sanitized][: 1 + (case in watched)]
        )
        for case in every
    ]
    as_ptx = [pytest.param("PTX", *case, marks=needed) for case in every * EVERY]
    return [("C++", *case) for case in few] + as_ptx + real


@pytest.fixture
def on(where):
    if where in BUILDS:
        return OnGpu(StandIn(build=BUILDS[where], order="backwards", threads=7))
    gpu = real_gpu()
    if gpu is None:
        pytest.skip(find_gpu().reason)
    return OnGpu(gpu)


def both(on):
    return GpuOps(on.gpu), GpuOps(on.gpu, stepwise=True)


@pytest.mark.parametrize(
    ("where", "dtype", "reduction"), on_each(PAIRS, [("float32", "sum")], WATCHED)
)
def test_reductions_have_the_bits_of_numpy(on, dtype, reduction):
    for number, (name, algorithm) in enumerate(REDUCED):
        n = 3 + number % 6
        plan = build_plan(name, algorithm, [n - n // 3, n // 3], root=n // 2)
        promise = COLLECTIVES[name]
        shape = Shape(promise, n, n * 41 if promise.in_blocks else 97 * n + number)
        for ops in both(on):
            offset = OFFSETS[number % len(OFFSETS)]
            check(ops, plan, shape, DTYPES[dtype], reduction, seed=number, offset=offset, on=on)


@pytest.mark.parametrize(
    ("where", "name", "algorithm"),
    on_each([case for case in CASES if case not in REDUCED], [("all_to_all", "bruck")]),
)
def test_copies_keep_every_bit(on, name, algorithm):
    promise = COLLECTIVES[name]
    for n, dtype in ((1, "int8"), (5, "float64"), (8, "bfloat16")):
        plan = build_plan(name, algorithm, [n], root=n // 2)
        shape = Shape(promise, n, n * 67 if promise.in_blocks else 67 * n + 3)
        for ops in both(on):
            check(ops, plan, shape, DTYPES[dtype], "sum", seed=n, offset=OFFSETS[n % 4], on=on)


@pytest.mark.parametrize("where", ["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def test_any_order_of_reduction_is_kept(on):
    for n, reduction in ((4, "max"), (7, "sum")):
        plan = plan_from(lambda n: any_order(n, n), "all_reduce", n)
        shape = Shape(COLLECTIVES["all_reduce"], n, 40 * n + 3)
        for ops in both(on):
            check(ops, plan, shape, DTYPES["float32"], reduction, seed=n, on=on)


@pytest.mark.parametrize("where", [pytest.param("cupy", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_more_tiles_than_blocks_are_carried_out(on, dtype):
    kind = DTYPES[dtype]
    blocks = BLOCKS_PER_MULTIPROCESSOR * on.gpu.multiprocessors + 8
    shape = Shape(COLLECTIVES["all_reduce"], 2, blocks * TILE_BYTES // kind.itemsize + 5)
    for ops in both(on):
        check(ops, build_plan("all_reduce", "ring", (2,)), shape, kind, "sum", on=on)
