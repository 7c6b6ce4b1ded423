"""The texts of the topologies that come with emul."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

__all__ = ["preset_names", "preset_text"]

FOLDER = "emul.topology.presets"


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, in alphabetical order."""
    found = (Path(entry.name) for entry in files(FOLDER).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == ".toml"))


def preset_text(name: str) -> str:
    """Return the TOML of the preset called ``name``, one of ``preset_names``."""
    return files(FOLDER).joinpath(f"{name}.toml").read_text(encoding="utf-8")
