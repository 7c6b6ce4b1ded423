"""Connections of a traffic, and the delays of their messages by chance: jitter, lost packets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Float64Array, Int32Array, Int64Array, UInt64Array
from emul.links import Jitter, Link
from emul.links.draws import key_of, lognormal, mixed
from emul.links.jitter import lognormal_sigma
from emul.reading.brief import brief
from emul.timing.effects.losses import Losses
from emul.timing.traffic import Transfers, connections_of
from emul.topology import Network
from emul.units import picoseconds

__all__ = [
    "FIRST_DRAWS",
    "Delays",
    "Draws",
    "FollowedConnections",
    "MessageCounts",
    "can_be_late",
    "connection_keys",
    "ends_of",
    "network_draws",
]


@dataclass(frozen=True, slots=True, eq=False)
class MessageCounts:
    """How many messages connections have carried: ``counts`` by ``keys``, which rise.

    A key is one number for sender, receiver and channel.
    """

    keys: Int64Array
    counts: Int64Array

    __repr__ = brief

    @classmethod
    def none(cls) -> MessageCounts:
        """Return the counts before any message."""
        nothing: Int64Array = np.zeros(0, dtype=np.int64)
        return cls(nothing, nothing)

    @classmethod
    def of(cls, traffic: Transfers) -> MessageCounts:
        """Return the messages of ``traffic``, by connection.

        The first transfer of a connection counts as one even if it begins none, as in ``_numbers``.
        """
        keys = connection_keys(traffic.src, traffic.dst, traffic.channel)
        keys, first, of = np.unique(keys, return_index=True, return_inverse=True)
        begun = np.bincount(of, traffic.begins, len(keys)).astype(np.int64)
        return cls(keys, begun + 1 - traffic.begins[first])

    def __add__(self, more: MessageCounts) -> MessageCounts:
        """Return the messages of both."""
        if np.array_equal(self.keys, more.keys):
            return MessageCounts(self.keys, self.counts + more.counts)
        keys, of = np.unique(np.concatenate([self.keys, more.keys]), return_inverse=True)
        counts: Int64Array = np.zeros(len(keys), dtype=np.int64)
        np.add.at(counts, of, np.concatenate([self.counts, more.counts]))
        return MessageCounts(keys, counts)

    def at(self, keys: Int64Array) -> Int64Array:
        """Return the counts of connections by their ``keys``, 0 of unknown ones: (keys,)."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.int64)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        counts: Int64Array = np.where(self.keys[place] == keys, self.counts[place], 0)
        return counts


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Whose draws those of a traffic are: of its communicator, after earlier ``messages`` there."""

    communicator: int
    messages: MessageCounts

    __repr__ = brief


FIRST_DRAWS = Draws(0, MessageCounts.none())
"""Those of a World's first collective."""


def communicator_key(key: int, communicator: int) -> int:
    """Return ``key`` for the communicator; the first one has the key itself."""
    return int(mixed(key, communicator)) if communicator else key


def connection_keys(src: Int32Array, dst: Int32Array, channel: Int32Array) -> Int64Array:
    """Return one number for each sender, receiver and channel: 24, 24 and 15 bits."""
    wide: Int64Array = channel.astype(np.int64) * (1 << 24) + src
    keys: Int64Array = wide * (1 << 24) + dst
    return keys


def ends_of(keys: Int64Array) -> tuple[Int32Array, Int32Array, Int32Array]:
    """Return sender, receiver and channel of each key, as in ``connection_keys``: (keys,)."""
    low = (1 << 24) - 1
    return (
        (keys >> 24 & low).astype(np.int32),
        (keys & low).astype(np.int32),
        (keys >> 48).astype(np.int32),
    )


def network_draws(network: Network) -> bool:
    """Say whether any message over ``network`` may be late by chance."""
    return any(can_be_late(link) for link in {*network.links.values()})


