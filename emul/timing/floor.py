"""The least time of a program: its busiest link, without any waiting."""

from __future__ import annotations

from emul.plans import Program
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["busiest_link_ps"]


def busiest_link_ps(program: Program, network: Network) -> int:
    """Return the time for which the bytes of ``program`` occupy its busiest link.

    The burst of a token bucket occupies its trunk for no time. A timeline, which rounds each
    occupancy to the nearest picosecond, may be half a picosecond of each transfer below.
    """
    carried = network.link_bytes(program.src, program.dst, program.nbytes)
    rate = network.link_rate.copy()
    for link, (trunk, _) in network.trunk_links.items():
        rate[link] *= trunk.changes.best_rate_factor
        carried[link] -= trunk.link.others.burst_bytes
    return max(0, int(float((carried / rate).max(initial=0.0)) * PS_PER_S))
