"""When several collectives are under way at once: their transfers and rank clocks as one schedule.

The operations of all ranks (issue, compute, wait) become transfers that stay with their
rank: they take no port, and a rank's computation is the host time of one of them. Of each
collective, every rank has one with which it starts, before all that it sends, and one with which it
is done, after all that has come to it and all of its own that has arrived, or only left, as the
footprint says. So one scheduler times everything, and transfers in flight at the same time share
ports, connections and trunks. A rank that is missing has a transfer that waits for itself, until
the rank issues its part.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.drawn_delays import Delays
from emul.timing.engine.causes import first_causes
from emul.timing.engine.dependencies import (
    STARTS_KIND,
    Edges,
    edges_between,
)
from emul.timing.engine.operations import Operations
from emul.timing.joint.layout import EdgeList, Layout, Piece, Stay, joined, picked
from emul.timing.joint.rank_ops import (
    NOT_YET_PS,
    Arrive,
    Attach,
    Compute,
    Failure,
    Footprint,
    Issue,
    Moments,
    Outcome,
    RankOp,
    Wait,
)
from emul.timing.joint.rings import PlacedWindow
from emul.timing.joint.window import Window
from emul.timing.timeline import Timeline
from emul.timing.traffic import NOBODY, Transfers

__all__ = ["JointGraph"]


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Where an issue lies in the schedule: its transfers, and by rank the three around them.

    Of a rank that is missing, (ranks,), nothing was ``issued``: NOBODY.
    """

    footprint: Footprint
    lines: slice
    issued: Int64Array
    starts: Int64Array
    ends: Int64Array

    @property
    def missing(self) -> BoolArray:
        """Which ranks are missing: (ranks,)."""
        missing: BoolArray = self.issued == NOBODY
        return missing

    @property
    def transfers(self) -> Int64Array:
        """The numbers of all its transfers, and of those around them."""
        lines = np.arange(self.lines.start, self.lines.stop)
        here = self.issued[self.issued != NOBODY]
        return np.concatenate([lines, here, self.starts, self.ends])

    def windows(self) -> list[PlacedWindow]:
        """Return the windows of its rings."""
        return [self._window(each) for each in self.footprint.windows]

    def _window(self, window: Window) -> PlacedWindow:
        footprint = self.footprint
        round_ = slice(window.first, window.first + window.size)
        src, dst = footprint.transfers.src[round_], footprint.transfers.dst[round_]
        ranks = np.unique(src)
        at = np.searchsorted(footprint.ranks, ranks)
        ending = np.bincount(np.searchsorted(ranks, dst), minlength=len(ranks))
        if footprint.release != "issue":
            ending += np.bincount(np.searchsorted(ranks, src), minlength=len(ranks))
        first = self.lines.start + window.first
        return PlacedWindow(window, first, ranks, self.starts[at], self.ends[at], ending)

    def renumbered(self, number: Int64Array) -> _Placed:
        """Return the same where transfer t has ``number[t]``; its lines stay in a row."""
        size = self.lines.stop - self.lines.start
        first = number[self.lines.start] if size else 0
        issued = np.where(self.missing, NOBODY, number[self.issued])
        return replace(
            self,
            lines=slice(int(first), int(first) + size),
            issued=issued,
            starts=number[self.starts],
            ends=number[self.ends],
        )