@dataclass(frozen=True, slots=True, eq=False)
class FollowedConnections:
    """The connections that are followed: a sender, a receiver and a channel each.

    ``of`` (transfers,): the connection of each, -1 where it is not followed. ``src``, ``dst``,
    ``channel``, ``path``: of each connection; ``alike``: for how many it stands.
    """

    of: Int32Array
    src: Int32Array
    dst: Int32Array
    channel: Int32Array
    path: Int32Array
    alike: Int64Array

    @classmethod
    def of_traffic(
        cls, traffic: Transfers, paths: Int32Array, followed: BoolArray
    ) -> FollowedConnections:
        """Return the connections of those transfers that are ``followed``."""
        which = np.flatnonzero(followed)
        ranks = 1 + int(max(traffic.src.max(initial=0), traffic.dst.max(initial=0)))
        channels = 1 + int(traffic.channel.max(initial=0))
        key = traffic.src[which].astype(np.int64) * ranks + traffic.dst[which]
        key = key * channels + traffic.channel[which]
        _, first, of = np.unique(key, return_index=True, return_inverse=True)
        number = np.full(len(paths), -1, dtype=np.int32)
        number[which] = of
        first = which[first]
        return cls(
            number,
            traffic.src[first],
            traffic.dst[first],
            traffic.channel[first],
            paths[first],
            connections_of(traffic)[first],
        )

    def keys(self, key: int, connection: npt.NDArray[Any]) -> UInt64Array:
        """Return the keys of connections, under ``key``."""
        mine = mixed(mixed(key, self.src[connection]), self.dst[connection])
        return mixed(mine, self.channel[connection])


class Delays:
    """The delays by chance of the transfers of one traffic, to be drawn for ever later messages."""

    def __init__(
        self,
        traffic: Transfers,
        network: Network,
        found: FollowedConnections,
        limit: Float64Array,
        seed: int,
        communicator: int,
    ) -> None:
        """Take a traffic of a communicator.

        ``limit``: bytes per second that each connection gets at most.
        """
        self._size = len(traffic.src)
        self._jitter: list[_Jitter] = []  # of the first trunks of ways, of the second and so on
        self._lost: _Lost | None = None
        late = [path for path in np.unique(found.path).tolist() if can_be_late(network.links[path])]
        if not late:
            return
        self._ends = connection_keys(found.src, found.dst, found.channel)
        message, number = _numbers(traffic, found)
        by_hop: defaultdict[int, list[_Jitter]] = defaultdict(list)
        last = np.append(traffic.begins[1:], 1).astype(bool)
        path_of = np.where(found.of >= 0, found.path[found.of], -1)
        lost: list[_Lost] = []
        for path in late:
            link, these = network.links[path], np.flatnonzero(path_of == path)
            connection, name = found.of[these], network.path_name(path)

            def keys(what: str, name: str = name, of: Int32Array = connection) -> UInt64Array:
                return found.keys(communicator_key(key_of(seed, what, name), communicator), of)

            where = _Messages(these, connection, message[these])
            for hop, (jitter, what) in enumerate(_jitters(network, path, link)):
                sigma = np.full(len(these), lognormal_sigma(jitter.p99_over_p50))
                median = np.full(len(these), jitter.median_s)
                by_hop[hop].append(_Jitter(where, keys(what), median, sigma))
            if link.transport.loss:
                line = np.minimum(limit[connection], link.available_bytes_per_s)
                losses = Losses.of(link, traffic.nbytes[these], line)
                lost.append(_Lost(where, keys("loss"), number[these], last[these], losses))
        self._jitter = [_Jitter.joined(by_hop[hop]) for hop in sorted(by_hop)]
        self._lost = _Lost.joined(lost) if lost else None

    def drawn(self, messages: MessageCounts) -> tuple[Int64Array, Int64Array]:
        """Return jitter and delay by lost packets of each transfer in picoseconds; empty if none.

        ``messages``: those that its connections have carried before.
        """
        jitter_ps, tail_ps = self.drawn_each([messages])
        return jitter_ps.reshape(-1), tail_ps.reshape(-1)

    def drawn_each(self, messages: Sequence[MessageCounts]) -> tuple[Int64Array, Int64Array]:
        """Return the same of traffics after each of ``messages``: (messages, transfers)."""
        if not self._jitter and self._lost is None:
            return np.zeros((len(messages), 0), np.int64), np.zeros((len(messages), 0), np.int64)
        earlier = np.stack([each.at(self._ends) for each in messages])
        jitter_ps, tail_ps = (np.zeros((len(messages), self._size), np.int64) for _ in range(2))
        for each in self._jitter:
            jitter_ps[:, each.where.transfers] += each.jitter_ps(earlier)
        if self._lost is not None:
            tail_ps[:, self._lost.where.transfers] = self._lost.tails_ps(earlier)
        return jitter_ps, tail_ps


