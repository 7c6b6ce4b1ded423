"""The topology as flat arrays for the scheduler: one row per rank, link and path.

Links are numbered so that a route needs no table: rank r has its node port at 4r (out) and
4r + 1 (in) and its NIC at 4r + 2 (out) and 4r + 3 (in); the trunk from site a to site b of
K sites is 4n + aK + b. A path is described by one link of the topology: from rank to rank of a
node, of a site, or of two sites. Paths are numbered nodes first, then sites, then pairs of sites.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import Float64Array, Int32Array, Int64Array
from emul.links import Link
from emul.reading.brief import brief
from emul.topology.model import Topology, Trunk
from emul.units import PS_PER_S

__all__ = ["Network"]

PORTS_PER_RANK = 4

NOTHING: Int64Array = np.zeros(0, dtype=np.int64)
NO_RATES: Float64Array = np.zeros(0)

PORTS = ("sends in its node", "receives in its node", "sends", "receives")
"""The use of each port of a rank, in words, in the order of their links."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Rates in bytes per second, times in picoseconds.

    ``site_of`` and ``node_of``: (n,), by rank. ``link_rate``: (4n + K*K,), the rate of all
    transfers together. ``links``: of each path that has any, by number; ``path_latency_ps`` and
    ``path_overhead_ps``: (paths,), zero from a site to itself; ``path_queue_ps``: the part of the
    latency that is a standing queue. ``trunks``: by the numbers of their two sites.

    Of hosts that a library keeps busy: ``path_host_ps`` is the part of the overhead that the
    library costs, ``path_completion_ps`` the part of the latency that the receiving host takes, and
    ``wire_rate`` (n,) the rates of the wires at the NICs; empty where hosts cost nothing there.
    """

    topology: Topology
    site_of: Int32Array
    node_of: Int32Array
    link_rate: Float64Array
    links: dict[int, Link]
    trunks: dict[tuple[int, int], Trunk]
    path_latency_ps: Int64Array
    path_overhead_ps: Int64Array
    path_queue_ps: Int64Array
    path_host_ps: Int64Array = field(default_factory=lambda: NOTHING)
    path_completion_ps: Int64Array = field(default_factory=lambda: NOTHING)
    wire_rate: Float64Array = field(default_factory=lambda: NO_RATES)

    __repr__ = brief

    @classmethod
    def of(cls, topology: Topology) -> Network:
        """Return the arrays of ``topology``."""
        nodes = [(s, node) for s, site in enumerate(topology.sites) for node in site.nodes]
        ranks_of_node = np.array([node.ranks for _, node in nodes])
        node_of = np.repeat(np.arange(len(nodes), dtype=np.int32), ranks_of_node)
        site_of_node = np.array([s for s, _ in nodes], dtype=np.int32)
        node_links = [node.link for _, node in nodes]
        site_links = [site.link for site in topology.sites]
        site_of = site_of_node[node_of]
        ports = np.empty((len(node_of), PORTS_PER_RANK))
        ports[:, :2] = _rates(node_links)[node_of, None]
        ports[:, 2:] = _rates(site_links)[site_of, None]
        trunks, k = _trunks(topology), len(site_links)
        trunk_rate = np.full(k * k, np.inf)
        for (a, b), trunk in trunks.items():
            trunk_rate[a * k + b] = trunk.link.available_bytes_per_s
        links = dict(enumerate([*node_links, *site_links]))
        first = len(links)
        links.update({first + a * k + b: trunk.link for (a, b), trunk in trunks.items()})
        latency, overhead, queue = _ps(links, first + k * k)
        wires = np.array([each.wire_bytes_per_s for each in site_links])[site_of]
        slowed = any(each.host_bytes_per_s < each.wire_bytes_per_s for each in site_links)
        completion = _completion_ps(links, first + k * k)
        return cls(
            topology=topology,
            site_of=site_of,
            node_of=node_of,
            link_rate=np.concatenate([ports.ravel(), trunk_rate]),
            links=links,
            trunks=trunks,
            path_latency_ps=latency + completion if completion.size else latency,
            path_overhead_ps=overhead,
            path_queue_ps=queue,
            path_completion_ps=completion,
            wire_rate=wires if slowed else NO_RATES,
        )

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return len(self.site_of)

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.topology.sites)

    def trunk_link(self, a: int, b: int) -> int:
        """Return the number of the link from site ``a`` to site ``b``."""
        return PORTS_PER_RANK * self.world_size + a * self.n_sites + b

    def route(self, src: int, dst: int) -> tuple[int, ...]:
        """Return the links that a transfer from rank ``src`` to rank ``dst`` crosses, in order."""
        if src == dst:
            return ()
        if self.node_of[src] == self.node_of[dst]:
            return (PORTS_PER_RANK * src, PORTS_PER_RANK * dst + 1)
        out, into = PORTS_PER_RANK * src + 2, PORTS_PER_RANK * dst + 3
        a, b = int(self.site_of[src]), int(self.site_of[dst])
        return (out, into) if a == b else (out, self.trunk_link(a, b), into)

    def ports_out(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int64Array:
        """Return the ports by which transfers leave their senders: node port or NIC."""
        beyond = self.node_of[src] != self.node_of[dst]
        ports: Int64Array = PORTS_PER_RANK * src.astype(np.int64) + 2 * beyond
        return ports

    def ports_in(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int64Array:
        """Return the ports by which transfers come to their receivers, likewise."""
        beyond = self.node_of[src] != self.node_of[dst]
        ports: Int64Array = PORTS_PER_RANK * dst.astype(np.int64) + 1 + 2 * beyond
        return ports

    def link_name(self, link: int) -> str:
        """Return the name of a link: of a direction of a trunk, or of a rank and its port."""
        rank, kind = divmod(link, PORTS_PER_RANK)
        return self.place(link) if rank >= self.world_size else f"rank {rank} {PORTS[kind]}"

    @property
    def first_trunk_path(self) -> int:
        """Number of the path from the first site to itself; the trunks' paths follow."""
        return len(self.path_latency_ps) - self.n_sites**2

    def path(self, src: int, dst: int) -> int:
        """Return the number of the path from rank ``src`` to rank ``dst``; -1 to itself."""
        if src == dst:
            return -1
        if self.node_of[src] == self.node_of[dst]:
            return int(self.node_of[src])
        a, b = int(self.site_of[src]), int(self.site_of[dst])
        beyond = self.first_trunk_path
        return beyond - self.n_sites + a if a == b else beyond + a * self.n_sites + b

    def paths(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int32Array:
        """Return the numbers of the paths of transfers; -1 where one stays with its rank."""
        a, b = self.site_of[src], self.site_of[dst]
        first_site = self.first_trunk_path - self.n_sites
        beyond = np.where(a == b, first_site + a, self.first_trunk_path + a * self.n_sites + b)
        near = self.node_of[src] == self.node_of[dst]
        paths = np.where(near, self.node_of[src], beyond)
        result: Int32Array = np.where(src == dst, -1, paths).astype(np.int32)
        return result

    def sites_of_path(self, path: int) -> tuple[int, int]:
        """Return the numbers of the sites from which and to which a trunk's path goes."""
        return divmod(path - self.first_trunk_path, self.n_sites)

    def path_name(self, path: int) -> str:
        """Return the name of a path, by its sites alone."""
        sites = self.topology.sites
        pair = path - self.first_trunk_path
        if pair >= 0:
            a, b = self.sites_of_path(path)
            return f"{sites[a].name} -> {sites[b].name}"
        site = pair + self.n_sites
        if site >= 0:
            return f"inside {sites[site].name}"
        rank = int(np.searchsorted(self.node_of, path))
        first = int(self.node_of[np.searchsorted(self.site_of, self.site_of[rank])])
        return f"inside node {path - first} of {sites[self.site_of[rank]].name}"

    def latency_ps(self, src: int, dst: int) -> int:
        """Return the one-way delay from rank ``src`` to rank ``dst``, with standing queues."""
        return 0 if src == dst else int(self.path_latency_ps[self.path(src, dst)])

    def overhead_ps(self, src: int, dst: int) -> int:
        """Return the host cost of one transfer from rank ``src`` to rank ``dst``."""
        return 0 if src == dst else int(self.path_overhead_ps[self.path(src, dst)])

    def host_takes_ps(self, src: int, dst: int) -> int:
        """Return the part of the overhead of a transfer that its library costs."""
        return int(self.path_host_ps[self.path(src, dst)]) if self.path_host_ps.size else 0

    def completion_ps(self, src: int, dst: int) -> int:
        """Return the part of the one-way delay that the receiving host takes."""
        if src == dst or not self.path_completion_ps.size:
            return 0
        return int(self.path_completion_ps[self.path(src, dst)])

    def link_bytes(self, src: Int32Array, dst: Int32Array, nbytes: Int64Array) -> Float64Array:
        """Return the bytes of transfers over each link, (links,), as in ``link_rate``."""
        sent = src != dst
        src, dst, nbytes = src[sent], dst[sent], nbytes[sent]
        near = self.node_of[src] == self.node_of[dst]
        a, b = self.site_of[src], self.site_of[dst]
        crossings = (
            (PORTS_PER_RANK * src, near),
            (PORTS_PER_RANK * dst + 1, near),
            (PORTS_PER_RANK * src + 2, ~near),
            (PORTS_PER_RANK * dst + 3, ~near),
            (self.trunk_link(0, 0) + a * self.n_sites + b, a != b),
        )
        carried: Float64Array = np.zeros(len(self.link_rate))
        for link, used in crossings:
            carried += np.bincount(link[used], nbytes[used], len(carried))
        return carried

    def port_bytes(self, src: Int32Array, dst: Int32Array, nbytes: Int64Array) -> Float64Array:
        """Return the bytes out of and into the node port of each rank, and its NIC: (n, 4)."""
        ports = self.link_bytes(src, dst, nbytes)[: PORTS_PER_RANK * self.world_size]
        return ports.reshape(self.world_size, PORTS_PER_RANK)

    def site_bytes(self, src: Int32Array, dst: Int32Array, nbytes: Int64Array) -> Int64Array:
        """Return the bytes of transfers from each site to each other: (sites, sites).

        Zero on the diagonal: transfers inside a site are left out.
        """
        carried = np.zeros((self.n_sites, self.n_sites), dtype=np.int64)
        np.add.at(carried, (self.site_of[src], self.site_of[dst]), nbytes)
        np.fill_diagonal(carried, 0)
        return carried

    def most_connections(self, src: Int32Array, dst: Int32Array, channel: Int32Array) -> int:
        """Return the most connections that a rank has beyond its site, in one direction.

        A connection is a sender, a receiver and a channel.
        """
        beyond = self.site_of[src] != self.site_of[dst]
        ends = np.unique(np.stack([src[beyond], dst[beyond], channel[beyond]]), axis=1)
        return max(int(np.bincount(end).max(initial=0)) for end in ends[:2])

    def place(self, link: int) -> str:
        """Return the name of the part of the network that ``link`` belongs to."""
        sites = self.topology.sites
        port = link - PORTS_PER_RANK * self.world_size
        if port >= 0:
            a, b = divmod(port, self.n_sites)
            return f"trunk {sites[a].name} -> {sites[b].name}"
        rank, kind = divmod(link, PORTS_PER_RANK)
        site = sites[self.site_of[rank]].name
        return f"node links of {site}" if kind < 2 else f"NICs of {site}"


def _rates(links: list[Link]) -> Float64Array:
    return np.array([link.available_bytes_per_s for link in links])


def _trunks(topology: Topology) -> dict[tuple[int, int], Trunk]:
    index = {site.name: i for i, site in enumerate(topology.sites)}
    found = {}
    for trunk in topology.trunks:
        a, b = (index[name] for name in trunk.sites)
        found[a, b] = found[b, a] = trunk
    return found


def _ps(links: dict[int, Link], paths: int) -> tuple[Int64Array, Int64Array, Int64Array]:
    """Return latency, overhead and queue by path, to the nearest picosecond."""
    latency, overhead, queue = (np.zeros(paths, dtype=np.int64) for _ in range(3))
    for path, link in links.items():
        queue[path] = round(link.queue_s * PS_PER_S)
        latency[path] = round(link.latency_s * PS_PER_S) + queue[path]
        overhead[path] = round(link.overhead_s * PS_PER_S)
    return latency, overhead, queue


def _completion_ps(links: dict[int, Link], paths: int) -> Int64Array:
    """Return the time of the receiving host by path; empty where it takes none."""
    if not any(link.completion_s for link in links.values()):
        return NOTHING
    found: Int64Array = np.zeros(paths, dtype=np.int64)
    for path, link in links.items():
        found[path] = round(link.completion_s * PS_PER_S)
    return found
