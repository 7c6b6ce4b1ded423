"""The tables of the step-by-step form: one launch for each step of a program.

A rank's input is not copied into a work buffer first. Every place is followed: until something is
written to it, it is read from the row of the caller. New values go to the output, or to a
work buffer where the plan needs places that the output does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.ops.cuda.kernel_sources import ALIGNMENT, TILE_BYTES
from emul.ops.fusing.recipe import Ends
from emul.plans import Program
from emul.plans.runs import expand

__all__ = ["Batch", "RowStrides", "StepTables"]


INPUT, OUTPUT, WORK = 0, 1, 2
NOTHING = -1


@dataclass(frozen=True, slots=True)
class RowStrides:
    """Where the rows of a call lie: bytes from one to the next, in input and output.

    ``whole``: the output has all places of the plan, so that it is worked in. ``in_place``: it also
    is the input. Else places lie in a work buffer.
    """

    input_stride: int
    output_stride: int
    whole: bool
    in_place: bool

    def work_stride(self, program: Program) -> int:
        """Return how many bytes apart the rows of the work buffer lie; 0 where there is none."""
        width = program.layout.work_shape[1] * program.itemsize
        return 0 if self.whole else -(-width // ALIGNMENT) * ALIGNMENT


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows for one launch: those from ``first`` on, ``rows`` of them, in ``tiles`` tiles."""

    kernel: str
    first: int
    rows: int
    tiles: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pieces:
    """Runs of elements of a step: codes of places (see rows.cuh) and lengths in elements."""

    stood: Int64Array
    sent: Int64Array
    target: Int64Array
    length: Int64Array

    def __len__(self) -> int:
        return len(self.length)

    def taken(self, which: npt.NDArray[np.integer] | BoolArray) -> _Pieces:
        return _Pieces(*(getattr(self, name)[which] for name in self.__slots__))

    def joined(self, itemsize: int, kind: BoolArray) -> tuple[_Pieces, BoolArray]:
        """Return pieces joined that go on where the one before ends and are of one kind."""
        if not len(self):
            return self, kind
        ahead = self.length[:-1] * itemsize << 2
        goes_on = kind[1:] == kind[:-1]
        for codes in (self.stood, self.sent, self.target):
            nothing = (codes[1:] == NOTHING) & (codes[:-1] == NOTHING)
            follows = (codes[:-1] != NOTHING) & (codes[1:] == codes[:-1] + ahead)
            goes_on = goes_on & (nothing | follows)
        first = np.append(0, np.flatnonzero(~goes_on) + 1)
        lengths = np.add.reduceat(self.length, first)
        return replace(self.taken(first), length=lengths), kind[first]


@dataclass(frozen=True, slots=True, eq=False)
class StepTables:
    """All rows of a program, (rows, 5) as rows.cuh has them, and in which launches they come.

    ``steps`` are those of the program, copies aside first where ranks exchange.
    ``last`` brings the output together, divided where ``divides``. ``work_bytes``: of the work
    buffer, values set aside included.
    """

    table: Int64Array
    steps: tuple[tuple[Batch, ...], ...]
    last: tuple[Batch, ...]
    work_bytes: int

    @classmethod
    def of(cls, program: Program, root: int, places: RowStrides, *, divides: bool) -> StepTables:
        """Return the rows of ``program`` for a call with ``root``."""
        follow = _Follow(program, root, places)
        first_row = program.first_row[program.first_of_step]
        steps = [follow.step(slice(a, b)) for a, b in pairwise(first_row.tolist())]
        last = follow.last(divides=divides)
        table = np.concatenate([np.empty((0, 5), np.int64), *follow.tables])
        return cls(table, tuple(steps), last, follow.work_bytes)


