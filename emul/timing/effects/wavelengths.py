"""The links that streams share: trunks cut into waves, streams thrown on them, and joint links.

Streams of one path on one wave are a class. A trunk that longer paths cross, too, is joint: each of
its waves is a link of its own, as the uplinks of sites and the conduits are, and several classes
load it. A path over several trunks has a class for each combination of their waves that comes about
as the same number modulo the waves of each, as switches do that hash a connection alike.

Where messages share NICs, as TCP does, these are joint links too, and so is every trunk. Streams of
one path on one wave from one NIC to one other are a class then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emul.arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from emul.links import Link
from emul.links.draws import key_of, mixed
from emul.links.limits import lifted_limit_bytes_per_s, usual_limit
from emul.plans.runs import expand
from emul.reading.brief import brief
from emul.timing.effects.drawn_delays import FollowedConnections
from emul.timing.terms import CODES
from emul.topology import Network, SitePath
from emul.topology.network import NIC, PORTS_PER_RANK

__all__ = ["Classes", "JointLinks", "classes_of"]


NONE = -1

NO_PORT, OUT, INTO = range(3)
"""The kind of a joint link, as emul.timing.engine.fluid reads it."""


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Streams that share links, as emul.timing.engine.fluid reads them.

    ``wave_rate``, ``cap`` (classes,): bytes per second of the wave, infinity where it is a joint
    link, and of each stream on it; ``term``: the cause of that cap, as in emul.timing.terms;
    ``burst``: bytes that its token bucket holds, 0 for none; ``lifting``: the joint link that is
    its wave, and whose tokens lift its limit, -1 for none; ``lifted_rate``: bytes per second of a
    stream while there are tokens, from its sender's port; ``path_bytes``: the bytes in flight, rate
    times round trip; ``joint_links`` (classes, most of a class): the links that it loads together
    with others, first the uplink out of one site, then that into the other, -1 for none.
    ``joint``: those links. ``of_stream`` (streams,): the class of each stream; ``alike``
    (streams,): for how many it stands. ``way``, ``key`` (classes,): the number of its path, and one
    number for path, wave and NICs; classes are in their order. ``cut``: into how many waves each
    path falls.
    """

    wave_rate: Float64Array
    cap: Float64Array
    term: UInt8Array
    burst: Float64Array
    lifting: Int32Array
    lifted_rate: Float64Array
    path_bytes: Float64Array
    joint_links: Int32Array
    joint: JointLinks
    of_stream: Int32Array
    alike: Int64Array
    way: Int64Array
    key: Int64Array
    cut: dict[int, int]

    __repr__ = brief

    def of_way(self, path: int) -> range:
        """Return the numbers of the classes of a path."""
        first, stop = np.searchsorted(self.way, [path, path + 1]).tolist()
        return range(first, stop)

    def numbers_in(self, later: Classes) -> Int64Array:
        """Return the numbers of these classes among ``later`` ones, (classes,)."""
        return np.searchsorted(later.key, self.key)


