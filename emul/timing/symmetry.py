"""Times a plan over ranks that sit alike by an excerpt: a few ranks, and of long rings few rounds.

Ranks that are alike have the same times because nothing tells them apart: shares are alike, sites
come again every cell, and where a link draws by chance one connection draws for all that it stands
for, which is said. Each connection stands for as many where trunks are shared. The omission of
ranks then changes nothing, to the last bit.

Rounds of a ring are left out where it has settled (see emul.timing.settled), which changes nothing
either. After sites of unequal size have met, their ranks begin the last ring at moments far apart,
and some rings do not settle in as many transfers as can be timed. Then the ranks of a site begin
that ring together, when the last of them is there, and if need be all sites begin to meet together.
So nothing happens earlier than it would, and that is said too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

import numpy as np

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.plans import Encoded, Encoding, Program, RingRounds, Shape, SymmetricPlan
from emul.timing.effects.drawn_delays import can_be_late
from emul.timing.settled import Scheduler, Shortened
from emul.timing.timeline import Timeline
from emul.timing.traffic import Slicing, Traffic, Transfers, connections_of
from emul.topology import Network, Node, NodeRuns, Site, Topology

__all__ = [
    "FEWEST_PER_WAVE",
    "Assumed",
    "ExcerptTimes",
    "check_alike",
    "drawn_once",
    "may_settle",
    "settled_timeline",
    "time_excerpt",
]


ROUNDS_AT_FIRST = 40
"""As many periods as come to so many rounds are timed at first, but at least 4 and at most 10."""

FEWEST_PER_WAVE = 32
"""Streams that are taken to be spread evenly over waves: of fewer, chance makes one wave much
busier than the next (of 32 thrown on each of four, by a fifth)."""

MOST_TRANSFERS = 400_000
"""Of an excerpt whose rings are to settle: about a quarter of a second."""

MOST_TOGETHER = 1_000_000
"""The same, where ranks begin together, so that there is no further search."""


@dataclass(frozen=True, slots=True)
class ExcerptTimes:
    """The ``timeline`` of an excerpt, and the assumptions about the ranks it stands for."""

    timeline: Timeline
    assumed: Assumed


def time_excerpt(
    excerpt: SymmetricPlan,
    shape: Shape,
    encoding: Encoded,
    topology: Topology,
    slicing: Slicing | None = None,
    *,
    seed: int = 0,
    start_s: float = 0.0,
    strict_draws: bool = False,
) -> ExcerptTimes:
    """Return the times of ``excerpt``, whose end is that of its whole plan on ``topology``.

    Where links draw by chance, one connection draws for all that it stands for, or with
    ``strict_draws`` ArgumentError is raised. It is raised too when ranks or shares are not alike,
    and CapacityError when not even the excerpt fits in memory.
    """
    network = Network.of(_few(topology, excerpt, strict_draws=strict_draws))
    search = _Search(excerpt, shape, encoding, slicing, network, seed, start_s)
    drawn = drawn_once(search.between_sites().transfers, network)
    if 0 < drawn.spread < FEWEST_PER_WAVE:
        raise _refusal(
            f"{drawn.spread} streams for each wave of a trunk are thrown on it, too few to be even"
        )
    if may_settle(topology):
        for attempt in (search.settled, search.together):
            if (timeline := attempt()) is not None:
                return ExcerptTimes(timeline, replace(drawn, together=attempt == search.together))
    return ExcerptTimes(search.scheduler(excerpt.rounds).timeline(), drawn)


def settled_timeline(
    excerpt: SymmetricPlan,
    shape: Shape,
    encoding: Encoded,
    topology: Topology,
    slicing: Slicing | None,
    starts_ps: Int64Array,
) -> Timeline | None:
    """Return the timeline of ``excerpt`` whose ranks start at ``starts_ps``, (ranks,).

    Rounds are left out, and nothing is assumed; None where rings do not settle soon enough.
    """
    if not may_settle(topology):
        return None
    network = Network.of(_few(topology, excerpt, strict_draws=True))
    return _Search(excerpt, shape, encoding, slicing, network, 0, 0.0, starts_ps).settled()


def may_settle(topology: Topology) -> bool:
    """Say whether a round depends on nothing but the one before."""
    links = [site.link for site in topology.sites]
    links += [node.link for site in topology.sites for node, _ in site.runs]
    return not any(link.transport.slow_start or can_be_late(link) for link in links)


@dataclass(frozen=True)
class _Search:
    """A call of an excerpt, and the search for rounds of its rings that can be left out."""

    excerpt: SymmetricPlan
    shape: Shape
    encoding: Encoded
    slicing: Slicing | None
    network: Network
    seed: int
    start_s: float
    starts_ps: Int64Array | None = None

    def scheduler(self, rounds: RingRounds) -> Scheduler:
        """Return the excerpt of so many rounds, ready to be timed."""
        program = self.excerpt.program(self.shape, self.encoding, rounds)
        traffic = Traffic.of(program, self.slicing)
        if self.starts_ps is not None:
            assert traffic.multiplicity is not None
            own = replace(traffic.multiplicity, not_before_ps=self.starts_ps[traffic.src])
            traffic = replace(traffic, multiplicity=own)
        return Scheduler(traffic, self.network, self.seed, self.start_s)

    def between_sites(self) -> Timeline:
        """Return the timeline of all that sites send each other, without their rings."""
        none = (0,) * self.excerpt.sites
        return self.scheduler(RingRounds(none, none)).timeline()

    def settled(self) -> Timeline | None:
        """Return the exact timeline; None where rings do not settle soon enough."""
        before = self._reduced
        if before is None or self._are_far_apart(before):
            return None
        after = self._settle(before, self.excerpt.cells.ranks, reduce=False)
        told = self.starts_ps is None  # else the path to the end begins at some start
        return after.timeline if after and after.holds(told=told) else None

    def together(self) -> Timeline | None:
        """Return a timeline in which ranks begin together where they would not settle otherwise."""
        before, units = self._reduced or self._reduced_together(), self.excerpt.cells.units
        if before is None:
            return None
        sites = range(self.excerpt.sites) if self.excerpt.sites > 1 else ()
        last = {site: _last_of(before.timeline, site) for site in sites}
        after = self._settle(before, units, reduce=False, begin_with=last)
        return after.timeline if after and after.holds(told=True) else None

    def _are_far_apart(self, before: Shortened) -> bool:
        """Say whether ranks of a site begin to gather so far apart that it is long in settling.

        Those that begin first are as many rounds ahead as fit in the time between.
        """
        rounds = [0] * self.excerpt.sites
        for gap in before.gaps:
            late_ps = _apart_ps(before.timeline, gap.site)
            rounds[gap.site] = 2 * late_ps * gap.stride // gap.period_ps
        return self._transfers(RingRounds(before.rounds.reduce, tuple(rounds))) > MOST_TRANSFERS

    @cached_property
    def _alone(self) -> Shortened | None:
        """The excerpt up to where the sites have met, as if nothing disturbed their rings."""
        return self._settle(None, self.excerpt.cells.units, reduce=True, heed=False)

    @cached_property
    def _reduced(self) -> Shortened | None:
        """The excerpt up to where the sites have met."""
        alone = self._alone
        if alone is not None and not alone.disturbed:
            return alone
        return self._settle(None, self.excerpt.cells.ranks, reduce=True)

    def _reduced_together(self) -> Shortened | None:
        """Return the same, where no site sends to another before all have reduced."""
        alone = self._alone
        if alone is None:
            return None
        timeline = alone.timeline
        site_of = timeline.network.site_of
        between = site_of[timeline.src] != site_of[timeline.dst]
        last = int(np.where(between, -1, timeline.done_ps).argmax())
        short = self._short(alone, alone.rounds, alone.strides)
        short.scheduler.wait(np.flatnonzero(between), last)
        return None if short.leave_out(reduce=True) else short

    def _settle(
        self,
        before: Shortened | None,
        strides: tuple[int, ...],
        *,
        reduce: bool,
        begin_with: dict[int, int] | None = None,
        heed: bool = True,
    ) -> Shortened | None:
        """Return the excerpt with rounds of one ring of each site left out, if they settle.

        ``before``: with those of the ring before. ``begin_with``: the transfer of each site with
        which the ring begins at all its ranks. ``heed``: look for disturbances.
        """
        rounds = self._at_first(strides, reduce=reduce)
        if before is not None and begin_with is None and not any(rounds):
            return before
        while True:
            known = self._rounds(before, rounds, reduce=reduce)
            if self._transfers(known) > (MOST_TRANSFERS if begin_with is None else MOST_TOGETHER):
                return None
            short = self._short(before, known, strides)
            if begin_with is not None:
                for site, last in begin_with.items():
                    short.scheduler.wait(short.first_round(site), last)
            unsettled = short.leave_out(reduce=reduce, heed=heed)
            if not unsettled:
                return short
            rounds = self._more(short, rounds, unsettled, reduce=reduce)

    def _short(
        self, before: Shortened | None, rounds: RingRounds, strides: tuple[int, ...]
    ) -> Shortened:
        scheduler, gaps = self.scheduler(rounds), []
        if before is not None:
            gaps = before.gaps
            for later, last in before.scheduler.waits:
                scheduler.wait(later, last)
        return Shortened(self.excerpt, scheduler, rounds, strides, gaps)

    def _rounds(
        self, before: Shortened | None, rounds: tuple[int, ...], *, reduce: bool
    ) -> RingRounds:
        none = (0,) * self.excerpt.sites
        known = none if before is None else before.rounds.reduce
        return RingRounds(rounds, none) if reduce else RingRounds(known, rounds)

    def _whole(self, *, reduce: bool) -> tuple[int, ...]:
        return self.excerpt.rounds.reduce if reduce else self.excerpt.rounds.gather

    def _at_first(self, strides: tuple[int, ...], *, reduce: bool) -> tuple[int, ...]:
        """Return so many rounds of each ring that it may settle; whole strides are missing."""
        return tuple(
            min(whole, max(4, min(10, ROUNDS_AT_FIRST // stride)) * stride + whole % stride)
            for whole, stride in zip(self._whole(reduce=reduce), strides, strict=True)
        )

    def _more(
        self, short: Shortened, rounds: tuple[int, ...], unsettled: set[int], *, reduce: bool
    ) -> tuple[int, ...]:
        """Return the ``rounds``, but more at ``unsettled`` sites."""
        more = list(rounds)
        for site in unsettled:
            stride, whole = short.strides[site], self._whole(reduce=reduce)[site]
            needed = short.rounds_until_settled(site, reduce=reduce)
            if needed <= rounds[site]:
                needed = 3 * rounds[site]
            more[site] = min(whole, needed // stride * stride + whole % stride)
        return tuple(more)

    def _transfers(self, rounds: RingRounds) -> int:
        """Return how many transfers the rings come to, in slices."""
        excerpt, found = self.excerpt, 0
        lengths, pieces = excerpt.lengths(self.shape), excerpt.pieces
        for site, period in enumerate(excerpt.periods):
            share = Encoding.of(self.encoding).nbytes(int(lengths[pieces.rank[site] == 0].sum()))
            slices = -(-share // self.slicing.slice_bytes) if self.slicing else 1
            found += (rounds.reduce[site] + rounds.gather[site]) * period * max(1, slices)
        return found


def _last_of(timeline: Timeline, site: int) -> int:
    """Return the transfer that is the last to be done of those into a site, and out of it."""
    site_of = timeline.network.site_of
    src, dst = site_of[timeline.src], site_of[timeline.dst]
    beyond = np.flatnonzero((src != dst) & ((src == site) | (dst == site)))
    return int(beyond[timeline.done_ps[beyond].argmax()])


def _apart_ps(timeline: Timeline, site: int) -> int:
    """Return how much later the last rank of a site has all from the others than the first."""
    site_of = timeline.network.site_of
    into = np.flatnonzero((site_of[timeline.src] != site) & (site_of[timeline.dst] == site))
    rank, of = np.unique(timeline.dst[into], return_inverse=True)
    done_ps = np.zeros(len(rank), dtype=np.int64)
    np.maximum.at(done_ps, of, timeline.done_ps[into])
    return int(done_ps.max() - done_ps.min()) if len(into) else 0


@dataclass(frozen=True, slots=True)
class Assumed:
    """The assumptions about the ranks that an excerpt stands for, where it may not be exact.

    ``drawn_for``: for how many connections one drew jitter and losses at most, 0 where nothing was
    drawn. ``spread``: how many streams were spread evenly over each wave of a trunk, where that is
    fewest; 0 where no trunk has several waves. ``together``: whether ranks of a site, or sites,
    begin a phase together that they would begin one by one, so that the time is no less.
    """

    drawn_for: int = 0
    spread: int = 0
    together: bool = False

    @property
    def words(self) -> list[str]:
        """The assumptions as parts of a sentence."""
        said = []
        if self.drawn_for:
            said.append(f"jitter and losses were drawn once for {self.drawn_for:,} alike")
        if self.spread:
            said.append(f"{self.spread:,} streams and more were spread evenly over each wave")
        if self.together:
            said.append("ranks began together that begin one by one, so it may be quicker")
        return said


def drawn_once(transfers: Transfers | Program, network: Network) -> Assumed:
    """Return how draws are made for the ``transfers`` of an excerpt on its ``network``."""
    several = any(trunk.link.waves > 1 for trunk in network.topology.trunks)
    if not several and not any(map(can_be_late, network.links.values())):
        return Assumed()
    ends = np.stack([transfers.src, transfers.dst, transfers.channel])
    first = np.unique(ends, axis=1, return_index=True)[1]
    alike = connections_of(transfers)[first]
    path = network.paths(transfers.src[first], transfers.dst[first])
    drawn, spread = 0, []
    for each in np.unique(path[path >= 0]).tolist():
        link, number = network.links[each], alike[path == each]
        if can_be_late(link):
            drawn = max(drawn, int(number.max()))
        waves = network.site_path(each).waves if each >= network.first_trunk_path else 1
        if waves > 1:
            spread.append(int(number.sum()) * link.transport.streams // waves)
    return Assumed(drawn, min(spread, default=0))


def _few(topology: Topology, excerpt: SymmetricPlan, *, strict_draws: bool) -> Topology:
    """Return ``topology`` with the ranks of ``excerpt``; refuse one whose ranks are not alike."""
    check_alike(topology, strict_draws=strict_draws)
    periods = zip(topology.sites, excerpt.periods, strict=True)
    return replace(topology, sites=tuple(_few_ranks(site, period) for site, period in periods))


def check_alike(topology: Topology, *, strict_draws: bool) -> None:
    """Raise ArgumentError for links that serve one rank otherwise than those that sit alike.

    With ``strict_draws``, those are also links that draw by chance.
    """
    for conduit in topology.conduits:
        if conduit.changes.any:
            raise _refusal(f"conduit {conduit.name} changes with time")
    for trunk in topology.trunks:
        name = f"trunk {trunk.name}"
        if trunk.changes.any:
            raise _refusal(f"{name} changes with time")
        if trunk.link.others.burst_bytes:
            raise _refusal(f"{name} has a token bucket, which serves who comes first")
        if strict_draws and trunk.link.waves > 1:
            raise _refusal(f"{name} has {trunk.link.waves} waves, on which streams are thrown")
        if strict_draws and can_be_late(trunk.link):
            raise _refusal(f"{name} has jitter or losses, drawn for each connection")
    for site in topology.sites:
        _check_site(site, strict_draws=strict_draws)


def _check_site(site: Site, *, strict_draws: bool) -> None:
    if any(node.nic_of is not None for node, _ in site.runs):
        raise _refusal(f"ranks of {site.name} share NICs")
    if site.uplink_burst_bytes:
        raise _refusal(f"{site.name} has a token bucket, which serves who comes first")
    links = [site.link, *(node.link for node, _ in site.runs)]
    if strict_draws and any(map(can_be_late, links)):
        raise _refusal(f"links inside {site.name} have jitter or losses, drawn for each connection")


def _few_ranks(site: Site, period: int) -> Site:
    """Return ``site`` with ``period`` ranks, after which its nodes come again."""
    if len(site.nodes) == 1:
        return replace(site, nodes=(Node(period, site.nodes[0].link),))
    ((node, _), *others) = site.runs
    if not others:
        return replace(site, nodes=NodeRuns(((node, period // node.ranks),)))
    nodes = list(site.nodes)
    first = [*accumulate(node.ranks for node in nodes)].index(period) + 1
    if nodes[first:] != nodes[:-first]:
        raise _refusal(f"the nodes of {site.name} do not come again every {period} ranks")
    return replace(site, nodes=tuple(nodes[:first]))


def _refusal(why: str) -> ArgumentError:
    return ArgumentError(
        f"ranks are not alike: {why}: needed sites in which nothing tells one rank from another "
        "(or a world small enough to be timed rank by rank)"
    )
