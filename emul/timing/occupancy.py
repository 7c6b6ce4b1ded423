"""When a link is in use: a port, or one direction of a trunk."""

from __future__ import annotations

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.errors import ArgumentError
from emul.timing.traced.crossings import Lines, held_until_ps
from emul.timing.transfer_times import TransferTimes
from emul.topology.network import PORTS_PER_RANK

__all__ = ["busiest_of", "busy_intervals", "check_all_rounds", "leaves_out_rounds"]

SENDER, CONNECTION, RECEIVER = range(3)
"""Columns of a timeline's ``on_link_ps``."""


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

    Of a trunk these are its two directions, the one of that name first; of ports, the two of the
    rank that sends and receives most there.
    """
    network = timeline.network
    for a, b in network.trunks:
        if network.place(network.trunk_link(a, b)) == place:
            return [network.trunk_link(a, b), network.trunk_link(b, a)]
    ports = PORTS_PER_RANK * network.world_size
    pairs = [link for link in range(0, ports, 2) if network.place(link) == place]
    if not pairs:
        return []
    carried = network.link_bytes(timeline.src, timeline.dst, timeline.nbytes)
    busiest = max(pairs, key=lambda link: carried[link] + carried[link + 1])
    return [busiest, busiest + 1]


def busy_intervals(timeline: TransferTimes, link: int) -> Int64Array:
    """Return when ``link`` is in use, in picoseconds: (intervals, 2) int64, one after the other.

    A link, numbered as in Network, is in use from when a transfer takes it until the last byte of
    that transfer has left it; a port of a sender also during the overhead. Intervals that touch are
    one. Raises ArgumentError where rounds were left out, for they are missing here too.
    """
    check_all_rounds(timeline)
    over, column = _crossing(timeline, link)
    begins = timeline.on_link_ps[over, column]
    ends = held_until_ps(Lines.of(timeline, over))[:, column]
    return _united(begins, ends)


def _crossing(timeline: TransferTimes, link: int) -> tuple[BoolArray, int]:
    """Return which transfers cross ``link``, and the column of the moments they take it."""
    network, src, dst = timeline.network, timeline.src, timeline.dst
    moved: BoolArray = src != dst
    trunk = link - PORTS_PER_RANK * network.world_size
    if trunk >= 0:
        a, b = divmod(trunk, network.n_sites)
        between = (network.site_of[src] == a) & (network.site_of[dst] == b) & (a != b)
        return moved & between, CONNECTION
    rank, kind = divmod(link, PORTS_PER_RANK)
    near = network.node_of[src] == network.node_of[dst]
    inside, into = kind < 2, kind % 2 == 1
    end = dst if into else src
    return moved & (near == inside) & (end == rank), RECEIVER if into else SENDER


def _united(begins: Int64Array, ends: Int64Array) -> Int64Array:
    """Return the union of intervals, in order: (intervals, 2)."""
    order = np.argsort(begins, kind="stable")
    begins, until = begins[order], np.maximum.accumulate(ends[order])
    if not len(begins):
        return np.zeros((0, 2), dtype=np.int64)
    new = np.append(True, begins[1:] > until[:-1])
    last = np.append(np.flatnonzero(new)[1:] - 1, len(begins) - 1)
    return np.stack([begins[new], until[last]], axis=1)
