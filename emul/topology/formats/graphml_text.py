"""A topology as GraphML: its places, and an edge for each trunk, named as in the Topology Zoo.

Rates and delays of trunks, ranks and coordinates of places; nothing else that a topology has.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from emul.topology.model import Site, Topology

__all__ = ["graphml_text"]

NODE_KEYS = {"label": "string", "ranks": "long", "Latitude": "double", "Longitude": "double"}
EDGE_KEYS = {"LinkSpeedRaw": "double", "latency_us": "double"}


def graphml_text(topology: Topology) -> str:
    """Return ``topology`` as GraphML, which networkx and yEd read."""
    return "\n".join(_lines(topology)) + "\n"


def _lines(topology: Topology) -> Iterator[str]:
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    for kind, keys in (("node", NODE_KEYS), ("edge", EDGE_KEYS)):
        for name, form in keys.items():
            yield f'  <key id="{name}" for="{kind}" attr.name="{name}" attr.type="{form}"/>'
    yield f'  <graph id={quoteattr(topology.name)} edgedefault="undirected">'
    for number, place in enumerate(topology.places):
        ranks = place.ranks if isinstance(place, Site) else 0
        data = {"label": place.name, "ranks": ranks}
        if place.latitude_deg is not None:
            data |= {"Latitude": place.latitude_deg, "Longitude": place.longitude_deg}
        yield f'    <node id="n{number}">{_data(data)}</node>'
    number_of = {place.name: number for number, place in enumerate(topology.places)}
    for trunk in topology.trunks:
        a, b = (number_of[name] for name in trunk.sites)
        link = trunk.link
        data = {
            "LinkSpeedRaw": repr(link.rate_bytes_per_s * 8),
            "latency_us": repr(link.latency_s * 1e6),
        }
        yield f'    <edge source="n{a}" target="n{b}">{_data(data)}</edge>'
    yield "  </graph>"
    yield "</graphml>"


def _data(values: dict[str, object]) -> str:
    return "".join(
        f'<data key="{key}">{escape(str(value))}</data>' for key, value in values.items()
    )
