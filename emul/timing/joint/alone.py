"""An operation that meets no other: its times from its start, and when it uses which link.

Two operations whose uses of every link lie apart in time change nothing for each other, on links
without a memory. Then each takes the time that it takes alone, for the same starts of its ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.links import Link
from emul.reading.brief import brief
from emul.stacks import Stack
from emul.timing.joint.rank_ops import Footprint, Issue, Moments
from emul.timing.joint.simulation import JointSimulation
from emul.timing.protocol import windows_of
from emul.timing.timeline import Timeline
from emul.timing.traced.crossings import CONNECTION, PORT, RECEIVER, Lines, held_until_ps
from emul.timing.traffic import Origin
from emul.topology import Network
from emul.topology.network import PORTS_PER_RANK
from emul.units import PS_PER_S

__all__ = ["AloneTimes", "LinkUse", "has_memory", "longest_gap_ps", "time_alone"]

UNUSED_PS = 1 << 60
"""First use of a link that is not used; its last use is as far before. Sums of two fit in 64 bits.
"""


def has_memory(network: Network, stack: Stack) -> bool:
    """Say whether a link's earlier traffic, or the moment, can change the time of an operation.

    Changes follow a line of time, slow start and windows the bytes acknowledged, token buckets
    those let through. Draws hang on the number of messages alone, which is counted elsewhere, and a
    gap after a message is among the uses of its path.
    """
    if stack.fills_windows and np.isfinite(windows_of(network)).any():
        return True
    topology = network.topology
    if topology.changes:
        return True
    if any(site.uplink_burst_bytes for site in topology.sites):
        return True
    return any(map(_has_memory, set(network.links.values())))


def _has_memory(link: Link) -> bool:
    return bool(link.transport.slow_start or link.others.burst_bytes)


@dataclass(frozen=True, slots=True, eq=False)
class LinkUse:
    """From when until when an operation uses each link, (links,) picoseconds from its start.

    Links are numbered as in Network; then come the joint links of each site, out and in.
    """

    first_ps: Int64Array
    last_ps: Int64Array

    __repr__ = brief

    @classmethod
    def none(cls, network: Network) -> LinkUse:
        """Return that of an operation that uses no link."""
        size = len(network.link_rate) + 2 * network.n_sites
        return cls(np.full(size, UNUSED_PS), np.full(size, -UNUSED_PS))

    def take(self, network: Network, ranks: Int32Array, own: LinkUse, later_ps: int) -> None:
        """Add the use of their ports in ``network`` by ``ranks``, which alone is ``own``, so much
        later.

        Rank i of ``own`` is rank ``ranks[i]`` here, and uses no trunk.
        """
        owners = np.stack([ranks, ranks, *[network.nic_of[ranks]] * 2], axis=1)
        ports = (PORTS_PER_RANK * owners.astype(np.int64) + np.arange(PORTS_PER_RANK)).ravel()
        first_ps, last_ps = own.first_ps[: len(ports)], own.last_ps[: len(ports)]
        used = first_ps < UNUSED_PS
        self.first_ps[ports[used]] = first_ps[used] + later_ps
        self.last_ps[ports[used]] = last_ps[used] + later_ps

    @classmethod
    def of(cls, lines: Lines, growth: int = 1) -> LinkUse:
        """Return the use of links by the transfers ``lines``, each of ``growth`` slices."""
        network = lines.network
        unused = cls.none(network)
        first, last = unused.first_ps, unused.last_ps

        def use(link: Int64Array, which: BoolArray, hop: int) -> None:
            np.minimum.at(first, link[which], lines.on_link_ps[which, hop])
            np.maximum.at(last, link[which], until[which, hop])

        until = held_until_ps(lines)
        gone = lines.src != lines.dst
        out, into = network.ports_out(lines.src, lines.dst), network.ports_in(lines.src, lines.dst)
        piped = gone & (lines.on_link_ps[:, CONNECTION] >= 0)
        # Rates are those of the moment when bytes leave, at both of two shared NICs.
        shared = piped & network.at_shared_nics(lines.src, lines.dst)
        use(out, gone, PORT)
        use(into, gone & ~shared, RECEIVER)
        use(into, shared, CONNECTION)
        path = network.paths(lines.src, lines.dst).astype(np.int64)
        between = piped & (path >= network.first_trunk_path)
        # A connection inside a site goes by the port of its sender, with the gap after a message.
        inside = piped & ~between
        np.maximum.at(last, out[inside], until[inside, CONNECTION])
        began = lines.on_link_ps[:, CONNECTION] + growth * _gaps_ps(network)[path]
        np.maximum.at(last, out[inside], began[inside])
        _use_beyond(unused, network, path[between], lines.on_link_ps[between, CONNECTION],
                    until[between, CONNECTION], began[between])  # fmt: skip
        return cls(first, last)

    def is_apart(self, other: LinkUse, later_ps: int) -> bool:
        """Say whether no link is used by both at once, where ``other`` is so much later."""
        behind = self.last_ps <= other.first_ps + later_ps
        before = other.last_ps + later_ps <= self.first_ps
        return bool((behind | before).all())


def _use_beyond(
    use: LinkUse,
    network: Network,
    path: Int64Array,
    from_ps: Int64Array,
    until_ps: Int64Array,
    began_ps: Int64Array,
) -> None:
    """Add to ``use`` the links of transfers between sites, which began ``began_ps`` with the gap.

    ``path``: of each, with when it took its connection, and until when.
    """
    sites = network.n_sites
    pair = path - network.first_trunk_path
    first, last, gone = (np.full(sites * sites, each) for each in (UNUSED_PS, *[-UNUSED_PS] * 2))
    np.minimum.at(first, pair, from_ps)
    np.maximum.at(gone, pair, until_ps)
    np.maximum.at(last, pair, np.maximum(until_ps, began_ps))
    pairs, links = network.crossings
    np.minimum.at(use.first_ps, links, first[pairs])
    np.maximum.at(use.last_ps, links, last[pairs])
    limited = np.array([site.limited for site in network.topology.sites])
    every = np.arange(sites * sites)
    for end, base in ((every // sites, 0), (every % sites, sites)):
        joint = len(network.link_rate) + base + end[limited[end]]
        np.minimum.at(use.first_ps, joint, first[limited[end]])
        np.maximum.at(use.last_ps, joint, gone[limited[end]])


def longest_gap_ps(network: Network) -> int:
    """Return the longest gap between two messages of a connection."""
    return int(_gaps_ps(network).max())


def _gaps_ps(network: Network) -> Int64Array:
    """Return the gap between two messages of a connection on each path, and 0 after them."""
    gaps: Int64Array = np.zeros(len(network.path_latency_ps) + 1, dtype=np.int64)
    for path, link in network.links.items():
        gaps[path] = round(link.transport.gap_s / link.transport.streams * PS_PER_S)
    return gaps


class AloneTimes:
    """The times of one operation from the first start of its ranks on, where it meets no other.

    ``done_ps`` (ranks,): when each is done. ``timeline``, ``lines``, ``origin``: its transfers.
    """

    def __init__(
        self,
        done_ps: Int64Array,
        timeline: Timeline,
        lines: slice,
        origin: Origin | None,
        moments_of: Callable[[], Moments],
        use: LinkUse | None = None,
    ) -> None:
        """Take the times; ``moments_of`` tells those of the ranks, from the first start on.

        ``use``: of links, where that is known.
        """
        self.done_ps = done_ps
        self.last_ps = int(done_ps.max(initial=0))
        self.timeline, self.lines, self.origin = timeline, lines, origin
        self.moments_of = cache(moments_of)  # which is kept without the timeline
        self._use = use

    @property
    def use(self) -> LinkUse:
        """The use of links."""
        if self._use is None:
            self._use = self._use_of_lines()
        return self._use

    def _use_of_lines(self) -> LinkUse:
        growth = int(self.timeline.transfers.growth[self.lines].max(initial=1))
        return LinkUse.of(Lines.of(self.timeline, self.lines, self.origin), growth)

    @cached_property
    def until_ps(self) -> int:
        """The end of the last rank, or of the last gap after a message."""
        if not _gaps_ps(self.timeline.network).any():
            return self.last_ps
        return max(self.last_ps, int(self.use.last_ps.max()))

    @classmethod
    def at_once(
        cls, timeline: Timeline, world_size: int, moments_of: Callable[[], Moments]
    ) -> AloneTimes:
        """Return those of an operation of the whole world, whose ranks start together."""
        transfers = timeline.transfers
        done_ps: Int64Array = np.zeros(world_size, dtype=np.int64)
        if len(timeline):
            done_ps += transfers.call_ps
        np.maximum.at(done_ps, transfers.dst, timeline.done_ps)
        np.maximum.at(done_ps, transfers.src, timeline.arrival_ps)
        return cls(done_ps, timeline, slice(None), None, moments_of)


def time_alone(footprint: Footprint, joint: JointSimulation) -> AloneTimes:
    """Return the times of an operation on a ``joint`` simulation of nothing else.

    Its clocks are the starts of the ranks, 0 the first. Raises TimeLimitError.
    """
    issue = Issue(footprint, None)
    joint.take(issue)
    outcome = joint.outcome()
    moments, lines = outcome.moments[issue], outcome.lines[issue]
    origin = footprint.transfers.origin
    return AloneTimes(moments.done_ps, outcome.timeline, lines, origin, lambda: moments)
