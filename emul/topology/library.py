"""The texts of the topologies and the presets of links that come with emul."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from emul.reading.bounded_text import toml_document

__all__ = ["link_preset", "link_preset_names", "preset_names", "preset_text"]

TOPOLOGIES = "emul.topology.presets"
LINKS = "emul.links.presets"


@cache
def _names(folder: str) -> tuple[str, ...]:
    found = (Path(entry.name) for entry in files(folder).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == ".toml"))


def preset_names() -> tuple[str, ...]:
    """Return the names of all topologies that come with emul, in alphabetical order."""
    return _names(TOPOLOGIES)


def preset_text(name: str) -> str:
    """Return the TOML of the topology called ``name``, one of ``preset_names``."""
    return files(TOPOLOGIES).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def link_preset_names() -> tuple[str, ...]:
    """Return the names of all presets of links, in alphabetical order."""
    return _names(LINKS)


@cache
def link_preset(name: str) -> dict[str, Any]:
    """Return the table of the link called ``name``, one of ``link_preset_names``."""
    text = files(LINKS).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return toml_document(text, f"preset {name}")
