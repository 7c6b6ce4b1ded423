"""The kernels through GpuOps, on Devices of the CPU: the bits of NumPy's, step by step.

One Device has them compiled as C++, the other carries out their PTX. The compilers take an eighth
of a second to a second for a kernel, so not all pairs of element types and reductions are compiled;
each of both has its turn in both forms.
"""

import numpy as np
import pytest
from bits import PARTNERS, drawn, same
from host_device import COMPILER, ORDERS, WITHOUT_COMPILER, HostDevice
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from ptx import BUILDS, in_each
from same_bits import STEPWISE, any_order, check
from strategies import CASES, ranks_per_site, width_for

from emul.ops import DTYPES, REDUCTIONS
from emul.ops.buffers import Buffers
from emul.ops.cuda import GpuOps
from emul.ops.cuda.gpu_ops import BLOCKS_PER_MULTIPROCESSOR
from emul.ops.cuda.kernel_sources import MOST_SPILLED, TILE_BYTES
from emul.plans import COLLECTIVES, Program, Shape, algorithms_for, build_plan, plan_from
from emul.plans.libraries import library_algorithms

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

WITH_ALL = ("float32", "float16", "bfloat16", "int8")
"""Element types that are combined in ways of their own: each with all reductions."""

MANY = [(dtype, reduction) for dtype in WITH_ALL for reduction in REDUCTIONS]
MANY += [("float64", "sum"), ("float64", "min"), ("int32", "prod"), ("int32", "avg")]
MANY += [("int64", "sum"), ("int64", "avg"), ("uint8", "max"), ("uint8", "avg")]
SOME = [*zip(DTYPES, [*REDUCTIONS, "sum", "prod", "avg"], strict=True), ("float16", "max")]
SOME += [("bfloat16", "sum"), ("bfloat16", "prod"), ("float32", "sum"), ("float64", "avg")]
MANY_IN_PTX = [("float32", "sum"), ("float16", "avg"), ("int8", "prod")]
ALL_REDUCE = COLLECTIVES["all_reduce"]
LIBRARIES = [(name, each) for name in COLLECTIVES for each in library_algorithms(name)]


SEVERAL = [(("all_reduce", "ring"), 4), (("all_reduce", "recursive_doubling"), 4)]
SEVERAL += [(("reduce_scatter", "ring"), 4), (("all_to_all", "bruck"), 3)]


class OneBuild(GpuOps):
    """Takes the build that sets values aside also for plans that keep nothing, to compile less."""

    slots = (4, 8, 32)


def forms(build):
    return {
        "fused": OneBuild(HostDevice(build=build, order="shuffled", threads=5)),
        "in blocks": GpuOps(HostDevice(build=build)),
        "in steps": GpuOps(HostDevice(build=build, order="backwards", threads=7), stepwise=True),
    }


FORMS = {name: forms(build) for name, build in BUILDS.items()}
ALL_FORMS = [(form,) for form in FORMS["C++"]]


@pytest.fixture
def ops(build, form):
    return FORMS[build][form]


ANY_REDUCTION = {
    "sizes": ranks_per_site,
    "case": st.sampled_from([each for each in CASES if COLLECTIVES[each[0]].reduces]),
    "count": st.integers(0, 300),
    "seed": st.integers(0, 1000),
    "elements": st.integers(0, 40),
    "order": st.sampled_from(ORDERS),
}


def plan_and_shape(case, sizes, count, seed):
    n = sum(sizes)
    plan = build_plan(*case, sizes, root=seed % n)
    return plan, Shape(COLLECTIVES[case[0]], n, width_for(case[0], n, count))


@pytest.mark.covering(1)
@pytest.mark.parametrize(("build", "dtype", "reduction"), in_each(MANY, MANY_IN_PTX))
@examples(4)
@given(**ANY_REDUCTION)
def test_fused_reductions_have_the_bits_of_numpy(
    build, dtype, reduction, sizes, case, count, seed, elements, order
):
    device = HostDevice(build=BUILDS[build], order=order, threads=3)
    ops, chosen = OneBuild(device), DTYPES[dtype]
    offset = elements * chosen.itemsize
    given = plan_and_shape(case, sizes, count, seed)
    check(ops, *given, chosen, reduction, seed=seed, offset=offset)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("build", "dtype", "reduction"), in_each(SOME, SOME))
