"""A plan at a given count: the rows with their elements, and the transfers with their bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.plans.plan import Plan, Step

__all__ = ["Program"]

BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The rows of all steps in order, without those that carry no element.

    Row i combines elements [src_low, src_low + length) of rank ``row_src`` into the elements of
    rank ``row_dst`` from ``dst_low`` on. Transfer t is the rows from ``first_row[t]`` up to
    ``first_row[t + 1]``; it carries ``nbytes[t]`` from ``src[t]`` to ``dst[t]``.
    """

    n_chunks: int
    row_src: Int32Array
    row_dst: Int32Array
    src_chunk: Int32Array
    dst_chunk: Int32Array
    nchunks: Int32Array
    reduce: BoolArray
    src_low: Int64Array
    dst_low: Int64Array
    length: Int64Array
    first_row: Int64Array
    src: Int32Array
    dst: Int32Array
    nbytes: Int64Array

    @classmethod
    def of(cls, plan: Plan, width: int, itemsize: int) -> Program:
        """Return ``plan`` for buffers of ``width`` elements of ``itemsize`` bytes."""
        offsets = plan.partition.offsets(width)
        steps = list(plan.steps()) or [Step.of([], [], [], reduce=False)]
        src, dst, src_chunk, dst_chunk, nchunks, reduce = (
            np.concatenate([getattr(step, name) for step in steps]) for name in Step.__slots__
        )
        number = np.repeat(np.arange(len(steps)), [len(step) for step in steps])
        length = offsets[src_chunk + nchunks] - offsets[src_chunk]
        keep = length > 0
        columns = (src, dst, src_chunk, dst_chunk, nchunks, reduce, number, length)
        src, dst, src_chunk, dst_chunk, nchunks, reduce, number, length = (
            column[keep] for column in columns
        )
        first = _first_rows(src, dst, number)
        return cls(
            n_chunks=plan.partition.n_chunks,
            row_src=src,
            row_dst=dst,
            src_chunk=src_chunk,
            dst_chunk=dst_chunk,
            nchunks=nchunks,
            reduce=reduce,
            src_low=offsets[src_chunk],
            dst_low=offsets[dst_chunk],
            length=length,
            first_row=np.append(first, len(src)),
            src=src[first],
            dst=dst[first],
            nbytes=np.add.reduceat(length, first) * itemsize if len(first) else length,
        )

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.nbytes)

    @property
    def aligned(self) -> bool:
        """Whether every element keeps its place, so that columns are independent."""
        return bool(np.array_equal(self.src_low, self.dst_low))


def _first_rows(src: Int32Array, dst: Int32Array, number: Int64Array) -> Int64Array:
    """Return the rows at which a transfer begins."""
    starts = np.ones(len(src), dtype=bool)
    starts[1:] = (np.diff(src) != 0) | (np.diff(dst) != 0) | (np.diff(number) != 0)
    return np.flatnonzero(starts)
