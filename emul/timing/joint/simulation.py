"""The course of a program of all ranks: one schedule that grows, and goes on where it stood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.link_states import NEVER
from emul.timing.engine.dependencies import Edges
from emul.timing.engine.operations import Operations
from emul.timing.engine.scheduler import Simulation
from emul.timing.joint.checkpoint import Checkpoint
from emul.timing.joint.connections import KnownConnections
from emul.timing.joint.graph import JointGraph
from emul.timing.joint.layout import keys_of
from emul.timing.joint.rank_ops import (
    NOT_YET_PS,
    Arrive,
    Attach,
    Compute,
    Failure,
    Hold,
    Issue,
    Outcome,
    RankOp,
    Wait,
)
from emul.timing.joint.rings import Rings
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
        fills_windows: bool,
        seed: int,
        start_s: float,
        base_ps: int = 0,
    ) -> None:
        """Begin with nothing under way."""
        self.windows = windows_of(network) if fills_windows else None
        self.network = without_windows(network) if fills_windows else network
        self.seed, self.start_s, self.base_ps = seed, start_s, base_ps
        self._graph = JointGraph(clocks_ps)
        self._checkpoint: Checkpoint | None = None
        self._outcome: Outcome | None = None  # of all issues so far
        self._known = KnownConnections.between(
            np.zeros(0, dtype=np.int64), self.network, seed, self.windows
        )
        self._table: ConnectionTable | None = None  # the last one
        # The compiled streams of the last simulation, to be used again over the same connections.
        self._last: tuple[object, KnownConnections] = (None, self._known)
        self._omitted: dict[tuple[Issue, int], int] = {}  # rounds of each window, at the checkpoint
        self._passed: _Passed | None = None  # on the way to the last outcome
        self._bound_ps = 0  # all that is issued from now on comes then, or later
        self._arrived_ps: dict[Arrive, int] = {}  # no rank of an arrival came earlier
        self._clocks_ps: Int64Array | None = clocks_ps.copy()  # as long as they are known
        self._waited: set[Issue] = set()  # of those that are kept, and not settled
        self._open: set[Issue] = set()  # of those that are kept, nobody has waited for them
        self._looks_ahead = True  # whether a moment shortly before the end is tried first
        self._failures: dict[int, Failure] = {}  # by the last times of all transfers

    def __len__(self) -> int:
        """Return the number of transfers that are kept, those of ranks to themselves included."""
        return self._graph.size

    def take(self, op: RankOp) -> None:
        """Let the ranks do one act more."""
        if isinstance(op, Issue | Attach):
            self._begin(op)
        elif isinstance(op, Arrive):
            self._raise_bound()
            known = self._clocks_ps
            self._arrived_ps[op] = self._bound_ps if known is None else int(known[op.ranks].min())
        elif isinstance(op, Wait) and op.issue in self._graph.issues:
            self._waited.add(op.issue)
            self._open.discard(op.issue)
            if self._outcome is None:
                self._clocks_ps = None
        if isinstance(op, Issue):
            self._open.add(op)
        self._graph.take(op)
        if self._clocks_ps is not None:
            self._clocks_ps = self._after(op, self._clocks_ps)

    def _begin(self, op: Issue | Attach) -> None:
        """Forget all that a further operation may change."""
        self._raise_bound()
        for arrive in op.arrivals:
            del self._arrived_ps[arrive]
        if self._clocks_are_settled and not op.arrivals:
            self._waited.clear()
        elif self._waited:
            self._clocks_ps = None
        self._outcome = None

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
                self._table_of,
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

    def _raise_bound(self) -> None:
        """Let all that is to come be later than the clocks, and than arrivals not used up."""
        if self._clocks_ps is not None:
            self._bound_ps = min([int(self._clocks_ps.min()), *self._arrived_ps.values()])

    def _after(self, op: RankOp, clocks_ps: Int64Array) -> Int64Array:
        """Return the clocks after ``op``, no issue; the moments that it waits for are known."""
        clocks_ps = clocks_ps.copy()
        if isinstance(op, Compute):
            clocks_ps += op.duration_ps
        elif isinstance(op, Hold):
            clocks_ps[op.ranks] = np.maximum(clocks_ps[op.ranks], op.until_ps)
        elif isinstance(op, Wait) and self._outcome and op.issue in self._graph.issues:
            moments, (ranks, _) = self._outcome.moments[op.issue], op.waiting()
            done_ps = moments.done_ps[np.searchsorted(moments.ranks, ranks)]
            clocks_ps[ranks] = np.maximum(clocks_ps[ranks], done_ps)
        return clocks_ps

    def advance(self) -> list[Issue]:
        """Drop the transfers that are over for good; return the collectives among them.

        Those were over before the earliest clock, or arrival that is not used up: all later
        operations of the ranks come after it. The times of the rest stay the same, to the
        picosecond.
        """
        self.outcome()  # tells the moments of all that is dropped
        self._raise_bound()
        if self._bound_ps <= self._from_ps or self._bound_ps >= NOT_YET_PS:
            return []
        if self._passed is None or self._passed.until_ps != self._bound_ps:
            assert self._table is not None
            transfers, edges = self._graph.transfers_and_edges()
            # As far as all of it was looked at, for stalls look ahead to the end of an outage.
            table = self._table_of(transfers, self.network, self._table.states.until_s)
            self._pass(self._rings(transfers, edges, table), self._bound_ps)
        return self.let_go()

    def let_go(self) -> list[Issue]:
        """Drop what was passed on the way to the last outcome; return the collectives among it.

        That costs little where ``advance`` would have to look anew.
        """
        self.outcome()
        self._raise_bound()
        passed, self._passed = self._passed, None
        if passed is None:
            return []
        if passed.until_ps > self._bound_ps:  # a later operation may still change it
            self._looks_ahead = False
            return []
        left = self._graph.without(passed.kept, passed.over)
        # Both or, if interrupted before, neither.
        self._graph, self._checkpoint, self._omitted = left, passed.checkpoint, passed.omitted
        self._waited.difference_update(passed.over)
        self._open.difference_update(passed.over)
        return passed.over

    def _pass_on_the_way(self, rings: Rings) -> None:
        """Note how all stands where nothing to come will change it any more.

        That is at the latest moment before which nothing can come; or where all is waited for,
        shortly before the end, which is likely to be such a moment when the end is known.
        """
        self._passed = None
        ahead, self._looks_ahead = self._looks_ahead and not self._open, True
        until_ps = self._bound_ps
        if ahead and not self._graph.windows():
            rings.simulation.advance(but=self._graph.last_size)
            until_ps = rings.simulation.moment + 1
        if self._from_ps < until_ps < NOT_YET_PS:
            self._pass(rings, until_ps)

    def _pass(self, rings: Rings, until_ps: int) -> None:
        """Take a simulation to ``until_ps``; note those that are over then, and how it stands."""
        rings.advance(until_ps)
        simulation = rings.simulation
        kept, over = self._graph.kept(simulation.over())
        gone = set(over)
        going_on = np.array([issue not in gone for issue in self._graph.issues], dtype=bool)
        checkpoint = Checkpoint.of(simulation, self._known, kept, going_on, until_ps)
        left = zip(self._windows(), rings.omitted, strict=True)
        omitted = {window: rounds for window, rounds in left if window[0] not in gone}
        self._passed = _Passed(until_ps, checkpoint, kept, over, omitted)

    @property
    def _from_ps(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.until_ps

    def _table_of(self, transfers: Transfers, seen: Network, until_s: float) -> ConnectionTable:
        keys = keys_of(transfers)
        self._known = self._known.including(keys, transfers.multiplicity)
        self._table = self._known.table_of(
            transfers,
            keys,
            start_s=self.start_s,
            until_s=until_s,
            at_ps=self.base_ps,
            from_ps=self._from_ps,
        )
        return self._graph.with_own(self._table)

    def _times(
        self, transfers: Transfers, edges: Edges, network: Network, table: ConnectionTable
    ) -> Timed:
        rings = self._rings(transfers, edges, table)
        simulation = rings.simulation
        self._pass_on_the_way(rings)
        rings.advance()
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

    def _windows(self) -> list[tuple[Issue, int]]:
        """Return all windows of rings: the issue, and the number in its footprint."""
        issues = self._graph.issues
        return [(issue, i) for issue in issues for i in range(len(issue.footprint.windows))]

    def _rings(self, transfers: Transfers, edges: Edges, table: ConnectionTable) -> Rings:
        """Return a simulation at the checkpoint, and the rings in it."""
        simulation = self._simulation(transfers, edges, table)
        omitted = [
            self._omitted.get((issue, i), issue.footprint.windows[i].omitted)
            for issue, i in self._windows()
        ]
        return Rings(simulation, table, self._graph.windows(), omitted)

    def _simulation(self, transfers: Transfers, edges: Edges, table: ConnectionTable) -> Simulation:
        checkpoint, operations = self._checkpoint, self._graph.operations()
        kept = 0 if checkpoint is None else checkpoint.size
        fluid, known = self._last
        if checkpoint is None or not known is self._known is checkpoint.connections:
            fluid = None  # not all of it would be put back
        simulation = Simulation(transfers, edges, self.network, table, kept, operations, fluid)
        if checkpoint is not None:
            checkpoint.put_back(simulation, self._known)
        self._last = simulation.connections.fluid, self._known
        return simulation


@dataclass(frozen=True, slots=True)
class _Passed:
    """How all stood at ``until_ps``: the transfers ``kept``, (transfers,), the issues ``over``.

    ``omitted``: how many rounds of each window were still left out.
    """

    until_ps: int
    checkpoint: Checkpoint
    kept: BoolArray
    over: list[Issue]
    omitted: dict[tuple[Issue, int], int]