class JointGraph:
    """Lays acts out as transfers of one schedule, in program order.

    ``at`` (n,) is the transfer whose being done is the clock of each rank, but for the time it has
    computed since, ``pending_ps``. An issue that was left out is over for all that comes after.
    ``arrivals``: those that are not used up, each with the transfers that were the ranks' clocks.
    """

    def __init__(self, clocks_ps: Int64Array) -> None:
        """Begin with ranks that are at ``clocks_ps`` (n,)."""
        n = len(clocks_ps)
        self.size = 0
        self.issues: dict[Issue, _Placed] = {}
        self.arrivals: dict[Arrive, Int64Array] = {}
        self._drawn: dict[Issue, tuple[Int64Array, Int64Array]] = {}  # as of Delays.drawn
        self._pieces: list[Piece] = []
        none: Int32Array = np.zeros(0, dtype=np.int32)
        self._edges: list[EdgeList] = [(none, none, none.astype(np.uint8))]
        self.pending_ps = np.zeros(n, dtype=np.int64)
        self.at = self._stay(np.arange(n), clocks_ps)

    def take(self, op: RankOp) -> None:
        """Lay out one act."""
        if isinstance(op, Compute):
            self.pending_ps = self.pending_ps + op.duration_ps
        elif isinstance(op, Arrive):
            self.arrivals[op] = self._clock(op.ranks).copy()
        elif isinstance(op, Issue):
            self._issue(op)
        elif isinstance(op, Attach):
            self._attach(op)
        elif isinstance(op, Wait):
            self._wait(op)
        else:
            self._go_on_after(op.ranks, self._stay(op.ranks, op.until_ps))

    def transfers_and_edges(self) -> tuple[Transfers, Edges]:
        """Return all transfers, and who waits for whom."""
        transfers, (earlier, later, kind) = self._transfers(), self._all_edges()
        gates = [each.starts[each.missing] for each in self.issues.values() if each.missing.any()]
        if gates:
            shut = np.concatenate(gates).astype(np.int32)
            earlier, later = np.append(earlier, shut), np.append(later, shut)
            kind = np.append(kind, np.full(len(shut), STARTS_KIND, dtype=np.uint8))
        return transfers, edges_between(earlier, later, kind, self.size)

    def operations(self) -> Operations:
        """Return which operation each transfer is of, and where its ranks start and end."""
        of, start_of = (np.full(self.size, NOBODY, dtype=np.int32) for _ in range(2))
        for number, placed in enumerate(self.issues.values()):
            of[placed.lines] = of[placed.ends] = number
            start_of[placed.ends] = placed.starts
        return Operations(of, start_of, len(self.issues))

    @property
    def last_size(self) -> int:
        """The number of transfers of the last issues, one of each communicator."""
        last = {each.footprint.communicator: each for each in self.issues.values()}
        return sum(len(each.transfers) for each in last.values())

    def windows(self) -> list[PlacedWindow]:
        """Return the windows of all rings of which not all rounds are laid out, issue by issue."""
        return [window for placed in self.issues.values() for window in placed.windows()]

    def kept(self, done: BoolArray) -> tuple[BoolArray, list[Issue]]:
        """Return the transfers still of use, (transfers,), some ``done``; and the issues over.

        That is the issues of which everything is done, or never will be. Others are kept as a
        whole, and the clocks. No arrival is done that is not used up.
        """
        kept = ~done
        kept[self.at] = True
        over = []
        for issue, placed in self.issues.items():
            if done[placed.transfers].all():
                over.append(issue)
            else:
                kept[placed.transfers] = True
        return kept, over

    def without(self, kept: BoolArray, over: list[Issue]) -> JointGraph:
        """Return the graph of transfers ``kept``, numbered anew, without the issues ``over``.

        ``kept``: of the first transfers; those that were laid out since are kept too.
        """
        kept = np.append(kept, np.ones(self.size - len(kept), dtype=bool))
        number: Int64Array = np.where(kept, np.cumsum(kept) - 1, NOBODY)
        earlier, later, kind = self._all_edges()
        both = kept[earlier] & kept[later]
        left, gone = copy(self), set(over)
        left._pieces = [picked(self._transfers(), np.flatnonzero(kept))]
        as_now = number.astype(np.int32)
        left._edges = [(as_now[earlier[both]], as_now[later[both]], kind[both])]
        left.issues = {
            issue: placed.renumbered(number)
            for issue, placed in self.issues.items()
            if issue not in gone
        }
        left._drawn = {issue: self._drawn[issue] for issue in left.issues if issue in self._drawn}
        left.arrivals = {arrive: number[each] for arrive, each in self.arrivals.items()}
        left.at, left.size = number[self.at], int(kept.sum())
        return left

    def _transfers(self) -> Transfers:
        """Return all pieces as one."""
        first = self._pieces[0]
        if len(self._pieces) > 1 or isinstance(first, Stay):
            first = joined(self._pieces)
            self._pieces = [first]
        return first

    def _all_edges(self) -> EdgeList:
        """Return who waits for whom, as one list."""
        if len(self._edges) > 1:
            earlier, later, kind = (np.concatenate(each) for each in zip(*self._edges, strict=True))
            self._edges = [(earlier, later, kind)]
        return self._edges[0]

    def with_own(self, joint: ConnectionTable) -> ConnectionTable:
        """Return ``joint`` conditions in which each issue has its own delays and credit."""
        joint = replace(joint, credited=self._credited())
        self._draw()
        if not self._drawn:
            return joint
        jitter_ps, tail_ps = (np.zeros(self.size, dtype=np.int64) for _ in range(2))
        for issue, (jitter, tail) in self._drawn.items():
            lines = self.issues[issue].lines
            jitter_ps[lines], tail_ps[lines] = jitter, tail
        return replace(joint, jitter_ps=jitter_ps, tail_ps=tail_ps)

    def _draw(self) -> None:
        """Draw the delays of the issues that have come, those of one footprint together."""
        fresh: dict[Delays, list[Issue]] = {}
        for issue in self.issues:
            if issue.footprint.delays is not None and issue not in self._drawn:
                fresh.setdefault(issue.footprint.delays, []).append(issue)
        for delays, issues in fresh.items():
            drawn = delays.drawn_each([issue.messages for issue in issues])
            self._drawn.update(zip(issues, zip(*drawn, strict=True), strict=True))

    def _credited(self) -> Int32Array:
        """Return the connection whose credit each transfer takes; those of each part are its own.

        Empty where none has a limit that it might come to.
        """
        credited = np.full(self.size, NOBODY, dtype=np.int32)
        connections = 0
        for placed in self.issues.values():
            own = placed.footprint.credited
            if len(own):
                credited[placed.lines] = np.where(own >= 0, own + connections, NOBODY)
                connections += 1 + int(own.max())
        return credited if connections else credited[:0]

    def outcome(self, timeline: Timeline, failures: dict[int, Failure]) -> Outcome:
        """Return the outcome of collectives by ``timeline``, which is of this graph.

        ``failures``: by the number of the operation. Where not all rounds of a ring are laid out,
        no transfers are told, nor on whom a rank waited.
        """
        shown_in_part = any(issue.footprint.windows for issue in self.issues)
        roots = None if shown_in_part else _Roots(timeline, self.issues.values())
        done_ps = np.where(timeline.done_ps < 0, NOT_YET_PS, timeline.done_ps)
        moments = {issue: _moments(each, done_ps, roots) for issue, each in self.issues.items()}
        lines = {
            issue: slice(0, 0) if shown_in_part else each.lines
            for issue, each in self.issues.items()
        }
        issues = list(self.issues)
        failed = {issues[number]: failure for number, failure in failures.items()}
        return Outcome(moments, timeline, lines, failed)

    def clocks_ps(self, timeline: Timeline) -> Int64Array:
        """Return the clocks of all ranks, (n,), by ``timeline``, which is of this graph.

        A rank that waits for a missing one has come to NOT_YET_PS.
        """
        clocks_ps: Int64Array = timeline.done_ps[self.at] + self.pending_ps
        clocks_ps[timeline.done_ps[self.at] < 0] = NOT_YET_PS
        return clocks_ps

    def _issue(self, op: Issue) -> None:
        footprint, ranks = op.footprint, op.footprint.ranks
        issued = self._issued(op)
        layout = Layout.of(footprint)
        numbers = self._add(layout.transfers, len(layout.transfers.src))
        first, size = numbers.start, len(ranks)
        earlier, later, kind = layout.edges
        self._edges.append((earlier + np.int32(first), later + np.int32(first), kind))
        starts = np.arange(first, first + size)
        ends = np.arange(numbers.stop - size, numbers.stop)
        if issued.min(initial=0) == NOBODY:
            here = issued != NOBODY
            self._wait_for(issued[here], starts[here])
        else:
            self._wait_for(issued, starts)
        before = None if op.after is None else self.issues.get(op.after)
        if before is not None:
            orders = slice(None) if op.ordered is None else np.searchsorted(ranks, op.ordered)
            self._wait_for(before.ends[orders], starts[orders])
        if op.not_before_ps is not None:
            self._wait_for(self._stay(ranks, op.not_before_ps), starts)
        lines = slice(first + size, first + size + len(footprint.transfers.src))
        self.issues[op] = _Placed(footprint, lines, issued, starts, ends)

    def _issued(self, op: Issue) -> Int64Array:
        """Return the transfer at whose end each rank of the footprint issues it, or NOBODY."""
        ranks, missing = op.footprint.ranks, op.missing
        if not op.arrivals and not len(missing):
            return self._clock(ranks)
        issued: Int64Array = np.full(len(ranks), NOBODY, dtype=np.int64)
        self._take_arrivals(op.arrivals, ranks, issued)
        now = (issued == NOBODY) & ~np.isin(ranks, missing)
        issued[now] = self._clock(ranks[now])
        return issued

    def _take_arrivals(
        self, arrivals: tuple[Arrive, ...], ranks: Int32Array, issued: Int64Array
    ) -> None:
        """Write the transfers of arrivals into ``issued``, which is by ``ranks``; forget them."""
        for arrive in arrivals:
            issued[np.searchsorted(ranks, arrive.ranks)] = self.arrivals.pop(arrive)

    def _attach(self, op: Attach) -> None:
        placed, ranks = self.issues[op.issue], op.ranks
        which = np.searchsorted(op.issue.footprint.ranks, ranks)
        clocks: Int64Array = np.full(len(ranks), NOBODY, dtype=np.int64)
        self._take_arrivals(op.arrivals, ranks, clocks)
        now = clocks == NOBODY
        clocks[now] = self._clock(ranks[now])
        # A transfer of its own: only of new ones is it told to those that were there before.
        issued = placed.issued.copy()
        issued[which] = self._stay(ranks, np.zeros(len(ranks)), after=clocks)
        self._wait_for(issued[which], placed.starts[which])
        self.issues[op.issue] = replace(placed, issued=issued)

    def _wait(self, op: Wait) -> None:
        placed = self.issues.get(op.issue)
        if placed is None:
            return
        ranks, which = op.waiting()
        assert not placed.missing[which].any(), "a rank waits for its part before it issues it"
        ends = placed.ends[which]
        later = (self.pending_ps[ranks] > 0) | (self.at[ranks] != placed.issued[which])
        self.at[ranks[~later]] = ends[~later]  # who did nothing since has waited long enough
        self._go_on_after(ranks[later], ends[later])

    def _go_on_after(self, ranks: Int32Array, other: Int64Array) -> None:
        """Let each of ``ranks`` go on when both its clock and its one of ``other`` are done."""
        here = self._clock(ranks)
        self.at[ranks] = self._stay(ranks, np.zeros(len(ranks)), after=here)
        self._wait_for(other, self.at[ranks])

    def _clock(self, ranks: Int32Array) -> Int64Array:
        """Return for each of ``ranks`` the transfer whose being done is its clock."""
        busy = ranks[self.pending_ps[ranks] > 0]
        if len(busy):
            self.at[busy] = self._stay(busy, self.pending_ps[busy], after=self.at[busy])
            self.pending_ps[busy] = 0
        return self.at[ranks]

    def _stay(
        self,
        ranks: npt.NDArray[np.integer],
        host_ps: npt.NDArray[np.number],
        *,
        after: Int64Array | None = None,
    ) -> Int64Array:
        """Add a transfer of each of ``ranks`` to itself, which takes so long; number them."""
        lines = self._add(Stay(ranks, host_ps), len(ranks))
        numbers = np.arange(lines.start, lines.stop)
        if after is not None:
            self._wait_for(after, numbers)
        return numbers

    def _add(self, piece: Piece, size: int) -> slice:
        """Add a piece of so many transfers; return their numbers."""
        first = self.size
        self.size += size
        self._pieces.append(piece)
        return slice(first, self.size)

    def _wait_for(self, earlier: Int64Array, later: Int64Array, kind: int = STARTS_KIND) -> None:
        """Let each of ``later`` start after its one of ``earlier``."""
        kinds = np.full(len(earlier), kind, dtype=np.uint8)
        self._edges.append((earlier.astype(np.int32), later.astype(np.int32), kinds))


