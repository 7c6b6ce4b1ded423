"""Every collective by every algorithm at every world size, element type and operator: exact.

The data are those of ``#wrong`` (emul.ops.exact), whose expected values come from whole numbers.
"""

import numpy as np
import pytest
from strategies import CASES

from emul.ops import DTYPES, REDUCTIONS, CpuOps, NumpyOps
from emul.ops.buffers import Buffers
from emul.ops.exact import ExactData
from emul.plans import COLLECTIVES, Program, Shape, build_plan

WORLD_SIZES = [*range(1, 18), 24, 33]
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


@pytest.mark.parametrize(("name", "algorithm"), CASES)
def test_no_element_is_wrong(name, algorithm):
    collective = COLLECTIVES[name]
    for n in WORLD_SIZES:
        root = n // 2
        plan = build_plan(name, algorithm, sites_of(n), root=root)
        shape = Shape(collective, n, n * 3 if collective.in_blocks else 3 * n + 2)
        for itemsize in sorted({dtype.itemsize for dtype in DTYPES.values()}):
            program = Program.of(plan, shape, itemsize)
            for dtype in DTYPES.values():
                for op in REDUCTIONS if collective.reduces else ["sum"]:
                    if dtype.itemsize == itemsize:
                        wrong = wrong_elements(collective, program, shape, dtype, op, root)
                        assert wrong == {"cpu": 0, "numpy": 0}, (n, dtype, op)
