"""When each transfer held its sender's port, its connection and its receiver's port.

A Timeline has when each was taken. Its end follows as in the scheduler: a port is held for the
bytes at its rate, the sender's also for the overhead; a connection until the last byte left. A NIC
that messages share is in use as long as the connection, at the receiver so much later as the bytes
are under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array, UInt8Array
from emul.plans import Multiplicity
from emul.reading.brief import brief
from emul.timing.traffic import NOBODY, Origin
from emul.timing.transfer_times import TransferTimes
from emul.topology import Network

__all__ = ["ELSEWHERE", "HOPS", "Crossings", "Lines", "held_until_ps"]

HOPS = 3
"""The sender's port, the connection, the receiver's port: the columns of a Timeline's times."""

PORT, CONNECTION, RECEIVER = range(HOPS)

ELSEWHERE = -2
"""In the place of a transfer's number: a transfer of another collective."""


class Lines(NamedTuple):
    """Some lines of a timeline as they stand there, from number ``first`` on: (transfers,) each.

    ``origin``: the messages that they carry.
    """

    network: Network
    first: int
    src: Int32Array
    dst: Int32Array
    channel: Int32Array
    nbytes: Int64Array
    begins: UInt8Array
    host_ps: Int64Array
    on_link_ps: Int64Array
    left_ps: Int64Array
    arrival_ps: Int64Array
    done_ps: Int64Array
    behind: Int64Array
    waited_for: Int64Array
    start_cause: Int64Array
    held_by: Int64Array
    ordered_after: Int64Array
    multiplicity: Multiplicity | None
    origin: Origin | None

    @classmethod
    def of(
        cls,
        timeline: TransferTimes,
        lines: slice | BoolArray = slice(None),
        origin: Origin | None = None,
    ) -> Lines:
        """Return ``lines`` of ``timeline``: those of one collective of several, or all.

        ``origin``: the messages of these lines, where the timeline itself cannot tell them.
        """
        given = timeline.transfers
        first = lines.start or 0 if isinstance(lines, slice) else 0
        whole = isinstance(lines, slice) and len(given.src[lines]) == len(given.src)
        return cls(
            timeline.network,
            first,
            given.src[lines],
            given.dst[lines],
            given.channel[lines],
            given.nbytes[lines],
            given.begins[lines],
            given.host_ps[lines] if given.host_ps.size else given.host_ps,
            timeline.on_link_ps[lines],
            timeline.left_ps[lines] if timeline.left_ps.size else timeline.left_ps,
            timeline.arrival_ps[lines],
            timeline.done_ps[lines],
            timeline.behind[lines],
            timeline.waited_for[lines],
            timeline.start_cause[lines],
            timeline.held_by[lines] if timeline.held_by.size else timeline.held_by,
            timeline.ordered_after[lines],
            given.multiplicity if whole else None,
            given.origin if origin is None else origin,
        )

    def apart(self) -> Lines:
        """Return the same, in arrays of their own."""
        return Lines._make(each.copy() if isinstance(each, np.ndarray) else each for each in self)


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
    def of(cls, lines: Lines) -> Crossings:
        """Return those of ``lines``, one collective of several or all of it."""
        size, given = len(lines.src), lines.multiplicity
        ones: Int64Array = np.ones(size, dtype=np.int64)
        held_by = lines.held_by if lines.held_by.size else np.full(size, NOBODY)
        return cls(
            network=lines.network,
            src=lines.src,
            dst=lines.dst,
            channel=lines.channel,
            nbytes=lines.nbytes,
            alike=ones if given is None else given.connections,
            rounds=ones if given is None else given.rounds,
            from_ps=lines.on_link_ps,
            until_ps=held_until_ps(lines),
            arrival_ps=lines.arrival_ps,
            done_ps=lines.done_ps,
            behind=_within(lines.behind, lines.first, size),
            waited_for=_own(lines.waited_for, lines.first, size),
            start_cause=lines.start_cause,
            held_by=_within(held_by, lines.first, size),
            ordered_after=_own(lines.ordered_after, lines.first, size),
            origin=lines.origin,
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


def held_until_ps(lines: Lines) -> Int64Array:
    """Return until when ``lines`` held the hops of ``on_link_ps``: (transfers, 3), -1 for none."""
    network, taken, src, dst = lines.network, lines.on_link_ps, lines.src, lines.dst
    until: Int64Array = np.full_like(taken, NOBODY)
    host = lines.host_ps if lines.host_ps.size else 0
    overhead = np.append(network.path_overhead_ps, 0)[network.paths(src, dst)]
    before = overhead * lines.begins + host
    for hop, ports, more in (
        (PORT, network.ports_out(src, dst), before),
        (RECEIVER, network.ports_in(src, dst), 0),
    ):
        rate = network.queue_rate[ports]
        occupied = np.floor(lines.nbytes * 1e12 / rate + 0.5).astype(np.int64)  # as the scheduler
        there = taken[:, hop] >= 0
        until[there, hop] = (taken[:, hop] + more + occupied)[there]
    if lines.left_ps.size:
        there = taken[:, CONNECTION] >= 0
        until[there, CONNECTION] = lines.left_ps[there]
        stays = there & network.at_shared_nics(src, dst)
        stay = until[stays, CONNECTION] - taken[stays, CONNECTION]
        until[stays, PORT] = np.maximum(until[stays, PORT], until[stays, CONNECTION])
        until[stays, RECEIVER] = taken[stays, RECEIVER] + stay
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
