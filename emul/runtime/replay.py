"""A program of all ranks, carried out again on other links: its acts as they were recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from emul.arrays import Int32Array
from emul.errors import ArgumentError
from emul.runtime.alone_period import Arrival
from emul.runtime.clocks import RankClocks
from emul.runtime.operation import Operation
from emul.runtime.planner import NCCL, Planner, Prepared, Timing
from emul.runtime.record import (
    ArriveAct,
    AttachAct,
    ComputeAct,
    IssueAct,
    Mark,
    RecordedAct,
    RecordedProgram,
    WaitAct,
)
from emul.stacks import Stack
from emul.topology import Topology

__all__ = ["Conditions", "replayed_ps"]

Conditions = Callable[[Timing], tuple[Topology, Timing]]
"""Returns the links, and the settings of a World or of an operation as they are changed."""


def replayed_ps(
    program: RecordedProgram, timing: Timing, conditions: Conditions, *, keeps_plans: bool
) -> int:
    """Return the picoseconds between the marks of ``program`` where links are other ones.

    All acts are carried out again, from the birth of the World on, each rank at its own pace.
    ``timing``: the settings of the World. ``keeps_plans``: whether each operation has the plan that
    it had, and is sent as it was; else it is planned anew. Raises as predictions do.
    """
    replay = _Replay(timing, conditions, keeps_plans=keeps_plans)
    for act in program.acts:
        replay.carry_out(act)
    return replay.moment_ps(program.end, latest=True) - replay.moment_ps(program.begin)


class _Replay:
    """The clocks of all ranks, and what is the counterpart of each recorded operation."""

    def __init__(self, timing: Timing, conditions: Conditions, *, keeps_plans: bool) -> None:
        self.timing, self.conditions, self.keeps_plans = timing, conditions, keeps_plans
        self.clocks = RankClocks(Planner(*conditions(timing)), keeps_all=True)
        self.operations: dict[Operation, Operation] = {}
        self.arrivals: dict[Arrival, Arrival] = {}
        self.marks: dict[Mark, Mark] = {}
        self._planner_of = lru_cache(maxsize=None)(self._planner_anew)
        self._topology_of = lru_cache(maxsize=None)(self._topology_anew)

    def carry_out(self, act: RecordedAct) -> None:
        """Carry out the next act."""
        clocks = self.clocks
        if isinstance(act, ComputeAct):
            clocks.compute(act.duration_ps, act.ranks)
        elif isinstance(act, WaitAct):
            clocks.wait(self.operations[act.operation], act.ranks)
        elif isinstance(act, ArriveAct):
            self.arrivals[act.arrival] = clocks.arrive(act.arrival.ranks)
        elif isinstance(act, IssueAct):
            was = act.operation
            prepared = self._prepared(was.prepared, was.member.ranks)
            came = self._came(act.arrivals)
            self.operations[was] = clocks.issue(was.member, prepared, came, act.missing, was.name)
        elif isinstance(act, AttachAct):
            came = self._came(act.arrivals)
            clocks.attach(self.operations[act.operation], act.ranks, came)
        else:
            self.marks[act] = clocks.mark(act.name, act.ranks)

    def moment_ps(self, mark: Mark | None, *, latest: bool = False) -> int:
        """Return the latest clock at a mark; of none, that of now if ``latest``, or else 0."""
        if mark is None:
            return self.clocks.moment_ps() if latest else 0
        (clocks_ps,) = self.clocks.told_marks([self.marks[mark]])
        return int(clocks_ps.max())

    def _came(self, arrivals: tuple[Arrival, ...]) -> tuple[Arrival, ...]:
        return tuple(self.arrivals[each] for each in arrivals)

    def _prepared(self, was: Prepared, ranks: Int32Array) -> Prepared:
        """Return the program of an operation on these links."""
        request, company = was.request, was.company
        if request is None:
            raise ArgumentError(f"{was.plan}: needed an operation that can be asked for again")
        stack = self.timing.stack
        if self.keeps_plans:
            request, company, stack = request.by(was.plan), 1, _as_it_was_sent(was.stack)  # type: ignore[arg-type]
        planner = self._planner_of(self._topology_of(ranks.tobytes()), stack)
        at_ps = self.clocks.earliest_ps(ranks) if planner.changes else 0
        return planner.prepare(request, at_ps, company)

    def _topology_anew(self, ranks: bytes) -> Topology:
        """Return the places of some ranks, as they were before the links were changed."""
        topology = self.conditions(self.timing)[0]
        some = np.frombuffer(ranks, dtype=np.int32).tolist()
        return topology if len(some) == topology.world_size else topology.of_ranks(some)

    def _planner_anew(self, topology: Topology, stack: Stack) -> Planner:
        """Return the planner of ranks that live in ``topology``, shared by all that live alike."""
        _, timing = self.conditions(replace(self.timing, stack=stack))
        return Planner(topology, timing)


def _as_it_was_sent(stack: Stack) -> Stack:
    """Return the stack of an operation without a tuner, which would choose its settings anew."""
    return replace(stack, tuner="none") if stack.tuner == NCCL else stack
