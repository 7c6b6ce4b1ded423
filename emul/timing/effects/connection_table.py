"""What the links of a network mean for the traffic at hand, as arrays that the scheduler reads.

Here it is decided which connections need a pipe, and which of them share a trunk: where a trunk
has one connection only and does not change, its order is fixed and nothing has to be shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.links import Link
from emul.links.limits import usual_limit
from emul.timing.effects.drawn_delays import Connections, can_be_late, extra_delays
from emul.timing.effects.link_states import NEVER, States, states_of
from emul.timing.effects.wavelengths import Classes, classes_of
from emul.timing.terms import CODES
from emul.timing.traffic import NOBODY, Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["Conditions"]

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Pipes and draws. A pipe is what a connection goes through between two ports.

    ``pipe`` (transfers,): of each transfer, -1 for none. By pipe: its ``rate`` in bytes per
    second where it shares nothing, ``spacing_ps`` between the beginnings of two transfers,
    ``term``: what limits it (see emul.timing.terms), ``first_stream`` (pipes + 1,): where its
    streams begin, if it shares a trunk, ``changing``: number of its changing way or -1,
    ``latency_ps``; of windows that are filled anew each round trip ``ramp_rtt_ps`` (0: none),
    ``ramp_rate``, ``ramp_bytes`` to begin with, ``ramp_most`` bytes and ``idle_ps``. ``late``: by
    transfer, whether it is more than its window holds, so that it is handed over late; or empty.
    ``jitter_ps``, ``tail_ps``: by transfer, or empty. ``credited`` (transfers,): the connection
    whose ``credit`` each transfer ``takes`` from, -1 for none; or empty; ``remainder`` as in
    Transfers.
    """

    pipe: Int32Array
    rate: Float64Array
    spacing_ps: Int64Array
    term: UInt8Array
    first_stream: Int32Array
    changing: Int64Array
    latency_ps: Int64Array
    ramp_rtt_ps: Int64Array
    ramp_rate: Float64Array
    ramp_bytes: Float64Array
    ramp_most: Float64Array
    idle_ps: Int64Array
    late: UInt8Array
    classes: Classes
    states: States
    jitter_ps: Int64Array
    tail_ps: Int64Array
    credited: Int32Array
    takes: Int64Array
    remainder: UInt8Array
    credit: int

    @classmethod
    def of(
        cls,
        traffic: Transfers,
        network: Network,
        *,
        seed: int,
        start_s: float,
        until_s: float,
        windows: Float64Array | None = None,
        all_trunks: bool = False,
        draws: bool = True,
    ) -> Conditions:
        """Return what holds for ``traffic`` from ``start_s`` on, for ``until_s`` seconds.

        ``windows``: bytes by way, infinity for none, which a connection may send each round trip.
        With ``all_trunks``, every trunk can be shared, also by what is not in this traffic. Without
        ``draws``, nothing is late by chance.
        """
        if windows is None:
            windows = np.full(len(network.way_latency_ps), np.inf)
        ways = network.ways(traffic.src, traffic.dst)
        followed = _followed(network, ways, windows)[ways] & (ways >= 0)
        found = Connections.of_traffic(traffic, ways, followed)
        used, kind = np.unique(found.way, return_inverse=True)
        connections = np.bincount(kind, found.alike).astype(np.int64)
        shared = _shared_ways(network, used, connections)
        if all_trunks:
            shared = _ways_of_trunks(network)
        states = states_of(network, shared, seed=seed, start_s=start_s, until_s=until_s)
        classes, first_stream = classes_of(network, found, shared, seed)
        links = [(way, network.links[way]) for way in used.tolist()]
        by_way = _ByWay.of(links, network, windows[used])
        number_of = np.full(len(network.way_latency_ps), -1, dtype=np.int64)
        number_of[states.way] = np.arange(len(states.way))
        jitter_ps = tail_ps = np.zeros(0, dtype=np.int64)
        if draws:
            jitter_ps, tail_ps = extra_delays(traffic, network, found, by_way.limit[kind], seed)
        return cls(
            pipe=found.of,
            rate=by_way.rate[kind],
            spacing_ps=by_way.spacing_ps[kind],
            term=by_way.term[kind],
            first_stream=first_stream,
            changing=number_of[found.way],
            latency_ps=network.way_latency_ps[found.way],
            ramp_rtt_ps=by_way.ramp_rtt_ps[kind],
            ramp_rate=by_way.ramp_rate[kind],
            ramp_bytes=by_way.ramp_bytes[kind],
            ramp_most=windows[found.way],
            idle_ps=by_way.idle_ps[kind],
            late=_late(traffic, found, windows),
            classes=classes,
            states=states,
            jitter_ps=jitter_ps,
            tail_ps=tail_ps,
            credited=_credited(traffic, network, ways),
            takes=traffic.takes,
            remainder=traffic.remainder,
            credit=traffic.credit,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _ByWay:
    """The same of the ways in use, and ``limit``, the bytes per second of a connection at most."""

    limit: Float64Array
    rate: Float64Array
    spacing_ps: Int64Array
    term: UInt8Array
    ramp_rtt_ps: Int64Array
    ramp_rate: Float64Array
    ramp_bytes: Float64Array
    idle_ps: Int64Array

    @classmethod
    def of(cls, ways: list[tuple[int, Link]], network: Network, windows: Float64Array) -> _ByWay:
        """Return the figures of the ways given with their links, and of their ``windows``."""
        links = [link for _, link in ways]
        limits = [usual_limit(link) for link in links]
        limit = np.array([each.bytes_per_s for each in limits], dtype=np.float64)
        line = np.array([link.available_bytes_per_s for link in links], dtype=np.float64)
        # Inside a site the ports have the rate already; a pipe there has only the limit.
        beyond = np.array([way >= network.first_trunk_way for way, _ in ways], dtype=bool)
        line_there = np.where(beyond, line, np.inf)
        term = np.array([CODES[each.term] for each in limits], dtype=np.uint8)
        transports = [link.transport for link in links]
        starts = np.array([each.slow_start for each in transports], dtype=bool)
        rtt_s = np.array([link.rtt_s for link in links], dtype=np.float64)
        first = np.array([each.initial_window_bytes for each in transports], dtype=np.float64)
        ramps = np.where(starts | np.isfinite(windows), rtt_s, 0.0).tolist()
        return cls(
            limit=limit,
            rate=np.minimum(limit, line_there),
            spacing_ps=_ps([each.gap_s / each.streams for each in transports]),
            term=np.where(limit < line, term, CODES["share"]).astype(np.uint8),
            ramp_rtt_ps=_ps(ramps),
            ramp_rate=np.minimum(np.minimum(limit, line), _joint_rates(ways, network)),
            ramp_bytes=np.minimum(np.where(starts, first, np.inf), windows),
            # Only slow start forgets its window; a window without one is the same after any time.
            idle_ps=np.where(starts, _ps([each.rto_s for each in transports]), NEVER // 4),
        )


def _joint_rates(ways: list[tuple[int, Link]], network: Network) -> Float64Array:
    """Return what all trunks of a way's sites together carry out of the one and into the other."""
    found = np.full(len(ways), np.inf)
    sites = network.topology.sites
    for i, (way, _) in enumerate(ways):
        if way >= network.first_trunk_way:
            a, b = network.sites_of_way(way)
            found[i] = min(sites[a].uplink_bytes_per_s, sites[b].into_bytes_per_s)
    return found


def _ps(seconds: list[float]) -> Int64Array:
    return np.array([round(value * PS_PER_S) for value in seconds], dtype=np.int64)


def _is_plain(link: Link) -> bool:
    """Say whether all connections over the link are alike, and like the link itself."""
    transport, rate = link.transport, link.available_bytes_per_s
    on_time = not (transport.gap_s or transport.slow_start or can_be_late(link))
    return on_time and usual_limit(link).bytes_per_s >= rate


def _late(traffic: Transfers, found: Connections, windows: Float64Array) -> UInt8Array:
    """Return which transfers are more than the windows of their connections hold; empty if none."""
    if not np.isfinite(windows).any():
        return np.zeros(0, dtype=np.uint8)
    window = np.append(windows[found.way], np.inf)[found.of]
    return (traffic.nbytes > window).astype(np.uint8)


def _followed(network: Network, ways: Int32Array, windows: Float64Array) -> BoolArray:
    """Return by way whether connections over it are followed: trunks, and what is not plain.

    Only what is said of the ``ways`` that transfers take counts.
    """
    followed = np.append(np.isfinite(windows), False)
    plain: dict[Link, bool] = {}
    taken = np.bincount(ways + 1, minlength=len(followed))[1:]
    for way in np.flatnonzero(taken).tolist():
        link = network.links[way]
        if link not in plain:
            plain[link] = _is_plain(link)
        followed[way] |= way >= network.first_trunk_way or not plain[link]
    return followed


def _shared_ways(network: Network, ways: Int32Array, connections: Int64Array) -> list[int]:
    """Return the ways between sites whose order is not fixed, or whose rate is not constant."""
    shared = []
    for way, number in zip(ways.tolist(), connections.tolist(), strict=True):
        if way < network.first_trunk_way:
            continue
        a, b = network.sites_of_way(way)
        sites = network.topology.sites
        trunk, joined = network.trunks[a, b], sites[a].limited or sites[b].limited
        alone = trunk.link.waves == 1 and not trunk.link.others.burst_bytes
        if number > 1 or not alone or trunk.changes.any or joined:
            shared.append(way)
    return shared


def _ways_of_trunks(network: Network) -> list[int]:
    """Return the ways between sites, in order."""
    return sorted(network.first_trunk_way + a * network.n_sites + b for a, b in network.trunks)


def _credited(traffic: Transfers, network: Network, ways: Int32Array) -> Int32Array:
    """Return the connection whose credit each transfer takes from, (transfers,), -1 for none.

    A link's own window takes the place of the credit, and where a connection carries no more than
    its credit in all, nothing ever waits for it. Empty where that is so of all. A connection of an
    excerpt carries more than is there to be counted.
    """
    none: Int32Array = np.zeros(0, dtype=np.int32)
    if not traffic.credit:
        return none
    all_count = traffic.multiplicity is not None
    if not all_count and np.bincount(traffic.src, traffic.takes).max(initial=0) <= traffic.credit:
        return none
    windowed = np.zeros(len(network.way_latency_ps), dtype=bool)
    for way, link in network.links.items():
        windowed[way] = link.transport.window_bytes > 0
    takers = (ways >= 0) & ~windowed[ways]
    found = Connections.of_traffic(traffic, ways, takers)
    carried = np.bincount(found.of[takers], traffic.takes[takers], len(found.way))
    waits = (carried > traffic.credit) | all_count
    if not waits.any():
        return none
    number = np.append(np.where(waits, np.cumsum(waits) - 1, NOBODY), NOBODY).astype(np.int32)
    credited: Int32Array = number[found.of]
    return credited
