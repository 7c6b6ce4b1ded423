"""The kernels on a GPU, held against NumPy as they are on the CPU; and on what stands in for one.

Some run under compute-sanitizer too, when bench.gpu asks for it.
"""

from pathlib import Path

import pytest
from gpus import OnGpu, StandIn, needs_compiler, real_gpu
from ptx import BUILDS, EVERY, needed
from same_bits import any_order, check
from strategies import CASES

from emul.ops import DTYPES, REDUCTIONS
from emul.ops.cuda import GpuOps
from emul.ops.cuda.choice import find_gpu
from emul.ops.cuda.gpu_ops import BLOCKS_PER_MULTIPROCESSOR
from emul.ops.cuda.kernel_sources import TILE_BYTES
from emul.plans import COLLECTIVES, Shape, build_plan, plan_from

REDUCED = [case for case in CASES if COLLECTIVES[case[0]].reduces]
OFFSETS = (0, 1, 4, 9)
"""Elements that rows are off; half as many for those of the output. A GPU loads no part of one."""

PAIRS = [(dtype, reduction) for dtype in DTYPES for reduction in REDUCTIONS]
WATCHED = [
    (algorithm, *pair)
    for algorithm in ("ring", "direct")
    for pair in (
        ("float32", "sum"), ("float16", "sum"), ("bfloat16", "prod"), ("float32", "avg"),
        ("int8", "max"), ("uint8", "min"),
    )
]  # fmt: skip
"""A dozen calls that touch the first and last elements of rows of all kinds."""


def on_each(every, few, marks=(pytest.mark.gpu,)):
    """Parameters: of a GPU ``every``, with its ``marks``, and of the stand-in a ``few``.

    The stand-in carries out the PTX of ``every`` where that is asked for.
    """
    return [
        *(("C++", *case) for case in few),
        *(pytest.param("PTX", *case, marks=needed) for case in every * EVERY),
        *(pytest.param("cupy", *case, marks=marks) for case in every),
    ]


@pytest.fixture
def on(where):
    if where in BUILDS:
        needs_compiler()
        return OnGpu(StandIn(build=BUILDS[where], order="backwards", threads=7))
    gpu = real_gpu()
    if gpu is None:
        pytest.skip(find_gpu().reason)
    return OnGpu(gpu)


def both(on):
    return GpuOps(on.gpu), GpuOps(on.gpu, stepwise=True)


@pytest.mark.parametrize(("where", "dtype", "reduction"), on_each(PAIRS, [("float32", "sum")]))
def test_reductions_have_the_bits_of_numpy(on, dtype, reduction):
    for number, (name, algorithm) in enumerate(REDUCED):
        n = 3 + number % 6
        plan = build_plan(name, algorithm, [n - n // 3, n // 3], root=n // 2)
        promise = COLLECTIVES[name]
        shape = Shape(promise, n, n * 41 if promise.in_blocks else 97 * n + number)
        for ops in both(on):
            kind = DTYPES[dtype]
            offset = OFFSETS[number % len(OFFSETS)] * kind.itemsize
            check(ops, plan, shape, kind, reduction, seed=number, offset=offset, on=on)


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
            offset = OFFSETS[n % len(OFFSETS)] * DTYPES[dtype].itemsize
            check(ops, plan, shape, DTYPES[dtype], "sum", seed=n, offset=offset, on=on)


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


def test_a_gpu_is_tried_also_where_no_compiler_is():
    """Only what stands in for one needs it: no file with tests of a GPU is skipped as a whole."""
    folder = Path(__file__).parent.parent
    texts = {path: path.read_text() for path in folder.glob("**/test_*.py")}
    on_a_gpu = {path.name for path, text in texts.items() if "mark.gpu" in text}
    whole = {path.name for path, text in texts.items() if "\npytestmark = " in text}
    assert {"test_on_a_gpu.py", "test_cupy_device.py", "test_device_ops.py"} <= on_a_gpu
    assert not on_a_gpu & whole


@pytest.mark.parametrize(
    ("where", "algorithm", "dtype", "reduction"),
    on_each(WATCHED, WATCHED[:1], (pytest.mark.gpu, pytest.mark.sanitized)),
)
def test_what_a_sanitizer_watches(on, algorithm, dtype, reduction):
    kind = DTYPES[dtype]
    shape = Shape(COLLECTIVES["all_reduce"], 5, 5 * TILE_BYTES // kind.itemsize + 3)
    plan = build_plan("all_reduce", algorithm, (5,))
    for ops in both(on):
        check(ops, plan, shape, kind, reduction, seed=1, offset=kind.itemsize, on=on)
