"""Graphs of WANs in GraphML or GML, as the Internet Topology Zoo has them, by way of networkx.

A node has ``label``, ``Latitude`` and ``Longitude``; an edge ``LinkSpeedRaw`` in bit/s (S. Knight
et al., IEEE JSAC 29 (2011) 1765), or a delay or a length in an attribute with its unit in its name.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from emul.errors import MissingLibraryError, TopologyError, listed

__all__ = ["Lacking", "wan_document"]

Document = dict[str, Any]
EARTH_KM = 6371.0
"""Mean radius (IUGG)."""

DELAYS = {
    "latency_us": ("latency_us", 1.0), "delay_us": ("latency_us", 1.0),
    "latency_ms": ("latency_us", 1e3), "delay_ms": ("latency_us", 1e3),
    "km": ("km", 1.0), "length_km": ("km", 1.0), "distance_km": ("km", 1.0),
}  # fmt: skip
"""Attributes of edges that say their unit: the key here, and as much of it."""

UNITS = {"us": ("latency_us", 1.0), "ms": ("latency_us", 1e3), "s": ("latency_us", 1e6),
         "km": ("km", 1.0)}  # fmt: skip
MOST_NODES = 1000


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the file may lack: given by the user, and marked as assumed where it is used.

    ``ranks`` by place; of trunks ``rate_gbit_per_s`` and ``latency_us``; ``route_factor`` of glass
    over the line of sight; ``delay``: an attribute of edges, and the unit of its numbers.
    """

    ranks: Mapping[str, int] = field(default_factory=dict)
    rate_gbit_per_s: float | None = None
    latency_us: float | None = None
    route_factor: float = 1.5
    delay: tuple[str, str] | None = None


def wan_document(
    content: bytes, where: str, form: str, lacking: Lacking
) -> tuple[Document, list[str]]:
    """Return the graph in ``content``, ``graphml`` or ``gml``, and notes about it.

    Raises TopologyError for a file that cannot be read, and for all that it lacks and ``lacking``
    does not give; MissingLibraryError without networkx.
    """
    graph = _graph(content, where, form)
    if not 0 < len(graph) <= MOST_NODES:
        raise TopologyError(f"{where}: {len(graph)} nodes: needed 1 to {MOST_NODES}")
    names = _names(graph)
    known = set(names.values())
    ranks = dict(lacking.ranks) or _ranks_in(graph, names)
    unknown = [name for name in ranks if name not in known]
    if unknown or not ranks:
        told = f"no place {listed(unknown)}" if unknown else "no ranks"
        raise TopologyError(
            f"{where} has {told}: needed --ranks NAME=RANKS,... of some of {listed(names.values())}"
        )
    trunks, notes = _trunks(graph, names, where, lacking)
    used = {name for trunk in trunks for name in trunk["between"]} | set(ranks)
    lonely = sorted(known - used)
    if lonely:
        notes.append(f"left out, for no trunk leads there: {listed(lonely)}")
    sites = [
        {"name": name, **_ranks(ranks.get(name, 0)), **_coordinates(graph.nodes[node])}
        for node, name in names.items()
        if name in used
    ]
    document: Document = {
        "description": f"{graph.graph.get('Network') or graph.graph.get('name') or form}: "
        f"{len(sites)} places, {len(trunks)} trunks",
        "defaults": {"node_link": {"preset": "nvlink4_node"},
                     "site_link": {"preset": "roce_400g_fabric"}},
        "site": sites,
        "trunk": trunks,
    }  # fmt: skip
    notes.append("assumed: nodes with nvlink4_node, sites with roce_400g_fabric, 8 ranks a node")
    return document, notes


def _graph(content: bytes, where: str, form: str) -> Any:
    try:
        import networkx
    except ImportError:
        raise MissingLibraryError(
            "importing GraphML and GML needs networkx: pip install '.[graphs]'"
        ) from None
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise TopologyError(f"{where} has a document type: needed GraphML without one")
    try:
        if form == "graphml":
            return networkx.read_graphml(io.BytesIO(content))
        return networkx.parse_gml(content.decode("utf-8", "replace"), label="id")
    except Exception as error:  # of networkx: its readers raise whatever a parser does
        raise TopologyError(f"{where}: no {form}: {str(error)[:200]}") from None


def _names(graph: Any) -> dict[Any, str]:
    """Return the name of each node: its label, with its number where several have the same."""
    labels = {node: str(data.get("label") or node).strip() for node, data in graph.nodes(data=True)}
    all_labels = list(labels.values())
    return {
        node: label if all_labels.count(label) == 1 else f"{label} {node}"
        for node, label in labels.items()
    }


def _ranks_in(graph: Any, names: Mapping[Any, str]) -> dict[str, int]:
    """Return the ranks of places that the file has, as emul writes them."""
    given = {names[node]: _positive(data.get("ranks")) for node, data in graph.nodes(data=True)}
    return {name: int(ranks) for name, ranks in given.items() if ranks}


