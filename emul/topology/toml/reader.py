"""Topologies from TOML files.

A file may start from a ``preset``. Keys carry their unit. ``[defaults.node_link]``,
``[defaults.site_link]`` and ``[defaults.trunk]`` hold the keys that most links share; a site or
trunk overrides key by key.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from emul.errors import TopologyError
from emul.links import Changes, Link
from emul.reading.bounded_text import read_text, toml_document
from emul.reading.complaints import Complaints
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.topology.costs import Costs
from emul.topology.library import preset_names, preset_text
from emul.topology.model import Conduit, PathVia, Site, Topology, Trunk, Waypoint
from emul.topology.network import check_paths
from emul.topology.nodes import Node, NodeRuns
from emul.topology.toml.change_tables import changes_of, outages_of
from emul.topology.toml.cost_tables import costs_of
from emul.topology.toml.link_tables import (
    BYTES_PER_GBIT,
    NUMBERS,
    TRUNK_KEYS,
    from_preset,
    link_of,
    over,
    sight_km,
)
from emul.topology.toml.overlay import over_preset

__all__ = [
    "Document",
    "LinkOrigin",
    "over_its_preset",
    "parse_document",
    "read_document",
    "read_topology",
]

MOST_SITES = 1_000
MOST_RANKS = 1_000_000

RANKS = Range(1, MOST_RANKS, "ranks")
NODES = Range(1, MOST_RANKS, "nodes")

ROOT_KEYS = ("name", "description", "defaults", "site", "trunk", "conduit", "path", "cost")

SITE_KEYS = (
    "name",
    "nodes",
    "ranks_per_node",
    "node",
    "node_link",
    "site_link",
    "uplink_gbit_per_s",
    "downlink_gbit_per_s",
    "uplink_burst_bytes",
    "latitude_deg",
    "longitude_deg",
    "nics",
    "transit_us",
)

WAYPOINT_KEYS = ("name", "nodes", "latitude_deg", "longitude_deg", "transit_us")
"""Of a site without ranks."""

CONDUIT_KEYS = ("name", "rate_gbit_per_s", "outages")

COORDINATES = {
    "latitude_deg": Range(-90, 90, "degrees"),
    "longitude_deg": Range(-180, 180, "degrees"),
}


@dataclass(frozen=True, slots=True)
class LinkOrigin:
    """The table that a link was read from, with all that it inherits.

    ``place`` is the name that reports use for the link; ``nics_bytes_per_s`` the sum of the NICs
    at the smaller end of a trunk, None elsewhere.
    """

    place: str
    table: TomlTable
    link: Link
    nics_bytes_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """The content of a file: the topology, the table of every distinct kind of link, and costs."""

    topology: Topology
    tables: tuple[LinkOrigin, ...]
    costs: Costs | None = None


def read_document(path: Path) -> Document:
    """Return the document in the TOML file at ``path``.

    Raises TopologyError when the file cannot be read or does not describe a topology.
    """
    text = read_text(path, "a TOML file")
    return parse_document(text, name=path.stem, where=str(path), folder=path.parent)


def read_topology(path: Path) -> Topology:
    """Return the topology in the TOML file at ``path``.

    Raises TopologyError when the file cannot be read or does not describe a topology.
    """
    return read_document(path).topology


def parse_document(text: str, *, name: str, where: str, folder: Path | None = None) -> Document:
    """Return the document in ``text``; the files that it names are looked for from ``folder``."""
    root = over_its_preset(text, where)
    complaints = Complaints(where, TopologyError)
    with complaints.noted():
        root.check_keys(ROOT_KEYS)
    defaults = root.table("defaults")
    with complaints.noted():
        defaults.check_keys(("node_link", "site_link", "trunk"))
    called = name
    with complaints.noted():
        called = root.name("name", name)
    read: list[LinkOrigin] = []
    places = list(_places(root, defaults, read, complaints))
    sites = tuple(place for place in places if isinstance(place, Site))
    nics = {site.name: site.nics * site.link.rate_bytes_per_s for site in sites}
    trunks = tuple(_trunks(root, defaults, nics, read, complaints, folder))
    conduits = tuple(_conduits(root, complaints))
    paths_via = tuple(_paths_via(root, complaints))
    costs = None
    with complaints.noted():
        costs = costs_of(root, [place.name for place in places])
    complaints.raise_any()
    _check_ranks(where, sum(site.ranks for site in sites))
    try:
        topology = Topology(
            called,
            sites,
            trunks,
            root.text("description", ""),
            tuple(place for place in places if isinstance(place, Waypoint)),
            conduits,
            paths_via,
        ).along_tour
        check_paths(topology)
    except TopologyError as error:
        raise TopologyError(f"{where}: {error}") from None
    return Document(topology, tuple(read), costs)


def _places(
    root: TomlTable, defaults: TomlTable, read: list[LinkOrigin], complaints: Complaints
) -> Iterator[Site | Waypoint]:
    """Yield the sites with ranks and without, and note the errors of others."""
    for table in root.tables("site", MOST_SITES):
        with complaints.noted():
            if table.content.get("nodes") == 0 and "node" not in table.content:
                yield _waypoint(table)
            else:
                yield _site(table, defaults, read)


def _waypoint(table: TomlTable) -> Waypoint:
    """Return a site at which no rank lives."""
    table.check_keys(WAYPOINT_KEYS)
    try:
        return Waypoint(table.name("name"), _transit_s(table), **_coordinates(table))
    except TopologyError as error:
        raise table.converted(error) from None


def _transit_s(table: TomlTable) -> float:
    return table.number("transit_us", NUMBERS["latency_us"], 0.0) / 1e6


def _conduits(root: TomlTable, complaints: Complaints) -> Iterator[Conduit]:
    """Yield the conduits, and note the errors of others."""
    for table in root.tables("conduit", MOST_SITES):
        with complaints.noted():
            table.check_keys(CONDUIT_KEYS)
            rate = table.number("rate_gbit_per_s", NUMBERS["rate_gbit_per_s"], math.inf)
            changes = Changes(outages=outages_of(table))
            yield Conduit(table.name("name"), rate * BYTES_PER_GBIT, changes)


def _paths_via(root: TomlTable, complaints: Complaints) -> Iterator[PathVia]:
    """Yield the paths that the file asks for, and note the errors of others."""
    for table in root.tables("path", MOST_SITES * (MOST_SITES - 1) // 2):
        with complaints.noted():
            table.check_keys(("between", "via"))
            a, b = _between(table)
            via = table.content.get("via")
            if via is None:
                raise table.missing("via", "the names of the sites to pass, in order")
            if not (isinstance(via, list) and via and all(isinstance(each, str) for each in via)):
                raise table.refusal("via", via, "the names of the sites to pass, in order")
            yield PathVia((a, b), tuple(via))


def _between(table: TomlTable) -> tuple[str, str]:
    """Return the two sites that a trunk or a path is between."""
    between = table.content.get("between")
    if between is None:
        raise table.missing("between", "the names of two sites")
    if not (isinstance(between, list) and len(between) == 2):
        raise table.refusal("between", between, "the names of two sites")
    if not all(isinstance(name, str) for name in between):
        raise table.refusal("between", between, "the names of two sites")
    return between[0], between[1]


def _trunks(
    root: TomlTable,
    defaults: TomlTable,
    nics: dict[str, float],
    read: list[LinkOrigin],
    complaints: Complaints,
    folder: Path | None,
) -> Iterator[Trunk]:
    """Yield the trunks, and note the errors of others."""
    if complaints:  # the rate of a wrong site's NICs is not known
        names = [table.content.get("name") for table in root.tables("site", MOST_SITES)]
        nics = {name: 1.0 for name in names if isinstance(name, str)}
    for table in root.tables("trunk", MOST_SITES * (MOST_SITES - 1) // 2):
        with complaints.noted():
            found = _trunk_table(table, defaults, nics)
            read.append(found)
            yield _trunk(found, table, folder)


def over_its_preset(text: str, where: str) -> TomlTable:
    """Return the document in ``text`` over the preset that it starts from, if it names one."""
    root = TomlTable(toml_document(text, where), where, "")
    if "preset" not in root.content:
        return root
    preset = root.text("preset")
    if preset not in preset_names():
        raise root.refusal("preset", preset, f"one of {', '.join(preset_names())}")
    base = toml_document(preset_text(preset), f"preset {preset}")
    return TomlTable(over_preset(base, root.content), root.where, root.path)


def _check_ranks(where: str, ranks: int) -> None:
    if ranks > MOST_RANKS:
        raise TopologyError(f"{where}: {ranks} ranks: needed at most {MOST_RANKS}")


def _site(table: TomlTable, defaults: TomlTable, read: list[LinkOrigin]) -> Site:
    """Return a site; the tables of its links come after those in ``read``."""
    table.check_keys(SITE_KEYS)
    name = table.name("name")
    node_link = _overlay(defaults.table("node_link"), table.table("node_link"))
    if "node" in table.content:
        nodes = _nodes(table, f"inside a node of {name}", node_link, read)
    else:
        read.append(_link(f"inside a node of {name}", node_link))
        runs = _ranks_of_nodes(table)
        nodes = NodeRuns.joined(
            (Node(ranks, read[-1].link, _nics(table, ranks)), number) for ranks, number in runs
        )
    fabric = _overlay(defaults.table("site_link"), table.table("site_link"))
    read.append(_link(f"inside {name}", fabric))
    try:
        return Site(
            name,
            nodes,
            read[-1].link,
            *_ways_out(table),
            **_coordinates(table),
            transit_s=_transit_s(table),
        )
    except TopologyError as error:
        raise table.converted(error) from None


def _ways_out(table: TomlTable) -> tuple[float, float | None, float]:
    """Return uplink, downlink and the burst of the uplink, in bytes per second and bytes."""
    rates = [
        table.number(key, NUMBERS["rate_gbit_per_s"], math.inf) * BYTES_PER_GBIT
        for key in ("uplink_gbit_per_s", "downlink_gbit_per_s")
    ]
    burst = table.number("uplink_burst_bytes", NUMBERS["burst_bytes"], 0.0)
    return rates[0], rates[1] if "downlink_gbit_per_s" in table.content else None, burst


def _coordinates(table: TomlTable) -> dict[str, float]:
    """Return the coordinates of a site that are given, by their keys."""
    return {
        key: table.number(key, allowed)
        for key, allowed in COORDINATES.items()
        if key in table.content
    }


def _link(place: str, table: TomlTable) -> LinkOrigin:
    table = from_preset(table)
    return LinkOrigin(place, table, link_of(table))


def _nodes(table: TomlTable, place: str, node_link: TomlTable, read: list[LinkOrigin]) -> NodeRuns:
    """Return nodes that are given one by one; those without a link of their own share one."""
    nodes: list[Node] = []
    shared: Link | None = None
    for i, own in enumerate(table.tables("node", MOST_RANKS)):
        own.check_keys(("ranks", "link", "nics"))
        ranks, link = own.integer("ranks", RANKS), shared
        if "link" in own.content or link is None:
            some = f"{place} (node {i})" if "link" in own.content else place
            read.append(_link(some, _overlay(node_link, own.table("link"))))
            link = read[-1].link
            shared = shared if "link" in own.content else link
        nodes.append(Node(ranks, link, _nics(own if "nics" in own.content else table, ranks)))
    return NodeRuns.of(nodes)


def _nics(table: TomlTable, ranks: int) -> int | None:
    """Return the NICs of a node of so many ranks; None where each has its own."""
    if "nics" not in table.content:
        return None
    number = table.integer("nics", RANKS)
    if number > ranks:
        needed = f"at most {ranks}, as many as a node has ranks, each of which sends by one of them"
        raise table.refusal("nics", number, needed)
    return number


def _ranks_of_nodes(table: TomlTable) -> list[tuple[int, int]]:
    """Return the ranks of nodes, each with how many of these follow one another."""
    nodes = table.content.get("nodes")
    if isinstance(nodes, list):
        return [(table.whole(f"nodes[{i}]", ranks, RANKS), 1) for i, ranks in enumerate(nodes)]
    if nodes is None:
        raise table.missing("nodes", "a number of nodes, a list of their ranks, or [[site.node]]")
    number, per_node = table.integer("nodes", NODES), table.integer("ranks_per_node", RANKS)
    _check_ranks(table.where, number * per_node)
    return [(per_node, number)]


def _trunk_table(table: TomlTable, defaults: TomlTable, nics: dict[str, float]) -> LinkOrigin:
    """Return the link of a trunk; ``nics`` is the sum of the NICs of each site by its name."""
    table.check_keys(("between", "conduit", *TRUNK_KEYS))
    between = _between(table)
    own = {key: value for key, value in table.content.items() if key not in ("between", "conduit")}
    merged = _overlay(defaults.table("trunk"), TomlTable(own, table.where, table.path))
    merged = from_preset(merged, is_trunk=True)
    least = min((nics[name] for name in between if name in nics), default=None)
    return LinkOrigin(" - ".join(between), merged, link_of(merged, least), least)


def _trunk(found: LinkOrigin, table: TomlTable, folder: Path | None) -> Trunk:
    changes = changes_of(found.table, found.link, folder)
    conduit = table.text("conduit") if "conduit" in table.content else None
    return Trunk(_between(table), found.link, sight_km(found.table), changes, conduit)


def _overlay(general: TomlTable, own: TomlTable) -> TomlTable:
    """Return ``own`` over ``general``; a delay given in one form displaces the other form."""
    return TomlTable(over(general.content, own.content), own.where, own.path)
