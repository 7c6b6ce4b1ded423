"""The topologies that come with emul, each a TOML file beside this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from emul.errors import ArgumentError, TopologyError, did_you_mean, shown
from emul.topology.library import preset_names, preset_text
from emul.topology.model import Site, Topology
from emul.topology.nodes import Node
from emul.topology.toml.reader import Document, parse_document, read_document, read_topology

__all__ = [
    "load",
    "load_document",
    "preset_names",
    "topology_meant",
    "topology_of_sites",
    "world_of",
]

ONE_PLACE = "one-campus"

MOST_SITES = 64
"""Of a topology without a file: each pair of them has a trunk."""

MODEL = "three-campus"
"""Whose links a topology without a file has."""


def load(name: str) -> Topology:
    """Return the preset called ``name``, or else the topology in the TOML file at ``name``.

    Raises TopologyError when there is neither.
    """
    return load_document(name).topology


def topology_meant(given: object, what: str = "topology") -> Topology:
    """Return the topology that is ``given`` as such, by name, or by the path of a file.

    ``what``: the argument, in errors. Raises ArgumentError for another kind of thing, TopologyError
    for a name or a file that is none.
    """
    if isinstance(given, Topology):
        return given.along_tour
    if not isinstance(given, str | Path):
        raise ArgumentError(
            f"{what} {shown(given)}: needed a name, the path of a file, or a Topology"
        )
    try:
        return load(given) if isinstance(given, str) else read_topology(given)
    except OSError as error:
        raise TopologyError(f"{what} {shown(given)}: {error.strerror}: needed a file") from error


def world_of(ranks: int) -> str:
    """Return how to write a topology of ``ranks`` ranks, in words: the way out of an error."""
    return (
        f"--ranks {ranks}, or a topology of {ranks} ranks, such as a TOML file of two lines "
        f"(--topology FILE.toml): "
        f'preset = "{ONE_PLACE}" and site = [{{ name = "campus", nodes = [{ranks}] }}]'
    )


def topology_of_sites(sites: Sequence[Sequence[int]]) -> Topology:
    """Return a topology of so many ranks at each node of each of ``sites``, without a file.

    The links inside a site are those of three-campus, and all trunks are like its trunk from north
    to east, with the load on it. Raises TopologyError for more than 64 sites.

    >>> topology_of_sites([(4, 2), (2,)]).ranks_by_node
    [[4, 2], [2]]
    """
    if not 1 <= len(sites) <= MOST_SITES:
        raise TopologyError(f"{len(sites)} sites: needed 1 to {MOST_SITES}, or a TOML file")
    model = load(MODEL)
    at, trunk = model.sites[0], model.trunks[0]
    names = [f"site-{number}" for number in range(len(sites))]
    places = tuple(
        Site(name, tuple(Node(ranks, at.nodes[0].link) for ranks in nodes), at.link)
        for name, nodes in zip(names, sites, strict=True)
    )
    trunks = tuple(replace(trunk, sites=pair) for pair in combinations(names, 2))
    of_each = ", ".join(str(site.ranks) for site in places)
    called = f"{'sites' if trunks else 'one site'} of {of_each} ranks"
    return Topology(called, places, trunks, f"assumed: links as in {MODEL}")


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
