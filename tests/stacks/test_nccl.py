"""The stack of NCCL: what its protocols cost, and rings over long links."""

from dataclasses import replace

import numpy as np
import pytest
from closed_forms.nccl import nccl_pat_us, nccl_tree_all_reduce_us
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from stacks.rooms import EIGHT_ALONE, FABRIC, H100, MIB, THREE, campuses, latency_us, room
from strategies import CASES, cases, count_for, one_site, root_of, sites_of_one, topologies

from emul import Link, Send, World
from emul.plans import COLLECTIVES, Shape, build_plan
from emul.stacks.nccl import NODE_TREES, Setting, choose, stack_for
from emul.stacks.nccl_tuner import BASE_US, PROTOCOLS, STEP_US, Nodes, steps_of
from emul.stacks.profile import load_stack


def fixed(topology, protocol, family="ring", algorithm="ring"):
    """A World in which every call goes by one protocol."""
    setting = Setting("all_reduce", algorithm, family, protocol)
    stack = stack_for(load_stack("nccl"), setting, Nodes.of(topology))
    return World(topology, stack=replace(stack, tuner="none"))


# What a call costs


def test_the_constants_are_those_of_the_specification():
    expected = {  # links.md 1.6: LL, LL128, Simple
        ("ring", "NVLink"): (0.6, 1.9, 3.4), ("tree", "NVLink"): (0.6, 1.25, 4.0),
        ("ring", "PCI"): (1.0, 2.5, 5.7), ("tree", "PCI"): (1.0, 1.9, 4.0),
        ("ring", "NET"): (2.7, 4.0, 14.0), ("tree", "NET"): (5.0, 8.5, 14.0),
    }  # fmt: skip
    assert expected == STEP_US
    assert BASE_US == {"ring": (6.6, 14.0, 8.4), "tree": (6.8, 14.0, 8.4)}
    assert steps_of("pat", "Simple", EIGHT_ALONE).far_us == pytest.approx(14 / 3.5)


@pytest.mark.parametrize(
    ("protocol", "wire", "slice_bytes"),
    [("LL", 2.0, 32 << 10), ("LL128", 1 / 0.92, 576_000), ("Simple", 1.0, 512 << 10)],
)
def test_a_protocol_has_its_wire_and_its_slots(protocol, wire, slice_bytes):
    stack = stack_for(load_stack("nccl"), Setting("all_reduce", "tree", "tree", protocol), H100)
    assert (stack.wire_factor, stack.slice_bytes, stack.slots) == (wire, slice_bytes, 8)