@examples(4)
@given(**ANY_REDUCTION)
def test_reductions_in_steps_have_the_bits_of_numpy(
    build, dtype, reduction, sizes, case, count, seed, elements, order
):
    device = HostDevice(build=BUILDS[build], order=order, threads=3)
    ops, chosen = GpuOps(device, stepwise=True), DTYPES[dtype]
    offset = elements * chosen.itemsize
    given = plan_and_shape(case, sizes, count, seed)
    check(ops, *given, chosen, reduction, seed=seed, offset=offset)


@pytest.mark.parametrize("build", in_each([()], []))
@examples(40)
@given(
    ranks_per_site,
    st.sampled_from([each for each in CASES if not COLLECTIVES[each[0]].reduces]),
    st.integers(0, 300),
    st.sampled_from(list(DTYPES.values())),
    st.integers(0, 1000),
    st.sampled_from(list(FORMS["C++"])),
)
def test_copies_keep_every_bit(build, sizes, case, count, dtype, seed, form):
    plan, shape = plan_and_shape(case, sizes, count, seed)
    offset = seed % 9 * dtype.itemsize
    check(FORMS[build][form], plan, shape, dtype, "sum", seed=seed, offset=offset)


@pytest.mark.parametrize(
    ("build", "form"), in_each([("in blocks",), ("in steps",)], [("in steps",)])
)
@pytest.mark.parametrize("case", CASES + LIBRARIES, ids=" ".join)
def test_every_algorithm_has_the_bits_of_numpy(build, form, case):
    promise = COLLECTIVES[case[0]]
    n, dtype, reduction = (6, "float32", "sum") if form == "in steps" else (7, "int8", "avg")
    sites = [n] if case in LIBRARIES else [n - n // 3, n // 3]
    plan = build_plan(*case, sites, root=n // 2 if promise.rooted else 0)
    shape = Shape(promise, n, n * 41 if promise.in_blocks else 8 * n + 3)
    combined = reduction if promise.reduces else "sum"
    check(FORMS[build][form], plan, shape, DTYPES[dtype], combined, offset=8)


@pytest.mark.parametrize("build", in_each([()], []))
@examples(25)
@given(
    st.sampled_from(["reduce_scatter", "all_gather", "gather", "scatter", "all_to_all"]),
    st.integers(1, 9),
    st.integers(0, 1000),
    st.sampled_from(list(FORMS["C++"])),
    st.data(),
)
def test_unequal_counts_have_the_bits_of_numpy(build, collective, n, seed, form, data):
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 40, (n, n) if collective == "all_to_all" else (n,))
    counts *= generator.random(counts.shape) < 0.8
    algorithm = data.draw(st.sampled_from(algorithms_for(collective, uneven=True)))
    shape = Shape.of_counts(COLLECTIVES[collective], n, counts)
    plan = build_plan(collective, algorithm, [n], root=seed % n)
    check(FORMS[build][form], plan, shape, DTYPES["float16"], "sum", seed=seed, counts=counts)


@pytest.mark.parametrize("build", in_each([()], []))
@examples(25)
@given(
    st.integers(2, 9),
    st.sampled_from(["sum", "max"]),
    st.integers(0, 1000),
    st.sampled_from(list(FORMS["C++"])),
)
def test_any_order_of_reduction_is_kept(build, n, reduction, seed, form):
    plan = plan_from(lambda n: any_order(n, seed), "all_reduce", n)
    shape = Shape(ALL_REDUCE, n, 40 * n + 3)
    check(FORMS[build][form], plan, shape, DTYPES["float32"], reduction, seed=seed)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("build", "form"), in_each([("fused",), ("in steps",)], [("in steps",)]))
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
@pytest.mark.parametrize("reduction", ["min", "max"])
def test_zeros_of_unlike_sign_and_the_first_nan_are_told_apart(ops, dtype, reduction):
    plan = build_plan("all_reduce", "recursive_doubling", (4,))
    program = Program.of(plan, Shape(ALL_REDUCE, 4, 200), DTYPES[dtype].itemsize)
    signs = np.random.default_rng(0).integers(0, 2, (4, 200)) * 2 - 1
    for values in (signs * 0.0, np.where(signs > 0, np.nan, -np.nan)):
        x = values.astype(DTYPES[dtype])
        got, expected = (
            each.perform(program, Buffers(ALL_REDUCE, 4, x, None, None), reduction, 0)
            for each in (ops, STEPWISE)
        )
        assert got.tobytes() == expected.tobytes()


