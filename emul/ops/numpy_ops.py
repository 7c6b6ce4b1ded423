"""The arithmetic in NumPy: the specification that every other backend is held against.

Rows are carried out in plan order; a reduction combines the values of the receiver with
those that arrive, in the element type of the buffer, rounding once per combination.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import chain, pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Array
from emul.ops.arrays import HOST, Arrays
from emul.ops.buffers import Buffers
from emul.ops.wire import as_carried
from emul.ops.wire_steps import EncodedSteps, new_bytes_encoded, perform_encoded
from emul.plans import Program
from emul.plans.runs import expand

__all__ = ["REDUCTIONS", "NumpyOps", "usable_cores"]


REDUCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum, "avg": np.add}
)

THREADED_FROM_BYTES = 128 << 20
"""A work buffer of this size is split over threads, one window of columns each. Measured with 24
ranks on two cores against one window and one thread: 192 MiB 1.35 times as fast, 768 MiB 1.6."""

WINDOW_BYTES = 3 << 19
"""A smaller one is worked on in windows of so many bytes over all ranks, which stay in the cache
of a core from one step to the next. Measured against one window: 24 MiB 1.2 times as fast. Threads
and such windows together are no faster than windows alone: Python's lock is held too often."""

RowTuples = list[tuple[int, int, int, int, int, bool]]
Groups = list[tuple[bool, RowTuples]]


