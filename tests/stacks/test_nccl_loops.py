"""Loops of NCCL's rings: against a slow simulation of its kernel, and closed forms."""

import pytest
from nccl_loops import Ring
from strategies import one_site, sites_of_one

from emul import Link, World
from emul.plans import COLLECTIVES, Shape
from emul.runtime.planner import Planner
from emul.runtime.request import Request
from emul.runtime.without_effects import without_effects
from emul.stacks.nccl import MOST_ROWS, Setting, choose, stack_for
from emul.stacks.nccl_tuner import Nodes
from emul.stacks.profile import load_stack

MIB, GBIT = 1 << 20, 125e6
US = 1e-6


def world_of(n, rate, delay_s, net, **options):
    topology = sites_of_one(lambda a, b: Link(1e15, delay_s), n, nic=Link(rate, 0.0))
    asked = {"NCCL_NET": net, "NCCL_ALGO": "Ring", "NCCL_PROTO": "Simple", **options}
    return World(topology, stack="nccl", stack_options=asked)


def without_host_s(world, nbytes):
    """The seconds of an all-reduce whose hosts take no time."""
    planner = Planner(*without_effects(world.planner.topology, world.planner.timing, ["host"]))
    request = Request(Shape(COLLECTIVES["all_reduce"], world.size, nbytes), 1, algorithm="ring")
    return planner.predict(request, collapse=False).time_s


@pytest.mark.parametrize("net", ["Socket", "IB"])
@pytest.mark.parametrize(
    ("n", "gbit_per_s", "delay_s", "mib"),
    [
        (2, 10, 1e-3, 128), (2, 10, 10e-3, 128), (2, 100, 50e-6, 128), (2, 400, 10e-3, 16),
        (3, 100, 1e-3, 200), (4, 10, 10e-3, 128), (4, 100, 1e-3, 128), (4, 400, 5e-6, 128),
        (4, 400, 50e-6, 512), (5, 25, 5e-3, 77), (8, 100, 1e-3, 64), (8, 10, 10e-3, 16),
    ],
)  # fmt: skip
def test_rings_take_what_a_slow_simulation_of_the_kernel_says(net, n, gbit_per_s, delay_s, mib):
    """Within 3 %: emul's loops are equal, and it sends both channels' slices as one."""
    rate = gbit_per_s * GBIT
    ring_s = Ring(n, rate, delay_s, net).all_reduce_s(mib * MIB)
    emul_s = without_host_s(world_of(n, rate, delay_s, net), mib * MIB)
    assert emul_s == pytest.approx(ring_s, rel=0.03)


@pytest.mark.parametrize("loops", [1, 2, 5])
def test_every_loop_pays_for_the_whole_way(loops):
    # Of two ranks, a loop takes two steps; of each the first half is waited for, and at the end
    # the second one too. A rank sends 2 MiB on each of two channels, so halves are of 2 MiB.
    rate, delay_s = 10 * GBIT, 10e-3
    half_s = 2 * MIB / rate
    loop_s = 2 * (half_s + delay_s) + half_s
    world = world_of(2, rate, delay_s, "IB")
    assert world.predict("all_reduce", loops * 2 * MIB).plan.algorithm == (
        "ring" if loops == 1 else f"ring,loops={loops}"
    )
    assert without_host_s(world, loops * 8 * MIB) == pytest.approx(loops * loop_s, rel=1e-6)


def test_a_step_of_the_tuner_holds_a_port_once_and_delays_every_loop():
    # Over RDMA the tuner counts 14 us for a step, of which 3 are the link's.
    nodes, base = Nodes((1, 1), 371e9, 49e9), load_stack("nccl")
    for loops in (1, 4):
        stack = stack_for(base, Setting("all_reduce", "ring", "ring", "Simple", loops), nodes)
        assert stack.hop_overhead_s["trunk"] == pytest.approx(11 * US / loops)
        delay_s = stack.hop_completion_s.get("trunk", 0.0)
        assert delay_s + stack.hop_overhead_s["trunk"] == pytest.approx(11 * US)


@pytest.mark.parametrize(
    ("collective", "nbytes", "options", "plan"),
    [
        ("all_reduce", 8 * MIB, {}, "ring"),
        ("all_reduce", 8 * MIB + 4, {}, "ring,loops=2"),
        ("all_gather", 32 * MIB, {}, "ring,loops=4"),
        ("reduce_scatter", 32 * MIB, {}, "ring,loops=4"),
        ("broadcast", 32 * MIB, {}, "ring"),
        ("all_reduce", 8 * MIB, {"NCCL_BUFFSIZE": "1M"}, "ring,loops=4"),
        ("all_reduce", 32 * MIB, {"NCCL_MIN_NCHANNELS": "8"}, "ring"),
        ("all_reduce", 1 * MIB, {"NCCL_PROTO": "LL"}, "ring,loops=8"),  # 32 KiB of data in a slot
        ("all_reduce", 2 * 2 * 576_000 * 3, {"NCCL_PROTO": "LL128"}, "ring,loops=3"),
    ],
)
def test_a_loop_carries_a_chunk_of_each_rank_on_each_channel(collective, nbytes, options, plan):
    world = world_of(2, 100 * GBIT, 1e-3, "Socket", **options)
    count = nbytes // 2 if collective == "all_gather" else nbytes
    found = world.predict(collective, count, dtype="uint8")
    assert found.plan.algorithm == plan
    assert not found.below_bound


def test_all_nics_of_nodes_share_a_loop():
    # 4 rings over 8 ranks, 2 channels each of 2 MiB: 128 MiB
    nodes = Nodes((4, 4), 371e9, 49e9)
    asked = load_stack("nccl")
    for nbytes, plan in ((128 * MIB, "ring:channels"), (129 * MIB, "ring:channels,loops=2")):
        assert choose("all_reduce", nodes, nbytes, "ring", asked).plan == plan


def test_inside_a_node_there_is_one_pass():
    assert (
        World(one_site(8, Link(371e9, US), per_node=8), stack="nccl")
        .predict("all_reduce", 1 << 30, algorithm="ring")
        .plan.algorithm
        == "ring"
    )


def test_loops_of_very_many_messages_are_fewer():
    ring = choose("all_reduce", Nodes((1,) * 64, 371e9, 49e9), 1 << 40, "ring", load_stack("nccl"))
    assert ring.loops == MOST_ROWS // (126 * 64)
    few = choose("all_reduce", Nodes((1,) * 999, 371e9, 49e9), 1 << 40, "ring", load_stack("nccl"))
    assert few.plan == "ring"


def test_a_plan_in_loops_may_be_named():
    world = world_of(2, 100 * GBIT, 1e-3, "Socket")
    found = world.predict("all_reduce", 8 * MIB, dtype="uint8", algorithm="ring,loops=3")
    assert found.plan.algorithm == "ring,loops=3"


@pytest.mark.parametrize("nbytes", [1 << 18, 1 << 24])
def test_a_ring_in_loops_takes_as_long_by_its_name(nbytes):
    """The tuner counts each step once, whoever names the loops."""
    world = World("three-campus", stack="nccl").group([0, 9, 17])
    chosen = world.predict("all_reduce", nbytes // 4)
    assert ",loops=" in chosen.algorithm
    named = world.predict("all_reduce", nbytes // 4, algorithm=chosen.algorithm)
    assert named.total_ps == chosen.total_ps
