"""When: transfers per second of the scheduler, and the steps before it.

The calibrations are fixed scheduler kernels of the same kind (bench/fixed.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest

from bench.conftest import Measured
from bench.fixed import by_events, in_order
from bench.measuring import Calibration
from bench.reports.trunks import TRUNK
from bench.worlds import LINK, SchedulingProblem, campuses_of_nodes, one_site, unequal_campuses
from emul import NoData, Prediction, World
from emul.plans import (
    ALGORITHMS,
    COLLECTIVES,
    Places,
    Program,
    Shape,
    build_plan,
    verify,
)
from emul.timing import Slicing, time_plan
from emul.timing.engine.ordered import total_in_order
from emul.timing.engine.tables import Tables
from emul.timing.generated import generated_total_ps
from emul.topology import Network
from emul.units import PS_PER_S

CHUNK_BYTES = 4000
COUNTED = 5

ROUNDS = {
    "heap": {100: 30, 316: 15, 1000: 5},
    "ordered": {100: 40, 316: 40, 1000: 25},
    "generated": {100: 40, 316: 40, 1000: 40, 3163: 20, 7072: 10},
}
"""By engine and ranks; of rings of 19 800, 199 080, 1 998 000, 20 002 812 and 100 012 224
transfers. Larger tables do not fit everywhere."""

USUAL = 316
"""Ranks of the ring whose calibration is taken where the work is of another form."""


@lru_cache(maxsize=1)
def ring(ranks: int) -> SchedulingProblem:
    """Return a ring of ``ranks`` on one site; the last one is kept."""
    return SchedulingProblem.of(one_site(ranks), "all_reduce", "ring", chunk_bytes=CHUNK_BYTES)


def ring_total_ps(ranks: int) -> int:
    """Return when a ring whose ranks are all alike ends: its steps one after the other."""
    sending_ps = round(CHUNK_BYTES / LINK.rate_bytes_per_s * PS_PER_S)
    step_ps = sending_ps + round((LINK.overhead_s + LINK.latency_s) * PS_PER_S)
    return 2 * (ranks - 1) * step_ps


class Heap:
    """The engine of discrete events, for any traffic."""

    def __init__(self, problem: SchedulingProblem) -> None:
        """Take the transfers to be timed."""
        self.problem = problem

    def prepare(self) -> None:
        """Count anew who waits for whom, which a run uses up."""
        self.edges = self.problem.edges()

    def run(self) -> dict[str, Any]:
        """Return the times of all transfers."""
        return self.problem.schedule(self.edges)

    def total_ps(self, found: Any) -> int:
        """Return when the last transfer is done, from the times ``found`` by a run."""
        assert len(found["done_ps"]) == len(self.problem.traffic.src)
        return int(found["done_ps"].max())


class Ordered(Heap):
    """One pass in the order of the plan, from tables that are there, for the end alone."""

    def prepare(self) -> None:
        """Make the tables, if they are not there; a run leaves them as they are."""
        if not hasattr(self, "tables"):
            super().prepare()
            of = self.problem
            self.tables = Tables(of.traffic, self.edges, of.network, of.table)
            assert self.tables.fits

    def run(self) -> Any:
        """Return when the last transfer is done."""
        return total_in_order(self.tables)

    def total_ps(self, found: Any) -> int:
        """Return the same."""
        return int(found)


class Generated:
    """Rings timed step by step, with no table of their transfers."""

    def __init__(self, ranks: int) -> None:
        """Prepare the call."""
        plan = ALGORITHMS["ring"].build("all_reduce", Places.of([(1,) * ranks]), 0)
        shape = Shape(COLLECTIVES["all_reduce"], ranks, ranks * CHUNK_BYTES // 4)
        self.arguments: Any = (plan, shape, 4, Network.of(one_site(ranks)))

    def prepare(self) -> None:
        """Prepare nothing more."""

    def run(self) -> Any:
        """Return when the last transfer is done."""
        return generated_total_ps(*self.arguments)

    def total_ps(self, found: Any) -> int:
        """Return the same."""
        return int(found)


ENGINES: dict[str, tuple[Callable[[int], Any], Callable[[int], Calibration]]] = {
    "heap": (lambda ranks: Heap(ring(ranks)), by_events),
    "ordered": (lambda ranks: Ordered(ring(ranks)), in_order),
    "generated": (Generated, lambda _: in_order(USUAL)),
}
"""The maker of an engine of a ring, and its calibration."""

RING_CASES = [(engine, ranks) for engine, several in ROUNDS.items() for ranks in several]


@pytest.mark.parametrize(("engine", "ranks"), RING_CASES)
def test_ring(measured: Measured, engine: str, ranks: int) -> None:
    make, against = ENGINES[engine]
    ours = make(ranks)

    def check(found: Any) -> dict[str, int]:
        assert ours.total_ps(found) == ring_total_ps(ranks)
        return {"transfers": 2 * ranks * (ranks - 1)}

    measured(
        ours.run,
        check,
        against=against(ranks),
        rounds=ROUNDS[engine][ranks],
        prepare=ours.prepare,
        engine=engine,
    )


@pytest.mark.parametrize("algorithm", ["direct", "pairwise"])
def test_shared_trunks(measured: Measured, algorithm: str) -> None:
    """3 x 64 ranks, three trunks that all of their connections share."""
    problem = SchedulingProblem.of(
        campuses_of_nodes(TRUNK), "all_to_all", algorithm, Slicing(), chunk_bytes=CHUNK_BYTES
    )
    ours = Heap(problem)

    def check(times: dict[str, Any]) -> dict[str, int]:
        return {"transfers": problem.check(times)}

    measured(ours.run, check, against=by_events(USUAL), rounds=30, prepare=ours.prepare)


def preparations(
    problem: SchedulingProblem,
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], int]]]:
    """Return the preparations of the scheduler: work, and how many transfers are in its result."""
    program, plan = problem.program, build_plan("all_reduce", "ring", (316,))
    return {
        "prove": (lambda: verify(plan), lambda _: sum(len(step) for step in plan.steps())),
        "program": (lambda: Program.of(plan, program.layout.shape, 4), len),
        "dependencies": (
            lambda: [problem.edges() for _ in range(COUNTED)],
            lambda found: len(problem.traffic.src) * len(found) // COUNTED,
        ),
        "timeline": (lambda: time_plan(program, problem.network), len),
    }


@pytest.mark.parametrize("what", ["prove", "program", "dependencies", "timeline"])
def test_preparing_a_ring_of_199080_transfers(measured: Measured, what: str) -> None:
    work, transfers_in = preparations(ring(316))[what]

    def check(result: Any) -> dict[str, int]:
        assert transfers_in(result) == 2 * 316 * 315
        return {"transfers": transfers_in(result)}

    measured(work, check, against=by_events(USUAL), rounds=20)


def test_three_hundred_thousand_ranks(measured: Measured) -> None:
    """A ring of 100,000 ranks in each of three sites, anew each time, by a few of the ranks."""

    def work() -> Prediction:
        world = World("three-campus-300k")
        return world.predict("all_reduce", 300_000, algorithm="hierarchical", collapse=True)

    def check(found: Prediction) -> dict[str, int]:
        assert found.timeline.sent == 2 * 99_999 * 300_000 + 4 * 300_000
        assert found.time_s > 2 * 99_999 * 11e-6  # a NIC is busy for so long with each transfer
        return {"transfers": found.timeline.sent}

    measured(work, check, against=by_events(USUAL), rounds=12)


def test_sharded_replicas_of_three_hundred_thousand_ranks(measured: Measured) -> None:
    """126 units of a step, anew each time, each call waited for: gather, compute and reduce."""
    part, unit = (NoData(ranks * 4_017_375, "bfloat16") for ranks in (1, 800))

    def work() -> World:
        world = World("three-campus-300k")
        mesh = world.collapse(replicate=375, shard=800)
        shard, replicate = mesh.along("shard"), mesh.along("replicate")
        for _ in range(126):
            shard.all_gather(part)
            world.compute(0.02)
        for _ in range(126):
            shard.all_gather(part)
            world.compute(0.04)
            shard.reduce_scatter(unit)
            replicate.all_reduce(part)
        return world

    def check(found: World) -> dict[str, int]:
        assert len(found.history) == 4 * 126
        ring_s = 792 * (2 * 4_017_375 / 49e9 + 1.1e-5)  # over a NIC, all shards but eight
        assert found.now_s > 126 * (3 * ring_s + 0.06 + 2 * 124 * 1.1e-5)
        return {"calls": len(found.history)}

    measured(work, check, against=by_events(USUAL), rounds=12)


@pytest.mark.parametrize("gibibytes", [1, 754])
def test_campuses_of_unequal_size(measured: Measured, gibibytes: int) -> None:
    """Of 100,000, 50,000 and 20,000 ranks, anew each time, by 136 of them."""
    count = gibibytes << 28

    def work() -> Prediction:
        world = World(unequal_campuses())
        return world.predict("all_reduce", count, algorithm="hierarchical", collapse=True)

    def check(found: Prediction) -> dict[str, int]:
        sizes = (100_000, 50_000, 20_000)
        assert found.timeline.sent >= 2 * sum(n * (n - 1) for n in sizes)
        assert found.time_s > 2 * 99_999 * (11e-6 + 4 * count / 100_000 / 49e9)
        return {"transfers": found.timeline.sent}

    measured(work, check, against=by_events(USUAL), rounds=4)


def test_proving_a_hierarchy_of_708_ranks(measured: Measured) -> None:
    def check(plan: Any) -> dict[str, int]:
        assert plan.world_size == 708
        return {"transfers": sum(len(step) for step in plan.steps())}

    work = lambda: build_plan("all_reduce", "hierarchical", (236,) * 3)  # noqa: E731
    measured(work, check, against=by_events(USUAL), rounds=8)
