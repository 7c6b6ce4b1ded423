"""``emul train``: a job of 170,000 ranks by one method with all changes, as a planner asks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bench.conftest import Measured
from bench.measuring import INTERPRETER
from emul import Link, Node, Site, Topology, Trunk
from emul.report.training import TrainedMethod
from emul.topology import NodeRuns
from emul.training import HSDP, Job, LocalSteps
from emul.training.job import Method

SITES = {"west": 12500, "east": 6250, "south": 2500}
TRUNKS = {("west", "east"): (18, 4), ("west", "south"): (35, 2), ("east", "south"): (53, 1)}
"""Kilometres, and waves of 400G."""

WAVE_BYTES_PER_S = 49e9
S_PER_KM = 5e-6


def campuses() -> Topology:
    """Return 100,000, 50,000 and 20,000 ranks, eight of each node."""
    node_link = Link(4e11, 1e-6, 3e-6)
    nic = Link(48e9, 5e-6, 10e-6)
    sites = tuple(
        Site(name, NodeRuns.of([Node(8, node_link)] * number), nic)
        for name, number in SITES.items()
    )
    trunks = tuple(
        Trunk(ends, Link(waves * WAVE_BYTES_PER_S, km * S_PER_KM, 10e-6, waves=waves))
        for ends, (km, waves) in TRUNKS.items()
    )
    return Topology("campuses", sites, trunks)


@pytest.mark.parametrize("method", [HSDP(), LocalSteps(50)], ids=["hsdp", "local"])
def test_step_with_changes(measured: Measured, method: Method) -> None:
    """The step, its causes, one campus, and every change as a run of its own."""
    mesh = {"replicate": 17, "shard": 125, "pipeline": 10, "tensor": 8}
    topology = campuses()

    def work() -> TrainedMethod:
        job = Job(model="llama-3.1-405b", world=topology, mesh=mesh, compute_s=1.7, method=method)
        found = TrainedMethod(job.run())
        found.work_out()
        return found

    def check(found: Any) -> Mapping[str, Any]:
        step = found.step
        assert step.timer.world.size < 64
        assert abs(sum(step.exposed.values()) - step.exposed_s) < 1e-9
        assert step.changes
        return {"calls": 1 + len(step.changes)}

    measured(work, check, against=INTERPRETER, rounds=1)
