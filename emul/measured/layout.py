"""Where the ranks of the logs live: sites, and the ranks of each of their nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from emul.errors import ArgumentError
from emul.links import Link
from emul.measured.forms import COLLECTIVES
from emul.measured.measurement import Log
from emul.measured.ring_paths import Ring
from emul.topology import Topology

__all__ = ["LINKS", "SiteLayout", "layout_of"]

LINKS = ("trunk", "site", "node")
"""The classes of links, from the farthest: between sites, between nodes, inside a node."""

ONLY_SITE = "site"
PAIR = 2
"""Ranks where no collective was measured: the two ends of a ping or of a stream."""


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """The ranks of each node, by the name of the site; ``sites`` are in the order of ranks."""

    sites: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def binding_link(self) -> str:
        """The class of the farthest link there is, which binds."""
        if len(self.sites) > 1:
            return "trunk"
        return "site" if len(self.sites[0][1]) > 1 else "node"

    @property
    def ring(self) -> list[str]:
        """The class of the link of each hop of a ring in the order of ranks."""
        where = [
            (site, node)
            for site, (_, nodes) in enumerate(self.sites)
            for node, ranks in enumerate(nodes)
            for _ in range(ranks)
        ]
        return [
            _between(one, other) for one, other in zip(where, where[1:] + where[:1], strict=True)
        ]

    def ring_over(self, link: str, known: Mapping[str, Link]) -> Ring:
        """Return the ring where links of class ``link`` are measured, and the others ``known``."""
        return Ring(tuple(None if each == link else known[each] for each in self.ring))

    def check(self, link: str, logs: Sequence[Log]) -> None:
        """Refuse a class of links that no hop of the collectives goes over."""
        if _collectives(logs) and link not in self.ring:
            raise ArgumentError(
                f"--link {link}: no two of these ranks are joined by such a link: needed one of "
                f"{', '.join(dict.fromkeys(self.ring))}"
            )

    def warnings(self, link: str, logs: Sequence[Log]) -> list[str]:
        """Return why not every step of a collective can be charged to links of one class."""
        ring = self.ring
        if not _collectives(logs) or set(ring) == {link}:
            return []
        return [
            f"only {ring.count(link)} of the {len(ring)} hops of a ring over these ranks are "
            f"{link} links; the closed form takes all to be alike, so latency and overhead are "
            "means over all; a --base that has the others would tell"
        ]


def _between(one: tuple[int, int], other: tuple[int, int]) -> str:
    """Return the class of the link between two ranks, each given by its site and node."""
    if one[0] != other[0]:
        return "trunk"
    return "site" if one[1] != other[1] else "node"


def _collectives(logs: Sequence[Log]) -> bool:
    return any(each.kind in COLLECTIVES for log in logs for each in log.measurements)


def layout_of(
    logs: Sequence[Log], ranks_of_sites: Mapping[str, int], base: Topology | None = None
) -> SiteLayout:
    """Return where the ranks of the largest world among ``logs`` live.

    ``ranks_of_sites`` comes from the user; without it the sites are the sites of ``base``, if that
    has as many ranks, and else there is one. Nodes are the hosts that a log lists, or those of
    ``base`` if its sites are alike, or else every rank has one of its own. Raises ArgumentError
    when the sites do not have as many ranks as the world.
    """
    of_base = _nodes_by_site(base)
    world_size = max(
        (each.world_size for log in logs for each in log.measurements if each.kind in COLLECTIVES),
        default=sum(ranks_of_sites.values()) or sum(map(sum, of_base.values())) or PAIR,
    )
    sites = dict(ranks_of_sites) or {name: sum(nodes) for name, nodes in of_base.items()}
    if not ranks_of_sites and sum(sites.values()) != world_size:
        sites = {ONLY_SITE: world_size}
    if sum(sites.values()) != world_size:
        raise ArgumentError(
            f"--sites of {sum(sites.values())} ranks: needed {world_size}, as many as took part in "
            "the largest log"
        )
    hosts = next((h for h in (log.ranks_of_hosts for log in logs) if sum(h) == world_size), ())
    if not hosts and sites == {name: sum(nodes) for name, nodes in of_base.items()}:
        return SiteLayout(tuple((name, of_base[name]) for name in sites))
    return SiteLayout(tuple(zip(sites, _nodes_of_sites(list(sites.values()), hosts), strict=True)))


def _nodes_by_site(base: Topology | None) -> dict[str, tuple[int, ...]]:
    sites = base.sites if base else ()
    return {site.name: tuple(node.ranks for node in site.nodes) for site in sites}


def _nodes_of_sites(ranks_of_sites: list[int], hosts: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the ranks of the nodes of each site: hosts, where sites end where hosts do."""
    nodes: list[tuple[int, ...]] = []
    left = list(hosts)
    for ranks in ranks_of_sites:
        taken: list[int] = []
        while left and sum(taken) < ranks:
            taken.append(left.pop(0))
        if sum(taken) != ranks:
            return [(1,) * each for each in ranks_of_sites]
        nodes.append(tuple(taken))
    return nodes
