"""The lower bound of a collective on a topology: the largest over its cuts and counts.

Links count with the most that all transfers together can ever get: beside the least load of others,
and at the best time of a link that changes. Random effects only add to the time.

Why it holds for every algorithm. Let o be the least overhead and l the least latency of all paths
across a cut, each by itself. The first byte leaves a port at o or later. By a time e, a link of
rate r with a token bucket of b bytes has let at most r (e - o) + b bytes pass, and several links at
most the sum of this; a port has no bucket. So where X bytes have to cross, the last of them leaves
at o + (X - b) / r or later, and is there l later. The byte that waits for o and the one that waits
for l may take different paths. It is the same at the receivers' ports, which nothing reaches before
o + l. Every constraint on the same crossing, trunks, NICs, uplinks, downlinks, gives a bound of its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, combinations, product
from math import inf

import numpy as np

from emul.arrays import Int64Array
from emul.links import Link
from emul.links.bounds import (
    Cut,
    bytes_across,
    count_bound_s,
    crossing_s,
    uneven_bytes_across,
)
from emul.reading.brief import brief
from emul.topology.connection_limit import SiteConnections, connection_over
from emul.topology.model import Node, Site, Topology, Trunk
from emul.units import PS_PER_S

__all__ = ["Bounded", "lower_bound_ps"]


Ranks = tuple[range, ...]
NodeRanks = tuple[Site, Node, range]
"""A node of a site, and its ranks."""

PathCost = tuple[float, float]
"""Overhead and latency of the path between two ranks, in seconds."""

RateAndBurst = tuple[float, float]
"""Bytes per second that some links carry, and bytes that pass at once on top of that."""

ALL_SUBSETS_UP_TO = 10
"""Sites; with more of them, only single sites and their complements are cut off."""


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """A call and its topology, so that the bound can be asked for with either changed.

    The fields are the arguments of ``lower_bound_ps``; ``connection`` is how the run sends.
    """

    topology: Topology
    collective: str
    nbytes: int
    root: int
    transfers: int
    uneven_bytes: Int64Array | None
    connection: SiteConnections

    __repr__ = brief

    def by_links_ps(self) -> int:
        """Return the picoseconds that no algorithm can beat."""
        return self._ps(None)

    def by_connections_ps(self) -> int:
        """Return those that none can beat with these connections beyond a site."""
        return self._ps(self.connection)

    def _ps(self, connection: SiteConnections | None) -> int:
        return lower_bound_ps(
            self.topology,
            self.collective,
            self.nbytes,
            self.root,
            self.transfers,
            self.uneven_bytes,
            connection=connection,
        )


def lower_bound_ps(
    topology: Topology,
    collective: str,
    nbytes: int,
    root: int,
    transfers: int,
    uneven_bytes: Int64Array | None = None,
    *,
    connection: SiteConnections | None = None,
) -> int:
    """Return the picoseconds that no algorithm can beat for ``nbytes`` of whole vector.

    ``root``: of send_recv, the shift. ``uneven_bytes``: of a vector form, the bytes of each rank's
    block, (n,), or from each rank to each, (n, n). Of the run at hand, ``transfers`` at most went
    over the same link, each rounded to a picosecond; half of one per transfer is taken off, so that
    the bound holds for the rounded times as well.

    With ``connection``, the bound is for algorithms in which a rank has no more connections
    beyond its site than it says: at most the part that windows, losses and slots allow. With more
    connections, an algorithm can beat it.
    """
    if not transfers:
        return 0
    if uneven_bytes is None:
        bound_s = max(_bounds_s(topology, collective, nbytes, root, connection))
    else:
        uneven = _uneven_bounds_s(topology, collective, uneven_bytes, root, connection)
        bound_s = max(uneven, default=0.0)
    return max(0, int(bound_s * PS_PER_S * (1 - 1e-12)) - (transfers + 1) // 2)


def _uneven_bounds_s(
    topology: Topology,
    collective: str,
    nbytes: Int64Array,
    root: int,
    connection: SiteConnections | None,
) -> Iterator[float]:
    """Yield the cut bounds of a vector form; a rank without data needs no latency."""
    for cuts, sets in _cuts(topology, _machines(topology), root, connection):
        for ranks in sets:
            inside = np.zeros(len(nbytes), dtype=bool)
            for each in ranks:
                inside[each] = True
            has_root = cuts[0].has_root
            across = uneven_bytes_across(collective, nbytes, inside, has_root=has_root)
            yield max(crossing_s(*across, cut) for cut in cuts)


def _bounds_s(
    topology: Topology,
    collective: str,
    nbytes: int,
    root: int,
    connection: SiteConnections | None,
) -> Iterator[float]:
    cuts, counts = _geometry(topology, root, connection)
    n = topology.world_size
    if collective != "send_recv":
        rooted = collective in ("broadcast", "reduce", "gather", "scatter")
        yield _farthest_s(topology, root if rooted else None)
    for cut, shifted in cuts:
        across = bytes_across(collective, nbytes, cut, n)
        if collective == "send_recv":
            across = (shifted * nbytes, shifted * nbytes)
        yield crossing_s(*across, cut)
    for each in counts:
        alpha_s = each.alpha_s
        for rate, at_once in each.lines:
            yield count_bound_s(
                collective, nbytes, each.parts, rate, alpha_s, at_once_bytes=at_once
            )


@dataclass(frozen=True, slots=True)
class _Count:
    """Parts between which transfers are counted, the links that carry them, and the time of
    each."""

    parts: int
    lines: tuple[RateAndBurst, ...]
    alpha_s: float


@lru_cache(maxsize=64)
def _geometry(
    topology: Topology, root: int, connection: SiteConnections | None
) -> tuple[tuple[tuple[Cut, int], ...], tuple[_Count, ...]]:
    """Return the distinct cuts, each with how many ranks send across it by a shift of ``root``.

    And the links over which to count.
    """
    n, k = topology.world_size, len(topology.sites)
    found = {
        (cut, _shifted_out(sets[0], root, n)): None
        for cuts, sets in _cuts(topology, _unlike_machines(topology, root), root, connection)
        for cut in cuts
    }
    rate = sum(
        node.ranks * number * _rank_rate(topology, site, node)
        for site in topology.sites
        for node, number in site.runs
    )
    counts = [_Count(n, ((rate, 0.0),), _alpha_s(_all_paths(topology)))]
    if k > 1:
        trunks, sites = topology.trunks, topology.sites
        both_ways = [(2 * rate, 2 * at_once) for rate, at_once in [_over_trunks(trunks)]]
        lines = [*both_ways, _out_of(sites), _into(sites)]
        lines += _beyond_lines(sites, trunks, connection)
        alpha_s = _alpha_s(map(_trunk_path_cost, trunks))
        counts.append(_Count(k, tuple(_binding(lines)), alpha_s))
    return tuple(found), tuple(counts)


def _shifted_out(ranks: Ranks, shift: int, n: int) -> int:
    """Return how many of ``ranks`` send to a rank outside, if each sends ``shift`` further."""
    shift %= n
    by = (shift, shift - n)
    moved = [range(each.start + s, each.stop + s) for each in ranks for s in by]
    stay = sum(
        max(0, min(a.stop, b.stop) - max(a.start, b.start)) for a, b in product(ranks, moved)
    )
    return sum(map(len, ranks)) - stay


def _alpha_s(paths: Iterable[PathCost]) -> float:
    """Return the least overhead and the least latency of all ``paths`` together, each by itself."""
    overheads, latencies = zip(*paths, strict=True)
    return float(min(overheads) + min(latencies))


def _path_cost(link: Link) -> PathCost:
    """Return overhead and latency as the scheduler has them: in whole picoseconds."""
    latency_ps = round(link.latency_s * PS_PER_S) + round(link.queue_s * PS_PER_S)
    return round(link.overhead_s * PS_PER_S) / PS_PER_S, latency_ps / PS_PER_S


def _trunk_path_cost(trunk: Trunk) -> PathCost:
    overhead_s, latency_s = _path_cost(trunk.link)
    extra_s = round(trunk.changes.least_extra_delay_s * PS_PER_S) / PS_PER_S
    return overhead_s, latency_s + extra_s


def _all_paths(topology: Topology) -> Iterator[PathCost]:
    """Yield every path that a transfer can take."""
    for site in topology.sites:
        yield from (_path_cost(node.link) for node, _ in site.runs if node.ranks > 1)
        yield from [_path_cost(site.link)] if len(site.nodes) > 1 else []
    yield from map(_trunk_path_cost, topology.trunks)


def _over_trunks(trunks: Iterable[Trunk]) -> RateAndBurst:
    """Return the rate of trunks in each direction, at their best time, and the bytes of buckets."""
    chosen = list(trunks)
    rate = sum(
        trunk.link.available_bytes_per_s * trunk.changes.best_rate_factor for trunk in chosen
    )
    return rate, sum(trunk.link.others.burst_bytes for trunk in chosen)


def _out_of(sites: Iterable[Site]) -> RateAndBurst:
    chosen = list(sites)
    at_once = sum(site.uplink_burst_bytes for site in chosen)
    return sum(site.uplink_bytes_per_s for site in chosen), at_once


def _into(sites: Iterable[Site]) -> RateAndBurst:
    return sum(site.into_bytes_per_s for site in sites), 0.0


def _binding(lines: Iterable[RateAndBurst]) -> Iterator[RateAndBurst]:
    """Yield those ``lines`` that can bind: of those that let nothing pass at once, the slowest."""
    steady = inf
    for rate, at_once in lines:
        if at_once and rate < inf:
            yield rate, at_once
        elif not at_once:
            steady = min(steady, rate)
    yield steady, 0.0


def _machines(topology: Topology) -> Iterator[NodeRanks]:
    """Yield every node."""
    first = 0
    for site in topology.sites:
        for node in site.nodes:
            yield site, node, range(first, first + node.ranks)
            first += node.ranks


def _unlike_machines(topology: Topology, root: int) -> Iterator[NodeRanks]:
    """Yield one of every kind of nodes: of equal ones in a row the root's, and another one."""
    first = 0
    for site in topology.sites:
        for node, number in site.runs:
            own = (root - first) // node.ranks if first <= root else -1
            for each in {own, 0 if own else number - 1} & set(range(number)):
                start = first + each * node.ranks
                yield site, node, range(start, start + node.ranks)
            first += node.ranks * number


