"""A plan at a given count: the rows with their elements, and the transfers with their bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.errors import PlanError
from emul.plans.plan import Plan, Step
from emul.plans.runs import expand

__all__ = ["Program"]

BoolArray = npt.NDArray[np.bool_]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The rows of all steps in order, without those that carry no element.

    The work buffer of each rank is cut into chunks of ``chunk_length`` elements.

    Row i combines elements [src_low, src_low + length) of rank ``row_src`` into the elements of
    rank ``row_dst`` from ``dst_low`` on. ``first_of_step`` (steps + 1,) is the transfer with
    which each step begins; ``lockstep`` is that of the plan. Transfer t is the rows from
    ``first_row[t]`` up to ``first_row[t + 1]``; it carries ``nbytes[t]`` from ``src[t]`` to
    ``dst[t]``.
    """

    n_chunks: int
    itemsize: int
    chunk_length: Int64Array
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
    first_of_step: Int64Array
    lockstep: bool
    src: Int32Array
    dst: Int32Array
    nbytes: Int64Array

    @classmethod
    def of(cls, plan: Plan, width: int, itemsize: int) -> Program:
        """Return ``plan`` for work buffers of ``width`` elements of ``itemsize`` bytes.

        Raises PlanError when a row joins chunks that are not of the same length at this width.
        """
        offsets = plan.partition.offsets(width)
        steps = list(plan.steps()) or [Step.of([], [], [], reduce=False)]
        src, dst, src_chunk, dst_chunk, nchunks, reduce = (
            np.concatenate([getattr(step, name) for step in steps]) for name in Step.__slots__
        )
        number = np.repeat(np.arange(len(steps)), [len(step) for step in steps])
        length = offsets[src_chunk + nchunks] - offsets[src_chunk]
        _check_lengths(plan, offsets, src_chunk, dst_chunk, nchunks)
        keep = length > 0
        columns = (src, dst, src_chunk, dst_chunk, nchunks, reduce, number, length)
        src, dst, src_chunk, dst_chunk, nchunks, reduce, number, length = (
            column[keep] for column in columns
        )
        first = _first_rows(src, dst, number)
        _, first_of_step = np.unique(number[first], return_index=True)
        return cls(
            n_chunks=plan.partition.n_chunks,
            itemsize=itemsize,
            chunk_length=np.diff(offsets),
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
            first_of_step=np.append(first_of_step, len(first)),
            lockstep=plan.lockstep,
            src=src[first],
            dst=dst[first],
            nbytes=np.add.reduceat(length, first) * itemsize if len(first) else length,
        )

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.nbytes)

    @property
    def row_step(self) -> Int64Array:
        """Return the number of each row's step, counting only steps with rows: (rows,)."""
        rows = np.diff(self.first_row[self.first_of_step])
        return np.repeat(np.arange(len(rows)), rows)

    @property
    def aligned(self) -> bool:
        """Whether every element keeps its place, so that columns are independent."""
        return bool(np.array_equal(self.src_low, self.dst_low))


def _first_rows(src: Int32Array, dst: Int32Array, number: Int64Array) -> Int64Array:
    """Return the rows at which a transfer begins."""
    starts = np.ones(len(src), dtype=bool)
    starts[1:] = (np.diff(src) != 0) | (np.diff(dst) != 0) | (np.diff(number) != 0)
    return np.flatnonzero(starts)


def _check_lengths(
    plan: Plan,
    offsets: Int64Array,
    src_chunk: Int32Array,
    dst_chunk: Int32Array,
    nchunks: Int32Array,
) -> None:
    """Refuse rows that join a chunk with a longer or a shorter one."""
    lengths = np.diff(offsets)
    moved = np.flatnonzero(src_chunk != dst_chunk)
    of, within = expand(nchunks[moved])
    row = moved[of]
    source, target = src_chunk[row] + within, dst_chunk[row] + within
    unlike = np.flatnonzero(lengths[source] != lengths[target])
    if len(unlike):
        a, b = int(source[unlike[0]]), int(target[unlike[0]])
        raise PlanError(
            f"{plan}: chunk {a} of {lengths[a]} elements is sent to chunk {b} of {lengths[b]}: "
            f"needed a count for which both are of the same length"
        )
