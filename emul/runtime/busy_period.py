"""Collectives in flight: the busy period of the modelled clock, which ends when none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emul.arrays import Int32Array, Int64Array
from emul.errors import OutageError, TimeLimitError
from emul.runtime.history import HistoryEntry, SentTransfers
from emul.runtime.operation import Operation
from emul.timing import Compute, Footprint, Issue, Join, Outcome, Wait
from emul.units import PS_PER_S

if TYPE_CHECKING:
    from emul.timing.joint.simulation import JointSimulation

__all__ = ["BusyPeriod", "checked_clock"]


MANY = 64
"""Collectives after which a busy period is tried to be ended even if some are not waited for."""

MANY_TRANSFERS = 4096
"""Transfers of a busy period after which finished collectives are let go of when it is timed. Those
of ranks to themselves count too; timing so many takes some milliseconds."""

LATEST_PS = 1 << 61
"""The latest of clocks that differ, or are asked for one by one: 26 days. The time of any
collective can be added without wrapping."""


class BusyPeriod:
    """The program since nothing was in flight; its times count from ``base_ps``."""

    def __init__(self, base_ps: int, clocks_ps: Int64Array, simulation: JointSimulation) -> None:
        """Begin with ranks that are ``clocks_ps`` (n,) after it, where ``simulation`` begins."""
        self.base_ps = base_ps
        self.computed_ps = clocks_ps  # the clocks if nobody ever waited
        self.simulation = simulation
        self.operations: list[Operation] = []
        self.last_of: dict[int, Issue] = {}
        self.outstanding = 0
        self.all_joined = False
        self.next_tries = [MANY, 1]  # with some not waited for, and with none
        self.next_advance = MANY_TRANSFERS

    def compute(self, duration_ps: Int64Array) -> None:
        """Let each rank compute for ``duration_ps`` (n,)."""
        computed_ps = self.computed_ps + duration_ps
        checked_clock(self.base_ps + int(computed_ps.max()))
        self.computed_ps = computed_ps
        self.simulation.take(Compute(duration_ps))

    def issue(self, operation: Operation, footprint: Footprint) -> None:
        """Let all ranks of ``footprint`` issue it."""
        operation.issue = Issue(footprint, self.last_of.get(footprint.communicator))
        self.simulation.take(operation.issue)
        self.last_of[footprint.communicator] = operation.issue
        self.operations.append(operation)
        operation.is_counted = True
        self.outstanding += 1
        self.all_joined = False

    def wait(self, operation: Operation) -> None:
        """Let the ranks of ``operation`` wait for it."""
        self.outstanding -= 1
        if operation.issue is not None:
            self.simulation.take(Wait(operation.issue))

    def join(self, ranks: Int32Array) -> None:
        """Let ``ranks`` wait for one another."""
        self.simulation.take(Join(ranks))
        self.all_joined = len(ranks) == len(self.computed_ps) and not self.outstanding

    def outcome(self) -> Outcome:
        """Return the outcome of all operations that are not over.

        Operations that are over are let go of in batches, which changes no time.
        """
        outcome = self._told()
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
        return self.all_joined or len(self.operations) >= self.next_tries[not self.outstanding]

    def end(self) -> list[HistoryEntry]:
        """Let go of the operations that every rank has passed: all of them if none is in flight.

        Returns their entries for the history. Links then forget all earlier traffic, so the
        program alone decides when this happens.
        """
        outcome = self._told()
        last_ps = max((int(each.done_ps.max()) for each in outcome.moments.values()), default=0)
        if last_ps <= self.simulation.clocks_ps().min():
            self._let_go(list(outcome.moments), outcome)
        else:
            self._advance()
        ended = [operation for operation in self.operations if operation.entry]
        self.operations = [operation for operation in self.operations if not operation.entry]
        entries = [operation.entry for operation in ended if operation.entry]
        for operation in ended:
            operation.is_counted, operation.entry = False, None
        self.outstanding = sum(not operation.waited for operation in self.operations)
        # Look again when twice as much is under way: in all, that costs as much as once.
        least = MANY if self.outstanding else 1
        self.next_tries[not self.outstanding] = max(least, 2 * len(self.operations))
        return entries

    def in_flight(self) -> list[HistoryEntry]:
        """Return the entries of all operations, as known so far."""
        outcome = self.outcome()
        return [operation.entry or self._entry(operation, outcome) for operation in self.operations]

    def _told(self) -> Outcome:
        """Return the outcome of operations; raises OutageError if any of them failed."""
        outcome = self.simulation.outcome()
        for failure in outcome.failures.values():
            raise OutageError(failure.text)
        return outcome

    def _advance(self) -> None:
        outcome = self._told()
        self._let_go(self.simulation.advance(), outcome)

    def _let_go(self, over: list[Issue], outcome: Outcome) -> None:
        """Keep the moments of the collectives that are ``over`` for good, and forget the rest."""
        gone = set(over)
        self.last_of = {each: last for each, last in self.last_of.items() if last not in gone}
        for operation in self.operations:
            if operation.issue is not None and operation.issue in gone:
                operation.entry = self._entry(operation, outcome).cut_out()
                operation.known = outcome.moments[operation.issue].after(self.base_ps)
                operation.issue.after = None  # or every operation would keep all earlier ones
                operation.issue = None

    def _entry(self, operation: Operation, outcome: Outcome) -> HistoryEntry:
        assert operation.issue is not None
        moments = outcome.moments[operation.issue].after(self.base_ps)
        row = (
            operation.name,
            operation.member.number,
            int(moments.issued_ps.min()),
            int(moments.started_ps.min()),
            int(moments.done_ps.max()),
        )
        lines, origin = outcome.lines[operation.issue], operation.issue.footprint.transfers.origin
        return HistoryEntry(row, SentTransfers(outcome.timeline, lines, self.base_ps, origin))


def checked_clock(clock_ps: int) -> int:
    """Return ``clock_ps`` if clocks can go so far."""
    if clock_ps > LATEST_PS:
        raise TimeLimitError(
            f"the modelled clock passes {LATEST_PS // PS_PER_S // 86400} days: needed a new "
            "World, so that picoseconds fit in 64 bits"
        )
    return clock_ps
