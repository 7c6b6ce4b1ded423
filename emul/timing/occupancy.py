"""When a link is in use: a port, or one direction of a trunk."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.errors import ArgumentError
from emul.timing.traced.crossings import CONNECTION, PORT, RECEIVER, Lines, held_until_ps
from emul.timing.transfer_times import TransferTimes

__all__ = [
    "BusyLink",
    "busiest_of",
    "busy_intervals",
    "busy_links",
    "check_all_rounds",
    "leaves_out_rounds",
    "united",
]


class BusyLink(NamedTuple):
    """A link by name, and when it is in use: (intervals, 2) picoseconds, in order."""

    name: str
    is_trunk: bool
    busy_ps: Int64Array


def leaves_out_rounds(timeline: TransferTimes) -> bool:
    """Say whether some lines of ``timeline`` stand for several rounds, which are not all there."""
    given = timeline.transfers.multiplicity
    return given is not None and bool((given.rounds > 1).any())


def check_all_rounds(timeline: TransferTimes) -> None:
    """Raise ArgumentError where equal rounds were left out of ``timeline``."""
    if leaves_out_rounds(timeline):
        raise ArgumentError(
            "a timeline in which equal rounds were left out: needed one with all of them (of fewer "
            "ranks)"
        )


def busiest_of(timeline: TransferTimes, place: str) -> list[int]:
    """Return the links of ``place`` to look at, as Network numbers them; none for a host.

    Of a trunk these are its two directions, the one of that name first; so they are of a path over
    several trunks, of the one that is busy longest; of ports, the two of the rank that sends and
    receives most there.
    """
    network = timeline.network
    links = network.links_of(place)
    if not links:
        return []
    carried = network.link_bytes(timeline.src, timeline.dst, timeline.nbytes)
    if links[0] >= network.first_trunk_link:
        busiest = max(links, key=lambda link: carried[link] / network.link_rate[link])
        return [busiest, busiest ^ 1]
    busiest = max(links[::2], key=lambda link: carried[link] + carried[link ^ 1])
    return [busiest, busiest ^ 1]


def busy_links(timeline: TransferTimes, most: int) -> tuple[list[BusyLink], int]:
    """Return at most so many links that carry anything, and how many others there are.

    Directions of trunks come first, then ports by rank; where not all fit, those that are in use
    longest. Raises ArgumentError for a timeline in which equal rounds were left out.
    """
    network = timeline.network
    carried = network.link_bytes(timeline.src, timeline.dst, timeline.nbytes)
    used = np.flatnonzero(carried > 0)
    first_trunk = network.first_trunk_link
    # Longest in use first, trunks before ports; then shown in the order of the network.
    busy_s = carried[used] / network.link_rate[used]
    chosen = used[np.lexsort((-busy_s, used < first_trunk))][:most]
    order = np.lexsort((chosen, chosen < first_trunk))
    links = [
        BusyLink(network.link_name(link), link >= first_trunk, busy_intervals(timeline, link))
        for link in chosen[order].tolist()
    ]
    return links, len(used) - len(links)


def busy_intervals(timeline: TransferTimes, link: int) -> Int64Array:
    """Return when ``link`` is in use, in picoseconds: (intervals, 2) int64, one after the other.

    A link, numbered as in Network, is in use from when a transfer takes it until the last byte of
    that transfer has left it; a port of a sender also during the overhead. Intervals that touch are
    one. Raises ArgumentError where rounds were left out, for they are missing here too.
    """
    check_all_rounds(timeline)
    over, hop = _crossing(timeline, link)
    begins = timeline.on_link_ps[over, hop]
    ends = held_until_ps(Lines.of(timeline, over))[:, hop]
    return united(np.stack([begins, ends], axis=1))


def _crossing(timeline: TransferTimes, link: int) -> tuple[BoolArray, int]:
    """Return which transfers cross ``link``, and the hop that it is on their way."""
    network, src, dst = timeline.network, timeline.src, timeline.dst
    if link >= network.first_trunk_link:
        across = network.paths_across(link)
        there, hop = np.isin(network.paths(src, dst), across), CONNECTION
    elif link % 2:
        there, hop = network.ports_in(src, dst) == link, RECEIVER
    else:
        there, hop = network.ports_out(src, dst) == link, PORT
    crosses: BoolArray = there & (src != dst)
    return crosses, hop


def united(intervals_ps: Int64Array, gap_ps: int = 0) -> Int64Array:
    """Return the union of intervals, in order: (intervals, 2).

    Those no more than ``gap_ps`` apart are one.
    """
    if not len(intervals_ps):
        return intervals_ps
    begins, ends = intervals_ps[np.argsort(intervals_ps[:, 0], kind="stable")].T
    until = np.maximum.accumulate(ends)
    apart = begins[1:] - until[:-1] > gap_ps
    return np.stack([begins[np.append(True, apart)], until[np.append(apart, True)]], axis=1)
