"""Nodes of eight GPUs on NVLink, in one room and on campuses."""

from emul import Link, Node, Site, Topology, Trunk
from emul.links import Transport
from emul.stacks.nccl_tuner import Nodes, estimate_s

NVLINK = Link(371e9, 0.5e-6, 2.9e-6)
FABRIC = Link(49e9, 3e-6, 11e-6, Transport(recovery="gbn"))
H100 = Nodes((8,), 371e9, 49e9)
THREE = Nodes((8, 8, 8), 371e9, 49e9)
EIGHT_ALONE = Nodes((1,) * 8, 371e9, 49e9)
MIB = 1 << 20


def nodes_of(count, ranks=8):
    return Nodes((ranks,) * count, 371e9, 49e9)


def room(*ranks):
    """Nodes with so many GPUs each, at one site."""
    return Topology("room", (Site("a", tuple(Node(k, NVLINK) for k in ranks), FABRIC),))


def campuses(count, ranks, trunk):
    """As many sites, each with one node."""
    sites = tuple(Site(f"s{i}", (Node(ranks, NVLINK),), FABRIC) for i in range(count))
    pairs = [(f"s{i}", f"s{j}") for j in range(count) for i in range(j)]
    return Topology("campuses", sites, tuple(Trunk(pair, trunk) for pair in pairs))


def latency_us(collective, family, protocol, nodes):
    return estimate_s(collective, family, protocol, nodes, 0) * 1e6
