"""The arithmetic in NumPy: the specification that every other backend is held against.

Rows are carried out in plan order; a reduction combines what the receiver holds with what
arrives, in the element type of the buffer, rounding once per combination.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.plans import Program

__all__ = ["REDUCTIONS", "NumpyOps"]

Array = npt.NDArray[Any]

REDUCTIONS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum, "avg": np.add}
)

THREADED_FROM_BYTES = 128 << 20
"""A work buffer of this size is split over threads. Measured with 24 ranks on two cores, two
threads against one: 24 MiB 0.75 times as fast, 96 MiB 1.1, 192 MiB 1.35, 768 MiB 1.6."""

Rows = list[tuple[int, int, int, int, int, bool]]


class NumpyOps:
    """Steps through a plan with NumPy calls, one per row."""

    name = "numpy"

    def __init__(self, threads: int | None = None) -> None:
        """Use at most ``threads`` threads; without it, the cores this process may use."""
        self.threads = threads or _usable_cores()
        self._rows = lru_cache(maxsize=16)(_rows)

    def execute(self, program: Program, work: Array, reduction: str) -> None:
        """Carry out the rows of ``program`` on ``work``, (ranks, width), in plan order.

        Where every element keeps its place, columns do not depend on each other, and threads
        take a share of them each.
        """
        combine = REDUCTIONS[reduction]
        width = work.shape[1]
        threads = self.threads if program.aligned and work.nbytes >= THREADED_FROM_BYTES else 1
        if threads == 1:
            _carry_out(self._rows(program, 0, width), list(work), combine)
            return
        edges = [width * i // threads for i in range(threads + 1)]
        shares = [self._rows(program, *edges[i : i + 2]) for i in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(_carry_out, share, list(work), combine) for share in shares]
        for job in jobs:
            job.result()

    def finish(self, result: Array, reduction: str, world_size: int) -> None:
        """Divide sums by ``world_size`` for ``avg``, in place; other reductions are final.

        float16 and bfloat16 are divided in float32 and rounded once; integers are divided as
        in C, towards zero.
        """
        if reduction != "avg":
            return
        kind = "f" if result.dtype.name == "bfloat16" else result.dtype.kind
        for row in result:
            if kind == "f":
                wide = np.float64 if result.dtype == np.float64 else np.float32
                np.divide(row, wide(world_size), out=row, dtype=wide, casting="unsafe")
            else:
                whole = row.astype(np.int64)
                quotient, rest = np.divmod(whole, world_size)
                row[...] = quotient + ((whole < 0) & (rest != 0))


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _rows(program: Program, low: int, high: int) -> Rows:
    """Return the rows as plain numbers, cut down to the columns [low, high) they write."""
    begin = np.clip(program.dst_low, low, high)
    length = np.clip(program.dst_low + program.length, low, high) - begin
    source = program.src_low + (begin - program.dst_low)
    keep = length > 0
    columns = (program.row_src, program.row_dst, source, begin, length, program.reduce)
    return list(zip(*(column[keep].tolist() for column in columns), strict=True))


def _carry_out(rows: Iterable[Any], work: list[Array], combine: Callable[..., Any]) -> None:
    # Overflow and invalid values are results here, not accidents.
    with np.errstate(all="ignore"):
        for src, dst, src_low, dst_low, length, reduce in rows:
            source = work[src][src_low : src_low + length]
            target = work[dst][dst_low : dst_low + length]
            if reduce:
                combine(target, source, out=target)
            else:
                target[...] = source
