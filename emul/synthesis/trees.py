"""Cheapest trees of a graph of sites, and where the two halves of a tree meet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from emul.arrays import Float64Array
from emul.synthesis.graph import Arc, SiteGraph

__all__ = [
    "Parents",
    "cheapest_from",
    "cheapest_spanning",
    "delay_from_root_s",
    "meeting",
    "quickest_from",
]

Parents = tuple[int, ...]
"""Of each site the one before it; -1 at a root."""

Cost = float | Fraction

NO_ROOT = -1


def cheapest_spanning(graph: SiteGraph, costs: Sequence[float]) -> tuple[int, ...]:
    """Return the numbers of the edges of the cheapest spanning tree, in their order.

    ``costs``: of each of ``graph.edges``. Of trees as cheap, the one of the smaller numbers
    (Kruskal, Proc. AMS 7 (1956) 48).
    """
    group = list(range(graph.sites))

    def top(site: int) -> int:
        while group[site] != site:
            group[site] = group[group[site]]
            site = group[site]
        return site

    tree: list[int] = []
    for number in np.argsort(np.asarray(costs), kind="stable").tolist():
        a, b = (top(site) for site in graph.edges[number])
        if a != b:
            group[a] = b
            tree.append(number)
    return tuple(sorted(tree))


def cheapest_from(graph: SiteGraph, costs: Sequence[Cost], root: int) -> Parents:
    """Return the cheapest tree of arcs from ``root`` to all other sites.

    ``costs``: of each of ``graph.arcs`` (Edmonds, J. Res. NBS 71B (1967) 233).
    """
    arcs = [(cost, number, a, b) for number, (cost, (a, b)) in enumerate(
        zip(costs, graph.arcs, strict=True))]  # fmt: skip
    chosen = _cheapest(graph.sites, arcs, root)
    parents = [NO_ROOT] * graph.sites
    for number in chosen:
        a, b = graph.arcs[number]
        parents[b] = a
    return tuple(parents)


_Weighted = tuple[Cost, int, int, int]
"""Cost, number, from, to."""


def _cheapest(sites: int, arcs: list[_Weighted], root: int) -> list[int]:
    """Return the numbers of the arcs of the cheapest tree from ``root``."""
    best: dict[int, _Weighted] = {}
    for arc in arcs:
        _, _, a, b = arc
        if b != root and a != b and (b not in best or arc < best[b]):
            best[b] = arc
    circle = _circle(sites, best, root)
    if not circle:
        return [arc[1] for arc in best.values()]
    place, new = {}, 0
    for site in range(sites):
        if site not in circle:
            place[site] = new
            new += 1
    place |= dict.fromkeys(circle, new)
    less = {site: best[site][0] for site in circle}
    left = [
        (cost - less.get(b, 0), number, place[a], place[b])
        for cost, number, a, b in arcs
        if place[a] != place[b]
    ]
    ends = {number: b for _, number, _, b in arcs}
    chosen = _cheapest(new + 1, left, place[root])
    entered = {ends[number] for number in chosen if ends[number] in circle}
    return chosen + [best[site][1] for site in circle if site not in entered]


def _circle(sites: int, best: dict[int, _Weighted], root: int) -> list[int]:
    """Return the sites of a circle of the cheapest arcs into each site; none if there is none."""
    seen: dict[int, int] = {}
    for start in range(sites):
        site, path = start, []
        while site != root and site in best and site not in seen:
            seen[site] = start
            path.append(site)
            site = best[site][2]
        if path and seen.get(site) == start and site in path:
            return path[path.index(site) :]
    return []


def quickest_from(graph: SiteGraph, root: int) -> Parents:
    """Return the tree of the quickest paths from ``root``; of paths as quick, fewer arcs."""
    far: dict[int, tuple[float, int, int]] = {root: (0.0, 0, NO_ROOT)}
    todo, parents = set(range(graph.sites)), [NO_ROOT] * graph.sites
    while todo:
        here = min(todo & far.keys(), key=lambda site: (*far[site][:2], site))
        todo.remove(here)
        parents[here] = far[here][2]
        for (a, b), delay_s in zip(graph.arcs, graph.delay_s, strict=True):
            there = (far[here][0] + delay_s, far[here][1] + 1, here)
            if a == here and b in todo and (b not in far or there < far[b]):
                far[b] = there
    return tuple(parents)


def delay_from_root_s(graph: SiteGraph, parents: Parents) -> Float64Array:
    """Return the seconds from the root, or from the nearer of two, to each site: (sites,)."""
    far = np.full(graph.sites, np.nan)
    for site in range(graph.sites):
        path = [site]
        while parents[path[-1]] != NO_ROOT and np.isnan(far[path[-1]]):
            path.append(parents[path[-1]])
        if np.isnan(far[path[-1]]):
            far[path[-1]] = 0.0
        for child, parent in zip(path[-2::-1], path[:0:-1], strict=True):
            far[child] = far[parent] + graph.delay_s[graph.number_of[parent, child]]
    return far


def meeting(graph: SiteGraph, tree: Sequence[Arc]) -> tuple[Parents, float]:
    """Return the tree with the two ends of the edge where its halves meet soonest, and the delay.

    There the ends exchange, so all are done one delay sooner than with a root. Both ends are
    roots. The delay is up to the meeting, over it, and down again.
    """
    near: list[list[int]] = [[] for _ in range(graph.sites)]
    for a, b in tree:
        near[a].append(b)
        near[b].append(a)
    found = []
    for a, b in tree:
        parents = _rooted(near, a, b)
        far_s = float(delay_from_root_s(graph, parents).max())
        over_s = graph.delay_s[graph.number_of[a, b]]
        found.append((2 * far_s + over_s, parents))
    if not found:
        return (NO_ROOT,) * graph.sites, 0.0
    delay_s, parents = min(found, key=lambda each: each[0])
    return parents, delay_s


def _rooted(near: list[list[int]], a: int, b: int) -> Parents:
    """Return the parents with the ends ``a`` and ``b`` of an edge as roots."""
    parents = {a: NO_ROOT, b: NO_ROOT}
    todo = [a, b]
    while todo:
        here = todo.pop()
        for there in near[here]:
            if there not in parents:
                parents[there] = here
                todo.append(there)
    return tuple(parents[site] for site in range(len(near)))
