"""Groups within groups, and which rank of a group owns which part of the vector.

Level 0 is among the ranks of an innermost group, level l among the children of a group of level l,
the top level among the children of the whole. The vector is cut into ranges, by the plan of the top
level; every child of the whole cuts each range among its own children in proportion to their ranks,
these cut their shares again, and so on down to the ranks. So every rank of a child of the whole
owns an equal share of every range, and a rank's share of a range is the same run of the vector at
every level that the rank's groups take part in.

Groups of unequal size cut differently, so the chunks are the common refinement of all cuts. Cuts
are whole numbers of units, chosen so that all come out even.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import gcd, lcm
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.plans.plan import Partition

__all__ = ["ChunkOwners", "Groups", "Subtree", "tree_of"]

Numbers = npt.NDArray[Any]
"""Whole numbers: int64, or Python's where those could overflow."""

Groups: TypeAlias = "int | tuple[Groups, ...]"
"""Nested groups: the ranks of an innermost group, or the groups inside one."""

MOST_UNITS = 1 << 31
"""Beyond this, vectors are cut with Python's whole numbers, which do not overflow when they are
multiplied by a count."""


@dataclass(frozen=True, slots=True, eq=False)
class Subtree:
    """The ranks from ``first`` on, in children of ``sizes`` ranks each.

    ``inner`` holds the children; it is empty at level 0, where they are single ranks.
    """

    first: int
    sizes: tuple[int, ...]
    inner: tuple[Subtree, ...]

    @property
    def ranks(self) -> int:
        """Number of ranks."""
        return sum(self.sizes)

    @property
    def level(self) -> int:
        """The level at which the children of this group meet."""
        return self.inner[0].level + 1 if self.inner else 0

    def child_of(self, rank: int) -> int:
        """Return the number of the child that ``rank`` lives in."""
        ends = np.cumsum(self.sizes) + self.first
        return int(np.searchsorted(ends, rank, side="right"))

    def by_level(self) -> list[list[Subtree]]:
        """Return the groups of each level, in rank order."""
        levels = [[self]]
        while levels[0][0].inner:
            levels.insert(0, [child for group in levels[0] for child in group.inner])
        return levels


def tree_of(groups: Groups) -> Subtree:
    """Return nested ``groups`` as a tree; raises ArgumentError when they are not of one depth."""
    top = _tree(groups, 0)
    depths = set(_depths(groups))
    if len(depths) > 1:
        raise ArgumentError(f"groups {groups!r}: needed the same depth everywhere")
    return top


def _tree(groups: Groups, first: int) -> Subtree:
    if isinstance(groups, int) and not isinstance(groups, bool) and groups > 0:
        return Subtree(first, (1,) * groups, ())
    if not isinstance(groups, tuple) or not groups:
        raise ArgumentError(
            f"group {groups!r}: needed a number of ranks from 1 on, or a tuple of groups"
        )
    inner: list[Subtree] = []
    for each in groups:
        inner.append(_tree(each, first))
        first += inner[-1].ranks
    return Subtree(inner[0].first, tuple(child.ranks for child in inner), tuple(inner))


def _depths(groups: Groups) -> Iterator[int]:
    if isinstance(groups, int):
        yield 0
    else:
        yield from (depth + 1 for each in groups for depth in _depths(each))


