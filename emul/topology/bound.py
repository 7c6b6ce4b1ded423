"""The lower bound of a collective on a topology: the largest over its cuts and counts.

Links count with what all transfers together can ever get: what others leave of them, and at the
best time of a link that changes. What happens by chance only adds to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, combinations
from math import inf

import numpy as np
import numpy.typing as npt

from emul.links import Link
from emul.links.bounds import (
    Cut,
    count_bound_s,
    crossing_s,
    cut_bound_s,
    uneven_bytes_across,
)
from emul.links.limits import connection_limit
from emul.topology.model import Node, Site, Topology, Trunk
from emul.units import PS_PER_S

__all__ = ["lower_bound_ps"]

Int64Array = npt.NDArray[np.int64]

Ranks = tuple[range, ...]
Machine = tuple[Site, Node, range]
"""A node of a site, and its ranks."""

ALL_SUBSETS_UP_TO = 10
"""Sites; with more of them, only single sites and their complements are cut off."""


def lower_bound_ps(
    topology: Topology,
    collective: str,
    nbytes: int,
    root: int,
    transfers: int,
    uneven_bytes: Int64Array | None = None,
    *,
    slots_bytes: float | None = None,
) -> int:
    """Return the picoseconds that no algorithm can beat for ``nbytes`` of whole vector.

    ``uneven_bytes``: of a vector form, the bytes of each rank's block, (n,), or from each rank to
    each, (n, n). Of the run at hand, ``transfers`` at most went over the same link, each rounded to
    a picosecond; half of one per transfer is taken off, so that the bound holds for the rounded
    times as well.

    With ``slots_bytes``, what slots let a connection have in flight (infinity: anything), the bound
    is that of algorithms in which each rank keeps one connection beyond its site busy: at most what
    windows, losses and slots leave of a connection. More connections at once can beat it.
    """
    if not transfers:
        return 0
    if uneven_bytes is None:
        bound_s = max(_bounds_s(topology, collective, nbytes, root, slots_bytes))
    else:
        uneven = _uneven_bounds_s(topology, collective, uneven_bytes, root, slots_bytes)
        bound_s = max(uneven, default=0.0)
    bound_s -= topology.burst_credit_s
    return max(0, int(bound_s * PS_PER_S * (1 - 1e-12)) - (transfers + 1) // 2)


def _uneven_bounds_s(
    topology: Topology, collective: str, nbytes: Int64Array, root: int, slots_bytes: float | None
) -> Iterator[float]:
    """Yield the cut bounds of a vector form; whoever has nothing to tell needs no latency."""
    for cut, sets in _cuts(topology, _machines(topology), root, slots_bytes):
        for ranks in sets:
            inside = np.zeros(len(nbytes), dtype=bool)
            for each in ranks:
                inside[each] = True
            across = uneven_bytes_across(collective, nbytes, inside, has_root=cut.has_root)
            yield crossing_s(*across, cut)


def _bounds_s(
    topology: Topology, collective: str, nbytes: int, root: int, slots_bytes: float | None
) -> Iterator[float]:
    cuts, parts = _geometry(topology, root, slots_bytes)
    if collective != "send_recv":
        rooted = collective in ("broadcast", "reduce", "gather", "scatter")
        yield _farthest_s(topology, root if rooted else None)
    for cut in cuts:
        yield cut_bound_s(collective, nbytes, cut, topology.world_size)
    for number, all_rate, alpha_s in parts:
        yield count_bound_s(collective, nbytes, number, all_rate, alpha_s)


@lru_cache(maxsize=64)
def _geometry(
    topology: Topology, root: int, slots_bytes: float | None
) -> tuple[tuple[Cut, ...], tuple[tuple[int, float, float], ...]]:
    """Return the distinct cuts, and the (parts, sum of rates, least alpha) to count over."""
    found = _cuts(topology, _unlike_machines(topology, root), root, slots_bytes)
    cuts = tuple(dict.fromkeys(cut for cut, _ in found))
    n, k = topology.world_size, len(topology.sites)
    alpha_s = min(cut.alpha_s for cut in cuts)
    rate = sum(
        node.ranks * number * _rank_rate(topology, site, node)
        for site in topology.sites
        for node, number in site.runs
    )
    parts = [(n, rate, alpha_s)]
    if k > 1:
        both_ways = min(2 * sum(map(_trunk_rate, topology.trunks)), _out_of(topology.sites))
        both_ways = min(both_ways, _into(topology.sites))
        both_ways = min(both_ways, _beyond_rate(topology.sites, topology.trunks, slots_bytes))
        parts.append((k, both_ways, min(map(_trunk_alpha_s, topology.trunks))))
    return cuts, tuple(parts)


def _alpha_s(link: Link) -> float:
    return link.overhead_s + link.latency_s + link.queue_s


def _trunk_alpha_s(trunk: Trunk) -> float:
    return _alpha_s(trunk.link) + trunk.changes.least_extra_delay_s


def _trunk_rate(trunk: Trunk) -> float:
    return trunk.link.available_bytes_per_s * trunk.changes.best_rate_factor


def _out_of(sites: Iterable[Site]) -> float:
    return sum(site.uplink_bytes_per_s for site in sites)


def _into(sites: Iterable[Site]) -> float:
    return sum(site.into_bytes_per_s for site in sites)


def _machines(topology: Topology) -> Iterator[Machine]:
    """Yield every node."""
    first = 0
    for site in topology.sites:
        for node in site.nodes:
            yield site, node, range(first, first + node.ranks)
            first += node.ranks


def _unlike_machines(topology: Topology, root: int) -> Iterator[Machine]:
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
    topology: Topology, machines: Iterable[Machine], root: int, slots_bytes: float | None
) -> Iterator[tuple[Cut, list[Ranks]]]:
    """Yield the cuts, each with the sets of ranks that it may stand for."""
    for site, node, ranks in machines:
        yield from _inner_cuts(topology, site, node, ranks, root)
    k = len(topology.sites)
    for inside in _subsets(k):
        yield _sites_cut(topology, inside, root, slots_bytes)


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
    outer = _outer_alphas_s(topology, site)
    inner = [_alpha_s(node.link)] if node.ranks > 1 else []
    rate = _rank_rate(topology, site, node)
    if outer + inner:
        for has_root in (True, False):
            alike: list[Ranks] = [
                (range(rank, rank + 1),) for rank in ranks if (rank == root) == has_root
            ]
            if alike:
                yield Cut(1 / n, has_root, rate, rate, min(outer + inner)), alike
    if outer:
        nics = node.ranks * site.link.available_bytes_per_s
        yield Cut(node.ranks / n, root in ranks, nics, nics, min(outer)), [(ranks,)]


def _outer_alphas_s(topology: Topology, site: Site) -> list[float]:
    """Return the overhead plus latency of every way out of a node of ``site``."""
    fabric = [_alpha_s(site.link)] if len(site.nodes) > 1 else []
    trunks = [_trunk_alpha_s(trunk) for trunk in topology.trunks if site.name in trunk.sites]
    return fabric + trunks


def _rank_rate(topology: Topology, site: Site, node: Node) -> float:
    """Return the rate of all ports of a rank that lead anywhere."""
    inside = node.link.available_bytes_per_s if node.ranks > 1 else 0.0
    beyond = len(site.nodes) > 1 or len(topology.sites) > 1
    return inside + (site.link.available_bytes_per_s if beyond else 0.0)


def _sites_cut(
    topology: Topology, inside: frozenset[int], root: int, slots_bytes: float | None
) -> tuple[Cut, list[Ranks]]:
    names = {topology.sites[i].name for i in inside}
    crossing = [trunk for trunk in topology.trunks if len(names & set(trunk.sites)) == 1]
    members = [topology.sites[i] for i in inside]
    others = [site for site in topology.sites if site.name not in names]
    rate = min(
        sum(map(_trunk_rate, crossing)),
        _beyond_rate(members, crossing, slots_bytes),
        _beyond_rate(others, crossing, slots_bytes),
    )
    out = min(rate, _out_of(members), _into(others))
    into = min(rate, _out_of(others), _into(members))
    edges = [0, *accumulate(site.ranks for site in topology.sites)]
    ranks = tuple(range(edges[i], edges[i + 1]) for i in sorted(inside))
    share, alpha_s = sum(map(len, ranks)) / topology.world_size, min(map(_trunk_alpha_s, crossing))
    has_root = any(root in each for each in ranks)
    return Cut(share, has_root, out, into, alpha_s), [ranks]


def _beyond_rate(
    sites: Iterable[Site], trunks: Sequence[Trunk], slots_bytes: float | None
) -> float:
    """Return the rate of all NICs of ``sites``, or of one connection over a trunk each."""
    connection = inf
    if slots_bytes is not None:
        connection = max(_connection_rate(trunk, slots_bytes) for trunk in trunks)
    return sum(site.ranks * min(site.link.available_bytes_per_s, connection) for site in sites)


def _connection_rate(trunk: Trunk, slots_bytes: float) -> float:
    """Return the most that one connection over a trunk gets, at the trunk's best time."""
    link, rate = trunk.link, _trunk_rate(trunk)
    rtt_s = link.rtt_s + 2 * trunk.changes.least_extra_delay_s
    limit = connection_limit(link, rate_bytes_per_s=rate, rtt_s=rtt_s).bytes_per_s
    in_slots = slots_bytes if not link.transport.window_bytes else inf
    return min(rate, limit, in_slots / rtt_s if rtt_s else inf)


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
        far[a][b] = far[b][a] = _trunk_alpha_s(trunk)
    for via in range(k):
        for a in range(k):
            for b in range(k):
                far[a][b] = min(far[a][b], far[a][via] + far[via][b])
    return max(max(row) for row in (far if root is None else [far[_site_of(topology, root)]]))
