"""The links that streams share: trunks cut into waves, streams thrown on them, uplinks of sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import Float64Array, Int32Array, Int64Array, UInt8Array
from emul.links import Link
from emul.links.draws import key_of, mixed
from emul.links.limits import lifted_limit_bytes_per_s, usual_limit
from emul.plans.runs import expand
from emul.reading.brief import brief
from emul.timing.effects.drawn_delays import FollowedConnections
from emul.timing.terms import CODES
from emul.topology import Network

__all__ = ["Classes", "classes_of"]


NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Streams that share a wave, as emul.timing.engine.fluid reads them.

    ``wave_rate``, ``cap`` (classes,): bytes per second of the wave and of each stream on it;
    ``term``: the cause of that cap, as in emul.timing.terms; ``burst``: bytes that its token bucket
    holds, 0 for none; ``lifted_rate``: bytes per second of a stream while there are tokens, from
    its sender's port; ``path_bytes``: the bytes in flight, rate times round trip; ``uplinks``
    (classes, 2): out of one site and into the other, -1 for none; ``uplink_rate``: bytes per
    second; ``uplink_burst``: as ``burst``; ``of_stream``
    (streams,): the class of each stream; ``alike`` (streams,): for how many it stands.
    """

    wave_rate: Float64Array
    cap: Float64Array
    term: UInt8Array
    burst: Float64Array
    lifted_rate: Float64Array
    path_bytes: Float64Array
    uplinks: Int32Array
    uplink_rate: Float64Array
    uplink_burst: Float64Array
    of_stream: Int32Array
    alike: Int64Array

    __repr__ = brief


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
    links = [network.links[path] for path in shared]
    cut = [1 if spread else link.waves for link in links]
    waves = np.array(cut, dtype=np.int64)
    streams = [_streams(each, link) for each, link in zip(cut, links, strict=True)]
    index = np.full(len(network.path_latency_ps), NONE, dtype=np.int64)
    index[shared] = np.arange(len(shared))
    path = index[found.path]
    per_connection = np.where(path >= 0, np.array(streams)[path] if len(shared) else 0, 0)
    first_stream = np.concatenate([[0], np.cumsum(per_connection)]).astype(np.int32)
    first_class = np.cumsum(waves) - waves
    connection, number = expand(per_connection)
    of_stream = np.empty(len(connection), dtype=np.int32)
    for i, each in enumerate(shared):
        these = np.flatnonzero(path[connection] == i)
        of_stream[these] = first_class[i]
        if cut[i] > 1:
            keys = found.keys(key_of(seed, "waves", network.path_name(each)), connection[these])
            wave = mixed(keys, number[these]) % np.uint64(cut[i])
            of_stream[these] += wave.astype(np.int32)
    rate, cap, term = [], [], []
    for link, parts, per in zip(links, cut, streams, strict=True):
        line, limit = link.available_bytes_per_s, usual_limit(link)
        rate += [line / parts] * parts
        cap += [limit.bytes_per_s / per] * parts
        term += [CODES[limit.term]] * parts
    uplinks, uplink_rate, uplink_burst = _uplinks(network, shared)
    joint = np.append(uplink_rate, np.inf)[uplinks].min(axis=1)
    alone = np.array([link.available_bytes_per_s / link.waves for link in links], dtype=float)
    path_bytes = np.minimum(alone, joint) * np.array([link.rtt_s for link in links], dtype=float)
    burst = np.array([link.others.burst_bytes / link.waves for link in links], dtype=float)
    return (
        Classes(
            np.array(rate, dtype=np.float64),
            np.array(cap, dtype=np.float64),
            np.array(term, dtype=np.uint8),
            np.repeat(burst, waves),
            np.repeat(_lifted_rates(network, shared), waves),
            np.repeat(path_bytes, waves),
            np.repeat(uplinks, waves, axis=0),
            uplink_rate,
            uplink_burst,
            of_stream,
            found.alike[connection],
        ),
        first_stream,
    )


def _streams(waves: int, link: Link) -> int:
    return link.transport.streams if waves > 1 else 1


def _lifted_rates(network: Network, shared: list[int]) -> Float64Array:
    """Return the rate of a stream on each shared path while the path has tokens."""
    sites = network.topology.sites
    rates = []
    for path in shared:
        link, (sender, _) = network.links[path], network.sites_of_path(path)
        port = sites[sender].link.available_bytes_per_s
        lifted = lifted_limit_bytes_per_s(link, port_bytes_per_s=port, rtt_s=link.rtt_s)
        rates.append(lifted / _streams(link.waves, link))
    return np.array(rates, dtype=np.float64)


def _uplinks(network: Network, shared: list[int]) -> tuple[Int32Array, Float64Array, Float64Array]:
    """Return the uplinks out and in of each shared way; rates and bursts of all uplinks."""
    sites = network.topology.sites
    out = np.array([site.uplink_bytes_per_s for site in sites])
    into = np.array([site.into_bytes_per_s for site in sites])
    rate = np.concatenate([out, into])
    burst = np.array([*(site.uplink_burst_bytes for site in sites), *[0.0] * len(sites)], float)
    limited = np.isfinite(rate)
    number = np.where(limited, np.cumsum(limited) - 1, NONE)
    ends = np.array([network.sites_of_path(path) for path in shared], np.int64).reshape(-1, 2)
    uplinks = number[ends + np.array([0, len(sites)])]
    return uplinks.astype(np.int32), rate[limited], burst[limited]
