"""Trees that together carry the most bytes per second, and the prices that prove it.

Up and down: a spanning tree that carries x bytes per second loads each of its edges with x either
way. The most is the worst partition's rate across over its parts less one (Tutte, J. London Math.
Soc. 36 (1961) 221; Nash-Williams, ibid. 445), found by columns: cheapest spanning trees at the
prices so far. One way, from a root for each share: the most is the worst cut's (Edmonds, in
Combinatorial Algorithms, 1973), the columns are cheapest trees of arcs.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from emul.arrays import Float64Array
from emul.synthesis.graph import Arc, SiteGraph
from emul.synthesis.simplex import TOLERANCE, Answer, Column, maximise
from emul.synthesis.trees import (
    Parents,
    cheapest_from,
    cheapest_spanning,
    delay_from_root_s,
    meeting,
)

__all__ = ["Packing", "Tree", "pack_spanning_trees", "pack_trees_from", "restricted"]

THETA = "theta"
"""The key of the column of all shares together."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of sites, the seconds over it, and the ``bytes_per_s`` or bytes that it carries.

    ``group``: the number of the share that it is for, 0 where there is one vector.
    """

    parents: Parents
    delay_s: float
    amount: float
    group: int = 0


@dataclass(frozen=True, slots=True)
class Packing:
    """Trees that carry ``bytes_per_s`` in all; ``prices`` of each limit of the graph, (limits,)."""

    trees: tuple[Tree, ...]
    bytes_per_s: float
    prices: tuple[float, ...]

    @property
    def delay_s(self) -> float:
        """The longest delay of its trees."""
        return max((tree.delay_s for tree in self.trees), default=0.0)


def pack_spanning_trees(graph: SiteGraph) -> Packing:
    """Return the spanning trees, used up and down, that carry the most bytes per second."""
    both = _both_ways(graph)
    rows, merged = _distinct(both, graph.rates)
    there = [graph.number_of[edge] for edge in graph.edges]
    emptied = np.zeros(len(graph.limits))

    def price(prices: Float64Array, left: Float64Array) -> Column | None:
        emptied[rows] = left
        costs = (merged * prices).sum(axis=1) + graph.fullness(emptied)[there]
        tree = cheapest_spanning(graph, costs)
        takes = merged[list(tree)].sum(axis=0)
        if float((takes * prices).sum()) >= 1 - TOLERANCE:
            return None
        return Column(tree, takes, 1.0)

    answer = maximise(graph.rates[rows], price)
    trees = [
        _met(graph, [graph.edges[edge] for edge in cast(tuple[int, ...], key)], amount)
        for key, amount in answer.amounts.items()
    ]
    prices = np.zeros(len(graph.limits))
    prices[rows] = answer.prices
    return Packing(tuple(sorted(trees, key=_heaviest)), answer.gain, tuple(prices.tolist()))


def pack_trees_from(graph: SiteGraph, demands: Sequence[float]) -> Packing:
    """Return trees from each site that carry the most of all ``demands`` together, (sites,).

    Amounts are in bytes per second where the demands add up to 1.
    """
    roots = [site for site, demand in enumerate(demands) if demand > 0]
    limits = len(graph.limits)
    shares = np.array([demands[root] for root in roots]) / sum(demands)
    turn = 0

    def price(prices: Float64Array, left: Float64Array) -> Column | None:
        nonlocal turn
        theta = _theta(limits, shares, prices)
        if theta is not None:
            return theta
        costs = (graph.loads * prices[:limits]).sum(axis=1) + graph.fullness(left[:limits])
        for _ in roots:
            group = turn % len(roots)
            turn += 1
            parents = cheapest_from(graph, costs.tolist(), roots[group])
            takes = _taken_by(graph, parents, group, len(roots))
            if float((takes * prices).sum()) < -TOLERANCE:
                return Column((group, parents), takes, 0.0)
        return None

    scaled = np.concatenate([graph.rates, np.zeros(len(roots))])
    answer = maximise(scaled, price)
    trees = [
        _from_root(graph, cast(Any, key), amount)
        for key, amount in answer.amounts.items()
        if key != THETA
    ]
    prices = tuple(answer.prices[:limits].tolist())
    return Packing(tuple(sorted(trees, key=_heaviest)), answer.gain, prices)


def restricted(
    graph: SiteGraph, trees: Sequence[Tree], shares: Sequence[float], horizon_s: float | None
) -> Packing:
    """Return how much these ``trees`` alone carry: in bytes by ``horizon_s``, if that is given.

    A tree that runs at a rate x until then delivers x (horizon - delay) bytes. ``shares`` of the
    groups of trees add up to 1; amounts are rates.
    """
    used = [tree for tree in trees if horizon_s is None or tree.delay_s < horizon_s]
    both = _both_ways(graph) if shares == [1.0] and _two_roots(trees) else None
    limits, groups = len(graph.limits), len(shares)
    takes = np.zeros((len(used), limits + groups))
    for row, tree in enumerate(used):
        if both is None:
            takes[row] = _taken_by(graph, tree.parents, tree.group, groups)
        else:
            edges = [graph.edges.index(edge) for edge in _edges(tree.parents)]
            takes[row, :limits] = both[edges].sum(axis=0)
            takes[row, limits] = -1.0
        takes[row, limits:] *= 1.0 if horizon_s is None else horizon_s - tree.delay_s
    weights = np.array(shares)

    def price(prices: Float64Array, left: Float64Array) -> Column | None:
        theta = _theta(limits, weights, prices)
        if theta is not None:
            return theta
        costs = (takes * prices).sum(axis=1)
        best = int(np.argmin(costs)) if len(used) else 0
        if not len(used) or costs[best] >= -TOLERANCE:
            return None
        return Column(best, takes[best], 0.0)

    answer = maximise(np.concatenate([graph.rates, np.zeros(groups)]), price)
    return _chosen(used, answer, limits)


def _chosen(used: list[Tree], answer: Answer, limits: int) -> Packing:
    trees = [
        Tree(used[key].parents, used[key].delay_s, amount, used[key].group)
        for key, amount in answer.amounts.items()
        if isinstance(key, int)
    ]
    prices = tuple(answer.prices[:limits].tolist())
    return Packing(tuple(sorted(trees, key=_heaviest)), answer.gain, prices)


def _theta(limits: int, shares: Float64Array, prices: Float64Array) -> Column | None:
    """Return the column of all shares together, if it gains more than it costs."""
    cost = float((shares * prices[limits:]).sum())
    if cost >= 1 - TOLERANCE:
        return None
    return Column(THETA, np.concatenate([np.zeros(limits), shares]), 1.0)


def _both_ways(graph: SiteGraph) -> Float64Array:
    """Return how often each edge, used either way, is carried by each limit: (edges, limits)."""
    there = [graph.number_of[edge] for edge in graph.edges]
    both: Float64Array = graph.loads[there] + graph.loads[graph.back[there]]
    return both


def _distinct(takes: Float64Array, rates: Float64Array) -> tuple[list[int], Float64Array]:
    """Return the limits that can bind: of those that carry the same, the least."""
    least: dict[Hashable, int] = {}
    for limit in range(takes.shape[1]):
        key = takes[:, limit].tobytes()
        if takes[:, limit].any() and (key not in least or rates[limit] < rates[least[key]]):
            least[key] = limit
    rows = sorted(least.values())
    return rows, np.ascontiguousarray(takes[:, rows])


def _taken_by(graph: SiteGraph, parents: Parents, group: int, groups: int) -> Float64Array:
    """Return what a tree from its root takes of each limit and each group."""
    arcs = [graph.number_of[p, site] for site, p in enumerate(parents) if p >= 0]
    takes = np.zeros(len(graph.limits) + groups)
    takes[: len(graph.limits)] = graph.loads[arcs].sum(axis=0)
    takes[len(graph.limits) + group] = -1.0
    return takes


def _met(graph: SiteGraph, edges: Sequence[Arc], amount: float) -> Tree:
    parents, delay_s = meeting(graph, edges)
    return Tree(parents, delay_s, amount)


def _from_root(graph: SiteGraph, key: tuple[int, Parents], amount: float) -> Tree:
    group, parents = key
    return Tree(parents, float(delay_from_root_s(graph, parents).max()), amount, group)


def _edges(parents: Parents) -> list[Arc]:
    """Return the edges of a tree of two roots, and the one between these."""
    roots = [site for site, parent in enumerate(parents) if parent < 0]
    edges = [(min(s, p), max(s, p)) for s, p in enumerate(parents) if p >= 0]
    return [*edges, (roots[0], roots[-1])]


def _two_roots(trees: Sequence[Tree]) -> bool:
    return all(sum(parent < 0 for parent in tree.parents) == 2 for tree in trees)


def _heaviest(tree: Tree) -> tuple[int, float, Parents]:
    return tree.group, -tree.amount, tree.parents