@dataclass(frozen=True, slots=True, eq=False)
class JointLinks:
    """All joint links of the ``shared`` ways: uplinks of sites, waves of trunks, conduits, NICs.

    ``rate``, ``burst``, ``kind``: of each. ``uplinks`` (ways, 2): out of one site and into the
    other, -1 for none. ``first_wave``: by the link of a joint trunk, the number of its first wave;
    ``waves``: how many it has here; ``conduits``: by link; ``first_port``: the number of the first
    NIC, out and in of each rank in turn.
    """

    rate: Float64Array
    burst: Float64Array
    kind: UInt8Array
    uplinks: Int32Array
    first_wave: dict[int, int]
    waves: dict[int, int]
    conduits: dict[int, int]
    first_port: int

    __repr__ = brief

    @classmethod
    def of(cls, network: Network, shared: list[int], *, spread: bool = False) -> JointLinks:
        """Return those of ``shared``; with ``spread``, a trunk is one wave."""
        uplinks, rate, burst = _uplinks(network, shared)
        along = [each for path in shared if (each := _along(network, path)) is not None]
        joined = {
            link: trunk
            for path in along
            if len(path.links) > 1 or network.shares_ports
            for link, trunk in zip(path.links, path.trunks, strict=True)
        }
        trunks = dict(sorted(joined.items()))
        waves = {link: 1 if spread else trunk.link.waves for link, trunk in trunks.items()}
        rates, bursts, first_wave = rate.tolist(), burst.tolist(), {}
        for link, trunk in trunks.items():
            first_wave[link], number = len(rates), waves[link]
            rates += [trunk.link.available_bytes_per_s / number] * number
            bursts += [trunk.link.others.burst_bytes / number] * number
        conduits = {}
        for link in sorted({link for path in along for link in path.conduit_links}):
            if np.isfinite(network.link_rate[link]):
                conduits[link] = len(rates)
                rates.append(float(network.link_rate[link]))
        first_port = len(rates)
        ports = _ports(network) if network.shares_ports else np.zeros(0)
        bursts += [0.0] * (first_port + len(ports) - len(bursts))
        kind = np.full(len(bursts), NO_PORT, dtype=np.uint8)
        kind[first_port::2], kind[first_port + 1 :: 2] = OUT, INTO
        return cls(
            np.concatenate([np.array(rates, dtype=float), ports]),
            np.array(bursts, dtype=float),
            kind,
            uplinks,
            first_wave,
            waves,
            conduits,
            first_port,
        )

    def of_class(self, way: int, along: SitePath | None, wave: int) -> list[int]:
        """Return the joint links of a class of the shared ``way``, which goes ``along``, but NICs.

        Inside a site there are none.
        """
        joint: list[int] = self.uplinks[way].tolist()
        for link in along.links if along else ():
            if link in self.first_wave:
                joint.append(self.first_wave[link] + wave % self.waves[link])
        return joint + [
            self.conduits[each]
            for each in (along.conduit_links if along else ())
            if each in self.conduits
        ]

    def lifting(self, along: SitePath | None, wave: int) -> int:
        """Return the wave with a token bucket of a class of one trunk, NONE where there is none."""
        if along is None or len(along.links) > 1 or along.links[0] not in self.first_wave:
            return NONE
        number = self.first_wave[along.links[0]] + wave % self.waves[along.links[0]]
        return number if self.burst[number] else NONE


def _along(network: Network, path: int) -> SitePath | None:
    """Return the trunks of a path between sites; None inside a site."""
    return network.site_path(path) if path >= network.first_trunk_path else None


def _ports(network: Network) -> Float64Array:
    """Return the rates of the NICs, out and in of each rank in turn."""
    ports = network.link_rate[: network.first_trunk_link].reshape(-1, PORTS_PER_RANK)
    return ports[:, NIC:].ravel()


@dataclass(frozen=True, slots=True, eq=False)
class _Way:
    """A shared path: its number among them, its link, its trunks, and how it is cut."""

    number: int
    path: int
    link: Link
    along: SitePath | None
    waves: int
    streams: int


def _ways(network: Network, shared: list[int], *, spread: bool) -> list[_Way]:
    """Return the shared ways; those of several waves have the streams of their transport."""
    found = []
    for number, path in enumerate(shared):
        along, link = _along(network, path), network.links[path]
        waves = 1 if spread or along is None else along.waves
        streams = link.transport.streams if waves > 1 else 1
        found.append(_Way(number, path, link, along, waves, streams))
    return found