def _moments(placed: _Placed, done_ps: Int64Array, roots: _Roots | None) -> Moments:
    """Return the moments of those ranks that are there; ``done_ps`` (transfers,)."""
    here = ~placed.missing
    ranks, ends_ps = placed.footprint.ranks[here], done_ps[placed.ends[here]]
    told = ranks if roots is None else roots.ranks(placed)[here]
    return Moments(
        ranks=ranks,
        issued_ps=done_ps[placed.issued[here]],
        started_ps=done_ps[placed.starts[here]] - placed.footprint.call_ps,
        done_ps=ends_ps,
        straggler_of=np.where(ends_ps < NOT_YET_PS, told, ranks),
    )


class _Roots:
    """On whose start the ends of collectives hung: from the last cause, back and back.

    A transfer that waited for a slot, or for another to be issued, hung on that one's arrival or
    issue, and not on the reductions before it that keep it from being done.
    """

    def __init__(self, timeline: Timeline, issues: Collection[_Placed]) -> None:
        self.timeline = timeline
        self.begins = np.zeros(len(timeline), dtype=np.uint8)
        for each in issues:
            self.begins[each.starts] = True

    def ranks(self, placed: _Placed) -> Int32Array:
        """Return the rank on whose start the end of each rank hung: (ranks,)."""
        timeline, last = self.timeline, self.timeline.waited_for[placed.ends]
        # A sent transfer has only to arrive; the reductions before it do not count.
        own = (timeline.src[last] == placed.footprint.ranks) & (
            timeline.src[last] != timeline.dst[last]
        )
        moments = np.maximum(last, 0) + np.where(own, 0, len(timeline))
        ranks: Int32Array = timeline.src[first_causes(moments, timeline, self.begins)]
        return ranks
