"""The elements that a call moves (Shape), and where the buffers of a plan lie (BufferLayout)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array
from emul.errors import PlanError, ShapeError, shown
from emul.plans.collectives import Collective
from emul.plans.encoding import Encoding
from emul.plans.plan import Plan
from emul.reading.brief import brief

__all__ = ["BufferLayout", "Counts", "Shape"]

Counts = npt.ArrayLike
"""Of the vector forms: elements of each rank's block, (n,), or from each to each, (n, n)."""

MOST_ELEMENTS = 1 << 59
"""Of all ranks together. Of 8 bytes each, that is half of the bytes that int64 counts; sums of
offsets over a work buffer stay within it too."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The elements of one call: a vector of ``width``, in equal blocks or as ``counts`` say.

    ``counts`` holds the elements of each block, or for all_to_all those that each rank sends to
    each, row after row; then ``width`` is the longest vector that a rank sends.
    """

    collective: Collective
    world_size: int
    width: int
    counts: tuple[int, ...] | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse more elements than 64 bits carry: ShapeError."""
        if self.width * self.world_size > MOST_ELEMENTS:
            raise ShapeError(
                f"{self.collective.name}: {shown(self.width)} elements for each of "
                f"{self.world_size} ranks: needed at most {MOST_ELEMENTS // self.world_size}, for "
                f"sizes and times are carried in 64 bits"
            )

    @classmethod
    def of(cls, collective: Collective, world_size: int, count: int) -> Shape:
        """Return the shape when the input of one rank has ``count`` elements.

        Raises ShapeError when they cannot be cut into equal blocks.
        """
        blocks = world_size if collective.in_blocks and collective.input_whole else 1
        if count < 0 or count % blocks:
            raise ShapeError(
                f"{collective.name}: {shown(count)} elements per rank: needed 0 or more"
                + (f", a multiple of the world size {blocks}" if blocks > 1 else "")
                + (" (or counts=, with the elements of each)" if blocks > 1 else "")
            )
        whole = collective.input_whole or not collective.in_blocks
        return cls(collective, world_size, count if whole else count * world_size)

    @classmethod
    def of_counts(cls, collective: Collective, world_size: int, counts: Counts) -> Shape:
        """Return the shape of a vector form; raises ShapeError for counts that do not fit."""
        if not collective.in_blocks:
            raise ShapeError(f"{collective.name} with counts: it has no block for each rank")
        pairs = collective.between_all
        needed = (world_size, world_size) if pairs else (world_size,)
        try:
            given = np.asarray(counts)
        except ValueError:
            raise ShapeError(f"counts of unlike rows: needed shape {needed}") from None
        except (RuntimeError, TypeError, OverflowError) as error:
            raise ShapeError(f"counts {shown(counts)} ({error}): needed shape {needed}") from None
        if isinstance(counts, np.ma.MaskedArray):
            raise ShapeError(f"{collective.name}: masked counts: needed a number for each rank")
        if given.shape != needed or given.dtype.kind not in "iu" or (given < 0).any():
            raise ShapeError(
                f"{collective.name}: counts of shape {given.shape} and type {given.dtype}: needed "
                f"whole numbers from 0 on, of shape {needed}"
            )
        width = int(given.sum(axis=-1).max())
        longest = float(given.sum(axis=-1, dtype=np.float64).max())
        if longest > MOST_ELEMENTS:  # the exact sum may have wrapped
            width = int(longest)
        return cls(collective, world_size, width, tuple(given.ravel().tolist()))

    @property
    def table(self) -> Int64Array:
        """The counts as an array: (n,), or in all_to_all (n, n)."""
        given = np.array(self.counts, dtype=np.int64)
        return given.reshape(self.world_size, -1) if self.collective.between_all else given

    def sent(self, blocks: int) -> Int64Array:
        """Return the elements of each of ``blocks`` sent blocks: (1 or n, blocks).

        Where equal blocks do not come out even, the first ones get one element more, as in MPI;
        so no block shrinks when the count grows. Where every rank has a block, ``blocks`` are as
        many parts of each; raises PlanError when they cannot be.
        """
        if not self.collective.in_blocks:
            return _shares(np.array([[self.width]]), blocks)
        parts, rest = divmod(blocks, self.world_size)
        if rest or not parts:
            raise PlanError(
                f"{self.collective.name} over {self.world_size} ranks in {blocks} blocks: needed "
                "as many for every rank"
            )
        given = _shares(np.array([[self.width]]), self.world_size)
        if self.counts is not None:
            given = np.atleast_2d(self.table)
        return _shares(given.reshape(-1, 1), parts).reshape(len(given), blocks)

    def received(self, blocks: int) -> Int64Array:
        """Return the elements of each received block, likewise."""
        if self.counts is None or not self.collective.between_all:
            return self.sent(blocks)
        turned = self.table.T.ravel()
        there = Shape(self.collective, self.world_size, 0, tuple(turned.tolist()))
        return there.sent(blocks)

    @property
    def input_spans(self) -> Int64Array:
        """Where the input of each rank lies in its vector, from and to: (n, 2)."""
        return _spans_of(self).input_spans

    @property
    def output_spans(self) -> Int64Array:
        """Where the output of each rank lies in its vector, likewise."""
        return _spans_of(self).output_spans

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the caller's input: of one buffer, or of one row per rank."""
        return _spans_of(self).input_shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the caller's output, likewise. Shorter rows are filled up with zeros."""
        return _spans_of(self).output_shape


