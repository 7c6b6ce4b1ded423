"""On which device, at which sizes, and the copy that several sections measure against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.worlds import exact_data
from emul.ops import dtype_named
from emul.ops.buffers import Buffers
from emul.ops.cuda.device_arrays import DeviceArrays
from emul.ops.cuda.gpu_ops import GpuOps, Launches
from emul.ops.exact import PERIOD
from emul.plans import COLLECTIVES, Program, Shape, build_plan

__all__ = ["FIRST", "FULL", "TINY", "Job", "Scale", "Setting"]

MIB = 1 << 20
POISON = 0x5A
"""Fills outputs before they are checked, so that an element never written is wrong."""

STRETCH = 64 * PERIOD
"""Elements of a row that are made here; the device repeats them, as the data do."""

LOOKED_AT = 1 << 20
"""Elements at the beginning, in the middle and at the end of a row that a first look is at."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and repeats of a measurement.

    ``whole``: every element of a result is looked at, rather than parts of every row.
    """

    ranks: int = 8
    row_bytes: int = 256 * MIB
    repeats: int = 11
    waits: int = 10_000
    waits_of_a_graph: int = 500
    longest_wait_ns: int = 20_000_000
    paced_bytes: tuple[int, ...] = (64 << 10, MIB, 16 * MIB)
    paced_calls: int = 15
    long_call_s: float = 2.0
    long_row_bytes: int = (1 << 31) + (1 << 20) + 3
    tests_s: float = 150.0
    sanitizer_s: float = 50.0
    limit_s: float = 465.0
    whole: bool = True


FULL = Scale()

FIRST = Scale(
    repeats=7,
    waits=1000,
    waits_of_a_graph=200,
    longest_wait_ns=5_000_000,
    paced_bytes=(64 << 10, MIB),
    paced_calls=10,
    limit_s=90.0,
    whole=False,
)
"""Sizes that tell within a minute and a half whether a GPU is as it is taken to be."""

TINY = Scale(
    ranks=4,
    row_bytes=1 << 12,
    repeats=2,
    waits=40,
    waits_of_a_graph=20,
    longest_wait_ns=200_000,
    paced_bytes=(1 << 10, 64 << 10),
    paced_calls=2,
    long_call_s=0.05,
    long_row_bytes=(1 << 12) + 3,
    whole=False,
)
"""Sizes that show that all of it runs; the figures say nothing."""


@dataclass
class Setting:
    """The device of a run, its scale, and how fast it copies, which figures are ratios to."""

    device: Any
    scale: Scale = FULL
    began_s: float = field(default_factory=time.monotonic)
    _copy_s: dict[int, float] = field(default_factory=dict)

    @property
    def ends_at_s(self) -> float:
        """When the whole must be through, by time.monotonic."""
        return self.began_s + self.scale.limit_s

    def median_s(self, work: Callable[[], object], repeats: int | None = None) -> float:
        """Return the median of the seconds that the device takes for ``work``, once warmed up."""
        work()
        taken = [self.device.elapsed_s(work) for _ in range(repeats or self.scale.repeats)]
        return statistics.median(taken)

    def copy_bytes_per_s(self, nbytes: int) -> float:
        """Return the bytes, read and written, per second of copying ``nbytes`` on the device."""
        if nbytes not in self._copy_s:
            source, target = (self.device.empty((nbytes,), np.dtype(np.uint8)) for _ in range(2))
            source[...] = POISON
            seconds = self.median_s(lambda: self.device.copy(target, source))
            assert int(self.device.download(target[-1:])[0]) == POISON, "nothing was copied"
            self._copy_s[nbytes] = seconds
        return 2 * nbytes / self._copy_s[nbytes]


class Job:
    """One collective on the device: its data, its launches, and whether the result is right."""

    def __init__(
        self,
        setting: Setting,
        collective: str,
        algorithm: str,
        sites: tuple[int, ...],
        *,
        row_bytes: int,
        dtype: str,
        stepwise: bool = False,
    ) -> None:
        """Prove the plan, put the data onto the device, prepare the launches."""
        self.setting, self.device = setting, setting.device
        promise, kind = COLLECTIVES[collective], dtype_named(dtype)
        plan = build_plan(collective, algorithm, sites)
        n, block = plan.world_size, row_bytes // kind.itemsize // plan.world_size
        shape = Shape.of(promise, n, block if collective == "all_gather" else n * block)
        self.program = Program.of(plan, shape, kind.itemsize)
        self.data = exact_data(collective, n, dtype)
        self.x = self.device.empty(shape.input_shape, kind)
        self._fill()
        self.out = self.device.empty(shape.output_shape, kind)
        arrays = DeviceArrays(self.device)
        buffers = Buffers(promise, n, self.x, self.out, None, revocable=False, arrays=arrays)
        ops = GpuOps(self.device, stepwise=stepwise)
        self.work: Launches = ops.prepare(self.program, buffers, "sum", 0)
        self.replay = self.device.captured(self.queue)

    def queue(self) -> None:
        """Queue all launches."""
        for launch in self.work.launches():
            launch.queue(self.device)

    @property
    def nbytes(self) -> int:
        """Bytes that nothing can save: the input read once, the output written once."""
        return int(self.x.nbytes + self.out.nbytes)

    @property
    def step_bytes(self) -> int:
        """Bytes that its steps read and write: two for a copied byte, three for a reduced one."""
        program = self.program
        return int((program.length * np.where(program.reduce, 3, 2)).sum()) * program.itemsize

    def check(self) -> None:
        """Assert that a run on poisoned output gives every element that is looked at right."""
        self.out.view(np.uint8)[...] = POISON
        self.replay()
        wrong = self.wrong(self.out)
        assert wrong == 0, f"{wrong} elements are wrong"

    def wrong(self, output: Any) -> int:
        """Return how many elements of ``output``, on the device, are wrong."""
        count = output.shape[-1]
        most = count if self.setting.scale.whole else min(count, LOOKED_AT)
        lows = sorted({0, (count - most) // 2, count - most})
        return sum(
            self.data.wrong(
                self.device.download(output[..., low : low + most]), count=count, low=low
            )
            for low in lows
        )

    def _fill(self) -> None:
        """Put one stretch of the data onto the device, and let it double that."""
        count = self.x.shape[-1]
        done = min(STRETCH, count)
        stretch = np.empty((*self.x.shape[:-1], done), self.x.dtype)
        self.data.fill(stretch)
        self.device.copy(self.x[..., :done], self.device.upload(stretch))
        while done < count:
            more = min(done, count - done)
            self.device.copy(self.x[..., done : done + more], self.x[..., :more])
            done += more
