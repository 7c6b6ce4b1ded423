"""The arithmetic on a Device: fused into one launch, or step by step, one launch for each.

Both have the bits of NumpyOps on x86-64, which is the specification; the points that it leaves open
(which NaN comes of two, and its sign) are open here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.ops.buffers import Buffers
from emul.ops.cuda.device import Device, DeviceArray, Launch
from emul.ops.cuda.kernel_sources import ALIGNMENT, THREADS, KernelSource
from emul.ops.cuda.launch_form import (
    LaunchForm,
    packed_stride,
    scattered,
    stride_of,
)
from emul.ops.cuda.step_tables import Batch, RowStrides, StepTables
from emul.ops.cuda.tape import TapeTables
from emul.ops.fusing.recipe import Recipe
from emul.plans import Program

__all__ = ["GpuOps", "Launches"]

ArrayPair = tuple[DeviceArray, DeviceArray]

BLOCKS_PER_MULTIPROCESSOR = 16
"""At most, assumed: some five times those that there is room for, so that early ones take more."""

SLOTS = (0, 4, 8, 32)
"""For how many values set aside the fused kernel is compiled: the next of these."""


@dataclass(frozen=True, slots=True, eq=False)
class Launches:
    """The launches of a call, ready to be queued or captured in this order.

    ``steps`` are those of the program, which are all of the arithmetic but for ``last``, which
    gathers the output; a fused call has no steps. ``output`` holds the result when all is done.
    """

    steps: tuple[tuple[Launch, ...], ...]
    last: tuple[Launch, ...]
    output: DeviceArray

    def launches(self) -> Iterator[Launch]:
        """Yield all launches, in order."""
        for step in self.steps:
            yield from step
        yield from self.last


class GpuOps:
    """Carries out programs on ``device``; ``stepwise``: one launch for each step of the plan."""

    slots = SLOTS

    def __init__(self, device: Device, *, stepwise: bool = False) -> None:
        """Compile nothing yet: a kernel is compiled when a call first needs it."""
        self.device = device
        self.stepwise = stepwise
        self._recipe = lru_cache(maxsize=16)(_recipe)
        self._tapes = lru_cache(maxsize=16)(self._upload_tapes)
        self._rows = lru_cache(maxsize=16)(self._upload_rows)

    @property
    def name(self) -> str:
        """The name of the backend in reports."""
        return self.device.name

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes of device memory that ``perform`` will allocate, tables apart."""
        form = self._form(program, buffers, reduction, root)
        x, out = buffers.x, buffers.out
        new = int(x.nbytes) if scattered(x) else 0
        if out is None or (out is not x and scattered(out)):
            new += buffers.output_bytes
        new += int(x.nbytes) if form.keeps else 0
        if form.recipe is None:
            strides = [packed_stride(each, x.dtype.itemsize) for each in _shapes(buffers)]
            places = form.places(*strides)
            new += self._rows(program, root, places, form.divides)[1].work_bytes
        return new

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> DeviceArray:
        """Queue all launches of ``program`` and return the output.

        Rows whose elements do not lie side by side are copied first. Raises MemoryError, having
        changed nothing, where the device has no room.
        """
        return self.queue(self.prepare(program, buffers, reduction, root), buffers, root)

    def queue(self, work: Launches, buffers: Buffers, root: int) -> DeviceArray:
        """Queue all of ``work`` and return the output; it is to be held until that is done."""
        for launch in work.launches():
            launch.queue(self.device)
        return self.finish(buffers, work.output, root)

    def finish(self, buffers: Buffers, output: DeviceArray, root: int) -> DeviceArray:
        """Queue the work after the launches, and return the output of the call."""
        if buffers.out is not None and output is not buffers.out:
            self.device.copy(buffers.out, output)
            output = buffers.out
        buffers.fill_up(output, root)
        return output

    def is_repeatable(self, program: Program, buffers: Buffers, reduction: str, root: int) -> bool:
        """Say whether another call with arrays of the same places has the same launches.

        It has not where arrays stand in for those of the caller, which are others every time.
        """
        arrays = (buffers.x, buffers.out)
        if any(each is not None and scattered(each) for each in arrays):
            return False
        form = self._form(program, buffers, reduction, root)
        return buffers.out is not None and form.in_input == buffers.in_place

    def prepare(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Launches:
        """Return the launches of a call; all their memory is allocated, and nothing queued.

        But for copies of the input, where it has to be kept or does not lie as it should.
        """
        form = self._form(program, buffers, reduction, root)
        x, out = self._side_by_side(buffers)
        if form.keeps:
            buffers.keep()
        if buffers.in_place and not form.in_input:
            x = buffers.backup
        if form.recipe is None:
            return self._in_steps(form, program, (x, out), root)
        return self._in_one(form, form.recipe, program, (x, out))

    def _form(self, program: Program, buffers: Buffers, reduction: str, root: int) -> LaunchForm:
        recipe = None
        if not self.stepwise:
            recipe = self._recipe(program, root, buffers.commutes(reduction))
        return LaunchForm.of(program, buffers, reduction, recipe)

    def _side_by_side(self, buffers: Buffers) -> ArrayPair:
        """Return input and output, or packed arrays in their place."""
        x, out = buffers.x, buffers.out
        if scattered(x):
            x = self.device.empty(x.shape, x.dtype)
            self.device.copy(x, buffers.x)
        if buffers.in_place:
            return x, x
        if out is None or scattered(out):
            out = self.device.empty(buffers.shape.output_shape, x.dtype)
        return x, out

    def _in_one(
        self, form: LaunchForm, recipe: Recipe, program: Program, arrays: ArrayPair
    ) -> Launches:
        pointers = [self.device.pointer(each) for each in arrays]
        strides = stride_of(arrays[0]), stride_of(arrays[1])
        apart = (pointers[1] - pointers[0]) % ALIGNMENT
        key = (recipe, program.itemsize, strides, apart, form.in_input)
        tapes, tables = self._tapes(*key)
        spilled = next(each for each in self.slots if each >= tapes.spilled)
        runs, tape, leaf, target = (np.uint64(self.device.pointer(each)) for each in tables)
        arguments = (
            *map(np.uint64, pointers),
            runs,
            np.int64(len(tapes.runs)),
            np.int64(tapes.tiles),
            tape,
            leaf,
            target,
            np.int64(form.ranks),
        )
        source = KernelSource("fused", form.dtype, form.operator, spilled)
        launch = self._launch(source, tapes.tiles, arguments, (*arrays, *tables))
        return Launches((), (launch,), arrays[1])

    def _upload_tapes(
        self, recipe: Recipe, itemsize: int, strides: tuple[int, int], apart: int, in_place: bool
    ) -> tuple[TapeTables, tuple[DeviceArray, ...]]:
        tapes = TapeTables.of(recipe, itemsize, strides, apart, in_place=in_place)
        tables: tuple[npt.NDArray[Any], ...] = (tapes.runs, tapes.tape, tapes.leaf, tapes.target)
        return tapes, tuple(map(self.device.upload, tables))

    def _in_steps(
        self, form: LaunchForm, program: Program, arrays: ArrayPair, root: int
    ) -> Launches:
        places = form.places(*map(stride_of, arrays))
        table, rows = self._rows(program, root, places, form.divides)
        buffers = (*arrays, self.device.empty((rows.work_bytes,), np.dtype(np.uint8)))
        pointers = tuple(np.uint64(self.device.pointer(each)) for each in buffers)
        first, row_bytes = self.device.pointer(table), rows.table.itemsize * rows.table.shape[1]

        def launch(batch: Batch, operator: str) -> Launch:
            arguments = (
                *pointers,
                np.uint64(first + batch.first * row_bytes),
                np.int64(batch.rows),
                np.int64(batch.tiles),
                np.int64(form.ranks),
            )
            source = KernelSource(batch.kernel, form.dtype, operator)
            return self._launch(source, batch.tiles, arguments, (*buffers, table))

        combining = "sum" if form.divides else form.operator
        steps = tuple(
            tuple(launch(b, "sum" if b.kernel == "copy" else combining) for b in step)
            for step in rows.steps
        )
        last = tuple(launch(batch, "avg" if form.divides else "sum") for batch in rows.last)
        return Launches(steps, last, arrays[1])

    def _upload_rows(
        self, program: Program, root: int, places: RowStrides, divides: bool
    ) -> tuple[DeviceArray, StepTables]:
        rows = StepTables.of(program, root, places, divides=divides)
        return self.device.upload(rows.table), rows

    def _launch(
        self,
        source: KernelSource,
        tiles: int,
        arguments: tuple[np.generic, ...],
        held: tuple[DeviceArray, ...],
    ) -> Launch:
        most = self.device.multiprocessors * BLOCKS_PER_MULTIPROCESSOR
        kernel = self.device.kernel(source) if tiles else None
        return Launch(kernel, min(tiles, most), THREADS, arguments, held)


def _recipe(program: Program, root: int, commutes: bool) -> Recipe:
    return Recipe.of(program, root, commutes=commutes)


def _shapes(buffers: Buffers) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return buffers.shape.input_shape, buffers.shape.output_shape
