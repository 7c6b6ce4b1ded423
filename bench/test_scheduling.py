"""When: transfers per second of the scheduler, and what leads up to it.

The calibration is a heap sort of fixed keys: what an event loop does at the least.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from bench.conftest import Measured
from bench.links import TRUNK, topology_of
from bench.measuring import HEAP, heap
from bench.worlds import LINK, one_site
from emul.plans import COLLECTIVES, Program, Shape, build_plan, verify
from emul.timing import Slicing, dependencies, schedule, time_plan
from emul.timing.conditions import Conditions
from emul.timing.traffic import Traffic
from emul.topology import Network, Topology
from emul.units import PS_PER_S

CHUNK_BYTES = 4000
COUNTED = 5

RINGS = {100: (30, heap(1 << 16)), 316: (12, HEAP), 1000: (5, heap(1 << 21))}
"""Ranks of rings of 19 800, 199 080 and 1 998 000 transfers: two decades. Rounds, calibration."""


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """Traffic, and what the scheduler has to know of its network."""

    program: Program
    network: Network
    traffic: Traffic
    conditions: Conditions

    @classmethod
    def of(
        cls, topology: Topology, collective: str, algorithm: str, slicing: Slicing | None
    ) -> Setting:
        n = topology.world_size
        plan = build_plan(collective, algorithm, topology.ranks_by_node)
        shape = Shape(COLLECTIVES[collective], n, n * CHUNK_BYTES // 4)
        program, network = Program.of(plan, shape, 4), Network.of(topology)
        traffic = Traffic.of(program, slicing)
        conditions = Conditions.of(traffic, network, seed=0, start_s=0.0, until_s=60.0)
        return cls(program, network, traffic, conditions)


@lru_cache(maxsize=1)
def ring(ranks: int) -> Setting:
    """Return a ring of ``ranks`` on one site; the last one is kept."""
    return Setting.of(one_site(ranks), "all_reduce", "ring", None)


def ring_total_ps(ranks: int) -> int:
    """Return when a ring whose ranks are all alike ends: its steps one after the other."""
    sending_ps = round(CHUNK_BYTES / LINK.rate_bytes_per_s * PS_PER_S)
    step_ps = sending_ps + round((LINK.overhead_s + LINK.latency_s) * PS_PER_S)
    return 2 * (ranks - 1) * step_ps


class Heap:
    """The engine of discrete events, for any traffic."""

    def __init__(self, setting: Setting) -> None:
        """Take what is to be timed."""
        self.setting = setting

    def prepare(self) -> None:
        """Count anew who waits for whom, which a run uses up."""
        self.edges = dependencies(self.setting.traffic, self.setting.network.world_size)

    def run(self) -> dict[str, Any]:
        """Return the times of all transfers."""
        of = self.setting
        times, trouble = schedule(of.traffic, self.edges, of.network, of.conditions)
        assert trouble is None
        return times


# An engine of a plan whose order is fixed ("ordered", from tables) or whose steps are made as they
# are needed ("generated") goes in here, with the same two methods; its growth is then measured too.
ENGINES: dict[str, type[Heap]] = {"heap": Heap}


@pytest.mark.parametrize("ranks", RINGS)
@pytest.mark.parametrize("engine", ENGINES)
def test_ring(measured: Measured, engine: str, ranks: int) -> None:
    setting = ring(ranks)
    ours = ENGINES[engine](setting)

    def check(times: dict[str, Any]) -> dict[str, int]:
        assert len(times["done_ps"]) == 2 * ranks * (ranks - 1)
        assert int(times["done_ps"].max()) == ring_total_ps(ranks)
        return {"transfers": len(times["done_ps"])}

    rounds, against = RINGS[ranks]
    measured(ours.run, check, against=against, rounds=rounds, prepare=ours.prepare, engine=engine)


@pytest.mark.parametrize("algorithm", ["direct", "pairwise"])
def test_shared_trunks(measured: Measured, algorithm: str) -> None:
    """3 x 64 ranks, three trunks that all of their connections share."""
    topology = topology_of(TRUNK, np.inf)
    setting = Setting.of(topology, "all_to_all", algorithm, Slicing())
    ours, traffic = Heap(setting), setting.traffic
    carried = setting.network.link_bytes(traffic.src, traffic.dst, traffic.nbytes)
    least_ps = float((carried / setting.network.link_rate).max()) * PS_PER_S

    def check(times: dict[str, Any]) -> dict[str, int]:
        sent = traffic.src != traffic.dst
        assert (times["done_ps"][sent] > 0).all()
        assert times["done_ps"].max() >= least_ps
        return {"transfers": int(sent.sum())}

    measured(ours.run, check, against=HEAP, rounds=30, prepare=ours.prepare)


def preparations(setting: Setting) -> dict[str, tuple[Callable[[], Any], Callable[[Any], int]]]:
    """Return what comes before the scheduler: work, and how many transfers are in its result."""
    program, plan = setting.program, build_plan("all_reduce", "ring", (316,))
    n = plan.world_size
    return {
        "prove": (lambda: verify(plan), lambda _: sum(len(step) for step in plan.steps())),
        "program": (lambda: Program.of(plan, program.layout.shape, 4), len),
        "dependencies": (
            lambda: [dependencies(setting.traffic, n) for _ in range(COUNTED)],
            lambda found: len(setting.traffic.src) * len(found) // COUNTED,
        ),
        "timeline": (lambda: time_plan(program, setting.network), len),
    }


@pytest.mark.parametrize("what", ["prove", "program", "dependencies", "timeline"])
def test_preparing_a_ring_of_199080_transfers(measured: Measured, what: str) -> None:
    work, transfers_in = preparations(ring(316))[what]

    def check(result: Any) -> dict[str, int]:
        assert transfers_in(result) == 2 * 316 * 315
        return {"transfers": transfers_in(result)}

    measured(work, check, against=HEAP, rounds=20)


def test_proving_a_hierarchy_of_708_ranks(measured: Measured) -> None:
    def check(plan: Any) -> dict[str, int]:
        assert plan.world_size == 708
        return {"transfers": sum(len(step) for step in plan.steps())}

    work = lambda: build_plan("all_reduce", "hierarchical", (236,) * 3)  # noqa: E731
    measured(work, check, against=HEAP, rounds=6)
