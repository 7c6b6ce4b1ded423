"""Upgrades: changes of a topology that somebody can buy, each with its cost.

A rate is that of the line, of which others keep their part: twice the rate is twice the rate that
they leave. A new trunk is assumed to be like the slowest one at either of its ends, and to take the
delay of the path of today between the two sites. A lower delay is that of the light in glass over
the line of sight, where a distance is known, else a tenth of today's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import ceil, inf

from emul.errors import unknown_name
from emul.links import Link, glass_s_per_km
from emul.topology import Topology, Trunk
from emul.topology.costs import Costs
from emul.units import format_time

__all__ = ["KINDS", "Change", "Upgrade", "pair_of", "pairs_of", "upgrades_of"]

KINDS = ("rate", "wave", "trunk", "delay", "window", "uplink", "conduit")
"""Another rate of a trunk; a wave more; a new trunk; a lower delay; deeper windows of all trunks;
another rate out of a site and into it; another rate of a conduit."""

TIMES = (2, 4)
"""By which rates are raised."""

DEEPER = 4
"""By which windows are."""

NEARER = 10
"""By which a delay is divided where no distance is known."""

MOST_NEW_TRUNKS = 10
"""Between sites that have none; those with the shortest paths of today."""

LOWER = 0.99
"""Of a delay: less is none."""

BYTES_PER_GBIT = 1e9 / 8


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its ``kind``, one of KINDS, and the names of its ``place``.

    The place is two sites, or one, or a conduit; of windows none, for they are of all trunks.
    ``by``: the factor of a rate or a window, the waves that are added, or the new delay in seconds.
    ``like``: the two sites whose trunk a new one is like.
    """

    kind: str
    place: tuple[str, ...]
    by: float
    like: tuple[str, ...] = ()

    @property
    def quantity(self) -> tuple[str, tuple[str, ...]]:
        """The number that it changes, of which no two changes can be made together."""
        kind = "rate" if self.kind == "wave" else self.kind
        return kind, tuple(sorted(self.place))

    def applied(self, topology: Topology) -> Topology:
        """Return ``topology`` with the change, and the name that it has."""
        if self.kind == "uplink":
            return self._with_uplink(topology)
        if self.kind == "conduit":
            conduits = tuple(
                replace(each, rate_bytes_per_s=self.by * each.rate_bytes_per_s)
                if each.name in self.place
                else each
                for each in topology.conduits
            )
            return replace(topology, conduits=conduits)
        if self.kind == "trunk":
            a, b = self.place
            model = _trunk_between(topology, *self.like)
            link = replace(model.link, latency_s=self.by)
            return replace(topology, trunks=(*topology.trunks, Trunk((a, b), link)))
        everywhere = self.kind == "window"
        return topology.with_trunk_links(
            lambda trunk: (
                self._with_link(trunk.link)
                if everywhere or set(trunk.sites) == set(self.place)
                else trunk.link
            )
        )

    def _with_uplink(self, topology: Topology) -> Topology:
        sites = tuple(
            replace(
                site,
                uplink_bytes_per_s=self.by * site.uplink_bytes_per_s,
                downlink_bytes_per_s=self.by * site.into_bytes_per_s,
            )
            if site.name in self.place
            else site
            for site in topology.sites
        )
        return replace(topology, sites=sites)

    def _with_link(self, link: Link) -> Link:
        if self.kind == "rate":
            return replace(link, rate_bytes_per_s=self.by * link.rate_bytes_per_s)
        if self.kind == "wave":
            waves = link.waves + int(self.by)
            rate = link.rate_bytes_per_s * waves / link.waves
            return replace(link, rate_bytes_per_s=rate, waves=waves)
        if self.kind == "delay":
            return replace(link, latency_s=self.by)
        window = self.by * link.transport.window_bytes
        return replace(link, transport=replace(link.transport, window_bytes=window))

    @property
    def words(self) -> str:
        """The change in words."""
        place = " - ".join(self.place)
        if self.kind == "trunk":
            return f"a new trunk {place}, like {' - '.join(self.like)}, {format_time(self.by)} long"
        return {
            "rate": f"{self.by:g} times the rate of {place}",
            "wave": f"{self.by:g} wave more on {place}",
            "delay": f"a delay of {format_time(self.by)} over {place}",
            "window": f"{self.by:g} times the windows of all trunks",
            "uplink": f"{self.by:g} times the uplink of {place}",
            "conduit": f"{self.by:g} times the rate of conduit {place}",
        }[self.kind]

    def cost_per_month(self, topology: Topology, costs: Costs) -> float | None:
        """Return its money per month on ``topology``; None where that is not known."""
        if self.kind == "window":
            return 0.0
        if self.kind in ("uplink", "conduit"):
            each = costs.general.per_gbit_per_s
            more = (self.by - 1) * self._rate_bytes_per_s(topology) / BYTES_PER_GBIT
            return None if each is None else more * each
        a, b = self.place
        known = costs.between(a, b)
        if self.kind == "delay":
            return known.per_lower_delay
        link = _trunk_between(topology, *(self.like or self.place)).link
        by_gbit, by_wave = known.per_gbit_per_s, known.per_wave
        times, waves = self.by - 1, float(ceil((self.by - 1) * link.waves))
        if self.kind == "wave":
            times, waves = self.by / link.waves, self.by
        if self.kind == "trunk":
            times, waves = 1.0, float(link.waves)
        gbit = times * link.rate_bytes_per_s / BYTES_PER_GBIT
        of_rate = (
            _first((by_wave, waves), (by_gbit, gbit))
            if self.kind == "wave"
            else _first((by_gbit, gbit), (by_wave, waves))
        )
        if self.kind != "trunk" or known.per_new_trunk is None:
            return of_rate
        return known.per_new_trunk + (of_rate or 0.0)

    def _rate_bytes_per_s(self, topology: Topology) -> float:
        """Return the rate of a site's uplink, or of a conduit."""
        if self.kind == "uplink":
            return next(
                each.uplink_bytes_per_s for each in topology.sites if each.name in self.place
            )
        return next(each.rate_bytes_per_s for each in topology.conduits if each.name in self.place)


