"""Where ranks live: sites, nodes, and the trunks between sites."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise

from emul.errors import TopologyError, listed, one_of_many, unknown_name
from emul.links import EFFECTS, Changes, Link
from emul.links.changes import CONSTANT
from emul.reading.brief import brief, one_line
from emul.topology.nodes import Node, NodeRuns
from emul.topology.routing import parts_of, paths_between
from emul.topology.tour import tour_of
from emul.units import PS_PER_S

__all__ = [
    "IN_NODE",
    "IN_SITE",
    "TRUNK",
    "Conduit",
    "Node",
    "PathVia",
    "Site",
    "Topology",
    "Trunk",
    "Waypoint",
]

IN_NODE, IN_SITE, TRUNK = "inside a node of", "inside", ""
"""Kinds of links, by the words before their places."""


@dataclass(frozen=True, slots=True)
class Site:
    """A campus: nodes joined by a non-blocking fabric; ``link`` is each rank's NIC on it.

    ``nodes`` are kept as NodeRuns, equal ones in a row as one. All trunks together carry
    ``uplink_bytes_per_s`` out of the site, after idle time ``uplink_burst_bytes`` at once, and
    ``downlink_bytes_per_s`` into it, None for as much. ``latitude_deg`` and ``longitude_deg`` are
    for maps alone, both or none; delays come from the trunks. A path that passes through the site
    takes ``transit_s`` longer, and neither its NICs nor its uplink.
    """

    name: str
    nodes: Sequence[Node]
    link: Link
    uplink_bytes_per_s: float = math.inf
    downlink_bytes_per_s: float | None = None
    uplink_burst_bytes: float = 0.0
    latitude_deg: float | None = None
    longitude_deg: float | None = None
    transit_s: float = 0.0

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
        _check_place(self)

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
    def nics(self) -> int:
        """Number of NICs at this site."""
        return NodeRuns.of(self.nodes).nics

    @property
    def runs(self) -> tuple[tuple[Node, int], ...]:
        """The nodes as runs of equal ones: (node, how many)."""
        return NodeRuns.of(self.nodes).runs


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A place without ranks, at which trunks meet; its fields are as those of Site."""

    name: str
    transit_s: float = 0.0
    latitude_deg: float | None = None
    longitude_deg: float | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers that no place has."""
        _check_place(self)


def _check_place(place: Site | Waypoint) -> None:
    """Refuse half a pair of coordinates, and those of no place on earth; and a negative delay."""
    given = (place.latitude_deg, place.longitude_deg)
    for name, value, most in zip(("latitude", "longitude"), given, (90.0, 180.0), strict=True):
        if value is not None and not -most <= value <= most:
            raise TopologyError(
                f"site {place.name!r} with {name}_deg = {value}: needed a number from {-most:g} "
                f"to {most:g}, in degrees"
            )
    if given.count(None) == 1:
        lacking = "longitude_deg" if place.longitude_deg is None else "latitude_deg"
        raise TopologyError(
            f"site {place.name!r} has no {lacking}: needed both coordinates, or none"
        )
    if not (math.isfinite(place.transit_s) and place.transit_s >= 0):
        raise TopologyError(
            f"site {place.name!r} with transit_s = {place.transit_s}: needed a finite number of "
            "seconds, 0 or more"
        )


@dataclass(frozen=True, slots=True)
class Conduit:
    """A fibre that several trunks share: their joint rate each way, and the outages of all of them.

    A trunk goes along it from the first to the second of its sites.
    """

    name: str
    rate_bytes_per_s: float = math.inf
    changes: Changes = CONSTANT

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a fibre that carries nothing."""
        if not self.rate_bytes_per_s > 0:
            raise TopologyError(
                f"conduit {self.name!r} with rate_bytes_per_s = {self.rate_bytes_per_s}: needed a "
                "number above 0, in bytes per second"
            )


@dataclass(frozen=True, slots=True)
class Trunk:
    """The shared path between two sites; ``link`` describes each of its two directions.

    ``km`` is the line of sight where it is known; the delay is already in ``link``. ``changes``
    says how the link differs from time to time, in both directions alike. ``conduit``: the name of
    the fibre that it shares with others.
    """

    sites: tuple[str, str]
    link: Link
    km: float | None = None
    changes: Changes = CONSTANT
    conduit: str | None = None

    __repr__ = brief

    @property
    def name(self) -> str:
        """The name that reports use."""
        return " - ".join(self.sites)


@dataclass(frozen=True, slots=True)
class PathVia:
    """The places that traffic between two ``sites`` passes, in order; on the way back backwards."""

    sites: tuple[str, str]
    via: tuple[str, ...]


