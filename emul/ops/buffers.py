"""How the arrays of a caller become the work buffer of a plan, and back."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError, DTypeError, ShapeError
from emul.ops.dtypes import dtype_of
from emul.plans import Collective

__all__ = ["Buffers"]

Array = npt.NDArray[Any]


class Buffers:
    """The input, the work buffer (ranks, regions * width) and the output of one call.

    Checked on construction: raises DTypeError, ShapeError or ArgumentError and touches
    nothing.
    """

    def __init__(self, collective: Collective, world_size: int, x: object, out: object) -> None:
        """Take the caller's ``x`` and ``out``, which may be None or ``x`` itself."""
        self.collective = collective
        self.world_size = world_size
        self.x = _input(collective, world_size, x)
        self.width = collective.width(world_size, self.x.shape[-1])
        self.out_shape = collective.output_shape(world_size, self.width)
        self.work_shape = collective.work_shape(world_size, self.width)
        self.apart = collective.works_apart(world_size, self.width)
        self.out = None if out is None else _output(collective, self.x, out, self.out_shape)
        self.in_place = self.out is not None and self.out is self.x

    @property
    def new_bytes(self) -> int:
        """Bytes that the call will allocate."""
        new = 0 if self.out is not None else prod(self.out_shape)
        if self.in_place or self.apart:
            new += prod(self.work_shape)
        return new * int(self.x.dtype.itemsize)

    def load(self, root: int) -> Array:
        """Return the work buffer with every rank's input in place.

        In place, a copy of the input is kept for ``restore``.
        """
        if self.in_place:
            self.backup = self.x.copy()
            return self.x
        reuse = None if self.apart else self.out
        work = np.empty(self.work_shape, self.x.dtype) if reuse is None else reuse
        rows = [self.x] * self.world_size if self.x.ndim == 1 else self.x
        for rank in [root] if self.collective.from_root else range(self.world_size):
            columns = self.collective.input_columns(self.world_size, self.width, rank)
            work[rank, columns] = rows[rank]
        return work

    def unload(self, work: Array, root: int) -> Array:
        """Return the output that ``work`` holds."""
        if not self.apart:
            return work
        out = np.empty(self.out_shape, self.x.dtype) if self.out is None else self.out
        rows = {root: out} if out.ndim == 1 else dict(enumerate(out))
        for rank, row in rows.items():
            row[...] = work[rank, self.collective.output_columns(self.world_size, self.width, rank)]
        return out

    def restore(self) -> None:
        """Undo ``load`` and whatever came after it on an input that was used in place."""
        if self.in_place and hasattr(self, "backup"):
            self.x[...] = self.backup


def _input(collective: Collective, world_size: int, x: object) -> Array:
    if not isinstance(x, np.ndarray):
        raise DTypeError(f"input of type {type(x).__name__}: needed a NumPy array")
    dtype_of(x)
    if collective.at_root_only == "input":
        if x.ndim != 1:
            raise ShapeError(
                f"{collective.name}: input of shape {x.shape}: needed one dimension, the buffer "
                "of the root"
            )
    elif x.ndim != 2 or x.shape[0] != world_size:
        raise ShapeError(
            f"{collective.name}: input of shape {x.shape}: needed ({world_size}, count), one row "
            "per rank"
        )
    if collective.uneven(world_size, x.shape[-1]):
        raise ShapeError(
            f"{collective.name}: {x.shape[-1]} elements per rank: needed a multiple of the world "
            f"size {world_size}, one block for each rank"
        )
    return x


def _output(collective: Collective, x: Array, out: object, shape: tuple[int, ...]) -> Array:
    if not isinstance(out, np.ndarray):
        raise DTypeError(f"out of type {type(out).__name__}: needed a NumPy array")
    if out.shape != shape:
        raise ShapeError(f"{collective.name}: out of shape {out.shape}: needed {shape}")
    if out.dtype != x.dtype:
        raise DTypeError(f"out of {out.dtype}: needed {x.dtype}, as the input")
    if not out.flags.writeable:
        raise ArgumentError("out is read-only: needed a buffer to write into")
    in_place = out is x and collective.in_place
    if not in_place and np.may_share_memory(out, x):
        raise ArgumentError(
            "out overlaps the input: needed "
            + ("the input itself (in place) or " if collective.in_place else "")
            + "memory of its own"
        )
    return out
