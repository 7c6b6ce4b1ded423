"""Operations that meet, or links with a memory: one joint simulation of all that is in flight."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.runtime.alone_period import (
    NOBODY,
    AlonePeriod,
    Arrival,
    Arrived,
    Attached,
    Computed,
    Issued,
)
from emul.runtime.footprints import Footprints
from emul.runtime.history import HistoryEntry, SentTransfers
from emul.runtime.operation import Failed, Operation, checked_clock
from emul.runtime.operation_times import OperationTimes
from emul.timing import (
    Arrive,
    Attach,
    Compute,
    Hold,
    Issue,
    Moments,
    Outcome,
    Wait,
)
from emul.timing.joint.alone import longest_gap_ps

if TYPE_CHECKING:
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["BusyPeriod"]


MANY, MANY_KEPT = 1 << 16, 1 << 18
"""Transfers more than after the last look, at which a busy period is tried to be ended even if some
collectives are not waited for: the least, and, for memory, the most (a quarter of a GB). Between
these it is twice as many as were ever in flight when all had been waited for."""

FEW = 64
"""Collectives after which the same is tried where all were waited for, on links with a memory."""

MANY_TRANSFERS = 4096
"""Transfers of a busy period after which finished collectives are let go of when it is timed. Those
of ranks to themselves count too; timing so many takes some milliseconds."""


class BusyPeriod:
    """The program since nothing was in flight; its times count from ``base_ps``."""

    def __init__(
        self,
        base_ps: int,
        clocks_ps: Int64Array,
        simulation: JointSimulation,
        footprints: Footprints,
    ) -> None:
        """Begin with ranks that are ``clocks_ps`` (n,) after it, where ``simulation`` begins."""
        self.base_ps = base_ps
        self.computed_ps = clocks_ps  # the clocks if nobody ever waited
        self.simulation = simulation
        self.footprints = footprints
        self._longest_gap_ps = longest_gap_ps(footprints.planner.network)
        self.operations: list[Operation] = []
        self.last_of: dict[int, Issue] = {}
        self.arrivals: dict[Arrival, Arrive] = {}
        self.outstanding = 0
        self.left: set[Operation] = set()  # when it was tried last
        self.next_number, self.next_size = 1, MANY  # of collectives, and of transfers
        self.most_together = 0  # transfers when all collectives had been waited for
        self.next_advance = MANY_TRANSFERS

    @classmethod
    def going_on(
        cls,
        alone: AlonePeriod,
        simulation: JointSimulation,
        footprints: Footprints,
    ) -> BusyPeriod:
        """Return the busy period of all that is in flight in ``alone``."""
        busy = cls(alone.base_ps, alone.from_ps, simulation, footprints)
        used_up = _used_up(alone)
        for act in alone.acts:
            if isinstance(act, Computed):
                busy.compute(act.duration_ps)
            elif isinstance(act, Arrived):
                if act.arrival not in used_up:
                    busy.take_arrival(act.arrival)
            elif isinstance(act, Issued):
                missing = _missing_at_first(alone, act)
                busy.issue(act.operation, act.arrivals, missing, _not_before_ps(alone, act))
            elif isinstance(act, Attached):
                if act.issued.operation in alone.in_flight:
                    busy.attach(act.issued.operation, act.ranks, act.arrivals)
            elif act.issued.operation in alone.in_flight:
                busy.wait(act.issued.operation, act.ranks)
            else:
                until_ps = act.issued.done_ps[act.issued.at(act.ranks)]
                busy.simulation.take(Hold(act.ranks, until_ps))
        busy.outstanding = alone.outstanding
        return busy

    def compute(self, duration_ps: Int64Array) -> None:
        """Let each rank compute for ``duration_ps`` (n,)."""
        computed_ps = self.computed_ps + duration_ps
        checked_clock(int(computed_ps.max()))
        self.computed_ps = computed_ps
        self.simulation.take(Compute(duration_ps))

    def arrive(self, ranks: Int32Array) -> Arrival:
        """Note that ``ranks`` come here to an operation that is yet to be issued."""
        arrival = Arrival(ranks, np.zeros(0, dtype=np.int64))
        self.take_arrival(arrival)
        return arrival

    def take_arrival(self, arrival: Arrival) -> None:
        """Let the ranks of ``arrival`` come here."""
        act = self.arrivals[arrival] = Arrive(arrival.ranks)
        self.simulation.take(act)

    def issue(
        self,
        operation: Operation,
        arrivals: tuple[Arrival, ...],
        missing: Int32Array = NOBODY,
        not_before_ps: Int64Array | None = None,
    ) -> None:
        """Let all ranks of an operation but the ``missing`` issue it: where they arrived, or here.

        ``not_before_ps`` (ranks,): when the operation before it was done, if that is over.
        """
        footprint = self.footprints.of(operation.prepared, operation.member)
        came = tuple(self.arrivals.pop(arrival) for arrival in arrivals)
        after = self.last_of.get(footprint.communicator)
        ordered = operation.member.ordered
        messages = operation.messages
        issue = Issue(footprint, after, came, missing, not_before_ps, ordered, messages)
        operation.issue = issue
        self.simulation.take(issue)
        self.last_of[footprint.communicator] = issue
        self.operations.append(operation)
        self.outstanding += 1

    def attach(
        self, operation: Operation, ranks: Int32Array, arrivals: tuple[Arrival, ...]
    ) -> None:
        """Let ``ranks`` that were missing in an operation issue it."""
        assert operation.issue is not None
        came = tuple(self.arrivals.pop(arrival) for arrival in arrivals)
        self.simulation.take(Attach(operation.issue, ranks, came))

    def wait(self, operation: Operation, ranks: Int32Array) -> None:
        """Let ``ranks`` of an operation wait for it."""
        if operation.issue is not None:
            self.simulation.take(Wait(operation.issue, ranks))
        if operation.waited.all() and operation in self.operations:
            self.outstanding -= 1

    def outcome(self) -> Outcome:
        """Return the outcome of all operations that are not over.

        Operations that are over are let go of in batches, which changes no time.
        """
        outcome = self.simulation.outcome()
        if len(self.simulation) >= self.next_advance:
            self._advance()
            self.next_advance = len(self.simulation) + MANY_TRANSFERS
        return outcome

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds since ``base_ps``, as known so far."""
        if not self.simulation.clocks_are_known:
            self.outcome()
        return self.simulation.clocks_ps()

    @property
    def may_have_ended(self) -> bool:
        """Whether it is time to look, which costs as much as timing all that is kept."""
        if not self.outstanding and len(self.operations) >= self.next_number:
            return True
        return len(self.simulation) >= self.next_size

    def end(self, *, may_be_dropped: bool) -> list[HistoryEntry]:
        """Let go of the operations that every rank has passed; return their entries.

        If none is in flight any more and the simulation ``may_be_dropped``, let go of all. The
        program alone decides when this happens.
        """
        outcome = self.simulation.outcome()
        last_ps = max((int(each.done_ps.max()) for each in outcome.moments.values()), default=0)
        last_ps += self._gap_ps
        quiet = last_ps <= self.simulation.clocks_ps().min() and not self.arrivals
        if quiet and may_be_dropped:
            self._let_go(list(outcome.moments), outcome)
        else:
            self._advance()
        ended = [operation for operation in self.operations if operation.entry]
        self.operations = [operation for operation in self.operations if not operation.entry]
        entries = [operation.entry for operation in ended if operation.entry]
        for operation in ended:
            operation.entry = None
        self.outstanding = sum(not operation.waited.all() for operation in self.operations)
        # Look again when as much has come as is there for long: in all, that costs as much as once.
        # What came since the last look is let go of at the next one, and does not count.
        left = len(self.simulation)
        self.next_size = left + min(max(MANY, left, 2 * self.most_together), MANY_KEPT)
        if not self.outstanding:
            before, self.left = self.left, set(self.operations)
            least = self._least_news(may_be_dropped)
            self.next_number = len(self.operations) + max(least, len(before & self.left))
        return entries

    def _least_news(self, may_be_dropped: bool) -> int:
        """Return how many collectives have to come at least before it is looked at again.

        Where links change, each call asks for an outcome in any case.
        """
        return 1 if may_be_dropped or self.footprints.planner.changes else FEW

    @property
    def _gap_ps(self) -> int:
        """The longest gap after a message in flight, of slices that may have grown."""
        if not self._longest_gap_ps:
            return 0
        issues = (operation.issue for operation in self.operations)
        growths = (int(each.footprint.transfers.growth.max(initial=1)) for each in issues if each)
        return self._longest_gap_ps * max(growths, default=1)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, and nobody has arrived."""
        return not self.operations and not self.arrivals

    def moments_of(self, operation: Operation) -> Moments:
        """Return the moments of an operation in flight."""
        return _after(self._moments(operation), self.base_ps)

    def _moments(self, operation: Operation) -> Moments:
        issue = operation.issue  # which may be let go of now
        assert issue is not None
        return self.outcome().moments[issue]

    def time_of(self, operation: Operation) -> int:
        """Return the picoseconds that an operation in flight takes."""
        return self._moments(operation).time_ps

    def failure_of(self, operation: Operation) -> Failed | None:
        """Return why an operation in flight fails; None where it does not."""
        issue = operation.issue
        assert issue is not None
        return self._failed(self.outcome(), issue)

    def _failed(self, outcome: Outcome, issue: Issue) -> Failed | None:
        failure = outcome.failures.get(issue)
        if failure is None:
            return None
        at_ps = self.base_ps + failure.moment_ps
        return Failed(failure.text, at_ps, f"trunk {failure.path}")

    def entries(self) -> list[HistoryEntry]:
        """Return the entries of all operations, as known so far."""
        outcome = self.outcome()
        return [operation.entry or self._entry(operation, outcome) for operation in self.operations]

    def _advance(self) -> None:
        """Let go of what is over, after noting how much there was."""
        if not self.outstanding:
            self.most_together = max(self.most_together, len(self.simulation))
        outcome = self.simulation.outcome()
        self._let_go(self.simulation.let_go(), outcome)

    def _let_go(self, over: list[Issue], outcome: Outcome) -> None:
        """Keep the moments of the collectives that are ``over`` for good, and forget the rest."""
        gone = set(over)
        self.last_of = {each: last for each, last in self.last_of.items() if last not in gone}
        for operation in self.operations:
            if operation.issue is not None and operation.issue in gone:
                operation.entry = self._entry(operation, outcome).cut_out()
                moments = outcome.moments[operation.issue]
                operation.failure = self._failed(outcome, operation.issue)
                operation.settle(partial(_after, moments, self.base_ps), moments.time_ps)
                operation.issue.after = None  # or every operation would keep all earlier ones
                operation.issue = None

    def _entry(self, operation: Operation, outcome: Outcome) -> HistoryEntry:
        assert operation.issue is not None
        moments, base_ps = outcome.moments[operation.issue], self.base_ps
        failure = outcome.failures.get(operation.issue)
        row = (
            operation.name,
            operation.member.communicator,
            base_ps + int(moments.issued_ps.min()),
            base_ps + int(moments.started_ps.min()),
            base_ps + int(moments.done_ps.max()),
            None if failure is None else failure.text,
        )
        lines, origin = outcome.lines[operation.issue], operation.issue.footprint.transfers.origin
        sent = SentTransfers(outcome.timeline, lines, self.base_ps, origin)
        return HistoryEntry(row, sent, OperationTimes.of(operation, moments, sent, base_ps))


def _used_up(alone: AlonePeriod) -> set[Arrival]:
    """Return the arrivals at operations that are over, although acts before them are not."""
    attached = (act for act in alone.acts if isinstance(act, Attached))
    return {
        arrival
        for act in attached
        if act.issued.operation not in alone.in_flight
        for arrival in act.arrivals
    }


def _not_before_ps(alone: AlonePeriod, issued: Issued) -> Int64Array | None:
    """Return when the operation before one was done, where that is not in flight any more."""
    before, ordered = issued.before, issued.operation.member.ordered
    if before is None or before.operation in alone.in_flight:
        return None
    if ordered is None:
        return before.done_ps
    not_before_ps = np.zeros_like(before.done_ps)
    not_before_ps[before.at(ordered)] = before.done_ps[before.at(ordered)]
    return not_before_ps


def _missing_at_first(alone: AlonePeriod, issued: Issued) -> Int32Array:
    """Return the ranks that had not come yet when an operation was issued."""
    late = [act.ranks for act in alone.acts if isinstance(act, Attached) and act.issued is issued]
    return np.unique(np.concatenate([issued.missing, *late])).astype(np.int32)


def _after(moments: Moments, base_ps: int) -> Moments:
    return moments.after(checked_clock(base_ps))
