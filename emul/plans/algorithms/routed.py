"""Routes with relays: blocks from rank to rank over several paths of sites, each with its share.

For all-to-all, gather and scatter, between which trees are no help: every byte has one receiver.
A ship of a block takes a path of sites; at a site between, one of its ranks relays it. There it
waits in scratch (all-to-all), or in the place of the block, which is empty (gather, scatter).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.errors import ArgumentError
from emul.plans.algorithms.reordered import Reordered
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step

__all__ = ["ROUTE_COLLECTIVES", "RoutedSpec", "SiteRoute", "direct_routes"]

ROUTE_COLLECTIVES = ("all_to_all", "gather", "scatter")


@dataclass(frozen=True, slots=True)
class SiteRoute:
    """A path of sites, both ends included, and its share: ``units`` of those of the same ends."""

    units: int
    path: tuple[int, ...]


def direct_routes(sites: int) -> tuple[SiteRoute, ...]:
    """Return the best routes where every two sites have a trunk and all trunks are alike."""
    return tuple(SiteRoute(1, (a, b)) for a in range(sites) for b in range(sites) if a != b)


@dataclass(frozen=True, slots=True)
class RoutedSpec:
    """All of which a plan over routes is made; ``name`` is that of the plan.

    ``order``: of the sites, by which the plan goes where nothing else decides.
    """

    collective: str
    name: str
    places: Places
    root: int
    routes: tuple[SiteRoute, ...]
    order: tuple[int, ...] = ()

    def build(self) -> Plan:
        """Return the plan, not proven. Raises ArgumentError for routes that do not fit."""
        plan = _routed_plan(self)
        return plan.built_from(self)


def _routed_plan(spec: RoutedSpec) -> Plan:
    """Return the plan over the routes of ``spec``; raises ArgumentError if they do not fit."""
    ships = _Ships(spec)
    n, units = spec.places.world_size, ships.units
    table = np.array(ships.rows, dtype=np.int64).reshape(-1, 7)

    def steps() -> Iterator[Step]:
        yield from _steps(table)

    cut = Partition(n, units, np.arange(n * units + 1, dtype=np.int64))
    return Plan(
        spec.collective,
        spec.name,
        n,
        spec.root,
        cut,
        steps,
        apart=ships.apart,
        scratch=ships.scratch,
    )


def _between(
    spec: RoutedSpec, reordered: Reordered
) -> Mapping[tuple[int, int], tuple[SiteRoute, ...]]:
    """Return the routes in the new order of sites, by their ends; refuse those that do not fit."""
    collective, places = spec.collective, spec.places
    if collective not in ROUTE_COLLECTIVES:
        raise ArgumentError(
            f"routes do not do {collective}: needed one of {', '.join(ROUTE_COLLECTIVES)}"
        )
    found: dict[tuple[int, int], tuple[SiteRoute, ...]] = {}
    for route in spec.routes:
        known = set(route.path) <= set(range(len(places.sites)))
        if not known or len(set(route.path)) < max(2, len(route.path)) or route.units < 1:
            raise ArgumentError(
                f"{route}: needed a path over different ones of {len(places.sites)} sites"
            )
        path = tuple(reordered.new_site[site] for site in route.path)
        ends = path[0], path[-1]
        found[ends] = (*found.get(ends, ()), SiteRoute(route.units, path))
    sums = {sum(route.units for route in each) for each in found.values()}
    if len(sums) > 1:
        raise ArgumentError(f"routes of {sorted(sums)} units: needed as many between any two sites")
    return found


class _Ships:
    """The rows of all ships of blocks, and the scratch of their relays.

    ``rows``: hop, sender, receiver, first place there and here, number of chunks, channel. Ranks
    and sites have the numbers of the new order until they are in a row.
    """

    def __init__(self, spec: RoutedSpec) -> None:
        order = spec.order or tuple(range(len(spec.places.nodes)))
        self.reordered = Reordered(spec.places, order)
        self.places = self.reordered.places
        self.between = _between(spec, self.reordered)
        self.units = sum(route.units for route in next(iter(self.between.values()), ())) or 1
        self.first: list[int] = [0, *accumulate(self.places.sites)]
        self.number: list[int] = self.reordered.ranks.tolist()
        n = self.places.world_size
        self.site_of = np.repeat(np.arange(len(order)), self.places.sites).tolist()
        self.like: list[list[int]] = [[] for _ in range(n)]
        self.rows: list[tuple[int, ...]] = []
        self.apart = spec.collective == "all_to_all"
        self.vector = n * self.units
        root = int(self.reordered.new_rank[spec.root])
        for src, dst, block in _blocks(spec.collective, n, root):
            place = self.number[block] * self.units
            into = self.vector + self.number[src] * self.units if self.apart else place
            self._ship(src, dst, place, into)

    @property
    def scratch(self) -> Int32Array:
        """The scratch of all relays, as in Plan; shorter ones are filled up with empty places."""
        width = max(map(len, self.like))
        if not width:
            return np.zeros((1, 0), dtype=np.int32)
        rows = [self.like[new] for new in self.reordered.new_rank]
        return np.array([each + [0] * (width - len(each)) for each in rows], dtype=np.int32)

    def _ship(self, src: int, dst: int, place: int, into: int) -> None:
        ends = self.site_of[src], self.site_of[dst]
        if ends[0] == ends[1]:
            self._row(0, (src, dst), (place, into), self.units, 0)
            return
        if ends not in self.between:
            a, b = (self.reordered.order[end] for end in ends)
            raise ArgumentError(f"no route from site {a} to site {b}: needed one")
        at = 0
        for number, route in enumerate(self.between[ends]):
            self._along(route, number, (src, dst), (place + at, into + at))
            at += route.units

    def _row(
        self, hop: int, ends: tuple[int, int], places: tuple[int, int], units: int, channel: int
    ) -> None:
        src, dst = (self.number[end] for end in ends)
        self.rows.append((hop, src, dst, *places, units, channel))

    def _along(
        self, route: SiteRoute, number: int, ends: tuple[int, int], places: tuple[int, int]
    ) -> None:
        (here, dst), (place, into) = ends, places
        for hop, site in enumerate(route.path[1:]):
            last = hop == len(route.path) - 2
            there = dst if last else self._relay(site, ends)
            to = into if last else self._waiting(there, places[0], route.units)
            channel = 1 + number if len(route.path) > 2 else 0
            self._row(hop, (here, there), (place, to), route.units, channel)
            here, place = there, to

    def _relay(self, site: int, ends: tuple[int, int]) -> int:
        """Return the rank of a site between that takes a block on: another for each pair."""
        ranks = self.places.sites[site]
        return self.first[site] + (ends[0] * SPREAD[0] + ends[1] * SPREAD[1]) % ranks

    def _waiting(self, rank: int, place: int, units: int) -> int:
        """Return the first of the places of a relay where chunks wait."""
        if not self.apart:
            return place
        begins = 2 * self.vector + len(self.like[rank])
        self.like[rank] += range(place, place + units)
        return begins


SPREAD = (7, 3)
"""Multiples of sender and receiver by which the relays of a site take turns."""


def _blocks(collective: str, n: int, root: int) -> Iterator[tuple[int, int, int]]:
    """Yield sender, receiver and number of each block."""
    for shift in range(n):
        for src in range(n):
            dst = (src + shift) % n
            if collective == "all_to_all":
                yield src, dst, dst
            elif src != dst and collective == "gather" and dst == root:
                yield src, dst, src
            elif src != dst and collective == "scatter" and src == root:
                yield src, dst, dst


HOP, CHANNEL = 0, 6


def _steps(table: Int64Array) -> Iterator[Step]:
    """Yield a step for each hop; first the ships that have farthest to go, on their channels."""
    for hop in np.unique(table[:, HOP]).tolist():
        rows = table[table[:, HOP] == hop]
        rows = rows[np.argsort(rows[:, CHANNEL] == 0, kind="stable")]
        _, src, dst, place, into, units, channel = rows.T
        yield Step.of(src, dst, place, reduce=False, dst_chunk=into, nchunks=units, channel=channel)
