"""Meshes to be drawn: sites of replicas that are alike, for properties of few ranks for all."""

from hypothesis import strategies as st

from emul.links import Link
from emul.topology import Node, Site, Topology, Trunk

NEAR = (Link(1e9, 1e-6, 2e-6), Link(3e9, 0.0), Link(9e9, 2e-7, 1e-6))
FAR = (Link(2e9, 1e-4), Link(12e9, 1e-5, 1e-6))


NODES = [(1,) * 4, (4,), (2, 2), (1, 3), (1,) * 8, (4, 4)]
REPLICAS = [(1, 1, 1), (2, 2, 2), (4, 2, 2), (6, 3, 3), (8, 4), (5,)]


@st.composite
def meshes(draw, nodes_of_replica=NODES, replicas_of_sites=REPLICAS):
    """Sites of replicas, by default of 4 or 8 positions, in nodes that may differ inside."""
    nodes = draw(st.sampled_from(nodes_of_replica))
    replicas = draw(st.sampled_from(replicas_of_sites))
    links = {n: draw(st.sampled_from(NEAR)) for n in nodes}
    fabric = draw(st.sampled_from(NEAR))
    sites = tuple(
        Site(name, [Node(n, links[n]) for n in nodes] * each, fabric)
        for name, each in zip("abc", replicas, strict=False)
    )
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    trunks = tuple(Trunk(pair, draw(st.sampled_from(FAR))) for pair in pairs)
    return Topology("mesh", sites, trunks), sum(nodes)
