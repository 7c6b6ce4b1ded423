"""The plan: who sends which chunk to whom, and whether it is copied or reduced.

A plan knows no time and no array values. It cuts the buffer of every rank into the same
chunks and says, step by step, what is sent. Steps are generated on demand, so that a plan
need not be held as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Partition", "Plan", "Step"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Cuts a buffer of any count into chunks: chunk i is [edge i, edge i + 1).

    The buffer is cut into ``blocks`` and each block into ``units``; ``edges``, (n_chunks + 1,),
    are counted in units and rise from 0 to ``blocks * units``, so that a plan does not depend on
    the count. Where the count cannot be divided, the first blocks get one element more, as in
    MPI (then no block shrinks when the count grows); inside a block, edges are rounded down.
    """

    blocks: int
    units: int
    edges: npt.NDArray[Any]

    @classmethod
    def uniform(cls, n_chunks: int) -> Partition:
        """Return ``n_chunks`` chunks of equal size."""
        return cls(n_chunks, 1, np.arange(n_chunks + 1, dtype=np.int64))

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self.edges) - 1

    def offsets(self, count: int) -> Int64Array:
        """Return the edges in elements of a buffer of ``count``: (n_chunks + 1,)."""
        block, unit = self.edges // self.units, self.edges % self.units
        per_block, more = divmod(count, self.blocks)
        start = block * per_block + np.minimum(block, more)
        length = per_block + (block < more)
        # floor(unit * length / units), in parts that do not overflow
        whole, rest = length // self.units, length % self.units
        offsets: Int64Array = start + unit * whole + unit * rest // self.units
        return offsets.astype(np.int64)

    def block_of_chunk(self, n_blocks: int) -> Int64Array:
        """Return which of ``n_blocks`` equal blocks each chunk starts in: (n_chunks,)."""
        starts: Int64Array = self.edges[:-1] * n_blocks // (self.blocks * self.units)
        return starts.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One round: rows that all read what stood before the round, so their order is free.

    Row i sends ``nchunks[i]`` consecutive chunks of rank ``src[i]``, from ``src_chunk[i]`` on,
    to the chunks of rank ``dst[i]`` from ``dst_chunk[i]`` on, where they are combined with
    what is there (``reduce[i]``) or replace it. Adjacent rows with the same sender and receiver
    travel as one transfer. No two rows of a step write the same chunk; what a row reads is what
    stood there before the step, so ranks can exchange chunks. All arrays have shape (rows,).
    """

    src: Int32Array
    dst: Int32Array
    src_chunk: Int32Array
    dst_chunk: Int32Array
    nchunks: Int32Array
    reduce: npt.NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        chunk: npt.ArrayLike,
        *,
        reduce: bool,
        nchunks: npt.ArrayLike = 1,
        dst_chunk: npt.ArrayLike | None = None,
    ) -> Step:
        """Return a step whose rows are all copied or all reduced.

        Without ``dst_chunk``, chunks keep their numbers. Arguments are broadcast.
        """
        into = chunk if dst_chunk is None else dst_chunk
        columns = np.broadcast_arrays(src, dst, chunk, into, nchunks)
        src, dst, chunk, into, nchunks = (column.astype(np.int32).ravel() for column in columns)
        return cls(src, dst, chunk, into, nchunks, np.full(len(src), reduce))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.src)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How ``algorithm`` performs ``collective`` over ``world_size`` ranks.

    ``steps()`` starts a fresh pass over the steps. ``root`` matters only to collectives that
    have one (in send_recv it is how far along each rank sends). In ``lockstep`` a rank begins a
    step only when what the step before brings it has arrived.
    """

    collective: str
    algorithm: str
    world_size: int
    root: int
    partition: Partition
    steps: Callable[[], Iterator[Step]]
    lockstep: bool = False

    def __str__(self) -> str:
        """Name the plan as error messages do."""
        return f"{self.algorithm} {self.collective} over {self.world_size} ranks"
