"""How the arrays of a caller become the work buffer of a plan, and back."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from emul.arrays import Array
from emul.errors import ArgumentError, DTypeError, ShapeError
from emul.ops.arrays import HOST, Arrays, in_kind_of, is_immutable
from emul.ops.dtypes import dtype_of
from emul.ops.extents import in_rows, shares_within
from emul.plans import BufferLayout, Collective, Counts, Shape

__all__ = ["Buffers", "output_shape", "shape_of_call"]


class Buffers:
    """The input, the work buffer and the output of one call.

    Checked on construction: raises DTypeError, ShapeError or ArgumentError and touches
    nothing.
    """

    def __init__(
        self,
        collective: Collective,
        world_size: int,
        x: object,
        out: object,
        counts: Counts | None,
        *,
        revocable: bool = True,
        arrays: Arrays = HOST,
    ) -> None:
        """Take the caller's ``x`` and ``out``, which may be None or ``x`` itself.

        ``revocable``: the call can still fail when the arithmetic is done, as while it waits.
        ``arrays``: whose arrays are computed on; those of other libraries are viewed as such.
        """
        self.collective = collective
        self.arrays = arrays
        self.given = x, out
        self.taken = _taken_input(x, arrays)
        self.shape = shape_of_call(collective, world_size, self.taken.shape, counts)
        self.x = _viewed(self.taken, len(self.shape.input_shape), "input")
        self.dtype = self.x.dtype
        self.outside = output_shape(collective, world_size, self.taken.shape, self.shape)
        self.out = None if out is None else self._output_rows(out)
        self.in_place = self.out is not None and self.out is self.x
        self.revocable = revocable
        self.kept = False

    def _output_rows(self, out: object) -> Array:
        """Return the caller's ``out`` as rows; raises an error where it cannot be used."""
        collective = self.collective
        target = self.taken if out is self.given[0] else self.arrays.taken(out, "out")
        if target is not out and is_immutable(out):
            raise _read_only()
        if target.shape != self.outside:
            raise ShapeError(
                f"{collective.name}: out of shape {target.shape}: needed {self.outside}"
            )
        if target.dtype != self.x.dtype:
            raise DTypeError(f"out of {target.dtype}: needed {self.x.dtype}, as the input")
        if not self.arrays.writeable(target):
            raise _read_only()
        in_place = target is self.taken and collective.in_place
        rows = self.x if in_place else _viewed(target, len(self.shape.output_shape), "out")
        if shares_within(rows):
            raise _shared(collective, target)
        if not in_place and self.arrays.overlap(rows, self.x):
            raise _overlapping(collective)
        return rows

    @property
    def output_bytes(self) -> int:
        """The bytes of the output."""
        return prod(self.shape.output_shape) * int(self.x.dtype.itemsize)

    def keep(self) -> None:
        """Copy the input, for ``restore``."""
        self.backup = self.arrays.copy(self.x)
        self.kept = True

    def output(self) -> Array:
        """Return the output to write into: the caller's, or a new one."""
        if self.out is not None:
            return self.out
        return self.arrays.empty(self.shape.output_shape, self.x.dtype)

    def returned(self, output: Array) -> Any:
        """Return ``output`` as the caller gets it: the array given, or one of the library of the
        input.

        Both are the memory of ``output``.
        """
        x, out = self.given
        if out is not None:
            return out
        if output.shape != self.outside:
            output = output.reshape(self.outside)
        return output if self.taken is x else in_kind_of(x, output)

    def new_bytes(self, layout: BufferLayout) -> int:
        """Return the bytes that ``load`` and ``unload`` will allocate with this ``layout``."""
        new = 0 if self.out is not None else prod(self.shape.output_shape)
        if self.in_place or self.works_apart(layout):
            new += prod(layout.work_shape)
        if self.in_place and self.works_apart(layout):
            new += self.x.size
        return new * int(self.x.dtype.itemsize)

    def commutes(self, reduction: str) -> bool:
        """Say whether operands can be exchanged without changing a bit that NumPy promises."""
        return reduction not in ("min", "max") or self.x.dtype.kind in "iu"

    def works_apart(self, layout: BufferLayout) -> bool:
        """Say whether the work buffer is not the output itself, as in reduce_scatter."""
        whole = self.collective.output_whole and layout.received == 0
        return not (whole and self.shape.output_shape == layout.work_shape)

    def load(self, layout: BufferLayout, root: int) -> Array:
        """Return the work buffer with every rank's input in place.

        In place, a copy of the input is kept for ``restore``.
        """
        if self.in_place:
            self.keep()
        if not self.works_apart(layout) and self.out is not None:
            work = self.out
        else:
            work = self.arrays.empty(layout.work_shape, self.x.dtype)
        if work is self.x:
            return work
        spans = self.shape.input_spans.tolist()
        rows = [self.x] * len(spans) if self.x.ndim == 1 else self.x
        for rank in [root] if self.collective.from_root else range(len(spans)):
            low, high = spans[rank]
            work[rank, low:high] = rows[rank][: high - low]
        return work

    def unload(self, layout: BufferLayout, work: Array, root: int) -> Array:
        """Return the output that ``work`` holds; short rows are filled up with zeros."""
        if not self.works_apart(layout):
            return work
        out = self.output()
        rows = {root: out} if out.ndim == 1 else dict(enumerate(out))
        spans = layout.output_spans.tolist()
        for rank, row in rows.items():
            low, high = spans[rank]
            row[: high - low] = work[rank, low:high]
            row[high - low :] = 0
        return out

    def fill_up(self, out: Array, root: int) -> None:
        """Fill the rows of ``out`` that are shorter than the longest up with zeros."""
        if self.shape.counts is None or out.ndim == 1:
            return
        for row, (low, high) in zip(out, self.shape.output_spans.tolist(), strict=True):
            row[high - low :] = 0

    def restore(self) -> None:
        """Undo ``load`` and all changes after it on an input that was used in place."""
        if self.kept:
            self.arrays.assign(self.x, self.backup)


