"""One table over another: a file on top of a preset, or a trunk on top of the defaults.

Keys that say the same thing in another way displace each other: a delay may be given as such or as
a distance, a distance in kilometres or miles, a rate as such or by its line, nodes by their number
or one by one. A table that names a preset of links starts from that, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from emul.topology.toml.keys import LINE_KEYS, PATH_KEYS

__all__ = ["over", "over_preset"]

Content = dict[str, Any]

DISTANCES = ("km", "miles")
EFFICIENCIES = ("efficiency", "framing")
NODES = ("nodes", "ranks_per_node", "node")


def over(general: Content, own: Content) -> Content:
    """Return ``own`` over ``general``, without the keys that ``own`` displaces.

    Of the ``sources`` in ``general``, the sources of the numbers that are left are kept.
    """
    displaced = _displaced(general, own)
    kept = {key: value for key, value in general.items() if key not in displaced}
    merged = {**kept, **own}
    sources, own_sources = kept.get("sources"), own.get("sources", {})
    if isinstance(sources, dict) and isinstance(own_sources, dict):
        left = {key: text for key, text in sources.items() if key in kept and key not in own}
        merged["sources"] = {**left, **own_sources}
    return merged


def _displaced(general: Content, own: Content) -> set[str]:
    """Return the keys of ``general`` that keys of ``own`` replace."""
    if "preset" in own:
        return set(general)
    displaced: set[str] = set()
    if "latency_us" in own:
        displaced.update(PATH_KEYS)
    if own.keys() & PATH_KEYS:
        displaced.add("latency_us")
    if "rate_gbit_per_s" in own and "rate_gbit_per_s" not in general:
        displaced.update(LINE_KEYS, ["waves"])
    if own.keys() & LINE_KEYS and "rate_gbit_per_s" in general:
        displaced.update(["rate_gbit_per_s", "waves"])
    for forms in (DISTANCES, EFFICIENCIES, NODES):
        if own.keys() & forms:
            displaced.update(forms)
    return displaced


def over_preset(preset: Content, own: Content) -> Content:
    """Return the document ``own`` over the document of a preset.

    Defaults are overlaid table by table, sites by name, trunks by the sites they join; sites and
    trunks that the preset does not have come after its own.
    """
    merged = {**preset, **{key: value for key, value in own.items() if key != "preset"}}
    merged["defaults"] = _each_over(preset.get("defaults"), own.get("defaults"))
    merged["site"] = _listed_over(preset.get("site"), own.get("site"), _name, _site_over)
    merged["trunk"] = _listed_over(preset.get("trunk"), own.get("trunk"), _ends, over)
    return {key: value for key, value in merged.items() if value is not None}


def _each_over(general: object, own: object) -> object:
    """Return a table of tables over another; anything else is left for the reader to refuse."""
    if not isinstance(general, dict) or not isinstance(own, dict):
        return general if own is None else own
    merged = dict(general)
    for key, value in own.items():
        both = isinstance(value, dict) and isinstance(general.get(key), dict)
        merged[key] = over(general[key], value) if both else value
    return merged


def _site_over(general: Content, own: Content) -> Content:
    merged = over(general, own)
    for key in ("node_link", "site_link"):
        if isinstance(general.get(key), dict) and isinstance(own.get(key), dict):
            merged[key] = over(general[key], own[key])
    return merged


def _name(table: Content) -> Hashable:
    name = table.get("name")
    return name if isinstance(name, str) else None


def _ends(table: Content) -> Hashable:
    between = table.get("between")
    named = isinstance(between, list) and all(isinstance(each, str) for each in between)
    return frozenset(between or ()) if named else None


def _listed_over(
    general: object,
    own: object,
    key_of: Callable[[Content], Hashable],
    join: Callable[[Content, Content], Content],
) -> object:
    if not isinstance(general, list) or not isinstance(own, list):
        return general if own is None else own
    merged = list(general)
    place = {key_of(table): i for i, table in enumerate(general)}
    for table in own:
        i = place.get(key_of(table)) if isinstance(table, dict) else None
        if i is None:
            merged.append(table)
        else:
            merged[i] = join(merged[i], table)
    return merged
