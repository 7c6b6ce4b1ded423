"""The topology as flat arrays for the scheduler: one row per rank, link and path.

Rank r has its node port at 4r (out) and 4r + 1 (in) and its NIC at 4r + 2 (out) and 4r + 3 (in);
ranks that share a NIC have the one of the first of them. Behind the ports of n ranks come two
links of each trunk, 4n + 2t from the first to the second of its sites and 4n + 2t + 1 back, and
two of each conduit likewise. A path is described by one link of the model: from rank to rank of a
node, of a site, or of two sites. Paths are numbered nodes first, then sites, then pairs of sites;
the path table says which links each of them crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Float64Array, Int32Array, Int64Array
from emul.errors import TopologyError
from emul.links import Link
from emul.links.in_a_row import in_a_row
from emul.reading.brief import brief
from emul.topology.model import Conduit, Topology, Trunk
from emul.topology.nodes import Node
from emul.units import PS_PER_S

__all__ = ["Network", "SitePath", "check_paths", "path_costs", "site_paths_of"]

PORTS_PER_RANK = 4

NIC = 2
"""The first of a rank's ports beyond its node."""

NOTHING: Int64Array = np.zeros(0, dtype=np.int64)
NO_RATES: Float64Array = np.zeros(0)

PORTS = ("sends in its node", "receives in its node", "sends", "receives")
"""The use of each port of a rank, in words, in the order of their links."""

MOST_WAVES = 10_000
"""Of a path: as many combinations of waves of its trunks, as a trunk may have waves."""


@dataclass(frozen=True, slots=True)
class SitePath:
    """The path from a site to another: ``trunks`` in order, and ``links``, their numbers.

    ``names``: of all places on it, both ends included; ``conduits``, with ``conduit_links``: those
    that it goes through, each as often as it does.
    """

    names: tuple[str, ...]
    trunks: tuple[Trunk, ...]
    links: tuple[int, ...]
    conduits: tuple[Conduit, ...] = ()
    conduit_links: tuple[int, ...] = ()

    __repr__ = brief

    @property
    def crossed(self) -> tuple[int, ...]:
        """The numbers of all links between the two ports."""
        return self.links + self.conduit_links

    @property
    def parts(self) -> tuple[Trunk | Conduit, ...]:
        """The trunks and the conduits."""
        return (*self.trunks, *self.conduits)

    @property
    def waves(self) -> int:
        """Into how many classes its streams fall: by wave, or by combination of waves."""
        return lcm(*(trunk.link.waves for trunk in self.trunks))


