"""InfraGraph (infragraph.dev, schema of infragraph 3.1.0) in JSON: written, and read.

A host is a device with xpu and nic components, a place one without an xpu: the switch of a site, or
a place that trunks pass. An edge from a host to a place says where it lives, one between two
places is a trunk; the bandwidth and latency of its link are those of the trunk.
"""

from __future__ import annotations

import json
import re
from typing import Any

from emul.errors import TopologyError
from emul.links import Link
from emul.topology.model import Topology

__all__ = ["infragraph_document", "infragraph_text"]

Document = dict[str, Any]
GBIT = {"gigabits_per_second": 1.0, "gigabytes_per_second": 8.0}
US = {"us": 1.0, "ms": 1e3, "ns": 1e-3}
INSTANCE = re.compile(r"^(.*?)(?:\[[\d:,\s]*\])?$")
SWITCH = "switch"
NODE_PRESET = "nvlink4_node"


def infragraph_text(topology: Topology) -> str:
    """Return the places, hosts and trunks of ``topology`` as an Infrastructure in JSON."""
    nodes = {node for site in topology.sites for node, _ in site.runs}
    ordered = sorted(nodes, key=lambda node: (node.ranks, node.nics, node.link.rate_bytes_per_s))
    device = {node: f"host-{number}" for number, node in enumerate(ordered)}
    links, instances, edges = [], [], []
    for place in topology.places:
        instances.append({"name": place.name, "device": SWITCH, "count": 1})
    for site in topology.sites:
        inside = f"inside {site.name}"
        links.append(_link(inside, site.link))
        for number, (node, count) in enumerate(site.runs):
            name = f"{site.name} hosts {number}"
            instances.append({"name": name, "device": device[node], "count": count})
            ends = (f"{name}[0:{count}]", f"nic[0:{node.nics}]"), (f"{site.name}[0]", "port[0]")
            edges.append(_edge(ends, "many2many", inside))
    for trunk in topology.trunks:
        links.append(_link(trunk.name, trunk.link))
        a, b = trunk.sites
        edges.append(_edge(((f"{a}[0]", "port[0]"), (f"{b}[0]", "port[0]")), "one2one", trunk.name))
    switch = {"name": SWITCH, "components": [_component("port", "port", 1)], "links": [],
              "edges": []}  # fmt: skip
    document = {
        "name": topology.name,
        "description": topology.description,
        "devices": [switch, *(_host(name, node.ranks, node.nics, node.link)
                              for node, name in device.items())],
        "links": links,
        "instances": instances,
        "edges": edges,
    }  # fmt: skip
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _component(name: str, choice: str, count: int) -> Document:
    return {"name": name, "count": count, "choice": choice, choice: {}}


def _host(name: str, ranks: int, nics: int, link: Link) -> Document:
    fabric = _component("fabric", "switch", 1)
    parts = (("xpu", ranks), ("nic", nics))
    edges = [
        {"ep1": {"component": f"{part}[0:{count}]"}, "ep2": {"component": "fabric[0]"},
         "scheme": "many2many", "link": "inside"}
        for part, count in parts
    ]  # fmt: skip
    components = [*(_component(part, part, count) for part, count in parts), fabric]
    return {"name": name, "components": components, "links": [_link("inside", link)],
            "edges": edges}  # fmt: skip


def _link(name: str, link: Link) -> Document:
    rate, latency = link.rate_bytes_per_s * 8 / 1e9, link.latency_s * 1e6
    return {
        "name": name,
        "physical": {
            "bandwidth": {"choice": "gigabits_per_second", "gigabits_per_second": rate},
            "latency": {"choice": "us", "us": latency},
        },
    }


def _edge(ends: tuple[tuple[str, str], tuple[str, str]], scheme: str, link: str) -> Document:
    (a, part_a), (b, part_b) = ends
    return {
        "ep1": {"instance": a, "component": part_a},
        "ep2": {"instance": b, "component": part_b},
        "scheme": scheme,
        "link": link,
    }


def infragraph_document(
    text: str, where: str, rate_gbit_per_s: float | None, latency_us: float | None
) -> tuple[Document, list[str]]:
    """Return the topology of an Infrastructure in JSON, and notes about it.

    ``rate_gbit_per_s``, ``latency_us``: of links that state none. Raises TopologyError.
    """
    reader = _Reader(text, where, rate_gbit_per_s, latency_us)
    return reader.document(), reader.notes


