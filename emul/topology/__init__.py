"""Where ranks live and how they are joined: the model, its files, and the presets."""

from emul.topology.library import link_preset_names
from emul.topology.model import Conduit, PathVia, Site, Topology, Trunk, Waypoint
from emul.topology.network import Network, SitePath
from emul.topology.nodes import Node, NodeRuns
from emul.topology.presets import (
    load,
    load_document,
    preset_names,
    topology_meant,
    topology_of_sites,
    world_of,
)
from emul.topology.toml.provenance import (
    Figure,
    figures_of,
    notes_of,
    preset_table,
)
from emul.topology.toml.reader import (
    Document,
    LinkOrigin,
    read_document,
    read_topology,
)

__all__ = [
    "Conduit",
    "Document",
    "Figure",
    "LinkOrigin",
    "Network",
    "Node",
    "NodeRuns",
    "PathVia",
    "Site",
    "SitePath",
    "Topology",
    "Trunk",
    "Waypoint",
    "figures_of",
    "link_preset_names",
    "load",
    "load_document",
    "notes_of",
    "preset_names",
    "preset_table",
    "read_document",
    "read_topology",
    "topology_meant",
    "topology_of_sites",
    "world_of",
]
