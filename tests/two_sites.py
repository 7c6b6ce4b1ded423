"""Two sites with a trunk between them, and inputs of ones."""

import numpy as np

import emul
from emul import Link

TRUNK = Link(1e8, 3e-3, 1e-6)
NIC = Link(1e12, 0.0)


def ones(n, count=1000, dtype=np.uint8):
    return np.ones((n, count), dtype)


def two_sites(ranks=2, trunk=TRUNK):
    nodes = (emul.Node(1, NIC),) * ranks
    sites = tuple(emul.Site(name, nodes, NIC) for name in "ab")
    return emul.Topology("two sites", sites, (emul.Trunk(("a", "b"), trunk),))
