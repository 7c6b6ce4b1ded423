"""One document over another: a file on top of a preset, table by table."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from emul.topology.toml.link_tables import Content, over

__all__ = ["over_preset"]


def over_preset(preset: Content, own: Content) -> Content:
    """Return the document ``own`` over the document of a preset.

    Defaults are overlaid table by table, sites by name, trunks by the sites they join; sites and
    trunks that the preset does not have come after its own.
    """
    merged = {**preset, **{key: value for key, value in own.items() if key != "preset"}}
    merged["defaults"] = _each_over(preset.get("defaults"), own.get("defaults"))
    merged["site"] = _listed_over(preset.get("site"), own.get("site"), _name, _site_over)
    merged["trunk"] = _listed_over(preset.get("trunk"), own.get("trunk"), _ends, over)
    merged["conduit"] = _listed_over(preset.get("conduit"), own.get("conduit"), _name, over)
    merged["path"] = _listed_over(preset.get("path"), own.get("path"), _ends, over)
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
