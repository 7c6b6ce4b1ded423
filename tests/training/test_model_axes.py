"""Axes of a model: pipelines by their closed forms, and operations that cross trunks."""

from dataclasses import replace

import pytest

import emul
from emul import ArgumentError, Link, Node, Site, Topology, Trunk
from emul.training import DDP, Job, Model, Pipeline
from emul.training.placement import Placement

FREE = Link(rate_bytes_per_s=1e17, latency_s=0.0)
MODEL = Model(1e6, 6, hidden=64)


def two_sites(trunk, ranks=4):
    sites = tuple(Site(name, (Node(1, FREE),) * ranks, FREE) for name in "ab")
    return Topology("two", sites, (Trunk(("a", "b"), trunk),))


@pytest.mark.parametrize("schedule", ["1f1b", "gpipe"])
@pytest.mark.parametrize(("micro_batches", "stages"), [(1, 2), (4, 2), (3, 8), (16, 4)])
def test_a_pipeline_on_free_links_has_its_bubble_alone(schedule, micro_batches, stages):
    """(m + p - 1) / m of the compute: Narayanan et al., arXiv 2104.04473."""
    mesh = {"replicate": 8 // stages, "pipeline": stages}
    job = Job(
        model=MODEL,
        world=two_sites(FREE),
        mesh=mesh,
        compute_s=0.6,
        tokens=8,
        method=Pipeline(micro_batches, schedule),
    )
    step = job.run()
    assert step.time_s == pytest.approx(0.6 * (micro_batches + stages - 1) / micro_batches, 1e-6)
    assert step.exposed[("", "other ranks", "compute")] == pytest.approx(
        0.6 * (stages - 1) / micro_batches, rel=1e-6
    )


def test_a_pipeline_over_a_trunk_waits_for_it_once_each_way_and_micro_batch():
    """One micro-batch, two stages: forward, way, forward, backward, way, backward, buckets."""
    trunk = Link(rate_bytes_per_s=1e9, latency_s=2e-3)
    topology = two_sites(trunk, ranks=1)
    job = Job(
        model=MODEL,
        world=topology,
        mesh={"pipeline": 2},
        compute_s=0.6,
        tokens=1e5,
        method=Pipeline(1, data=DDP(buckets=1)),
    )
    step = job.run()
    world = emul.World(topology)
    count = int(1e5) * 64
    world.run(
        {
            0: [emul.programs.Send(1, count, dtype="bfloat16"), emul.programs.Wait()],
            1: [emul.programs.Recv(0, count, dtype="bfloat16"), emul.programs.Wait()],
        }
    )
    assert step.time_s == pytest.approx(1.2 + 2 * world.now_s, rel=1e-9)
    assert {axis for axis, _, _ in step.exposed} == {"", "pipeline"}


@pytest.mark.parametrize(
    ("model", "axis", "collective", "calls", "elements"),
    [
        (MODEL, "tensor", "all_reduce", 4 * 6, 1000 * 64),
        (Model.preset("deepseek-v3"), "expert", "all_to_all", 4 * 58, 8 * 1000 * 7168),
    ],
)
def test_an_axis_over_trunks_waits_for_each_of_its_operations(
    model, axis, collective, calls, elements
):
    """Two all_reduces for each layer and direction, or two all_to_alls for each of experts."""
    topology = two_sites(Link(rate_bytes_per_s=1e10, latency_s=1e-3), ranks=1)
    method = DDP(buckets=2)
    job = Job(
        model=model, world=topology, mesh={axis: 2}, compute_s=0.3, tokens=1000, method=method
    )
    step = job.run()
    made = [each for each in step.calls if each.axis == axis]
    assert len(made) == calls
    alone = emul.World(topology).predict(collective, elements, dtype="bfloat16")
    assert step.exposed_s == pytest.approx(calls * alone.time_s, rel=0.01)
    with pytest.raises(ArgumentError, match="needed the tokens of a step"):
        replace(job, tokens=None).run()


def test_context_over_trunks_is_refused():
    """Its rings are not timed."""
    with pytest.raises(ArgumentError, match="context is at several sites"):
        Job(model=MODEL, world=two_sites(FREE), mesh={"context": 8}, compute_s=1.0)


@pytest.mark.parametrize(
    ("mesh", "crossings"),
    [
        ({"replicate": 2, "shard": 4, "tensor": 2}, ("trunk", "site", "node")),
        ({"tensor": 2, "shard": 4, "replicate": 2}, ("trunk", "site", "node")),
        ({"shard": 16}, ("trunk",)),
        ({"replicate": 8, "tensor": 2, "context": 1}, ("trunk", "node", "nothing")),
    ],
)
def test_each_axis_crosses_the_widest_link_between_its_ranks(mesh, crossings):
    """Two sites of four nodes of two ranks."""
    sites = tuple(Site(name, (Node(2, FREE),) * 4, FREE) for name in "ab")
    topology = Topology("two", sites, (Trunk(("a", "b"), FREE),))
    placement = Placement(topology, mesh)
    assert tuple(placement.crossings[name] for name in mesh) == crossings


def test_a_pipeline_over_trunks_needs_its_method():
    """Else nobody sends from stage to stage."""
    job = Job(model=MODEL, world=two_sites(FREE), mesh={"pipeline": 8}, compute_s=1.0)
    with pytest.raises(ArgumentError, match="needed method pipeline"):
        job.run()


def test_messages_of_a_pipeline_are_told_and_counted():
    """Four micro-batches of 64,000 elements of 2 bytes, each way."""
    job = Job(
        model=MODEL,
        world=two_sites(Link(rate_bytes_per_s=1e9, latency_s=2e-3), ranks=1),
        mesh={"pipeline": 2},
        compute_s=0.6,
        tokens=4000,
        method=Pipeline(4, data=DDP(buckets=1)),
    )
    step = job.run()
    assert step.trunk_bytes == {"trunk a -> b": 512_000, "trunk b -> a": 512_000}
    assert [(each.axis, each.collective) for each in step.calls][:4] == [("pipeline", "send")] * 4
    assert all("local steps" not in change.words for change in step.changes)


@pytest.mark.parametrize("stage", range(4))
def test_a_stage_of_1f1b_holds_no_more_micro_batches_than_stages_follow(stage):
    """p - s forwards before the first backward: the memory that GPipe needs for all of them."""
    job = Job(
        model=MODEL,
        world=two_sites(FREE, ranks=2),
        mesh={"pipeline": 4},
        compute_s=0.6,
        tokens=8,
        method=Pipeline(8),
    )
    timer = job.timer
    seat = replace(timer.seat_of_first, rank=stage)
    names = [act.name for act in Pipeline(8)(seat) if isinstance(act, emul.programs.Compute)]
    assert names.index("backward") == 4 - stage
    acts = Pipeline(8, "gpipe")(seat)
    names = [act.name for act in acts if isinstance(act, emul.programs.Compute)]
    assert names.index("backward") == 8
