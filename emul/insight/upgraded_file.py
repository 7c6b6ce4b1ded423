"""The file of a topology with upgrades in it, which every command reads.

The keys of the source are kept with their sources, and those that an upgrade changes take the place
of the ones that said the same. Comments are not kept, for they are no part of the document.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emul.errors import TopologyError
from emul.insight.upgrades import BYTES_PER_GBIT, Change
from emul.reading.toml_table import TomlTable
from emul.topology import Document, Topology, Trunk
from emul.topology.toml.link_tables import efficiency, over
from emul.topology.toml.reader import over_its_preset, parse_document
from emul.topology.toml.writing import comment, document_lines

__all__ = ["upgraded_text"]

Content = dict[str, Any]

SOURCE = "assumed: an upgrade, by emul tune"
CHANGES = ("conduit", "trace", "repeat_s", "diurnal", "outages")
"""Keys of a trunk that a new one like it does not have."""

FILES_OF_TRACES = ("file", "mahimahi")

CLOSE = 1e-9
"""Parts by which a number that is written in another unit may differ."""


def upgraded_text(
    text: str,
    topology: Topology,
    changes: Sequence[Change],
    *,
    name: str,
    folder: Path,
    target: Path,
    remarks: Sequence[str] = (),
) -> str:
    """Return the TOML of ``topology``, read from ``text``, with ``changes``.

    ``name``: of the topology. ``folder``, ``target``: of the source, and of the file that is to be
    written: paths of traces are told from there. ``remarks`` stand at the head as comments. The
    text has been read back. Raises TopologyError where the keys of the file cannot say a change.
    """
    content = over_its_preset(text, name).content
    content = {key: _copied(value) for key, value in content.items() if key != "preset"}
    content["name"] = content.get("name", name)
    trunks = [_with_paths(table, folder, target) for table in content.get("trunk", [])]
    wanted = topology
    for change in changes:
        wanted = change.applied(wanted)
        if change.kind == "trunk":
            trunks.append(_new_trunk(trunks, change))
        elif change.kind == "uplink":
            _change_uplink(content["site"], wanted, change)
        elif change.kind == "conduit":
            _change_conduit(content["conduit"], wanted, change)
    content["trunk"] = trunks
    lines = [*(comment(each) for each in remarks), ""]
    for _ in KEYS_OF:  # a number that follows from another is said when it is seen to differ
        written = "\n".join([*lines, *document_lines(content)]).rstrip() + "\n"
        found = parse_document(written, name=name, where=str(target), folder=target)
        if not _mend(content["trunk"], wanted, found):
            return written
    raise TopologyError(
        f"{target}: the upgraded trunks cannot be said in keys: needed rates below those of the "
        "NICs at their ends"
    )


KEYS_OF = ("rate", "delay", "window", "oversubscription", "")
"""Rounds of writing and reading back: no more than there are numbers to be said."""


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _with_paths(table: Content, folder: Path, target: Path) -> Content:
    """Return the table of a trunk whose trace is found from the folder of ``target``."""
    trace = table.get("trace")
    if not isinstance(trace, dict):
        return table
    moved = {
        key: os.path.relpath((folder / value).resolve(), target.resolve())
        if key in FILES_OF_TRACES
        else value
        for key, value in trace.items()
    }
    return {**table, "trace": moved}


def _new_trunk(trunks: list[Content], change: Change) -> Content:
    like = next(each for each in trunks if set(each["between"]) == set(change.like))
    own = {key: value for key, value in like.items() if key not in CHANGES}
    said = {"latency_us": _rounded(change.by * 1e6), "sources": {"latency_us": SOURCE}}
    return over({**own, "between": list(change.place)}, said)


def _change_uplink(sites: list[Content], wanted: Topology, change: Change) -> None:
    site = next(each for each in wanted.sites if each.name in change.place)
    table = next(each for each in sites if each.get("name") == site.name)
    for key, rate in (
        ("uplink_gbit_per_s", site.uplink_bytes_per_s),
        ("downlink_gbit_per_s", site.into_bytes_per_s),
    ):
        if key in table:
            table[key] = _rounded(rate / BYTES_PER_GBIT)


def _change_conduit(conduits: list[Content], wanted: Topology, change: Change) -> None:
    conduit = next(each for each in wanted.conduits if each.name in change.place)
    table = next(each for each in conduits if each.get("name") == conduit.name)
    table["rate_gbit_per_s"] = _rounded(conduit.rate_bytes_per_s / BYTES_PER_GBIT)


def _mend(tables: list[Content], wanted: Topology, found: Document) -> bool:
    """Say the numbers of trunks that were read back as others; return whether there were any."""
    there = {frozenset(trunk.sites): trunk for trunk in found.topology.trunks}
    origins = {each.place: each.table for each in found.tables}
    mended = False
    for trunk in wanted.trunks:
        pair = frozenset(trunk.sites)
        keys = _keys(trunk, there[pair], origins[there[pair].name])
        if keys:
            number = next(i for i, each in enumerate(tables) if set(each["between"]) == pair)
            said = {**{key: _rounded(each) for key, each in keys.items()},
                    "sources": dict.fromkeys(keys, SOURCE)}  # fmt: skip
            tables[number] = over(tables[number], said)
            mended = True
    return mended


def _keys(wanted: Trunk, found: Trunk, table: TomlTable) -> Content:
    """Return the keys that say the numbers in which a trunk differs from the one wanted."""
    want, have = wanted.link, found.link
    keys: Content = {}
    if _differ(want.rate_bytes_per_s, have.rate_bytes_per_s) or want.waves != have.waves:
        gbit_per_s = want.rate_bytes_per_s / BYTES_PER_GBIT
        if "line_gbit_per_s" in table.content:
            keys["line_gbit_per_s"] = gbit_per_s / want.waves / efficiency(table)
        else:
            keys["rate_gbit_per_s"] = gbit_per_s
        keys["waves"] = want.waves
        if "oversubscription" in table.content:
            keys["oversubscription"] = 1.0
    if _differ(want.latency_s, have.latency_s):
        keys["latency_us"] = want.latency_s * 1e6
    if _differ(want.transport.window_bytes, have.transport.window_bytes):
        keys["window_bytes"] = want.transport.window_bytes
    return keys


def _rounded(number: float) -> float:
    """Return a number as somebody would write it: without the rounding of its last digits."""
    return number if isinstance(number, int) else float(f"{number:.12g}")


def _differ(a: float, b: float) -> bool:
    return abs(a - b) > CLOSE * max(abs(a), abs(b))
