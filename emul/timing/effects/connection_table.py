"""The effects of links on the traffic at hand, as arrays that the scheduler reads.

Here it is decided which connections are followed, and which of them share a trunk: where a
trunk has one connection only and does not change, its order is fixed and nothing has to be shared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emul.arrays import BoolArray, Float64Array, Int32Array, Int64Array, UInt8Array
from emul.links import Link
from emul.links.limits import usual_limit
from emul.plans.runs import expand
from emul.reading.brief import brief
from emul.timing.effects.drawn_delays import (
    FIRST_DRAWS,
    Delays,
    Draws,
    FollowedConnections,
    can_be_late,
)
from emul.timing.effects.link_states import NEVER, LinkStates, link_states_of
from emul.timing.effects.wavelengths import Classes, classes_of
from emul.timing.terms import CODES
from emul.timing.traffic import NOBODY, Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["ConnectionTable", "spacing_of", "word_of"]

WINDOW_COLUMNS = "cwnd_rtt_ps", "cwnd_rate", "cwnd_first", "idle_ps", "warm"


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionTable:
    """Connections and draws. A connection lies between two ports.

    ``connection`` (transfers,): of each transfer, -1 for none. By connection: its ``rate`` in bytes
    per second where it shares nothing, ``spacing_ps`` between the beginnings of two transfers,
    ``term``: its limit (see emul.timing.terms), ``first_stream`` (connections + 1,): where its
    streams begin, if it shares a trunk, ``changing``: number of its changing way or -1,
    ``latency_ps``; of windows that are filled anew each round trip ``cwnd_rtt_ps`` (0: none),
    ``cwnd_rate``, ``cwnd_first`` to begin with, ``cwnd_most`` bytes and ``idle_ps``; one that is
    ``warm`` begins with the most, and is halved for each ``idle_ps``, down to the first.
    ``multi_window``: by transfer, whether it needs more than one window; or empty. ``jitter_ps``,
    ``tail_ps``: by transfer, or empty. ``credited`` (transfers,): the connection whose ``credit``
    each transfer ``takes`` from, -1 for none; or empty; ``remainder`` as in Transfers; ``word_ps``
    (transfers,): how much later than one trip back it is given back; or empty.
    ``connection_of`` (streams,): the connection of each stream. ``delays``: who draws those by
    chance, for later messages too; None where nothing is drawn.
    """

    connection: Int32Array
    rate: Float64Array
    spacing_ps: Int64Array
    term: UInt8Array
    first_stream: Int32Array
    changing: Int64Array
    latency_ps: Int64Array
    cwnd_rtt_ps: Int64Array
    cwnd_rate: Float64Array
    cwnd_first: Float64Array
    cwnd_most: Float64Array
    idle_ps: Int64Array
    warm: UInt8Array
    multi_window: UInt8Array
    classes: Classes
    states: LinkStates
    delays: Delays | None
    jitter_ps: Int64Array
    tail_ps: Int64Array
    credited: Int32Array
    takes: Int64Array
    remainder: UInt8Array
    credit: int
    word_ps: Int64Array
    connection_of: Int32Array

    __repr__ = brief

    @classmethod
    def of(
        cls,
        traffic: Transfers,
        network: Network,
        *,
        seed: int, start_s: float, until_s: float, at_ps: int = 0, from_ps: int = 0,
        windows: Float64Array | None = None,
        all_trunks: bool = False,
        draws: Draws | None = FIRST_DRAWS,
    ) -> ConnectionTable:  # fmt: skip
        """Return the table of ``traffic`` for ``until_s`` seconds from ``at_ps`` on.

        That is ``at_ps`` after ``start_s``; links are looked at from ``from_ps`` after it.

        ``windows``: bytes by way, infinity for none, which a connection may send each round trip.
        With ``all_trunks``, every trunk can be shared, also by traffic of other calls. Without
        ``draws``, nothing is late by chance.
        """
        if windows is None:
            windows = np.full(len(network.path_latency_ps), np.inf)
        paths = network.paths(traffic.src, traffic.dst)
        followed = _followed(network, paths, windows)[paths] & (paths >= 0)
        found = FollowedConnections.of_traffic(traffic, paths, followed)
        used, kind = np.unique(found.path, return_inverse=True)
        connections = np.bincount(kind, found.alike).astype(np.int64)
        shared = _shared_paths(network, used, connections)
        if all_trunks:
            shared = _all_shared_paths(network)
        when: Any = {"start_s": start_s, "until_s": until_s, "at_ps": at_ps, "from_ps": from_ps}
        several = traffic.multiplicity is not None
        classes, first_stream = classes_of(network, found, shared, seed, spread=several)
        states = link_states_of(network, classes, seed=seed, **when)
        by_path = _ByPath.of(used, network, windows[used])
        number_of = _numbered(states.path, len(network.path_latency_ps))
        limit = by_path.limit[kind]
        delays, jitter_ps, tail_ps = _drawn(traffic, network, found, limit, seed, draws)
        return cls(
            connection=found.of,
            rate=by_path.rate[kind],
            spacing_ps=spacing_of(by_path.spacing_ps[kind], traffic, found.of),
            term=by_path.term[kind],
            first_stream=first_stream,
            changing=number_of[found.path],
            latency_ps=network.path_latency_ps[found.path],
            **{name: getattr(by_path, name)[kind] for name in WINDOW_COLUMNS},
            cwnd_most=windows[found.path],
            multi_window=_multi_window(traffic, found, windows),
            classes=classes,
            states=states,
            delays=delays,
            jitter_ps=jitter_ps,
            tail_ps=tail_ps,
            credited=_credited(traffic, network, paths),
            takes=traffic.takes,
            remainder=traffic.remainder,
            credit=traffic.credit,
            word_ps=word_of(traffic, network, paths),
            connection_of=expand(np.diff(first_stream))[0].astype(np.int32),
        )


def _drawn(
    traffic: Transfers,
    network: Network,
    found: FollowedConnections,
    limit: Float64Array,
    seed: int,
    draws: Draws | None,
) -> tuple[Delays | None, Int64Array, Int64Array]:
    """Return who draws delays, and those drawn; nothing without ``draws``."""
    if draws is None:
        none: Int64Array = np.zeros(0, dtype=np.int64)
        return None, none, none
    delays = Delays(traffic, network, found, limit, seed, draws.communicator)
    return delays, *delays.drawn(draws.messages)


def _numbered(paths: Int64Array, of: int) -> Int64Array:
    """Return the place of each of ``of`` paths in ``paths``, -1 for none."""
    number = np.full(of, -1, dtype=np.int64)
    number[paths] = np.arange(len(paths))
    return number


@dataclass(frozen=True, slots=True, eq=False)
class _ByPath:
    """The same of the ways in use, and ``limit``, the bytes per second of a connection at most."""

    limit: Float64Array
    rate: Float64Array
    spacing_ps: Int64Array
    term: UInt8Array
    cwnd_rtt_ps: Int64Array
    cwnd_rate: Float64Array
    cwnd_first: Float64Array
    idle_ps: Int64Array
    warm: UInt8Array

    @classmethod
    def of(cls, used: Int32Array, network: Network, windows: Float64Array) -> _ByPath:
        """Return the figures of the ways ``used``, (ways,), and of their ``windows``."""
        paths = [(path, network.links[path]) for path in used.tolist()]
        links = [link for _, link in paths]
        limits = [usual_limit(link) for link in links]
        limit = np.array([each.bytes_per_s for each in limits], dtype=np.float64)
        line = np.array([link.available_bytes_per_s for link in links], dtype=np.float64)
        # Inside a site the ports have the rate already; a connection there has only the limit.
        beyond = np.array([path >= network.first_trunk_path for path, _ in paths], dtype=bool)
        line_there = np.where(beyond, line, np.inf)
        term = np.array([CODES[each.term] for each in limits], dtype=np.uint8)
        transports = [link.transport for link in links]
        starts = np.array([each.slow_start for each in transports], dtype=bool)
        silence_s = [each.rto_s if each.slow_start else each.idle_s for each in transports]
        warm = np.array([each.idle_s > 0 for each in transports], dtype=bool) & ~starts
        warm &= np.isfinite(windows)
        rtt_s = np.array([link.rtt_s for link in links], dtype=np.float64)
        first = np.array([each.initial_window_bytes for each in transports], dtype=np.float64)
        cwnd_rtts = np.where(starts | np.isfinite(windows), rtt_s, 0.0).tolist()
        return cls(
            limit=limit,
            rate=np.minimum(np.minimum(limit, line_there), _conduit_rates(paths, network)),
            spacing_ps=_ps([each.gap_s / each.streams for each in transports]),
            term=np.where(limit < line, term, CODES["share"]).astype(np.uint8),
            cwnd_rtt_ps=_ps(cwnd_rtts),
            cwnd_rate=np.minimum(np.minimum(limit, line), _joint_rates(paths, network)),
            cwnd_first=np.minimum(np.where(starts | warm, first, np.inf), windows),
            # Only slow start forgets its window; a window without one is the same after any time.
            idle_ps=np.where(starts | warm, _ps(silence_s), NEVER // 4),
            warm=warm.astype(np.uint8),
        )


def _joint_rates(paths: list[tuple[int, Link]], network: Network) -> Float64Array:
    """Return the least joint rate on each path: of its first site, its second, and its conduits."""
    found = np.full(len(paths), np.inf)
    sites = network.topology.sites
    for i, (path, _) in enumerate(paths):
        if path >= network.first_trunk_path:
            a, b = network.sites_of_path(path)
            conduits = [each.rate_bytes_per_s for each in network.site_path(path).conduits]
            found[i] = min(sites[a].uplink_bytes_per_s, sites[b].into_bytes_per_s, *conduits)
    return found


def _conduit_rates(paths: list[tuple[int, Link]], network: Network) -> Float64Array:
    """Return the least rate of the conduits of each path, infinity where there are none."""
    if not network.topology.conduits:
        return np.full(len(paths), np.inf)
    first = network.first_trunk_path
    along = [network.site_path(path).conduits if path >= first else () for path, _ in paths]
    return np.array([min((c.rate_bytes_per_s for c in each), default=np.inf) for each in along])


def spacing_of(usual_ps: Int64Array, traffic: Transfers, connection: Int32Array) -> Int64Array:
    """Return the spacing of each connection: ``usual_ps``, times the growth of its slices."""
    if not usual_ps.any() or not len(traffic.growth):
        return usual_ps
    growth = np.ones(len(usual_ps), dtype=np.int64)
    there = connection >= 0
    np.maximum.at(growth, connection[there], traffic.growth[there])
    return usual_ps * growth


def _ps(seconds: list[float]) -> Int64Array:
    return np.array([round(value * PS_PER_S) for value in seconds], dtype=np.int64)


def _is_plain(link: Link) -> bool:
    """Say whether all connections over the link are alike, and like the link itself."""
    transport, rate = link.transport, link.available_bytes_per_s
    on_time = not (transport.gap_s or transport.slow_start or can_be_late(link))
    return on_time and usual_limit(link).bytes_per_s >= rate


def _multi_window(
    traffic: Transfers, found: FollowedConnections, windows: Float64Array
) -> UInt8Array:
    """Return which transfers are more than the windows of their connections hold; empty if none."""
    if not np.isfinite(windows).any():
        return np.zeros(0, dtype=np.uint8)
    window = np.append(windows[found.path], np.inf)[found.of]
    return (traffic.nbytes > window).astype(np.uint8)


def _followed(network: Network, paths: Int32Array, windows: Float64Array) -> BoolArray:
    """Return by path whether connections over it are followed: over trunks and links not plain.

    Where NICs are shared, all beyond nodes are. Only the answers for ``paths`` that transfers take
    count.
    """
    followed = np.append(np.isfinite(windows), False)
    first = network.first_site_path if network.shares_ports else network.first_trunk_path
    plain: dict[Link, bool] = {}
    taken = np.bincount(paths + 1, minlength=len(followed))[1:]
    for path in np.flatnonzero(taken).tolist():
        link = network.links[path]
        if link not in plain:
            plain[link] = _is_plain(link)
        followed[path] |= path >= first or not plain[link]
    return followed


def _shared_paths(network: Network, paths: Int32Array, connections: Int64Array) -> list[int]:
    """Return the ways whose order is not fixed, or whose rate is not constant.

    These are ways between sites; where NICs are shared, all beyond nodes.
    """
    if network.shares_ports:
        return [path for path in paths.tolist() if path >= network.first_site_path]
    beyond = paths >= network.first_trunk_path
    over: dict[int, int] = {}
    used = list(zip(paths[beyond].tolist(), connections[beyond].tolist(), strict=True))
    for path, number in used:
        for link in network.site_path(path).crossed:
            over[link] = over.get(link, 0) + number
    return [path for path, _ in used if _is_shared(network, path, over)]


def _is_shared(network: Network, path: int, over: dict[int, int]) -> bool:
    """Say whether a path needs shares: ``over`` has the number of connections by link."""
    along, sites = network.site_path(path), network.topology.sites
    if any(over[link] > 1 for link in along.crossed):
        return True
    if any(trunk.link.waves > 1 or trunk.link.others.burst_bytes for trunk in along.trunks):
        return True
    joined = any(sites[site].limited for site in network.sites_of_path(path))
    return joined or any(part.changes.any for part in along.parts)


def _all_shared_paths(network: Network) -> list[int]:
    """Return all ways between sites; where NICs are shared, all beyond nodes."""
    trunks = [network.first_trunk_path + a * network.n_sites + b for a, b in network.site_paths]
    inside = range(network.first_site_path, network.first_trunk_path)
    return sorted([*trunks, *(inside if network.shares_ports else ())])


def word_of(traffic: Transfers, network: Network, paths: Int32Array) -> Int64Array:
    """Return how much later word of each arrival is back where slices have grown; or empty.

    Credit for as many times the bytes then comes back after as many times the round trip.
    """
    if not (traffic.growth > 1).any():
        return np.zeros(0, dtype=np.int64)
    there, back = network.path_latency_ps, network.paths(traffic.dst, traffic.src)
    rtt_ps: Int64Array = np.append(there, 0)[paths] + np.append(there, 0)[back]
    return (traffic.growth - 1) * rtt_ps


def _credited(traffic: Transfers, network: Network, paths: Int32Array) -> Int32Array:
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
    windowed = np.zeros(len(network.path_latency_ps), dtype=bool)
    for path, link in network.links.items():
        windowed[path] = link.transport.window_bytes > 0
    takers = (paths >= 0) & ~windowed[paths]
    found = FollowedConnections.of_traffic(traffic, paths, takers)
    carried = np.bincount(found.of[takers], traffic.takes[takers], len(found.path))
    waits = (carried > traffic.credit) | all_count
    if not waits.any():
        return none
    number = np.append(np.where(waits, np.cumsum(waits) - 1, NOBODY), NOBODY).astype(np.int32)
    credited: Int32Array = number[found.of]
    return credited
