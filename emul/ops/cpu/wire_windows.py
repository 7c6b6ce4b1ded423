"""Carries out programs whose messages are encoded, compiled, window of columns by window.

A window stays in the cache of a core from the first step to the last one. Its edges lie between
blocks, so that no scale depends on where the columns are cut.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np

from emul.arrays import Array, Int64Array
from emul.errors import not_compiled
from emul.ops.wire_steps import EncodedSteps
from emul.plans import Program

try:
    from emul.ops.cpu.wire import CarriedSteps
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

__all__ = ["WireWindows"]

WINDOW_BYTES = 2 << 20
"""Of all ranks together. Measured with 24 ranks, 96 MiB in int8, fp8 and fp4, on two cores, against
one window and one thread: 1.0 to 2.5 times as fast; windows of 128 KiB are slower than one."""

THREADED_FROM_BYTES = 4 << 20
"""A work buffer of this size is split over threads, as many windows for each."""

LEAST_OF_A_ROW = 64
"""Elements of a row in a window, on average: every window looks at every row of the program."""

UNBLOCKED = 256
"""Elements: the edges of windows of formats without blocks are multiples of so many."""


class WireWindows:
    """Carries out the steps of programs whose messages are encoded, with up to so many threads."""

    def __init__(self, threads: int) -> None:
        """Use at most ``threads`` threads."""
        self.threads = threads
        self._ready = lru_cache(maxsize=8)(_ready)

    def carry_out(self, program: Program, work: Array) -> None:
        """Carry out ``program`` on ``work``, (ranks, width) of float32.

        Between windows, signals are heeded where one thread does it all.
        """
        carried, edges = self._ready(program)
        windows = list(pairwise(edges.tolist()))
        threads = min(self.threads, len(windows)) if work.nbytes >= THREADED_FROM_BYTES else 1
        if threads <= 1:
            for low, high in windows:
                carried.run(work, low, high)
            return
        with ThreadPoolExecutor(threads) as pool:
            for job in [pool.submit(carried.run, work, low, high) for low, high in windows]:
                job.result()


def _ready(program: Program) -> tuple[CarriedSteps, Int64Array]:
    """Return the steps of ``program``, and the edges of its windows."""
    steps, wire = EncodedSteps.of(program), program.encoding.wire
    assert wire is not None, "needed a wire format"
    carried = CarriedSteps(
        wire.name,
        (steps.rank, steps.low, steps.length),
        steps.first_place,
        (
            program.row_src,
            program.row_dst,
            program.src_low,
            program.dst_low,
            program.length,
            program.reduce.view(np.uint8),
        ),
        steps.first_row,
        steps.exchanges.view(np.uint8),
    )
    return carried, _edges(program, wire.block or UNBLOCKED)


def _edges(program: Program, block: int) -> Int64Array:
    """Return the edges of the windows: those between places, and multiples of ``block`` in them.

    There is one window of all columns where elements do not keep their places.
    """
    ranks, width = program.layout.work_shape
    ends = program.layout.edges
    if not program.aligned or len(ends) > 1:
        return np.array([0, width])
    in_a_row = int(program.length.mean()) if len(program.length) else 1
    fewest = -(-width * LEAST_OF_A_ROW // max(1, in_a_row))
    columns = max(1, WINDOW_BYTES // (ranks * 4 * block), -(-fewest // block)) * block
    inside = [np.arange(low, high, columns) for low, high in pairwise(ends[0].tolist())]
    candidates = np.append(np.concatenate(inside), width)
    window = np.searchsorted(candidates, np.arange(0, width, columns))
    return np.unique(np.append(candidates[window], width))
