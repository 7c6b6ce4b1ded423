"""The topologies that come with emul, each a TOML file beside this module."""

from __future__ import annotations

from pathlib import Path

from emul.errors import TopologyError
from emul.topology.library import preset_names, preset_text
from emul.topology.model import Topology
from emul.topology.reader import Document, parse_document, read_document

__all__ = ["load", "load_document", "preset_names"]


def load(name: str) -> Topology:
    """Return the preset called ``name``, or else the topology in the TOML file at ``name``.

    Raises TopologyError when there is neither.
    """
    return load_document(name).topology


def load_document(name: str) -> Document:
    """Return the topology that ``name`` means as in `load`, with the tables of its links."""
    if name in preset_names():
        return parse_document(preset_text(name), name=name, where=f"preset {name}")
    if Path(name).suffix != ".toml" and not Path(name).exists():
        raise TopologyError(
            f"unknown topology {name!r}: needed one of {', '.join(preset_names())}, "
            "or the path of a TOML file"
        )
    return read_document(Path(name))
