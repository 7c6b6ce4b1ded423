"""NCCL's topology dump (NCCL_TOPO_DUMP_FILE): the GPUs, NVLinks and NICs of one machine.

Of each gpu, its nvlinks count: as many links as ``count`` says, each at the rate that NCCL takes
for the generation ``sm`` (NVIDIA/nccl, src/graph/topo.h). Of each net, ``speed`` in Mbit/s.
"""

from __future__ import annotations

import math
from typing import Any
from xml.parsers import expat

from emul.errors import TopologyError

__all__ = ["nccl_document"]

Document = dict[str, Any]

NVLINK_GB_PER_S = {60: 18.0, 70: 20.0, 80: 20.0, 86: 12.0, 90: 20.6, 100: 40.1}
"""Of one link, by the least generation that has it."""

NODE_PRESET, SITE_PRESET = "nvlink4_node", "roce_400g_fabric"
"""From which latencies are assumed."""

MOST_ELEMENTS = 100_000


class _Reader:
    """Collects the elements that count; refuses document types, so no entity is expanded."""

    def __init__(self, where: str) -> None:
        self.where, self.elements = where, 0
        self.gpus: list[tuple[int, int]] = []
        """The generation of each, and the number of its NVLinks."""
        self.nets: list[tuple[str, float]] = []
        self._sm = 0

    def read(self, content: bytes) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.StartDoctypeDeclHandler = self._doctype
        try:
            parser.Parse(content, True)
        except expat.ExpatError as error:
            raise TopologyError(f"{self.where}: not XML: {error}") from None

    def _doctype(self, *_: object) -> None:
        raise TopologyError(f"{self.where} has a document type: needed a dump of NCCL, without one")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.elements += 1
        if self.elements == 1 and name != "system":
            raise TopologyError(
                f"{self.where} begins with <{name}>: needed <system>, as NCCL dumps"
            )
        if self.elements > MOST_ELEMENTS:
            raise TopologyError(f"{self.where}: needed at most {MOST_ELEMENTS} elements")
        if name == "gpu":
            self.gpus.append((int(self._number(attributes, "gpu", "sm")), 0))
        elif name == "nvlink" and self.gpus:
            sm, links = self.gpus[-1]
            self.gpus[-1] = sm, links + int(self._number(attributes, "nvlink", "count"))
        elif name == "net":
            said = attributes.get("name", f"net {len(self.nets)}")
            self.nets.append((said, self._number(attributes, "net", "speed")))

    def _number(self, attributes: dict[str, str], element: str, key: str) -> float:
        text = attributes.get(key, "")
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 < number < 1e9:
            raise TopologyError(
                f"{self.where}: {key}={text!r} of <{element}>: needed a number above 0"
            )
        return number


def nccl_document(content: bytes, where: str, nodes: int) -> tuple[Document, list[str]]:
    """Return ``nodes`` machines like the one in a dump, at one site, and notes about them.

    Raises TopologyError for another file, and for a machine without GPUs, NVLinks or NICs.
    """
    reader = _Reader(where)
    reader.read(content)
    gpus, notes = len(reader.gpus), []
    if not gpus or not reader.nets:
        lacking = "GPU" if not gpus else "NIC (<net>)"
        raise TopologyError(f"{where} has no {lacking}: needed the dump of a machine with both")
    fastest = max(speed for _, speed in reader.nets)
    nets = [name for name, speed in reader.nets if speed == fastest]
    if len(nets) < len(reader.nets):
        slow = [name for name, speed in reader.nets if speed < fastest]
        notes.append(f"left out, for they are slower: {', '.join(slow)}")
    nics, rate = len(nets), fastest / 1e3
    if nics > gpus:
        rate *= nics / gpus
        notes.append(f"{nics} NICs for {gpus} GPUs: each GPU has one with the rate of its part")
        nics = gpus
    latency = f"assumed: as {SITE_PRESET}"
    document: Document = {
        "description": f"NCCL: nodes of {gpus} GPUs and {len(nets)} NICs",
        "defaults": {
            "node_link": _nvlinks(reader, where),
            "site_link": {
                "rate_gbit_per_s": rate,
                "latency_us": 5.0,
                "sources": {
                    "rate_gbit_per_s": f"published: {where}, speed of {nets[0]} (line rate)",
                    "latency_us": latency,
                },
            },
        },
        "site": [{"name": "site", "nodes": nodes, "ranks_per_node": gpus, "nics": nics}],
    }
    return document, notes


def _nvlinks(reader: _Reader, where: str) -> dict[str, Any]:
    """Return the link between the GPUs of a node: the fewest NVLinks that one of them has."""
    sm, links = min(reader.gpus, key=lambda each: each[1])
    known = [least for least in NVLINK_GB_PER_S if least <= sm]
    if not links or not known:
        raise TopologyError(
            f"{where} has a GPU of sm {sm} with {links} NVLinks: needed NVLinks of a generation "
            f"from sm {min(NVLINK_GB_PER_S)} on; write the node_link of a topology file yourself"
        )
    least = 86 if sm == 86 else max(each for each in known if each != 86)
    each = NVLINK_GB_PER_S[least]
    return {
        "rate_gbit_per_s": links * each * 8,
        "latency_us": 0.5,
        "sources": {
            "rate_gbit_per_s": f"published: {where}, {links} NVLinks of {each:g} GB/s",
            "latency_us": f"assumed: as {NODE_PRESET}",
        },
    }
