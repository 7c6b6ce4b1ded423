"""Where ranks live: sites, nodes, and the trunks between sites."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from emul.errors import TopologyError, listed, one_of_many, unknown_name
from emul.links import EFFECTS, Changes, Link
from emul.links.changes import CONSTANT
from emul.reading.brief import brief, one_line
from emul.topology.detours import in_place_of
from emul.topology.nodes import Node, NodeRuns

__all__ = ["IN_NODE", "IN_SITE", "TRUNK", "Node", "Site", "Topology", "Trunk"]

IN_NODE, IN_SITE, TRUNK = "inside a node of", "inside", ""
"""Kinds of links, by the words before their places."""


@dataclass(frozen=True, slots=True)
class Site:
    """A campus: nodes joined by a non-blocking fabric; ``link`` is each rank's NIC on it.

    ``nodes`` are kept as NodeRuns, equal ones in a row as one. All trunks together carry
    ``uplink_bytes_per_s`` out of the site, after idle time ``uplink_burst_bytes`` at once, and
    ``downlink_bytes_per_s`` into it, None for as much. ``latitude_deg`` and ``longitude_deg`` are
    for maps alone, both or none; delays come from the trunks.
    """

    name: str
    nodes: Sequence[Node]
    link: Link
    uplink_bytes_per_s: float = math.inf
    downlink_bytes_per_s: float | None = None
    uplink_burst_bytes: float = 0.0
    latitude_deg: float | None = None
    longitude_deg: float | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a site in which nobody lives, and one without a way out or in."""
        object.__setattr__(self, "nodes", NodeRuns.of(self.nodes))
        if not self.nodes:
            raise TopologyError(f"site {self.name!r} has no ranks: needed at least one node")
        for name, rate in (
            ("uplink_bytes_per_s", self.uplink_bytes_per_s),
            ("downlink_bytes_per_s", self.into_bytes_per_s),
        ):
            if not rate > 0:
                raise TopologyError(
                    f"site {self.name!r} with {name} = {rate}: needed a number above 0, in bytes "
                    "per second"
                )
        if not (math.isfinite(self.uplink_burst_bytes) and self.uplink_burst_bytes >= 0):
            raise TopologyError(
                f"site {self.name!r} with uplink_burst_bytes = {self.uplink_burst_bytes}: needed a "
                "finite number of bytes, 0 or more"
            )
        self._check_coordinates()

    def _check_coordinates(self) -> None:
        given = (self.latitude_deg, self.longitude_deg)
        for name, value, most in zip(("latitude", "longitude"), given, (90.0, 180.0), strict=True):
            if value is not None and not -most <= value <= most:
                raise TopologyError(
                    f"site {self.name!r} with {name}_deg = {value}: needed a number from {-most:g} "
                    f"to {most:g}, in degrees"
                )
        if given.count(None) == 1:
            lacking = "longitude_deg" if self.longitude_deg is None else "latitude_deg"
            raise TopologyError(
                f"site {self.name!r} has no {lacking}: needed both coordinates, or none"
            )

    @property
    def into_bytes_per_s(self) -> float:
        """Bytes per second that all trunks together carry into the site."""
        into = self.downlink_bytes_per_s
        return self.uplink_bytes_per_s if into is None else into

    @property
    def limited(self) -> bool:
        """Whether all trunks of the site together have a limit."""
        return min(self.uplink_bytes_per_s, self.into_bytes_per_s) < math.inf

    @property
    def ranks(self) -> int:
        """Number of ranks at this site."""
        return NodeRuns.of(self.nodes).ranks

    @property
    def runs(self) -> tuple[tuple[Node, int], ...]:
        """The nodes as runs of equal ones: (node, how many)."""
        return NodeRuns.of(self.nodes).runs


@dataclass(frozen=True, slots=True)
class Trunk:
    """The shared path between two sites; ``link`` describes each of its two directions.

    ``km`` is the line of sight where it is known; the delay is already in ``link``. ``changes``
    says how the link differs from time to time, in both directions alike.
    """

    sites: tuple[str, str]
    link: Link
    km: float | None = None
    changes: Changes = CONSTANT

    __repr__ = brief