def _cuts(
    topology: Topology, machines: Iterable[NodeRanks], root: int, connection: SiteConnections | None
) -> Iterator[tuple[list[Cut], list[Ranks]]]:
    """Yield the cuts, as many as can bind, with the sets of ranks that they may stand for."""
    for site, node, ranks in machines:
        for cut, sets in _inner_cuts(topology, site, node, ranks, root):
            yield [cut], sets
    k = len(topology.sites)
    for inside in _subsets(k):
        yield _sites_cut(topology, inside, root, connection)


def _subsets(k: int) -> Iterator[frozenset[int]]:
    """Yield the proper subsets of k sites that are to be cut off."""
    sizes = range(1, k) if k <= ALL_SUBSETS_UP_TO else sorted({1, k - 1})
    for size in sizes:
        for chosen in combinations(range(k), size):
            yield frozenset(chosen)


def _inner_cuts(
    topology: Topology, site: Site, node: Node, ranks: range, root: int
) -> Iterator[tuple[Cut, list[Ranks]]]:
    """Yield the cuts around a node of ``ranks`` and around each of them."""
    n = topology.world_size
    outer = _outer_paths(topology, site)
    inner = [_path_cost(node.link)] if node.ranks > 1 else []
    rate = _rank_rate(topology, site, node)
    if outer + inner:
        for has_root in (True, False):
            alike: list[Ranks] = [
                (range(rank, rank + 1),) for rank in ranks if (rank == root) == has_root
            ]
            if alike:
                yield Cut(1 / n, has_root, rate, rate, _alpha_s(outer + inner)), alike
    if outer:
        nics = node.ranks * site.link.available_bytes_per_s
        yield Cut(node.ranks / n, root in ranks, nics, nics, _alpha_s(outer)), [(ranks,)]


