"""The topologies that come with emul, each a TOML file beside this module."""

from __future__ import annotations

from pathlib import Path

from emul.errors import TopologyError, did_you_mean
from emul.topology.library import preset_names, preset_text
from emul.topology.model import Topology
from emul.topology.toml.reader import Document, parse_document, read_document

__all__ = ["load", "load_document", "preset_names", "world_of"]

ONE_PLACE = "one-campus"


def load(name: str) -> Topology:
    """Return the preset called ``name``, or else the topology in the TOML file at ``name``.

    Raises TopologyError when there is neither.
    """
    return load_document(name).topology


def world_of(ranks: int) -> str:
    """Return how to write a topology of ``ranks`` ranks, in words: the way out of an error."""
    return (
        f"a topology of {ranks} ranks, such as a TOML file of two lines (--topology FILE.toml): "
        f'preset = "{ONE_PLACE}" and site = [{{ name = "campus", nodes = [{ranks}] }}]'
    )


def load_document(name: str) -> Document:
    """Return the topology that ``name`` means as in `load`, with the tables of its links."""
    if name in preset_names():
        return parse_document(preset_text(name), name=name, where=f"preset {name}")
    if Path(name).suffix != ".toml" and not Path(name).exists():
        raise TopologyError(
            f"unknown topology {name!r}: needed one of {', '.join(preset_names())}, "
            f"or the path of a TOML file{did_you_mean(name, preset_names())}"
        )
    return read_document(Path(name))
