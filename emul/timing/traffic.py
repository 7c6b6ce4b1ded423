"""What the scheduler sees of a program: transfers, whole or cut into slices, and their places.

With slices, a rank sends a chunk on as soon as its first slice is there, as NCCL does: the buffer
of a connection has a number of slots, each of one slice, and a slot is free again one round trip
after its last byte has left (NCCL 2.30.7: NCCL_BUFFSIZE 4 MiB in NCCL_STEPS 8 slots). Slices are a
matter of time only; the arithmetic does not know them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError
from emul.plans import Program
from emul.plans.runs import expand

__all__ = ["NCCL_SLICING", "Slicing", "Traffic"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
NOBODY = -1


@dataclass(frozen=True, slots=True)
class Slicing:
    """Slices of at most ``slice_bytes``, ``slots`` of them in flight per connection."""

    slice_bytes: int = 512 << 10
    slots: int = 8

    def __post_init__(self) -> None:
        """Refuse slices without bytes and connections without slots."""
        for name in ("slice_bytes", "slots"):
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name} {getattr(self, name)}: needed at least 1")


NCCL_SLICING = Slicing()
"""NCCL's defaults for the Simple protocol."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Transfers in plan order, as flat arrays.

    Rows move ``nplaces`` places from ``src_place`` of rank ``row_src`` on; a place is a chunk or a
    slice of one. Transfer t is the rows from ``first_row[t]`` on. It pays the overhead if it
    ``begins`` a message, and when it has arrived its slot goes to transfer ``frees[t]`` (-1: to
    none).
    """

    n_places: int
    row_src: Int32Array
    row_dst: Int32Array
    src_place: Int32Array
    dst_place: Int32Array
    nplaces: Int32Array
    reduce: UInt8Array
    first_row: Int64Array
    first_of_step: Int64Array
    lockstep: bool
    src: Int32Array
    dst: Int32Array
    nbytes: Int64Array
    begins: UInt8Array
    frees: Int32Array

    @classmethod
    def of(cls, program: Program, slicing: Slicing | None) -> Traffic:
        """Return the traffic of ``program``, in slices where a transfer is larger than one."""
        if slicing is None or not (program.nbytes > slicing.slice_bytes).any():
            return cls._whole(program)
        return cls._sliced(program, slicing)

    @classmethod
    def _whole(cls, program: Program) -> Traffic:
        return cls(
            n_places=program.n_chunks,
            row_src=program.row_src,
            row_dst=program.row_dst,
            src_place=program.src_chunk,
            dst_place=program.dst_chunk,
            nplaces=program.nchunks,
            reduce=program.reduce.view(np.uint8),
            first_row=program.first_row,
            first_of_step=program.first_of_step,
            lockstep=program.lockstep,
            src=program.src,
            dst=program.dst,
            nbytes=program.nbytes,
            begins=np.ones(len(program), dtype=np.uint8),
            frees=np.full(len(program), NOBODY, dtype=np.int32),
        )

    @classmethod
    def _sliced(cls, program: Program, slicing: Slicing) -> Traffic:
        chunk_bytes = program.chunk_length * program.itemsize
        slices = np.maximum(1, -(-chunk_bytes // slicing.slice_bytes))
        first_place = np.cumsum(slices) - slices
        row, chunk, into, part = _pieces(program, slices)
        nbytes = np.minimum(slicing.slice_bytes, chunk_bytes[chunk] - part * slicing.slice_bytes)
        kept = nbytes > 0  # chunks without elements have a place, but nothing is sent from it
        row, chunk, into, part, nbytes = (a[kept] for a in (row, chunk, into, part, nbytes))
        message = np.repeat(np.arange(len(program)), np.diff(program.first_row))[row]
        number = _slice_number(message, nbytes, slicing.slice_bytes)
        starts = np.ones(len(row), dtype=bool)
        starts[1:] = (np.diff(message) != 0) | (np.diff(number) != 0)
        first = np.flatnonzero(starts)
        src, dst = program.row_src[row[first]], program.row_dst[row[first]]
        return cls(
            n_places=int(slices.sum()),
            row_src=program.row_src[row],
            row_dst=program.row_dst[row],
            src_place=(first_place[chunk] + part).astype(np.int32),
            dst_place=(first_place[into] + part).astype(np.int32),
            nplaces=np.ones(len(row), dtype=np.int32),
            reduce=program.reduce[row].view(np.uint8),
            first_row=np.append(first, len(row)),
            first_of_step=np.searchsorted(message[first], program.first_of_step),
            lockstep=program.lockstep,
            src=src,
            dst=dst,
            nbytes=np.add.reduceat(nbytes, first),
            begins=(number[first] == 0).astype(np.uint8),
            frees=_heirs(src, dst, slicing.slots),
        )


def _pieces(
    program: Program, slices: Int64Array
) -> tuple[Int64Array, Int64Array, Int64Array, Int64Array]:
    """Return row, chunk sent, chunk written and slice of every slice of every row."""
    row, within = expand(program.nchunks)
    chunk, into = program.src_chunk[row] + within, program.dst_chunk[row] + within
    piece, part = expand(slices[chunk])
    return row[piece], chunk[piece], into[piece], part


def _slice_number(message: Int64Array, nbytes: Int64Array, slice_bytes: int) -> Int64Array:
    """Return which slice of its message each piece belongs to, by the bytes before it."""
    before = np.cumsum(nbytes) - nbytes
    begins = np.ones(len(message), dtype=bool)
    begins[1:] = np.diff(message) != 0
    start = before[np.flatnonzero(begins)][np.cumsum(begins) - 1]
    number: Int64Array = (before - start) // slice_bytes
    return number


def _heirs(src: Int32Array, dst: Int32Array, slots: int) -> Int32Array:
    """Return, for each transfer, the one ``slots`` later on the same connection, or -1."""
    heirs = np.full(len(src), NOBODY, dtype=np.int32)
    order = np.lexsort((dst, src)).astype(np.int32)
    earlier, later = order[:-slots], order[slots:]
    same = (src[earlier] == src[later]) & (dst[earlier] == dst[later])
    same &= src[earlier] != dst[earlier]
    heirs[earlier[same]] = later[same]
    return heirs
