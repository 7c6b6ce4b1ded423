"""From a call to its plan, its program and its predicted time; and the choice of ``auto``."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from functools import cached_property, lru_cache
from math import inf
from pathlib import Path
from types import MappingProxyType

from emul.errors import ArgumentError, PlanError, shown
from emul.plans import (
    Places,
    Plan,
    Program,
    Schedule,
    Shape,
    SymmetricPlan,
    algorithms_for,
    build_plan,
    collective_named,
    is_plan_file,
    plan_from,
    proof_bytes,
    read_plan,
    unproven_plan,
    verify,
)
from emul.plans.algorithms.hierarchical import NAME as HIERARCHICAL
from emul.runtime.candidates import (
    PART_FOR_COMPARISON,
    PROVEN_IN_AN_INSTANT,
    Candidate,
    PassedOver,
    check_transfers,
    check_work,
    in_words,
    is_outage,
    nothing_timed,
    passing_over,
)
from emul.runtime.run import Prediction
from emul.stacks import IDEAL, Stack
from emul.stacks.nccl import choose, stack_for
from emul.stacks.nccl_tuner import Nodes
from emul.stacks.overheads import with_overheads
from emul.timing import (
    Slicing,
    Timeline,
    busiest_link_ps,
    check_carried,
    most_in_flight,
    time_excerpt,
    time_plan,
)
from emul.topology import Network, Topology, world_of
from emul.topology.bound import Bounded
from emul.topology.connection_limit import Connection
from emul.units import PS_PER_S

__all__ = ["AUTO", "MOST_RANKS_IN_FULL", "Algorithm", "Planner"]

Algorithm = str | Plan | Schedule
"""A name, the path of a file, a plan, or a function that yields steps."""

Prepared = tuple[Program, Prediction]

AUTO = "auto"
NCCL = "nccl"
SEND_RECV = "send_recv"
"""Its root is how far along each rank sends."""

MOST_RANKS_IN_FULL = 4096
"""Of worlds whose ranks may each be timed: a ring of so many has 33 million transfers."""

TIMED_IN_AN_INSTANT = 1 << 18
"""Transfers or slices: 0.1 s (bench/plans.py)."""


class Planner:
    """Prepares collectives on a network; what was prepared lately is kept."""

    def __init__(
        self,
        topology: Topology,
        slicing: Slicing | None,
        *,
        seed: int = 0,
        start_s: float = 0.0,
        stack: Stack = IDEAL,
        bounded: bool = False,
    ) -> None:
        """Take the places, in which pieces chunks are sent on, and what draws and changes need.

        ``stack``: who puts messages on the wire, and what ``auto`` then stands for. ``bounded``:
        for a comparison, which is refused, for a named algorithm too, where it is more than a part
        of the work that ``auto`` takes on (emul.runtime.candidates.PART_FOR_COMPARISON).
        """
        self.topology = topology
        self.slicing = slicing
        self.seed = seed
        self.start_s = start_s
        self.stack = stack
        self.bounded, self._part = bounded, PART_FOR_COMPARISON if bounded else 1
        self.made = 0
        """How many calls were prepared anew."""
        self._file = lru_cache(maxsize=32)(_read)
        self._plan = lru_cache(maxsize=128)(self._plan_anew)
        self._prepared = lru_cache(maxsize=32)(self._prepare_anew)
        self._collapsed = lru_cache(maxsize=32)(self._collapse_anew)

    @cached_property
    def network(self) -> Network:
        """The topology as flat arrays, made when they are first asked for."""
        return Network.of(self.topology)

    def predict(
        self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int, *, collapse: bool
    ) -> Prediction:
        """Return the prediction of a call; with ``collapse``, ranks that sit alike timed once.

        Where they are not alike, and for ``auto``, each is timed unless there are too many of them.
        """
        too_many = self.topology.world_size > MOST_RANKS_IN_FULL
        if collapse and (too_many or algorithm != AUTO):
            try:
                return self._collapsed(shape, algorithm, root, itemsize)
            except ArgumentError:
                if too_many:
                    raise
        return self.prepare(shape, algorithm, root, itemsize)[1]

    def prepare(self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int) -> Prepared:
        """Return program and prediction of a call; raises what is wrong with the algorithm."""
        if not (isinstance(algorithm, str | Plan) or _is_schedule(algorithm)):
            raise ArgumentError(
                f"algorithm {shown(algorithm)}: needed a name, a Plan, or a function that yields "
                "steps"
            )
        if isinstance(algorithm, str) and "\0" in algorithm:
            raise ArgumentError(f"algorithm {shown(algorithm)}: needed a name or a path")
        if is_plan_file(algorithm):
            algorithm = self._file(algorithm, _version(algorithm))
        return self._prepared(shape, algorithm, root, itemsize)

    def _plan_anew(
        self,
        collective: str,
        algorithm: Algorithm,
        root: int,
        nodes: tuple[int, ...] | None = None,
    ) -> Plan:
        """Return the plan; with ``nodes``, their numbers of ranks, these are the sites."""
        if isinstance(algorithm, str):
            sites = nodes or self.topology.ranks_by_node
            if self.bounded:
                unproven = unproven_plan(collective, algorithm, sites, root=root)
                check_work(unproven, self._part)
            return build_plan(collective, algorithm, sites, root=root)
        plan, n = algorithm, self.topology.world_size
        if not isinstance(plan, Plan):
            plan = plan_from(plan, collective, n, root=root)
        self._check_fits(plan, collective, root)
        verify(plan)
        return plan

    def _check_fits(self, plan: Plan, collective: str, root: int) -> None:
        """Raise PlanError if ``plan`` is not for this collective, these ranks and this root."""
        n = self.topology.world_size
        promise = collective_named(collective)
        same_root = plan.root == root or not (promise.rooted or collective == SEND_RECV)
        if (plan.collective, plan.world_size) == (collective, n) and same_root:
            return
        needed = [f"a plan for {collective} over {n} ranks, root {root}"]
        if plan.collective != collective:
            needed.append(f"or to ask for {plan.collective}, which it computes")
        if plan.world_size != n:
            needed.append(f"or {world_of(plan.world_size)}")
        raise PlanError(f"{plan}, root {plan.root}: needed {', '.join(needed)}")

    def _prepare_anew(
        self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int
    ) -> Prepared:
        self.made += 1
        if self.stack.tuner == NCCL and shape.counts is None:
            return self._as_nccl(shape, algorithm, root, itemsize)
        if algorithm == AUTO:
            known = self._library_algorithm(shape, itemsize)
            if known is None:
                return self._quickest(shape, root, itemsize)
            algorithm = known
        plan = self._plan(shape.collective.name, algorithm, root)
        return self._timed(plan, Program.of(plan, shape, itemsize), root)

    def _as_nccl(self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int) -> Prepared:
        """Return the call as NCCL would send it, by its own choice of algorithm or by another."""
        nodes, name = Nodes.of(self.topology), shape.collective.name
        setting = choose(name, nodes, shape.width * itemsize, _asked(algorithm))
        if isinstance(algorithm, str):
            algorithm = setting.algorithm
        plan = self._plan(name, algorithm, root, nodes.ranks if setting.over_nodes else None)
        program = Program.of(plan, shape, itemsize)
        return self._timed(plan, program, root, stack_for(self.stack, setting, nodes))

    def _library_algorithm(self, shape: Shape, itemsize: int) -> str | None:
        """Return what the library takes; None where that is not known, or blocks are uneven."""
        if shape.counts is not None:
            return None
        name, nbytes = shape.collective.name, shape.width * itemsize
        return self.stack.algorithm_for(name, self.topology.world_size, nbytes)

    def _timed(
        self, plan: Plan, program: Program, root: int, stack: Stack | None = None
    ) -> Prepared:
        """Return the program and its prediction; ``stack``: of this call, if not the usual one."""
        shape, itemsize = program.layout.shape, program.itemsize
        stack = stack or self.stack
        slicing = Slicing.of(stack, self.slicing)
        if self.bounded:
            check_transfers(program, slicing, self._part)
        timeline = time_plan(
            program,
            self.network,
            slicing,
            seed=self.seed,
            start_s=self.start_s,
            stack=stack,
        )
        number = self.network.most_connections(program.src, program.dst, program.channel)
        return program, self._prediction(plan, shape, itemsize, root, timeline, stack, number)

    def _prediction(
        self,
        plan: Plan | SymmetricPlan,
        shape: Shape,
        itemsize: int,
        root: int,
        timeline: Timeline,
        stack: Stack,
        connections: int,
    ) -> Prediction:
        """Return what ``timeline`` says, beside the least that any algorithm would take.

        ``connections``: the most that a rank has beyond its site.
        """
        check_carried(timeline)
        topology = with_overheads(self.topology, stack.hop_overhead_s)
        at_once = stack is not IDEAL and stack.sends_whole_messages
        in_flight = most_in_flight(timeline.transfers)
        bounded = Bounded(
            topology,
            shape.collective.name,
            shape.width * itemsize,
            root,
            timeline.roundings,
            None if shape.counts is None else shape.table * itemsize,
            Connection(max(1, connections), in_flight, at_once),
        )
        return Prediction(
            plan,
            shape,
            bounded.nbytes,
            timeline,
            bounded.by_links_ps(),
            bounded.by_connections_ps(),
            bounded,
            stack,
        )

    def _collapse_anew(
        self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int
    ) -> Prediction:
        """Return the prediction by an excerpt; raises ArgumentError where there is none."""
        if self.stack is not IDEAL:
            raise ArgumentError(
                f"stack {self.stack.name}: the ranks of a world cannot be timed by a few of them: "
                "needed the stack ideal"
            )
        if algorithm == AUTO:
            return self._quickest_excerpt(shape, root, itemsize)
        return self._excerpt(shape, _asked(algorithm) or "", root, itemsize)

    def _excerpt(self, shape: Shape, algorithm: str, root: int, itemsize: int) -> Prediction:
        """Return the prediction by an excerpt of the plan; raises ArgumentError if it has none."""
        places = Places.of(self.topology.ranks_by_node)
        too_many = places.world_size > MOST_RANKS_IN_FULL  # to be timed each, exactly
        excerpt = SymmetricPlan.of(shape.collective.name, algorithm, places, lengthened=too_many)
        timeline = time_excerpt(
            excerpt,
            shape,
            itemsize,
            self.topology,
            self.slicing,
            seed=self.seed,
            start_s=self.start_s,
        )
        ends = timeline.src, timeline.dst, timeline.transfers.channel
        number = timeline.network.most_connections(*ends)
        return self._prediction(excerpt, shape, itemsize, root, timeline, self.stack, number)

    def _quickest_excerpt(self, shape: Shape, root: int, itemsize: int) -> Prediction:
        """Return the quickest of the algorithms that can be timed by an excerpt."""
        found: list[Prediction] = []
        passed_over: PassedOver = {}
        for algorithm in algorithms_for(shape.collective.name, uneven=shape.counts is not None):
            with passing_over(algorithm, passed_over, ArgumentError):
                found.append(self._excerpt(shape, algorithm, root, itemsize))
        if not found:
            if isinstance(why := passed_over.get(HIERARCHICAL), ArgumentError):
                raise why
            raise nothing_timed(shape, passed_over)
        best = min(found, key=_predicted_ps)
        times = {each.algorithm: each.time_s for each in found}
        return replace(
            best,
            considered=MappingProxyType(times),
            passed_over=MappingProxyType(in_words(passed_over)),
        )

    def _quickest(self, shape: Shape, root: int, itemsize: int) -> Prepared:
        """Return what the model finds quickest, and what the others would have cost.

        The most promising ones come first, by their busiest links. Of those that cannot win any
        more, only the ones that are timed in an instant are timed. Those that cannot be timed are
        passed over (memory, an outage, much work), unless these are all.
        """
        passed_over: PassedOver = {}
        times: dict[str, float] = {}
        ruled_out: dict[str, float] = {}
        best: Prepared | None = None  # of the others the tables would fill the memory
        for each in self._by_promise(shape, root, itemsize, passed_over):
            best_ps = best[1].total_ps if best else each.least_ps
            if each.least_ps > best_ps and each.program is None:
                ruled_out[each.algorithm] = each.least_ps / PS_PER_S
                continue
            with passing_over(each.algorithm, passed_over):
                plan = self._plan(shape.collective.name, each.algorithm, root)
                program = each.program or Program.of(plan, shape, itemsize)
                timed = self._timed(plan, program, root)
                times[timed[1].plan.algorithm] = timed[1].time_s
                if best is None or timed[1].total_ps < best[1].total_ps:
                    best = timed
        if best is None:
            raise nothing_timed(shape, passed_over)
        ruled_out |= {name: inf for name, why in passed_over.items() if is_outage(why)}
        return best[0], replace(
            best[1],
            considered=MappingProxyType(times),
            ruled_out=MappingProxyType(ruled_out),
            passed_over=MappingProxyType(in_words(passed_over)),
        )

    def _by_promise(
        self, shape: Shape, root: int, itemsize: int, passed_over: PassedOver
    ) -> list[Candidate]:
        """Return all algorithms that can be timed, the least time that each can take first.

        Whether memory and work of each are within bounds is looked up before its work begins.
        """
        name, found = shape.collective.name, []
        for algorithm in algorithms_for(name, uneven=shape.counts is not None):
            with passing_over(algorithm, passed_over):
                plan = unproven_plan(name, algorithm, self.topology.ranks_by_node, root=root)
                check_work(plan, self._part)
                program = Program.of(plan, shape, itemsize)
                least_ps = busiest_link_ps(program, self.network)
                transfers = check_transfers(program, self.slicing, self._part)
                instant = transfers <= TIMED_IN_AN_INSTANT
                instant &= proof_bytes(plan) <= PROVEN_IN_AN_INSTANT
                found.append(Candidate(least_ps, algorithm, program if instant else None))
        return sorted(found, key=_least_ps)


def _is_schedule(algorithm: object) -> bool:
    """Say whether this may be a function that yields steps; it is kept by its hash."""
    return (
        callable(algorithm) and not isinstance(algorithm, type) and isinstance(algorithm, Hashable)
    )


def _asked(algorithm: Algorithm) -> str | None:
    """Return the name of an algorithm, None for ``auto``; empty for steps of one's own."""
    if algorithm == AUTO:
        return None
    if isinstance(algorithm, Plan):
        return algorithm.algorithm
    return algorithm if isinstance(algorithm, str) else ""


def _predicted_ps(prediction: Prediction) -> int:
    return prediction.total_ps


def _least_ps(candidate: Candidate) -> int:
    return candidate.least_ps


def _version(path: str) -> tuple[int, int] | None:
    """Return what changes when a file does; None when it is not there."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: str, version: object) -> Plan:
    """Return the plan of a file in this ``version``."""
    return read_plan(path)
