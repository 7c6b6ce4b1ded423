"""The least time a program can take: its busiest link, without any waiting."""

from __future__ import annotations

from emul.plans import Program
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["busiest_link_ps"]


def busiest_link_ps(program: Program, network: Network) -> int:
    """Return how long the bytes of ``program`` occupy the link that has most to do with them.

    What the token bucket of a trunk lets pass at once occupies it for no time.
    """
    carried = network.link_bytes(program.src, program.dst, program.nbytes)
    rate = network.link_rate.copy()
    for (a, b), trunk in network.trunks.items():
        link = network.trunk_link(a, b)
        rate[link] *= trunk.changes.best_rate_factor
        carried[link] -= trunk.link.others.burst_bytes
    return max(0, int(float((carried / rate).max(initial=0.0)) * PS_PER_S))
