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

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate, combinations, product
from math import inf, prod

import numpy as np

from emul.arrays import Int64Array
from emul.links import Changes, Link, State
from emul.links.bounds import (
    Cut,
    Line,
    bytes_across,
    count_bound_s,
    crossing_s,
    transfers_counted,
    uneven_bytes_across,
)
from emul.topology.bound_reason import Label
from emul.topology.connection_limit import SiteConnections, connection_over
from emul.topology.min_cuts import min_cuts
from emul.topology.model import Node, Site, Topology, Trunk
from emul.topology.network import SitePath, path_costs, site_paths_of
from emul.topology.price_bound import Priced, priced
from emul.units import PS_PER_S

__all__ = ["Term", "bound_terms", "lower_bound_ps", "prices_of"]


Ranks = tuple[range, ...]
NodeRanks = tuple[Site, Node, range]
"""A node of a site, and its ranks."""

PathCost = tuple[float, float]
"""Overhead and latency of the path between two ranks, in seconds."""

RateAndBurst = tuple[float, float]
"""Bytes per second that some links carry, and bytes that pass at once on top of that."""

Term = tuple[float, Label, float]
"""The seconds of a constraint, its name, and the bytes that have to pass."""

ROOTED = ("broadcast", "reduce", "gather", "scatter")

