"""Steps of jobs: closed forms, sums, ranks that stand for others, and the changes that help."""

from dataclasses import replace

import pytest
from closed_forms.training import bucketed_step, local_steps_utilisation, sharded_step_s
from hypothesis import given, settings
from hypothesis import strategies as st

import emul
from emul import ArgumentError, CapacityError, Link, Node, Site, Topology, Trunk
from emul.training import DDP, FSDP, HSDP, Job, LocalSteps, Model, Seat, ZeRO
from emul.training import timed_ranks as timing_module
from emul.training.placement import Placement
from emul.training.timed_ranks import TimedRanks

FREE = Link(rate_bytes_per_s=1e15, latency_s=0.0)
MODEL = Model(1e9, 20)


def campuses(*ranks, rate=1e9, latency_s=1e-3, node=FREE, nic=None):
    """Return sites of so many nodes of a rank each, with a trunk between every two."""
    link = nic or Link(rate_bytes_per_s=1e12, latency_s=1e-6)
    sites = tuple(
        Site(name, (Node(1, node),) * number, link)
        for name, number in zip("abcd", ranks, strict=False)
    )
    pairs = [(a.name, b.name) for at, a in enumerate(sites) for b in sites[at + 1 :]]
    trunk = Link(rate_bytes_per_s=rate, latency_s=latency_s, overhead_s=1e-5)
    return Topology("campuses", sites, tuple(Trunk(pair, trunk) for pair in pairs))


METHODS = [
    DDP(buckets=7),
    DDP(buckets=8, communicators=2),
    DDP(bucket_bytes=200 << 20),
    ZeRO(buckets=5),
    FSDP(buckets=4),
    FSDP(buckets=4, prefetch=0, reshard_after_forward=False),
    HSDP(buckets=4),
    HSDP(buckets=6, communicators=3, wire="int8"),
    LocalSteps(4),
    LocalSteps(6, fragments=3, delay=1),
    LocalSteps(3, overlap="none", wire="fp4"),
]


