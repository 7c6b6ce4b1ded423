"""The topologies that come with emul, each a TOML file beside this module."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from emul.errors import TopologyError
from emul.topology.model import Topology
from emul.topology.reader import parse_topology, read_topology

__all__ = ["load", "preset_names"]


@cache
def preset_names() -> tuple[str, ...]:
    """Return the names of all presets, in alphabetical order."""
    found = (Path(entry.name) for entry in files(__package__).iterdir())
    return tuple(sorted(path.stem for path in found if path.suffix == ".toml"))


def load(name: str) -> Topology:
    """Return the preset called ``name``, or else the topology in the TOML file at ``name``.

    Raises TopologyError when there is neither.
    """
    if name in preset_names():
        text = files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
        return parse_topology(text, name=name, where=f"preset {name}")
    if Path(name).suffix != ".toml" and not Path(name).exists():
        raise TopologyError(
            f"unknown topology {name!r}: needed one of {', '.join(preset_names())}, "
            "or the path of a TOML file"
        )
    return read_topology(Path(name))