def test_rings_over_rdma_send_halves_of_a_chunk_on_in_two_slots_of_each_channel():
    # Of 1 GiB, a chunk has 4 of the 8 steps of 512 KiB on each of two channels; of 1 MiB, an 8th.
    base, setting = (
        replace(load_stack("nccl"), net="IB"),
        Setting("all_reduce", "ring", "ring", "Simple"),
    )
    for nbytes, half in ((1 << 30, 2 * MIB), (MIB, MIB // 16)):
        stack = stack_for(base, setting, Nodes((1,) * 8, 371e9, 49e9), nbytes)
        assert (stack.slice_bytes, stack.slots) == (half, 4)
    broadcast = stack_for(base, replace(setting, collective="broadcast"), EIGHT_ALONE)
    assert (broadcast.slice_bytes, broadcast.slots) == (512 << 10, 16)


def test_a_call_goes_in_the_slices_of_its_protocol():
    # 1 MiB over 8 ranks goes by LL: chunks of 128 KiB in slices of 32, twice that on the wire
    timeline = World(room(8), stack="nccl").predict("all_reduce", MIB // 4).timeline
    assert len(timeline) == 8 * 14 * 4
    assert set(timeline.nbytes.tolist()) == {64 << 10}


def test_sends_and_receives_have_slots_of_their_own():
    base = load_stack("nccl")
    setting = Setting("all_to_all", "direct", "ring", "Simple")
    assert stack_for(base, setting, H100).slice_bytes == 512 << 10
    assert stack_for(base, setting, THREE).slice_bytes == 128 << 10
    assert stack_for(replace(base, slice_bytes=4096), setting, THREE).slice_bytes == 4096


@pytest.mark.parametrize(
    ("protocol", "base_us", "step_us", "wire_bytes"),
    [("LL", 6.6, 0.6, 8), ("LL128", 14, 1.9, 5), ("Simple", 8.4, 3.4, 4)],
)
def test_one_step_over_nvlink_costs_what_the_table_says(protocol, base_us, step_us, wire_bytes):
    # all_gather between two ranks: one step
    total_ps = fixed(room(2), protocol).predict("all_gather", 1, algorithm="ring").timeline.total_ps
    assert total_ps == round((base_us + step_us) * 1e6) + round(wire_bytes / 371e9 * 1e12)


@pytest.mark.parametrize(
    ("protocol", "step_us"),
    [("LL", 5.0), ("LL128", 8.5), ("Simple", 14.0)],  # the tree's row: one GPU per node
)
def test_one_step_in_a_room_costs_what_the_table_says_and_distance_comes_on_top(protocol, step_us):
    def step_s(topology):
        world, base_us = fixed(topology, protocol), BASE_US["ring"][PROTOCOLS.index(protocol)]
        return world.predict("all_gather", 1, algorithm="ring").time_s - base_us * 1e-6

    assert step_s(room(1, 1)) == pytest.approx(step_us * 1e-6, rel=1e-4)
    far = campuses(2, 1, Link(49e9, 10e-3))
    assert step_s(far) == pytest.approx((step_us - 3) * 1e-6 + 10e-3, rel=1e-6)


@pytest.mark.parametrize("nbytes", [8, 1 << 16, 1 << 22, 1 << 26])
@pytest.mark.parametrize(
    ("ranks", "rate", "latency_s"), [((8,), 371e9, 0.5e-6), ((1,) * 8, 49e9, 3e-6)]
)
def test_rings_in_a_room_take_what_the_tuner_reckons(ranks, rate, latency_s, nbytes):
    # 7 steps and 7/8 of the bytes; but for the last, slices may hide the latency of a step
    nodes = Nodes.of(room(*ranks))
    setting = choose("all_gather", nodes, nbytes, "ring")
    world = World(room(*ranks), stack="nccl")
    prediction = world.predict("all_gather", nbytes // 8, dtype="uint8", algorithm="ring")
    on_wire = {"LL": 2, "LL128": 1 / 0.92, "Simple": 1}[setting.protocol] * nbytes
    steps_s = latency_us("all_gather", "ring", setting.protocol, nodes) * 1e-6
    most_s = steps_s + 7 / 8 * on_wire / rate
    assert most_s - 6 * latency_s < prediction.time_s + 1e-9
    assert prediction.time_s < most_s + 1e-9


@pytest.mark.parametrize("nodes", [2, 4, 8])
def test_small_trees_in_a_room_take_what_the_tuner_reckons(nodes):
    topology = room(*[8] * nodes)
    prediction = World(topology, stack="nccl").predict("all_reduce", 2, algorithm=NODE_TREES)
    expected_us = nccl_tree_all_reduce_us(8 * nodes, nodes, "LL")
    assert prediction.time_s * 1e6 == pytest.approx(expected_us, rel=0.06)


def test_pat_takes_what_the_tuner_reckons():
    prediction = World(room(*[1] * 8), stack="nccl").predict("all_gather", 1, algorithm="pat")
    assert prediction.time_s * 1e6 == pytest.approx(nccl_pat_us(8, 8), rel=1e-3)


def test_rings_side_by_side_share_the_overhead_of_a_step():
    setting = choose("all_reduce", THREE, 1 << 30)
    overhead_s = stack_for(load_stack("nccl"), setting, THREE).hop_overhead_s
    assert setting.loops == 2  # so each has half of it, and the other half delays
    assert overhead_s["node"] * 7 * 2 == pytest.approx(2.9e-6)
    assert overhead_s["site"] * 2 == overhead_s["trunk"] * 2 == pytest.approx(11e-6)


def test_the_profile_of_a_user_counts_too(tmp_path):
    path = tmp_path / "big.toml"
    path.write_text('slice_bytes = 1048576\ntuner = "nccl"\n[constants]\ncall_us = 100\n')
    usual, big = (World(room(1, 1), stack=name) for name in ("nccl", str(path)))
    times = [world.predict("all_reduce", 1, algorithm="ring").time_s for world in (usual, big)]
    assert times[1] - times[0] == pytest.approx(100e-6)
    slices = [len(world.predict("all_reduce", 8 * MIB).timeline) for world in (usual, big)]
    assert slices[0] == 2 * slices[1]


# Calls


def test_the_tuner_does_not_know_that_a_link_is_long():
    near, far = (campuses(3, 8, Link(49e9, delay_s)) for delay_s in (1e-6, 50e-3))
    thin = campuses(3, 8, Link(0.1e9, 1e-6))
    assert Nodes.of(near) == Nodes.of(far) == Nodes.of(thin) == Nodes.of(room(8, 8, 8)) == THREE
    for count in (2, 1 << 16, 1 << 22):
        algorithms = {
            World(topology, stack="nccl").predict("all_reduce", count).plan.algorithm
            for topology in (near, far, thin)
        }
        assert len(algorithms) == 1


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_auto_is_the_same_as_naming_what_it_took(collective):
    for topology in (room(4, 4), room(4), room(1, 1, 1), campuses(2, 3, FABRIC)):
        world = World(topology, stack="nccl")
        for blocks in (1, 40_000):
            count = count_for(collective, world.size, blocks)
            auto = world.predict(collective, count)
            named = world.predict(collective, count, algorithm=auto.plan.algorithm)
            assert named.timeline.total_ps == auto.timeline.total_ps
            assert not auto.considered


def test_other_algorithms_go_by_the_protocol_of_their_family_or_simple():
    for algorithm, family, protocol in [
        ("ring:interleaved", "ring", "LL"),
        ("double_binary_tree", "tree", "LL"),
        (NODE_TREES, "tree", "LL"),
        ("pat", "pat", "Simple"),
        ("halving_doubling", "ring", "Simple"),
        ("hierarchical", "ring", "Simple"),
        ("", "ring", "Simple"),
    ]:
        setting = Setting("all_reduce", algorithm, family, protocol)
        assert choose("all_reduce", THREE, 64, algorithm) == setting
    assert choose("broadcast", THREE, 64, "double_binary_tree").protocol == "Simple"


def test_plans_and_functions_go_through_the_stack_as_well():
    world = World(room(4), stack="nccl")
    plan = build_plan("all_reduce", "ring", (4,))
    named = world.predict("all_reduce", 8, algorithm="ring").timeline.total_ps
    assert world.predict("all_reduce", 8, algorithm=plan).timeline.total_ps == named

    def star(n):
        yield [Send(1, 0, 0, reduce=True, nchunks=n)]
        yield [Send(0, 1, 0, nchunks=n)]

    own = World(room(2), stack="nccl").predict("all_reduce", 8, algorithm=star).timeline
    assert own.transfers.call_ps == 8_400_000
    assert own.network.path_overhead_ps[0] == 2_900_000


def test_uneven_counts_are_left_to_the_model():
    prediction = World(room(2, 2), stack="nccl").predict("all_gather", (5, 0, 3, 1))
    assert prediction.considered


def test_the_rings_of_channels_use_all_nics_of_nodes_at_one_site():
    world = World(room(4, 4), stack="nccl")
    timeline = world.predict("all_reduce", 1 << 22).timeline
    out = world.network.port_bytes(timeline.src, timeline.dst, timeline.nbytes)[:, 2]
    assert out.min() > 0
    assert out.max() / out.min() < 1.01


@pytest.mark.parametrize("algorithm", ["ring", "double_binary_tree"])
def test_a_protocol_changes_the_time_and_never_the_result(algorithm):
    topology = room(2, 2)
    x = np.random.default_rng(5).standard_normal((4, 300_007)).astype(np.float32)
    family = "ring" if algorithm == "ring" else "tree"
    ideal = World(topology).all_reduce(x, algorithm=algorithm)
    runs = [
        fixed(topology, protocol, family, algorithm).all_reduce(x, algorithm=algorithm)
        for protocol in PROTOCOLS
    ]
    for run in runs:
        assert run.output.tobytes() == ideal.output.tobytes()
    assert len({run.time_s for run in [*runs, ideal]}) == 4


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_overheads_of_links_that_the_stack_replaces_are_not_in_the_bound(collective, algorithm):
    slow = replace(FABRIC, overhead_s=1e-3)
    node = one_site(4, slow, per_node=4)
    for topology in (node, one_site(4, slow), campuses(2, 2, slow)):
        prediction = World(topology, stack="nccl").predict(collective, 4, algorithm=algorithm)
        assert 0 <= prediction.bound_s <= prediction.time_s < 1e-3


@examples(60)
@given(topologies(), cases, st.integers(0, 3000), st.data())
def test_no_call_is_quicker_than_its_bound_and_none_computes_anything_else(
    topology, case, blocks, data
):
    collective, algorithm = case
    ideal, nccl = World(topology), World(topology, stack="nccl")
    root = data.draw(st.integers(0, ideal.size - 1))
    count = count_for(collective, ideal.size, blocks)
    for asked in (algorithm, "auto"):
        how = {"algorithm": asked, **root_of(collective, root)}
        prediction = nccl.predict(collective, count, dtype="uint8", **how)
        assert prediction.timeline.total_ps >= prediction.bound_ps
    shape = Shape.of(COLLECTIVES[collective], ideal.size, count).input_shape
    x = np.arange(np.prod(shape)).reshape(shape).astype(np.int32)
    arguments = {"algorithm": algorithm}
    if COLLECTIVES[collective].rooted:
        arguments["root"] = root
    runs = [getattr(world, collective)(x, **arguments) for world in (ideal, nccl)]
    assert runs[0].output.tobytes() == runs[1].output.tobytes()


# Rings over long links

GBIT = 125e6  # bytes per second
RANKS = {
    "one per node": lambda n, delay_s: one_site(n, Link(GBIT, delay_s)),
    "one per site": lambda n, delay_s: sites_of_one(
        lambda a, b: Link(GBIT, delay_s), n, nic=Link(GBIT, 0.0)
    ),
}


@pytest.mark.parametrize("where", RANKS)
def test_slices_in_flight_hide_a_delay_that_is_shorter_than_a_chunk(where):
    n, nbytes, delay_s = 32, 128 * MIB, 10e-3
    prediction = World(RANKS[where](n, delay_s), stack="nccl").predict("all_reduce", nbytes // 4)
    assert prediction.plan.algorithm == "ring"
    # A chunk takes 33.6 ms, its first half is through after 16.8 + 10 ms, and the windows of two
    # sockets, 8 MiB, hold it: no port waits. Per step 11 us of the tuner and 10 us of system calls,
    # per call 8.4 us, and 15 us until the receiver has the last half.
    bandwidth_s = 2 * (n - 1) / n * nbytes / GBIT
    overheads_s = 8.4e-6 + 2 * (n - 1) * 21e-6 + 15e-6
    assert prediction.time_s == pytest.approx(bandwidth_s + overheads_s + delay_s, rel=1e-9)
    assert prediction.time_s < 1.03 * bandwidth_s


@pytest.mark.parametrize("where", RANKS)
def test_separate_calls_over_rdma_go_in_loops_of_half_chunks(where):
    n, nbytes, delay_s, calls = 4, 32 * MIB, 50e-3, 16
    options = {"NCCL_NET": "IB"}
    world = World(RANKS[where](n, delay_s), stack="nccl", stack_options=options)
    predictions = [world.predict("all_reduce", nbytes // 4) for _ in range(calls)]
    total_s, steps = sum(prediction.time_s for prediction in predictions), 2 * (n - 1)
    # Two loops, in chunks of 4 MiB: a step begins when the first half of the one before has come,
    # and a loop when both halves have. 11 us of a step, of which half delays.
    half_s, overhead_s = (2 * MIB) / GBIT, 11e-6
    loop_s = steps * (overhead_s + half_s + delay_s) + half_s
    assert total_s == pytest.approx(calls * (8.4e-6 + 2 * loop_s), rel=1e-9)


def test_a_broadcast_over_rdma_holds_slots_for_a_round_trip():
    # 16 slots of 512 KiB, and 67 ms of them at 1 Gbit/s: the next 16 wait for word of the first.
    nbytes, delay_s = 64 * MIB, 50e-3
    world = World(RANKS["one per site"](2, delay_s), stack="nccl", stack_options={"NCCL_NET": "IB"})
    prediction = world.predict("broadcast", nbytes // 4)
    slice_s = (512 << 10) / GBIT
    rounds_s = (nbytes / (512 << 10) / 16 - 1) * (slice_s + 2 * delay_s)
    expected_s = rounds_s + 16 * slice_s + delay_s
    assert prediction.time_s == pytest.approx(expected_s, rel=1e-3)
    assert prediction.binding == "window"


@pytest.mark.parametrize("where", RANKS)
def test_separate_calls_over_sockets_wait_for_half_a_chunk_and_no_slot(where):
    n, nbytes, delay_s = 4, 16 * MIB, 50e-3
    world = World(RANKS[where](n, delay_s), stack="nccl")
    # Each step begins when the first half of a chunk of 4 MiB has come, and the last has both.
    half_s, message_s = (2 * MIB) / GBIT, 11e-6 + 10e-6
    step_s = message_s + half_s + delay_s + 15e-6
    call_s = 8.4e-6 + 6 * step_s + half_s
    assert world.predict("all_reduce", nbytes // 4).time_s == pytest.approx(call_s, rel=1e-9)