ALL_SUBSETS_UP_TO = 10
"""Places; of more of them single ones are cut off, and the parts that the least capacity joins."""


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
    bounds = bound_terms(topology, collective, nbytes, root, uneven_bytes, connection)
    bound_s = max((seconds for seconds, _, _ in bounds), default=0.0)
    return max(0, int(bound_s * PS_PER_S * (1 - 1e-12)) - (transfers + 1) // 2)


def bound_terms(
    topology: Topology,
    collective: str,
    nbytes: int,
    root: int,
    uneven_bytes: Int64Array | None,
    connection: SiteConnections | None,
) -> Iterator[Term]:
    """Yield each constraint with its time; arguments as for ``lower_bound_ps``."""
    if uneven_bytes is None:
        return _even_bounds(topology, collective, nbytes, root, connection)
    return _uneven_bounds(topology, collective, uneven_bytes, root, connection)


def _uneven_bounds(
    topology: Topology,
    collective: str,
    nbytes: Int64Array,
    root: int,
    connection: SiteConnections | None,
) -> Iterator[Term]:
    """Yield the cut bounds of a vector form; a rank without data needs no latency."""
    paths = _paths_of(topology)
    for cuts, sets, labels in _cuts(topology, paths, _machines(topology), root, connection):
        for ranks in sets:
            inside = np.zeros(len(nbytes), dtype=bool)
            for each in ranks:
                inside[each] = True
            has_root = cuts[0].has_root
            across = uneven_bytes_across(collective, nbytes, inside, has_root=has_root)
            for cut, label in zip(cuts, labels, strict=True):
                yield crossing_s(*across, cut), label, max(across)


def _even_bounds(
    topology: Topology,
    collective: str,
    nbytes: int,
    root: int,
    connection: SiteConnections | None,
) -> Iterator[Term]:
    cuts, counts = _geometry(topology, root, connection)
    n = topology.world_size
    if collective != "send_recv":
        rooted = collective in ROOTED
        yield _farthest_s(topology, root if rooted else None), ("latency", ()), 0.0
    for (cut, shifted), label in cuts:
        across = bytes_across(collective, nbytes, cut, n)
        if collective == "send_recv":
            across = (shifted * nbytes, shifted * nbytes)
        yield crossing_s(*across, cut), label, max(across)
    by_prices = prices_of(topology, collective, root)
    if by_prices is not None:
        yield by_prices.least_s(nbytes), ("prices", ()), 0.0
    for each in counts:
        alpha_s = each.alpha_s
        for rate, at_once in each.lines:
            seconds = count_bound_s(
                collective, nbytes, each.parts, rate, alpha_s, at_once_bytes=at_once
            )
            yield seconds, (each.kind, ()), transfers_counted(collective, each.parts) * nbytes


def prices_of(topology: Topology, collective: str, root: int) -> Priced | None:
    """Return the prices of ``collective``, if they may be higher than other bounds."""
    return _priced(topology, collective, root if collective in ROOTED else 0)


@lru_cache(maxsize=64)
def _priced(topology: Topology, collective: str, root: int) -> Priced | None:
    costs = {ends: path.cost for ends, path in _paths_of(topology).items()}
    return priced(topology, collective, _site_of(topology, root), costs)


@dataclass(frozen=True, slots=True)
class _Count:
    """Parts between which transfers are counted, the links that carry them, and the time of
    each. ``kind``: of the parts."""

    kind: str
    parts: int
    lines: tuple[RateAndBurst, ...]
    alpha_s: float


@lru_cache(maxsize=64)
def _geometry(
    topology: Topology, root: int, connection: SiteConnections | None
) -> tuple[tuple[tuple[tuple[Cut, int], Label], ...], tuple[_Count, ...]]:
    """Return the distinct cuts, each with how many ranks send across it by a shift of ``root``.

    Each with its name. And the links over which to count.
    """
    n, k = topology.world_size, len(topology.sites)
    paths = _paths_of(topology)
    machines = _unlike_machines(topology, root)
    found: dict[tuple[Cut, int], Label] = {}
    for cuts, sets, labels in _cuts(topology, paths, machines, root, connection):
        for cut, label in zip(cuts, labels, strict=True):
            found.setdefault((cut, _shifted_out(sets[0], root, n)), label)
    rate = sum(_port_rates(topology, site) for site in topology.sites)
    counts = [_Count("ranks", n, ((rate, 0.0),), _alpha_s(_all_paths(topology, paths)))]
    nodes = sum(len(site.nodes) for site in topology.sites)
    beyond = [*_fabrics(topology), *(path.cost for path in paths.values())]
    if nodes > 1:
        nics = sum(site.nics * site.link.available_bytes_per_s for site in topology.sites)
        counts.append(_Count("nodes", nodes, ((nics, 0.0),), _alpha_s(beyond)))
    if k > 1:
        sites = topology.sites
        rate, at_once = _over_trunks(topology, topology.trunks)
        lines = [(2 * rate, 2 * at_once), _out_of(sites), _into(sites)]
        lines += _beyond_lines(sites, list(paths.values()), connection)
        alpha_s = _alpha_s(path.cost for path in paths.values())
        counts.append(_Count("sites", k, tuple(_binding(lines)), alpha_s))
    return tuple(found.items()), tuple(counts)


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


@dataclass(frozen=True, slots=True)
class _Path:
    """A path between sites: its trunks, and all of them as one ``trunk`` at its best.

    ``cost``: least overhead and latency.
    """

    along: SitePath
    trunk: Trunk
    cost: PathCost

    @classmethod
    def of(cls, along: SitePath, topology: Topology) -> _Path:
        """Return the path ``along`` the trunks of ``topology``."""
        link, latency_ps, overhead_ps, _ = path_costs(along, topology)
        extra_ps = sum(
            round(trunk.changes.least_extra_delay_s * PS_PER_S) for trunk in along.trunks
        )
        cost = overhead_ps / PS_PER_S, (latency_ps / PS_PER_S) + extra_ps / PS_PER_S
        trunk = along.trunks[0] if len(along.trunks) == 1 else _best(along, link)
        return cls(along, trunk, cost)


def _best(along: SitePath, link: Link) -> Trunk:
    """Return one trunk with the ``link`` of a path of several, each at its best."""
    ends = (along.names[0], along.names[-1])
    if not any(trunk.changes.any for trunk in along.trunks):
        return Trunk(ends, link)
    rate = min(
        trunk.link.available_bytes_per_s * trunk.changes.best_rate_factor for trunk in along.trunks
    )
    state = State(
        rate_factor=rate / link.available_bytes_per_s,
        extra_delay_s=sum(trunk.changes.least_extra_delay_s for trunk in along.trunks),
        loss=1 - prod(1 - _least_loss(trunk) for trunk in along.trunks),
    )
    return Trunk(ends, link, changes=Changes((state,)))


def _least_loss(trunk: Trunk) -> float:
    usual = trunk.link.transport.loss
    states = [state for state in trunk.changes.trace if state.up]
    return min((usual if each.loss is None else each.loss for each in states), default=usual)


@lru_cache(maxsize=8)
def _paths_of(topology: Topology) -> dict[tuple[int, int], _Path]:
    """Return the path from each site to each other, by their numbers."""
    paths = site_paths_of(topology, 0)
    return {ends: _Path.of(along, topology) for ends, along in paths.items()}


def _fabrics(topology: Topology) -> Iterator[PathCost]:
    """Yield the path between nodes of each site that has several."""
    yield from (_path_cost(site.link) for site in topology.sites if len(site.nodes) > 1)


def _all_paths(topology: Topology, paths: dict[tuple[int, int], _Path]) -> Iterator[PathCost]:
    """Yield every path that a transfer can take."""
    for site in topology.sites:
        yield from (_path_cost(node.link) for node, _ in site.runs if node.ranks > 1)
    yield from _fabrics(topology)
    yield from (path.cost for path in paths.values())


def _trunk_rate(trunk: Trunk) -> float:
    """Return the rate of a trunk at its best time."""
    return trunk.link.available_bytes_per_s * trunk.changes.best_rate_factor


def _over_trunks(topology: Topology, trunks: Iterable[Trunk]) -> RateAndBurst:
    """Return the rate of trunks in each direction, at their best time, and the bytes of buckets."""
    chosen = list(trunks)
    held: dict[str | None, float] = defaultdict(float)
    for trunk in chosen:
        held[trunk.conduit] += _trunk_rate(trunk)
    most = {conduit.name: conduit.rate_bytes_per_s for conduit in topology.conduits}
    rate = sum(min(each, most.get(name or "", inf)) for name, each in held.items())
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
    topology: Topology,
    paths: dict[tuple[int, int], _Path],
    machines: Iterable[NodeRanks],
    root: int,
    connection: SiteConnections | None,
) -> Iterator[tuple[list[Cut], list[Ranks], list[Label]]]:
    """Yield the cuts, as many as can bind, the sets of ranks that they stand for, and names."""
    outer = _outer_paths(topology, paths)
    for site, node, ranks in machines:
        for cut, sets, kind in _inner_cuts(topology, outer[site.name], site, node, ranks, root):
            yield [cut], sets, [(kind, (site.name,))]
    ends = range(len(topology.sites))
    for inside in _subsets(topology):
        if 0 < sum(end in inside for end in ends) < len(ends):
            found, of = _sites_cut(topology, paths, inside, root, connection)
            names = tuple(topology.places[i].name for i in sorted(inside))
            labels = [("cut", names), *[("ways", names)] * (len(found) - 1)]
            yield found, of, labels


