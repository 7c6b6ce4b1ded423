"""Hierarchical: the wide links carry all, the trunks only one copy of each shard.

With K sites the vector is cut into K ranges, and each site cuts every range into as many
shards as it has ranks. Inside the sites a ring reduce-scatter leaves each rank with its shard
of all ranges; between the sites, rings over the owners of each shard reduce range D to site D
and spread it again; inside the sites a ring all-gather puts the shards together. Over the site
boundaries go 2(K - 1) S bytes per all-reduce, which is the least possible.

Sites of unequal size own shards of unequal size, so the chunks are the common refinement of
all sites' cuts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import backwards

__all__ = ["COLLECTIVES", "build"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")

Int64Array = npt.NDArray[np.int64]

MOST_UNITS = 1 << 31
"""Beyond this, sites of many unlike sizes are cut with Python's whole numbers, which do not
overflow when they are multiplied by a count."""


def build(collective: str, places: Places, root: int) -> Plan:
    """Return the hierarchical plan for sites of the given sizes."""
    ranks_per_site = places.sites
    sites = _Sites(ranks_per_site, _blocks_per_range(collective, ranks_per_site))

    def steps() -> Iterator[Step]:
        if collective in ("all_reduce", "reduce_scatter"):
            yield from sites.local_ring(reduce=True)
            yield from sites.cross_ring(reduce=True)
        if collective in ("all_reduce", "all_gather"):
            yield from sites.cross_ring(reduce=False)
        if collective == "broadcast":
            yield from sites.local_scatter(root)
            yield from sites.cross_star(root, reduce=False)
        if collective == "reduce":
            yield from sites.local_ring(reduce=True)
            yield from sites.cross_star(root, reduce=True)
            yield from sites.local_gather(root)
        if collective not in ("reduce_scatter", "reduce"):
            yield from sites.local_ring(reduce=False)

    n = sum(ranks_per_site)
    return Plan(collective, "hierarchical", n, root, sites.partition, steps)


def _blocks_per_range(collective: str, ranks_per_site: tuple[int, ...]) -> tuple[int, ...]:
    """Return how many blocks each range of the vector holds: one range per site, or just one.

    For reduce_scatter and all_gather, range D is the blocks of the ranks of site D. Elsewhere a
    block is a shard, if all sites have the same number of ranks.
    """
    equal = len(set(ranks_per_site)) == 1
    if collective in ("broadcast", "reduce"):
        return (ranks_per_site[0] if equal else 1,)
    if collective == "all_reduce":
        return ranks_per_site if equal else (1,) * len(ranks_per_site)
    return ranks_per_site


@dataclass
class _Rows:
    """Columns of a step in the making."""

    src: list[Int64Array]
    dst: list[Int64Array]
    chunk: list[Int64Array]
    nchunks: list[Int64Array]

    @classmethod
    def empty(cls) -> _Rows:
        return cls([], [], [], [])

    def add(self, src: Int64Array, dst: Int64Array, chunk: Int64Array, nchunks: Int64Array) -> None:
        self.src.append(src)
        self.dst.append(dst)
        self.chunk.append(chunk)
        self.nchunks.append(nchunks)

    def step(self, *, reduce: bool) -> Step:
        columns = (self.src, self.dst, self.chunk, self.nchunks)
        src, dst, chunk, nchunks = (np.concatenate(column) for column in columns)
        return Step.of(src, dst, chunk, reduce=reduce, nchunks=nchunks)


class _Sites:
    """Which rank of each site owns which chunk, and the phases between owners."""

    def __init__(self, ranks_per_site: tuple[int, ...], blocks_per_range: tuple[int, ...]) -> None:
        self.sizes = ranks_per_site
        self.first = np.concatenate([[0], np.cumsum(ranks_per_site)]).astype(np.int64)
        self.blocks_per_range = blocks_per_range
        self.units = 1 if len(set(ranks_per_site)) == 1 else lcm(*ranks_per_site)

    @cached_property
    def range_edges(self) -> list[int]:
        """Where the ranges begin and end, in units of the partition."""
        return [0, *accumulate(blocks * self.units for blocks in self.blocks_per_range)]

    @cached_property
    def partition(self) -> Partition:
        """Every cut that any site makes in any range."""
        cuts = {self.range_edges[-1]}
        for low, high in pairwise(self.range_edges):
            for m in set(self.sizes):
                cuts.update(range(low, high, (high - low) // m))
        kind: Any = np.int64 if self.range_edges[-1] < MOST_UNITS else object
        edges = np.array(sorted(cuts), dtype=kind)
        return Partition(sum(self.blocks_per_range), self.units, edges)

    @cached_property
    def range_of_chunk(self) -> Int64Array:
        starts = np.searchsorted(self.partition.edges, self.range_edges)
        return np.repeat(np.arange(len(starts) - 1), np.diff(starts))

    @cached_property
    def owner(self) -> list[Int64Array]:
        """Per site, the rank that owns each chunk: (n_chunks,) each."""
        edges = np.array(self.range_edges, dtype=self.partition.edges.dtype)
        within = self.partition.edges[:-1] - edges[self.range_of_chunk]
        length = np.diff(edges)[self.range_of_chunk]
        return [
            first + (within * m // length).astype(np.int64)
            for first, m in zip(self.first[:-1], self.sizes, strict=True)
        ]

    def runs(self, *keys: Int64Array) -> tuple[Int64Array, Int64Array]:
        """Return first chunk and length of each run in which all ``keys`` stay the same."""
        keys = (*keys, self.range_of_chunk)
        changes = np.any([np.diff(key) != 0 for key in keys], axis=0)
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        return starts, np.diff(starts, append=len(self.range_of_chunk))

    def shard_rows(self, rows: _Rows, site: int, step: int, shift: int) -> None:
        """Add a ring step inside ``site``: local rank i sends shard (i - step - shift)."""
        m, first = self.sizes[site], self.first[site]
        starts, lengths = self.runs(self.owner[site])
        shard = self.owner[site][starts] - first
        sender = (shard + step + shift) % m
        order = np.argsort(sender, kind="stable")
        rows.add(
            first + sender[order],
            first + (sender[order] + 1) % m,
            starts[order],
            lengths[order],
        )

    def local_ring(self, *, reduce: bool) -> Iterator[Step]:
        """Yield the rings inside the sites: each rank's shard is reduced to it, or spread."""
        for step in range(max(self.sizes) - 1):
            rows = _Rows.empty()
            for site, m in enumerate(self.sizes):
                if step < m - 1:
                    self.shard_rows(rows, site, step, shift=1 if reduce else 0)
            yield rows.step(reduce=reduce)

    def cross_rows(self, rows: _Rows, sender: int, receiver: int, of_range: int | None) -> None:
        """Add the transfers from the owners at one site to the owners at another."""
        source, target = self.owner[sender], self.owner[receiver]
        starts, lengths = self.runs(source, target)
        if of_range is not None:
            chosen = self.range_of_chunk[starts] == of_range
            starts, lengths = starts[chosen], lengths[chosen]
        rows.add(source[starts], target[starts], starts, lengths)

    def cross_ring(self, *, reduce: bool) -> Iterator[Step]:
        """Yield the rings over sites: range D is reduced to site D, or spread from it."""
        k = len(self.sizes)
        for step in range(k - 1):
            rows = _Rows.empty()
            for site in range(k):
                of_range = (site - step - (1 if reduce else 0)) % k
                self.cross_rows(rows, site, (site + 1) % k, of_range)
            yield rows.step(reduce=reduce)

    def local_scatter(self, root: int) -> Iterator[Step]:
        """Yield the step in which the root hands each rank of its site that rank's shard."""
        owner = self.owner[self.site_of(root)]
        starts, lengths = self.runs(owner)
        others = owner[starts] != root
        if others.any():
            yield Step.of(
                root, owner[starts][others], starts[others], reduce=False, nchunks=lengths[others]
            )

    def local_gather(self, root: int) -> Iterator[Step]:
        """Yield the step in which each rank of the root's site hands its shard to the root."""
        yield from backwards(self.local_scatter(root), reduce=False)

    def cross_star(self, root: int, *, reduce: bool) -> Iterator[Step]:
        """Yield the steps in which the root's site sends all shards to each other site.

        With ``reduce`` each other site sends its shards to the root's site, one after the other.
        """
        k, home = len(self.sizes), self.site_of(root)
        for distance in range(1, k):
            rows = _Rows.empty()
            other = (home + distance) % k
            ends = (other, home) if reduce else (home, other)
            self.cross_rows(rows, *ends, of_range=None)
            yield rows.step(reduce=reduce)

    def site_of(self, rank: int) -> int:
        """Return the site that ``rank`` lives at."""
        return int(np.searchsorted(self.first, rank, side="right")) - 1
