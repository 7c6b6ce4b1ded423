"""The links that streams share: trunks cut into waves, streams thrown on them, and joint links.

Streams of one path on one wave are a class. A trunk that longer paths cross, too, is joint: each of
its waves is a link of its own, as the uplinks of sites and the conduits are, and several classes
load it. A path over several trunks has a class for each combination of their waves that comes about
as the same number modulo the waves of each, as switches do that hash a connection alike.
"""

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
from emul.topology import Network, SitePath

__all__ = ["Classes", "JointLinks", "classes_of"]


NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Classes:
    """Streams that share a wave, as emul.timing.engine.fluid reads them.

    ``wave_rate``, ``cap`` (classes,): bytes per second of the wave, infinity where it is a joint
    link, and of each stream on it; ``term``: the cause of that cap, as in emul.timing.terms;
    ``burst``: bytes that its token bucket holds, 0 for none; ``lifted_rate``: bytes per second of a
    stream while there are tokens, from its sender's port; ``path_bytes``: the bytes in flight, rate
    times round trip; ``joint_links`` (classes, most of a class): the links that it loads together
    with others, first the uplink out of one site, then that into the other, -1 for none;
    ``joint_rate``: bytes per second; ``joint_burst``: as ``burst``; ``of_stream`` (streams,): the
    class of each stream; ``alike`` (streams,): for how many it stands.
    """

    wave_rate: Float64Array
    cap: Float64Array
    term: UInt8Array
    burst: Float64Array
    lifted_rate: Float64Array
    path_bytes: Float64Array
    joint_links: Int32Array
    joint_rate: Float64Array
    joint_burst: Float64Array
    of_stream: Int32Array
    alike: Int64Array

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class JointLinks:
    """All joint links of the ``shared`` ways: uplinks of sites, waves of trunks, conduits.

    ``rate``, ``burst``: of each. ``uplinks`` (ways, 2): out of one site and into the other, -1 for
    none. ``first_wave``: by the link of a joint trunk, the number of its first wave; ``waves``: how
    many it has here; ``conduits``: by link.
    """

    rate: Float64Array
    burst: Float64Array
    uplinks: Int32Array
    first_wave: dict[int, int]
    waves: dict[int, int]
    conduits: dict[int, int]

    __repr__ = brief

    @classmethod
    def of(cls, network: Network, shared: list[int], *, spread: bool = False) -> JointLinks:
        """Return those of ``shared``; with ``spread``, a trunk is one wave."""
        uplinks, rate, burst = _uplinks(network, shared)
        along = [network.site_path(path) for path in shared]
        longer = {
            link: trunk
            for path in along
            if len(path.links) > 1
            for link, trunk in zip(path.links, path.trunks, strict=True)
        }
        trunks = dict(sorted(longer.items()))
        waves = {link: 1 if spread else trunk.link.waves for link, trunk in trunks.items()}
        rates, first_wave = rate.tolist(), {}
        for link, trunk in trunks.items():
            first_wave[link] = len(rates)
            rates += [trunk.link.available_bytes_per_s / waves[link]] * waves[link]
        conduits = {}
        for link in sorted({link for path in along for link in path.conduit_links}):
            if np.isfinite(network.link_rate[link]):
                conduits[link] = len(rates)
                rates.append(float(network.link_rate[link]))
        bursts = np.append(burst, np.zeros(len(rates) - len(burst)))
        return cls(np.array(rates, dtype=float), bursts, uplinks, first_wave, waves, conduits)

    def of_class(self, way: int, along: SitePath, wave: int) -> list[int]:
        """Return the joint links of a class of the shared ``way``, which goes ``along``."""
        joint: list[int] = self.uplinks[way].tolist()
        for link in along.links:
            if link in self.first_wave:
                joint.append(self.first_wave[link] + wave % self.waves[link])
        return joint + [
            self.conduits[each] for each in along.conduit_links if each in self.conduits
        ]


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
    along = [network.site_path(path) for path in shared]
    cut = [1 if spread else path.waves for path in along]
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
    joint = JointLinks.of(network, shared, spread=spread)
    rate, cap, term, joint_links = _of_classes(links, along, cut, streams, joint)
    uplinks_alone = np.append(joint.rate, np.inf)[joint.uplinks].min(axis=1)
    alone = np.array([link.available_bytes_per_s / link.waves for link in links], dtype=float)
    rtt_s = np.array([link.rtt_s for link in links], dtype=float)
    burst = np.array([link.others.burst_bytes / link.waves for link in links], dtype=float)
    return (
        Classes(
            rate,
            cap,
            term,
            np.repeat(burst, waves),
            np.repeat(_lifted_rates(network, shared), waves),
            np.repeat(np.minimum(alone, uplinks_alone) * rtt_s, waves),
            joint_links,
            joint.rate,
            joint.burst,
            of_stream,
            found.alike[connection],
        ),
        first_stream,
    )


def _of_classes(
    links: list[Link],
    along: list[SitePath],
    cut: list[int],
    streams: list[int],
    joint: JointLinks,
) -> tuple[Float64Array, Float64Array, UInt8Array, Int32Array]:
    """Return the rate, the cap, its term and the joint links of all classes, way by way.

    ``cut``: into how many classes each way falls, ``streams``: those of a connection on it.
    """
    rate, cap, term, joint_links = [], [], [], []
    for i, (link, parts, per) in enumerate(zip(links, cut, streams, strict=True)):
        line, limit = link.available_bytes_per_s, usual_limit(link)
        own = np.inf if along[i].links[0] in joint.first_wave else line / parts
        rate += [own] * parts
        cap += [limit.bytes_per_s / per] * parts
        term += [CODES[limit.term]] * parts
        joint_links += [joint.of_class(i, along[i], wave) for wave in range(parts)]
    return (
        np.array(rate, dtype=np.float64),
        np.array(cap, dtype=np.float64),
        np.array(term, dtype=np.uint8),
        _table(joint_links),
    )


def _table(rows: list[list[int]]) -> Int32Array:
    """Return rows of unlike length as a table, filled up with NONE."""
    found = np.full((len(rows), max(map(len, rows), default=2)), NONE, dtype=np.int32)
    for at, row in enumerate(rows):
        found[at, : len(row)] = row
    return found


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
        rates.append(lifted / _streams(network.site_path(path).waves, link))
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
