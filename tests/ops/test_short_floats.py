"""float16 and bfloat16, all of them: widened, combined and rounded as NumPy and ml_dtypes do it."""

import numpy as np
import pytest
from bits import PARTNERS, same

from emul.ops import DTYPES, CpuOps, NumpyOps
from emul.ops.buffers import Buffers
from emul.ops.cpu.fused import INSTRUCTION_SETS
from emul.plans import COLLECTIVES, Program, Shape, build_plan

PROMISE = COLLECTIVES["all_reduce"]
EVERY = np.arange(1 << 16, dtype=np.uint16)


def both(ops, x, reduction):
    program = Program.of(build_plan("all_reduce", "ring", (2,)), Shape(PROMISE, 2, x.shape[1]), 2)
    return (
        each.perform(program, Buffers(PROMISE, 2, x, None, None), reduction, 0)
        for each in (ops, NumpyOps(1))
    )


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", PARTNERS)
@pytest.mark.parametrize("reduction", ["sum", "prod", "min", "max", "avg"])
def test_every_value_with_every_partner(instructions, dtype, reduction):
    for partner in PARTNERS[dtype]:
        x = np.stack([EVERY, np.full_like(EVERY, partner)]).view(DTYPES[dtype])
        got, expected = both(CpuOps(1, instructions), x, reduction)
        assert same(got, expected, reduction), hex(partner)


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", PARTNERS)
@pytest.mark.parametrize("reduction", ["sum", "prod", "max"])
def test_many_pairs_of_any_values(instructions, dtype, reduction):
    x = np.random.default_rng(1).integers(0, 1 << 16, (2, 1 << 20), dtype=np.uint16)
    got, expected = both(CpuOps(1, instructions), x.view(DTYPES[dtype]), reduction)
    assert same(got, expected, reduction)


@pytest.mark.parametrize("instructions", INSTRUCTION_SETS)
@pytest.mark.parametrize("dtype", PARTNERS)
@pytest.mark.parametrize("n", [3, 7, 24])
def test_averages_of_every_value(instructions, dtype, n):
    x = np.zeros((n, 1 << 16), np.uint16)
    x[0] = EVERY
    plan = build_plan("all_reduce", "direct:one_shot", (n,))
    program = Program.of(plan, Shape(PROMISE, n, 1 << 16), 2)
    got, expected = (
        each.perform(program, Buffers(PROMISE, n, x.view(DTYPES[dtype]), None, None), "avg", 0)
        for each in (CpuOps(1, instructions), NumpyOps(1))
    )
    assert same(got, expected, "avg")