@dataclass(frozen=True)
class Topology:
    """Sites, and the trunks that join them to one connected graph.

    Two sites that a trunk joins send over it; others over the quickest path of several trunks (see
    emul.topology.routing), or as ``paths_via`` says. ``waypoints`` are places of the graph without
    ranks. Ranks are numbered 0 to ``world_size - 1``, site by site and node by node.
    Raises TopologyError for a name that is given twice or is not there, and for a graph in parts.
    """

    name: str
    sites: tuple[Site, ...]
    trunks: tuple[Trunk, ...] = ()
    description: str = ""
    waypoints: tuple[Waypoint, ...] = ()
    conduits: tuple[Conduit, ...] = ()
    paths_via: tuple[PathVia, ...] = ()

    def __post_init__(self) -> None:
        """Refuse sites that are not all distinct and joined."""
        if not self.sites:
            raise TopologyError(f"topology {self.name!r} has no site: needed at least one")
        names = [place.name for place in self.places]
        wrong = _twice("site", names)
        wrong += _twice("conduit", [conduit.name for conduit in self.conduits])
        wrong += self._wrong_trunks(names) + self._wrong_paths(names)
        if wrong:
            raise TopologyError(f"topology {self.name!r}: {one_of_many(wrong)}")

    def _wrong_trunks(self, names: list[str]) -> list[str]:
        """Return all that is wrong with the trunks between the places of these names."""
        wrong, known = [], set(names)
        conduits = [conduit.name for conduit in self.conduits]
        seen: set[frozenset[str]] = set()
        for trunk in self.trunks:
            pair, label = frozenset(trunk.sites), trunk.name
            if len(pair) != 2 or not pair <= known:
                wrong.append(f"trunk {label}: needed two different sites of {listed(names)}")
            elif pair in seen:
                wrong.append(f"trunk {label} is given twice")
            if trunk.conduit is not None and trunk.conduit not in conduits:
                have = f"one of {listed(conduits)}" if conduits else "a [[conduit]] of that name"
                wrong.append(f"trunk {label} in conduit {trunk.conduit!r}: needed {have}")
            seen.add(pair)
        return wrong or self._apart(names)

    def _apart(self, names: list[str]) -> list[str]:
        """Return the complaint about a graph in several parts, if it is one."""
        parts = parts_of(names, (trunk.sites for trunk in self.trunks))
        if len(parts) == 1:
            return []
        told = " / ".join(listed(part) for part in parts[:MOST_PARTS])
        more = f" / and {len(parts) - MOST_PARTS} more parts" if len(parts) > MOST_PARTS else ""
        a, b = parts[0][0], parts[1][0]
        return [
            f"no trunk joins {told}{more}: needed one connected graph; add a [[trunk]] from one "
            f"part to the next, such as between = [{a!r}, {b!r}]"
        ]

    def _wrong_paths(self, names: list[str]) -> list[str]:
        """Return all that is wrong with the paths that are asked for."""
        wrong, ends = [], {site.name for site in self.sites}
        seen: set[frozenset[str]] = set()
        for path in self.paths_via:
            pair, label = frozenset(path.sites), " - ".join(path.sites)
            if len(pair) != 2 or not pair <= ends:
                wrong.append(f"path {label}: needed two different sites that have ranks")
            elif pair in seen:
                wrong.append(f"path {label} is given twice")
            unknown = [name for name in path.via if name not in names]
            if unknown or not path.via:
                wrong.append(f"path {label} via {listed(path.via)}: needed some of {listed(names)}")
            seen.add(pair)
        return wrong

    @property
    def places(self) -> tuple[Site | Waypoint, ...]:
        """The sites, and after them the waypoints."""
        return (*self.sites, *self.waypoints)

    @property
    def changes(self) -> bool:
        """Whether any trunk or conduit changes with time."""
        every = [trunk.changes for trunk in self.trunks]
        return any(each.any for each in [*every, *(conduit.changes for conduit in self.conduits)])

    @cached_property
    def longer_paths(self) -> dict[tuple[str, str], tuple[str, ...]]:
        """The places on each path that is not one trunk, by its two sites, whose names rise.

        Raises TopologyError for a path that would come to a place twice.
        """
        k = len(self.sites)
        if not self.paths_via and not self.waypoints and len(self.trunks) == k * (k - 1) // 2:
            return {}
        return paths_between(
            [site.name for site in self.sites],
            self._delays_ps,
            self._passage_ps,
            {path.sites: path.via for path in self.paths_via},
        )

    @property
    def _delays_ps(self) -> dict[str, dict[str, int]]:
        """The delay of each trunk with its standing queue, by the two places, either way."""
        delays: dict[str, dict[str, int]] = {place.name: {} for place in self.places}
        for trunk in self.trunks:
            a, b = trunk.sites
            delay_s = trunk.link.latency_s + trunk.link.queue_s
            delays[a][b] = delays[b][a] = round(delay_s * PS_PER_S)
        return delays

    @property
    def _passage_ps(self) -> dict[str, int]:
        """The delay of the passage of each place."""
        return {place.name: round(place.transit_s * PS_PER_S) for place in self.places}

    @property
    def along_tour(self) -> Topology:
        """The same, its sites in the order of a tour if any two of them have no trunk.

        So times do not depend on the order in which a graph is written down (emul.topology.tour).
        """
        names = [site.name for site in self.sites]
        joined = {frozenset(trunk.sites) for trunk in self.trunks}
        if all(frozenset(pair) in joined for pair in combinations(names, 2)):
            return self
        delays, passage_ps = self._delays_ps, self._passage_ps
        longer = self.longer_paths
        far = {}
        for pair in combinations(sorted(names), 2):
            path = longer.get(pair, pair)
            hops = sum(delays[a][b] for a, b in pairwise(path))
            far[pair] = hops + sum(passage_ps[name] for name in path[1:-1])
        site = {each.name: each for each in self.sites}
        return replace(self, sites=tuple(site[name] for name in tour_of(names, far)))

    def with_trunk_links(self, change: Callable[[Trunk], Link]) -> Topology:
        """Return the same with the link that ``change`` returns for each trunk."""
        trunks = tuple(replace(trunk, link=change(trunk)) for trunk in self.trunks)
        return replace(self, trunks=trunks)

    @property
    def with_paths_kept(self) -> Topology:
        """The same, with every path as it is, whatever else is changed about it later."""
        kept = tuple(PathVia(ends, path[1:-1]) for ends, path in self.longer_paths.items())
        return replace(self, paths_via=kept)

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return sum(site.ranks for site in self.sites)

    def _repr_html_(self) -> str:
        """Return a small table and a map of the sites and trunks, for notebooks."""
        from emul.drawing.positions import positions_of
        from emul.topology.views import topology_html

        number = {place.name: at for at, place in enumerate(self.places)}
        trunks = [
            ((number[trunk.sites[0]], number[trunk.sites[1]]), trunk.link) for trunk in self.trunks
        ]
        sites = [(site.name, site.ranks) for site in self.sites]
        sites += [(place.name, 0) for place in self.waypoints]
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
            yield TRUNK, trunk.name, trunk.link

    def of_ranks(self, ranks: Sequence[int]) -> Topology:
        """Return the places of some ``ranks``, rising, of which rank i is then ``ranks[i]``."""
        first, sites = 0, []
        waypoints = list(self.waypoints)
        for site in self.sites:
            nodes = []
            for node in site.nodes:
                there = ranks[bisect_left(ranks, first) : bisect_left(ranks, first + node.ranks)]
                if len(there):
                    nodes.append(node.of_ranks([rank - first for rank in there]))
                first += node.ranks
            if nodes:
                sites.append(replace(site, nodes=tuple(nodes)))
            else:
                at = site.latitude_deg, site.longitude_deg
                waypoints.append(Waypoint(site.name, site.transit_s, *at))
        return self._between(f"{len(ranks)} ranks of {self.name}", tuple(sites), waypoints)

    def _between(self, name: str, sites: tuple[Site, ...], waypoints: list[Waypoint]) -> Topology:
        """Return the part of the graph on the paths between some of the ``sites``."""
        ends = {site.name for site in sites}
        longer = {pair: path for pair, path in self.longer_paths.items() if ends.issuperset(pair)}
        used = {frozenset(hop) for path in longer.values() for hop in pairwise(path)}
        passed = {place for path in longer.values() for place in path}
        trunks = tuple(
            trunk
            for trunk in self.trunks
            if ends.issuperset(trunk.sites) or frozenset(trunk.sites) in used
        )
        held = {trunk.conduit for trunk in trunks}
        return Topology(
            name,
            sites,
            trunks,
            self.description,
            tuple(place for place in waypoints if place.name in passed),
            tuple(conduit for conduit in self.conduits if conduit.name in held),
            tuple(PathVia(pair, path[1:-1]) for pair, path in longer.items()),
        )

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

        Without ``latency`` there is no distance, and no passage of a site: rates and overheads
        only. Raises ArgumentError for an effect that does not exist.
        """
        for effect in effects:
            if effect not in EFFECTS:
                raise unknown_name("effect", effect, EFFECTS)
        off = frozenset(effects)
        if not off:
            return self
        near = "latency" in off
        return replace(
            self.with_paths_kept,
            name=f"{self.name} without {', '.join(each for each in EFFECTS if each in off)}",
            sites=tuple(
                replace(
                    site,
                    link=site.link.without(off),
                    nodes=NodeRuns.of(site.nodes).changed(
                        lambda node: replace(node, link=node.link.without(off))
                    ),
                    transit_s=0.0 if near else site.transit_s,
                )
                for site in self.sites
            ),
            waypoints=tuple(
                replace(place, transit_s=0.0 if near else place.transit_s)
                for place in self.waypoints
            ),
            trunks=tuple(
                replace(trunk, link=trunk.link.without(off), changes=trunk.changes.without(off))
                for trunk in self.trunks
            ),
            conduits=tuple(
                replace(conduit, changes=conduit.changes.without(off)) for conduit in self.conduits
            ),
        )


MOST_PARTS = 3
"""Of a graph in parts, that an error lists."""


def _twice(kind: str, names: list[str]) -> list[str]:
    """Return the complaints about names that are given more than once."""
    return [
        f"{kind} {name!r} is given twice" for name, number in Counter(names).items() if number > 1
    ]


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
