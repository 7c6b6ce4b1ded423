"""Messages as a library puts them on the wire: handshakes before data.

The scheduler's columns are longer then: before the data of a message that is not eager go the
sender's question and the receiver's answer, or the receiver's notice. They are transfers like any
other, on the connection of the message or on the one back; so their waits (the receiver's
turn, bulk data in front of them) follows from the same rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from emul.arrays import BoolArray, Float64Array, Int32Array, Int64Array, UInt8Array
from emul.stacks import HOP_KINDS, Stack
from emul.timing.engine.dependencies import (
    POSTS_KIND,
    STARTS_KIND,
    Edges,
    edges_between,
)
from emul.timing.traffic import NOBODY, Origin, Traffic, Transfers
from emul.topology import Network
from emul.units import PS_PER_S, picoseconds

__all__ = ["on_the_wire", "windows_of", "with_hop_costs", "without_windows"]

Columns = tuple[Int64Array, Int64Array, UInt8Array]


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """The numbers of the transfers of each message: (messages,).

    ``asks``, ``answers``: of question and answer or notice, -1 where there is none; ``data``.
    """

    asks: Int64Array
    answers: Int64Array
    data: Int64Array

    @classmethod
    def of(cls, traffic: Traffic, stack: Stack) -> _Numbers:
        """Return the numbers: all answers first, then question and data of each message in turn.

        At the same moment lower numbers go first: a rank posts its receives before its sends.
        """
        shakes = (traffic.src != traffic.dst) & (traffic.nbytes > stack.eager_bytes)
        if stack.handshake == "notice":
            shakes = traffic.src != traffic.dst
        asking = shakes & (stack.handshake == "rendezvous")
        answering = shakes & (stack.handshake != "none")
        own = asking + np.int64(1)
        first = int(answering.sum()) + np.cumsum(own) - own
        return cls(
            asks=np.where(asking, first, -1),
            answers=np.where(answering, np.cumsum(answering) - 1, -1),
            data=first + asking,
        )

    @property
    def transfers(self) -> int:
        """Number of all transfers."""
        return int(self.data[-1]) + 1 if len(self.data) else 0


def on_the_wire(traffic: Traffic, edges: Edges, stack: Stack) -> tuple[Transfers, Edges]:
    """Return the transfers, and who waits for whom, of ``traffic`` as ``stack`` sends it.

    ``edges`` are its dependencies, with the receivers' work before they ask.
    """
    numbers = _Numbers.of(traffic, stack)
    columns = [_translated(*edges.table(), numbers), *_handshakes(numbers)]
    earlier, later, kind = (np.concatenate(column) for column in zip(*columns, strict=True))
    found = edges_between(earlier.astype(np.int32), later.astype(np.int32), kind, numbers.transfers)
    return _transfers(traffic, numbers, stack), found


def with_hop_costs(network: Network, stack: Stack) -> Network:
    """Return ``network`` with the software of ``stack`` for each message, by kind of hop."""
    if stack.hop_overhead_s:
        overhead, given = _by_path(network, stack.hop_overhead_s)
        host = np.where(given, overhead, 0)
        overhead = np.where(given, overhead, network.path_overhead_ps)
        network = replace(network, path_overhead_ps=overhead, path_host_ps=host)
    if stack.hop_completion_s:
        delay, _ = _by_path(network, stack.hop_completion_s)
        completion = network.path_completion_ps
        network = replace(
            network,
            path_latency_ps=network.path_latency_ps + delay,
            path_completion_ps=completion + delay if completion.size else delay,
        )
    return network


def _by_path(network: Network, seconds: Mapping[str, float]) -> tuple[Int64Array, BoolArray]:
    """Return the picoseconds of each path by its kind of hop, and whether they are given."""
    paths = np.arange(len(network.path_overhead_ps))
    kind = np.searchsorted([network.first_site_path, network.first_trunk_path], paths, side="right")
    ps = np.array([round(seconds.get(name, 0.0) * PS_PER_S) for name in HOP_KINDS], np.int64)
    return ps[kind], np.array([name in seconds for name in HOP_KINDS])[kind]


def windows_of(network: Network) -> Float64Array:
    """Return the bytes that a connection may have in flight, by way; infinity where any."""
    windows = np.full(len(network.path_latency_ps), np.inf)
    for path, link in network.links.items():
        if link.transport.window_bytes:
            windows[path] = link.transport.window_bytes * link.transport.streams
    return windows


def without_windows(network: Network) -> Network:
    """Return ``network`` without the windows of its links as caps of the rate."""
    links = {
        path: replace(link, transport=replace(link.transport, window_bytes=0.0))
        for path, link in network.links.items()
    }
    return replace(network, links=links)


def _transfers(traffic: Traffic, numbers: _Numbers, stack: Stack) -> Transfers:
    count, data = numbers.transfers, numbers.data
    src, dst, channel = (np.zeros(count, dtype=np.int32) for _ in range(3))
    nbytes = np.full(count, stack.control_bytes, dtype=np.int64)
    begins = np.zeros(count, dtype=np.uint8)
    src[data], dst[data], channel[data] = traffic.src, traffic.dst, traffic.channel
    nbytes[data], begins[data] = traffic.nbytes, 1
    aside = 0 if stack.in_order else 1 + int(traffic.channel.max(initial=0))
    for at, back in ((numbers.asks, False), (numbers.answers, True)):
        there = np.flatnonzero(at >= 0)
        ends = (traffic.dst, traffic.src) if back else (traffic.src, traffic.dst)
        src[at[there]], dst[at[there]] = (end[there] for end in ends)
        channel[at[there]] = traffic.channel[there] + aside
    constants = stack.host_constants
    host, completion = (np.zeros(count) for _ in range(2))
    host[numbers.answers[numbers.answers >= 0]] = constants.control_s
    host[data] = np.where(traffic.src == traffic.dst, 0.0, constants.message_s)
    completion[data] = constants.completion_s + traffic.nbytes * constants.byte_s
    return Transfers(
        src,
        dst,
        channel,
        nbytes,
        begins,
        takes=np.zeros(0, dtype=np.int64),
        remainder=np.zeros(0, dtype=np.uint8),
        credit=0,
        host_ps=picoseconds(host),
        completion_ps=picoseconds(completion),
        call_ps=round(constants.call_s * PS_PER_S),
        multiplicity=None,
        origin=_origin(traffic, numbers),
        growth=np.zeros(0, dtype=np.int64),
    )


def _origin(traffic: Traffic, numbers: _Numbers) -> Origin | None:
    """Return the messages that the transfers carry; handshakes carry none."""
    if traffic.origin is None:
        return None
    message = np.full(numbers.transfers, NOBODY, dtype=np.int64)
    message[numbers.data] = traffic.origin.message
    return replace(traffic.origin, message=message)


def _translated(
    earlier: Int32Array, later: Int32Array, kind: UInt8Array, numbers: _Numbers
) -> Columns:
    """Return the edges between messages as edges between their transfers.

    A message is done, and handed over, with its data. It starts with its question, or with its
    data; the receiver's earlier work keeps the answer, or where there is none nothing.
    """
    posts, starts = (kind & POSTS_KIND) > 0, (kind & STARTS_KIND) > 0
    begin = np.where(numbers.asks >= 0, numbers.asks, numbers.data)
    target = np.where(
        posts, numbers.answers[later], np.where(starts, begin[later], numbers.data[later])
    )
    keep = target >= 0
    plain = (kind & ~np.uint8(POSTS_KIND)).astype(np.uint8)
    return numbers.data[earlier][keep], target[keep], plain[keep]


def _handshakes(numbers: _Numbers) -> list[Columns]:
    """Return the edges from question to answer, and from answer to data."""
    asked = np.flatnonzero(numbers.asks >= 0)
    answered = np.flatnonzero(numbers.answers >= 0)
    return [
        (each[0], each[1], np.full(len(each[0]), STARTS_KIND, dtype=np.uint8))
        for each in (
            (numbers.asks[asked], numbers.answers[asked]),
            (numbers.answers[answered], numbers.data[answered]),
        )
    ]
