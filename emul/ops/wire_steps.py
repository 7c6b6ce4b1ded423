"""Programs whose messages have a wire format: which places are encoded, step by step.

A value that any rank sends, an input or a sum, is encoded where it is made, by every rank that
makes it, and all go on with it as it arrives. So ranks that hold the same value hold the same bits,
the sender too. A value that is passed on is not encoded again, and one that nobody sends never is.
Sums are worked out in float32: by a ring, each is encoded on the way to the next rank (requantised
at every hop, as in EQuARX, arXiv 2506.17615); by ``direct``, each contribution once, and each sum
once (the all-to-all and the all-gather of ZeRO++, arXiv 2306.10209).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from emul.arrays import Array, BoolArray, Int32Array, Int64Array
from emul.ops.buffers import Buffers
from emul.plans import WIRES, Encoding, Program
from emul.plans.runs import expand

__all__ = ["EncodedSteps", "new_bytes_encoded", "perform_encoded", "perform_in_float32"]

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSteps:
    """The steps of a program, and the places that are encoded before each, and after the last.

    Place i that is encoded are the elements [low[i], low[i] + length[i]) of ``rank[i]``; those from
    ``first_place[s]`` up to ``first_place[s + 1]`` come before step s. Step s has the rows of
    ``program`` from ``first_row[s]`` up to ``first_row[s + 1]``. ``exchanges`` (steps,): whether a
    row reads what another row of the step writes.
    """

    program: Program
    rank: Int32Array
    low: Int64Array
    length: Int64Array
    first_place: Int64Array
    first_row: Int64Array
    exchanges: BoolArray

    @classmethod
    def of(cls, program: Program) -> EncodedSteps:
        """Return the steps of ``program``."""
        first_row = program.first_row[program.first_of_step]
        values = _Values(program)
        for low, high in pairwise(first_row.tolist()):
            values.step(low, high)
        places, first_place = values.encoded()
        ranks, place = (each.astype(np.int32) for each in np.divmod(places, program.n_places))
        low = program.layout.at(ranks, place)
        return cls(
            program,
            ranks,
            low,
            program.layout.at(ranks, place + 1) - low,
            first_place,
            first_row,
            np.array(values.exchanges, dtype=bool),
        )


class _Values:
    """The values in the places of all ranks, by hashes of the expressions that they come from.

    Sums hash alike with their operands exchanged, for float32 adds them to the same bits.
    """

    def __init__(self, program: Program) -> None:
        """Begin with the input: a value of its own in every place."""
        self.program = program
        places: Int64Array = np.arange(program.layout.shape.world_size * program.n_places)
        self.held = _mixed(places.astype(np.uint64))
        self.made = [(places, self.held.copy())]
        self.sent: list[Hashes] = []
        self.exchanges: list[bool] = []

    def step(self, low: int, high: int) -> None:
        """Take the rows [low, high) of a step."""
        program, rows = self.program, slice(low, high)
        row, within = expand(program.nplaces[rows])
        src, dst = program.row_src[rows][row], program.row_dst[rows][row]
        read = src.astype(np.int64) * program.n_places + program.src_place[rows][row] + within
        written = dst.astype(np.int64) * program.n_places + program.dst_place[rows][row] + within
        reduce, came = program.reduce[rows][row], self.held[read]
        self.sent.append(came[src != dst])
        self.exchanges.append(bool(np.isin(read, written).any()))
        summed = _mixed(self.held[written] + came)
        self.held[written] = np.where(reduce, summed, came)
        self.made.append((written[reduce], summed[reduce]))

    def encoded(self) -> tuple[Int64Array, Int64Array]:
        """Return the places that are encoded, and the first before each step and after the last."""
        places, values = (np.concatenate(each) for each in zip(*self.made, strict=True))
        sent = np.unique(np.concatenate([*self.sent, np.zeros(0, np.uint64)]))
        at = np.searchsorted(sent, values)
        encoded = np.append(sent, 0)[at] == values
        encoded[at == len(sent)] = False
        ends = np.cumsum([0, *(len(each) for each, _ in self.made)])
        return places[encoded], np.append(0, np.cumsum(encoded))[ends]


def _mixed(numbers: Hashes) -> Hashes:
    """Return hashes of ``numbers``: SplitMix64 (Steele, Lea, Flood, OOPSLA 2014)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


CarryOut = Callable[[Program, Array], None]
"""Carries the steps of a program out on a work buffer of float32, (ranks, width)."""


def new_bytes_encoded(program: Program, buffers: Buffers) -> int:
    """Return the bytes that ``perform_encoded`` will allocate."""
    layout = program.layout
    wide = 0 if buffers.dtype == np.float32 else 4 * int(np.prod(layout.work_shape))
    return buffers.new_bytes(layout) + wide


def perform_encoded(
    program: Program, buffers: Buffers, reduction: str, root: int, carry_out: CarryOut
) -> Array:
    """Carry out ``program`` by ``carry_out`` and return the output.

    Shorter floats are widened before it and rounded once after it; an average is divided in float32
    before.
    """
    work = buffers.load(program.layout, root)
    with np.errstate(all="ignore"):  # of places without values yet too
        wide = work.astype(np.float32, copy=False)
        carry_out(program, wide)
        if reduction == "avg" and buffers.collective.reduces:
            wide /= np.float32(buffers.shape.world_size)
        if wide is not work:
            work[...] = wide
    return buffers.unload(program.layout, work, root)


Perform = Callable[[Program, Buffers, str, int], Array]
"""The method of that name of Ops."""


def perform_in_float32(
    perform: Perform, program: Program, buffers: Buffers, reduction: str, root: int
) -> Array:
    """Return the output of ``program`` in float32, with every message as it is.

    ``buffers``: those of the call, whose input is not changed.
    """
    wide, shape = buffers.arrays.to_host(buffers.x).astype(np.float32), buffers.shape
    counts = None if shape.counts is None else shape.table
    again = Buffers(buffers.collective, shape.world_size, wide, None, counts, revocable=False)
    as_it_is = replace(program, encoding=Encoding(4, WIRES["float32"]))
    return perform(as_it_is, again, reduction, root)
