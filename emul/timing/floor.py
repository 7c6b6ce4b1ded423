"""The least time a program can take: its busiest link, without any waiting."""

from __future__ import annotations

from emul.plans import Program
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["busiest_link_ps"]


def busiest_link_ps(program: Program, network: Network) -> int:
    """Return how long the bytes of ``program`` occupy the link that has most to do with them."""
    carried = network.link_bytes(program.src, program.dst, program.nbytes)
    rate = network.link_rate.copy()
    for (a, b), trunk in network.trunks.items():
        rate[network.trunk_link(a, b)] *= trunk.changes.best_rate_factor
    busy_s = float((carried / rate).max(initial=0.0)) - network.topology.burst_credit_s
    return max(0, int(busy_s * PS_PER_S))
