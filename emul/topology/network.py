"""The topology as flat arrays: what the scheduler reads, one row per rank and per link.

Links are numbered so that a route needs no table: rank r has its node port at 4r (out) and
4r + 1 (in) and its NIC at 4r + 2 (out) and 4r + 3 (in); the trunk from site a to site b of
K sites is 4n + aK + b.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.topology.model import Topology
from emul.units import PS_PER_S

__all__ = ["Network"]

PORTS_PER_RANK = 4

Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Rates in bytes per second, times in picoseconds.

    ``site_of`` and ``node_of``: (n,), by rank. ``link_rate``: (4n + K*K,). Latency and
    overhead: by node (``node_*``), by site (``site_*``) and by ordered pair of sites
    (``trunk_*``, (K*K,), zero on the diagonal).
    """

    topology: Topology
    site_of: Int32Array
    node_of: Int32Array
    link_rate: Float64Array
    node_latency_ps: Int64Array
    node_overhead_ps: Int64Array
    site_latency_ps: Int64Array
    site_overhead_ps: Int64Array
    trunk_latency_ps: Int64Array
    trunk_overhead_ps: Int64Array

    @classmethod
    def of(cls, topology: Topology) -> Network:
        """Return the arrays of ``topology``."""
        nodes = [(s, node) for s, site in enumerate(topology.sites) for node in site.nodes]
        ranks_of_node = np.array([node.ranks for _, node in nodes])
        node_of = np.repeat(np.arange(len(nodes), dtype=np.int32), ranks_of_node)
        site_of_node = np.array([s for s, _ in nodes], dtype=np.int32)
        node_links = [node.link for _, node in nodes]
        site_links = [site.link for site in topology.sites]
        trunk_latency, trunk_overhead, trunk_rate = _trunk_arrays(topology)
        site_of = site_of_node[node_of]
        ports = np.empty((len(node_of), PORTS_PER_RANK))
        ports[:, :2] = np.array([link.rate_bytes_per_s for link in node_links])[node_of, None]
        ports[:, 2:] = np.array([link.rate_bytes_per_s for link in site_links])[site_of, None]
        return cls(
            topology=topology,
            site_of=site_of,
            node_of=node_of,
            link_rate=np.concatenate([ports.ravel(), trunk_rate]),
            node_latency_ps=_ps([link.latency_s for link in node_links]),
            node_overhead_ps=_ps([link.overhead_s for link in node_links]),
            site_latency_ps=_ps([link.latency_s for link in site_links]),
            site_overhead_ps=_ps([link.overhead_s for link in site_links]),
            trunk_latency_ps=trunk_latency,
            trunk_overhead_ps=trunk_overhead,
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

    def latency_ps(self, src: int, dst: int) -> int:
        """Return the one-way delay from rank ``src`` to rank ``dst``."""
        return self._by_place(
            src, dst, self.node_latency_ps, self.site_latency_ps, self.trunk_latency_ps
        )

    def overhead_ps(self, src: int, dst: int) -> int:
        """Return the host cost of one transfer from rank ``src`` to rank ``dst``."""
        return self._by_place(
            src, dst, self.node_overhead_ps, self.site_overhead_ps, self.trunk_overhead_ps
        )

    def _by_place(
        self, src: int, dst: int, node: Int64Array, site: Int64Array, trunk: Int64Array
    ) -> int:
        if src == dst:
            return 0
        a, b = int(self.site_of[src]), int(self.site_of[dst])
        if a != b:
            return int(trunk[a * self.n_sites + b])
        if self.node_of[src] != self.node_of[dst]:
            return int(site[a])
        return int(node[self.node_of[src]])

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

        Zero on the diagonal: what stays inside a site is left out.
        """
        carried = np.zeros((self.n_sites, self.n_sites), dtype=np.int64)
        np.add.at(carried, (self.site_of[src], self.site_of[dst]), nbytes)
        np.fill_diagonal(carried, 0)
        return carried

    def place(self, link: int) -> str:
        """Return what to call the part of the network that ``link`` belongs to."""
        sites = self.topology.sites
        port = link - PORTS_PER_RANK * self.world_size
        if port >= 0:
            a, b = divmod(port, self.n_sites)
            return f"trunk {sites[a].name} -> {sites[b].name}"
        rank, kind = divmod(link, PORTS_PER_RANK)
        site = sites[self.site_of[rank]].name
        return f"node links of {site}" if kind < 2 else f"NICs of {site}"


def _ps(seconds: list[float]) -> Int64Array:
    return np.array([round(value * PS_PER_S) for value in seconds], dtype=np.int64)


def _trunk_arrays(topology: Topology) -> tuple[Int64Array, Int64Array, Float64Array]:
    index = {site.name: i for i, site in enumerate(topology.sites)}
    k = len(index)
    latency = np.zeros((k, k), dtype=np.int64)
    overhead = np.zeros((k, k), dtype=np.int64)
    rate = np.full((k, k), np.inf)
    for trunk in topology.trunks:
        for a, b in (trunk.sites, trunk.sites[::-1]):
            i, j = index[a], index[b]
            latency[i, j], overhead[i, j] = _ps([trunk.link.latency_s, trunk.link.overhead_s])
            rate[i, j] = trunk.link.rate_bytes_per_s
    return latency.ravel(), overhead.ravel(), rate.ravel()
