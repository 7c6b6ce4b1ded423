"""Bytes from sites to sites over paths with relays, in the least time for the busiest limit.

The largest part of all demands that flows at the same time (concurrent multi-commodity flow), by
columns: each is a path, the shortest at the prices so far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

import numpy as np

from emul.arrays import Float64Array, Int64Array
from emul.synthesis.graph import Arc, SiteGraph
from emul.synthesis.prices import shortest
from emul.synthesis.simplex import TOLERANCE, Column, maximise

__all__ = ["Route", "Routing", "route"]

THETA = "theta"


@dataclass(frozen=True, slots=True)
class Route:
    """The sites on a path, both ends included, the seconds over it, and bytes per second."""

    path: tuple[int, ...]
    delay_s: float
    amount: float


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of each pair of sites; the demands' part per second; ``prices`` of the limits."""

    routes: Mapping[Arc, tuple[Route, ...]]
    parts_per_s: float
    prices: tuple[float, ...]

    def done_s(self, part: float) -> float:
        """Return when so many times the demands have arrived.

        A route of delay d at a rate x delivers x (T - d) bytes by T; the last pair counts.
        """
        late = (
            sum(each.amount * each.delay_s for each in several)
            / sum(each.amount for each in several)
            for several in self.routes.values()
        )
        return part / self.parts_per_s + max(late)


def route(graph: SiteGraph, demands: Mapping[Arc, float]) -> Routing:
    """Return the routes for ``demands``, bytes from each site to others, that end soonest.

    The last ones are kept. Raises CapacityError where that takes too many pivots.
    """
    return _routed(graph, tuple(sorted(demands.items())))


@lru_cache(maxsize=16)
def _routed(graph: SiteGraph, given: tuple[tuple[Arc, float], ...]) -> Routing:
    demands = dict(given)
    pairs = [pair for pair, nbytes in given if nbytes > 0]
    limits = len(graph.limits)
    wanted = np.array([demands[pair] for pair in pairs])
    wanted /= wanted.sum()
    ends = np.array(pairs, dtype=np.int64).T

    def price(prices: Float64Array, left: Float64Array) -> Column | None:
        values = prices[limits:]
        if float((wanted * values).sum()) < 1 - TOLERANCE:
            return Column(THETA, np.concatenate([np.zeros(limits), wanted]), 1.0)
        costs = (graph.loads * prices[:limits]).sum(axis=1)
        far, after = shortest(graph, costs + graph.fullness(left[:limits]))
        best = int(np.argmax(values - far[ends[0], ends[1]]))
        path = _path(after, pairs[best])
        takes = np.zeros(limits + len(pairs))
        takes[:limits] = graph.loads[_arcs(graph, path)].sum(axis=0)
        takes[limits + best] = -1.0
        if float((takes * prices).sum()) >= -TOLERANCE:
            return None
        return Column((best, path), takes, 0.0)

    answer = maximise(np.concatenate([graph.rates, np.zeros(len(pairs))]), price)
    found: dict[Arc, list[Route]] = {pair: [] for pair in pairs}
    for key, amount in answer.amounts.items():
        if key != THETA:
            number, path = cast(Any, key)
            found[pairs[number]].append(_route(graph, path, amount))
    routes = {pair: _in_order(graph, pair, each) for pair, each in found.items()}
    parts = answer.gain / sum(demands[pair] for pair in pairs)
    return Routing(routes, parts, tuple(answer.prices[:limits].tolist()))


def _in_order(graph: SiteGraph, pair: Arc, found: Sequence[Route]) -> tuple[Route, ...]:
    """Return the routes of a pair, the shortest first; the quickest one where there is none."""
    if not found:
        _, after = shortest(graph, np.array(graph.delay_s))
        return (_route(graph, _path(after, pair), 1.0),)
    return tuple(sorted(found, key=lambda each: (len(each.path), -each.amount, each.path)))


def _route(graph: SiteGraph, path: tuple[int, ...], amount: float) -> Route:
    return Route(path, sum(graph.delay_s[arc] for arc in _arcs(graph, path)), amount)


def _path(after: Int64Array, pair: Arc) -> tuple[int, ...]:
    """Return the sites on the way; ``after``: (sites, sites), the next one from each to each."""
    path = [pair[0]]
    while path[-1] != pair[1]:
        path.append(int(after[path[-1], pair[1]]))
    return tuple(path)


def _arcs(graph: SiteGraph, path: Sequence[int]) -> list[int]:
    return [graph.number_of[arc] for arc in pairwise(path)]
