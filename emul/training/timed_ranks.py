"""The ranks of a job that are timed: all of a small world, or few that stand for all of them.

One rank of the few stands for ranks that do alike side by side: for the columns of the model (one
column is all ranks that hold the same part of it) and for half of the ranks that share a replica.
Its NIC and its connections are as many times as wide, so the traffic between sites is that of all.
The two halves of a replica are a node of their own, whose link takes as long for two ranks as the
links of the site do for all of them. So traffic within a replica and traffic between replicas
do not wait for each other at a NIC, which is said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, log2
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array
from emul.errors import ArgumentError, CapacityError
from emul.links import Link
from emul.links.link import TCP
from emul.programs import RankGroup
from emul.timing import NCCL_SLICING, Slicing
from emul.timing.symmetry import FEWEST_PER_WAVE
from emul.topology import Node, NodeRuns, Site, Topology
from emul.training.placement import MODEL_AXES, Placement
from emul.units import counted

__all__ = ["DATA", "TimedRanks"]

DATA = "data"
"""The group of all ranks that hold the same part of the model: along replicate and shard."""

MOST_WHOLE = 64
"""Ranks of a world that are all timed. A step of 32 buckets takes them about a second."""

MOST_TIMED = 1024
"""Ranks that are timed at most."""

HALVES = 2
"""Ranks that stand for those of a replica."""

NODE_LINKS = "node links of "

Coordinates = dict[str, Int32Array]


@dataclass(frozen=True, eq=False)
class TimedRanks:
    """The ranks that are timed, their places, and the coordinates of each.

    ``coordinates``: the place of each rank along replicate, shard (with context), and the model
    axes, (ranks,) each. ``columns``: the columns of the model that a rank carries side by side.
    ``bundled``: the ranks of the job that a rank stands for. ``assumed``: sentences about it.
    """

    topology: Topology
    slicing: Slicing | None
    coordinates: Coordinates
    columns: int = 1
    bundled: float = 1.0
    assumed: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        placement: Placement,
        *,
        keeps_shards: bool,
        evenly: bool,
        keeps: Collection[str] = (),
    ) -> TimedRanks:
        """Return the ranks that are timed for a job.

        With ``keeps_shards`` the groups along shard are those of the mesh, else ranks along
        replicate and shard are one group. ``evenly``: between replicas every rank has all of a
        vector (all_reduce), not a part by its number (reduce_scatter, all_gather). ``keeps``: axes
        of the model along which all ranks are timed; they are also where an axis crosses trunks.
        Raises ArgumentError or CapacityError for a large world whose ranks are not alike.
        """
        if placement.topology.world_size <= MOST_WHOLE:
            return cls(placement.topology, NCCL_SLICING, _coordinates(placement))
        return _Bundles(placement, keeps, keeps_shards=keeps_shards, evenly=evenly).timed

    def size(self, axis: str) -> int:
        """Return the ranks of a group along an axis."""
        return len(self._groups[axis][0][0])

    def group(self, axis: str, rank: int, lane: int = 0) -> RankGroup:
        """Return the group of ``rank`` along an axis; other lanes are other communicators."""
        groups, of_rank = self._groups[axis]
        name = axis if not lane else f"{axis} {lane + 1}"
        return RankGroup(groups[of_rank[rank]], name)

    @cached_property
    def _groups(self) -> dict[str, tuple[list[tuple[int, ...]], list[int]]]:
        names = list(self.coordinates)
        grouped = {name: self._along([name]) for name in names}
        return grouped | {DATA: self._along(["replicate", "shard"])}

    def _along(self, names: list[str]) -> tuple[list[tuple[int, ...]], list[int]]:
        """Return the groups of ranks that differ in ``names`` alone, and the group of each rank."""
        others = [each.tolist() for name, each in self.coordinates.items() if name not in names]
        members: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for rank, key in enumerate(zip(*others, strict=True)):
            members[key].append(rank)
        number = {key: at for at, key in enumerate(members)}
        of_rank = [number[key] for key in zip(*others, strict=True)]
        return [tuple(ranks) for ranks in members.values()], of_rank

    def place(self, name: str) -> str:
        """Return the name of a place of the network as the whole world has it.

        The links of a node of two ranks that stand for a replica are the network of its site.
        """
        if self.bundled > 1 and name.startswith(NODE_LINKS):
            return f"network of {name.removeprefix(NODE_LINKS)}"
        return name

    def peer(self, axis: str, rank: int, distance: int) -> int:
        """Return the rank so far along an axis from ``rank``."""
        ranks = self.group(axis, rank).ranks or ()
        return ranks[ranks.index(rank) + distance]


def _coordinates(placement: Placement) -> Coordinates:
    return {
        "replicate": placement.along("replicate"),
        "shard": placement.along("shard", "context"),
        **{name: placement.along(name) for name in MODEL_AXES},
    }


class _Bundles:
    """Few ranks for the ranks of a placement: two for each replica, and for each stage apart."""

    def __init__(
        self,
        placement: Placement,
        keeps: Collection[str],
        *,
        keeps_shards: bool,
        evenly: bool,
    ) -> None:
        self.placement, self.keeps_shards = placement, keeps_shards
        self.topology = placement.topology
        self.apart = tuple(
            name for name in MODEL_AXES if name in keeps or placement.crosses_trunk(name)
        )
        self.side_by_side = tuple(name for name in MODEL_AXES if name not in self.apart)
        self.columns = placement.size(*self.side_by_side)
        self.replicas, self.members = self._replicas()
        self.halves = min(HALVES, self.members)
        self.bundled = self.members * self.columns / self.halves
        self.sites_of = self._table(placement.site_of)[:, :, 0, 0]
        self.kept = self._kept(evenly)
        timed = int(self.kept.sum()) * self.halves
        if timed > MOST_TIMED:
            raise CapacityError(
                f"{placement} with {counted(self.replicas, 'replica')}: {timed:,} ranks to time: "
                f"needed at most {MOST_TIMED:,}"
            )

    @property
    def timed(self) -> TimedRanks:
        """The few ranks, site by site."""
        site, keys = self._sites()
        order = np.argsort(site, kind="stable")
        coordinates = {name: each[order].astype(np.int32) for name, each in keys.items()}
        few = self._few_ranks(np.bincount(site, minlength=len(self.topology.sites)).tolist())
        return TimedRanks(
            few,
            replace(NCCL_SLICING, slice_bytes=round(NCCL_SLICING.slice_bytes * self.bundled)),
            coordinates,
            self.columns,
            self.bundled,
            tuple(self._assumed(few.world_size)),
        )

    def _replicas(self) -> tuple[int, int]:
        """Return the replicas, and the ranks of each column of one, all of them at one site."""
        placement = self.placement
        replicas = placement.size("replicate")
        members = placement.size("shard", "context")
        if self.keeps_shards:
            if self._at_one_site(replicas, members):
                return replicas, members
            raise ArgumentError(
                f"{placement} over {self.topology.name}: ranks along shard are at several sites: "
                f"needed replicas inside sites, or at most {MOST_WHOLE} ranks"
            )
        data = replicas * members
        every = (each for each in range(data, 0, -1) if data % each == 0)
        members = next(each for each in every if self._at_one_site(data // each, each))
        return data // members, members

    def _at_one_site(self, replicas: int, members: int) -> bool:
        table = self._table(self.placement.site_of, replicas, members)
        return not np.ptp(table, axis=(2, 3)).any()

    def _table(self, place: Int32Array, replicas: int = 0, members: int = 0) -> Int32Array:
        """Return a place of each rank, (apart, replicas, members, columns)."""
        placement = self.placement
        data = placement.along("replicate", "shard", "context")
        apart, beside = placement.along(*self.apart), placement.along(*self.side_by_side)
        table = np.empty_like(place)
        all_data = placement.size("replicate", "shard", "context")
        table[(apart * all_data + data) * self.columns + beside] = place
        return table.reshape(-1, replicas or self.replicas, members or self.members, self.columns)

    def _kept(self, evenly: bool) -> BoolArray:
        """Return which replicas are timed, (apart, replicas): all, or two of each site.

        Two replicas pass as much through their NICs as any number does: of a vector a half between
        them and a half to other sites, in place of (r - 1) / r and one r-th. Sites whose parts of
        the vector go by the number of replicas show all.
        """
        kept = np.ones(self.sites_of.shape, dtype=np.bool_)
        for sites, row in zip(self.sites_of, kept, strict=True):
            for site in np.unique(sites) if evenly else ():
                row[np.flatnonzero(sites == site)[HALVES:]] = False
        return kept

    def _sites(self) -> tuple[Int32Array, dict[str, npt.NDArray[np.integer[Any]]]]:
        """Return the site and the coordinates of each rank that is timed, in mesh order."""
        apart, replicate = np.nonzero(self.kept)
        site = self.sites_of[self.kept]
        halves = np.tile(np.arange(self.halves), len(site))
        keys: dict[str, npt.NDArray[np.integer[Any]]] = {
            "replicate": np.repeat(replicate, self.halves),
            "shard": halves,
        }
        sizes = tuple(self.placement.size(name) for name in self.apart)
        places = np.unravel_index(np.repeat(apart, self.halves), sizes) if sizes else ()
        keys |= {name: np.zeros(len(halves), dtype=np.int32) for name in MODEL_AXES}
        keys |= dict(zip(self.apart, places, strict=True))
        return np.repeat(site, self.halves), keys

    def _few_ranks(self, of_site: list[int]) -> Topology:
        sites = [
            self._few(site, number // self.halves, at)
            for at, (site, number) in enumerate(zip(self.topology.sites, of_site, strict=True))
        ]
        replicas = np.bincount(self.sites_of.ravel(), minlength=len(sites)) * self.halves
        wider = {
            site.name: self.bundled * max(1.0, number / few)
            for site, number, few in zip(self.topology.sites, replicas, of_site, strict=True)
        }
        widened = self.topology.with_trunk_links(
            lambda trunk: _widened(trunk.link, _narrower(wider, trunk.sites))
        )
        name = f"{self.topology.name}, {sum(of_site):,} ranks for {self.topology.world_size:,}"
        return replace(widened, name=name, sites=tuple(sites))

    def _few(self, site: Site, replicas: int, number: int) -> Site:
        """Return ``site`` with two ranks for each of its replicas that are timed."""
        nic = replace(site.link, rate_bytes_per_s=site.link.rate_bytes_per_s * _nics_per_rank(site))
        apart, replica = (int(each[0]) for each in np.nonzero(self.sites_of == number))
        nodes = self._table(self.placement.node_of)[apart, replica, :, 0]
        node = Node(self.halves, self._joined(site, nic, nodes))
        wide = replace(
            _widened(nic, self.bundled), rate_bytes_per_s=nic.rate_bytes_per_s * self.bundled
        )
        return replace(site, nodes=NodeRuns.of([node] * replicas), link=wide)

    def _joined(self, site: Site, nic: Link, nodes: Int32Array) -> Link:
        """Return the link by which two ranks take as long as those on ``nodes``, (members,).

        Of a vector, (p - 1) / p pass among the p ranks of a node, and of a p-th of it (q - 1) / q
        among q nodes, in steps whose blocks double (recursive doubling, PAT); two ranks pass half
        of it in one step.
        """
        if self.halves == 1:
            return site.nodes[0].link
        q = len(np.unique(nodes))
        p = self.members / q
        inside = site.nodes[0].link
        seconds_per_byte = (p - 1) / p / inside.available_bytes_per_s
        seconds_per_byte += (q - 1) / q / p / nic.available_bytes_per_s
        steps, between = _doublings(p), _doublings(q)
        return Link(
            rate_bytes_per_s=self.columns / HALVES / seconds_per_byte,
            latency_s=steps * inside.latency_s + between * (nic.latency_s + nic.queue_s),
            overhead_s=steps * inside.overhead_s + between * nic.overhead_s,
        )

    def _assumed(self, timed: int) -> list[str]:
        words = [
            f"{timed:,} ranks are timed for {self.topology.world_size:,}; each stands for ranks "
            "that do alike side by side"
        ]
        if any(_draws(trunk.link) for trunk in self.topology.trunks):
            words.append(
                "losses and jitter between sites are drawn for one connection, and hold up all "
                "that it stands for"
            )
        if self.halves > 1:
            words.append(
                "traffic within a replica and between replicas do not wait for each other at a NIC"
            )
        return words


def _doublings(number: float) -> int:
    return max(0, ceil(log2(number)))


def _nics_per_rank(site: Site) -> float:
    """Return the part of a NIC that each rank has, at the node where it is least."""
    return min(node.nics / node.ranks for node, _ in site.runs)


def _draws(link: Link) -> bool:
    return link.transport.loss > 0 or link.jitter.median_s > 0


def _narrower(wider: Mapping[str, float], ends: tuple[str, str]) -> float:
    """Return by how much connections over a trunk are widened: as at the end with fewer ranks."""
    return min((wider[name] for name in ends if name in wider), default=min(wider.values()))


def _widened(link: Link, times: float) -> Link:
    """Return ``link`` with ``times`` as many streams, on one wave if they are spread evenly.

    As few packets of a message are lost as of one connection, not of all at once: in truth a loss
    holds up the connection that has it, and no other.
    """
    streams = max(1, round(link.transport.streams * times))
    waves = 1 if streams >= FEWEST_PER_WAVE * link.waves else link.waves
    transport = replace(link.transport, streams=streams)
    if transport.recovery not in TCP:  # whose laws are of the streams
        transport = replace(transport, loss=transport.loss / times)
    copied = link.host_bytes_per_s * times
    return replace(link, transport=transport, waves=waves, host_bytes_per_s=copied)