def _first(*known: tuple[float | None, float]) -> float | None:
    """Return the first cost that is known, times its number."""
    return next((each * number for each, number in known if each is not None), None)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Changes that are made together, the ``topology`` with them, and their cost.

    ``cost_per_month``: in the currency of the costs; None where any part of it is not known.
    """

    changes: tuple[Change, ...]
    topology: Topology
    cost_per_month: float | None = None

    @property
    def words(self) -> str:
        """All changes in words."""
        return ", and ".join(each.words for each in self.changes)


def upgrades_of(
    topology: Topology, costs: Costs | None = None, kinds: Collection[str] = KINDS
) -> list[Upgrade]:
    """Return the upgrades of ``topology`` that change anything, trunk by trunk.

    ``kinds``: some of KINDS. Raises ArgumentError for another one.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise unknown_name("upgrade", kind, KINDS)
    found = []
    for change in _changes(topology):
        changed = change.applied(topology) if change.kind in kinds else topology
        if changed != topology:
            cost = None if costs is None else change.cost_per_month(topology, costs)
            found.append(Upgrade((change,), changed, cost))
    return found


def pair_of(topology: Topology, first: Upgrade, second: Upgrade) -> Upgrade | None:
    """Return two upgrades of ``topology`` together; None where they change the same number."""
    changes = (*first.changes, *second.changes)
    if len({each.quantity for each in changes}) < len(changes):
        return None
    changed = first.topology
    for each in second.changes:
        changed = each.applied(changed)
    known = first.cost_per_month is not None and second.cost_per_month is not None
    cost = (first.cost_per_month or 0.0) + (second.cost_per_month or 0.0) if known else None
    return Upgrade(changes, changed, cost)


def pairs_of(topology: Topology, upgrades: Sequence[Upgrade]) -> Iterator[Upgrade]:
    """Yield every two of ``upgrades`` that can be made together."""
    for first, second in combinations(upgrades, 2):
        both = pair_of(topology, first, second)
        if both is not None:
            yield both


def _changes(topology: Topology) -> Iterator[Change]:
    for trunk in topology.trunks:
        yield Change("wave", trunk.sites, 1)
        for times in TIMES:
            yield Change("rate", trunk.sites, times)
        delay_s = _lower_delay_s(trunk)
        if delay_s < LOWER * trunk.link.latency_s:
            yield Change("delay", trunk.sites, delay_s)
    yield from _new_trunks(topology)
    if any(trunk.link.transport.window_bytes for trunk in topology.trunks):
        yield Change("window", (), DEEPER)
    for site in topology.sites:
        if len(topology.sites) > 1 and site.limited:
            yield Change("uplink", (site.name,), TIMES[0])
    for conduit in topology.conduits:
        if conduit.rate_bytes_per_s < inf:
            yield Change("conduit", (conduit.name,), TIMES[0])


def _lower_delay_s(trunk: Trunk) -> float:
    if trunk.km is None:
        return trunk.link.latency_s / NEARER
    return trunk.km * glass_s_per_km()


def _new_trunks(topology: Topology) -> Iterator[Change]:
    joined = {frozenset(trunk.sites) for trunk in topology.trunks}
    delay_s = {frozenset(trunk.sites): trunk.link.latency_s for trunk in topology.trunks}
    transit_s = {place.name: place.transit_s for place in topology.places}
    found = []
    for (a, b), path in topology.longer_paths.items():
        if frozenset((a, b)) not in joined:
            hops = sum(delay_s[frozenset(hop)] for hop in pairwise(path))
            found.append((hops + sum(transit_s[name] for name in path[1:-1]), a, b))
    for long_s, a, b in sorted(found)[:MOST_NEW_TRUNKS]:
        at_ends = [trunk for trunk in topology.trunks if {a, b} & set(trunk.sites)]
        model = min(at_ends, key=lambda trunk: trunk.link.available_bytes_per_s)
        yield Change("trunk", (a, b), long_s, model.sites)


def _trunk_between(topology: Topology, a: str, b: str) -> Trunk:
    return next(trunk for trunk in topology.trunks if set(trunk.sites) == {a, b})
