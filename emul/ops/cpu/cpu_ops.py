"""The arithmetic compiled: all ranks in one pass, from input rows to output rows.

Nobody sees the steps of a synchronous call, so it is carried out by its recipe (emul.plans.Recipe)
with the bits of NumpyOps, which is the specification. Two things NumPy itself leaves open are open
here too: which NaN comes of two, and its sign where arithmetic makes one. Minima and maxima of
floats are combined in exactly the order of the plan, because they tell operands apart: zeros of
unlike sign, and which of two NaNs.
"""

from __future__ import annotations

import os
from functools import lru_cache

import numpy as np

from emul.arrays import Array
from emul.errors import not_compiled, unknown_name
from emul.ops.arrays import HOST, Arrays
from emul.ops.buffers import Buffers
from emul.ops.cpu.wire_windows import WireWindows
from emul.ops.dtypes import name_of
from emul.ops.fusing.recipe import Recipe
from emul.ops.numpy_ops import NumpyOps, usable_cores
from emul.ops.wire_steps import new_bytes_encoded, perform_encoded
from emul.plans import Program

try:
    from emul.ops.cpu.fused import INSTRUCTION_SETS, Fused
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

__all__ = ["CpuOps"]


INSTRUCTIONS_VARIABLE = "EMUL_INSTRUCTIONS"
"""Names the instruction set to use, one of INSTRUCTION_SETS, in place of the best there is."""

THREADED_FROM_BYTES = 16 << 20
"""Read and written; such a call is split over threads, a range of columns each. Measured with 8
ranks on two idle cores, in place and out, against one thread: 1.3 and 1.4 times as fast at 8 MiB,
1.5 at 16 MiB, 1.6 to 1.9 from 32 MiB on. Where others keep both cores busy, threads wait for each
other, and pay from 128 MiB on only."""

STREAMED_FROM_BYTES = 4 << 20
"""Of output: so much is written past the caches, which else fetch every line before it is written
(in place it is in them already; then rows are only aligned, and fetched ahead where that gains).
Measured with 8 ranks: 1.2 times as fast at 2 MiB, 1.5 at 4 MiB, 1.7 to 1.8 from 16 MiB on;
below, the output is better left in the cache of the core, for its next reader."""

SLAB_BYTES = 256 << 20
"""Read and written between two looks at whether the call was interrupted: some 20 ms."""


class CpuOps:
    """Fuses the steps of a plan into one pass of compiled code, in the order of the plan."""

    name = "cpu"
    arrays: Arrays = HOST
    takes_wire = True

    def __init__(self, threads: int | None = None, instructions: str | None = None) -> None:
        """Use at most ``threads`` threads, else all cores; ``instructions``: of INSTRUCTION_SETS.

        Raises ArgumentError for an instruction set that this machine does not have.
        """
        self.threads = threads or usable_cores()
        self.instructions = instructions or _best_instructions()
        if self.instructions not in INSTRUCTION_SETS:
            raise unknown_name("instruction set", self.instructions, INSTRUCTION_SETS)
        self._in_steps = NumpyOps(threads)
        self._recipes = lru_cache(maxsize=16)(_ready)
        self._encoding = WireWindows(self.threads)

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes that ``perform`` will allocate: no work buffer, seldom a copy.

        But a work buffer where messages are encoded.
        """
        if program.encoding.wire is not None:
            return new_bytes_encoded(program, buffers)
        if not _rows_are_whole(buffers):
            return self._in_steps.new_bytes(program, buffers, reduction, root)
        _, in_columns = self._recipes(program, root, buffers.commutes(reduction))
        kept = buffers.x.nbytes if _keeps_input(buffers, in_columns) else 0
        return kept + (buffers.output_bytes if buffers.out is None else 0)

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Array:
        """Carry out ``program`` on the caller's rows and return the output.

        Rows whose elements do not lie side by side are left to NumpyOps. After an
        interrupt in place, ``restore`` brings an input back that was kept; otherwise the arithmetic
        is not interrupted. Where messages are encoded, the steps are carried out in windows.
        """
        if program.encoding.wire is not None:
            carry_out = self._encoding.carry_out
            return perform_encoded(program, buffers, reduction, root, carry_out)
        if not _rows_are_whole(buffers):
            return self._in_steps.perform(program, buffers, reduction, root)
        fused, in_columns = self._recipes(program, root, buffers.commutes(reduction))
        source = buffers.x
        if _keeps_input(buffers, in_columns):
            buffers.keep()
            source = buffers.x if in_columns else buffers.backup
        out = buffers.output()
        if fused.elements:
            self._run(fused, source, out, buffers, reduction)
        buffers.fill_up(out, root)
        return out

    def _run(
        self, fused: Fused, source: Array, out: Array, buffers: Buffers, reduction: str
    ) -> None:
        in_place = source is out
        moved_bytes = source.nbytes + out.nbytes
        reduces = buffers.collective.reduces
        interruptible = not in_place or buffers.kept
        slabs = -(-moved_bytes // SLAB_BYTES) if interruptible else 1
        fused.run(
            source.__array_interface__["data"][0],
            source.strides[0] if source.ndim > 1 else 0,
            out.__array_interface__["data"][0],
            out.strides[0] if out.ndim > 1 else 0,
            out.dtype.itemsize,
            name_of(out.dtype),
            "sum" if reduction == "avg" or not reduces else reduction,
            buffers.shape.world_size if reduction == "avg" and reduces else 1,
            in_place=in_place,
            large=out.nbytes >= STREAMED_FROM_BYTES,
            threads=self.threads if moved_bytes >= THREADED_FROM_BYTES else 1,
            slab=-(-fused.elements // max(1, slabs)),
            instructions=self.instructions,
        )


def _best_instructions() -> str:
    return os.environ.get(INSTRUCTIONS_VARIABLE) or INSTRUCTION_SETS[-1]


def _ready(program: Program, root: int, commutes: bool) -> tuple[Fused, bool]:
    """Return the recipe, and whether it can be carried out in place."""
    recipe = Recipe.of(program, root, commutes=commutes)
    fused = Fused(
        recipe.tape,
        recipe.tape_from,
        recipe.leaf_rank,
        recipe.leaf_low,
        recipe.leaf_from,
        recipe.target_rank,
        recipe.target_low,
        recipe.target_from,
        np.append(0, np.cumsum(recipe.length)),
        recipe.copies.view(np.uint8),
        recipe.most_spilled,
    )
    return fused, recipe.in_columns


def _keeps_input(buffers: Buffers, in_columns: bool) -> bool:
    return buffers.in_place and (buffers.revocable or not in_columns)


def _rows_are_whole(buffers: Buffers) -> bool:
    """Say whether the elements of every row lie side by side."""
    arrays = (buffers.x,) if buffers.out is None else (buffers.x, buffers.out)
    return all(a.strides[-1] == a.itemsize or a.shape[-1] <= 1 for a in arrays)