@dataclass(frozen=True, eq=False)
class Network:
    """Rates in bytes per second, times in picoseconds.

    ``site_of``, ``node_of`` and ``nic_of``: (n,), by rank; the last is the first rank with the same
    NIC. ``link_rate``: (links,), the rate of all transfers together. ``links``: of each path that
    has any, by number; ``path_latency_ps`` and ``path_overhead_ps``: (paths,), zero from a site to
    itself; ``path_queue_ps``: the part of the latency that is a standing queue. ``site_paths``: by
    the numbers of their two sites.

    Of hosts that a library keeps busy: ``path_host_ps`` is the part of the overhead that the
    library costs, ``path_completion_ps`` the part of the latency that the receiving host takes, and
    ``wire_rate`` (n,) the rates of the wires at the NICs; empty where hosts cost nothing there.
    ``shares_ports``: whether messages that meet at a NIC share it as those of TCP do, in place of
    one waiting for the other.
    """

    topology: Topology
    site_of: Int32Array
    node_of: Int32Array
    nic_of: Int32Array
    link_rate: Float64Array
    links: dict[int, Link]
    site_paths: dict[tuple[int, int], SitePath]
    path_latency_ps: Int64Array
    path_overhead_ps: Int64Array
    path_queue_ps: Int64Array
    path_host_ps: Int64Array = field(default_factory=lambda: NOTHING)
    path_completion_ps: Int64Array = field(default_factory=lambda: NOTHING)
    wire_rate: Float64Array = field(default_factory=lambda: NO_RATES)
    shares_ports: bool = False

    __repr__ = brief

    @classmethod
    def of(cls, topology: Topology) -> Network:
        """Return the arrays of ``topology``; raises TopologyError for a path that cannot be."""
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
        beyond = [trunk.link.available_bytes_per_s for trunk in topology.trunks]
        beyond += [conduit.rate_bytes_per_s for conduit in topology.conduits]
        site_paths = site_paths_of(topology, ports.size)
        links = dict(enumerate([*node_links, *site_links]))
        first, k = len(links), len(site_links)
        latency, overhead, queue = (np.zeros(first + k * k, dtype=np.int64) for _ in range(3))
        for path, link in links.items():
            latency[path], overhead[path], queue[path] = _ps(link)
        for (a, b), along in site_paths.items():
            path = first + a * k + b
            links[path], latency[path], overhead[path], queue[path] = path_costs(along, topology)
        wires = np.array([each.wire_bytes_per_s for each in site_links])[site_of]
        slowed = any(each.host_bytes_per_s < each.wire_bytes_per_s for each in site_links)
        completion = _completion_ps(links, first + k * k)
        return cls(
            topology=topology,
            site_of=site_of,
            node_of=node_of,
            nic_of=_nics(nodes, ranks_of_node),
            link_rate=np.concatenate([ports.ravel(), np.repeat(beyond, 2)]),
            links=links,
            site_paths=site_paths,
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

    @property
    def first_trunk_link(self) -> int:
        """Number of the first link behind the ports of all ranks."""
        return PORTS_PER_RANK * self.world_size

    @cached_property
    def queue_rate(self) -> Float64Array:
        """The rate at which bytes keep each port from others, (ports,) bytes per second.

        That is the port's own. A NIC that messages share keeps nobody back, but one thread of the
        sender hands them over to it, one after the other.
        """
        rates = self.link_rate[: self.first_trunk_link].reshape(-1, PORTS_PER_RANK).copy()
        if self.shares_ports:
            hosts = [site.link.host_bytes_per_s for site in self.topology.sites]
            rates[:, NIC], rates[:, NIC + 1] = np.array(hosts)[self.site_of], np.inf
        return rates.ravel()

    @property
    def shares_nics(self) -> bool:
        """Whether any ranks share a NIC."""
        return bool((self.nic_of != np.arange(self.world_size)).any())

    def trunk_link(self, a: int, b: int) -> int:
        """Return the number of the link of the trunk from site ``a`` to site ``b``."""
        return self._trunk_links[self.topology.sites[a].name, self.topology.sites[b].name]

    @cached_property
    def _trunk_links(self) -> dict[tuple[str, str], int]:
        found, first = {}, self.first_trunk_link
        for number, trunk in enumerate(self.topology.trunks):
            found[trunk.sites] = first + 2 * number
            found[trunk.sites[::-1]] = first + 2 * number + 1
        return found

    @cached_property
    def trunk_links(self) -> dict[int, tuple[Trunk, tuple[str, str]]]:
        """Each direction of each trunk by the number of its link, with its two ends in order."""
        trunks = self.topology.trunks
        return {
            link: (trunks[(link - self.first_trunk_link) // 2], ends)
            for ends, link in self._trunk_links.items()
        }

    def route(self, src: int, dst: int) -> tuple[int, ...]:
        """Return the links that a transfer from rank ``src`` to rank ``dst`` crosses, in order."""
        if src == dst:
            return ()
        if self.node_of[src] == self.node_of[dst]:
            return (PORTS_PER_RANK * src, PORTS_PER_RANK * dst + 1)
        out = PORTS_PER_RANK * int(self.nic_of[src]) + 2
        into = PORTS_PER_RANK * int(self.nic_of[dst]) + 3
        a, b = int(self.site_of[src]), int(self.site_of[dst])
        return (out, into) if a == b else (out, *self.site_paths[a, b].links, into)

    def ports_out(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int64Array:
        """Return the ports by which transfers leave their senders: node port or NIC."""
        beyond = self.node_of[src] != self.node_of[dst]
        port_of = np.where(beyond, self.nic_of[src], src)
        ports: Int64Array = PORTS_PER_RANK * port_of.astype(np.int64) + 2 * beyond
        return ports

    def ports_in(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int64Array:
        """Return the ports by which transfers come to their receivers, likewise."""
        beyond = self.node_of[src] != self.node_of[dst]
        port_of = np.where(beyond, self.nic_of[dst], dst)
        ports: Int64Array = PORTS_PER_RANK * port_of.astype(np.int64) + 1 + 2 * beyond
        return ports

    def at_shared_nics(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> BoolArray:
        """Say of transfers whether they go between NICs that messages share."""
        shared: BoolArray = (self.node_of[src] != self.node_of[dst]) & self.shares_ports
        return shared

    def link_name(self, link: int) -> str:
        """Return the name of a link: of a direction of a trunk, or of a rank and its port."""
        rank, kind = divmod(link, PORTS_PER_RANK)
        return self.place(link) if rank >= self.world_size else f"rank {rank} {PORTS[kind]}"

    @property
    def first_trunk_path(self) -> int:
        """Number of the path from the first site to itself; the trunks' paths follow."""
        return len(self.path_latency_ps) - self.n_sites**2

    @property
    def first_site_path(self) -> int:
        """Number of the path inside the first site, beyond nodes; those of the others follow."""
        return self.first_trunk_path - self.n_sites

    def path(self, src: int, dst: int) -> int:
        """Return the number of the path from rank ``src`` to rank ``dst``; -1 to itself."""
        if src == dst:
            return -1
        if self.node_of[src] == self.node_of[dst]:
            return int(self.node_of[src])
        a, b = int(self.site_of[src]), int(self.site_of[dst])
        beyond = self.first_trunk_path
        return self.first_site_path + a if a == b else beyond + a * self.n_sites + b

    def paths(self, src: npt.NDArray[Any], dst: npt.NDArray[Any]) -> Int32Array:
        """Return the numbers of the paths of transfers; -1 where one stays with its rank."""
        a, b = self.site_of[src], self.site_of[dst]
        between = self.first_trunk_path + a * self.n_sites + b
        beyond = np.where(a == b, self.first_site_path + a, between)
        near = self.node_of[src] == self.node_of[dst]
        paths = np.where(near, self.node_of[src], beyond)
        result: Int32Array = np.where(src == dst, -1, paths).astype(np.int32)
        return result

    def sites_of_path(self, path: int) -> tuple[int, int]:
        """Return the numbers of the sites from which and to which a path between sites goes."""
        return divmod(path - self.first_trunk_path, self.n_sites)

    def path_name(self, path: int) -> str:
        """Return the name of a path, by the places on it alone."""
        sites = self.topology.sites
        pair = path - self.first_trunk_path
        if pair >= 0:
            return " -> ".join(self.site_paths[self.sites_of_path(path)].names)
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

    def site_path(self, path: int) -> SitePath:
        """Return the trunks of a path between sites by its number."""
        return self.site_paths[self.sites_of_path(path)]

    @cached_property
    def crossings(self) -> tuple[Int64Array, Int64Array]:
        """Of every crossing: the number of a pair of sites, and of a link that its path crosses."""
        k = self.n_sites
        pairs = [a * k + b for (a, b), path in self.site_paths.items() for _ in path.crossed]
        links = [link for path in self.site_paths.values() for link in path.crossed]
        return np.array(pairs, dtype=np.int64), np.array(links, dtype=np.int64)

    def crossed_by(self, per_pair: npt.NDArray[Any]) -> Float64Array:
        """Return the sum over each link of a number of each pair of sites, (sites, sites).

        (links,), as in ``link_rate``; a pair counts as often as its path crosses the link.
        """
        pairs, links = self.crossings
        weights = np.asarray(per_pair, dtype=np.float64).ravel()[pairs]
        return _sums(links, weights, len(self.link_rate))

    def paths_across(self, link: int) -> Int64Array:
        """Return the numbers of the paths between sites that cross ``link``."""
        pairs, links = self.crossings
        across: Int64Array = self.first_trunk_path + np.unique(pairs[links == link])
        return across

    def link_bytes(self, src: Int32Array, dst: Int32Array, nbytes: Int64Array) -> Float64Array:
        """Return the bytes of transfers over each link, (links,), as in ``link_rate``."""
        sent = src != dst
        src, dst, nbytes = src[sent], dst[sent], nbytes[sent]
        size = len(self.link_rate)
        out, into = self.ports_out(src, dst), self.ports_in(src, dst)
        ports = _sums(out, nbytes, size) + _sums(into, nbytes, size)
        pair = self.site_of[src].astype(np.int64) * self.n_sites + self.site_of[dst]
        return ports + self.crossed_by(_sums(pair, nbytes, self.n_sites**2))

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

    def path_place(self, path: int) -> str:
        """Return the name, in reports, of all links of a path between sites together."""
        along = self.site_path(path)
        return (
            self.place(along.links[0]) if len(along.links) == 1 else f"path {self.path_name(path)}"
        )

    def links_of(self, place: str) -> list[int]:
        """Return the links that go by the name ``place`` in reports, those of a path in its order.

        None for a host.
        """
        for ends, along in self.site_paths.items():
            if len(along.links) > 1:
                path = self.first_trunk_path + ends[0] * self.n_sites + ends[1]
                if self.path_place(path) == place:
                    return list(along.links)
        return [link for link in range(len(self.link_rate)) if self.place(link) == place]

    def place(self, link: int) -> str:
        """Return the name of the part of the network that ``link`` belongs to."""
        sites = self.topology.sites
        number, back = divmod(link - self.first_trunk_link, 2)
        if number >= len(self.topology.trunks):
            conduit = self.topology.conduits[number - len(self.topology.trunks)]
            return f"conduit {conduit.name}{', back' if back else ''}"
        if number >= 0:
            ends = self.topology.trunks[number].sites
            return f"trunk {' -> '.join(ends[::-1] if back else ends)}"
        rank, kind = divmod(link, PORTS_PER_RANK)
        site = sites[self.site_of[rank]].name
        return f"node links of {site}" if kind < 2 else f"NICs of {site}"


def _sums(places: Int64Array, numbers: npt.NDArray[Any], size: int) -> Float64Array:
    """Return the sum of the numbers at each of ``size`` places."""
    sums: Float64Array = np.bincount(places, numbers, size).astype(np.float64)
    return sums


def _rates(links: list[Link]) -> Float64Array:
    return np.array([link.available_bytes_per_s for link in links])


def _nics(nodes: Sequence[tuple[int, Node]], ranks_of_node: npt.NDArray[Any]) -> Int32Array:
    """Return the first rank with the NIC of each rank, (n,)."""
    found = np.arange(int(ranks_of_node.sum()), dtype=np.int32)
    starts = np.cumsum(ranks_of_node) - ranks_of_node
    for first, (_, node) in zip(starts.tolist(), nodes, strict=True):
        if node.nic_of is not None:
            nics = np.array(node.nic_of)
            found[first : first + node.ranks] = first + np.array(
                [int(np.flatnonzero(nics == nic)[0]) for nic in nics]
            )
    return found


def _completion_ps(links: dict[int, Link], paths: int) -> Int64Array:
    """Return the time of the receiving host by path; empty where it takes none."""
    if not any(link.completion_s for link in links.values()):
        return NOTHING
    found: Int64Array = np.zeros(paths, dtype=np.int64)
    for path, link in links.items():
        found[path] = round(link.completion_s * PS_PER_S)
    return found


def site_paths_of(topology: Topology, first_link: int) -> dict[tuple[int, int], SitePath]:
    """Return the path from each site to each other, by their numbers.

    ``first_link``: the number of the first link of a trunk.
    """
    number = {site.name: i for i, site in enumerate(topology.sites)}
    conduits = {conduit.name: (i, conduit) for i, conduit in enumerate(topology.conduits)}
    first_conduit = first_link + 2 * len(topology.trunks)
    found: dict[tuple[int, int], SitePath] = {}
    hops: dict[tuple[str, str], SitePath] = {}
    for t, trunk in enumerate(topology.trunks):
        for back in range(2):
            ends = trunk.sites[::-1] if back else trunk.sites
            hop = SitePath(ends, (trunk,), (first_link + 2 * t + back,))
            if trunk.conduit is not None:
                at, conduit = conduits[trunk.conduit]
                through = (first_conduit + 2 * at + back,)
                hop = SitePath(ends, hop.trunks, hop.links, (conduit,), through)
            hops[ends] = hop
            if ends[0] in number and ends[1] in number:
                found[number[ends[0]], number[ends[1]]] = hop
    for (a, b), names in topology.longer_paths.items():
        for ends, along in (((a, b), names), ((b, a), names[::-1])):
            found[number[ends[0]], number[ends[1]]] = _joined(
                along, [hops[hop] for hop in pairwise(along)]
            )
    return found


def check_paths(topology: Topology) -> None:
    """Raise TopologyError for a path of several trunks that one connection cannot go over."""
    for along in site_paths_of(topology, 0).values() if topology.longer_paths else ():
        path_costs(along, topology)


def _joined(names: tuple[str, ...], hops: Sequence[SitePath]) -> SitePath:
    return SitePath(
        names,
        tuple(trunk for hop in hops for trunk in hop.trunks),
        tuple(link for hop in hops for link in hop.links),
        tuple(conduit for hop in hops for conduit in hop.conduits),
        tuple(link for hop in hops for link in hop.conduit_links),
    )


def path_costs(along: SitePath, topology: Topology) -> tuple[Link, int, int, int]:
    """Return the link of a path between sites, its latency, overhead and queue in picoseconds."""
    if len(along.trunks) == 1:
        return along.trunks[0].link, *_ps(along.trunks[0].link)
    if along.waves > MOST_WAVES:
        waves = ", ".join(str(trunk.link.waves) for trunk in along.trunks)
        raise TopologyError(
            f"path {' - '.join(along.names)} over trunks of {waves} waves: needed numbers that "
            f"come again together within {MOST_WAVES}, such as the same"
        )
    transit_s = {place.name: place.transit_s for place in topology.places}
    passed_s = [transit_s[name] for name in along.names[1:-1]]
    links = [trunk.link for trunk in along.trunks]
    link = in_a_row(links, [f"trunk {trunk.name}" for trunk in along.trunks], sum(passed_s))
    each = [_ps(part) for part in links]
    latency_ps = sum(latency for latency, _, _ in each)
    latency_ps += sum(round(passed * PS_PER_S) for passed in passed_s)
    overhead_ps = max(overhead for _, overhead, _ in each)
    return link, latency_ps, overhead_ps, sum(queue for _, _, queue in each)


def _ps(link: Link) -> tuple[int, int, int]:
    """Return latency, overhead and queue to the nearest picosecond."""
    queue = round(link.queue_s * PS_PER_S)
    latency = round(link.latency_s * PS_PER_S) + queue
    return latency, round(link.overhead_s * PS_PER_S), queue
