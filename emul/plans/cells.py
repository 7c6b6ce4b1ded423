"""Cells: the smallest part of all sites that comes again, and the pieces that it cuts.

Sites of unequal size cut every chunk that goes between them at unlike places. If all sites are so
many times a cell, which has a few ranks of each, then the cuts come again from cell to cell, and
ranks a cell apart talk to ranks a cell apart. Sites of 100, 50 and 20 ranks are ten cells of 10, 5
and 2; nodes are never cut, so with nodes of 8 ranks a cell has a multiple of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd, lcm

import numpy as np

from emul.arrays import Int64Array
from emul.plans.plan import Plan

__all__ = ["Cells", "Pieces", "pattern"]


@dataclass(frozen=True, slots=True)
class Cells:
    """``number`` cells of ``ranks`` ranks at each site, of which ``shown`` are looked at.

    One cell is enough where its ring has neighbours in different nodes, as the whole ring has;
    else two are shown, if there are two. ``units``: the ranks after which the nodes of each site
    come again.
    """

    ranks: tuple[int, ...]
    units: tuple[int, ...]
    number: int
    shown: int

    @classmethod
    def of(cls, nodes: Sequence[Sequence[int]]) -> Cells:
        """Return the smallest cells of sites whose nodes have so many ranks."""
        units = [pattern(site) if len(site) > 1 else (1,) for site in nodes]
        sizes = [sum(site) for site in nodes]
        number = gcd(*(size // sum(unit) for size, unit in zip(sizes, units, strict=True)))
        ranks = tuple(size // number for size in sizes)
        in_cell = [each // sum(unit) * len(unit) for each, unit in zip(ranks, units, strict=True)]
        shown = 1 if number == 1 or min(in_cell) > 1 else 2
        return cls(ranks, tuple(map(sum, units)), number, shown)

    @property
    def periods(self) -> tuple[int, ...]:
        """The ranks of each site that are looked at."""
        return tuple(self.shown * each for each in self.ranks)

    def alike(self, cell: Int64Array) -> Int64Array:
        """Return for how many cells each of the shown ones stands."""
        return self.number // self.shown + (cell < self.number % self.shown)


def pattern(nodes: Sequence[int]) -> tuple[int, ...]:
    """Return the shortest row of nodes that comes again and again in ``nodes``.

    >>> pattern([4, 2, 4, 2])
    (4, 2)
    """
    sizes = np.asarray(nodes)
    n = len(sizes)
    for length in (each for each in range(1, n + 1) if n % each == 0):
        if np.array_equal(sizes[length:], sizes[:-length]):
            break
    return tuple(sizes[:length].tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """The parts of the chunks of the top's plan that one rank of every site owns: (pieces,).

    ``chunk``: of the top's plan; ``cell``: the shown cell that it lies in; ``units``: its length,
    in parts of a range of which there are ``per_cell`` in each cell. ``rank`` (sites, pieces): the
    owner at each site, and ``place``: the number of the piece among all that this rank owns,
    ``of_chunk``: among those of the same chunk.
    """

    chunk: Int64Array
    cell: Int64Array
    units: Int64Array
    per_cell: int
    rank: Int64Array
    place: Int64Array
    of_chunk: Int64Array

    @classmethod
    def of(cls, cells: Cells, top: Plan, *, in_blocks: bool) -> Pieces:
        """Return the pieces of ``top``, a plan between the sites.

        With ``in_blocks``, every rank owns a block in the end, and each chunk of the top's plan is
        the same part of the blocks of all ranks of a site.
        """
        n_chunks, ranks = top.partition.n_chunks, np.array(cells.ranks)
        parts = n_chunks // len(ranks) if in_blocks else 1
        per_cell = lcm(*cells.ranks) * parts
        found = []
        for chunk in range(n_chunks):
            blocks = cells.ranks[chunk // parts] * parts if in_blocks else 1
            low, high = _pieces(cells.ranks, per_cell, blocks)
            if in_blocks:
                mine = low * blocks // per_cell % parts == chunk % parts
                low, high = low[mine], high[mine]
            found += [
                (np.full(len(low), chunk), np.full(len(low), cell), low, high)
                for cell in range(cells.shown)
            ]
        columns = [np.concatenate(each) for each in zip(*found, strict=True)]
        chunk_of, cell_of, low, high = columns
        rank = cell_of * ranks[:, None] + low * ranks[:, None] // per_cell
        return cls(
            chunk_of,
            cell_of,
            high - low,
            per_cell,
            rank,
            np.array([_numbered(each) for each in rank]),
            np.array([_numbered(each * n_chunks + chunk_of) for each in rank]),
        )

    @property
    def places(self) -> tuple[int, ...]:
        """The most pieces that a rank of each site owns."""
        return tuple((self.place.max(axis=1) + 1).tolist())

    @property
    def most_of_chunk(self) -> int:
        """The most pieces of one chunk that any rank owns."""
        return int(self.of_chunk.max()) + 1


def _pieces(ranks: tuple[int, ...], per_cell: int, blocks: int) -> tuple[Int64Array, Int64Array]:
    """Return begin and end of the pieces of a range in a cell, cut for all sites and in blocks."""
    cuts = [np.arange(0, per_cell + 1, per_cell // each) for each in {*ranks, blocks}]
    edges = np.unique(np.concatenate(cuts))
    return edges[:-1], edges[1:]


def _numbered(owner: Int64Array) -> Int64Array:
    """Return for each piece how many before it have the same ``owner``."""
    order = np.argsort(owner, kind="stable")
    _, first, counts = np.unique(owner[order], return_index=True, return_counts=True)
    number = np.empty_like(owner)
    number[order] = np.arange(len(owner)) - np.repeat(first, counts)
    return number
