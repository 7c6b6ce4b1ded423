"""Bounds by prices: of every limit between sites a price, and the dearest work that is needed.

Let every byte over a link of rate r cost y >= 0. By a time T, the links let at most the sum of
y (r (T - a) + b) pass, each from its own latency a on, with b bytes at once. An all-reduce has to
pay twice the cheapest spanning tree for each element: the prices from p up cut the sites into
parts, and between k parts an element takes 2 (k - 1) transfers (the one-way gossip number), whether
trunks are priced alike both ways or the cheaper way counts for both. A vector from one site, or
to it, has to pay the cheapest tree of arcs; a byte of an all-to-all the cheapest path.

Good prices are those of the packings (emul.synthesis), which no bound of this kind exceeds. They
are taken as exact fractions here, and the cheapest tree or path is found anew: whatever prices a
solver came to, the bound holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf

from emul.errors import CapacityError
from emul.links.bounds import Cut, Line, crossing_s
from emul.synthesis import (
    SiteGraph,
    least_length,
    least_tree,
    least_tree_from,
    pack_spanning_trees,
    pack_trees_from,
    route,
)
from emul.topology.model import Topology
from emul.topology.network import SitePath, site_paths_of
from emul.topology.site_graph import Key, NamedGraph, site_graph

__all__ = ["Priced", "priced"]

MOST_SITES = 16
"""Of a graph that is priced: a second for an all-to-all where every two have a trunk."""

CUTS_SUFFICE = 10
"""Sites; of no more of them all cuts are counted, the worst of which is as high one way."""

DIGITS = 12
"""Of a price that is told: those behind are of the solver's rounding."""

