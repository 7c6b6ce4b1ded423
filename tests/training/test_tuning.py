"""Tuning a job: each case is the job run again, and nothing is kept that saves nothing."""

from dataclasses import replace

import pytest

from emul import ArgumentError, Link, Node, Site, Topology, Trunk
from emul.training import DDP, HSDP, Job, LocalSteps, Model, tune
from emul.training.specification import mesh_of, method_of

NIC = Link(rate_bytes_per_s=1e11, latency_s=1e-6)
TWO = Topology(
    "two",
    tuple(Site(name, (Node(1, NIC),) * 2, NIC) for name in "ab"),
    (Trunk(("a", "b"), Link(rate_bytes_per_s=4e9, latency_s=1e-4, overhead_s=1e-5)),),
)
JOB = Job(
    model=Model(1e9, 4),
    world=TWO,
    mesh={"replicate": 2, "shard": 2},
    compute_s=0.2,
    method=DDP(buckets=2),
)


def test_each_case_is_the_job_with_its_settings_on_its_links():
    """And no upgrade is slower than the best settings on the links as they are."""
    found = tune(JOB, upgrades=["wave"], pairs=False)
    assert found.today.time_s == JOB.run().time_s
    assert found.best.time_s < found.today.time_s
    for case in found.cases:
        topology = TWO
        for change in case.changes:
            topology = change.applied(topology)
        method, mesh = (case.settings[name] for name in ("method", "mesh"))
        again = replace(JOB, world=topology, method=method_of(method), mesh=mesh_of(mesh)).run()
        assert case.time_s == again.time_s
        assert case.time_s <= found.best.time_s or case is found.today
    assert len(found.of_kind("upgrade")) == 1


def test_the_order_of_axes_is_searched():
    """Sharding over the trunk is undone: the replicas of HSDP go inside sites."""
    job = replace(JOB, mesh={"shard": 2, "replicate": 2}, method=HSDP(buckets=4))
    assert job.placement.crosses_trunk("shard")
    best = tune(job, upgrades=[], pairs=False).best
    assert best.time_s < job.run().time_s


def test_other_training_is_searched_when_asked_for():
    """Local steps and wire formats change the loss."""
    alike = tune(JOB, upgrades=[], pairs=False)
    other = tune(JOB, upgrades=[], pairs=False, other_training=True)
    assert other.best.time_s < alike.best.time_s
    method = method_of(other.best.settings["method"])
    assert isinstance(method, LocalSteps) or method.wire is not None
    assert "Wire formats and local steps" in alike.searched[0]


def test_a_search_goes_on_from_its_file(tmp_path):
    """Nothing is timed twice, and a file of another job is refused."""
    state = tmp_path / "cases.jsonl"
    first = tune(JOB, upgrades=[], pairs=False, state=state)
    written = state.read_bytes()
    again = tune(JOB, upgrades=[], pairs=False, state=state)
    assert again.cases == first.cases
    assert state.read_bytes() == written
    with pytest.raises(ArgumentError, match="holds the cases of other inputs"):
        tune(replace(JOB, compute_s=0.3), upgrades=[], pairs=False, state=state)


def test_a_method_of_ones_own_is_refused():
    """A search has no fields of it to change."""
    with pytest.raises(ArgumentError, match="method mine: cannot be tuned"):
        tune(replace(JOB, method=mine))


def mine(seat):
    """Compute alone."""
    yield seat.forward()
    yield seat.backward()
