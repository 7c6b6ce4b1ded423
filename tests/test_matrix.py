"""Every collective by every algorithm at every world size, element type and operator: exact.

At most world sizes each element type comes with one operator, with another at the next size; so
any two of world size, type and operator come together, and at some sizes all three. The data are
those of ``#wrong`` (emul.ops.exact), whose expected values come from whole numbers.
"""

from itertools import product

import numpy as np
import pytest
from nightly import also
from strategies import CASES

from emul.ops import DTYPES, REDUCTIONS, CpuOps, NumpyOps
from emul.ops.buffers import Buffers
from emul.ops.exact import ExactData
from emul.plans import COLLECTIVES, Program, Shape, build_plan

WORLD_SIZES = sorted({1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 17, 33, *also(*range(1, 18), 24)})
ALL_TOGETHER = (3, *also(8))
OPS = (CpuOps(1), NumpyOps(1))


def sites_of(n):
    """Two sites of unlike size, the first on two nodes where it can be."""
    first = n - n // 3
    return [(first - first // 2, first // 2), (n // 3,)] if n > 3 else [(n,)]


def wrong_elements(collective, program, shape, dtype, op, root):
    """How many elements are wrong, by backend."""
    data = ExactData(
        collective, shape.world_size, dtype, reduction=op, root=root, seed=shape.world_size
    )
    x = np.empty(shape.input_shape, dtype)
    data.fill(x)
    buffers = Buffers(collective, shape.world_size, x, None, None)
    return {ops.name: data.wrong(ops.perform(program, buffers, op, root)) for ops in OPS}


def pairs_at(n, reductions):
    """The element types and operators to try at world size ``n``."""
    for i, dtype in enumerate(DTYPES.values()):
        if n in ALL_TOGETHER:
            yield from ((dtype, op) for op in reductions)
        else:
            yield dtype, reductions[(i + n) % len(reductions)]


@pytest.mark.parametrize("reductions", [("sum",), tuple(REDUCTIONS)])
def test_any_two_of_size_type_and_operator_come_together(reductions):
    tried = {n: set(pairs_at(n, reductions)) for n in WORLD_SIZES}
    everything = set(product(DTYPES.values(), reductions))
    assert set().union(*tried.values()) == everything
    assert tried[ALL_TOGETHER[0]] == everything
    for pairs in tried.values():
        assert {dtype for dtype, _ in pairs} == set(DTYPES.values())
        assert {op for _, op in pairs} == set(reductions)


@pytest.mark.parametrize(("name", "algorithm"), CASES)
def test_no_element_is_wrong(name, algorithm):
    collective = COLLECTIVES[name]
    reductions = tuple(REDUCTIONS) if collective.reduces else ("sum",)
    for n in WORLD_SIZES:
        root = n // 2
        plan = build_plan(name, algorithm, sites_of(n), root=root)
        shape = Shape(collective, n, n * 3 if collective.in_blocks else 3 * n + 2)
        programs = {}
        for dtype, op in pairs_at(n, reductions):
            if dtype.itemsize not in programs:
                programs[dtype.itemsize] = Program.of(plan, shape, dtype.itemsize)
            program = programs[dtype.itemsize]
            wrong = wrong_elements(collective, program, shape, dtype, op, root)
            assert wrong == {"cpu": 0, "numpy": 0}, (n, dtype, op)