class ChunkOwners:
    """The vector of one piece, cut for all groups, and who owns which chunk.

    ``ranges``: the edges of the ranges, counted in units that the last of them defines; or None
    when the collective has a block for each rank, which that rank owns in the end. ``parts``: into
    how many parts the plan of a group cuts the share of a rank.
    """

    def __init__(self, top: Subtree, ranges: Int64Array | None, parts: Callable[[Subtree], int]):
        """Cut the vector; ``parts`` is asked about ``top`` only when there are no ``ranges``."""
        self.top, self.parts, self.in_blocks = top, parts, ranges is None
        if ranges is None:
            self.blocks = top.ranks
            self.units = self._needed(top) // top.ranks
            starts = np.array([0, self.blocks], dtype=object)
        else:
            self.blocks = int(ranges[-1])
            self.units = lcm(*map(self._needed, top.inner))
            starts = ranges.astype(object)
        length = self.blocks * self.units
        self.kind: Any = np.int64 if length < MOST_UNITS else object
        self.entry: dict[Subtree, Numbers] = {}
        """Of each group: the edges of the parts that it cuts among its ranks."""
        self.starts: Numbers = (starts * self.units).astype(self.kind)
        for group in (top,) if ranges is None else top.inner:
            self._enter(group, self.starts)
        self._shares: dict[tuple[int, int], Int64Array] = {}

    def _needed(self, group: Subtree) -> int:
        """Return the number that must divide the length of a part that ``group`` cuts evenly."""
        n = group.ranks
        below = n * lcm(*map(self._needed, group.inner)) if group.inner else 1
        return lcm(n * self.parts(group), *(below // gcd(below, size) for size in group.sizes))

    def _enter(self, group: Subtree, edges: Numbers) -> None:
        """Note the edges of the parts that ``group`` cuts, and of those that its children cut."""
        self.entry[group] = edges
        if group.inner:
            ends = np.array([0, *accumulate(group.sizes)], dtype=self.kind)
            within = _cut_evenly(edges, group.ranks, ends)
            for child in group.inner:
                self._enter(child, within)

    @cached_property
    def edges(self) -> Numbers:
        """Every cut that any group makes."""
        asked = {}
        for group, edges in self.entry.items():
            n = group.ranks * self.parts(group)
            asked[id(edges), n] = _cut_evenly(edges, n, np.arange(n + 1).astype(self.kind))
        found: Numbers = np.unique(np.concatenate([self.starts, *asked.values()]))
        return found

    @property
    def n_chunks(self) -> int:
        """Number of chunks of a piece."""
        return len(self.edges) - 1

    def shares(self, group: Subtree, parts: int = 1) -> Int64Array:
        """Return which share of its part each chunk lies in, of ``parts`` shares per rank."""
        edges, n = self.entry[group], group.ranks * parts
        if (id(edges), n) not in self._shares:
            starts = self.edges[:-1]
            part = np.searchsorted(edges, starts, side="right") - 1
            found = (starts - edges[part]) * n // np.diff(edges)[part]
            self._shares[id(edges), n] = found.astype(np.int64)
        return self._shares[id(edges), n]

    def owners(self, group: Subtree) -> Int64Array:
        """Return the rank of ``group`` that owns each chunk: (n_chunks,)."""
        return group.first + self.shares(group)

    def chunk_in_plan(self, group: Subtree, parts: int) -> Int64Array:
        """Return which chunk of the plan between the children of ``group`` each chunk lies in.

        That plan cuts the share of a child into ``parts``, alike for each of its ranks.
        """
        share = self.shares(group, parts)
        child = np.repeat(np.arange(len(group.sizes)), group.sizes)
        found: Int64Array = child[share // parts] * parts + share % parts
        return found

    def range_of_chunk(self, ranges: Int64Array) -> Int64Array:
        """Return which of ``ranges`` each chunk lies in."""
        edges = ranges.astype(self.kind) * self.units
        return np.searchsorted(edges, self.edges[:-1], side="right") - 1

    @cached_property
    def block_of_chunk(self) -> Int64Array:
        """Which run of the vector that is cut into pieces each chunk lies in: of the blocks, or 0.

        Where each rank has a block, each block is cut into pieces; else the vector.
        """
        if not self.in_blocks:
            return np.zeros(self.n_chunks, dtype=np.int64)
        found: Int64Array = (self.edges[:-1] // self.units).astype(np.int64)
        return found

    def first_place(self, pieces: int) -> tuple[Int64Array, Int64Array]:
        """Return where each chunk lies in the first piece, and how far on in the next one."""
        block = self.block_of_chunk
        sizes = np.bincount(block)
        before = np.cumsum(sizes) - sizes
        return np.arange(len(block)) + (before * (pieces - 1))[block], sizes[block]

    def partition(self, pieces: int) -> Partition:
        """Return the cuts of all ``pieces``."""
        block = self.block_of_chunk
        span = self.units if self.in_blocks else self.blocks * self.units
        whole: Any = np.int64 if pieces * self.blocks * self.units < MOST_UNITS else object
        starts = self.edges[:-1].astype(whole) + block.astype(whole) * (span * (pieces - 1))
        first, on = self.first_place(pieces)
        edges = np.empty(pieces * self.n_chunks + 1, dtype=whole)
        for piece in range(pieces):
            edges[first + piece * on] = starts + piece * span
        edges[-1] = pieces * self.blocks * self.units
        return self._partition(edges, pieces)

    def _partition(self, edges: Numbers, pieces: int) -> Partition:
        """Return the partition with ``edges``, in the largest units in which they are whole."""
        if not self.in_blocks and len(set(np.diff(edges).tolist())) == 1:
            return Partition.uniform(len(edges) - 1)
        # Blocks with a piece each, but for blocks of ranks, which hold all pieces.
        blocks = self.blocks if self.in_blocks else self.blocks * pieces
        units = self.units * pieces if self.in_blocks else self.units
        common = gcd(units, *edges.tolist())
        edges = edges // common
        kind: Any = np.int64 if edges[-1] < MOST_UNITS else object
        return Partition(blocks, units // common, edges.astype(kind))


def _cut_evenly(edges: Numbers, n: int, at: Numbers) -> Numbers:
    """Return the edges after each part is cut at ``at``, counted in n-ths of it."""
    cuts = edges[:-1, None] + np.diff(edges)[:, None] * at[None, :-1] // n
    found: Numbers = np.append(cuts.ravel(), edges[-1:])
    return found
