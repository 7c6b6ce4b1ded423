"""Kernels made wrong on purpose: each mistake is found by the checks that the right ones pass."""

import pytest
from host_device import COMPILER, WITHOUT_COMPILER, HostDevice
from same_bits import check

from emul.ops import DTYPES
from emul.ops.cuda import GpuOps, KernelSource
from emul.plans import COLLECTIVES, Shape, build_plan

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

FUSED = {
    "wrong start rank": (
        ("pass.input + pass.leaf[first], where", "pass.input + pass.leaf[first + 2], where"),
        ("pass.leaf[first + j];", "pass.leaf[first + j == 2 ? 0 : first + j];"),
    ),
    "operands exchanged": (("RIGHT ? emul_joined(value, so_far)", "0 ? so_far"),),
    "dropped tail of a tile": (("where.there[k] = which < n;", "where.there[k] = which < n - 1;"),),
    "dropped elements behind the vectors": (("end ? length - rest : lead", "end ? 0 : lead"),),
    "the run before": (("[middle].first_tile <= tile", "[middle].first_tile < tile"),),
    "a rank not written": (
        ("for (int i = first; i < last; i++)",
         "for (int i = first; i < last - (last - first > 3); i++)"),
    ),
    "not divided": (("so_far.unit[k] = emul_finish", "(void)emul_finish"),),
    "one byte too far": (
        ("    *into = value;\n}", "    *into = value;\n    *(char *)(into + 1) = 0x33;\n}"),
    ),
    "a spilled value forgotten": (("slot[s] = value;", ";"),),
    "one of many kept values forgotten": (("slot[which] = value;", ";"),),
}  # fmt: skip

STEPS = {
    "dropped tail of a row": (
        ("low + per_tile < row.length ? low + per_tile : row.length",
         "low + per_tile < row.length ? low + per_tile : row.length - 1"),
    ),
    "the last row left out": (("tile < n_tiles;", "tile < n_tiles - 1;"),),
    "the row before": (("[middle].first_tile <= tile", "[middle].first_tile < tile"),),
    "what stood left out": (("Action::combines(at) ? emul_combine(a[k], b[k])", "0 ? b[k]"),),
    "the wrong buffer": (("buffer == EMUL_OUTPUT ? output : work", "buffer ? output : work"),),
}  # fmt: skip

ROUNDING = {
    ("bfloat16", "sum"): ("0x7fffu + (bits >> 16 & 1u)", "0x8000u"),
    ("float16", "sum"): ("0xfffu + (magnitude >> 13 & 1u)", "0x1000u"),
    ("float16", "prod"): ("emul_number_of(magnitude) + 0.5f", "0 * magnitude + 0.5f"),
    ("float32", "max"): ("EMUL_IS_NAN(EMUL_VALUE(stood))", "0"),
    ("float16", "min"): ("emul_at_most(a, b)", "emul_less(a, b)"),
    ("int8", "avg"): ("emul_quotient((emul_divisor)total, ",
                      "emul_quotient((emul_divisor)(total - (total < 0)), "),
    ("uint8", "sum"): ("& 0x80808080u", "& 0x00808080u"),
}  # fmt: skip


def changed(changes):
    """A function that makes ``changes`` in a text."""

    def mutate(text):
        for old, new in changes:
            text = text.replace(old, new)
        return text

    return mutate


SEVERAL = [
    (5, "ring", "float32", "sum", 0), (5, "direct", "float32", "avg", 1),
    (5, "ring", "float32", "max", 4), (5, "recursive_doubling", "float32", "min", 0),
    (5, "halving_doubling", "float32", "sum", 0),
]  # fmt: skip


def checks(changes=(), *, stepwise=False, cases=SEVERAL):
    """Small calls on which each of the mistakes shows; the same with and without one."""
    ops = GpuOps(HostDevice(mutate=changed(changes), order="shuffled"), stepwise=stepwise)
    for n, algorithm, dtype, reduction, off in cases:
        chosen, plan = DTYPES[dtype], build_plan("all_reduce", algorithm, (n,))
        for count in (5 * 37 + 2, 16 * 64):
            shape = Shape(COLLECTIVES["all_reduce"], n, count)
            offset = off * chosen.itemsize
            check(ops, plan, shape, chosen, reduction, seed=count, offset=offset)


def of_two(dtype, reduction):
    """Calls of two ranks, in which every pair of values is a result."""
    return [(2 if reduction != "avg" else 3, "direct", dtype, reduction, 0)]


def test_the_right_kernels_pass():
    checks()
    checks(stepwise=True)
    for dtype, reduction in ROUNDING:
        checks(cases=of_two(dtype, reduction))


@pytest.mark.parametrize("name", FUSED)
def test_mistakes_of_the_fused_kernel_are_found(name):
    with pytest.raises(AssertionError):
        checks(FUSED[name])


@pytest.mark.parametrize("name", STEPS)
def test_mistakes_of_a_step_are_found(name):
    with pytest.raises(AssertionError):
        checks(STEPS[name], stepwise=True)


@pytest.mark.parametrize(("dtype", "reduction"), ROUNDING)
def test_wrong_elements_are_found(dtype, reduction):
    with pytest.raises(AssertionError):
        checks([ROUNDING[dtype, reduction]], cases=of_two(dtype, reduction))


def test_mutants_change_something():
    """A mutant of text that is no longer there would prove nothing."""
    texts = "".join(KernelSource(name).text for name in ("fused", "recv_reduce_copy"))
    for changes in (*FUSED.values(), *STEPS.values(), list(ROUNDING.values())):
        assert all(old in texts for old, _ in changes)
