"""When each transfer held its sender's port, its connection and its receiver's port.

A Timeline has when each was taken. Its end follows as in the scheduler: a port is held for the
bytes at its rate, the sender's also for the overhead; a connection until the last byte left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.reading.brief import brief
from emul.timing.traffic import NOBODY, Origin, connections_of
from emul.timing.transfer_times import TransferTimes
from emul.topology import Network

__all__ = ["ELSEWHERE", "HOPS", "Crossings", "held_until_ps"]

HOPS = 3
"""The sender's port, the connection, the receiver's port: the columns of a Timeline's times."""

PORT, CONNECTION, RECEIVER = range(HOPS)

ELSEWHERE = -2
"""In the place of a transfer's number: a transfer of another collective."""


@dataclass(frozen=True, slots=True, eq=False)
class Crossings:
    """The transfers of one collective, and their time on each hop: flat arrays, (transfers,).

    ``from_ps`` and ``until_ps``: (transfers, 3), -1 for a hop that is not taken. ``alike``: the
    connections that each stands for, ``rounds`` likewise; ones but in an excerpt. The causes
    ``behind`` (transfers, 3), ``waited_for``, ``start_cause``, ``held_by`` and ``ordered_after``
    are those of a Timeline, with numbers of transfers of this collective; on a link, another one's
    is ELSEWHERE. A transfer that waited for nothing but the start of its rank has -1.
    """

    network: Network
    src: Int32Array
    dst: Int32Array
    channel: Int32Array
    nbytes: Int64Array
    alike: Int64Array
    rounds: Int64Array
    from_ps: Int64Array
    until_ps: Int64Array
    arrival_ps: Int64Array
    done_ps: Int64Array
    behind: Int64Array
    waited_for: Int64Array
    start_cause: Int64Array
    held_by: Int64Array
    ordered_after: Int64Array
    origin: Origin | None

    __repr__ = brief

    @classmethod
    def of(
        cls, timeline: TransferTimes, lines: slice = slice(None), origin: Origin | None = None
    ) -> Crossings:
        """Return those of ``lines`` of ``timeline``, one collective of several or all of it.

        ``origin``: the messages of these lines, where the timeline itself cannot tell them.
        """
        given, first = timeline.transfers, lines.indices(len(timeline))[0]
        held_by: Int64Array = np.full(len(timeline), NOBODY, dtype=np.int64)
        if timeline.held_by.size:
            held_by = timeline.held_by
        size = len(timeline.src[lines])
        return cls(
            network=timeline.network,
            src=given.src[lines],
            dst=given.dst[lines],
            channel=given.channel[lines],
            nbytes=given.nbytes[lines],
            alike=connections_of(given)[lines],
            rounds=np.ones(size, np.int64)
            if given.multiplicity is None
            else given.multiplicity.rounds[lines],
            from_ps=timeline.on_link_ps[lines],
            until_ps=held_until_ps(timeline, lines),
            arrival_ps=timeline.arrival_ps[lines],
            done_ps=timeline.done_ps[lines],
            behind=_within(timeline.behind[lines], first, size),
            waited_for=_own(timeline.waited_for[lines], first, size),
            start_cause=timeline.start_cause[lines],
            held_by=_within(held_by[lines], first, size),
            ordered_after=_own(timeline.ordered_after[lines], first, size),
            origin=given.origin if origin is None else origin,
        )

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.src)

    def after(self, ps: int) -> Crossings:
        """Return the same, so much later."""
        taken = self.from_ps >= 0
        return replace(
            self,
            from_ps=np.where(taken, self.from_ps + ps, -1),
            until_ps=np.where(taken, self.until_ps + ps, -1),
            arrival_ps=self.arrival_ps + ps,
            done_ps=self.done_ps + ps,
        )

    def apart(self) -> Crossings:
        """Return the same, in arrays of their own."""
        own = {
            name: getattr(self, name).copy()
            for name in self.__slots__
            if isinstance(getattr(self, name), np.ndarray)
        }
        return replace(self, **own)


def held_until_ps(timeline: TransferTimes, lines: slice | BoolArray = slice(None)) -> Int64Array:
    """Return until when ``lines`` held the hops of ``on_link_ps``: (transfers, 3), -1 for none."""
    network, given = timeline.network, timeline.transfers
    taken, src, dst = timeline.on_link_ps[lines], given.src[lines], given.dst[lines]
    nbytes = given.nbytes[lines]
    until: Int64Array = np.full_like(taken, NOBODY)
    host = given.host_ps[lines] if given.host_ps.size else 0
    overhead = np.append(network.path_overhead_ps, 0)[network.paths(src, dst)]
    before = overhead * given.begins[lines] + host
    for hop, ports, more in (
        (PORT, network.ports_out(src, dst), before),
        (RECEIVER, network.ports_in(src, dst), 0),
    ):
        rate = network.link_rate[ports]
        occupied = np.floor(nbytes * 1e12 / rate + 0.5).astype(np.int64)  # as the scheduler does
        there = taken[:, hop] >= 0
        until[there, hop] = (taken[:, hop] + more + occupied)[there]
    if timeline.left_ps.size:
        there = taken[:, CONNECTION] >= 0
        until[there, CONNECTION] = timeline.left_ps[lines][there]
    return until


def _within(number: Int64Array, first: int, size: int) -> Int64Array:
    """Return numbers of transfers as counted from ``first``; those of others are ELSEWHERE."""
    if not first:
        inside = number < size
        return number if inside.all() else np.where(inside, number, ELSEWHERE)
    own = (number >= first) & (number < first + size)
    found: Int64Array = np.where(own, number - first, ELSEWHERE)
    found[number < 0] = NOBODY
    return found


def _own(number: Int64Array, first: int, size: int) -> Int64Array:
    """Return the same of waits, which are for this collective or for the start of a rank."""
    found = _within(number, first, size)
    return np.where(found == ELSEWHERE, NOBODY, found)
