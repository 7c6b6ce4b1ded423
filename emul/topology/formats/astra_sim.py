"""ASTRA-sim's analytical network: dimensions of NPUs as nodes, sites and trunks.

``topology``, ``npus_count``, ``bandwidth`` (GB/s of 2^30 bytes, of each NPU in that dimension) and
``latency`` (ns of each hop), innermost dimension first; from an NPU to another there are two hops
over a Switch (astra-sim/astra-network-analytical, common/NetworkFunction.cpp, NetworkParser.cpp,
congestion_unaware/basic-topology/Switch.cpp).
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

from emul.errors import TopologyError

__all__ = ["KEYS", "astra_sim_document"]

KEYS = ("topology", "npus_count", "bandwidth", "latency")
BLOCKS = ("Ring", "FullyConnected", "Switch")
MOST_DIMENSIONS = 3
GBIT_PER_GB = 8 * (1 << 30) / 1e9
ENTRY = re.compile(r"^(\w+)\s*:\s*\[([^\]]*)\]\s*(?:#.*)?$", re.MULTILINE)

Document = dict[str, Any]


def astra_sim_document(text: str, where: str) -> tuple[Document, list[str]]:
    """Return the topology in ``text``, as a document of a topology file, and notes about it.

    The first dimension is a node, the second the nodes of a site, the third the sites. Raises
    TopologyError for anything else.
    """
    blocks, counts, rates, latencies = _columns(text, where)
    dims = len(blocks)
    per_node, nodes, sites = (*counts, 1, 1)[:3]
    hops = [2 if block == "Switch" else 1 for block in blocks]
    links = [
        _link(rate, hop * latency, where)
        for rate, hop, latency in zip(rates, hops, latencies, strict=True)
    ]
    names = [f"site-{number}" for number in range(sites)]
    document: Document = {
        "description": f"ASTRA-sim: {' x '.join(map(str, counts))} NPUs, {', '.join(blocks)}",
        "defaults": {"node_link": links[0], "site_link": links[min(1, dims - 1)]},
        "site": [{"name": name, "nodes": nodes, "ranks_per_node": per_node} for name in names],
    }
    notes = [
        f"{what} is a {block} in the file: here ranks of one {what} reach each other directly"
        for what, block in zip(("node", "site"), blocks, strict=False)
        if block == "Ring"
    ]
    if dims < MOST_DIMENSIONS:
        return document, notes
    trunk = _link(rates[2] * per_node * nodes, latencies[2], where)
    document["defaults"]["trunk"] = trunk
    notes.append(f"a trunk has the links of all {per_node * nodes} NPUs of a site together")
    if blocks[2] == "Switch":
        document["site"].append({"name": "switch", "nodes": 0})
        pairs = [(name, "switch") for name in names]
    elif blocks[2] == "Ring":
        pairs = list(dict.fromkeys(_rising(names[at - 1], names[at]) for at in range(sites)))
    else:
        pairs = list(combinations(names, 2))
    document["trunk"] = [{"between": list(pair)} for pair in pairs]
    return document, notes


def _rising(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _link(rate: float, latency_ns: float, where: str) -> dict[str, Any]:
    said = f"published: {where}"
    return {
        "rate_gbit_per_s": float(f"{rate * GBIT_PER_GB:.9g}"),
        "latency_us": latency_ns / 1e3,
        "sources": {
            "rate_gbit_per_s": f"{said}, bandwidth (GB of 2^30 B)",
            "latency_us": f"{said}, latency",
        },
    }


def _columns(text: str, where: str) -> tuple[list[str], list[int], list[float], list[float]]:
    """Return the four lists of the file, of the same length."""
    found = {key: [each.strip() for each in row.split(",")] for key, row in ENTRY.findall(text)}
    lacking = [key for key in KEYS if key not in found]
    if lacking:
        raise TopologyError(
            f"{where} has no {', '.join(lacking)}: needed topology, npus_count, bandwidth and "
            "latency, each a list in brackets, as ASTRA-sim's analytical network has them"
        )
    blocks = [each.strip("\"'") for each in found["topology"]]
    unknown = [each for each in blocks if each not in BLOCKS]
    if unknown or len(blocks) > MOST_DIMENSIONS:
        raise TopologyError(
            f"{where}: topology {', '.join(blocks)}: needed 1 to 3 of {', '.join(BLOCKS)}: node, "
            "site, and sites"
        )
    for key in KEYS[1:]:
        if len(found[key]) != len(blocks):
            raise TopologyError(
                f"{where}: {key} of {len(found[key])} values: needed {len(blocks)}, one for each "
                "dimension"
            )
    counts = [int(_number(each, "npus_count", where, 1)) for each in found["npus_count"]]
    rates = [_number(each, "bandwidth", where, 1e-9) for each in found["bandwidth"]]
    return blocks, counts, rates, [_number(each, "latency", where, 0) for each in found["latency"]]


def _number(text: str, key: str, where: str, least: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    whole = key != "npus_count" or number == int(number)
    if not (least <= number < 1e12 and whole):
        raise TopologyError(f"{where}: {key} {text!r}: needed a number of {least:g} or more")
    return number
