"""Programs on the clocks of a World: steps, long loops, logs and outages, without data.

Their time is that of the interpreter and of the scheduler by turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.conftest import Measured
from bench.measuring import INTERPRETER
from bench.sharding import UNITS, overlapping, synchronous
from emul import NoData, OutageError, ProgramRun, Topology, World
from emul.collapsed import CollapsedMesh
from emul.links.changes import Changes, Outages
from emul.programs import Act, Compute, Issue, Log, Wait
from emul.topology import load

PARAMETERS, BUCKETS = 10**9, 80
FORWARD_S, BACKWARD_S = 0.1, 0.2

PLAIN, FAR = "one-campus", "three-campus-dark-fibre"
"""Links without a memory, and links with one (their streams draw their waves and jitter)."""


EIGHT = (0, 1, 2, 8, 9, 10, 16, 17)
"""Of 24 ranks: some of each campus."""


def step(world: World, bucket: NoData) -> None:
    """Let a step of data-parallel training pass: each bucket goes out when it is made."""
    world.compute(FORWARD_S)
    handles = []
    for _ in range(BUCKETS):
        world.compute(BACKWARD_S / BUCKETS)
        handles.append(world.all_reduce(bucket, async_op=True))
    for handle in handles:
        handle.wait()


@pytest.mark.parametrize("topology", [PLAIN, FAR])
def test_step_of_80_buckets(measured: Measured, topology: str) -> None:
    """A step of 10^9 parameters in bfloat16 on 3 x 8 ranks, of a World that has made one before.

    To be held against 50 ms of processor time.
    """
    bucket, worlds = NoData(PARAMETERS // BUCKETS, "bfloat16"), [World(topology)]

    def prepare() -> None:
        worlds[0] = World.of(worlds[0].settings)
        step(worlds[0], bucket)

    def work() -> World:
        step(worlds[0], bucket)
        return worlds[0]

    def check(world: World) -> Mapping[str, Any]:
        rows = world.history
        assert len(rows) == 2 * BUCKETS
        assert all(row.done_ps > row.issued_ps for row in rows)
        assert world.now_s > 2 * (FORWARD_S + BACKWARD_S)
        return {"calls": BUCKETS}

    measured(work, check, against=INTERPRETER, rounds=8, prepare=prepare)


@pytest.mark.parametrize(("topology", "operations"), [(PLAIN, 10_000), (FAR, 1000)])
def test_operations_of_8_ranks(measured: Measured, topology: str, operations: int) -> None:
    """Issued, waited for and let go of; 10,000 of them are to be held against 5 s of processor."""
    eight, x = load(topology).of_ranks(EIGHT), NoData(1 << 20, "float32")
    worlds = [World(eight)]

    def prepare() -> None:
        worlds[0] = World(eight)

    def work() -> World:
        world = worlds[0]
        for _ in range(operations):
            world.compute(1e-4)
            world.all_reduce(x, algorithm="ring", async_op=True).wait()
        return world

    def check(world: World) -> Mapping[str, Any]:
        assert world.history[-1].number == operations - 1
        return {"calls": operations}

    measured(work, check, against=INTERPRETER, rounds=3, prepare=prepare)


def write_log(path: Path, ranks: int, operations: int) -> None:
    """Write a log in which all ranks issue and wait for so many operations."""
    acts: list[list[Act]] = [
        [act for _ in range(operations) for act in (Issue("all_reduce", 1 << 18), Wait())]
        for _ in range(ranks)
    ]
    for rank, own in enumerate(acts):
        own.insert(0, Compute(rank * 1e-4))
    Log(tuple(map(tuple, acts))).write(path)


def test_a_log_of_10000_operations(measured: Measured, tmp_path: Path) -> None:
    """Of 8 ranks, read and carried out anew each time."""
    operations, eight = 10_000, load(PLAIN).of_ranks(EIGHT)
    path = tmp_path / "run.jsonl"
    write_log(path, 8, operations)

    def check(run: ProgramRun) -> Mapping[str, Any]:
        assert run.operations[-1].number == operations - 1
        return {"calls": operations}

    measured(lambda: World(eight).run(path), check, against=INTERPRETER, rounds=3)


@pytest.mark.parametrize(("program", "units"), [(synchronous, UNITS), (overlapping, 4)])
def test_sharded_replicas_of_300_000_ranks(
    measured: Measured, program: Callable[[World, CollapsedMesh, int], None], units: int
) -> None:
    """From a new World on; 126 synchronous units are to be held against 2 s of processor."""
    topology = load("three-campus-300k")

    def work() -> World:
        world = World(topology)
        program(world, world.collapse(replicate=375, shard=800), units)
        return world

    def check(world: World) -> Mapping[str, Any]:
        assert len(world.ranks_now_s) == world.size
        assert world.history[-1].done_ps == round(world.now_s * 1e12)
        return {"calls": units}

    measured(work, check, against=INTERPRETER, rounds=3)


def with_an_outage(from_s: float, lasting_s: float) -> Topology:
    """Return the far campuses, one trunk of which is down for a while."""
    topology = load(FAR)
    first, *others = topology.trunks
    transport = replace(first.link.transport, rto_s=0.01)
    changes = Changes(outages=Outages(schedule=((from_s, lasting_s),)))
    down = replace(first, link=replace(first.link, transport=transport), changes=changes)
    return replace(topology, trunks=(down, *others))


def test_a_program_with_an_outage(measured: Measured) -> None:
    """200 calls of 3 x 8 ranks, some of which fail while a trunk is down."""
    topology, calls, x = with_an_outage(0.1, 1.0), 200, NoData(1 << 18, "float32")

    def work() -> int:
        world, failed = World(topology), 0
        for _ in range(calls):
            world.compute(0.005)
            try:
                world.all_reduce(x, algorithm="hierarchical")
            except OutageError:
                failed += 1
        assert sum(row.failure is not None for row in world.history) == failed
        return failed

    def check(failed: int) -> Mapping[str, Any]:
        assert 0 < failed < calls
        return {"calls": calls}

    measured(work, check, against=INTERPRETER, rounds=5)