def _outer_paths(topology: Topology, site: Site) -> list[PathCost]:
    """Return every path out of a node of ``site``."""
    fabric = [_path_cost(site.link)] if len(site.nodes) > 1 else []
    trunks = [_trunk_path_cost(trunk) for trunk in topology.trunks if site.name in trunk.sites]
    return fabric + trunks


def _rank_rate(topology: Topology, site: Site, node: Node) -> float:
    """Return the rate of all ports of a rank that lead anywhere."""
    inside = node.link.available_bytes_per_s if node.ranks > 1 else 0.0
    beyond = len(site.nodes) > 1 or len(topology.sites) > 1
    return inside + (site.link.available_bytes_per_s if beyond else 0.0)


def _sites_cut(
    topology: Topology, inside: frozenset[int], root: int, connection: SiteConnections | None
) -> tuple[list[Cut], list[Ranks]]:
    names = {topology.sites[i].name for i in inside}
    crossing = [trunk for trunk in topology.trunks if len(names & set(trunk.sites)) == 1]
    members = [topology.sites[i] for i in inside]
    others = [site for site in topology.sites if site.name not in names]
    both = [_over_trunks(crossing)]
    both += _beyond_lines(members, crossing, connection)
    both += _beyond_lines(others, crossing, connection)
    out = list(_binding([*both, _out_of(members), _into(others)]))
    into = list(_binding([*both, _out_of(others), _into(members)]))
    edges = [0, *accumulate(site.ranks for site in topology.sites)]
    ranks = tuple(range(edges[i], edges[i + 1]) for i in sorted(inside))
    first = Cut(
        share=sum(map(len, ranks)) / topology.world_size,
        has_root=any(root in each for each in ranks),
        out_bytes_per_s=inf,
        in_bytes_per_s=inf,
        alpha_s=_alpha_s(map(_trunk_path_cost, crossing)),
    )
    leaving = (replace(first, out_bytes_per_s=rate, out_at_once_bytes=b) for rate, b in out)
    entering = (replace(first, in_bytes_per_s=rate, in_at_once_bytes=b) for rate, b in into)
    return [*leaving, *entering], [ranks]


