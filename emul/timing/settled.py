"""Rings of an excerpt in which rounds are left out, as soon as the ring has settled.

A ring has settled when all that began within some time comes again, for every rank, just that time
later. Then so it will for ever after, as long as nothing else comes to the ports of the ring: its
transfers pause, and the first after the pause start so much later. A ring pauses no longer than
until another site disturbs it, and then has to settle again. All that happens before a disturbance
is known for good, because nothing that is changed later can change it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.plans import Multiplicity, RingRounds, SymmetricPlan
from emul.plans.runs import expand
from emul.timing.critical import CONNECTION, RECEIVER, critical_path
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER
from emul.timing.engine.dependencies import STARTS_KIND, dependencies, edges_between
from emul.timing.timeline import Made, Timeline, scheduled, simulated
from emul.timing.traffic import Traffic
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["Gap", "Scheduler", "Shortened"]


MOST_GAPS = 16
"""Of a ring in which rounds are left out: it may be disturbed so often."""

QUIET = 2
"""Disturbances that are no more than so many periods apart are taken as one."""


class Scheduler:
    """Transfers of an excerpt, and what is needed to time them."""

    def __init__(self, traffic: Traffic, network: Network, seed: int, start_s: float) -> None:
        """Take the transfers, and find who waits for whom."""
        self.traffic, self.network = traffic, network
        self.edges = dependencies(traffic, network.world_size)
        self._counts_of_waits = self._counts()
        self.waits: list[tuple[Int64Array, int]] = []
        """Transfers that start only when another is done, beyond those of the plan."""
        self.table_of = partial(ConnectionTable.of, seed=seed, start_s=start_s)
        self.start_s = start_s

    def wait(self, later: Int64Array, last: int) -> None:
        """Let the transfers ``later`` start only when ``last`` is done."""
        earlier, waiter, kind = self.edges.table()
        of = np.full(len(later), last, dtype=np.int32)
        self.edges = edges_between(
            np.concatenate([earlier, of]),
            np.concatenate([waiter, later.astype(np.int32)]),
            np.concatenate([kind, np.full(len(later), STARTS_KIND, dtype=np.uint8)]),
            len(self.traffic.src),
        )
        self._counts_of_waits = self._counts()
        self.waits.append((later, last))

    def _counts(self) -> list[Int32Array]:
        return [np.array(each) for each in (self.edges.before_start, self.edges.before_done)]

    def timeline(self, multiplicity: Multiplicity | None = None) -> Timeline:
        """Return the timeline, with some other ``multiplicity`` of each transfer."""
        traffic = self.traffic
        if multiplicity is not None:
            traffic = replace(traffic, multiplicity=multiplicity)

        def made() -> Made:
            """Return the transfers, whose waits a simulation before has counted down."""
            counts = self.edges.before_start, self.edges.before_done
            for left, given in zip(counts, self._counts_of_waits, strict=True):
                np.asarray(left)[:] = given
            return traffic, self.edges, self.network

        return simulated(
            made,
            lambda transfers, seen, until_s: self.table_of(transfers, seen, until_s=until_s),
            scheduled,
            self.start_s,
            at_ps=0,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Where rounds of a ring are left out: ``periods`` of ``stride`` rounds, from some moment on.

    ``again``: the transfers before it, which the omitted ones are like. ``first``: those after it,
    which start later than ``start_ps``, and ``behind`` which others they were without the gap.
    """

    reduce: bool
    site: int
    from_ps: int
    period_ps: int
    stride: int
    periods: int
    again: Int64Array
    first: Int64Array
    start_ps: Int64Array
    behind: Int64Array

    @property
    def shift_ps(self) -> int:
        """For how long the ring pauses."""
        return self.periods * self.period_ps

    def until(self, ps: int) -> Gap:
        """Return the gap with so few periods that one more ends before ``ps``."""
        return replace(self, periods=max(0, (ps - self.from_ps) // self.period_ps - 1))


class Shortened:
    """An excerpt of some rounds per ring, in whose rings the same periods again are left out.

    ``strides`` (sites,): the rounds after which a ring comes again.
    """

    def __init__(
        self,
        excerpt: SymmetricPlan,
        scheduler: Scheduler,
        rounds: RingRounds,
        strides: tuple[int, ...],
        gaps: list[Gap],
    ) -> None:
        """Take an excerpt with the gaps of an earlier ring."""
        traffic = scheduler.traffic
        self.excerpt, self.scheduler, self.rounds = excerpt, scheduler, rounds
        self.strides, self.gaps = strides, list(gaps)
        assert traffic.origin is not None
        size = len(traffic.origin.program)
        self._disturbed: dict[int, int] = {}  # of each site: for about how many periods
        self._first = np.searchsorted(traffic.origin.message, np.arange(size + 1))
        self._lines = lru_cache(maxsize=None)(self._lines_anew)
        self.timeline: Timeline

    def leave_out(self, *, reduce: bool, heed: bool = True) -> set[int]:
        """Let rings pause for the omitted rounds; return the sites whose rings have not settled.

        ``heed``: look for disturbances by other sites.
        """
        self._pause()
        after_ps = dict.fromkeys(range(self.excerpt.sites), 0)
        for _ in range(MOST_GAPS):
            sites = [site for site in after_ps if self._left(site, reduce=reduce)]
            gaps = {site: self._gap(site, after_ps[site], reduce=reduce) for site in sites}
            unsettled = {site for site, gap in gaps.items() if gap is None}
            if unsettled:
                return unsettled
            self.gaps += [gap for gap in gaps.values() if gap is not None]
            if sites:
                self._pause()
            disturbed = {gap: self._disturbed_ps(gap) for gap in self.gaps if gap.reduce == reduce}
            first_ps = min((ps for ps, _ in disturbed.values()), default=NEVER)
            if first_ps == NEVER:
                return set()
            for gap, (ps, until) in disturbed.items():
                if ps == first_ps:
                    after_ps[gap.site] = until
                    periods = (until - ps) // gap.period_ps
                    self._disturbed[gap.site] = self._disturbed.get(gap.site, 0) + 4 + periods
            if not heed:
                return set()
            self._shorten(disturbed, first_ps)
        return set(after_ps)

    @property
    def disturbed(self) -> bool:
        """Whether another site was sent to or from while a ring paused."""
        return bool(self._disturbed)

    def first_round(self, site: int) -> Int64Array:
        """Return the transfers of the first round in which a site gathers."""
        if not self.rounds.gather[site]:
            return np.zeros(0, dtype=np.int64)
        size = len(self._first) - 1
        messages = self.excerpt.ring_lines(size, self.rounds, site, reduce=False)[0]
        number, within = expand(self._first[messages + 1] - self._first[messages])
        lines: Int64Array = self._first[messages][number] + within
        return lines

    def holds(self, *, told: bool) -> bool:
        """Say whether the rounds left out would have been as the others.

        ``told``: whether the critical path has to be told of with them too.
        """
        if not all(self._comes_again(gap, gap.shift_ps) for gap in self.gaps):
            return False
        if any(self._disturbed_ps(gap)[0] < NEVER for gap in self.gaps):
            return False
        return not told or critical_path(self.timeline).total_ps == self.timeline.total_ps

    def rounds_until_settled(self, site: int, *, reduce: bool) -> int:
        """Return in about how many rounds a ring may settle.

        Those that are ahead gain on the others with every round, until they meet them. A ring that
        was disturbed settles some periods after each disturbance.
        """
        start, stride = self._starts(site, reduce=reduce), self.strides[site]
        if start is None or len(start) <= stride:
            return 0
        disturbed = self._disturbed.get(site, 0)
        if disturbed:
            return stride * (4 + disturbed)
        periods = start[-1] - start[-1 - stride]
        gain = int(periods.max() - periods.min())
        late = int(start[0].max() - start[0].min())
        return stride * (4 + 2 * late // gain) if gain else 0

    def _shorten(self, disturbed: dict[Gap, tuple[int, int]], first_ps: int) -> None:
        """End gaps before the first disturbance, and forget those after it."""
        gaps = [
            gap.until(first_ps) if gap in disturbed and disturbed[gap][0] == first_ps else gap
            for gap in self.gaps
            if gap not in disturbed or gap.from_ps < first_ps
        ]
        self.gaps = [gap for gap in gaps if gap.periods]
        self._pause()

    def _left(self, site: int, *, reduce: bool) -> int:
        """Return how many periods of a ring are yet to be left out."""
        whole, some = self.excerpt.rounds, self.rounds
        left = whole.reduce[site] - some.reduce[site]
        if not reduce:
            left = whole.gather[site] - some.gather[site]
        gaps = (gap.periods for gap in self.gaps if (gap.reduce, gap.site) == (reduce, site))
        return left // self.strides[site] - sum(gaps)

    def _starts(self, site: int, *, reduce: bool) -> Int64Array | None:
        """Return when the first slices of a ring's messages start, (rounds, period)."""
        lines = self._lines(site, reduce)
        return None if lines is None else self.timeline.start_ps[lines[:, :, 0]]

    def _gap(self, site: int, after_ps: int, *, reduce: bool) -> Gap | None:
        """Return the first place after ``after_ps`` at which the ring has settled, if it has."""
        start, stride = self._starts(site, reduce=reduce), self.strides[site]
        if start is None:
            return None
        number = int(np.searchsorted(start.min(axis=1), after_ps)) + stride
        while number + stride < len(start):
            period_ps = int(start[number + stride, 0] - start[number, 0])
            if period_ps > 0 and (start[number + stride] - start[number] == period_ps).all():
                gap = self._gap_before(site, number, period_ps, reduce=reduce)
                if self._comes_again(gap, 0):
                    return gap
            number += stride
        return None

    def _gap_before(self, site: int, number: int, period_ps: int, *, reduce: bool) -> Gap:
        """Return the gap before a round."""
        lines = self._lines(site, reduce)
        assert lines is not None
        start = self.timeline.start_ps[lines]
        from_ps = int(start[number].min())
        again = (start >= from_ps - period_ps) & (start < from_ps)
        first = start >= from_ps
        # Of whole messages, the first of each share wait. Slices wait for credit too.
        if lines.shape[2] == 1:
            first = _first_of_share(first[:, :, 0])[:, :, None]
        else:
            first &= start < from_ps + period_ps
        return Gap(
            reduce,
            site,
            from_ps,
            period_ps,
            self.strides[site],
            self._left(site, reduce=reduce),
            lines[again],
            lines[first],
            start[first],
            self.timeline.behind[lines[first]],
        )

    def _comes_again(self, gap: Gap, shift_ps: int) -> bool:
        """Say whether the starts of the period before a gap of ``shift_ps`` come again after it."""
        lines = self._lines(gap.site, gap.reduce)
        assert lines is not None
        start, after_ps = self.timeline.start_ps[lines], gap.from_ps + shift_ps
        before = (start >= gap.from_ps - gap.period_ps) & (start < gap.from_ps)
        after = (start >= after_ps) & (start < after_ps + gap.period_ps)
        again = np.zeros_like(before)
        again[gap.stride :] = before[: -gap.stride]
        if int(again.sum()) != int(before.sum()) or not np.array_equal(again, after):
            return False
        earlier, later = (self._times(lines[each]) for each in (before, again))
        crossed = earlier >= 0
        return bool((later[crossed] - earlier[crossed] == shift_ps + gap.period_ps).all())

    def _times(self, lines: Int64Array) -> Int64Array:
        """Return all that is to be known of ``lines``, (times, lines)."""
        timeline = self.timeline
        times = [timeline.on_link_ps[lines].T, timeline.arrival_ps[lines], timeline.done_ps[lines]]
        if timeline.left_ps.size:
            piped = timeline.on_link_ps[lines, CONNECTION] >= 0
            times.append(np.where(piped, timeline.left_ps[lines], -1))
        return np.vstack(times)

    def _pause(self) -> None:
        """Time all with the first transfers after each gap starting later."""
        given = self.scheduler.traffic.multiplicity
        assert given is not None
        rounds, not_before = given.rounds.copy(), given.not_before_ps.copy()
        for gap in self.gaps:
            rounds[gap.again] += gap.periods
            not_before[gap.first] = gap.start_ps + gap.shift_ps
        changed = replace(given, rounds=rounds, not_before_ps=not_before)
        self.timeline = timeline = self.scheduler.timeline(changed)
        for gap in self.gaps:
            timeline.behind[gap.first] = gap.behind

    def _disturbed_ps(self, gap: Gap) -> tuple[int, int]:
        """Return from when until when another site is first sent to or from while rounds are left
        out, with short pauses; or NEVER.
        """
        timeline, site = self.timeline, gap.site
        src, dst = (timeline.network.site_of[each] for each in (timeline.src, timeline.dst))
        comes, goes = (src != dst) & (dst == site), (src != dst) & (src == site)
        low = np.concatenate([timeline.on_link_ps[comes, RECEIVER], timeline.start_ps[goes]])
        high = np.concatenate([timeline.arrival_ps[comes], self._freed_ps(goes)])
        meets = (low < gap.from_ps + gap.shift_ps + gap.period_ps) & (high >= gap.from_ps)
        if not meets.any():
            return NEVER, NEVER
        order = np.argsort(low[meets])
        low, high = low[meets][order], np.maximum.accumulate(high[meets][order])
        pauses = np.flatnonzero(low[1:] > high[:-1] + QUIET * gap.period_ps)
        last = int(pauses[0]) if len(pauses) else len(low) - 1
        return max(int(low[0]), gap.from_ps), int(high[last])

    def _freed_ps(self, sent: BoolArray) -> Int64Array:
        """Return when the senders' ports of those that are ``sent`` are free again, or later."""
        timeline, network = self.timeline, self.timeline.network
        src, dst = timeline.src[sent], timeline.dst[sent]
        rate = network.link_rate[network.ports_out(src, dst)]
        overhead = network.path_overhead_ps[network.paths(src, dst)]
        busy = np.ceil(timeline.nbytes[sent] * PS_PER_S / rate).astype(np.int64)
        freed: Int64Array = timeline.start_ps[sent] + overhead + busy
        return freed

    def _lines_anew(self, site: int, reduce: bool) -> Int64Array | None:
        """Return the numbers of a ring's transfers, (rounds, period, slices of a message).

        None where messages have unlike numbers of slices.
        """
        size = len(self._first) - 1
        messages = self.excerpt.ring_lines(size, self.rounds, site, reduce=reduce)
        first, slices = self._first[messages], self._first[messages + 1] - self._first[messages]
        if not slices.size:
            return None
        number = int(slices.flat[0])
        if (slices != number).any():
            return None
        return first[:, :, None] + np.arange(number)


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
