"""The course of a program of all ranks: one schedule that grows, and goes on where it stood."""

from __future__ import annotations

import numpy as np

from emul.arrays import Int64Array
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER
from emul.timing.engine.dependencies import Edges
from emul.timing.engine.operations import Operations
from emul.timing.engine.scheduler import Simulation
from emul.timing.joint.checkpoint import Checkpoint
from emul.timing.joint.graph import JointGraph
from emul.timing.joint.rank_ops import (
    NOT_YET_PS,
    Arrive,
    Attach,
    Compute,
    Failure,
    Hold,
    Issue,
    Join,
    Outcome,
    RankOp,
    Wait,
)
from emul.timing.protocol import windows_of, without_windows
from emul.timing.timeline import Timed, simulated, why_lost
from emul.timing.traffic import Transfers
from emul.topology import Network
from emul.units import PS_PER_S

__all__ = ["JointSimulation"]


class JointSimulation:
    """The operations of the ranks of ``network`` from ``clocks_ps`` (n,) on, and their times.

    All moments count from ``base_ps`` after ``start_s`` of the line on which links change; random
    draws are those of each footprint.
    """

    def __init__(
        self,
        clocks_ps: Int64Array,
        network: Network,
        *,
        whole_messages: bool,
        seed: int,
        start_s: float,
        base_ps: int = 0,
    ) -> None:
        """Begin with nothing under way."""
        self.windows = windows_of(network) if whole_messages else None
        self.network = without_windows(network) if whole_messages else network
        self.seed, self.start_s, self.base_ps = seed, start_s, base_ps
        self._graph = JointGraph(clocks_ps)
        self._checkpoint: Checkpoint | None = None
        self._outcome: Outcome | None = None  # of all issues so far
        self._clocks_ps: Int64Array | None = clocks_ps.copy()  # as long as they are known
        self._waited: set[Issue] = set()  # of those that are kept, and not settled
        self._failures: dict[int, Failure] = {}  # by the last times of all transfers

    def __len__(self) -> int:
        """Return the number of transfers that are kept, those of ranks to themselves included."""
        return self._graph.size

    def take(self, op: RankOp) -> None:
        """Let the ranks do one act more."""
        if isinstance(op, Issue | Attach):
            if self._clocks_are_settled and not op.arrivals:
                self._waited.clear()
            elif self._waited:
                self._clocks_ps = None
            self._outcome = None
        elif isinstance(op, Arrive):
            self._outcome = None
        elif isinstance(op, Wait) and op.issue in self._graph.issues:
            self._waited.add(op.issue)
            if self._outcome is None:
                self._clocks_ps = None
        self._graph.take(op)
        if self._clocks_ps is not None:
            self._clocks_ps = self._after(op, self._clocks_ps)

    @property
    def clocks_are_known(self) -> bool:
        """Whether nothing has to be timed to tell them."""
        return self._clocks_ps is not None

    def clocks_ps(self) -> Int64Array:
        """Return the clocks of all ranks, (n,) picoseconds."""
        if self._clocks_ps is None:
            self.outcome()
        assert self._clocks_ps is not None
        return self._clocks_ps

    def outcome(self) -> Outcome:
        """Return the times of all that is not over, by the operations so far.

        Raises TimeLimitError as ``time_plan`` does.
        """
        if self._outcome is None:
            timeline = simulated(
                lambda: (*self._graph.transfers_and_edges(), self.network),
                self._table,
                self._times,
                self.start_s,
                at_ps=self.base_ps,
                from_s=self._from_ps / PS_PER_S,
            )
            self._outcome = self._graph.outcome(timeline, self._failures)
            self._clocks_ps = self._graph.clocks_ps(timeline)
        return self._outcome

    @property
    def _clocks_are_settled(self) -> bool:
        """Whether known clocks stay the same after any further issue.

        All awaited collectives were done before such an issue starts.
        """
        if not self._waited:
            return True
        if self._clocks_ps is None or self._outcome is None:
            return False
        moments = self._outcome.moments
        last_ps = max(int(moments[issue].done_ps.max()) for issue in self._waited)
        return last_ps <= int(self._clocks_ps.min())

    def _after(self, op: RankOp, clocks_ps: Int64Array) -> Int64Array:
        """Return the clocks after ``op``, no issue; the moments that it waits for are known."""
        clocks_ps = clocks_ps.copy()
        if isinstance(op, Compute):
            clocks_ps += op.duration_ps
        elif isinstance(op, Join):
            clocks_ps[op.ranks] = clocks_ps[op.ranks].max()
        elif isinstance(op, Hold):
            clocks_ps[op.ranks] = np.maximum(clocks_ps[op.ranks], op.until_ps)
        elif isinstance(op, Wait) and self._outcome and op.issue in self._graph.issues:
            moments, (ranks, _) = self._outcome.moments[op.issue], op.waiting()
            done_ps = moments.done_ps[np.searchsorted(moments.ranks, ranks)]
            clocks_ps[ranks] = np.maximum(clocks_ps[ranks], done_ps)
        return clocks_ps

    def advance(self) -> list[Issue]:
        """Drop the transfers that are over for good; return the collectives among them.

        Those were done before the earliest clock, or arrival that is not used up: all later
        operations of the ranks come after it. The times of the rest stay the same, to the
        picosecond.
        """
        outcome = self.outcome()  # tells the moments of all that is dropped
        arrivals_ps = self._graph.arrivals_ps(outcome.timeline)
        until_ps = min(int(self.clocks_ps().min()), int(arrivals_ps.min(initial=NOT_YET_PS)))
        if until_ps <= self._from_ps or until_ps >= NOT_YET_PS:
            return []
        transfers, edges = self._graph.transfers_and_edges()
        # As far as all of it was looked at, for stalls look ahead to the end of an outage.
        table = self._table(
            transfers, self.network, outcome.timeline.connection_table.states.until_s
        )
        simulation = self._simulation(transfers, edges, table)
        simulation.advance(until_ps)
        kept, over = self._graph.kept(simulation.over())
        before, gone = self._checkpoint, set(over)
        going_on = np.array([issue not in gone for issue in self._graph.issues], dtype=bool)
        checkpoint = Checkpoint.of(simulation, transfers, table, kept, going_on, until_ps, before)
        left = self._graph.without(kept, over)
        self._graph, self._checkpoint = left, checkpoint  # both or, if interrupted before, neither
        self._waited.difference_update(over)
        return over

    @property
    def _from_ps(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.until_ps

    def _table(self, transfers: Transfers, seen: Network, until_s: float) -> ConnectionTable:
        joint = ConnectionTable.of(
            transfers,
            seen,
            seed=self.seed,
            start_s=self.start_s,
            until_s=until_s,
            at_ps=self.base_ps,
            from_ps=self._from_ps,
            windows=self.windows,
            all_trunks=True,
            draws=None,
        )
        return self._graph.with_own(joint)

    def _times(
        self, transfers: Transfers, edges: Edges, network: Network, table: ConnectionTable
    ) -> Timed:
        simulation = self._simulation(transfers, edges, table)
        simulation.advance()
        operations = simulation.operations
        failed = np.asarray(operations.failed_at) < NEVER
        open_end = np.asarray(operations.up_at)[failed] == NEVER
        ends_known = bool(table.states.lasts[np.asarray(operations.path)[failed][open_end]].all())
        self._failures = {
            number: self._failure(operations, number, table)
            for number in np.flatnonzero(failed).tolist()
        }
        return *simulation.times(), ends_known

    def _failure(self, operations: Operations, number: int, table: ConnectionTable) -> Failure:
        """Return the failure of an operation by its number."""
        path = int(table.states.path[operations.path[number]])
        lost_ps, up_ps = int(operations.lost_at[number]), int(operations.up_at[number])
        lost_s = self.start_s + (self.base_ps + lost_ps) / PS_PER_S
        return Failure(
            int(operations.failed_at[number]),
            self.network.path_name(path),
            why_lost(self.network, path, lost_s, lost_ps, up_ps),
        )

    def _simulation(self, transfers: Transfers, edges: Edges, table: ConnectionTable) -> Simulation:
        checkpoint, operations = self._checkpoint, self._graph.operations()
        kept = 0 if checkpoint is None else checkpoint.size
        simulation = Simulation(transfers, edges, self.network, table, kept, operations)
        if checkpoint is not None:
            checkpoint.put_back(simulation, transfers, table)
        return simulation