def _beyond_lines(
    sites: Iterable[Site], trunks: Iterable[Trunk], connection: SiteConnections | None
) -> Iterator[RateAndBurst]:
    """Yield the rate of the NICs of ``sites``, and their ranks' connections over ``trunks``."""
    chosen, crossing = list(sites), list(trunks)
    yield sum(site.ranks * site.link.available_bytes_per_s for site in chosen), 0.0
    if connection is None:
        return
    alpha_s = _alpha_s(map(_trunk_path_cost, crossing))
    each = [connection_over(trunk, connection, alpha_s) for trunk in crossing]
    for kind in zip(*each, strict=True):
        rate, at_once = connection.number * max(r for r, _ in kind), max(b for _, b in kind)
        slow = [site for site in chosen if rate < site.link.available_bytes_per_s]
        yield (
            sum(site.ranks * min(rate, site.link.available_bytes_per_s) for site in chosen),
            sum(site.ranks for site in slow) * connection.number * at_once,
        )


def _site_of(topology: Topology, rank: int) -> int:
    for index, site in enumerate(topology.sites):
        if rank < site.ranks:
            return index
        rank -= site.ranks
    raise AssertionError("a root is a rank")


@lru_cache(maxsize=64)
def _farthest_s(topology: Topology, root: int | None) -> float:
    """Return the least time in which news from or to the root, or anyone, has gone everywhere.

    Relays at other sites are used where they are faster.
    """
    names = [site.name for site in topology.sites]
    k = len(names)
    far = [[0.0 if a == b else float("inf") for b in range(k)] for a in range(k)]
    for trunk in topology.trunks:
        a, b = (names.index(name) for name in trunk.sites)
        far[a][b] = far[b][a] = sum(_trunk_path_cost(trunk))
    for via in range(k):
        for a in range(k):
            for b in range(k):
                far[a][b] = min(far[a][b], far[a][via] + far[via][b])
    return max(max(row) for row in (far if root is None else [far[_site_of(topology, root)]]))