class NumpyOps:
    """Steps through a plan with NumPy calls, one per row."""

    name = "numpy"
    arrays: Arrays = HOST
    takes_wire = True

    def __init__(self, threads: int | None = None) -> None:
        """Use at most ``threads`` threads; without it, the cores this process may use."""
        self.threads = threads or usable_cores()
        self._windows = lru_cache(maxsize=4)(_windows)
        self._encoded_steps = lru_cache(maxsize=4)(EncodedSteps.of)

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes that ``perform`` will allocate."""
        if program.encoding.wire is not None:
            return new_bytes_encoded(program, buffers)
        return buffers.new_bytes(program.layout)

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Array:
        """Carry out ``program`` step by step and return the output."""
        if program.encoding.wire is not None:
            return perform_encoded(program, buffers, reduction, root, self._carry_out_encoded)
        work = buffers.load(program.layout, root)
        self.execute(program, work, reduction)
        output = buffers.unload(program.layout, work, root)
        if buffers.collective.reduces:
            self.finish(output, reduction, buffers.shape.world_size)
        return output

    def execute(self, program: Program, work: Array, reduction: str) -> None:
        """Carry out the rows of ``program`` on ``work``, (ranks, width), in plan order.

        Where every element keeps its place, columns do not depend on each other: they are worked
        on in windows, and large buffers in one window per thread.
        """
        combine = REDUCTIONS[reduction]
        ranks, width = work.shape
        threads = self.threads if work.nbytes >= THREADED_FROM_BYTES else 1
        columns = -(-width // threads)
        if threads == 1:
            columns = max(1, WINDOW_BYTES // (ranks * work.dtype.itemsize))
        windows = self._windows(program, width, columns)
        if threads == 1 or len(windows) == 1:
            _carry_out(windows, list(work), combine)
            return
        with ThreadPoolExecutor(len(windows)) as pool:
            jobs = [pool.submit(_carry_out, [each], list(work), combine) for each in windows]
        for job in jobs:
            job.result()

    def _carry_out_encoded(self, program: Program, work: Array) -> None:
        """Carry out ``program``, whose messages are encoded, on float32: (ranks, width)."""
        wire, steps = program.encoding.wire, self._encoded_steps(program)
        assert wire is not None, "needed a wire format"
        places = list(
            zip(*(c.tolist() for c in (steps.rank, steps.low, steps.length)), strict=True)
        )
        ends = program.row_src, program.row_dst, program.src_low, program.dst_low
        columns = *ends, program.length, program.reduce
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        groups = [rows[a:b] for a, b in pairwise(steps.first_row.tolist())]
        for step, (first, last) in enumerate(pairwise(steps.first_place.tolist())):
            for rank, low, length in places[first:last]:
                sent = work[rank, low : low + length]
                sent[...] = as_carried(sent, wire)
            if step < len(groups):
                exchanges = bool(steps.exchanges[step])
                _carry_out([[(exchanges, groups[step])]], list(work), np.add)

    def finish(self, result: Array, reduction: str, world_size: int) -> None:
        """Divide sums by ``world_size`` for ``avg``, in place; other reductions are final.

        float16 and bfloat16 are divided in float32 and rounded once; integers are divided as
        in C, towards zero.
        """
        if reduction != "avg":
            return
        with np.errstate(all="ignore"):
            for row in np.atleast_2d(result):
                _divide(row, world_size)


def _divide(row: Array, by: int) -> None:
    if row.dtype.kind in "iu":
        whole = row.astype(np.int64)
        quotient, rest = np.divmod(whole, by)
        row[...] = quotient + ((whole < 0) & (rest != 0))
    else:
        wide = np.float64 if row.dtype == np.float64 else np.float32
        np.divide(row, wide(by), out=row, dtype=wide, casting="unsafe")


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _windows(program: Program, width: int, columns: int) -> list[Groups]:
    """Return the rows of ``program``, cut into windows of ``columns`` where that can be done."""
    exchanging = _exchanging(program)
    step = program.row_step
    if not program.aligned:
        return [_rows(program, step, exchanging, 0, width)]
    edges = [*range(0, width, max(1, columns)), width] if width else [0, 0]
    return [_rows(program, step, exchanging, a, b) for a, b in pairwise(edges)]


def _rows(
    program: Program,
    row_step: npt.NDArray[np.int64],
    exchanging: npt.NDArray[np.bool_],
    low: int,
    high: int,
) -> Groups:
    """Return the rows as plain numbers, cut down to the columns [low, high) they write.

    They come in groups of consecutive steps, each with whether its rows read their own targets.
    """
    touched = np.flatnonzero((program.dst_low < high) & (program.dst_low + program.length > low))
    target, whole = program.dst_low[touched], program.length[touched]
    begin = np.maximum(target, low)
    length = np.minimum(target + whole, high) - begin
    source = program.src_low[touched] + (begin - target)
    ranks = program.row_src[touched], program.row_dst[touched]
    columns = (*ranks, source, begin, length, program.reduce[touched])
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    step = row_step[touched]
    alone = exchanging[step]
    # Steps that exchange stand alone; the others need no boundary between them.
    group = np.where(alone, step, -1)
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(rows)]
    return [(bool(alone[a]), rows[a:b]) for a, b in pairwise(edges) if b > a]


def _exchanging(program: Program) -> npt.NDArray[np.bool_]:
    """Return, for each step, whether a row reads elements that a row of the step writes."""
    found = np.zeros(len(program.first_of_step) - 1, dtype=bool)
    for step, (first, last) in enumerate(pairwise(program.first_row[program.first_of_step])):
        rows = slice(first, last)
        written = program.row_dst[rows].astype(np.int64) * program.n_places
        read = program.row_src[rows].astype(np.int64) * program.n_places
        spans = program.nplaces[rows]
        targets = _places(written + program.dst_place[rows], spans)
        found[step] = bool(np.isin(_places(read + program.src_place[rows], spans), targets).any())
    return found


def _places(first: npt.NDArray[np.int64], spans: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    run, within = expand(spans)
    places: npt.NDArray[np.int64] = first[run] + within
    return places


def _carry_out(windows: list[Groups], work: list[Array], combine: Callable[..., Any]) -> None:
    # Overflow and invalid values are results here, not accidents.
    with np.errstate(all="ignore"):
        for exchanging, rows in chain.from_iterable(windows):
            if exchanging:
                _exchange(rows, work, combine)
                continue
            for src, dst, src_low, dst_low, length, reduce in rows:
                source = work[src][src_low : src_low + length]
                target = work[dst][dst_low : dst_low + length]
                if reduce:
                    combine(target, source, out=target)
                else:
                    target[...] = source


def _exchange(rows: RowTuples, work: list[Array], combine: Callable[..., Any]) -> None:
    """Carry out rows that read the targets of others: all reads come first."""
    sources = [work[src][low : low + length].copy() for src, _, low, _, length, _ in rows]
    for source, (_, dst, _, dst_low, length, reduce) in zip(sources, rows, strict=True):
        target = work[dst][dst_low : dst_low + length]
        if reduce:
            combine(target, source, out=target)
        else:
            target[...] = source