def _subsets(topology: Topology) -> Iterator[frozenset[int]]:
    """Yield the proper subsets of places that are to be cut off."""
    k = len(topology.places)
    sizes = range(1, k) if k <= ALL_SUBSETS_UP_TO else sorted({1, k - 1})
    for size in sizes:
        for chosen in combinations(range(k), size):
            yield frozenset(chosen)
    if k > ALL_SUBSETS_UP_TO and len(topology.trunks) < k * (k - 1) // 2:
        number = {place.name: at for at, place in enumerate(topology.places)}
        edges = [
            (number[trunk.sites[0]], number[trunk.sites[1]], _trunk_rate(trunk))
            for trunk in topology.trunks
        ]
        for part in min_cuts(k, edges):
            yield part
            yield frozenset(range(k)) - part


def _inner_cuts(
    topology: Topology, outer: list[PathCost], site: Site, node: Node, ranks: range, root: int
) -> Iterator[tuple[Cut, list[Ranks], str]]:
    """Yield the cuts around a node of ``ranks`` and around each of them, and which of the two."""
    n = topology.world_size
    inner = [_path_cost(node.link)] if node.ranks > 1 else []
    rate = _rank_rate(topology, site, node)
    if outer + inner:
        for has_root in (True, False):
            alike: list[Ranks] = [
                (range(rank, rank + 1),) for rank in ranks if (rank == root) == has_root
            ]
            if alike:
                yield Cut(1 / n, has_root, rate, rate, _alpha_s(outer + inner)), alike, "rank"
    if outer:
        nics = node.nics * site.link.available_bytes_per_s
        yield Cut(node.ranks / n, root in ranks, nics, nics, _alpha_s(outer)), [(ranks,)], "node"


def _outer_paths(
    topology: Topology, paths: dict[tuple[int, int], _Path]
) -> dict[str, list[PathCost]]:
    """Return every path out of a node of each site."""
    found = {
        site.name: [_path_cost(site.link)] if len(site.nodes) > 1 else [] for site in topology.sites
    }
    for (a, _), path in paths.items():
        found[topology.sites[a].name].append(path.cost)
    return found


def _rank_rate(topology: Topology, site: Site, node: Node) -> float:
    """Return the rate of all ports of a rank that lead anywhere."""
    inside = node.link.available_bytes_per_s if node.ranks > 1 else 0.0
    beyond = len(site.nodes) > 1 or len(topology.sites) > 1
    return inside + (site.link.available_bytes_per_s if beyond else 0.0)


def _port_rates(topology: Topology, site: Site) -> float:
    """Return the rate of all ports of a site that lead anywhere."""
    inside = sum(
        node.ranks * number * node.link.available_bytes_per_s
        for node, number in site.runs
        if node.ranks > 1
    )
    beyond = len(site.nodes) > 1 or len(topology.sites) > 1
    return inside + (site.nics * site.link.available_bytes_per_s if beyond else 0.0)


