"""Steps inside replicas are timed once for all links between sites, and no time changes by that."""

from dataclasses import replace

import pytest

from emul import Link, Node, Site, Topology, Trunk
from emul.training import Job, LocalSteps, Model
from emul.training.inverse import faster, nearer

NODE, NIC = Link(1e11, 1e-6), Link(1e10, 5e-6, 1e-5)


def job(mesh, nic=NIC):
    """Return local steps over two sites of 64 ranks."""
    sites = tuple(Site(name, (Node(8, NODE),) * 8, nic) for name in "ab")
    trunk = Trunk(("a", "b"), Link(2e9, 1e-3))
    return Job(model=Model(1e9, 4, hidden=4096), world=Topology("two", sites, (trunk,)), mesh=mesh,
               compute_s=0.5, tokens=1e6, method=LocalSteps(5))  # fmt: skip


def told(step):
    return step.time_s, step.exposed_s, dict(step.exposed), step.one_campus.time_s


@pytest.mark.parametrize("change", [faster, nearer])
def test_another_trunk_shares_the_step_inside_replicas(change):
    first = job({"replicate": 2, "shard": 64})
    first.run()
    other = replace(first, world=change(first.topology, 4))
    assert told(other.run()) == told(replace(other, inner_timers={}).run())
    assert other.inner_timers is first.inner_timers
    assert len(first.inner_timers) == 2  # and that of one campus


def test_other_sites_methods_and_models_share_nothing():
    first = job({"replicate": 2, "shard": 64})
    first.run()
    slower = job({"replicate": 2, "shard": 64}, replace(NIC, rate_bytes_per_s=1e9)).topology
    for changed in (
        replace(first, world=slower),
        replace(first, model=Model(2e9, 4, hidden=4096)),
        replace(first, precision="float32"),
        replace(first, compute_s=0.25),
    ):
        assert told(changed.run()) == told(replace(changed, inner_timers={}).run())
    assert len(first.inner_timers) == 9  # two for each of the four, and the first


def test_tensors_at_several_sites_do_not_share():
    first = job({"tensor": 2, "replicate": 2, "shard": 32})
    other = replace(first, world=nearer(first.topology, 10))
    assert other.placement.crosses_trunk("tensor")
    first.run()
    assert told(other.run()) == told(replace(other, inner_timers={}).run())
