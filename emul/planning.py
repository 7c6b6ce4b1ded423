"""From a call to its plan, its program and its predicted time; and the choice of ``auto``."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import inf
from pathlib import Path
from types import MappingProxyType

from emul.errors import ArgumentError, OutageError, PlanError
from emul.plans import (
    PLAN_FILE,
    Plan,
    Program,
    Schedule,
    Shape,
    algorithms_for,
    build_plan,
    plan_from,
    read_plan,
    verify,
)
from emul.run import Prediction
from emul.timing import UNLIMITED, Slicing, busiest_link_ps, time_plan, transfers_in
from emul.topology import Network
from emul.topology.bound import lower_bound_ps
from emul.units import PS_PER_S

__all__ = ["AUTO", "Algorithm", "Planner"]

Algorithm = str | Plan | Schedule
"""A name, the path of a file, a plan, or a function that yields steps."""

Prepared = tuple[Program, Prediction]

AUTO = "auto"

TIMED_IN_AN_INSTANT = 1 << 18
"""Transfers or slices: 0.1 s (bench/plans.py)."""


class Planner:
    """Prepares collectives on a network; what was prepared lately is kept."""

    def __init__(
        self,
        network: Network,
        slicing: Slicing | None,
        *,
        seed: int = 0,
        start_s: float = 0.0,
    ) -> None:
        """Take the network, in which pieces chunks are sent on, and what draws and changes need."""
        self.network = network
        self.slicing = slicing
        self.seed = seed
        self.start_s = start_s
        self._file = lru_cache(maxsize=32)(_read)
        self._plan = lru_cache(maxsize=128)(self._plan_anew)
        self._prepared = lru_cache(maxsize=32)(self._prepare_anew)

    def prepare(self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int) -> Prepared:
        """Return program and prediction of a call; raises what is wrong with the algorithm."""
        if not (isinstance(algorithm, str | Plan) or callable(algorithm)):
            raise ArgumentError(
                f"algorithm {algorithm!r}: needed a name, a Plan, or a function that yields steps"
            )
        if isinstance(algorithm, str) and algorithm.endswith(PLAN_FILE):
            algorithm = self._file(algorithm, _version(algorithm))
        return self._prepared(shape, algorithm, root, itemsize)

    def _plan_anew(self, collective: str, algorithm: Algorithm, root: int) -> Plan:
        if isinstance(algorithm, str):
            sites = self.network.topology.ranks_by_node
            return build_plan(collective, algorithm, sites, root=root)
        plan, n = algorithm, self.network.world_size
        if not isinstance(plan, Plan):
            plan = plan_from(plan, collective, n, root=root)
        if (plan.collective, plan.world_size, plan.root) != (collective, n, root):
            raise PlanError(
                f"{plan}, root {plan.root}: needed a plan for {collective} over {n} ranks, "
                f"root {root}"
            )
        verify(plan)
        return plan

    def _prepare_anew(
        self, shape: Shape, algorithm: Algorithm, root: int, itemsize: int
    ) -> Prepared:
        if algorithm == AUTO:
            return self._quickest(shape, root, itemsize)
        plan = self._plan(shape.collective.name, algorithm, root)
        return self._timed(plan, Program.of(plan, shape, itemsize), root)

    def _timed(self, plan: Plan, program: Program, root: int) -> Prepared:
        shape, itemsize = program.layout.shape, program.itemsize
        timeline = time_plan(
            program, self.network, self.slicing, seed=self.seed, start_s=self.start_s
        )
        bound_ps, window_bound_ps = (
            lower_bound_ps(
                self.network.topology,
                shape.collective.name,
                shape.width * itemsize,
                root,
                timeline.sent,
                None if shape.counts is None else shape.table * itemsize,
                slots_bytes=slots_bytes,
            )
            for slots_bytes in (None, _slots_bytes(self.slicing))
        )
        return program, Prediction(
            plan, shape, shape.width * itemsize, timeline, bound_ps, window_bound_ps
        )

    def _quickest(self, shape: Shape, root: int, itemsize: int) -> Prepared:
        """Return what the model finds quickest, and what the others would have cost.

        The most promising ones come first, by their busiest links. Of those that cannot win any
        more, only the ones that are timed in an instant are timed. Those that an outage kills are
        passed over, unless it kills them all.
        """
        failure = OutageError()
        timed: list[Prepared] = []
        ruled_out: dict[str, float] = {}
        for floor_ps, plan, program in self._by_promise(shape, root, itemsize):
            best_ps = min(map(_total_ps, timed), default=floor_ps)
            if floor_ps > best_ps and transfers_in(program, self.slicing) > TIMED_IN_AN_INSTANT:
                ruled_out[plan.algorithm] = floor_ps / PS_PER_S
                continue
            try:
                timed.append(self._timed(plan, program, root))
            except OutageError as error:
                ruled_out[plan.algorithm], failure = inf, error
        if not timed:
            raise failure
        program, best = min(timed, key=_total_ps)
        times = {each.plan.algorithm: each.time_s for _, each in timed}
        known = MappingProxyType(times), MappingProxyType(ruled_out)
        return program, replace(best, considered=known[0], ruled_out=known[1])

    def _by_promise(
        self, shape: Shape, root: int, itemsize: int
    ) -> list[tuple[int, Plan, Program]]:
        """Return plans and programs of all algorithms, the least time that each can take first."""
        name, found = shape.collective.name, []
        for algorithm in algorithms_for(name, uneven=shape.counts is not None):
            plan = self._plan(name, algorithm, root)
            program = Program.of(plan, shape, itemsize)
            found.append((busiest_link_ps(program, self.network), plan, program))
        return sorted(found, key=_least_ps)


def _slots_bytes(slicing: Slicing | None) -> float:
    """Return what a connection may have in flight in its slots."""
    if slicing is None or slicing.slots >= UNLIMITED:
        return inf
    return float(slicing.slice_bytes * slicing.slots)


def _total_ps(prepared: Prepared) -> int:
    return prepared[1].timeline.total_ps


def _least_ps(candidate: tuple[int, Plan, Program]) -> int:
    return candidate[0]


def _version(path: str) -> tuple[int, int] | None:
    """Return what changes when a file does; None when it is not there."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _read(path: str, version: object) -> Plan:
    """Return the plan of a file in this ``version``."""
    return read_plan(path)
