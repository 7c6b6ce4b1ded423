"""The plan of ``packed`` for a topology and a size: its trees or routes, and its pipeline.

Rates decide here, and the plan is told whole units. More pieces fill a pipeline of h stages sooner:
P of them take T (1 + (h - 1) / P) on the trunks, and P o for the overheads of the busiest leader.
The sum is least at P = sqrt((h - 1) T / o); and as long as overheads hide behind the bytes on the
trunks, more pieces cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import ceil, gcd, inf, log2, sqrt

import numpy as np

from emul.errors import CapacityError
from emul.links.limits import usual_limit
from emul.plans import Encoded, Encoding, Places, Plan, Shape, unproven_plan
from emul.plans.algorithms.packed import (
    NAME,
    TREE_COLLECTIVES,
    PackedSpec,
    Pipeline,
    SiteTree,
    asked_pipeline,
)
from emul.plans.algorithms.routed import RoutedSpec, SiteRoute
from emul.synthesis import (
    Packing,
    Routing,
    in_units,
    packed_in_time,
    pool_of,
    route,
    without_slow_arcs,
)
from emul.synthesis.graph import SiteGraph
from emul.synthesis.packing import Tree
from emul.topology import Topology
from emul.topology.network import path_costs, site_paths_of
from emul.topology.site_graph import NamedGraph, site_graph
from emul.units import PS_PER_S

__all__ = ["MOST_SITES", "packed_plan_for"]

MOST_SITES, MOST_SITES_OF_ROUTES = 64, 32
"""Of a graph whose trees are packed, or over which routes are found: up to five seconds."""

ANY_MESH, MOST_TRUNKS_OF_A_SITE = 24, 4
"""Sites up to which every two may have a trunk; of more, so many trunks for each of them: with
more, the pivots of the solver would be too many, and that is only known after seconds."""

MOST_TREES = 8
"""Of a vector, or of the blocks of a site: with more, messages get short and many."""

UNITS = 48
"""Into which a vector or a block is cut for its trees or routes."""

MOST_PIECES = 64

PART_OF_OVERHEADS = 0.125
"""Of the time on the trunks, so that they hide behind it (measured: from three quarters on, the
time rises with every piece)."""

MOST_CHANNELS = 16

MOST_ROWS = 1 << 15
"""Of a plan, beyond which it gets fewer pieces; some 0.1 s to build, prove and time."""

MOST_ROWS_AT_ALL = 1 << 18

ALL_REDUCE = "all_reduce"
ALL_TO_ALL = "all_to_all"
TURNED = ("reduce", "reduce_scatter")
ROOTED = ("broadcast", "reduce")


def packed_plan_for(
    topology: Topology, shape: Shape, encoding: Encoded, root: int, name: str = NAME
) -> Plan:
    """Return the plan of ``packed`` that suits the rates of ``topology``, not proven yet.

    ``name``: with parts, such as packed:pieces=16, these are as they say. The same sites in another
    order get the same trees. Raises ArgumentError for a part that there is not, CapacityError
    for more sites or more rows than are planned for.
    """
    collective = shape.collective.name
    if len(topology.sites) == 1:
        return unproven_plan(collective, name, topology.ranks_by_node, root=root)
    _check_size(topology, collective)
    found = _synthesis_of(topology)
    nbytes = max(1, Encoding.of(encoding).nbytes(shape.width))
    if collective in TREE_COLLECTIVES:
        return found.over_trees(shape, nbytes, root, name)
    return found.over_routes(shape, nbytes, root, name)


def _check_size(topology: Topology, collective: str) -> None:
    """Refuse a graph whose trees or routes would not be found: CapacityError."""
    sites, trunks = len(topology.sites), len(topology.trunks)
    most = MOST_SITES if collective in TREE_COLLECTIVES else MOST_SITES_OF_ROUTES
    if sites > most:
        raise CapacityError(
            f"packed over {sites} sites: needed at most {most} for {collective}; name another "
            "algorithm"
        )
    if sites > ANY_MESH and trunks > MOST_TRUNKS_OF_A_SITE * sites:
        raise CapacityError(
            f"packed over {sites} sites and {trunks} trunks: needed at most "
            f"{MOST_TRUNKS_OF_A_SITE * sites} trunks; name another algorithm"
        )


@lru_cache(maxsize=16)
def _synthesis_of(topology: Topology) -> _Synthesis:
    return _Synthesis(topology)


@dataclass(frozen=True)
class _Synthesis:
    """The graph of a topology, with its trees and routes so far."""

    topology: Topology

    @cached_property
    def places(self) -> Places:
        return Places.of(self.topology.ranks_by_node)

    @cached_property
    def named(self) -> NamedGraph:
        return site_graph(self.topology)

    @cached_property
    def pools(self) -> dict[tuple[str, tuple[float, ...] | None], tuple[Tree, ...]]:
        """The pools of trees so far, by the direction and the shares."""
        return {}

    @cached_property
    def routings(self) -> dict[tuple[str, int], tuple[Routing, ...]]:
        """The routings so far, by collective and site of the root."""
        return {}

    def _graph(self, collective: str) -> SiteGraph:
        graph = self.named.graph
        return graph.turned if collective in TURNED else graph

    def _pool(self, collective: str, shares: tuple[float, ...] | None) -> tuple[Tree, ...]:
        key = "turned" if collective in TURNED else "", shares
        if key not in self.pools:
            self.pools[key] = pool_of(self._graph(collective), shares)
        return self.pools[key]

    def over_trees(self, shape: Shape, nbytes: int, root: int, name: str) -> Plan:
        """Return the plan of trees."""
        collective, graph = shape.collective.name, self._graph(shape.collective.name)
        shares = self._shares(shape, root)
        pool = self._pool(collective, shares)
        packing, done_s = packed_in_time(graph, pool, nbytes, shares, most_trees=MOST_TREES)
        trees = self._in_units(packing, done_s)
        sending_s = max(0.0, done_s - packing.delay_s)
        pipeline = self._pipeline(collective, packing, sending_s, nbytes, trees)
        pipeline = replace(pipeline, **asked_pipeline(name))
        return PackedSpec(
            collective, name, self.places, root, trees, pipeline, self.named.sites
        ).build()

    def _shares(self, shape: Shape, root: int) -> tuple[float, ...] | None:
        """Return the part of the vector that has its root at each site of the graph."""
        collective, sites = shape.collective, self.named.sites
        if collective.name == ALL_REDUCE:
            return None
        if collective.name in ROOTED:
            at = self.places.site_of(root)
            return tuple(float(site == at) for site in sites)
        weights = np.ones(self.places.world_size)
        if shape.counts is not None and shape.table.any():
            weights = shape.table.astype(np.float64)
        by_site = np.add.reduceat(weights, np.cumsum((0, *self.places.sites[:-1]))).tolist()
        least = max(by_site) / UNITS  # each rank's block needs trees, also an empty one's
        return tuple(max(by_site[site], least) for site in sites)

    def _in_units(self, packing: Packing, done_s: float) -> tuple[SiteTree, ...]:
        """Return the trees, by the numbers of the topology, with whole shares."""
        found = []
        for group in sorted({tree.group for tree in packing.trees}):
            trees = [tree for tree in packing.trees if tree.group == group]
            sent = [tree.amount * max(done_s - tree.delay_s, 0.0) for tree in trees]
            for tree, units in zip(trees, in_units(sent, UNITS), strict=True):
                if units:
                    found.append(SiteTree(units, self._numbered(tree.parents)))
        least = gcd(*(tree.units for tree in found))
        return tuple(SiteTree(tree.units // least, tree.parents) for tree in found)

    def _numbered(self, parents: Sequence[int]) -> tuple[int, ...]:
        """Return the parents of the sites of the topology, for those of the graph's."""
        sites = self.named.sites
        found = [-1] * len(sites)
        for site, parent in enumerate(parents):
            found[sites[site]] = -1 if parent < 0 else sites[parent]
        return tuple(found)

    def _pipeline(
        self,
        collective: str,
        packing: Packing,
        sending_s: float,
        nbytes: int,
        trees: tuple[SiteTree, ...],
    ) -> Pipeline:
        """Return the pieces, leaders and channels that suit these trees."""
        load = _Load.of(self, collective, packing, sending_s)
        n, sites = self.places.world_size, self.places.sites
        turns, rows = 1, 2 * n * len(trees)  # of one piece
        if collective not in (ALL_REDUCE, *ROOTED):
            turns = max(sites)
            rows = n * sum(sites[tree.site] for tree in trees)
        if rows > MOST_ROWS_AT_ALL:
            raise CapacityError(
                f"packed over {n} ranks: {rows} transfers of a piece: needed at most "
                f"{MOST_ROWS_AT_ALL}; name another algorithm"
            )
        best = float(MOST_PIECES)
        if load.overhead_s:
            times = sending_s / load.overhead_s
            best = max(PART_OF_OVERHEADS * times, sqrt((load.stages - 1) * times))
        best = max(best, load.channels * load.leaders)
        best = min(best, nbytes / LEAST_PIECE_BYTES) / turns
        most = max(1, min(MOST_PIECES // min(turns, 8), MOST_ROWS // max(1, rows)))
        pieces = 2 ** round(log2(max(1.0, best)))
        return Pipeline(min(pieces, most), load.leaders, load.channels)

    def over_routes(self, shape: Shape, nbytes: int, root: int, name: str) -> Plan:
        """Return the plan of the routes that end soonest, slow arcs left out where that pays."""
        collective = shape.collective.name
        asked_pipeline(name)
        site = self.places.site_of(root) if collective != ALL_TO_ALL else 0
        if (collective, site) not in self.routings:
            self.routings[collective, site] = self._routings(collective, site)
        routings, block_bytes = self.routings[collective, site], nbytes / self.places.world_size
        done_s = [each.done_s(block_bytes) for each in routings]
        best = done_s.index(min(done_s))
        routes = self._in_whole_routes(routings[best], done_s[best])
        return RoutedSpec(collective, name, self.places, root, routes, self.named.sites).build()

    def _routings(self, collective: str, root_site: int) -> tuple[Routing, ...]:
        """Return the routings of a block for each two ranks: with all arcs, without slow ones."""
        graph, sites = self.named.graph, self.named.sites
        ranks = [float(self.places.sites[site]) for site in sites]
        at = sites.index(root_site)
        pairs = [(a, b) for a in range(graph.sites) for b in range(graph.sites) if a != b]
        demands = {
            ALL_TO_ALL: {(a, b): ranks[a] * ranks[b] for a, b in pairs},
            "gather": {(a, b): ranks[a] for a, b in pairs if b == at},
            "scatter": {(a, b): ranks[b] for a, b in pairs if a == at},
        }[collective]
        return tuple(route(each, demands) for each in without_slow_arcs(graph))

    def _in_whole_routes(self, routing: Routing, done_s: float) -> tuple[SiteRoute, ...]:
        """Return the routes, by the numbers of the topology, with whole shares."""
        sites, found = self.named.sites, []
        for each in routing.routes.values():
            sent = [way.amount * max(done_s - way.delay_s, 0.0) for way in each]
            shares = in_units(sent if sum(sent) else [way.amount for way in each], UNITS)
            for way, units in zip(each, shares, strict=True):
                if units:
                    found.append(SiteRoute(units, tuple(sites[site] for site in way.path)))
        least = gcd(*(way.units for way in found))
        return tuple(SiteRoute(way.units // least, way.path) for way in found)


LEAST_PIECE_BYTES = 1 << 12

SLOTS_BYTES = 4 << 20
"""In flight on a connection by default (NCCL 2.30.7: NCCL_BUFFSIZE)."""


@dataclass(frozen=True, slots=True)
class _Load:
    """How trees use the leaders: stages of the deepest, seconds of overhead for each piece."""

    stages: int
    overhead_s: float
    leaders: int
    channels: int

    @classmethod
    def of(
        cls, synthesis: _Synthesis, collective: str, packing: Packing, sending_s: float
    ) -> _Load:
        """Return the load of one piece of all trees; its leaders carry that of the NICs of one."""
        topology, sites = synthesis.topology, synthesis.named.sites
        paths = site_paths_of(topology, 0)
        k = len(sites)
        overhead, egress = np.zeros(k), np.zeros(k)
        stages, channels = 1, 1.0
        for tree in packing.trees:
            both = collective == ALL_REDUCE
            depth = _depth(tree.parents)
            stages = max(stages, 2 * depth + 1 if both else depth)
            for site, parent in _hops(tree.parents):
                path = paths[sites[parent], sites[site]]
                link, latency_ps, overhead_ps, _ = path_costs(path, topology)
                for end in (site, parent) if both else (parent,):
                    overhead[end] += overhead_ps / PS_PER_S
                    egress[end] += tree.amount
                by_slots = tree.amount / _by_slots(latency_ps / PS_PER_S)
                in_flight = tree.amount * sending_s / SLOTS_BYTES  # of all bytes at once
                by_slots = min(by_slots, 2 * in_flight)  # more would be half empty
                channels = max(channels, tree.amount / usual_limit(link).bytes_per_s, by_slots)
        nics = np.array([topology.sites[site].link.available_bytes_per_s for site in sites])
        most_ranks = np.array([topology.sites[site].ranks for site in sites])
        leaders = np.minimum(np.rint(egress / nics), most_ranks).max(initial=1)
        return cls(
            stages,
            float(overhead.max(initial=0.0)),
            max(1, int(leaders)),
            min(MOST_CHANNELS, ceil(channels)),
        )


def _by_slots(latency_s: float) -> float:
    return SLOTS_BYTES / (2 * latency_s) if latency_s else inf


def _depth(parents: Sequence[int]) -> int:
    """Return the most hops to a root."""
    deepest = 0
    for site in range(len(parents)):
        hops = 0
        while parents[site] >= 0:
            site, hops = parents[site], hops + 1
        deepest = max(deepest, hops)
    return deepest


def _hops(parents: Sequence[int]) -> list[tuple[int, int]]:
    """Return each site with its parent, and the two roots if they exchange."""
    roots = [site for site, parent in enumerate(parents) if parent < 0]
    hops = [(site, parent) for site, parent in enumerate(parents) if parent >= 0]
    return [*hops, (roots[0], roots[1])] if len(roots) > 1 else hops
