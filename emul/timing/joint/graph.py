"""When several collectives are under way at once: their transfers and rank clocks as one schedule.

The operations of all ranks (issue, compute, wait) become transfers that stay with their
rank: they take no port, and a rank's computation is the host time of one of them. Of each
collective, every rank has one with which it starts, before all that it sends, and one with which it
is done, after all that has come to it and all of its own that has arrived. So one scheduler times
everything, and transfers in flight at the same time share ports, connections and trunks.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array, UInt8Array
from emul.plans import Multiplicity
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.dependencies import (
    STARTS_KIND,
    UPON_ARRIVAL_KIND,
    Edges,
    edges_between,
)
from emul.timing.joint.rank_ops import (
    CHANNELS,
    Compute,
    Footprint,
    Issue,
    Moments,
    Outcome,
    RankOp,
    Wait,
)
from emul.timing.timeline import Timeline
from emul.timing.traffic import NOBODY, Transfers, connections_of

__all__ = ["JointGraph"]


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """Where an issue lies in the schedule: its transfers, and by rank the three around them."""

    footprint: Footprint
    lines: slice
    issued: Int64Array
    starts: Int64Array
    ends: Int64Array

    @property
    def transfers(self) -> Int64Array:
        """The numbers of all its transfers, and of those around them."""
        lines = np.arange(self.lines.start, self.lines.stop)
        return np.concatenate([lines, self.issued, self.starts, self.ends])

    def renumbered(self, number: Int64Array) -> _Placed:
        """Return the same where transfer t has ``number[t]``; its lines stay in a row."""
        size = self.lines.stop - self.lines.start
        first = number[self.lines.start] if size else 0
        around = (number[each] for each in (self.issued, self.starts, self.ends))
        return _Placed(self.footprint, slice(int(first), int(first) + size), *around)


COLUMNS = (
    "src", "dst", "channel", "nbytes", "begins", "takes", "remainder", "host_ps", "completion_ps"
)  # fmt: skip


class JointGraph:
    """Lays acts out as transfers of one schedule, in program order.

    ``at`` (n,) is the transfer whose being done is the clock of each rank, but for the time it has
    computed since, ``pending_ps``. An issue that was left out is over for all that comes after.
    """

    def __init__(self, clocks_ps: Int64Array) -> None:
        """Begin with ranks that are at ``clocks_ps`` (n,)."""
        n = len(clocks_ps)
        self.size = 0
        self.issues: dict[Issue, _Placed] = {}
        self._columns: list[Transfers] = []
        self._edges: list[tuple[Int64Array, Int64Array, UInt8Array]] = []
        self.pending_ps = np.zeros(n, dtype=np.int64)
        self.at = self._stay(np.arange(n), clocks_ps)

    def take(self, op: RankOp) -> None:
        """Lay out one act."""
        if isinstance(op, Compute):
            self.pending_ps = self.pending_ps + op.duration_ps
        elif isinstance(op, Issue):
            self._issue(op)
        elif isinstance(op, Wait):
            self._wait(op.issue)
        else:
            self._join(op.ranks)

    def transfers_and_edges(self) -> tuple[Transfers, Edges]:
        """Return all transfers, and who waits for whom."""
        self._join_pieces()
        (transfers,), (edges,) = self._columns, self._edges
        earlier, later, kind = edges
        return transfers, edges_between(
            earlier.astype(np.int32), later.astype(np.int32), kind, self.size
        )

    def kept(self, done: BoolArray) -> tuple[BoolArray, list[Issue]]:
        """Return the transfers still of use, (transfers,), some ``done``; and the issues over.

        That is the issues of which everything is done. Others are kept as a whole, and the clocks.
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
        """Return the graph of transfers ``kept`` (transfers,), numbered anew, without ``over``."""
        number: Int64Array = np.where(kept, np.cumsum(kept) - 1, NOBODY)
        self._join_pieces()
        (transfers,), ((earlier, later, kind),) = self._columns, self._edges
        columns: dict[str, Any] = {name: getattr(transfers, name)[kept] for name in COLUMNS}
        both = kept[earlier] & kept[later]
        left, gone = copy(self), set(over)
        several = transfers.multiplicity
        columns["multiplicity"] = None if several is None else several.of(np.flatnonzero(kept))
        left._columns = [replace(transfers, **columns)]
        left._edges = [(number[earlier[both]], number[later[both]], kind[both])]
        left.issues = {
            issue: placed.renumbered(number)
            for issue, placed in self.issues.items()
            if issue not in gone
        }
        left.at, left.size = number[self.at], int(kept.sum())
        return left

    def _join_pieces(self) -> None:
        if len(self._columns) == len(self._edges) == 1:
            return
        columns = {
            name: np.concatenate([getattr(each, name) for each in self._columns])
            for name in COLUMNS
        }
        credit = max(each.credit for each in self._columns)
        several = _joined_multiplicity(self._columns)
        self._columns = [
            Transfers(**columns, credit=credit, call_ps=0, multiplicity=several, origin=None)
        ]
        earlier, later, kind = (np.concatenate(each) for each in zip(*self._edges, strict=True))
        self._edges = [(earlier, later, kind)]

    def with_own(self, joint: ConnectionTable) -> ConnectionTable:
        """Return ``joint`` conditions in which each footprint has its own draws.

        Those are its random delays, and the credit of its connections.
        """
        joint = replace(joint, credited=self._credited())
        if not any(len(placed.footprint.jitter_ps) for placed in self.issues.values()):
            return joint
        jitter_ps, tail_ps = (np.zeros(self.size, dtype=np.int64) for _ in range(2))
        for placed in self.issues.values():
            if len(placed.footprint.jitter_ps):
                jitter_ps[placed.lines] = placed.footprint.jitter_ps
                tail_ps[placed.lines] = placed.footprint.tail_ps
        return replace(joint, jitter_ps=jitter_ps, tail_ps=tail_ps)

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

    def outcome(self, timeline: Timeline) -> Outcome:
        """Return the outcome of collectives by ``timeline``, which is of this graph."""
        done, roots = timeline.done_ps, _Roots(timeline, self.issues.values())
        moments = {
            issue: Moments(
                ranks=each.footprint.ranks,
                issued_ps=done[each.issued],
                started_ps=done[each.starts] - each.footprint.call_ps,
                done_ps=done[each.ends],
                straggler_of=roots.ranks(each),
            )
            for issue, each in self.issues.items()
        }
        lines = {issue: each.lines for issue, each in self.issues.items()}
        return Outcome(moments, timeline, lines)

    def clocks_ps(self, timeline: Timeline) -> Int64Array:
        """Return the clocks of all ranks, (n,), by ``timeline``, which is of this graph."""
        clocks_ps: Int64Array = timeline.done_ps[self.at] + self.pending_ps
        return clocks_ps

    def _issue(self, op: Issue) -> None:
        footprint, ranks = op.footprint, op.footprint.ranks
        issued = self._clock(ranks)
        starts = self._stay(ranks, np.full(len(ranks), footprint.call_ps), after=issued)
        before = None if op.after is None else self.issues.get(op.after)
        if before is not None:
            self._wait_for(before.ends, starts)
        lines = self._add(_on_its_channels(footprint))
        self._edges.append(
            (footprint.earlier + lines.start, footprint.later + lines.start, footprint.kind)
        )
        numbers = np.arange(lines.start, lines.stop)
        sender, receiver = (
            np.searchsorted(ranks, each)
            for each in (footprint.transfers.src, footprint.transfers.dst)
        )
        self._wait_for(starts[sender], numbers)
        ends = self._stay(ranks, np.zeros(len(ranks)), after=starts)
        self._wait_for(numbers, ends[receiver])
        self._wait_for(numbers, ends[sender], STARTS_KIND | UPON_ARRIVAL_KIND)
        self.issues[op] = _Placed(footprint, lines, issued, starts, ends)

    def _wait(self, issue: Issue) -> None:
        placed = self.issues.get(issue)
        if placed is None:
            return
        ranks, ends = issue.footprint.ranks, placed.ends
        later = (self.pending_ps[ranks] > 0) | (self.at[ranks] != placed.issued)
        self.at[ranks[~later]] = ends[~later]  # who did nothing since has waited long enough
        held = ranks[later]
        here = self._clock(held)
        self.at[held] = self._stay(held, np.zeros(len(held)), after=here)
        self._wait_for(ends[later], self.at[held])

    def _join(self, ranks: Int32Array) -> None:
        here = self._clock(ranks)
        met = self._stay(ranks[:1], np.zeros(1))
        self._wait_for(here, np.repeat(met, len(here)))
        self.at[ranks] = met[0]

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
        size = len(ranks)
        nothing: Int64Array = np.zeros(size, dtype=np.int64)
        own = ranks.astype(np.int32)
        lines = self._add(
            Transfers(
                src=own,
                dst=own,
                channel=np.zeros(size, dtype=np.int32),
                nbytes=nothing,
                begins=np.zeros(size, dtype=np.uint8),
                takes=nothing,
                remainder=np.zeros(size, dtype=np.uint8),
                credit=0,
                host_ps=host_ps.astype(np.int64),
                completion_ps=nothing,
                call_ps=0,
                multiplicity=None,
                origin=None,
            )
        )
        numbers = np.arange(lines.start, lines.stop)
        if after is not None:
            self._wait_for(after, numbers)
        return numbers

    def _add(self, transfers: Transfers) -> slice:
        """Add ``transfers``; return their numbers."""
        first = self.size
        self.size += len(transfers.src)
        self._columns.append(transfers)
        return slice(first, self.size)

    def _wait_for(self, earlier: Int64Array, later: Int64Array, kind: int = STARTS_KIND) -> None:
        """Let each of ``later`` start after its one of ``earlier``."""
        self._edges.append((earlier, later, np.full(len(earlier), kind, dtype=np.uint8)))