@dataclass(frozen=True, slots=True)
class Topology:
    """Sites and the trunks that join every pair of them.

    Ranks are numbered 0 to ``world_size - 1``, site by site and node by node.
    Raises TopologyError when a site is missing, named twice, or lacks a trunk.
    """

    name: str
    sites: tuple[Site, ...]
    trunks: tuple[Trunk, ...] = ()
    description: str = ""

    def __post_init__(self) -> None:
        """Refuse sites that are not all distinct and joined in pairs."""
        if not self.sites:
            raise TopologyError(f"topology {self.name!r} has no site: needed at least one")
        names = [site.name for site in self.sites]
        twice = [name for name, number in Counter(names).items() if number > 1]
        wrong = [f"site {name!r} is given twice" for name in twice]
        wrong += self._wrong_trunks(names)
        if wrong:
            raise TopologyError(f"topology {self.name!r}: {one_of_many(wrong)}")

    def _wrong_trunks(self, names: list[str]) -> list[str]:
        """Return all that is wrong with the trunks between the sites of these names."""
        wrong, known = [], set(names)
        seen: set[frozenset[str]] = set()
        for trunk in self.trunks:
            pair, label = frozenset(trunk.sites), " - ".join(trunk.sites)
            if len(pair) != 2 or not pair <= known:
                wrong.append(f"trunk {label}: needed two different sites of {listed(names)}")
            elif pair in seen:
                wrong.append(f"trunk {label} is given twice")
            seen.add(pair)
        lacking = [pair for pair in combinations(names, 2) if frozenset(pair) not in seen]
        for number, (a, b) in enumerate(lacking):
            # How to write it is worked out for the first only: of very many it would take long.
            joined = () if number else ((each.sites, each.link) for each in self.trunks)
            instead = in_place_of(a, b, joined)
            complaint = f"no trunk between {a!r} and {b!r}"
            wrong.append(f"{complaint}: every pair of sites needs one{instead}")
        return wrong

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return sum(site.ranks for site in self.sites)

    def _repr_html_(self) -> str:
        """Return a small table and a map of the sites and trunks, for notebooks."""
        from emul.drawing.positions import positions_of
        from emul.topology.views import topology_html

        number = {site.name: at for at, site in enumerate(self.sites)}
        trunks = [
            ((number[trunk.sites[0]], number[trunk.sites[1]]), trunk.link) for trunk in self.trunks
        ]
        sites = [(site.name, site.ranks) for site in self.sites]
        return topology_html(self.name, sites, trunks, positions_of(self))

    def __repr__(self) -> str:
        """Say in one line where the ranks live."""
        sites = ", ".join(f"{site.name} {site.ranks}" for site in self.sites)
        return one_line(f"<Topology {self.name}: {self.world_size} ranks ({sites})>")

    @property
    def ranks_by_node(self) -> list[list[int]]:
        """The ranks of each node of each site, as plans are built from."""
        return [
            [ranks for node, number in site.runs for ranks in [node.ranks] * number]
            for site in self.sites
        ]

    @property
    def slowest_trunk(self) -> Trunk | None:
        """The trunk that leaves the lowest rate, or None when there is one site."""
        return min(self.trunks, key=lambda trunk: trunk.link.available_bytes_per_s, default=None)

    def links(self) -> Iterator[tuple[str, Link]]:
        """Yield every distinct kind of link with the name that reports use for it."""
        for kind, place, link in self.links_by_kind():
            yield f"{kind} {place}".strip(), link

    def links_by_kind(self) -> Iterator[tuple[str, str, Link]]:
        """Yield the kind, the place and the link of each: one of IN_NODE, IN_SITE and TRUNK."""
        for site in self.sites:
            for link, members in _by_link(site.runs).items():
                some = "" if sum(map(len, members)) == len(site.nodes) else f" {_spans(members)}"
                yield IN_NODE, f"{site.name}{some}", link
            yield IN_SITE, site.name, site.link
        for trunk in self.trunks:
            yield TRUNK, " - ".join(trunk.sites), trunk.link

    def of_ranks(self, ranks: Sequence[int]) -> Topology:
        """Return the places of some ``ranks``, rising, of which rank i is then ``ranks[i]``."""
        first, sites = 0, []
        for site in self.sites:
            nodes = []
            for node in site.nodes:
                there = bisect_left(ranks, first + node.ranks) - bisect_left(ranks, first)
                if there:
                    nodes.append(replace(node, ranks=there))
                first += node.ranks
            if nodes:
                sites.append(replace(site, nodes=tuple(nodes)))
        names = {site.name for site in sites}
        trunks = tuple(trunk for trunk in self.trunks if names.issuperset(trunk.sites))
        name = f"{len(ranks)} ranks of {self.name}"
        return Topology(name, tuple(sites), trunks, self.description)

    def in_one_place(self) -> Topology:
        """Return the same nodes gathered at one site: the time without distance.

        The fabric is the slowest of the sites' fabrics, number by number, so that the
        comparison never flatters the single place.
        """
        if len(self.sites) == 1:
            return self
        fabrics = [site.link for site in self.sites]
        slowest = replace(
            fabrics[0],
            rate_bytes_per_s=min(link.rate_bytes_per_s for link in fabrics),
            latency_s=max(link.latency_s for link in fabrics),
            overhead_s=max(link.overhead_s for link in fabrics),
        )
        nodes = NodeRuns.joined(run for site in self.sites for run in site.runs)
        return Topology(f"{self.name} in one place", (Site("campus", nodes, slowest),))

    def without(self, effects: Collection[str]) -> Topology:
        """Return the same places without some effects of their links, named as in EFFECTS.

        Without ``latency`` there is no distance: rates and overheads only. Raises ArgumentError
        for an effect that does not exist.
        """
        for effect in effects:
            if effect not in EFFECTS:
                raise unknown_name("effect", effect, EFFECTS)
        off = frozenset(effects)
        if not off:
            return self
        return replace(
            self,
            name=f"{self.name} without {', '.join(each for each in EFFECTS if each in off)}",
            sites=tuple(
                replace(
                    site,
                    link=site.link.without(off),
                    nodes=NodeRuns.of(site.nodes).changed(
                        lambda node: replace(node, link=node.link.without(off))
                    ),
                )
                for site in self.sites
            ),
            trunks=tuple(
                replace(trunk, link=trunk.link.without(off), changes=trunk.changes.without(off))
                for trunk in self.trunks
            ),
        )


def _by_link(runs: tuple[tuple[Node, int], ...]) -> dict[Link, list[range]]:
    """Return the numbers of the nodes that each link joins the ranks of."""
    members: dict[Link, list[range]] = {}
    first = 0
    for node, number in runs:
        members.setdefault(node.link, []).append(range(first, first + number))
        first += number
    return members


def _spans(members: list[range]) -> str:
    number = sum(map(len, members))
    return f"(node {members[0][0]})" if number == 1 else f"({number} nodes)"
