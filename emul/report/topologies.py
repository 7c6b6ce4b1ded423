"""Topologies as tables: the list of presets, and the derived numbers of each link."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import inf

from emul.links import Link
from emul.report.text_table import Cell, TextTable
from emul.topology import Figure, LinkOrigin, Network, Site, Topology, figures_of
from emul.topology.model import TRUNK
from emul.units import PS_PER_S, counted, format_bytes, format_rate, format_time

__all__ = [
    "figure_value",
    "link_figures",
    "link_list",
    "link_sheets",
    "path_lines",
    "topology_list",
    "topology_sheet",
]


def topology_list(topologies: Iterable[Topology]) -> TextTable:
    """Return a table with a line for each topology."""
    table = TextTable("name", "sites", "ranks", "what it is", prose=["what it is"])
    for topology in topologies:
        sites, ranks = str(len(topology.sites)), str(topology.world_size)
        table.row(topology.name, sites, ranks, topology.description)
    return table


def topology_sheet(topology: Topology) -> tuple[list[str], TextTable]:
    """Return the lines above the table of the links of ``topology``, and the table."""
    sites = ", ".join([*map(_place, topology.sites), *_without_ranks(topology)])
    heading = [f"{topology.name}: {topology.description or 'no description'}", sites]
    links = _equal_links(topology)
    columns = ["km", "one-way delay", "RTT", "rate", "overhead", "BDP"]
    with_left = any(each.available_bytes_per_s < each.rate_bytes_per_s for _, _, each in links)
    figures = [*columns, *["left of the rate"] * with_left]
    table = TextTable(
        "link", *figures, right=figures, prose=["link"], give_way=["overhead", "BDP", "km"]
    )
    for name, km, link in links:
        left = [_rate(link.available_bytes_per_s)] * with_left
        table.row(name, _km(km), *_figures(link), *left)
    for site in topology.sites:
        if site.uplink_bytes_per_s < inf:
            rate = _rate(site.uplink_bytes_per_s)
            table.row(f"uplink of {site.name}", "", "", "", rate, "", "", *[""] * with_left)
    for conduit in topology.conduits:
        if conduit.rate_bytes_per_s < inf:
            held = [trunk.name for trunk in topology.trunks if trunk.conduit == conduit.name]
            name, rate = (
                f"conduit {conduit.name} of {_joined(held)}",
                _rate(conduit.rate_bytes_per_s),
            )
            table.row(name, "", "", "", rate, "", "", *[""] * with_left)
    return heading, table


def _place(site: Site) -> str:
    nics = "" if site.nics == site.ranks else f" with {counted(site.nics, 'NIC')}"
    return f"{site.name} {counted(site.ranks, 'rank')} on {counted(len(site.nodes), 'node')}{nics}"


def _without_ranks(topology: Topology) -> Iterator[str]:
    yield from (f"{place.name} without ranks" for place in topology.waypoints)


MOST_PATHS = 12
"""Over several trunks, that are told one by one."""


def path_lines(topology: Topology) -> Iterator[str]:
    """Yield the paths over several trunks: those that the file asks for, then the quickest ones."""
    longer = topology.longer_paths
    asked = {tuple(sorted(path.sites)) for path in topology.paths_via}
    if not longer:
        return
    network = Network.of(topology)
    number = {site.name: at for at, site in enumerate(topology.sites)}
    ordered = sorted(longer, key=lambda pair: (pair not in asked, pair))
    for pair in ordered[:MOST_PATHS]:
        a, b = (number[name] for name in pair)
        path = network.first_trunk_path + a * network.n_sites + b
        latency_s = int(network.path_latency_ps[path]) / PS_PER_S
        through = network.site_path(path).conduit_links  # each as often as the path goes through it
        conduits = [network.link_rate[link] / through.count(link) for link in through]
        rate = min([network.links[path].rate_bytes_per_s, *conduits])
        why = ", as the file says" if pair in asked else ""
        yield (
            f"path {' - '.join(longer[pair])}: {format_time(latency_s)} one way, "
            f"{format_rate(float(rate))}{why}"
        )
    if len(longer) > MOST_PATHS:
        yield f"and {counted(len(longer) - MOST_PATHS, 'path')} more over several trunks"


def _equal_links(topology: Topology) -> list[tuple[str, float | None, Link]]:
    """Return the links with their names and kilometres; equal ones of a kind once."""
    km = {" - ".join(trunk.sites): trunk.km for trunk in topology.trunks}
    alike: dict[tuple[object, ...], list[tuple[str, str, Link]]] = {}
    for kind, place, link in topology.links_by_kind():
        length = km.get(place) if kind == TRUNK else None
        key = (kind, length, _figures(link), link.available_bytes_per_s)
        alike.setdefault(key, []).append((kind, place, link))
    links = []
    for members in alike.values():
        places = [place for _, place, _ in members]
        kind, first, link = members[0]
        everywhere = kind != TRUNK and 1 < len(places) == len(topology.sites)
        named = "each site" if everywhere else _joined(places)
        links.append((f"{kind} {named}".strip(), km.get(first) if kind == TRUNK else None, link))
    return links


def _rate(bytes_per_s: float) -> tuple[str, str]:
    """Return a rate in full, and as it is printed on equipment."""
    return format_rate(bytes_per_s), format_rate(bytes_per_s).partition("(")[2].rstrip(")")


def _km(km: float | None) -> str:
    return "" if km is None else f"{km:g}"


def _figures(link: Link) -> tuple[Cell, ...]:
    return (
        format_time(link.latency_s),
        format_time(link.rtt_s),
        _rate(link.rate_bytes_per_s),
        format_time(link.overhead_s),
        format_bytes(link.bdp_bytes),
    )


def link_list(links: Iterable[LinkOrigin]) -> TextTable:
    """Return a table with a line for each preset of links."""
    figures = ("rate", "waves", "one-way delay", "loss")
    table = TextTable(
        "link", *figures, "recovery", "its numbers are", right=figures, prose=["its numbers are"],
        give_way=["waves"],
    )  # fmt: skip
    for each in links:
        link = each.link
        table.row(
            each.place,
            _rate(link.rate_bytes_per_s),
            str(link.waves),
            format_time(link.latency_s),
            f"{link.transport.loss:g}",
            link.transport.recovery,
            _statuses(figures_of(each)),
        )
    return table


def _statuses(figures: Iterable[Figure]) -> str:
    """Return how many of the figures that are not derived have each status."""
    known = [figure.status for figure in figures if figure.status != "derived"]
    return ", ".join(f"{known.count(each)} {each}" for each in dict.fromkeys(sorted(known)))


def link_sheets(links: Iterable[LinkOrigin]) -> Iterator[TextTable]:
    """Yield a table of the figures of each link; links that have the same share one."""
    for names, figures in link_figures(links):
        columns = ("figure", "value", "status", "source or formula")
        table = TextTable(*columns, right=["value"], prose=["source or formula"], title=names)
        for figure in figures:
            table.row(figure.name, _value(figure), figure.status, figure.source)
        yield table


def link_figures(links: Iterable[LinkOrigin]) -> Iterator[tuple[str, tuple[Figure, ...]]]:
    """Yield the figures of each link with its name; links that have the same share one entry."""
    places: dict[tuple[Figure, ...], list[str]] = {}
    for each in links:
        places.setdefault(figures_of(each), []).append(each.place)
    for figures, names in places.items():
        yield _joined(names), figures


MOST_NAMES = 4


def _joined(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def figure_value(figure: Figure) -> str:
    """Return the value of a figure with its unit, in full."""
    value = _value(figure)
    return value if isinstance(value, str) else value[0]


def _value(figure: Figure) -> Cell:
    if isinstance(figure.value, str):
        return figure.value
    forms: dict[str, Callable[[float], Cell]] = {
        "B": format_bytes, "B/s": _rate, "s": format_time,
    }  # fmt: skip
    if figure.unit in forms:
        return forms[figure.unit](figure.value)
    return f"{figure.value:g} {figure.unit}".rstrip()