@pytest.mark.parametrize(("build", "form"), in_each([("fused",), ("in steps",)], [("in steps",)]))
@pytest.mark.parametrize("dtype", PARTNERS)
@pytest.mark.parametrize("reduction", ["sum", "prod", "min", "max"])
def test_every_short_float_with_partners(ops, dtype, reduction):
    """Every tenth value with each partner, and every value with one of them in turn."""
    every = np.arange(1 << 16, dtype=np.uint16)
    partners = np.array(PARTNERS[dtype], np.uint16)
    a = np.concatenate([every, np.tile(every[::10], len(partners))])
    b = np.concatenate([partners[every % len(partners)], np.repeat(partners, len(every[::10]))])
    x = np.stack([a, b]).view(DTYPES[dtype])
    plan = build_plan("all_reduce", "ring", (2,))
    program = Program.of(plan, Shape(ALL_REDUCE, 2, x.shape[1]), 2)
    got, expected = (
        each.perform(program, Buffers(ALL_REDUCE, 2, x, None, None), reduction, 0)
        for each in (ops, STEPWISE)
    )
    assert same(got, expected, reduction)


@pytest.mark.parametrize(("build", "form"), in_each(ALL_FORMS, []))
def test_more_tiles_than_blocks_are_carried_out(ops):
    """Also where the rows of a tile begin in the middle of sixteen bytes."""
    count = (BLOCKS_PER_MULTIPROCESSOR * ops.device.multiprocessors + 8) * TILE_BYTES + 5
    for algorithm, offset in (("ring", 0), ("direct", 4)):
        plan = build_plan("all_reduce", algorithm, (2,))
        check(ops, plan, Shape(ALL_REDUCE, 2, count), DTYPES["uint8"], "sum", offset=offset)


@pytest.mark.parametrize(("build", "form"), in_each(ALL_FORMS, []))
def test_rows_whose_elements_are_apart_are_copied_first(ops):
    plan = build_plan("all_reduce", "ring", (5,))
    program = Program.of(plan, Shape(ALL_REDUCE, 5, 40), 4)
    wide = drawn(DTYPES["float32"], (5, 80), 3)
    alike = np.broadcast_to(wide[0, :40], (5, 40))
    for x in (wide[:, ::2], wide[:, 39::-1], wide[::-1, :40], alike):
        expected = STEPWISE.perform(program, Buffers(ALL_REDUCE, 5, x.copy(), None, None), "sum", 0)
        apart = np.zeros((5, 80), np.float32)[:, 1::2]
        for out in (None, apart):
            got = ops.perform(program, Buffers(ALL_REDUCE, 5, x, out, None), "sum", 0)
            assert same(got.copy(), expected, "sum")
        apart[...] = x
        ops.perform(program, Buffers(ALL_REDUCE, 5, apart, apart, None), "sum", 0)
        assert same(apart.copy(), expected, "sum")


@pytest.mark.parametrize("build", in_each([()], []))
def test_what_keeps_too_much_at_once_is_done_in_another_way(build):
    """In place, from a copy of the input; a plan that keeps too much itself, step by step."""
    ops = FORMS[build]["fused"]
    n = MOST_SPILLED + 3
    plan = build_plan("send_recv", "direct", (n,), root=1)
    check(ops, plan, Shape(COLLECTIVES["send_recv"], n, 5), DTYPES["float32"], "sum")
    plan = build_plan("all_reduce", "recursive_doubling", (n,))
    before = ops.device.launches
    check(ops, plan, Shape(ALL_REDUCE, n, 5), DTYPES["float32"], "max")
    assert ops.device.launches - before > 3


@pytest.mark.parametrize(("build", "form"), in_each(ALL_FORMS, []))
def test_what_will_be_allocated_is_known_before(ops):
    for case, n in SEVERAL:
        promise = COLLECTIVES[case[0]]
        shape = Shape(promise, n, 120)
        program = Program.of(build_plan(*case, (n,)), shape, 4)
        x = drawn(DTYPES["float32"], shape.input_shape, 1)
        outs = [None] if shape.input_shape != shape.output_shape else [None, x.copy(), x]
        for out in outs:
            given = Buffers(promise, n, x, out, None)
            needed = ops.new_bytes(program, given, "sum", 0)
            ops.perform(program, given, "sum", 0)
            before = ops.device.allocated_bytes
            ops.perform(program, given, "sum", 0)
            kept = x.nbytes if given.kept else 0
            assert needed == ops.device.allocated_bytes - before + kept
