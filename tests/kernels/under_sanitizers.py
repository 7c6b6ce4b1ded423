"""Carries out calls with kernels that are compiled with AddressSanitizer; run by test_sanitizers.

Arguments: what to replace in the kernels, and by what, if anything. What the kernels do beyond
their arrays, or where a GPU could not load so many bytes, ends the process with a report.
"""

import sys

import numpy as np
from bits import drawn
from host_device import HostDevice

from emul.ops import DTYPES
from emul.ops.buffers import Buffers
from emul.ops.cuda import GpuOps
from emul.plans import COLLECTIVES, Program, Shape, build_plan

FLAGS = ("-O0", "-g1", "-fsanitize=address,alignment,bounds", "-fno-sanitize-recover=all")

CALLS = (
    ("all_reduce", "ring", "float16", "avg"),
    ("all_reduce", "halving_doubling", "float16", "avg"),
    ("reduce_scatter", "direct", "float16", "avg"),
    ("all_gather", "bruck", "int8", "sum"),
    ("send_recv", "direct", "int8", "sum"),
)


def rows(shape, dtype, off):
    """Rows that end where their memory ends, the first ``off`` elements from its beginning."""
    memory = np.empty(int(np.prod(shape)) + off, dtype)
    return memory[off:].reshape(shape)


def carry_out(ops, name, algorithm, dtype, reduction, count, off):
    promise, chosen, n = COLLECTIVES[name], DTYPES[dtype], 5
    shape = Shape(promise, n, n * (count // n) if promise.in_blocks else count)
    plan = build_plan(name, algorithm, (n,), root=1)
    program = Program.of(plan, shape, chosen.itemsize)
    x, out = rows(shape.input_shape, chosen, off), rows(shape.output_shape, chosen, off // 2)
    x[...] = drawn(chosen, shape.input_shape, count)
    ops.perform(program, Buffers(promise, n, x, out, None), reduction, plan.root)
    if promise.in_place and x.shape == out.shape:
        given = Buffers(promise, n, x, x, None, revocable=False)
        ops.perform(program, given, reduction, plan.root)


if __name__ == "__main__":
    old, new = sys.argv[1:] or ("", "")
    mutate = (lambda text: text.replace(old, new)) if old else None
    device = HostDevice(flags=FLAGS, order="shuffled", threads=6, mutate=mutate)
    for ops in (GpuOps(device), GpuOps(device, stepwise=True)):
        for call in CALLS:
            for count, off in ((5 * 13 + 2, 1), (5 * 64, 0), (5 * 16, 3), (4, 0)):
                carry_out(ops, *call, count, off)
    print("all carried out")
