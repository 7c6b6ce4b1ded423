"""Which links of a timeline are in use, and when: the trunks, and the busiest ports."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emul.arrays import Int64Array
from emul.timing.occupancy import busy_intervals
from emul.timing.transfer_times import TransferTimes
from emul.topology import Network
from emul.topology.network import PORTS_PER_RANK

__all__ = ["BusyLink", "busy_links", "merged"]

PORTS = ("sends in its node", "receives in its node", "sends", "receives")
"""A rank's ports, in the order of a Network."""


class BusyLink(NamedTuple):
    """A link by name, and when it is in use: (intervals, 2) picoseconds, in order."""

    name: str
    is_trunk: bool
    busy_ps: Int64Array


def busy_links(timeline: TransferTimes, most: int) -> tuple[list[BusyLink], int]:
    """Return at most so many links that carry anything, and how many others there are.

    Directions of trunks come first, then ports by rank; where not all fit, those that are in use
    longest. Raises ArgumentError for a timeline in which equal rounds were left out.
    """
    network = timeline.network
    carried = network.link_bytes(timeline.src, timeline.dst, timeline.nbytes)
    used = np.flatnonzero(carried > 0)
    first_trunk = PORTS_PER_RANK * network.world_size
    # Longest in use first, trunks before ports; then shown in the order of the network.
    busy_s = carried[used] / network.link_rate[used]
    chosen = used[np.lexsort((-busy_s, used < first_trunk))][:most]
    order = np.lexsort((chosen, chosen < first_trunk))
    links = [
        BusyLink(_name(network, link), link >= first_trunk, busy_intervals(timeline, link))
        for link in chosen[order].tolist()
    ]
    return links, len(used) - len(links)


def merged(busy_ps: Int64Array, gap_ps: int) -> Int64Array:
    """Return intervals (intervals, 2) of which those no more than ``gap_ps`` apart are one."""
    if not len(busy_ps):
        return busy_ps
    apart = busy_ps[1:, 0] - busy_ps[:-1, 1] > gap_ps
    first = np.append(True, apart)
    last = np.append(apart, True)
    return np.stack([busy_ps[first, 0], busy_ps[last, 1]], axis=1)


def _name(network: Network, link: int) -> str:
    rank, kind = divmod(link, PORTS_PER_RANK)
    if rank >= network.world_size:
        return network.place(link)
    return f"rank {rank} {PORTS[kind]}"
