"""Bounds that prices of limits prove, in exact fractions and without a solver.

Any prices from 0 on will do: the better they are, the higher the bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np

from emul.arrays import Float64Array, Int64Array
from emul.synthesis.graph import Arc, SiteGraph
from emul.synthesis.trees import cheapest_from

__all__ = ["least_length", "least_tree", "least_tree_from", "shortest"]


def least_tree(sites: int, length: Mapping[Arc, Fraction]) -> Fraction:
    """Return the length of the shortest spanning tree, of two directions the shorter one.

    >>> least_tree(3, {(0, 1): Fraction(1), (1, 2): Fraction(2), (0, 2): Fraction(3)})
    Fraction(3, 1)
    """
    group, total = list(range(sites)), Fraction(0)
    for each, (a, b) in sorted((each, arc) for arc, each in length.items()):
        if group[a] != group[b]:
            total += each
            old, new = group[a], group[b]
            group = [new if number == old else number for number in group]
    return total


def least_tree_from(sites: int, length: Mapping[Arc, Fraction], root: int) -> Fraction:
    """Return the length of the shortest tree of arcs from ``root`` to all other sites.

    >>> least_tree_from(3, {(0, 1): Fraction(1), (1, 2): Fraction(2), (2, 1): Fraction(1),
    ...                     (0, 2): Fraction(4)}, 0)
    Fraction(3, 1)
    """
    arcs = tuple(length)
    graph = SiteGraph(sites, arcs, (0.0,) * len(arcs), ())
    parents = cheapest_from(graph, [length[arc] for arc in arcs], root)
    return sum((length[p, site] for site, p in enumerate(parents) if p >= 0), Fraction(0))


def least_length(
    sites: int, length: Mapping[Arc, Fraction], demands: Mapping[Arc, int]
) -> Fraction:
    """Return the sum of all demands, each times the shortest path between its two sites.

    >>> length = {(0, 1): Fraction(1), (1, 2): Fraction(2), (0, 2): Fraction(4)}
    >>> least_length(3, length, {(0, 2): 5})
    Fraction(15, 1)
    """
    far: dict[Arc, Fraction] = {(site, site): Fraction(0) for site in range(sites)}
    far |= length
    for via in range(sites):
        for a in range(sites):
            if (a, via) in far:
                for b in range(sites):
                    if (via, b) in far:
                        there = far[a, via] + far[via, b]
                        if (a, b) not in far or there < far[a, b]:
                            far[a, b] = there
    return sum((far[pair] * nbytes for pair, nbytes in demands.items()), Fraction(0))


def shortest(graph: SiteGraph, costs: Float64Array) -> tuple[Float64Array, Int64Array]:
    """Return the length of the shortest path from each site to each, and the site that comes next.

    Both (sites, sites) (Floyd, Commun. ACM 5 (1962) 345).
    """
    k = graph.sites
    far = np.full((k, k), np.inf)
    after = np.zeros((k, k), dtype=np.int64)
    np.fill_diagonal(far, 0.0)
    for (a, b), cost in zip(graph.arcs, costs.tolist(), strict=True):
        far[a, b] = cost
        after[a, b] = b
    for via in range(k):
        through = far[:, via, None] + far[None, via]
        nearer = through < far
        far = np.where(nearer, through, far)
        after = np.where(nearer, after[:, via, None], after)
    return far, after
