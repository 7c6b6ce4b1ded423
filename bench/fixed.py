"""Fixed scheduler kernels as calibrations: bench/kernels.c, compiled when first asked for.

A disturbance (others on the same core, smaller pages, a lower clock) slows
unlike work unlike much: a sort of keys by a quarter when a pass over tables by two thirds. So the
engines of emul are held against loops that wait for the same things as they do.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import subprocess
import sysconfig
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.measuring import ROOT, Calibration

__all__ = ["by_events", "in_order"]

SOURCE = Path(__file__).with_name("kernels.c")
BUILD = ROOT / "build" / "bench"
FLAGS = ("-O2", "-fwrapv", "-shared", "-fPIC")

COST_PS = 320_000
LATENCY_PS = 1_000
IN_ORDER_AT_LEAST, BY_EVENTS_AT_LEAST = 2_000_000, 100_000
"""Transfers; of smaller rings several are timed, until so many were (5 to 15 ms)."""

Array = npt.NDArray[Any]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Return the compiled kernels; skips the benchmark where there is no C compiler."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    of = hashlib.sha256(SOURCE.read_bytes() + repr((compiler, FLAGS)).encode()).hexdigest()[:16]
    library = BUILD / f"kernels-{of}.so"
    if not library.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = BUILD / f"{os.getpid()}.so"
        try:
            subprocess.run(
                [compiler, *FLAGS, str(SOURCE), "-o", str(unfinished)],
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            pytest.skip(f"needs a C compiler for its calibration; {compiler} is not there")
        unfinished.replace(library)
    found = ctypes.CDLL(str(library))
    found.bench_in_order.restype = found.bench_by_events.restype = ctypes.c_int64
    return found


def _ring(ranks: int) -> tuple[Array, Array, Array, Array]:
    """Return sender, receiver, predecessor and cost of each transfer of a ring."""
    steps = 2 * (ranks - 1)
    rank = np.arange(ranks, dtype=np.int32)
    number = np.arange(steps * ranks, dtype=np.int32).reshape(steps, ranks)
    after = np.roll(number - ranks, 1, axis=1)
    after[0] = -1
    cost = np.full(number.size, COST_PS, dtype=np.int64)
    return np.tile(rank, steps), np.tile(np.roll(rank, -1), steps), after.ravel(), cost


def _call(kernel: Any, *arguments: int | Array) -> int:
    pointers = [
        ctypes.c_int64(each) if isinstance(each, int) else ctypes.c_void_p(each.ctypes.data)
        for each in arguments
    ]
    return int(kernel(*pointers))


def _repeated(once: Callable[[], int], ranks: int, at_least: int) -> tuple[Callable[[], None], int]:
    """Return the work of timing rings of ``ranks`` and checking each, and the number of rings."""
    transfers = 2 * ranks * (ranks - 1)
    times = max(1, at_least // transfers)
    ends_ps = 2 * (ranks - 1) * (COST_PS + LATENCY_PS)

    def work() -> None:
        for _ in range(times):
            assert once() == ends_ps

    return work, times


@lru_cache(maxsize=2)
def in_order(ranks: int) -> Calibration:
    """Return passes over the tables of a ring of ``ranks``, in the order of the plan."""
    kernel, (sender, receiver, after, cost) = _library().bench_in_order, _ring(ranks)

    def once() -> int:
        out_free, into_free = np.zeros((2, ranks), dtype=np.int64)
        done = np.empty(len(cost), dtype=np.int64)  # anew, as the times of a timeline are
        tables = (sender, receiver, after, cost, out_free, into_free, done)
        return _call(kernel, len(cost), *tables)

    work, times = _repeated(once, ranks, IN_ORDER_AT_LEAST)
    return Calibration(f"a ring of {ranks} ranks timed in order by C, {times} times", work)


@lru_cache(maxsize=2)
def by_events(ranks: int) -> Calibration:
    """Return the events of rings of ``ranks``, taken from a heap in the order of time."""
    kernel, (_, receiver, _, cost) = _library().bench_by_events, _ring(ranks)

    def once() -> int:
        heap, into_free = np.empty((ranks, 2), dtype=np.int64), np.zeros(ranks, dtype=np.int64)
        done = np.empty(len(cost), dtype=np.int64)
        return _call(kernel, ranks, len(cost), receiver, cost, heap, into_free, done)

    work, times = _repeated(once, ranks, BY_EVENTS_AT_LEAST)
    return Calibration(f"a ring of {ranks} ranks timed by events in C, {times} times", work)