def _jitters(network: Network, path: int, link: Link) -> Iterator[tuple[Jitter, str]]:
    """Yield the jitter of a path, and under what it is drawn; of a longer one, trunk by trunk."""
    trunks = network.site_path(path).trunks if path >= network.first_trunk_path else ()
    if len(trunks) > 1:
        parts = [(trunk.link.jitter, f"jitter {trunk.name}") for trunk in trunks]
    else:
        parts = [(link.jitter, "jitter")]
    yield from ((jitter, what) for jitter, what in parts if jitter.median_s)


class _Messages(NamedTuple):
    """Transfers, their connections, and which message of its connection each is of."""

    transfers: Int64Array
    connection: Int32Array
    number: Int64Array

    @classmethod
    def joined(cls, pieces: Sequence[_Messages]) -> _Messages:
        """Return those of all pieces."""
        return cls(*(np.concatenate(each) for each in zip(*pieces, strict=True)))

    def numbers(self, earlier: Int64Array) -> Int64Array:
        """Return the numbers after ``earlier`` messages, (times, connections): each time."""
        numbers: Int64Array = self.number + earlier[:, self.connection]
        return numbers


class _Jitter(NamedTuple):
    """The jitter of some messages: a key for each, without its number, and the law of its link."""

    where: _Messages
    keys: UInt64Array
    median_s: Float64Array
    sigma: Float64Array

    @classmethod
    def joined(cls, pieces: list[_Jitter]) -> _Jitter:
        """Return that of all pieces."""
        wheres, *columns = zip(*pieces, strict=True)
        return cls(_Messages.joined(wheres), *(np.concatenate(each) for each in columns))

    def jitter_ps(self, earlier: Int64Array) -> Int64Array:
        """Return the jitter of each transfer after ``earlier`` messages, as of ``numbers``."""
        keys = mixed(self.keys, self.where.numbers(earlier))
        median_s, sigma = (np.tile(each, len(earlier)) for each in (self.median_s, self.sigma))
        return _ps(lognormal(keys.reshape(-1), median_s, sigma)).reshape(keys.shape)


class _Lost(NamedTuple):
    """Messages whose packets can be lost; otherwise as _Jitter.

    ``slices``: which slice of its message each transfer is; ``last``: whether it is the last one.
    """

    where: _Messages
    keys: UInt64Array
    slices: Int64Array
    last: BoolArray
    losses: Losses

    @classmethod
    def joined(cls, pieces: list[_Lost]) -> _Lost:
        """Return those of all pieces."""
        wheres, keys, slices, last, losses = zip(*pieces, strict=True)
        columns = (np.concatenate(each) for each in zip(*losses, strict=True))
        return cls(
            _Messages.joined(wheres),
            np.concatenate(keys),
            np.concatenate(slices),
            np.concatenate(last),
            Losses(*columns),
        )

    def tails_ps(self, earlier: Int64Array) -> Int64Array:
        """Return the delay of each transfer after ``earlier`` messages, as of ``numbers``."""
        keys = mixed(self.keys, self.where.numbers(earlier))
        tail_s = self.losses.tails_s(mixed(keys, self.slices))
        timer_s = self.losses.timers_s(keys)
        return _ps(np.where(self.last, np.maximum(tail_s, timer_s), tail_s))


def can_be_late(link: Link) -> bool:
    """Say whether messages over the link are late by chance."""
    lossy = link.transport.loss > 0 and link.transport.recovery in ("gbn", "sr")
    return link.jitter.median_s > 0 or lossy


def _numbers(traffic: Transfers, found: FollowedConnections) -> tuple[Int64Array, Int64Array]:
    """Return which message of its connection each transfer is of, and which slice of that."""
    order = np.argsort(found.of, kind="stable")
    begins = traffic.begins[order].astype(bool)
    begins[:1] = True
    starts = np.ones(len(order), dtype=bool)
    starts[1:] = np.diff(found.of[order]) != 0
    begun = np.cumsum(begins)
    message, number = np.empty_like(order), np.empty_like(order)
    message[order] = begun - _held(begun, starts)
    number[order] = np.arange(len(order)) - _held(np.arange(len(order)), begins | starts)
    return message, number


def _held(values: Int64Array, where: BoolArray) -> Int64Array:
    """Return rising ``values`` with each held from one place to the next of ``where``."""
    held: Int64Array = np.maximum.accumulate(np.where(where, values, 0))
    return held


def _ps(seconds: Float64Array) -> Int64Array:
    return picoseconds(seconds)
