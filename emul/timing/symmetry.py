"""Times a plan over ranks that sit alike by an excerpt: a few ranks, and of long rings few rounds.

The omission changes nothing, to the last bit. Ranks that are alike have the same times because
nothing tells them apart: sites, nodes and shares are alike, and nothing on their links happens by
chance; each stands for as many connections where trunks are shared. Rounds of a ring are left out
when it has settled: when all that began within some time comes again, for every rank, just that
time later. Then so it will for ever after, for the starts of a period follow from those in
the one before, as long as nothing else comes to the ports of the ring. So the first transfers after
the periods left out start as much later. That nothing else did come is looked up afterwards; if
something did, all rounds are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.errors import ArgumentError
from emul.plans import Program, Shape, SymmetricPlan
from emul.timing.critical import CONNECTION, critical_path
from emul.timing.effects.drawn_delays import can_be_late
from emul.timing.timeline import Timeline, time_plan
from emul.timing.traffic import Slicing
from emul.topology import Network, Node, NodeRuns, Site, Topology

__all__ = ["time_excerpt"]


PERIODS_AT_FIRST = 10
PERIODS_AFTER = 4
"""Of rounds that come after those left out, so that the end of a ring is all there."""


def time_excerpt(
    excerpt: SymmetricPlan,
    shape: Shape,
    itemsize: int,
    topology: Topology,
    slicing: Slicing | None = None,
    *,
    seed: int = 0,
    start_s: float = 0.0,
    at_ps: int = 0,
) -> Timeline:
    """Return the timeline of ``excerpt``, whose end is that of its whole plan on ``topology``.

    Raises ArgumentError when ranks or shares are not alike, and CapacityError when not even the
    excerpt fits in memory.
    """
    network = Network.of(_few(topology, excerpt))
    timed = partial(
        time_plan, network=network, slicing=slicing, seed=seed, start_s=start_s, at_ps=at_ps
    )
    for rounds in _fewer_rounds(excerpt, topology):
        program = excerpt.program(shape, itemsize, rounds)
        if slicing is not None and (program.nbytes > slicing.slice_bytes).any():
            break
        short = _Shortened(excerpt, program, timed(program), rounds)
        if short.leave_out(timed):
            if short.holds():
                return short.timeline
            break
    return timed(excerpt.program(shape, itemsize, excerpt.rounds))


def _fewer_rounds(excerpt: SymmetricPlan, topology: Topology) -> Iterator[int]:
    """Yield ever more rounds that a ring may settle in, from which whole periods are missing."""
    links = [link for site in topology.sites for link in (site.link, site.nodes[0].link)]
    if any(link.transport.slow_start for link in links):
        return  # a round then depends on more than the one before
    rounds = PERIODS_AT_FIRST * excerpt.period + excerpt.rounds % excerpt.period
    while rounds < excerpt.rounds:
        yield rounds
        rounds += (rounds // excerpt.period) * excerpt.period


@dataclass(frozen=True, slots=True)
class _Gap:
    """Where periods of a ring are left out: from when on, and how long one takes."""

    ring: int
    site: int
    from_ps: int
    period_ps: int


class _Shortened:
    """An excerpt of ``rounds`` per ring, in whose rings the same periods again are left out."""

    def __init__(
        self, excerpt: SymmetricPlan, program: Program, timeline: Timeline, rounds: int
    ) -> None:
        """Take an excerpt that goes on without a gap after ``rounds``, and its timeline."""
        self.excerpt, self.program, self.timeline = excerpt, program, timeline
        self.rounds = rounds
        self.left_out = (excerpt.rounds - rounds) // excerpt.period
        self.gaps: list[_Gap] = []

    def leave_out(self, timed: Callable[[Program], Timeline]) -> bool:
        """Let the rings pause for the omitted periods; say whether all of them have settled."""
        for ring in range(self.excerpt.rings):
            gaps = [self._gap(ring, site) for site in range(self.excerpt.sites)]
            if not all(gap is not None and self._comes_again(gap) for gap in gaps):
                return False
            self.gaps += [gap for gap in gaps if gap is not None]
            behind = self.timeline.behind
            self.program = self._paused(self.gaps[-len(gaps) :])
            self.timeline = timed(self.program)
            self._keep_causes(behind)
        return True

    def _keep_causes(self, behind: Int64Array) -> None:
        """Keep for paused transfers the ones before them without the pause."""
        multiplicity = self.program.multiplicity
        assert multiplicity is not None
        paused = multiplicity.not_before_ps > 0
        self.timeline.behind[paused] = behind[paused]

    def holds(self) -> bool:
        """Say whether the rounds left out would have been as the others, and can be told of."""
        if not all(self._comes_again(gap) and not self._disturbed(gap) for gap in self.gaps):
            return False
        return critical_path(self.timeline).total_ps == self.timeline.total_ps

    def _gap(self, ring: int, site: int) -> _Gap | None:
        """Return where periods may be left out, if a period takes any time at all."""
        start = self.timeline.start_ps[self._lines(ring, site)]
        number = self.rounds - 1 - PERIODS_AFTER * self.excerpt.period
        period_ps = int(start[number + self.excerpt.period, 0] - start[number, 0])
        return _Gap(ring, site, int(start[number].min()), period_ps) if period_ps > 0 else None

    def _comes_again(self, gap: _Gap) -> bool:
        """Say whether the starts of the period before the gap come again after it."""
        lines = self._lines(gap.ring, gap.site)
        before, after = self._begun(gap, lines, -1), self._begun(gap, lines, 0)
        again = np.zeros_like(before)
        again[self.excerpt.period :] = before[: -self.excerpt.period]
        if int(again.sum()) != int(before.sum()) or not np.array_equal(again, after):
            return False
        earlier, later = (self._times(lines[each]) for each in (before, again))
        crossed = earlier >= 0
        shift = self._shift(gap) + gap.period_ps
        return bool((later[crossed] - earlier[crossed] == shift).all())

    def _begun(self, gap: _Gap, lines: Int64Array, period: int) -> BoolArray:
        """Return which ``lines`` begin in a period before or after the gap."""
        start = self.timeline.start_ps[lines]
        from_ps = gap.from_ps + period * gap.period_ps + (self._shift(gap) if period >= 0 else 0)
        begun: BoolArray = (start >= from_ps) & (start < from_ps + gap.period_ps)
        return begun

    def _shift(self, gap: _Gap) -> int:
        """Return how long the gap is: nothing as long as it has not been made."""
        return self.left_out * gap.period_ps if gap in self.gaps else 0

    def _times(self, lines: Int64Array) -> Int64Array:
        """Return all that is to be known of ``lines``, (times, lines)."""
        timeline = self.timeline
        times = [timeline.on_link_ps[lines].T, timeline.arrival_ps[lines], timeline.done_ps[lines]]
        if timeline.left_ps.size:
            piped = timeline.on_link_ps[lines, CONNECTION] >= 0
            times.append(np.where(piped, timeline.left_ps[lines], -1))
        return np.vstack(times)

    def _paused(self, gaps: list[_Gap]) -> Program:
        """Return the program in which the first transfers after ``gaps`` start later."""
        multiplicity = self.program.multiplicity
        assert multiplicity is not None
        rounds, not_before = multiplicity.rounds.copy(), multiplicity.not_before_ps.copy()
        for gap in gaps:
            lines = self._lines(gap.ring, gap.site)
            start = self.timeline.start_ps[lines]
            again = (start >= gap.from_ps - gap.period_ps) & (start < gap.from_ps)
            rounds[lines[again]] += self.left_out
            first = _first_of_share(start >= gap.from_ps)
            not_before[lines[first]] = start[first] + self.left_out * gap.period_ps
        return replace(
            self.program,
            multiplicity=replace(multiplicity, rounds=rounds, not_before_ps=not_before),
        )

    def _disturbed(self, gap: _Gap) -> bool:
        """Say whether anything comes or goes between sites while rounds are left out."""
        timeline, site = self.timeline, gap.site
        src, dst = (timeline.network.site_of[each] for each in (timeline.src, timeline.dst))
        comes = (src != dst) & ((src == site) | (dst == site))
        until_ps = gap.from_ps + (self.left_out + 1) * gap.period_ps
        meets = (timeline.start_ps < until_ps) & (timeline.arrival_ps >= gap.from_ps)
        return bool((comes & meets).any())

    def _lines(self, ring: int, site: int) -> Int64Array:
        return self.excerpt.ring_lines(self.program, ring, site)


def _first_of_share(chosen: BoolArray) -> BoolArray:
    """Return which of the ``chosen`` transfers, (rounds, period), are the first of their share.

    Each round, a share is sent from the rank after the one of the round before.
    """
    rounds, period = chosen.shape
    at = (np.arange(period) + np.arange(rounds)[:, None]) % period
    by_share = np.take_along_axis(chosen, at, axis=1)
    first = by_share & (np.cumsum(by_share, axis=0) == 1)
    found = np.zeros_like(chosen)
    np.put_along_axis(found, at, first, axis=1)
    return found


def _few(topology: Topology, excerpt: SymmetricPlan) -> Topology:
    """Return ``topology`` with a period of ranks at each site; refuse one that is not alike."""
    for trunk in topology.trunks:
        name = f"trunk {' - '.join(trunk.sites)}"
        if trunk.changes.any:
            raise _refusal(f"{name} changes with time")
        if trunk.link.waves > 1:
            raise _refusal(f"{name} has {trunk.link.waves} waves, on which streams are thrown")
        if trunk.link.others.burst_bytes:
            raise _refusal(f"{name} has a token bucket, which serves who comes first")
        if can_be_late(trunk.link):
            raise _refusal(f"{name} has jitter or losses, drawn for each connection")
    sites = tuple(_few_ranks(site, excerpt.period) for site in topology.sites)
    return replace(topology, sites=sites)


def _few_ranks(site: Site, period: int) -> Site:
    """Return ``site`` with ``period`` ranks."""
    if len(site.runs) > 1:
        raise _refusal(f"the nodes of {site.name} are not all alike")
    if site.uplink_burst_bytes:
        raise _refusal(f"{site.name} has a token bucket, which serves who comes first")
    ((node, number),) = site.runs
    if can_be_late(site.link) or can_be_late(node.link):
        raise _refusal(f"links inside {site.name} have jitter or losses, drawn for each connection")
    if number == 1:
        return replace(site, nodes=(Node(period, node.link),))
    return replace(site, nodes=NodeRuns(((node, period // node.ranks),)))


def _refusal(why: str) -> ArgumentError:
    return ArgumentError(
        f"ranks are not alike: {why}: needed sites in which nothing tells one rank from another "
        "(or a world small enough to be timed rank by rank)"
    )