def _sites_cut(
    topology: Topology,
    paths: dict[tuple[int, int], _Path],
    inside: frozenset[int],
    root: int,
    connection: SiteConnections | None,
) -> tuple[list[Cut], list[Ranks]]:
    k = len(topology.sites)
    within, without = [i for i in range(k) if i in inside], [i for i in range(k) if i not in inside]
    leaving = [paths[a, b] for a in within for b in without]
    entering = [paths[b, a] for a in within for b in without]
    members = [topology.sites[i] for i in within]
    others = [topology.sites[i] for i in without]
    both = [*_beyond_lines(members, leaving, connection)]
    both += _beyond_lines(others, leaving, connection)
    out = list(_binding([*both, _out_of(members), _into(others)]))
    into = list(_binding([*both, _out_of(others), _into(members)]))
    edges = [0, *accumulate(site.ranks for site in topology.sites)]
    ranks = tuple(range(edges[i], edges[i + 1]) for i in within)
    first = Cut(
        share=sum(map(len, ranks)) / topology.world_size,
        has_root=any(root in each for each in ranks),
        out_bytes_per_s=inf,
        in_bytes_per_s=inf,
        alpha_s=_alpha_s(path.cost for path in leaving),
    )
    names = {topology.places[i].name for i in inside}
    by_trunk = replace(
        first,
        out_lines=_lines(topology, names, leaving),
        in_lines=_lines(topology, {p.name for p in topology.places} - names, entering),
    )
    by_rate = [replace(first, out_bytes_per_s=rate, out_at_once_bytes=b) for rate, b in out]
    by_rate += [replace(first, in_bytes_per_s=rate, in_at_once_bytes=b) for rate, b in into]
    return [by_trunk, *by_rate], [ranks]


def _lines(topology: Topology, inside: set[str], paths: list[_Path]) -> tuple[Line, ...]:
    """Return the trunks over which ``paths`` leave the places ``inside``, or their conduits.

    Each with the least overhead and the least latency of the paths that do.
    """
    costs: dict[int, list[PathCost]] = defaultdict(list)
    trunks: dict[int, Trunk] = {}
    for path in paths:
        along = path.along
        hops = zip(along.names, along.names[1:], along.links, along.trunks, strict=False)
        for here, there, link, trunk in hops:
            if here in inside and there not in inside:
                costs[link].append(path.cost)
                trunks[link] = trunk
    most = {conduit.name: conduit.rate_bytes_per_s for conduit in topology.conduits}
    held: dict[tuple[str | None, int], list[int]] = defaultdict(list)
    for link, trunk in trunks.items():
        held[(None, link) if trunk.conduit is None else (trunk.conduit, link % 2)].append(link)
    lines = []
    for (conduit, _), links in held.items():
        rate = min(sum(_trunk_rate(trunks[link]) for link in links), most.get(conduit or "", inf))
        at_once = sum(trunks[link].link.others.burst_bytes for link in links)
        alpha_s = _alpha_s(cost for link in links for cost in costs[link])
        lines.append(Line(rate, at_once, alpha_s))
    return tuple(sorted(lines))


def _beyond_lines(
    sites: Iterable[Site], paths: list[_Path], connection: SiteConnections | None
) -> Iterator[RateAndBurst]:
    """Yield the rate of the NICs of ``sites``, and their ranks' connections over ``paths``."""
    chosen = list(sites)
    yield sum(site.nics * site.link.available_bytes_per_s for site in chosen), 0.0
    if connection is None:
        return
    alpha_s = _alpha_s(path.cost for path in paths)
    each = [connection_over(path.trunk, connection, alpha_s) for path in paths]
    for kind in zip(*each, strict=True):
        rate, at_once = connection.number * max(r for r, _ in kind), max(b for _, b in kind)
        slow = [site for site in chosen if rate < site.link.available_bytes_per_s]
        yield (
            sum(_nic_rate(site, rate) for site in chosen),
            sum(site.ranks for site in slow) * connection.number * at_once,
        )


def _nic_rate(site: Site, connections_bytes_per_s: float) -> float:
    """Return the rate out of a site whose ranks have so much each, and no more than their NICs."""
    nic = site.link.available_bytes_per_s
    if site.nics == site.ranks:
        return site.ranks * min(connections_bytes_per_s, nic)
    return min(site.ranks * connections_bytes_per_s, site.nics * nic)


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
    k = len(topology.sites)
    far = np.full((k, k), inf)
    np.fill_diagonal(far, 0.0)
    for ends, path in _paths_of(topology).items():
        far[ends] = sum(path.cost)
    for via in range(k):
        far = np.minimum(far, far[:, via, None] + far[via])
    return float((far if root is None else far[_site_of(topology, root)]).max())
