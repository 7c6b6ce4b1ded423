"""How a benchmark is measured: work and calibration by turns, and the ratio of the two.

A machine that others use too is now fast, now slow, for seconds on end. So a calibration of the
same kind as the work runs before every round and after the last one, and the kept figure is the
ratio of the work's time to that of its calibration. Calibrations are fixed: no code of emul is in
them, so they do not change when emul does.

Both are taken in processor time, which leaves out the wait for a core that others
have; the calibration feels the effect of others on caches and memory too. The wall-clock times that
pytest-benchmark shows stand beside it. Nothing here waits for anything else than a core, so on an
idle machine the two are the same, but where work is spread over threads.
"""

from __future__ import annotations

import heapq
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = [
    "INTERPRETER",
    "NUMPY_START",
    "ROOT",
    "Calibration",
    "Ratio",
    "cpu_s",
    "median_s",
    "pieces",
    "repeated",
    "roof",
    "run_command",
]

ROOT = Path(__file__).resolve().parent.parent
LARGEST_ROOF_BYTES = 512 << 20
ROOF_BYTES_AT_LEAST = 256 << 20
"""Smaller arrays are scaled several times, until so much was scaled (15 to 30 ms)."""


def cpu_s() -> float:
    """Return the processor time of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@dataclass(frozen=True, slots=True)
class Calibration:
    """Fixed work: its ``name`` says all that its time depends on, beside the machine.

    ``nbytes``: the bytes that it moves, to be read as a rate; 0 where that says nothing.
    """

    name: str
    work: Callable[[], object]
    nbytes: int = 0

    def seconds(self) -> float:
        """Return how much processor time the work takes now."""
        started = cpu_s()
        self.work()
        return cpu_s() - started


@dataclass(frozen=True, slots=True)
class Ratio:
    """Processor time of rounds, and of the calibrations before, between and after them."""

    rounds: Sequence[float]
    calibrations: Sequence[float]

    def __post_init__(self) -> None:
        """Refuse rounds without a calibration on either side."""
        assert len(self.calibrations) == len(self.rounds) + 1 > 1

    @property
    def least(self) -> float:
        """The quickest round over the quickest calibration, of which neither was disturbed."""
        return min(self.rounds) / min(self.calibrations)

    @property
    def paired(self) -> float:
        """The median of each round over the mean of its two neighbours."""
        around = zip(self.calibrations, self.calibrations[1:], strict=False)
        pairs = zip(self.rounds, around, strict=True)
        return statistics.median(2 * each / (before + after) for each, (before, after) in pairs)


@lru_cache(maxsize=1)
def _array() -> npt.NDArray[np.float32]:
    return np.ones(LARGEST_ROOF_BYTES // 4, dtype=np.float32)


def roof(nbytes: int) -> Calibration:
    """Return the memory roof at a working set of ``nbytes``: one thread scales it in place.

    In place, every byte is read and written once, and nothing can be done to an array for less;
    so a reduction over N rows of S bytes, which has to read and write all of them, is measured
    against scaling N S bytes.
    """
    nbytes = min(nbytes, LARGEST_ROOF_BYTES)
    times = max(1, ROOF_BYTES_AT_LEAST // nbytes)
    part, factor = _array()[: nbytes // 4], np.float32(1)

    def work() -> None:
        for _ in range(times):
            np.multiply(part, factor, out=part)

    name = f"scale {nbytes >> 10} KiB of float32 in place, {times} times"
    return Calibration(name, work, 2 * nbytes * times)


def repeated(
    work: Callable[[], object], repeats: int, prepare: Callable[[], object] = lambda: None
) -> list[float]:
    """Return the wall-clock seconds of each call of ``work``; ``prepare`` is not timed."""
    taken = []
    for _ in range(repeats):
        prepare()
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return taken


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Return the median wall-clock seconds of calls of ``work``."""
    return statistics.median(repeated(work, repeats))


DONT_KEEP = "PYTHONDONTWRITEBYTECODE"

PIECE_BYTES = 64 << 10
PIECES_AT_LEAST = 48 << 20


def pieces(nbytes: int, dtype: npt.DTypeLike = np.float32) -> Calibration:
    """Return additions and copies of pieces of ``nbytes``, one after the other, in NumPy.

    Steps of a collective over buffers of about a cache's size do the same: less of it waits for
    memory than of ``roof``, and where NumPy converts every element, next to nothing.
    """
    kind = np.dtype(dtype)
    zero = np.zeros(PIECE_BYTES // kind.itemsize, dtype=kind)
    whole = _array()[: nbytes // PIECE_BYTES * PIECE_BYTES // 4].view(kind)
    part = whole.reshape(-1, len(zero))
    times = max(1, PIECES_AT_LEAST // nbytes)

    def work() -> None:
        for _ in range(times):
            for piece in part:
                np.add(piece, zero, out=piece)
            for source, target in pairwise(part):
                target[...] = source

    return Calibration(
        f"add and copy {nbytes >> 10} KiB of {kind} in pieces of 64 KiB, {times} times", work
    )


INTERPRETED = 4000


def _interpreted() -> int:
    heap: list[tuple[int, int]] = []
    seen: dict[int, int] = {}
    for number in range(INTERPRETED):
        key = number * 7919 % 4001
        heapq.heappush(heap, (key, number))
        seen[key] = seen.get(key, 0) + number
    total = 0
    while heap:
        total += heapq.heappop(heap)[1]
    assert total == sum(seen.values())
    return total


INTERPRETER = Calibration(f"{INTERPRETED} tuples through heapq and a dict", _interpreted)
"""For short calls, whose time is that of the interpreter."""


def run_command(*command: str) -> str:
    """Run ``command`` outside the source folder; return its output. It must succeed.

    Python may keep its compiled files, as it does for most users: only the first run compiles.
    """
    done = subprocess.run(
        command,
        cwd=ROOT.parent,
        env={name: value for name, value in os.environ.items() if name != DONT_KEEP},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _start(statement: str) -> Calibration:
    def work() -> None:
        run_command(sys.executable, "-c", statement)

    return Calibration(f'python -c "{statement}"', work)


NUMPY_START = _start("import numpy")
"""For start-up: the one import that emul cannot do without."""
