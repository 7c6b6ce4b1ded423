"""Few trees for a vector of a given size: their delays count, not their rates alone.

A tree of delay d that runs at a rate x to a horizon T delivers x (T - d) bytes (Ford and
Fulkerson, Oper. Res. 6 (1958) 419). The horizon by which some trees deliver all bytes is lowered
step by step, each with the best rates for the last one. The trees are chosen from a pool: the best
packings without the slowest arcs, and the trees of quickest paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from emul.synthesis.graph import SiteGraph
from emul.synthesis.packing import (
    Packing,
    Tree,
    pack_spanning_trees,
    pack_trees_from,
    restricted,
)
from emul.synthesis.trees import delay_from_root_s, meeting, quickest_from

__all__ = ["packed_in_time", "pool_of", "without_slow_arcs"]

MOST_THRESHOLDS = 4
"""Delays that arcs of the pool's packings may have at most."""

FEW_SITES = 8
"""Of more of them, the packing of all arcs is the pool's only one: it takes most of a second."""

MOST_STEPS = 12

CLOSE = 1e-4
"""A horizon that is lowered by less than this part stays."""


def pool_of(graph: SiteGraph, shares: Sequence[float] | None) -> tuple[Tree, ...]:
    """Return trees to choose from; ``shares`` of the sites, or None for trees up and down."""
    found: dict[tuple[object, ...], Tree] = {}
    packings = [_packed(each, shares) for each in without_slow_arcs(graph)]
    for tree in [*(tree for each in packings for tree in each.trees), *_quickest(graph, shares)]:
        found.setdefault((tree.group, tree.parents), replace(tree, amount=0.0))
    return tuple(found.values())


def _packed(graph: SiteGraph, shares: Sequence[float] | None) -> Packing:
    return pack_spanning_trees(graph) if shares is None else pack_trees_from(graph, shares)


def without_slow_arcs(graph: SiteGraph) -> Iterator[SiteGraph]:
    """Yield the graph, and of few sites the same without its slowest arcs, while it is joined."""
    yield graph
    delays = sorted(set(graph.delay_s))
    fits = [each for each in delays[:-1] if graph.slower_left_out(each).joins_all]
    most = MOST_THRESHOLDS if graph.sites <= FEW_SITES else 0
    for number in sorted({round(i * (len(fits) - 1) / max(1, most - 1)) for i in range(most)}):
        if fits:
            yield graph.slower_left_out(fits[number])


def _quickest(graph: SiteGraph, shares: Sequence[float] | None) -> Iterator[Tree]:
    """Yield the trees of quickest paths: from each site, or from those that have a share."""
    roots = [s for s in range(graph.sites) if shares is None or shares[s] > 0]
    for group, root in enumerate(roots):
        parents = quickest_from(graph, root)
        if shares is None:
            edges = [(min(s, p), max(s, p)) for s, p in enumerate(parents) if p >= 0]
            parents, delay_s = meeting(graph, edges)
            yield Tree(parents, delay_s, 0.0)
        else:
            yield Tree(parents, float(delay_from_root_s(graph, parents).max()), 0.0, group)


def packed_in_time(
    graph: SiteGraph,
    pool: Sequence[Tree],
    nbytes: float,
    shares: Sequence[float] | None,
    *,
    most_trees: int,
) -> tuple[Packing, float]:
    """Return the trees of the ``pool`` that deliver ``nbytes`` soonest, and by when: seconds.

    At most ``most_trees`` of each share. Without the others, the rates are worked out anew.
    """
    wanted = [1.0] if shares is None else [s / sum(shares) for s in shares if s > 0]
    best = restricted(graph, pool, wanted, None)
    horizon_s = _done_s(best, nbytes, wanted)
    for _ in range(MOST_STEPS):
        found = restricted(graph, pool, wanted, horizon_s)
        done_s = _done_s(found, nbytes, wanted)
        if not done_s < horizon_s * (1 - CLOSE):
            break
        best, horizon_s = found, done_s
    few = _heaviest(best, len(wanted), most_trees)
    if len(few) < len(best.trees):
        best = restricted(graph, few, wanted, horizon_s)
        horizon_s = _done_s(best, nbytes, wanted)
    return best, horizon_s


def _done_s(packing: Packing, nbytes: float, shares: Sequence[float]) -> float:
    """Return when the trees, at their rates, have delivered all: the last share counts."""
    last = 0.0
    for group, share in enumerate(shares):
        trees = [tree for tree in packing.trees if tree.group == group]
        rate = sum(tree.amount for tree in trees)
        if not rate:
            return float("inf")
        sent = sum(tree.amount * tree.delay_s for tree in trees)
        last = max(last, (share * nbytes + sent) / rate)
    return last


def _heaviest(packing: Packing, groups: int, most: int) -> list[Tree]:
    by_group = ([t for t in packing.trees if t.group == group] for group in range(groups))
    return [tree for trees in by_group for tree in trees[:most]]