PathCosts = Mapping[tuple[int, int], tuple[float, float]]
"""Least overhead and least latency between two sites, by their numbers."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Priced:
    """The price that each byte of the vector has to pay, and the links with their prices.

    ``trunks``: the names of those with a price, which is a part of the dearest one's; of a conduit,
    an uplink or the NICs of a site their names.
    """

    per_byte: float
    lines: tuple[Line, ...]
    trunks: tuple[tuple[str, float], ...] = ()

    def least_s(self, nbytes: float) -> float:
        """Return the seconds in which the links let so much pass."""
        links = Cut(0.0, False, inf, inf, alpha_s=0.0, out_lines=self.lines)
        return crossing_s(self.per_byte * nbytes, 0.0, links)


def priced(topology: Topology, collective: str, root: int, costs: PathCosts) -> Priced | None:
    """Return what ``collective`` has to pay; None where other bounds are as high, or of many sites.

    ``root``: the number of its site.
    """
    k = len(topology.sites)
    if not 2 < k <= MOST_SITES:
        return None
    if collective not in ("all_reduce", "all_to_all") and k <= CUTS_SUFFICE:
        return None
    named = site_graph(topology, at_best=True)
    try:
        prices = _prices(named, topology, collective, root)
    except CapacityError:  # too many pivots: other bounds hold
        return None
    if prices is None:
        return None
    paths = site_paths_of(topology, 0)
    length = {pair: _length(pair, path, prices) for pair, path in paths.items()}
    needed = _needed(topology, collective, root, length)
    lines = tuple(sorted(_lines(topology, named, prices, paths, costs)))
    named_prices = tuple(_by_name(topology, prices, paths))
    return Priced(float(needed), lines, named_prices) if lines else None


def _by_name(
    topology: Topology, prices: Mapping[Key, Fraction], paths: Mapping[Pair, SitePath]
) -> Iterator[tuple[str, float]]:
    """Yield each limit with a price by its name, both directions of one together."""
    names: dict[Key, str] = {}
    for path in paths.values():
        links = [*zip(path.links, path.trunks, strict=True)]
        names |= {("link", link): trunk.name for link, trunk in links}
        conduits = zip(path.conduit_links, path.conduits, strict=True)
        names |= {("link", link): f"conduit {conduit.name}" for link, conduit in conduits}
    for number, site in enumerate(topology.sites):
        names |= {(way, number): f"the ways {way} of {site.name}" for way in ("out", "in")}
    found: dict[str, Fraction] = defaultdict(Fraction)
    for key, price in prices.items():
        found[names[key]] += price
    dearest = max(found.values(), default=Fraction(1))
    told = [(name, round(float(price / dearest), DIGITS)) for name, price in found.items()]
    yield from sorted(told, key=lambda each: (-each[1], each[0]))


def _prices(
    named: NamedGraph, topology: Topology, collective: str, root: int
) -> dict[Key, Fraction] | None:
    """Return the prices of a packing, or of routes; None for a collective that has neither."""
    graph, ranks = named.graph, [topology.sites[site].ranks for site in named.sites]
    if collective == "all_reduce":
        found = pack_spanning_trees(graph).prices
        return _both_ways(named, [Fraction(price) for price in found])
    if collective == "all_to_all":
        found = route(graph, pair_demands(ranks)).prices
    elif collective in ("all_gather", "reduce_scatter"):
        found = pack_trees_from(_towards(graph, collective), [float(each) for each in ranks]).prices
    elif collective in ("broadcast", "reduce"):
        at_root = [float(site == root) for site in named.sites]
        found = pack_trees_from(_towards(graph, collective), at_root).prices
    else:
        return None
    return {key: Fraction(price) for key, price in zip(named.keys, found, strict=True) if price > 0}


def pair_demands(ranks: list[int]) -> dict[Pair, float]:
    """Return the parts of an all-to-all between each two sites, in blocks."""
    k = len(ranks)
    return {(a, b): float(ranks[a] * ranks[b]) for a in range(k) for b in range(k) if a != b}


def _towards(graph: SiteGraph, collective: str) -> SiteGraph:
    return graph.turned if collective in ("reduce", "reduce_scatter") else graph


def _both_ways(named: NamedGraph, prices: list[Fraction]) -> dict[Key, Fraction]:
    """Return the same prices shared between each limit and the one of the way back."""
    graph = named.graph
    of_arcs = {limit.arcs: number for number, limit in enumerate(graph.limits)}
    found: dict[Key, Fraction] = defaultdict(Fraction)
    for number, price in enumerate(prices):
        if price:
            back = tuple(sorted(int(graph.back[arc]) for arc in graph.limits[number].arcs))
            for each in (number, of_arcs.get(back, number)):
                found[named.keys[each]] += price / 2
    return dict(found)


def _length(pair: Pair, path: SitePath, prices: Mapping[Key, Fraction]) -> Fraction:
    """Return the price of a byte over a path between two sites."""
    keys: list[Key] = [("link", link) for link in path.crossed]
    keys += [("out", pair[0]), ("in", pair[1])]
    return sum((prices.get(key, Fraction(0)) for key in keys), Fraction(0))


def _needed(
    topology: Topology, collective: str, root: int, length: Mapping[Pair, Fraction]
) -> Fraction:
    """Return the price of a byte of the whole vector."""
    k, ranks = len(topology.sites), [site.ranks for site in topology.sites]
    n = sum(ranks)
    if collective == "all_reduce":
        return 2 * least_tree(k, length)
    if collective == "all_to_all":
        demands = {(a, b): ranks[a] * ranks[b] for a, b in length}
        return least_length(k, length, demands) / n
    if collective in ("reduce", "reduce_scatter"):
        length = {(b, a): each for (a, b), each in length.items()}
    if collective in ("broadcast", "reduce"):
        return least_tree_from(k, length, root)
    shares = (ranks[site] * least_tree_from(k, length, site) for site in range(k))
    return sum(shares, Fraction(0)) / n


def _lines(
    topology: Topology,
    named: NamedGraph,
    prices: Mapping[Key, Fraction],
    paths: Mapping[Pair, SitePath],
    costs: PathCosts,
) -> Iterator[Line]:
    """Yield each limit with a price as a line, whose bytes are money."""
    rates = {
        key: limit.bytes_per_s for key, limit in zip(named.keys, named.graph.limits, strict=True)
    }
    bursts = {
        link: trunk.link.others.burst_bytes
        for path in paths.values()
        for link, trunk in zip(path.links, path.trunks, strict=True)
    }
    through: dict[int, float] = defaultdict(float)  # buckets of the trunks in a conduit
    for path in paths.values():
        for link in path.conduit_links:
            through[link] = sum(bursts.values())
    for key, price in prices.items():
        kind, number = key
        across = [
            costs[pair]
            for pair, path in paths.items()
            if (kind == "link" and number in path.crossed)
            or (kind == "out" and pair[0] == number)
            or (kind == "in" and pair[1] == number)
        ]
        overheads, latencies = zip(*across, strict=True)
        at_once = bursts.get(number, through[number]) if kind == "link" else 0.0
        if kind == "out":
            at_once = topology.sites[number].uplink_burst_bytes
        rate = float(price * Fraction(rates[key]))
        yield Line(rate, float(price * Fraction(at_once)), min(overheads) + min(latencies))
