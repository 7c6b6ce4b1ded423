"""The work of ``emul perf``: one size after another, each warmed up, timed and checked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from emul.arrays import Array
from emul.cli.algorithms import root_argument
from emul.errors import EmulError
from emul.memory import check_fits
from emul.ops import dtype_named
from emul.ops.carried import wire_of_call
from emul.ops.exact import ExactData
from emul.ops.integers import WRAPPING
from emul.plans import BufferLayout, Shape, collective_named
from emul.report import PerfRow, modelled_row, perf_row
from emul.runtime.alternatives import Alternative, alternatives
from emul.runtime.planner import Planner
from emul.runtime.prediction import Prediction
from emul.runtime.request import AUTO, Request
from emul.runtime.run import Run
from emul.wall.clock import REHEARSALS
from emul.wall.lag import Lag, LagRecord
from emul.world import World

__all__ = ["Sweep", "counts_of_sizes", "sizes"]

Advance = Callable[[str], None]

BETWEEN_REFRESHES_S = 0.2
POISON = 0x5A
"""Fills output buffers before a checked run, so that an element never written is wrong."""


def sizes(first: int, last: int, *, step: int | None, factor: int) -> Iterator[int]:
    """Yield the sizes from ``first`` to ``last``, as nccl-tests steps through them."""
    size = first
    while size <= last:
        yield size
        size = size * factor if step is None else size + step


def counts_of_sizes(
    collective: str, world_size: int, dtype: str, wanted_bytes: Iterable[int]
) -> list[int]:
    """Return the input counts of one rank for the wanted sizes of the whole vector, each once.

    They are rounded down to a number of elements that the collective can cut up, at least one.
    """
    promise, itemsize = collective_named(collective), dtype_named(dtype).itemsize
    unit = world_size if promise.in_blocks else 1
    per_block = (max(1, nbytes // (itemsize * unit)) for nbytes in wanted_bytes)
    to_input = unit if promise.input_whole else 1
    return list(dict.fromkeys(count * to_input for count in per_block))


@dataclass(frozen=True)
class Sweep:
    """The calls of every size, and how often; with ``no_data`` they are only timed.

    ``strict_draws``, ``wire``: as in ``World.predict``. With a wire format, data are normal values,
    and their error is told in the place of the number of wrong elements.
    """

    world: World
    collective: str
    algorithm: str
    dtype: str
    op: str
    root: int
    iters: int
    warmup: int
    check: int
    no_data: bool = False
    strict_draws: bool = False
    wire: str | None = None
    timed: LagRecord = field(default_factory=LagRecord)

    @property
    def lag(self) -> Lag:
        """By how much timed calls came late; those that warm up touch memory for the first time."""
        return self.timed.summary(self.world.dilation)

    @property
    def may_overflow(self) -> bool:
        """Whether whole numbers are added up or multiplied, which may leave their type."""
        reduces = collective_named(self.collective).reduces and self.op in WRAPPING
        return reduces and dtype_named(self.dtype).kind in "iu"

    @property
    def counts_overflow(self) -> bool:
        """Whether elements that left their type are counted: in runs that are checked."""
        return self.may_overflow and self.check > 0 and not self.no_data

    @property
    def how(self) -> str:
        """How often each size is run, and the wire format, in words."""
        carried = f"wire {self.wire}  " if self.wire else ""
        if self.no_data:
            return f"{carried}no data"
        return f"{carried}iters {self.iters}  warmup {self.warmup}  check {self.check}"

    def counts(self, wanted_bytes: Iterator[int]) -> list[int]:
        """Return the input counts of one rank for the wanted sizes of the whole vector.

        Sizes are rounded down to a number of elements that the collective can cut up, at least
        one; equal sizes are run once. A collective with a block for each rank needs a multiple
        of the ranks, as in nccl-tests; other collectives take any whole number of elements.
        """
        return counts_of_sizes(self.collective, self.world.size, self.dtype, wanted_bytes)

    def check_feasible(self, count: int) -> None:
        """Raise CapacityError when the buffers for ``count`` would not fit.

        The buffers of the caller come first, so that a size far too large is refused at once.
        Without data, raise the error of timing the size.
        """
        if self.no_data:
            self.predict(self.world, count)
            return
        shape, itemsize = self._shape(count), dtype_named(self.dtype).itemsize
        what = f"{self.world.size} ranks with {shape.width * itemsize} bytes each"
        needed = (prod(shape.input_shape) + prod(shape.output_shape)) * itemsize
        check_fits(needed, what)  # also where a device computes: data are made and checked here
        arrays = self.world.ops.arrays
        arrays.check_fits(needed, what)
        work_shape = BufferLayout.of(self.predict(self.world, count).plan, shape).work_shape
        if work_shape != shape.output_shape:
            arrays.check_fits(needed + prod(work_shape) * itemsize, what)

    def _shape(self, count: int) -> Shape:
        return Shape.of(collective_named(self.collective), self.world.size, count)

    def predict(self, world: World, count: int) -> Prediction:
        """Return the modelled cost of this sweep's collective in ``world``."""
        where: dict[str, Any] = {
            "shift" if self.collective == "send_recv" else "root": self.root,
        }
        return world.predict(
            self.collective,
            count,
            dtype=self.dtype,
            algorithm=self.algorithm,
            collapse=self.no_data,
            strict_draws=self.strict_draws,
            wire=self.wire,
            **where,
        )

    def in_one_place(self, count: int) -> Prediction | None:
        """Return the least known cost over the same ranks in one place; None where none is known.

        It is that of the quickest algorithm there, or of this sweep's if that is quicker still, so
        that distance is not made to look small beside a bad choice. An algorithm that one site
        cannot have, such as a function for two, is passed over. The comparison is no more than a
        part of the work that ``auto`` takes on for an algorithm.
        """
        world = self.world
        if len(world.topology.sites) == 1:
            return self.predict(world, count)
        planner = Planner(world.planner.topology.in_one_place(), world.planner.timing, bounded=True)
        known = []
        for algorithm in dict.fromkeys((AUTO, self.algorithm)):
            request = self._request(count).by(algorithm)
            with suppress(EmulError):
                known.append(planner.predict(request, collapse=self.no_data))
        return min(known, key=lambda each: each.total_ps, default=None)

    def alternatives(self, count: int) -> Iterator[Alternative]:
        """Yield the cost with one thing about the links changed; see emul.runtime.alternatives."""
        now = self.predict(self.world, count)
        planner, request = self.world.planner, self._request(count)
        return alternatives(planner, request, now, collapse=self.no_data)

    def _request(self, count: int) -> Request:
        shape, root = self._shape(count), self.root % self.world.size
        elements = dtype_named(self.dtype)
        carried = wire_of_call(self.wire, self.collective, elements, self.op)
        return Request(shape, elements.itemsize, self.op, self.algorithm, root, carried)

    def row(self, count: int, advance: Advance) -> PerfRow:
        """Run one size and return its line; ``advance`` is called with the progress."""
        if self.no_data:
            advance("timing")
            return modelled_row(
                self.world,
                self.predict(self.world, count),
                dtype_named(self.dtype),
                redop=self.op,
                root=self.root,
                seed=self.world.seed,
                wire=self.wire,
            )
        return self._run(count, advance)

    def rehearse(self, counts: Sequence[int]) -> None:
        """Find the dilation with which calls of all ``counts`` are on time, if that is asked for.

        Input is ones, which takes as long as any other.
        """
        if self.no_data or not self.world.to_be_rehearsed:
            return
        arrays, dtype = self.world.ops.arrays, dtype_named(self.dtype)
        with self.world.rehearsal():
            for count in counts:
                shape = self._shape(count)
                x = arrays.from_host(np.ones(shape.input_shape, dtype))
                out = arrays.from_host(np.zeros(shape.output_shape, dtype))
                for _ in range(REHEARSALS):
                    self._once(x, out)

    def _run(self, count: int, advance: Advance) -> PerfRow:
        world, collective = self.world, collective_named(self.collective)
        data = ExactData(
            collective,
            world.size,
            dtype_named(self.dtype),
            reduction=self.op,
            root=self.root,
            seed=world.seed,
        )
        shape, arrays = self._shape(count), world.ops.arrays
        x = np.empty(shape.input_shape, data.dtype)
        if self.wire:
            normal = np.random.default_rng(world.seed).standard_normal
            for row in x:
                row[...] = normal(len(row), np.float32)
        else:
            data.fill(x)
        x, out = arrays.from_host(x), arrays.from_host(np.zeros(shape.output_shape, data.dtype))
        self._repeat(x, out, self.warmup, "warming up", advance)
        runs = self._repeat(x, out, self.iters, "timing", advance)
        for run in runs:
            if run.dilation is not None:
                self.timed.add(run.call_times)
        wrong, overflowed, wire_rms = None, 0, None
        for _ in range(self.check):
            out.view(np.uint8)[...] = POISON
            (run,) = self._repeat(x, out, 1, "checking", advance)
            error = run.error if self.wire or self.counts_overflow else None
            if error is not None:
                overflowed, wire_rms = overflowed + error.overflowed, error.wire_rms
            if not self.wire:
                wrong = (wrong or 0) + data.wrong(arrays.to_host(run.output))
        return perf_row(
            world,
            runs,
            redop=self.op,
            root=self.root,
            seed=world.seed,
            wrong=wrong,
            overflowed=overflowed if self.counts_overflow else None,
            wire=self.wire,
            wire_rms=wire_rms,
        )

    def _repeat(self, x: Array, out: Array, times: int, what: str, advance: Advance) -> list[Run]:
        runs: list[Run] = []
        told = 0.0
        for number in range(times):
            if time.monotonic() - told > BETWEEN_REFRESHES_S:
                advance(f"{what} {number + 1}/{times}")
                told = time.monotonic()
            runs.append(self._once(x, out))
        return runs

    def _once(self, x: Array, out: Array) -> Run:
        call = getattr(self.world, self.collective)
        where = root_argument(self.collective, self.root)
        arguments: dict[str, Any] = {"algorithm": self.algorithm, "out": out, **where}
        if collective_named(self.collective).reduces:
            arguments["op"] = self.op
        if self.wire:
            arguments["wire"] = self.wire
        self.world.restart()
        run: Run = call(x, **arguments)
        return run
