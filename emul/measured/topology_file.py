"""The topology file: the calibrated link, the others beside it, and where each number is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from emul.links import Link
from emul.measured.layout import LINKS, SiteLayout
from emul.measured.parameters import ASSUMED, TYPICAL, Parameter, rounded
from emul.topology import Document, LinkOrigin
from emul.topology.toml.reader import parse_document
from emul.topology.toml.writing import comment, value_text

__all__ = ["base_link", "keys_left_out", "topology_text"]

TomlContent = Mapping[str, Any]

KEYS = {"node": "node_link", "site": "site_link", "trunk": "trunk"}
CALIBRATED = {"rate_gbit_per_s", "latency_us", "overhead_us", "sources"}
"""Keys of a link that a calibration writes."""
FILES_OF_TRACES = ("file", "mahimahi")


def base_link(base: Document | None, link: str) -> Link:
    """Return the first link of a class that ``base`` has, else the assumed one."""
    tables = [] if base is None else _of_class(base, link)
    return tables[0].link if tables else ASSUMED[link]


def keys_left_out(base: Document | None, link: str) -> list[str]:
    """Return the keys of a class of links in ``base`` that are not calibrated."""
    tables = [] if base is None else _of_class(base, link)
    return sorted(set(tables[0].table.content) - CALIBRATED) if tables else []


def _of_class(base: Document, link: str) -> list[LinkOrigin]:
    """Return the tables of a class of links: nodes and sites site by site, then the trunks."""
    inside = [table for table in base.tables if table.place.startswith("inside ")]
    nodes = [table for table in inside if table.place.startswith("inside a node of ")]
    if link == "trunk":
        return [table for table in base.tables if table not in inside]
    return nodes if link == "node" else [table for table in inside if table not in nodes]


def topology_text(
    layout: SiteLayout,
    link: str,
    parameters: Sequence[Parameter],
    *,
    base: Document | None,
    base_folder: Path,
    base_name: str,
    remarks: Sequence[str],
    recovery: str = "",
) -> str:
    """Return the TOML of a topology whose links of class ``link`` are the calibrated ones.

    The others come from ``base``, found in ``base_folder``, or assumed. ``remarks`` stand at the
    head as comments. ``recovery``: of the calibrated links, by which a library knows its transport
    again. The text has been read back.
    """
    tables = {each: _assumed(each, parameters) for each in LINKS}
    if base is not None:
        tables |= {
            each: _from_base(found[0], base_name, base_folder)
            for each in LINKS
            if (found := _of_class(base, each))
        }
    tables[link] = _calibrated(parameters, recovery)
    lines = [*(comment(remark) for remark in remarks), ""]
    lines += [f"description = {value_text(_description(layout, link, parameters))}", ""]
    for each in LINKS:
        if each != "trunk" or len(layout.sites) > 1:
            lines += _table_lines(f"defaults.{KEYS[each]}", tables[each])
    lines += _site_lines(layout)
    text = "\n".join(lines).rstrip() + "\n"
    parse_document(text, name="calibrated", where="the calibrated topology", folder=base_folder)
    return text


def _description(layout: SiteLayout, link: str, parameters: Sequence[Parameter]) -> str:
    """Say which numbers of the calibrated link were measured, and which were not."""
    ranks = sum(sum(nodes) for _, nodes in layout.sites)
    said = [
        f"{', '.join(names)} {status}"
        for status in ("measured", "assumed")
        if (names := [each.name for each in parameters if each.status == status])
    ]
    return f"calibrated: {ranks} ranks; of {link} links {'; '.join(said)}"


def _calibrated(parameters: Sequence[Parameter], recovery: str) -> TomlContent:
    of_link = [each for each in parameters if each.name != "base_us"]
    values: dict[str, Any] = {each.name: each.value for each in of_link}
    sources = {each.name: each.source_line for each in of_link}
    if recovery:
        values["recovery"] = recovery
        sources["recovery"] = "assumed: of the transport of the stack by which it was calibrated"
    return {**values, "sources": sources}


def _assumed(link: str, parameters: Sequence[Parameter]) -> TomlContent:
    """Return the assumed link in place of one that was not calibrated: never slower than the other.

    So its rate does not bind; its latency is one that such links have.
    """
    rates = [each.value for each in parameters if each.name == "rate_gbit_per_s"]
    rate_gbit_per_s = ASSUMED[link].rate_bytes_per_s * 8 / 1e9
    fast = "assumed: not slower than the calibrated link"
    return {
        "rate_gbit_per_s": rounded(max(rate_gbit_per_s, *rates)),
        "latency_us": rounded(ASSUMED[link].latency_s * 1e6),
        "sources": {"rate_gbit_per_s": fast, "latency_us": f"assumed: {TYPICAL[link]}"},
    }


def _from_base(found: LinkOrigin, base_name: str, folder: Path) -> TomlContent:
    """Return the table of a link of the base, where the base is the source of numbers without
    one."""
    content = {**found.table.content}
    said = content.pop("sources", {})
    trace = content.get("trace")
    if isinstance(trace, dict):
        content["trace"] = {
            key: str((folder / value).resolve()) if key in FILES_OF_TRACES else value
            for key, value in trace.items()
        }
    given = f"assumed: as in {base_name}, {found.place}"
    return {**content, "sources": {key: said.get(key, given) for key in content}}


def _table_lines(name: str, content: TomlContent) -> Iterator[str]:
    yield f"[{name}]"
    yield from (
        f"{key} = {value_text(value)}" for key, value in content.items() if key != "sources"
    )
    yield f"\n[{name}.sources]"
    yield from (f"{key} = {value_text(text)}" for key, text in content["sources"].items())
    yield ""


def _site_lines(layout: SiteLayout) -> Iterator[str]:
    for name, nodes in layout.sites:
        yield f"[[site]]\nname = {value_text(name)}\nnodes = {value_text(list(nodes))}\n"
    for pair in combinations([name for name, _ in layout.sites], 2):
        yield f"[[trunk]]\nbetween = {value_text(list(pair))}\n"
