"""Topologies from TOML files.

A file may start from a ``preset``. Keys carry their unit. ``[defaults.node_link]``,
``[defaults.site_link]`` and ``[defaults.trunk]`` hold what most links share; a site or trunk
overrides key by key.
"""

from __future__ import annotations

import sys
from pathlib import Path

from emul.errors import TopologyError
from emul.links import Link, one_way_delay_s
from emul.topology.fields import Range, Table
from emul.topology.library import preset_names, preset_text
from emul.topology.model import Node, Site, Topology, Trunk
from emul.topology.overlay import PATH_KEYS, over, over_preset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["parse_topology", "read_topology"]

MOST_SITES = 1_000
MOST_RANKS = 1_000_000
MOST_FILE_BYTES = 4 << 20

RATE = Range(0, 1e6, "Gbit/s", closed=False)
MICROSECONDS = Range(0, 1e8, "us")
KM = Range(0, 1e5, "km")
MILES = Range(0, 6e4, "miles")
ROUTE_FACTOR = Range(1, 10, "")
SHARE = Range(0, 1, "")
RANKS = Range(1, MOST_RANKS, "ranks")
NODES = Range(1, MOST_RANKS, "nodes")

KM_PER_MILE = 1.609344
"""The international mile, exact by definition."""

LINK_KEYS = ("rate_gbit_per_s", "overhead_us", "latency_us", *PATH_KEYS)
SITE_KEYS = ("name", "nodes", "ranks_per_node", "node", "node_link", "site_link")


def read_topology(path: Path) -> Topology:
    """Return the topology in the TOML file at ``path``.

    Raises TopologyError when the file cannot be read or does not describe a topology.
    """
    try:
        size = path.stat().st_size
        if size > MOST_FILE_BYTES:
            raise TopologyError(f"{path}: {size} bytes: needed at most {MOST_FILE_BYTES}")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TopologyError(
            f"{path}: cannot be read ({error.strerror}): needed a TOML file"
        ) from None
    except UnicodeDecodeError as error:
        raise TopologyError(
            f"{path}: byte {error.start} is not UTF-8: needed a TOML file"
        ) from None
    return parse_topology(text, name=path.stem, where=str(path))


def parse_topology(text: str, *, name: str, where: str) -> Topology:
    """Return the topology that ``text`` describes; ``where`` names its source in errors."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise TopologyError(f"{where}: not TOML: {error}") from None
    root = _over_preset(Table(document, where, ""))
    root.check_keys(("name", "description", "defaults", "site", "trunk"))
    defaults = root.table("defaults")
    defaults.check_keys(("node_link", "site_link", "trunk"))
    sites = tuple(_site(table, defaults) for table in root.tables("site", MOST_SITES))
    most_trunks = MOST_SITES * (MOST_SITES - 1) // 2
    trunks = tuple(_trunk(table, defaults) for table in root.tables("trunk", most_trunks))
    _check_ranks(where, sum(site.ranks for site in sites))
    try:
        return Topology(
            root.text("name", name), sites, trunks, description=root.text("description", "")
        )
    except TopologyError as error:
        raise TopologyError(f"{where}: {error}") from None


def _over_preset(root: Table) -> Table:
    """Return a document over the preset that it starts from, if it names one."""
    if "preset" not in root.content:
        return root
    preset = root.text("preset")
    if preset not in preset_names():
        raise root.refusal("preset", preset, f"one of {', '.join(preset_names())}")
    base = tomllib.loads(preset_text(preset))
    return Table(over_preset(base, root.content), root.where, root.path)


def _check_ranks(where: str, ranks: int) -> None:
    if ranks > MOST_RANKS:
        raise TopologyError(f"{where}: {ranks} ranks: needed at most {MOST_RANKS}")


def _site(table: Table, defaults: Table) -> Site:
    table.check_keys(SITE_KEYS)
    node_link = _overlay(defaults.table("node_link"), table.table("node_link"))
    if "node" in table.content:
        nodes = tuple(_node(node, node_link) for node in table.tables("node", MOST_RANKS))
    else:
        link = _link(node_link)
        nodes = tuple(Node(ranks, link) for ranks in _ranks_of_nodes(table))
    site_link = _link(_overlay(defaults.table("site_link"), table.table("site_link")))
    try:
        return Site(table.text("name"), nodes, site_link)
    except TopologyError as error:
        raise TopologyError(f"{table.where}: {table.path}: {error}") from None


def _ranks_of_nodes(table: Table) -> list[int]:
    nodes = table.content.get("nodes")
    if isinstance(nodes, list):
        return [table.whole(f"nodes[{i}]", ranks, RANKS) for i, ranks in enumerate(nodes)]
    if nodes is None:
        raise table.missing("nodes", "a number of nodes, a list of their ranks, or [[site.node]]")
    number, per_node = table.integer("nodes", NODES), table.integer("ranks_per_node", RANKS)
    _check_ranks(table.where, number * per_node)
    return [per_node] * number


def _node(table: Table, node_link: Table) -> Node:
    table.check_keys(("ranks", "link"))
    return Node(table.integer("ranks", RANKS), _link(_overlay(node_link, table.table("link"))))


def _trunk(table: Table, defaults: Table) -> Trunk:
    table.check_keys(("between", *LINK_KEYS))
    between = table.content.get("between")
    if between is None:
        raise table.missing("between", "the names of two sites")
    if not (isinstance(between, list) and len(between) == 2):
        raise table.refusal("between", between, "the names of two sites")
    if not all(isinstance(name, str) for name in between):
        raise table.refusal("between", between, "the names of two sites")
    own = {key: value for key, value in table.content.items() if key != "between"}
    merged = _overlay(defaults.table("trunk"), Table(own, table.where, table.path))
    return Trunk((between[0], between[1]), _link(merged), _km(merged))


def _overlay(general: Table, own: Table) -> Table:
    """Return ``own`` over ``general``; a delay given in one form displaces the other form."""
    return Table(over(general.content, own.content), own.where, own.path)


def _link(table: Table) -> Link:
    table.check_keys(LINK_KEYS)
    return Link(
        rate_bytes_per_s=table.number("rate_gbit_per_s", RATE) * 1e9 / 8,
        latency_s=_latency_s(table),
        overhead_s=table.number("overhead_us", MICROSECONDS, 0.0) / 1e6,
    )


def _km(table: Table) -> float | None:
    """Return the line of sight in kilometres, if a distance is given."""
    if "km" in table.content and "miles" in table.content:
        raise table.refusal("miles", table.content["miles"], "either miles or km")
    if "miles" in table.content:
        return table.number("miles", MILES) * KM_PER_MILE
    return table.number("km", KM) if "km" in table.content else None


def _latency_s(table: Table) -> float:
    given = [key for key in PATH_KEYS if key in table.content]
    if "latency_us" in table.content:
        if given:
            raise table.refusal(
                "latency_us", table.content["latency_us"], f"either latency_us or {given[0]}"
            )
        return table.number("latency_us", MICROSECONDS) / 1e6
    km = _km(table)
    if km is None:
        raise table.missing("latency_us", f"{MICROSECONDS}, or km or miles to derive it from")
    return one_way_delay_s(
        km,
        route_factor=table.number("route_factor", ROUTE_FACTOR, 1.0),
        dispersion_compensation=table.number("dispersion_compensation", SHARE, 0.0),
        equipment_s=table.number("equipment_us", MICROSECONDS, 0.0) / 1e6,
    )
