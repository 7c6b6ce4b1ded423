"""A program of all ranks, carried out again on other links: its acts as they were recorded."""

from __future__ import annotations

from emul.arrays import Int32Array
from emul.errors import ArgumentError
from emul.plans import Plan
from emul.runtime.alone_period import Arrival
from emul.runtime.clocks import RankClocks
from emul.runtime.operation import Operation
from emul.runtime.planner import Planner, Timing
from emul.runtime.prepared import Prepared
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
from emul.topology import Topology

__all__ = ["replayed_ps"]


def replayed_ps(
    program: RecordedProgram, topology: Topology, timing: Timing, *, keeps_plans: bool
) -> int:
    """Return the picoseconds between the marks of ``program`` on other links.

    All acts are carried out again, from the birth of a World on, each rank at its own pace.
    ``topology``: its links as the stack uses them. ``keeps_plans``: whether each operation has the
    plan that it had; else it is planned anew, as it was asked for. Raises as predictions do.
    """
    replay = _Replay(topology, timing, keeps_plans=keeps_plans)
    for act in program.acts:
        replay.carry_out(act)
    return replay.moment_ps(program.end, latest=True) - replay.moment_ps(program.begin)


class _Replay:
    """The clocks of all ranks, and the counterpart of each recorded operation."""

    def __init__(self, topology: Topology, timing: Timing, *, keeps_plans: bool) -> None:
        self.topology, self.timing, self.keeps_plans = topology, timing, keeps_plans
        self.clocks = RankClocks(Planner(topology, timing), keeps_all=True)
        self.operations: dict[Operation, Operation] = {}
        self.arrivals: dict[Arrival, Arrival] = {}
        self.marks: dict[Mark, Mark] = {}
        self.planners: dict[Topology, Planner] = {topology: self.clocks.planner}
        self.places: dict[bytes, Topology] = {}

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
        if self.keeps_plans:
            assert isinstance(was.plan, Plan), "of each rank"
            request, company = request.by(was.plan), 1
        planner = self._planner_of(ranks)
        at_ps = self.clocks.earliest_ps(ranks) if planner.changes else 0
        return planner.prepare(request, at_ps, company)

    def _planner_of(self, ranks: Int32Array) -> Planner:
        """Return the planner of the places of some ranks, shared by all that live alike."""
        if len(ranks) == self.topology.world_size:
            return self.clocks.planner
        key = ranks.tobytes()
        if key not in self.places:
            self.places[key] = self.topology.of_ranks(ranks.tolist())
        places = self.places[key]
        if places not in self.planners:
            self.planners[places] = Planner(places, self.timing)
        return self.planners[places]
