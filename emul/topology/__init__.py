"""Where ranks live and what joins them: the model, its files, and the presets."""

from emul.topology.model import Node, Site, Topology, Trunk
from emul.topology.network import Network
from emul.topology.presets import load, preset_names
from emul.topology.reader import read_topology

__all__ = [
    "Network",
    "Node",
    "Site",
    "Topology",
    "Trunk",
    "load",
    "preset_names",
    "read_topology",
]
