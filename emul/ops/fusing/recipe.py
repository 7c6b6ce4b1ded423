"""The recipe of a call: for every run of output elements, how it is reduced from the input rows.

A plan in steps moves chunks from buffer to buffer; a recipe says how the result is made. It is
worked out by carrying out the rows of a program on numbers of expressions, and leaves neither work
buffer nor scratch: elements are read from the rows of the caller, combined in the order of the
plan, and written to the rows of the output. Sums and products come out the same with operands
exchanged, so that ranks which exchange and reduce share one expression.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.errors import not_compiled
from emul.plans.program import Program

try:
    from emul.ops.fusing.fusion import CODES, Followed, TapeWriter
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

__all__ = ["Ends", "Recipe"]


NOTHING = -1

NAMES = {code: name for name, code in CODES.items()}


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """Runs of elements that are each worked out by one tape.

    Run i covers ``length[i]`` elements. Its tape are the instructions (code, first, count) of
    ``tape`` from ``tape_from[i]`` up to ``tape_from[i + 1]``; its leaves are the elements from
    ``leaf_low`` on in the input rows of ``leaf_rank``, its targets elements of output rows,
    likewise. Codes are those of kernels/instructions.h; ``first`` and ``count`` are leaves,
    targets or spill slots (``most_spilled`` of them). A run that ``copies`` sends leaf i
    to target i.

    With ``in_columns``, results lie in the columns of their leaves, in other rows, and one buffer
    can be both input and output.
    """

    tape: Int32Array
    tape_from: Int64Array
    leaf_rank: Int32Array
    leaf_low: Int64Array
    leaf_from: Int64Array
    target_rank: Int32Array
    target_low: Int64Array
    target_from: Int64Array
    length: Int64Array
    copies: BoolArray
    most_spilled: int
    in_columns: bool

    @classmethod
    def of(cls, program: Program, root: int, *, commutes: bool) -> Recipe:
        """Return the recipe of the verified ``program``; ``commutes``: a + b is b + a."""
        leaves = Ends.of_input(program, root)
        followed = _follow(program, leaves, commutes)
        targets = Ends.of_output(program, root)
        result = followed.at[targets.rank, targets.place]
        assert (result >= 0).all(), "needed a verified plan: an output chunk holds nothing"
        origin = followed.origin[result]
        order = np.lexsort((targets.rank, result, targets.length, origin))
        targets, result, origin = targets.taken(order), result[order], origin[order]
        in_columns = _in_columns(program, leaves, targets, origin)
        groups = _edges((np.diff(origin) != 0) | (np.diff(targets.length) != 0), len(result))
        tapes = TapeWriter(followed, len(result))
        ends = [(0, 0)]
        copies = result[groups[:-1]] < followed.leaves
        for low, high, moved in zip(groups[:-1], groups[1:], copies.tolist(), strict=True):
            _write_tape(tapes, result[low:high], moves=moved, in_place=in_columns)
            ends.append((tapes.length, tapes.leaves_used))
        tape_from, leaf_from = np.array(ends, dtype=np.int64).T
        used = leaves.taken(tapes.leaf_order[: tapes.leaves_used])
        return _merged(
            cls(
                tape=tapes.instructions[: tapes.length].copy(),
                tape_from=np.ascontiguousarray(tape_from),
                leaf_rank=used.rank,
                leaf_low=used.low,
                leaf_from=np.ascontiguousarray(leaf_from),
                target_rank=targets.rank,
                target_low=targets.low,
                target_from=groups,
                length=targets.length[groups[:-1]],
                copies=copies,
                most_spilled=tapes.most_spilled,
                in_columns=in_columns,
            )
        )

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self.length)

    def text(self, run: int) -> list[str]:
        """Return the instructions of a run in words."""
        rows = self.tape[self.tape_from[run] : self.tape_from[run + 1]].tolist()
        return [f"{NAMES[code]} {first} {count}" for code, first, count in rows]


@dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """Places of ranks that hold input or output, and where in the rows of the caller they lie.

    Place i is ``place[i]`` of ``rank[i]``: ``length[i]`` elements from ``low[i]`` on in the row.
    """

    rank: Int32Array
    place: Int32Array
    low: Int64Array
    length: Int64Array

    @classmethod
    def of_input(cls, program: Program, root: int) -> Ends:
        """Return the places that hold input before the first step."""
        layout = program.layout
        collective = layout.shape.collective
        alone = root if collective.from_root or collective.at_root_only == "input" else None
        return cls._within(layout.edges, layout.shape.input_spans, 0, alone)

    @classmethod
    def of_output(cls, program: Program, root: int) -> Ends:
        """Return the places that hold output after the last step."""
        layout = program.layout
        alone = root if layout.shape.collective.at_root_only == "output" else None
        return cls._within(layout.edges, layout.output_spans, layout.received, alone)

    @classmethod
    def _within(cls, edges: Int64Array, spans: Int64Array, first: int, alone: int | None) -> Ends:
        """Return the places from ``first`` on that lie in the span of their rank, in order."""
        low, high = edges[:, first:-1], edges[:, first + 1 :]
        inside = (low >= spans[:, :1]) & (high <= spans[:, 1:]) & (high > low)
        if alone is not None:
            inside &= (np.arange(len(spans)) == alone)[:, None]
        rank, place = np.nonzero(inside)
        row = rank if len(edges) > 1 else 0
        begins = edges[row, first + place]
        return cls(
            rank.astype(np.int32),
            (first + place).astype(np.int32),
            begins - spans[rank, 0],
            edges[row, first + place + 1] - begins,
        )

    def taken(self, which: npt.NDArray[np.integer]) -> Ends:
        """Return the places of those numbers, or of a mask."""
        return Ends(self.rank[which], self.place[which], self.low[which], self.length[which])


def _follow(program: Program, leaves: Ends, commutes: bool) -> Followed:
    at = np.full((program.layout.shape.world_size, program.n_places), NOTHING, dtype=np.int32)
    at[leaves.rank, leaves.place] = np.arange(len(leaves.rank))
    joins = int(program.nplaces[program.reduce].sum())
    followed = Followed(at, leaves.place, joins, commutes)
    first_row = program.first_row[program.first_of_step]
    moved = np.append(0, np.cumsum(program.nplaces, dtype=np.int64))[first_row]
    followed.take(
        np.ascontiguousarray(first_row),
        program.row_src,
        program.row_dst,
        program.src_place,
        program.dst_place,
        program.nplaces,
        program.reduce,
        int(np.diff(moved).max(initial=0)),
    )
    return followed


def _in_columns(program: Program, leaves: Ends, targets: Ends, origin: Int32Array) -> bool:
    """Say whether every result lies in its row where its leaves lie in theirs."""
    collective = program.layout.shape.collective
    if collective.between_all or not collective.in_place:
        return False
    column = np.zeros(program.n_places, dtype=np.int64)
    column[leaves.place] = leaves.low
    return bool(np.array_equal(column[origin], targets.low))


def _write_tape(tapes: TapeWriter, result: Int32Array, *, moves: bool, in_place: bool) -> None:
    if moves:
        tapes.move(np.ascontiguousarray(result), in_place)
        return
    edges = _edges(np.diff(result) != 0, len(result))
    tapes.reduce(result[edges[:-1]], edges)


def _edges(changes: BoolArray, n: int) -> Int64Array:
    """Return where runs of like things begin, and the end of the last one."""
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [n]] if n else [[0]]).astype(np.int64)


def _merged(recipe: Recipe) -> Recipe:
    """Return ``recipe`` with runs joined that go on where the one before ends, by the same tape."""
    follows = _follow_on(recipe)
    if not follows.any():
        return recipe
    first = np.flatnonzero(~follows)

    def kept(edges: Int64Array, *columns: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], ...]:
        stays = np.repeat(~follows, np.diff(edges))
        lengths = np.diff(edges)[first]
        return np.append(0, np.cumsum(lengths)), *(column[stays] for column in columns)

    tape_from, tape = kept(recipe.tape_from, recipe.tape)
    leaf_from, leaf_rank, leaf_low = kept(recipe.leaf_from, recipe.leaf_rank, recipe.leaf_low)
    target_from, target_rank, target_low = kept(
        recipe.target_from, recipe.target_rank, recipe.target_low
    )
    return Recipe(
        tape,
        tape_from,
        leaf_rank,
        leaf_low,
        leaf_from,
        target_rank,
        target_low,
        target_from,
        np.add.reduceat(recipe.length, first),
        recipe.copies[first],
        recipe.most_spilled,
        recipe.in_columns,
    )


def _follow_on(recipe: Recipe) -> BoolArray:
    """Return for each run whether it goes on with the one before it."""
    follows = np.zeros(len(recipe), dtype=bool)
    sizes = np.stack([np.diff(e) for e in (recipe.tape_from, recipe.leaf_from, recipe.target_from)])
    alike = (np.diff(sizes, axis=1) == 0).all(axis=0) & (np.diff(recipe.copies) == 0)
    for run in (np.flatnonzero(alike) + 1).tolist():
        ahead = recipe.length[run - 1]
        follows[run] = (
            _same(recipe.tape, recipe.tape_from, run)
            and _same(recipe.leaf_rank, recipe.leaf_from, run)
            and _same(recipe.target_rank, recipe.target_from, run)
            and _same(recipe.leaf_low, recipe.leaf_from, run, ahead)
            and _same(recipe.target_low, recipe.target_from, run, ahead)
        )
    return follows


def _same(column: npt.NDArray[Any], edges: Int64Array, run: int, ahead: int = 0) -> bool:
    a, b, c = edges[run - 1 : run + 2]
    return bool(np.array_equal(column[a:b] + ahead, column[b:c]))
