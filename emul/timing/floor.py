"""The least time a program can take: its busiest link, without any waiting."""

from __future__ import annotations

import numpy as np

from emul.plans import Program
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["busiest_link_ps"]


def busiest_link_ps(program: Program, network: Network) -> int:
    """Return how long the bytes of ``program`` occupy the link that has most to do with them."""
    sent = program.src != program.dst
    src, dst, nbytes = program.src[sent], program.dst[sent], program.nbytes[sent]
    near = network.node_of[src] == network.node_of[dst]
    a, b = network.site_of[src], network.site_of[dst]
    kinds = [
        (4 * src, near),
        (4 * dst + 1, near),
        (4 * src + 2, ~near),
        (4 * dst + 3, ~near),
        (network.trunk_link(0, 0) + a * network.n_sites + b, a != b),
    ]
    carried = np.zeros(len(network.link_rate))
    for link, used in kinds:
        carried += np.bincount(link[used], nbytes[used], len(carried))
    return int((carried / network.link_rate).max(initial=0.0) * PS_PER_S)
