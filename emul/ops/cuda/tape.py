"""The tables of a fused launch: a recipe for rows that lie so many bytes apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Int32Array, Int64Array
from emul.ops.cuda.kernel_sources import ALIGNMENT, TILE_BYTES
from emul.ops.fusing.fusion import CODES
from emul.ops.fusing.recipe import Recipe

__all__ = ["TapeTables", "spill_slots"]

Instructions = list[tuple[int, int, int]]

LOAD, SPILL, RELOAD, STORE, MOVE = (
    CODES[name] for name in ("load", "spill", "reload", "store", "move")
)


@dataclass(frozen=True, slots=True, eq=False)
class TapeTables:
    """The tables that fused.cu reads: see there.

    ``runs``: length, first tile, where its tape begins and ends, where its leaves and targets
    begin, and whether they lie alike to 16 bytes: (runs, 7). ``leaf`` and ``target`` are byte
    offsets from the first element of input and output. ``spilled``: most values spilled at once.
    """

    runs: Int64Array
    tape: Int32Array
    leaf: Int64Array
    target: Int64Array
    tiles: int
    spilled: int

    @classmethod
    def of(
        cls, recipe: Recipe, itemsize: int, strides: tuple[int, int], apart: int, *, in_place: bool
    ) -> TapeTables:
        """Return the tables for rows of input and output that are ``strides`` bytes apart.

        ``apart``: the address of the output less that of the input, which matters to 16 bytes.
        """
        leaf = recipe.leaf_rank * np.int64(strides[0]) + recipe.leaf_low * itemsize
        target = recipe.target_rank * np.int64(strides[1]) + recipe.target_low * itemsize
        tape, tape_from = _tape_of(recipe, in_place=in_place)
        tiles = np.append(0, np.cumsum(-(-recipe.length * itemsize // TILE_BYTES)))
        runs = [recipe.length, tiles[:-1], tape_from[:-1], tape_from[1:]]
        runs += [recipe.leaf_from[:-1], recipe.target_from[:-1]]
        runs += [_alike(recipe, leaf, target + apart)]
        table = np.stack(runs, axis=1).astype(np.int64)
        return cls(
            table, tape, leaf, target, int(tiles[-1]), spill_slots(recipe, in_place=in_place)
        )


def spill_slots(recipe: Recipe, *, in_place: bool) -> int:
    """Return the number of spill slots that the runs of ``recipe`` need, at most."""
    reduces = np.repeat(~recipe.copies, np.diff(recipe.tape_from))
    spilled = recipe.tape[reduces & (recipe.tape[:, 0] == SPILL), 1]
    most = int(spilled.max(initial=-1)) + 1
    if in_place:
        exchanges = [len(groups) - 1 for groups in _groups(recipe).values() if len(groups) > 2]
        most = max([most, *exchanges])
    return most


def _groups(recipe: Recipe) -> dict[int, list[int]]:
    """Return for each run that copies where groups of equal leaves begin, and the last one ends."""
    new = (np.diff(recipe.leaf_rank) != 0) | (np.diff(recipe.leaf_low) != 0)
    found = {}
    for run in np.flatnonzero(recipe.copies).tolist():
        low, high = recipe.leaf_from[run : run + 2].tolist()
        inside = (np.flatnonzero(new[low : high - 1]) + 1).tolist()
        found[run] = [0, *inside, high - low]
    return found


def _tape_of(recipe: Recipe, *, in_place: bool) -> tuple[Int32Array, Int64Array]:
    """Return all tapes, one after the other, and where each begins."""
    groups = _groups(recipe)
    tapes: list[npt.NDArray[Any]] = []
    for run, (low, high) in enumerate(pairwise(recipe.tape_from.tolist())):
        if run not in groups:
            tapes.append(recipe.tape[low:high])
        elif in_place and len(groups[run]) > 2:
            tapes.append(np.array(_exchange(groups[run]), np.int32))
        else:
            tapes.append(np.array(_copies(groups[run]), np.int32))
    ends = np.append(0, np.cumsum([len(each) for each in tapes], dtype=np.int64))
    tape = np.concatenate([np.empty((0, 3), np.int32), *tapes])
    return np.ascontiguousarray(tape, np.int32), ends


def _copies(groups: list[int]) -> Instructions:
    """Return a tape that sends leaf i to target i; equal leaves, in ``groups``, are read once."""
    tape: Instructions = []
    for low, high in pairwise(groups):
        if high - low > 1:
            tape += [(LOAD, low, 1), (STORE, low, high - low)]
        elif tape and tape[-1][0] == MOVE:
            tape[-1] = (MOVE, tape[-1][1], tape[-1][2] + 1)
        else:
            tape.append((MOVE, low, 1))
    return tape


def _exchange(groups: list[int]) -> Instructions:
    """Return a tape that does the same having read all leaves before anything is written."""
    tape: Instructions = []
    for slot, low in enumerate(groups[:-1]):
        tape += [(LOAD, low, 1), (SPILL, slot, 1)]
    for slot, (low, high) in enumerate(pairwise(groups)):
        tape += [(RELOAD, slot, 1), (STORE, low, high - low)]
    return tape


def _alike(recipe: Recipe, leaf: Int64Array, target: Int64Array) -> npt.NDArray[np.bool_]:
    """Return for each run whether all its leaves and targets lie alike to 16 bytes."""
    first = target[recipe.target_from[:-1]] % ALIGNMENT
    off = [
        (at % ALIGNMENT) != np.repeat(first, np.diff(edges))
        for at, edges in ((leaf, recipe.leaf_from), (target, recipe.target_from))
    ]
    if not len(recipe):
        return np.zeros(0, bool)
    edges = (recipe.leaf_from, recipe.target_from)
    found = [np.logical_or.reduceat(o, e[:-1]) for o, e in zip(off, edges, strict=True)]
    return ~(found[0] | found[1])
