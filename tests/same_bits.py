"""One call by some Ops, held against NumPy's, step by step: same bits, and nothing else written."""

import numpy as np
from bits import drawn, same

from emul.ops import NumpyOps
from emul.ops.buffers import Buffers
from emul.plans import Program, Send

STEPWISE = NumpyOps(1)
GUARD = 0x5A


class Host:
    """Where the arrays of a test are: in NumPy's memory. ``more`` goes to Buffers."""

    more = {}  # noqa: RUF012

    def put(self, array):
        """A copy of ``array`` there."""
        return array.copy()

    def view(self, memory, shape, dtype, offset, strides):
        """Rows in bytes that ``put`` has put there."""
        return np.ndarray(shape, dtype, memory, offset=offset, strides=strides)

    def got(self, array):
        """What is there, in NumPy."""
        return np.ascontiguousarray(array)


HOST = Host()


def guarded(data, offset, on):
    """Rows of ``data`` there, apart and with guarded bytes around each, and all the memory."""
    rows = data if data.ndim > 1 else data[None]
    stride = 64 + offset + rows[0].nbytes
    memory = np.full((len(rows) + 1) * stride + 64, GUARD, np.uint8)
    strides = (stride, data.itemsize)
    view = np.ndarray(rows.shape, data.dtype, memory, offset=32 + offset, strides=strides)
    view[...] = rows
    there = on.put(memory)
    view = on.view(there, rows.shape, data.dtype, 32 + offset, strides)
    return (view if data.ndim > 1 else view[0]), there


def unguarded(memory, shape, itemsize, offset):
    """The bytes of ``memory`` that do not belong to rows that ``guarded`` has put there."""
    inside = np.zeros(len(memory), bool)
    count = shape[-1] * itemsize
    for row in range(shape[0] if len(shape) > 1 else 1):
        first = 32 + offset + row * (64 + offset + count)
        inside[first : first + count] = True
    return memory[~inside]


def check(ops, plan, shape, dtype, reduction, *, seed=0, offset=0, counts=None, on=HOST):
    """Out of place and, where that can be, in place: the bits of NumPy, and no byte beyond.

    Rows lie ``offset`` bytes off, those of the output half as many, in whole elements if they are.
    """
    collective, n = shape.collective, shape.world_size
    program = Program.of(plan, shape, dtype.itemsize)
    data = drawn(dtype, shape.input_shape, seed)
    expected = STEPWISE.perform(
        program, Buffers(collective, n, data, None, counts), reduction, plan.root
    )
    combined = collective.reduces and (n > 1 or reduction == "avg")
    reduced = reduction if combined else None

    def held(x, out, memory, off, **more):
        given = Buffers(collective, n, x, out, counts, **more, **on.more)
        assert ops.perform(program, given, reduction, plan.root) is given.out
        assert same(on.got(given.out), expected, reduced)
        assert (unguarded(on.got(memory), shape.output_shape, dtype.itemsize, off) == GUARD).all()

    off = offset // 2
    off -= off % dtype.itemsize if offset % dtype.itemsize == 0 else 0
    x, _ = guarded(data, offset, on)
    nothing = np.frombuffer(b"\xa5" * expected.nbytes, dtype).reshape(shape.output_shape)
    out, memory = guarded(nothing, off, on)
    held(x, out, memory, off)
    assert on.got(x).tobytes() == data.tobytes()
    if collective.in_place and shape.input_shape == shape.output_shape:
        for revocable in (False, True):
            x, memory = guarded(data, offset, on)
            held(x, x, memory, offset, revocable=revocable)


def any_order(n, seed):
    """The rounds of an all_reduce along random trees, in which some pairs exchange."""
    generator = np.random.default_rng(seed)
    for chunk in range(n):
        ranks = list(range(n))
        while len(ranks) > 1:
            a, b = generator.permutation(ranks)[:2].tolist()
            back = [Send(b, a, chunk, reduce=True)] if generator.random() < 0.5 else []
            yield [Send(a, b, chunk, reduce=True), *back]
            ranks.remove(a)
        yield [Send(ranks[0], r, chunk) for r in range(n) if r != ranks[0]]