@dataclass(frozen=True, slots=True, eq=False)
class _Spans:
    """Values derived from a shape, which every call needs: see Shape."""

    input_spans: Int64Array
    output_spans: Int64Array
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


@lru_cache(maxsize=64)
def _spans_of(shape: Shape) -> _Spans:
    collective, n = shape.collective, shape.world_size
    blocks = n if collective.in_blocks else 1
    sent = _spans(n, shape.sent(blocks), whole=collective.input_whole)
    received = _spans(n, shape.received(blocks), whole=collective.output_whole)
    return _Spans(
        sent,
        received,
        _buffer(sent, alone=collective.at_root_only == "input"),
        _buffer(received, alone=collective.at_root_only == "output"),
    )


def _spans(n: int, lengths: Int64Array, *, whole: bool) -> Int64Array:
    ranks = np.arange(n)
    ends = np.zeros((len(lengths), lengths.shape[1] + 1), np.int64)
    np.cumsum(lengths, axis=1, out=ends[:, 1:])
    edges = np.broadcast_to(ends, (n, ends.shape[1]))
    low, high = (0, -1) if whole else (ranks, ranks + 1)
    spans: Int64Array = np.stack([edges[ranks, low], edges[ranks, high]], axis=1)
    spans.flags.writeable = False  # every caller gets the same
    return spans


def _buffer(spans: Int64Array, *, alone: bool) -> tuple[int, ...]:
    longest = int((spans[:, 1] - spans[:, 0]).max())
    return (longest,) if alone else (len(spans), longest)


def _shares(lengths: Int64Array, parts: int) -> Int64Array:
    """Return ``lengths``, (rows, 1), each cut into ``parts`` as equal as can be: (rows, parts)."""
    each, more = lengths // parts, lengths % parts
    shares: Int64Array = each + (np.arange(parts) < more)
    return shares


@dataclass(frozen=True, slots=True, eq=False)
class BufferLayout:
    """Where the places of a plan lie in the work buffers of a call.

    ``edges``, (1 or n, n_places + 1): place p of rank r is [edges[r, p], edges[r, p + 1]), in
    elements; one row where all ranks are alike. ``received`` is Plan.received.
    """

    edges: Int64Array
    received: int
    shape: Shape

    __repr__ = brief

    @classmethod
    def of(cls, plan: Plan, shape: Shape) -> BufferLayout:
        """Return the layout of ``plan`` for a call of ``shape``."""
        cut, blocks = plan.partition.offsets, plan.partition.blocks
        edges = cut(shape.sent(blocks))
        lengths = np.diff(edges)
        if plan.apart:
            lengths = np.hstack([lengths, np.diff(cut(shape.received(blocks)))])
        if plan.scratch.size:
            rows = max(len(lengths), len(plan.scratch))
            lengths = np.broadcast_to(lengths, (rows, lengths.shape[1]))
            like = np.broadcast_to(plan.scratch, (rows, plan.scratch.shape[1]))
            lengths = np.hstack([lengths, np.take_along_axis(lengths, like, axis=1)])
        edges = np.cumsum(np.pad(lengths, ((0, 0), (1, 0))), axis=1)
        return cls(edges, plan.received, shape)

    @property
    def work_shape(self) -> tuple[int, int]:
        """The shape of the work buffer of all ranks."""
        return (self.shape.world_size, int(self.edges[:, -1].max()))

    @property
    def output_spans(self) -> Int64Array:
        """Where the output of each rank lies in its work buffer, from and to: (n, 2)."""
        return self.shape.output_spans + self.edges[:, self.received, None]

    def at(self, rank: npt.NDArray[np.int32], place: npt.NDArray[np.int32]) -> Int64Array:
        """Return where each ``place`` of each ``rank`` begins."""
        found: Int64Array = self.edges[rank if len(self.edges) > 1 else 0, place]
        return found

    def nbytes(
        self,
        rank: npt.NDArray[Any],
        place: npt.NDArray[Any],
        nplaces: npt.NDArray[Any],
        encoding: Encoding,
    ) -> Int64Array:
        """Return the bytes on the wire of ``nplaces`` from each ``place`` of each ``rank`` on.

        Each place is encoded by itself.
        """
        of_each = encoding.nbytes_of_each(np.diff(self.edges))
        ends = np.cumsum(np.pad(of_each, ((0, 0), (1, 0))), axis=1)
        row = rank if len(ends) > 1 else 0
        found: Int64Array = ends[row, place + nplaces] - ends[row, place]
        return found