def _joined_multiplicity(columns: list[Transfers]) -> Multiplicity | None:
    """Return how many transfers each of all ``columns`` stands for; None if all for themselves."""
    if all(each.multiplicity is None for each in columns):
        return None
    alike = np.concatenate([connections_of(each) for each in columns])
    return Multiplicity(alike, np.ones_like(alike), np.zeros_like(alike))


def _on_its_channels(footprint: Footprint) -> Transfers:
    """Return the transfers of ``footprint`` on the channels of its communicator."""
    own = footprint.transfers
    return replace(own, channel=own.channel + np.int32(footprint.communicator * CHANNELS))


class _Roots:
    """On whose start the ends of collectives hung: from the last cause, back and back."""

    def __init__(self, timeline: Timeline, issues: Collection[_Placed]) -> None:
        self.timeline = timeline
        after = timeline.ordered_after
        back = np.where(after >= 0, after, timeline.waited_for).astype(np.int64)
        back = np.where(back >= 0, back, np.arange(len(back)))
        for each in issues:
            back[each.starts] = each.starts
        further = back[back]
        while not np.array_equal(further, back):
            back, further = further, further[further]
        self.of = back

    def ranks(self, placed: _Placed) -> Int32Array:
        """Return the rank on whose start the end of each rank hung: (ranks,)."""
        timeline, last = self.timeline, self.timeline.waited_for[placed.ends]
        # A sent transfer has only to arrive; the reductions before it do not count.
        own = (timeline.src[last] == placed.footprint.ranks) & (
            timeline.src[last] != timeline.dst[last]
        )
        ranks: Int32Array = timeline.src[self.of[np.where(own, timeline.waited_for[last], last)]]
        return ranks