def classes_of(
    network: Network,
    found: FollowedConnections,
    shared: list[int],
    seed: int,
    *,
    spread: bool = False,
) -> tuple[Classes, Int32Array]:
    """Return the classes of the ``shared`` ways, and the first stream of each connection.

    With several waves a connection has all streams of its transport, each on the wave that the
    seed throws it on; with one wave its streams are one. Streams that stand for very many are
    ``spread`` evenly over the waves, which are then one of the same rate.
    """
    shared = sorted(shared)
    ways = _ways(network, shared, spread=spread)
    index = np.full(len(network.path_latency_ps), NONE, dtype=np.int64)
    index[[way.path for way in ways]] = np.arange(len(ways))
    way_of = index[found.path]
    streams = np.array([*(way.streams for way in ways), 0])
    per_connection = streams[way_of]  # the last for a connection that shares nothing
    first_stream = np.concatenate([[0], np.cumsum(per_connection)]).astype(np.int32)
    connection, number = expand(per_connection)
    wave: Int64Array = np.zeros(len(connection), dtype=np.int64)
    for way in ways:
        if way.waves > 1:
            these = np.flatnonzero(way_of[connection] == way.number)
            name = network.path_name(way.path)
            keys = found.keys(key_of(seed, "waves", name), connection[these])
            wave[these] = (mixed(keys, number[these]) % np.uint64(way.waves)).astype(np.int64)
    rows, of_stream = _rows(network, found, ways, way_of[connection], wave, connection)
    joint = JointLinks.of(network, shared, spread=spread)
    return _classes(network, ways, rows, joint, of_stream, found.alike[connection]), first_stream


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Classes by way, wave and the NICs between which they go, -1 for any: (classes,) each."""

    way: Int64Array
    wave: Int64Array
    out: Int64Array
    into: Int64Array

    def keys(self, network: Network, ways: list[_Way]) -> Int64Array:
        """Return one number for each row, which rises with way, wave and NICs."""
        most = 1 + max((way.waves for way in ways), default=1)
        paths = np.array([*(way.path for way in ways), 0])[self.way]
        ports = network.first_trunk_link + 1
        keys: Int64Array = ((paths * most + self.wave) * ports + self.out + 1) * ports
        return keys + self.into + 1


def _rows(
    network: Network,
    found: FollowedConnections,
    ways: list[_Way],
    way: Int64Array,
    wave: Int64Array,
    connection: npt.NDArray[np.integer],
) -> tuple[_Rows, Int32Array]:
    """Return the classes, and that of each stream, whose ``way``, ``wave`` and ``connection`` are
    given.

    Each wave of each way is one, whether it is used or not; where NICs are shared, of each pair of
    these that is used.
    """
    if not network.shares_ports:
        waves = np.array([each.waves for each in ways], dtype=np.int64)
        number, at = expand(waves)
        first = np.append(np.cumsum(waves) - waves, 0)
        any_port: Int64Array = np.full(len(number), NONE, dtype=np.int64)
        rows = _Rows(number.astype(np.int64), at.astype(np.int64), any_port, any_port)
        return rows, (first[way] + wave).astype(np.int32)
    src, dst = found.src[connection], found.dst[connection]
    every = _Rows(way, wave, network.ports_out(src, dst), network.ports_in(src, dst))
    _, first, of = np.unique(every.keys(network, ways), return_index=True, return_inverse=True)
    rows = _Rows(way[first], wave[first], every.out[first], every.into[first])
    return rows, of.astype(np.int32)


def _classes(
    network: Network,
    ways: list[_Way],
    rows: _Rows,
    joint: JointLinks,
    of_stream: Int32Array,
    alike: Int64Array,
) -> Classes:
    """Return the classes by their ``rows``."""
    limits = [usual_limit(way.link) for way in ways]
    line = _per_way([way.link.available_bytes_per_s / way.waves for way in ways])
    own = [_is_own(way, joint) for way in ways]
    buckets = [way.link.others.burst_bytes / way.waves for way in ways]
    uplinks_alone = np.append(joint.rate, np.inf)[joint.uplinks].min(axis=1)
    alone = _per_way([way.link.available_bytes_per_s / way.link.waves for way in ways])
    in_flight = np.minimum(alone, uplinks_alone) * _per_way([way.link.rtt_s for way in ways])
    caps = [each.bytes_per_s / way.streams for each, way in zip(limits, ways, strict=True)]
    terms = np.array([CODES[each.term] for each in limits], dtype=np.uint8)

    @cache
    def between(way: int, wave: int) -> tuple[list[int], int]:
        along = ways[way].along
        return joint.of_class(way, along, wave), joint.lifting(along, wave)

    links, lifting = [], []
    for row in _by_row(rows):
        over, lifts = between(row.way, row.wave)
        links.append([*over, *_nics(joint, row)])
        lifting.append(lifts)
    return Classes(
        wave_rate=np.where(own, line, np.inf)[rows.way],
        cap=_per_way(caps)[rows.way],
        term=terms[rows.way],
        burst=np.where(own, buckets, 0.0)[rows.way],
        lifting=np.array(lifting, dtype=np.int32),
        lifted_rate=_per_way([_lifted_rate(network, way) for way in ways])[rows.way],
        path_bytes=in_flight[rows.way],
        joint_links=_table(links),
        joint=joint,
        of_stream=of_stream,
        alike=alike,
        way=np.array([way.path for way in ways], dtype=np.int64)[rows.way],
        key=rows.keys(network, ways),
        cut={way.path: way.waves for way in ways},
    )


class _Row(NamedTuple):
    """One of the _Rows."""

    way: int
    wave: int
    out: int
    into: int


def _by_row(rows: _Rows) -> Iterator[_Row]:
    columns = (each.tolist() for each in (rows.way, rows.wave, rows.out, rows.into))
    return map(_Row, *columns)


def _is_own(way: _Way, joint: JointLinks) -> bool:
    """Say whether each class of a way has its wave to itself."""
    return way.along is not None and way.along.links[0] not in joint.first_wave


def _nics(joint: JointLinks, row: _Row) -> list[int]:
    """Return the joint links of the NICs of a class."""
    if row.out == NONE:
        return []
    return [
        joint.first_port + 2 * (port // PORTS_PER_RANK) + port % PORTS_PER_RANK - NIC
        for port in (row.out, row.into)
    ]


def _per_way(numbers: list[float]) -> Float64Array:
    return np.array(numbers, dtype=np.float64)


def _table(rows: list[list[int]]) -> Int32Array:
    """Return rows of unlike length as a table, filled up with NONE."""
    found = np.full((len(rows), max(map(len, rows), default=2)), NONE, dtype=np.int32)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


def _lifted_rate(network: Network, way: _Way) -> float:
    """Return the rate of a stream on a shared path while the path has tokens."""
    if way.along is None:
        return np.inf
    sender, _ = network.sites_of_path(way.path)
    port = network.topology.sites[sender].link.available_bytes_per_s
    lifted = lifted_limit_bytes_per_s(way.link, port_bytes_per_s=port, rtt_s=way.link.rtt_s)
    return lifted / way.streams


def _uplinks(network: Network, shared: list[int]) -> tuple[Int32Array, Float64Array, Float64Array]:
    """Return the uplinks out and in of each shared way; rates and bursts of all uplinks."""
    sites = network.topology.sites
    out = np.array([site.uplink_bytes_per_s for site in sites])
    into = np.array([site.into_bytes_per_s for site in sites])
    rate = np.concatenate([out, into])
    burst = np.array([*(site.uplink_burst_bytes for site in sites), *[0.0] * len(sites)], float)
    limited = np.isfinite(rate)
    number = np.append(np.where(limited, np.cumsum(limited) - 1, NONE), NONE)
    uplinks = [
        [a, len(sites) + b] if path >= network.first_trunk_path else [NONE, NONE]
        for path in shared
        for a, b in [network.sites_of_path(path)]
    ]
    ends = np.array(uplinks, dtype=np.int64).reshape(-1, 2)
    return number[ends].astype(np.int32), rate[limited], burst[limited]