class _Reader:
    """The tables of an Infrastructure, by the names of their rows."""

    def __init__(
        self, text: str, where: str, rate_gbit_per_s: float | None, latency_us: float | None
    ) -> None:
        self.where, self.given = where, (rate_gbit_per_s, latency_us)
        self.notes: list[str] = []
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TopologyError(f"{where}: not JSON: {str(error)[:200]}") from None
        if not isinstance(content, dict) or "instances" not in content:
            raise TopologyError(f"{where} has no instances: needed an Infrastructure of InfraGraph")
        self.content = content
        self.devices = self._named(content, "devices", "")
        self.links = self._named(content, "links", "")
        self.instances = self._named(content, "instances", "")

    def _named(self, table: Any, key: str, of: str) -> dict[str, Document]:
        rows = table.get(key, [])
        named = isinstance(rows, list) and all(
            isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
        )
        if not named:
            raise TopologyError(f"{self.where}: {key}{of}: needed a list of tables with names")
        return {row["name"]: row for row in rows}

    def document(self) -> Document:
        """Return the document of a topology file."""
        hosts: list[str] = []
        places: list[str] = []
        trunks: list[tuple[str, str, str]] = []
        for name, row in self.instances.items():
            (hosts if self._count(row, "xpu") else places).append(name)
        lives: dict[str, tuple[str, str]] = {}
        for edge in self.content.get("edges", []):
            a, b, link = self._ends(edge)
            if a in hosts and b in hosts:
                raise TopologyError(f"{self.where}: edge {a} - {b}: needed a switch between hosts")
            if a in places and b in places:
                trunks.append((a, b, link))
            elif a in hosts:
                lives[a] = b, link
            else:
                lives[b] = a, link
        homeless = [name for name in hosts if name not in lives]
        if homeless or not hosts:
            told = f"host {homeless[0]} at no switch" if homeless else "no host with an xpu"
            raise TopologyError(f"{self.where} has {told}: needed an edge to a switch for each")
        return {
            "description": str(self.content.get("description") or self.content.get("name", "")),
            "site": [self._site(place, hosts, lives) for place in places],
            "trunk": [
                {"between": [a, b], **self._figures(self.links.get(link, {}), link)}
                for a, b, link in trunks
            ],
        }

    def _site(self, place: str, hosts: list[str], lives: dict[str, tuple[str, str]]) -> Document:
        if self.instances[place].get("count") != 1:
            raise TopologyError(f"{self.where}: switch {place}: needed a count of 1")
        here = [host for host in hosts if lives[host][0] == place]
        if not here:
            return {"name": place, "nodes": 0}
        link = self._figures(self.links.get(lives[here[0]][1], {}), lives[here[0]][1])
        kinds = [self._node(host) for host in here]
        if len(kinds) == 1:
            ((number, ranks, nics, inside),) = kinds
            alike = {"nodes": number, "ranks_per_node": ranks, "nics": nics, "node_link": inside}
            return {"name": place, **alike, "site_link": link}
        nodes = [
            {"ranks": ranks, "nics": nics, "link": inside}
            for number, ranks, nics, inside in kinds
            for _ in range(number)
        ]
        return {"name": place, "site_link": link, "node": nodes}

    def _node(self, host: str) -> tuple[int, int, int, Document]:
        """Return how many nodes an instance is, the ranks and NICs of each, and its link."""
        row = self.instances[host]
        ranks, nics = self._count(row, "xpu"), self._count(row, "nic")
        link = self._inside(host)
        number = self._whole(row.get("count"), f"count of {host}")
        return number, ranks, min(nics or ranks, ranks), link

    def _inside(self, host: str) -> Document:
        """Return the link of a host's xpus that states its figures, or an assumed one."""
        device = self._device(self.instances[host])
        links = self._named(device, "links", f" of {host}")
        xpus = [each["name"] for each in device["components"] if each.get("choice") == "xpu"]
        for edge in device.get("edges", []):
            parts = [INSTANCE.sub(r"\1", edge[end]["component"]) for end in ("ep1", "ep2")]
            link = links.get(edge.get("link"), {})
            stated = link.get("physical") or {}
            if set(parts) & set(xpus) and stated.get("bandwidth") and stated.get("latency"):
                return self._figures(link, f"{edge['link']} of {host}")
        self.notes.append(f"assumed: the links inside {host} are {NODE_PRESET}")
        return {"preset": NODE_PRESET}

    def _device(self, row: Document) -> Document:
        device = self.devices.get(str(row.get("device")))
        if device is None:
            raise TopologyError(
                f"{self.where}: instance {row['name']} of device {row.get('device')!r}: needed one "
                "of the devices of the file"
            )
        return device

    def _count(self, row: Document, choice: str) -> int:
        components = self._named(self._device(row), "components", f" of {row['name']}").values()
        return sum(
            self._whole(each.get("count"), f"count of {each['name']}")
            for each in components
            if each.get("choice") == choice
        )

    def _whole(self, value: object, what: str) -> int:
        if not isinstance(value, int) or not 1 <= value <= 10**6:
            raise TopologyError(
                f"{self.where}: {what} = {value!r}: needed a whole number from 1 on"
            )
        return value

    def _ends(self, edge: Any) -> tuple[str, str, str]:
        """Return the two instances of an edge, without their numbers, and its link."""
        try:
            names = [INSTANCE.sub(r"\1", edge[end]["instance"]) for end in ("ep1", "ep2")]
            link = str(edge["link"])
        except (TypeError, KeyError):
            raise TopologyError(
                f"{self.where}: an edge without ep1, ep2 or link: needed all of them"
            ) from None
        for name in names:
            if name not in self.instances:
                raise TopologyError(f"{self.where}: edge to {name!r}: needed one of the instances")
        return names[0], names[1], link

    def _figures(self, link: Document, name: str) -> Document:
        """Return rate and latency of a link with their sources."""
        physical = link.get("physical") or {}
        found: Document = {}
        sources = {}
        asked = (
            ("bandwidth", GBIT, "rate_gbit_per_s", "--rate GBIT_PER_S"),
            ("latency", US, "latency_us", "--latency US"),
        )
        for (part, units, key, option), given in zip(asked, self.given, strict=True):
            stated = physical.get(part) or {}
            value = [stated[unit] * scale for unit, scale in units.items() if unit in stated]
            if value:
                found[key], source = value[0], f"published: {self.where}, link {name}"
            elif given is None:
                raise TopologyError(f"{self.where}: link {name} has no {part}: needed {option}")
            else:
                found[key], source = given, f"assumed: {option.split()[0]}"
            sources[key] = source
        return {**found, "sources": sources}