def _ranks(ranks: int) -> dict[str, Any]:
    if not ranks:
        return {"nodes": 0}
    return {"nodes": [8] * (ranks // 8) + [ranks % 8] * (ranks % 8 > 0)}


def _coordinates(data: Mapping[str, Any]) -> dict[str, float]:
    try:
        at = float(data["Latitude"]), float(data["Longitude"])
    except (KeyError, TypeError, ValueError):
        return {}
    inside = abs(at[0]) <= 90 and abs(at[1]) <= 180
    return {"latitude_deg": at[0], "longitude_deg": at[1]} if inside else {}


def _trunks(
    graph: Any, names: Mapping[Any, str], where: str, lacking: Lacking
) -> tuple[list[Document], list[str]]:
    """Return a trunk for each two nodes that edges join; all lacking numbers are named at once."""
    joined: dict[tuple[str, str], list[tuple[Any, Any, Mapping[str, Any]]]] = {}
    for a, b, data in graph.edges(data=True):
        if a != b:
            pair = (names[a], names[b]) if names[a] < names[b] else (names[b], names[a])
            joined.setdefault(pair, []).append((a, b, data))
    trunks, notes, no_rate, no_delay = [], [], [], []
    for pair, edges in joined.items():
        rate, delay = _rate(edges, where, lacking), _delay(graph, edges, where, lacking)
        no_rate += [] if rate else [" - ".join(pair)]
        no_delay += [] if delay else [" - ".join(pair)]
        if rate and delay:
            values = {**rate[0], **delay[0]}
            sources = {**rate[1], **delay[1]}
            trunks.append({"between": list(pair), **values, "sources": sources})
        if len(edges) > 1:
            notes.append(f"{' - '.join(pair)}: {len(edges)} edges are one trunk of their rates")
    wrong = []
    if no_rate:
        wrong.append(f"no rate of {listed(no_rate)}: needed --rate GBIT_PER_S for these")
    if no_delay:
        wrong.append(
            f"no delay of {listed(no_delay)}: needed --latency US for these, or --delay "
            "ATTRIBUTE=UNIT with an attribute of the edges and us, ms, s or km"
        )
    if wrong:
        raise TopologyError(f"{where} has {'; and '.join(wrong)}")
    return trunks, notes


Numbers = tuple[dict[str, float], dict[str, str]]
"""Keys of a trunk and their values, and the sources of these."""


def _rate(edges: list[Any], where: str, lacking: Lacking) -> Numbers | None:
    raw = [_positive(data.get("LinkSpeedRaw")) for _, _, data in edges]
    found = [each for each in raw if each]
    if len(found) == len(edges):
        said = f"published: {where}, LinkSpeedRaw"
        return {"rate_gbit_per_s": sum(found) / 1e9}, {"rate_gbit_per_s": said}
    if lacking.rate_gbit_per_s is None:
        return None
    assumed = lacking.rate_gbit_per_s * (len(edges) - len(found))
    rate = sum(found) / 1e9 + assumed
    return {"rate_gbit_per_s": rate}, {"rate_gbit_per_s": "assumed: --rate"}


def _delay(graph: Any, edges: list[Any], where: str, lacking: Lacking) -> Numbers | None:
    """Return the delay of the quickest of parallel edges, by an attribute or the coordinates."""
    attributes = dict(DELAYS)
    if lacking.delay is not None:
        attributes = {lacking.delay[0]: UNITS[lacking.delay[1]]}
    for name, (key, scale) in attributes.items():
        given = [_positive(data.get(name)) for _, _, data in edges]
        if all(given):
            value = min(each for each in given if each) * scale
            return _with_route(key, value, f"published: {where}, {name}", lacking)
    a, b, _ = edges[0]
    ends = [_coordinates(graph.nodes[node]) for node in (a, b)]
    if all(ends) and ends[0] != ends[1]:
        said = f"published: coordinates in {where}, great circle"
        return _with_route("km", _great_circle_km(*ends), said, lacking)
    if lacking.latency_us is None:
        return None
    return {"latency_us": lacking.latency_us}, {"latency_us": "assumed: --latency"}


def _with_route(key: str, value: float, source: str, lacking: Lacking) -> Numbers:
    if key != "km":
        return {key: value}, {key: source}
    values = {"km": round(value, 3), "route_factor": lacking.route_factor}
    return values, {"km": source, "route_factor": "assumed: glass over line of sight"}


def _positive(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _great_circle_km(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """Return the distance on the sphere by the haversine formula."""
    lat_a, lat_b = (math.radians(each["latitude_deg"]) for each in (a, b))
    east = math.radians(b["longitude_deg"] - a["longitude_deg"])
    part = math.sin((lat_b - lat_a) / 2) ** 2
    part += math.cos(lat_a) * math.cos(lat_b) * math.sin(east / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(part)))