class _Follow:
    """Where every place is while a program goes by; tables are written on the way."""

    def __init__(self, program: Program, root: int, places: RowStrides) -> None:
        self.program, self.places, self.root = program, places, root
        self.edges = program.layout.edges
        n = program.layout.shape.world_size
        self.written = np.zeros((n, program.n_places), dtype=bool)
        self.written[:] = places.in_place and places.whole
        self.input_low = program.layout.shape.input_spans[:, 0]
        self.work_stride = places.work_stride(program)
        self.aside_from = n * self.work_stride
        self.work_bytes = self.aside_from
        self.tables: list[Int64Array] = []
        self.rows = 0

    def step(self, rows: slice) -> tuple[Batch, ...]:
        """Write the tables of a step."""
        pieces, exchanged = self._pieces(rows)
        pieces, exchanged = pieces.joined(self.program.itemsize, exchanged)
        if not exchanged.any():
            return self._batch(pieces)
        aside = self._aside(pieces.sent[exchanged], pieces.length[exchanged])
        nothing = np.full(len(aside), NOTHING, np.int64)
        first = _Pieces(nothing, pieces.sent[exchanged], aside, pieces.length[exchanged])
        sent = pieces.sent.copy()
        sent[exchanged] = aside
        return (*self._batch(first), *self._batch(replace(pieces, sent=sent)))

    def last(self, *, divides: bool) -> tuple[Batch, ...]:
        """Write the table of the work that is left when all steps are done."""
        ends = Ends.of_output(self.program, self.root)
        if self.places.whole and not divides:
            ends = ends.taken(~self.written[ends.rank, ends.place])
        if not self.places.whole or divides or len(ends.rank):
            target = self._output(ends.rank, ends.low)
            sent = self._read(ends.rank, ends.place)
            nothing = np.full(len(target), NOTHING, np.int64)
            pieces = _Pieces(nothing, sent, target, ends.length)
            kind = np.zeros(len(target), dtype=bool)
            return self._batch(pieces.joined(self.program.itemsize, kind)[0])
        return ()

    def _pieces(self, rows: slice) -> tuple[_Pieces, BoolArray]:
        """Return the pieces of a step, and a mask of those that read a target of the step."""
        program = self.program
        run, within = expand(program.nplaces[rows])
        src, dst = program.row_src[rows][run], program.row_dst[rows][run]
        source = program.src_place[rows][run] + within
        target = program.dst_place[rows][run] + within
        row = src if len(self.edges) > 1 else 0
        length = self.edges[row, source + 1] - self.edges[row, source]
        sent = self._read(src, source)
        stood = np.where(program.reduce[rows][run], self._read(dst, target), NOTHING)
        writes = dst * np.int64(program.n_places) + target
        reads = src * np.int64(program.n_places) + source
        exchanged = np.isin(reads, writes) & self.written[src, source]
        self.written[dst, target] = True
        pieces = _Pieces(stood, sent, self._read(dst, target), length)
        return pieces.taken(length > 0), exchanged[length > 0]

    def _read(self, rank: Int32Array, place: Int32Array | Int64Array) -> Int64Array:
        """Return where each place is now."""
        at = self.edges[rank if len(self.edges) > 1 else 0, place]
        itemsize, ranks = self.program.itemsize, rank.astype(np.int64)
        given = ranks * self.places.input_stride + (at - self.input_low[rank]) * itemsize
        if self.places.whole:
            held = self._output(rank, at - self.program.layout.output_spans[rank, 0])
        else:
            held = (ranks * self.work_stride + at * itemsize << 2) + WORK
        codes: Int64Array = np.where(self.written[rank, place], held, (given << 2) + INPUT)
        return codes

    def _output(self, rank: Int32Array, low: Int64Array) -> Int64Array:
        at = rank.astype(np.int64) * self.places.output_stride + low * self.program.itemsize
        codes: Int64Array = (at << 2) + OUTPUT
        return codes

    def _aside(self, sent: Int64Array, length: Int64Array) -> Int64Array:
        """Return places for values set aside, at the offset of these values modulo 16 bytes."""
        nbytes = length * self.program.itemsize
        off = (sent >> 2) % ALIGNMENT
        ends = np.cumsum(-(-(off + nbytes) // ALIGNMENT) * ALIGNMENT)
        begins = self.aside_from + np.append(0, ends[:-1]) + off
        self.work_bytes = max(self.work_bytes, self.aside_from + int(ends[-1]))
        codes: Int64Array = (begins << 2) + WORK
        return codes

    def _batch(self, pieces: _Pieces) -> tuple[Batch, ...]:
        """Write a table and return its launch: none for no rows."""
        if not len(pieces):
            return ()
        tiles = np.append(0, np.cumsum(-(-pieces.length * self.program.itemsize // TILE_BYTES)))
        columns = (pieces.stood, pieces.sent, pieces.target, pieces.length, tiles[:-1])
        self.tables.append(np.stack(columns, axis=1))
        batch = Batch(_kernel(pieces), self.rows, len(pieces), int(tiles[-1]))
        self.rows += len(pieces)
        return (batch,)


def _kernel(pieces: _Pieces) -> str:
    """Return the plainest kernel that carries out all ``pieces``."""
    if (pieces.stood == NOTHING).all():
        return "copy"
    return "reduce" if (pieces.stood == pieces.target).all() else "recv_reduce_copy"