def _read_only() -> ArgumentError:
    return ArgumentError("out is read-only: needed a buffer to write into")


def _shared(collective: Collective, out: Array) -> ArgumentError:
    return ArgumentError(
        f"{collective.name}: elements of out, of shape {out.shape} and strides {out.strides} "
        "bytes, share memory: needed memory of its own for each, as a new buffer has"
    )


def _overlapping(collective: Collective) -> ArgumentError:
    itself = "the input itself (in place) or " if collective.in_place else ""
    return ArgumentError(f"out overlaps the input: needed {itself}memory of its own")


def _taken_input(given: object, arrays: Arrays) -> Array:
    """Return ``given`` as an array of the backend, of elements that emul reduces."""
    if type(given) is np.ndarray and arrays is HOST:  # asked first: it is nearly always so
        x: Array = given
    else:
        x = arrays.taken(given, "input")
    dtype_of(x)
    return x


def shape_of_call(
    collective: Collective, world_size: int, given: tuple[int, ...], counts: Counts | None
) -> Shape:
    """Return the shape of the call for an input of shape ``given``; raises ShapeError.

    The input is a row for each rank, or where only a root gives any, its buffer.
    """
    name = collective.name
    if collective.at_root_only == "input":
        if len(given) != 1:
            raise ShapeError(
                f"{name}: input of shape {given}: needed one dimension, the buffer of the root"
            )
    elif len(given) < 2 or given[0] != world_size:
        raise _not_all_ranks(name, world_size, given)
    if counts is None:
        return Shape.of(collective, world_size, prod(given[1:]) if len(given) > 1 else given[0])
    shape = Shape.of_counts(collective, world_size, counts)
    if given != shape.input_shape:
        raise ShapeError(
            f"{name}: input of shape {given} with counts that ask for "
            f"{shape.input_shape}: needed rows as long as the longest"
        )
    return shape


def _not_all_ranks(name: str, world_size: int, given: tuple[int, ...]) -> ShapeError:
    """Return the error for a buffer without a row for each rank."""
    return ShapeError(
        f"{name}: input of shape {given}: needed ({world_size}, count), one row per rank, or "
        f"({world_size}, ...): one process holds the buffers of all {world_size} ranks; if this "
        f"is the buffer of one rank, stack those of all to {(world_size, *(given or (1,)))}"
    )


def _viewed(array: Array, ndim: int, what: str) -> Array:
    """Return ``array`` with its last dimensions joined so that ``ndim`` are left: a view."""
    if array.ndim == ndim:
        return array
    rows = in_rows(array if ndim > 1 else array[None])
    if rows is None:
        raise ShapeError(
            f"{what} of shape {array.shape} and strides {array.strides} bytes: needed a buffer "
            "of each rank whose elements are evenly apart, as in a contiguous array: copy it first"
        )
    return rows if ndim > 1 else rows[0]


def output_shape(
    collective: Collective, world_size: int, given: tuple[int, ...], shape: Shape
) -> tuple[int, ...]:
    """Return the shape of the output for an input of shape ``given``.

    Of buffers with several dimensions, blocks are cut and joined along the first one, as in
    torch.distributed; the others stay.
    """
    if len(given) < 3:
        return shape.output_shape
    first, behind = given[1], given[2:]
    if collective.in_blocks and collective.input_whole and first % world_size:
        raise ShapeError(
            f"{collective.name}: input of shape {given}: needed a multiple of the world size "
            f"{world_size} in the second dimension, of which every rank gets a block"
        )
    if collective.in_blocks and collective.input_whole != collective.output_whole:
        first = first // world_size if collective.input_whole else first * world_size
    rows = () if collective.at_root_only == "output" else (world_size,)
    return (*rows, first, *behind)
