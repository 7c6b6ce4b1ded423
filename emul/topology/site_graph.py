"""The sites of a topology and the arcs between them, as numbers for emul.synthesis."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from emul.synthesis import Limit, SiteGraph
from emul.topology.model import Topology
from emul.topology.network import SitePath, path_costs, site_paths_of
from emul.units import PS_PER_S

__all__ = ["Key", "NamedGraph", "site_graph"]

Key = tuple[Literal["link", "out", "in"], int]
"""What a limit is of: a link behind the ports, counted from 0, or all that leaves or enters a site
of the topology, by its number."""

Paths = dict[tuple[int, int], SitePath]
"""By two numbers of the graph's sites."""


@dataclass(frozen=True)
class NamedGraph:
    """The graph of sites in the order of their names, so that another order in a file is the same.

    ``sites``: of each site of the graph the number in the topology. ``keys``: of each limit.
    """

    graph: SiteGraph
    sites: tuple[int, ...]
    keys: tuple[Key, ...]


def site_graph(topology: Topology, *, at_best: bool = False) -> NamedGraph:
    """Return the sites, joined by the paths that pass no other site, with the usual rates.

    Or with the best rates of trunks that change. A path over another site is no arc: a relay there
    does as well. Limits are those of trunks, conduits, and of the uplinks, downlinks and NICs of a
    site that could not carry all its arcs.
    """
    by_name = sorted(range(len(topology.sites)), key=lambda i: topology.sites[i].name)
    number_of = {site: at for at, site in enumerate(by_name)}
    paths = {
        (number_of[a], number_of[b]): path for (a, b), path in site_paths_of(topology, 0).items()
    }
    names = {site.name for site in topology.sites}
    near = {ends: path for ends, path in paths.items() if not names & set(path.names[1:-1])}
    found = _graph(topology, by_name, near, at_best)
    if found.graph.joins_all:
        return found
    return _graph(topology, by_name, paths, at_best)  # paths that are asked for go over sites


def _graph(topology: Topology, by_name: list[int], paths: Paths, at_best: bool) -> NamedGraph:
    arcs = tuple(sorted(paths))
    delays = []
    for arc in arcs:
        _, latency_ps, overhead_ps, _ = path_costs(paths[arc], topology)
        delays.append((latency_ps + overhead_ps) / PS_PER_S)
    limits = _of_links(paths, arcs, at_best)
    limits |= _of_sites(topology, by_name, arcs, limits)
    keys = tuple(sorted(limits, key=lambda key: (limits[key].arcs, key)))
    graph = SiteGraph(len(by_name), arcs, tuple(delays), tuple(limits[key] for key in keys))
    return NamedGraph(graph, tuple(by_name), keys)


def _of_links(paths: Paths, arcs: tuple[tuple[int, int], ...], at_best: bool) -> dict[Key, Limit]:
    """Return the limits of trunks and conduits."""
    rate: dict[int, float] = {}
    crossed: dict[int, list[int]] = defaultdict(list)
    for number, arc in enumerate(arcs):
        path = paths[arc]
        for link, trunk in zip(path.links, path.trunks, strict=True):
            factor = trunk.changes.best_rate_factor if at_best else 1.0
            rate[link] = trunk.link.available_bytes_per_s * factor
        for link, conduit in zip(path.conduit_links, path.conduits, strict=True):
            rate[link] = conduit.rate_bytes_per_s
        for link in path.crossed:
            crossed[link].append(number)
    return {("link", link): Limit(rate[link], tuple(crossed[link])) for link in crossed}


def _of_sites(
    topology: Topology,
    by_name: list[int],
    arcs: tuple[tuple[int, int], ...],
    links: dict[Key, Limit],
) -> dict[Key, Limit]:
    """Return the limits of sites that are less than their arcs could carry."""
    most = [
        min(limit.bytes_per_s for limit in links.values() if number in limit.arcs)
        for number in range(len(arcs))
    ]
    found: dict[Key, Limit] = {}
    for at, number in enumerate(by_name):
        site = topology.sites[number]
        nics = site.nics * site.link.available_bytes_per_s
        leaving = tuple(n for n, (start, _) in enumerate(arcs) if start == at)
        entering = tuple(n for n, (_, end) in enumerate(arcs) if end == at)
        for key, rate, own in (
            (("out", number), site.uplink_bytes_per_s, leaving),
            (("in", number), site.into_bytes_per_s, entering),
        ):
            if min(rate, nics) < sum(most[n] for n in own):
                found[key] = Limit(min(rate, nics), own)  # type: ignore[index]
    return found