@pytest.mark.parametrize("buckets", [1, 3, 20])
def test_ddp_takes_the_time_of_the_closed_form_of_buckets(buckets):
    """Two replicas whose buckets go one at a time: Li et al., VLDB 2020."""
    topology = campuses(1, 1)
    job = Job(model=MODEL, world=topology, compute_s=1.2, method=DDP(buckets, algorithm="direct"))
    world = emul.World(topology)

    def cost_s(nbytes):
        found = world.predict("all_reduce", nbytes // 2, dtype="bfloat16", algorithm="direct")
        return found.time_s

    sizes = [2 * -(-1_000_000_000 // buckets)] * buckets
    expected = bucketed_step(0.4, 0.8, sizes, cost_s)
    step = job.run()
    assert step.time_s == pytest.approx(expected.step_s, rel=1e-9)
    assert step.exposed_s == pytest.approx(expected.exposed_s, rel=1e-9)


@pytest.mark.parametrize("rate", [2e9, 2e10, 2e11])
def test_fsdp_takes_the_time_of_the_closed_form_of_sharded_steps(rate):
    """Within 0.5 %: the form gathers each unit twice, FSDP keeps the last one."""
    nic = Link(rate_bytes_per_s=rate, latency_s=1e-6)
    topology = Topology("one", (Site("a", (Node(1, FREE),) * 4, nic),))
    units, compute_s = 200, 2.0
    method = FSDP(buckets=units, algorithm="ring")
    step = Job(model=MODEL, world=topology, compute_s=compute_s, method=method).run()
    unit = 1_000_000_000 // units
    world = emul.World(topology)
    gather_s = world.predict("all_gather", unit // 4, dtype="bfloat16", algorithm="ring").time_s
    scatter_s = world.predict("reduce_scatter", unit, dtype="bfloat16", algorithm="ring").time_s
    expected_s = sharded_step_s(
        units,
        forward_s=compute_s / 3,
        backward_s=2 * compute_s / 3,
        all_gather_s=gather_s,
        reduce_scatter_s=scatter_s,
    )
    assert step.time_s == pytest.approx(expected_s, rel=5e-3)


@pytest.mark.parametrize(("every", "fragments"), [(1, 1), (10, 1), (12, 4)])
def test_local_steps_lose_the_part_of_the_closed_form(every, fragments):
    """Fragments after the step, each awaited at once: H t / (H t + sync) (DiLoCo)."""
    topology = campuses(1, 1)
    method = LocalSteps(every, fragments, overlap="none", algorithm="direct")
    step = Job(model=MODEL, world=topology, compute_s=0.5, method=method).run()
    world = emul.World(topology)
    layer_s = world.predict("all_reduce", 50_000_000, dtype="bfloat16", algorithm="direct").time_s
    expected = local_steps_utilisation(every, step_s=0.5, sync_s=20 * layer_s)
    assert step.utilisation == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("ranks", [(2, 2), (4, 2, 2), (40, 40)])
def test_exposed_time_is_the_sum_of_its_causes(method, ranks):
    """Of all ranks, and of few that stand for all."""
    replicas = sum(ranks) // 2
    mesh = {"replicate": replicas, "shard": 2}
    topology = campuses(*ranks)
    step = Job(model=MODEL, world=topology, mesh=mesh, compute_s=0.3, method=method).run()
    assert sum(step.exposed.values()) == pytest.approx(step.exposed_s, rel=1e-9, abs=1e-12)
    assert step.compute_s == pytest.approx(0.3, rel=1e-9)
    assert step.time_s == pytest.approx(step.compute_s + step.exposed_s, rel=1e-12)
    assert min(step.exposed.values(), default=1.0) > 0


@pytest.mark.parametrize(
    ("method", "trunk_bytes"),
    [
        # Both sites send each other one half of a vector, then its sum; or all of it at once.
        (DDP(buckets=4, algorithm="hierarchical:trunk=direct"), 2e9),
        (HSDP(buckets=4, algorithm="hierarchical:trunk=direct"), 2e9),
        (LocalSteps(10, algorithm="hierarchical:trunk=direct"), 2e8),
        (LocalSteps(10, wire="int8", algorithm="hierarchical:trunk=direct"), 2e8 * 8.125 / 16),
    ],
    ids=repr,
)
@pytest.mark.parametrize("ranks", [8, 80])
def test_bytes_over_trunks_are_those_of_the_gradients(method, trunk_bytes, ranks):
    """1e9 parameters of 2 bytes, whoever stands for whom."""
    mesh = {"replicate": ranks // 2, "shard": 4}
    world = campuses(ranks, ranks)
    step = Job(model=MODEL, world=world, mesh=mesh, compute_s=0.3, method=method).run()
    assert set(step.trunk_bytes) == {"trunk a -> b", "trunk b -> a"}
    for nbytes in step.trunk_bytes.values():
        assert nbytes == pytest.approx(trunk_bytes, rel=1e-4)


STOOD_FOR = [
    (DDP(buckets=6), {"replicate": 32}),
    (DDP(buckets=6), {"replicate": 16, "tensor": 2}),
    (FSDP(buckets=6), {"replicate": 4, "shard": 8}),
    (HSDP(buckets=6), {"replicate": 4, "shard": 8}),
    (HSDP(buckets=6), {"replicate": 4, "shard": 4, "tensor": 2}),
    (LocalSteps(3), {"replicate": 4, "shard": 8}),
]


@pytest.mark.parametrize(("method", "mesh"), STOOD_FOR, ids=repr)
@pytest.mark.parametrize("rate", [1e9, 1e11])
def test_few_ranks_take_the_time_of_all_ranks(method, mesh, rate, monkeypatch):
    """32 ranks at two sites, all timed, against few: within 3 % where trunks bind, and do not."""
    nic = Link(rate_bytes_per_s=5e10, latency_s=2e-6, overhead_s=2e-6)
    topology = campuses(16, 16, rate=rate, nic=nic)
    job = Job(model=MODEL, world=topology, mesh=mesh, compute_s=0.5, method=method)
    whole_s = job.run().time_s
    monkeypatch.setattr(timing_module, "MOST_WHOLE", 0)
    few = replace(job).run()
    assert few.timer.ranks.topology.world_size < 32
    assert few.time_s == pytest.approx(whole_s, rel=0.03)


@settings(deadline=None)
@given(
    replicas=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    shard=st.integers(1, 6),
    tensor=st.integers(1, 3),
    keeps=st.booleans(),
    evenly=st.booleans(),
)
def test_few_ranks_carry_what_all_ranks_carry(replicas, shard, tensor, keeps, evenly):
    """Each site keeps its NICs: those of one replica of two, or of all of them."""
    ranks = [each * shard * tensor for each in replicas]
    topology = campuses(*ranks)
    mesh = {"replicate": sum(replicas), "shard": shard, "tensor": tensor}
    placement = Placement(topology, mesh)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing_module, "MOST_WHOLE", 0)
        few = TimedRanks.of(placement, keeps_shards=keeps, evenly=evenly)
    assert few.columns == tensor
    assert few.topology.world_size == len(few.coordinates["replicate"])
    assert [site.name for site in few.topology.sites] == [site.name for site in topology.sites]
    for axis in ("replicate", "shard", "data"):
        seen = [few.group(axis, rank).ranks for rank in range(few.topology.world_size)]
        assert all(rank in group for rank, group in enumerate(seen))
        assert sum(len(group) for group in set(seen)) == few.topology.world_size
    if keeps:
        stood = few.bundled * few.size("shard")
        assert stood == pytest.approx(shard * tensor)
    if not evenly:
        carried = few.bundled * few.topology.world_size
        assert carried == pytest.approx(topology.world_size)
    for site in few.topology.sites:
        assert site.link.rate_bytes_per_s == pytest.approx(1e12 * few.bundled)


def test_a_job_takes_as_long_as_its_sites_were_renamed():
    """The order of the sites of a mesh decides who is where, and names nothing."""
    one, other = campuses(4, 4), campuses(4, 4)
    other = replace(
        other,
        sites=tuple(replace(site, name=f"campus {site.name}") for site in other.sites),
        trunks=(replace(other.trunks[0], sites=("campus a", "campus b")),),
    )
    times = [Job(model=MODEL, world=each, compute_s=0.1).run().time_s for each in (one, other)]
    assert times[0] == times[1]


def test_the_story_of_three_campuses():
    """1e9 parameters in 80 buckets: 17.5 s a step, on dark fibre 0.501, by DiLoCo 59 %."""
    job = Job(model=Model(1e9, 80), world="three-campus", compute_s=0.5)
    pieces = "hierarchical:pieces"
    slow = job.with_method(DDP(buckets=80, algorithm=pieces)).run()
    assert slow.time_s == pytest.approx(17.5, rel=0.01)
    assert job.with_method(DDP(buckets=80)).run().time_s <= 9.3
    dark = replace(job, world="three-campus-dark-fibre", method=slow.job.method).run()
    assert dark.time_s == pytest.approx(0.501, rel=0.01)
    local = job.with_method(LocalSteps(100, wire="float32", algorithm=pieces)).run()
    assert local.utilisation == pytest.approx(0.59, abs=0.01)


FAR_APART = """
preset = "three-campus-300k"

[defaults.trunk]
preset = "longhaul_1000km"
line_gbit_per_s = 400
waves = 64

[[trunk]]
between = ["north", "east"]
km = 1000

[[trunk]]
between = ["east", "south"]
km = 1000

[[trunk]]
between = ["south", "north"]
km = 1000
"""
"""3 x 100,000 ranks 1000 km apart, with 64 waves of 400G between every two campuses."""


@pytest.mark.parametrize(("buckets", "seconds"), [(126, 2.14), (32, 1.00)])
def test_fewer_buckets_or_more_communicators_help_first_at_1000_km(buckets, seconds, tmp_path):
    """405e9 parameters over 300,000 ranks; every wait is one for distance."""
    path = tmp_path / "far.toml"
    path.write_text(FAR_APART)
    method = HSDP(buckets=buckets, algorithm="hierarchical:trunk=direct")
    job = Job(
        model=Model(405e9, 126),
        world=path,
        mesh={"replicate": 3, "shard": 625, "pipeline": 20, "tensor": 8},
        tokens=48e6,
        hardware="h100",
        mfu=0.4,
        method=method,
    )
    step = job.run()
    assert step.time_s == pytest.approx(seconds, rel=0.01)
    if buckets == 126:
        assert step.changes[0].words == "4 communicators for 1"


def test_each_change_is_the_job_run_again():
    """Its time is that of its job, it saves what it says, and those that save most come first."""
    step = Job(model=MODEL, world=campuses(2, 2), compute_s=0.2).run()
    assert step.changes
    for change in step.changes:
        assert change.time_s == replace(change.job).run().time_s
        assert change.saves_s == step.time_s - change.time_s >= 0.01 * step.time_s
    for one, other in zip(step.changes, step.changes[1:], strict=False):
        assert one.saves_s > other.saves_s - 0.01 * step.time_s


def test_needs_are_met_and_less_does_not_do():
    """Each need alone, tried: with it the utilisation is reached, with a step less it is not."""
    job = Job(model=MODEL, world=campuses(2, 2), compute_s=0.2, method=DDP(buckets=4))
    needs = job.needs(0.9)
    rate = needs["rate"]

    def utilisation(times):
        trunks = (
            replace(t, link=replace(t.link, rate_bytes_per_s=times * t.link.rate_bytes_per_s))
            for t in job.topology.trunks
        )
        return replace(job, world=replace(job.topology, trunks=tuple(trunks))).run().utilisation

    assert utilisation(rate) >= 0.9 > utilisation(rate / 2**0.125)
    steps = int(needs["local_steps"])
    reached = [job.with_method(LocalSteps(h)).run().utilisation for h in (steps - 1, steps)]
    assert reached[0] < 0.9 <= reached[1]
    assert needs["distance"] is None
    assert job.needs(0.01).words() == [f"Needs for 1 %: none, it is {100 * needs.now:.3g} % today."]


def test_a_method_of_ones_own_is_a_function_of_a_seat():
    """One all_reduce of all gradients after the backward pass."""

    def plain(seat: Seat):
        yield seat.forward()
        yield seat.backward()
        elements = sum(layer.elements for layer in seat.layers())
        yield seat.issue("all_reduce", "data", elements, name="all", algorithm="direct")
        yield seat.wait("all")

    topology = campuses(1, 1)
    step = Job(model=MODEL, world=topology, compute_s=0.5, method=plain).run()
    alone = emul.World(topology).predict(
        "all_reduce", 1_000_000_000, dtype="bfloat16", algorithm="direct"
    )
    assert step.time_s == pytest.approx(0.5 + alone.time_s, rel=1e-9)
    assert "plain: " in str(step)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({}, "a job without compute_s"),
        ({"compute_s": 0}, "compute_s 0: needed a finite number above 0"),
        ({"compute_s": 1, "mesh": {"replicate": 5}}, "3 are left over"),
        ({"compute_s": 1, "mesh": {"sharp": 8}}, "did you mean shard"),
        ({"compute_s": 1, "precision": "fp4"}, "unknown precision 'fp4'"),
        ({"compute_s": 1, "method": 3}, "method 3: needed a function of a seat"),
        ({"compute_s": 1, "world": 3}, "world 3: needed a name"),
        ({"tokens": 1e6, "hardware": "h1000", "mfu": 0.4}, "did you mean h100"),
    ],
)
def test_a_job_that_cannot_be_is_refused_at_once(asked, complaint):
    """Before anything is timed."""
    with pytest.raises(ArgumentError, match=complaint):
        Job(**{"model": MODEL, "world": campuses(4, 4), **asked})


def test_replicas_over_sites_are_refused_where_few_ranks_are_timed():
    """With the number of ranks up to which all are timed."""
    job = Job(
        model=MODEL,
        world=campuses(60, 40),
        mesh={"replicate": 2, "shard": 50},
        compute_s=1,
        method=HSDP(),
    )
    with pytest.raises(ArgumentError, match="ranks along shard are at several sites"):
        job.run()
    many = Job(
        model=MODEL,
        world=campuses(3000, 3000),
        mesh={"replicate": 3000, "shard": 2},
        compute_s=1,
        method=FSDP(axis="shard"),
    )
    with pytest.raises(CapacityError, match="6,000 ranks to time: needed at most 1,024"):
        many.run()


def test_a_library_is_refused_where_few_ranks_are_timed():
    """Its slots and sockets are those of one connection."""
    few = Job(model=MODEL, world=campuses(4, 4), compute_s=1, stack="nccl")
    assert few.run().time_s > 1
    many = replace(few, world=campuses(40, 40))
    with pytest.raises(ArgumentError, match=r"stack nccl over 80 ranks.*at most 64 ranks"):
        many.run()
