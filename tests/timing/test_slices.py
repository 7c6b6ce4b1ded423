"""Slices in flight: a long link hides behind a long chunk, and costs every step of a short one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import chaotic_plans, link, one_site, program_of, sites_of_one, topologies

from emul import ArgumentError, Link, Node, Send, Site, Slicing, Topology, Trunk, World
from emul.plans import Partition, Plan, Step, algorithms_for
from emul.stacks.profile import load_stack
from emul.timing import most_in_flight, time_plan
from emul.topology import Network

KIB = 1 << 10


def ring_ps(n, block, rate, latency_s, slicing, overhead_s=0.0):
    world = World(one_site(n, Link(rate, latency_s, overhead_s)), slicing=slicing)
    prediction = world.predict("all_reduce", n * block, dtype="uint8", algorithm="ring")
    return prediction.timeline.total_ps


@pytest.mark.parametrize("n", [2, 3, 8, 13])
def test_a_long_chunk_hides_the_latency_but_for_the_last(n):
    # chunk time 16 us > latency 4 us + slice time 2 us; slots for the round trip
    slice_ps, latency_ps, slices = 2_000_000, 4_000_000, 8
    total = ring_ps(n, slices * 2000, 1e9, 4e-6, Slicing(2000, 8))
    assert total == 2 * (n - 1) * slices * slice_ps + latency_ps


@pytest.mark.parametrize("n", [2, 3, 8, 13])
def test_a_short_chunk_pays_the_latency_on_every_step(n):
    # chunk time 4 us < latency 40 us + slice time 2 us: a step is the first slice's way
    total = ring_ps(n, 2 * 2000, 1e9, 40e-6, Slicing(2000, 8))
    assert total == 2 * (n - 1) * (40_000_000 + 2_000_000) + 2_000_000


def test_a_chunk_of_one_slice_is_sent_as_before():
    whole, sliced = (ring_ps(5, 2000, 1e9, 4e-6, each) for each in (None, Slicing(2000, 8)))
    assert whole == sliced == 8 * (2_000_000 + 4_000_000)


def test_a_message_pays_its_overhead_once():
    prediction = World(
        sites_of_one(lambda a, b: Link(1e9, 0.0, 1e-6), 2), slicing=Slicing(1000, 8)
    ).predict("broadcast", 10_000, dtype="uint8", algorithm="direct")
    assert prediction.timeline.total_ps == 1_000_000 + 10 * 1_000_000
    assert prediction.timeline.begins.tolist() == [1] + [0] * 9


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_slots_are_free_again_after_a_round_trip(slots):
    # 12 slices of 1 us over 10 us: after every ``slots`` of them the sender waits for word
    world = World(sites_of_one(lambda a, b: Link(1e9, 10e-6), 2), slicing=Slicing(1000, slots))
    prediction = world.predict("broadcast", 12_000, dtype="uint8", algorithm="direct")
    rounds = 12 // slots
    last_round_starts = (rounds - 1) * (1_000_000 + 20_000_000)
    assert prediction.timeline.total_ps == last_round_starts + slots * 1_000_000 + 10_000_000
    assert prediction.binding == "window"


@pytest.mark.parametrize(("channels", "expected_us"), [(1, 23 * 21 + 11), (2, 11 * 22 + 12)])
def test_every_channel_has_slots_of_its_own(channels, expected_us):
    # 24 slices of 1 us over 10 us, one slot: each channel waits 20 us for word of each of its own;
    # two channels share the trunk, so that a slice takes 2 us
    def broadcast(n):
        yield [Send(0, 1, chunk, channel=chunk % channels) for chunk in range(n)]

    world = World(sites_of_one(lambda a, b: Link(1e9, 10e-6), 2), slicing=Slicing(1000, 1))
    prediction = world.predict("broadcast", 24_000, dtype="uint8", algorithm=broadcast)
    at_the_port_ps = 24  # the ports take a picosecond for each slice
    assert prediction.timeline.total_ps == pytest.approx(expected_us * 10**6, abs=at_the_port_ps)
    assert prediction.timeline.begins.sum() == channels


def test_a_ring_over_a_long_link_takes_its_bandwidth_time():
    # 128 MiB over 32 ranks at 1 Gbit/s, 10 ms one way
    n, nbytes = 32, 128 << 20
    world = World(one_site(n, link(gbit_per_s=1.0, latency_us=10_000)))
    prediction = world.predict("all_reduce", nbytes, dtype="uint8", algorithm="ring")
    bandwidth_s = 2 * (n - 1) / n * nbytes / 125e6
    assert bandwidth_s <= prediction.time_s <= 1.03 * bandwidth_s
    whole = World(one_site(n, link(gbit_per_s=1.0, latency_us=10_000)), slicing=None)
    paid = whole.predict("all_reduce", nbytes, dtype="uint8", algorithm="ring")
    assert paid.time_s == pytest.approx(bandwidth_s + 2 * (n - 1) * 0.01)


def test_calls_of_short_chunks_pay_their_latency_in_full():
    # 16 MiB over 4 ranks at 50 ms: chunks of 4 MiB are 8 slices, which 1 Gbit/s sends in 33 ms
    world = World(one_site(4, link(gbit_per_s=1.0, latency_us=50_000)))
    prediction = world.predict("all_reduce", 16 << 20, dtype="uint8", algorithm="ring")
    assert prediction.time_s > 6 * 0.05


@given(
    st.sampled_from(algorithms_for("all_reduce")),
    st.integers(1, 6),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(1, 4),
)
def test_slices_carry_what_the_chunks_hold(algorithm, n, block, slice_bytes, slots):
    topology = one_site(n, link())
    whole, sliced = (
        World(topology, slicing=each).predict(
            "all_reduce", n * block, dtype="uint8", algorithm=algorithm
        )
        for each in (None, Slicing(slice_bytes, slots))
    )
    assert whole.timeline.nbytes.sum() == sliced.timeline.nbytes.sum()
    assert sliced.timeline.total_ps >= sliced.bound_ps
    # A slice is cut by the bytes before it, so it may end with the slice of a chunk.
    assert sliced.timeline.nbytes.max(initial=0) < 2 * slice_bytes


def test_slices_change_no_bit_of_the_result():
    x = np.random.default_rng(0).normal(size=(24, 5000)).astype(np.float32)
    results = {
        World("three-campus", slicing=each).all_reduce(x, algorithm="ring").output.tobytes()
        for each in (None, Slicing(100, 2), Slicing())
    }
    assert len(results) == 1


@pytest.mark.parametrize(
    ("arguments", "name"), [((0, 8), "slice_bytes"), ((512 * KIB, 0), "slots")]
)
def test_impossible_slicing_is_refused(arguments, name):
    with pytest.raises(ArgumentError, match=f"{name} 0: needed at least 1"):
        Slicing(*arguments)


def window_limited(slicing, nodes=8):
    """A ring of two sites whose trunk is quick and far: all that it costs is round trips."""
    nic = link(gbit_per_s=100.0, latency_us=0.0)
    sites = tuple(Site(name, (Node(1, nic),) * nodes, nic) for name in "ab")
    trunk = Trunk(("a", "b"), link(gbit_per_s=100.0, latency_us=10_000))
    return World(Topology("far", sites, (trunk,)), slicing=slicing)


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
@pytest.mark.parametrize("slices", [1, 2, 3])
@pytest.mark.parametrize("more", [1, 4, 300])
def test_a_few_bytes_more_than_whole_slices_cost_a_few_bytes_more(slots, slices, more):
    world = window_limited(Slicing(64 * KIB, slots), nodes=2)
    whole = 4 * slices * 64 * KIB  # of each chunk: so many slices
    times = [
        world.predict("broadcast", nbytes, dtype="uint8", algorithm="ring").time_s
        for nbytes in (whole - 4 * more, whole, whole + 4 * more)
    ]
    assert times[2] == pytest.approx(times[1], rel=0.01)
    assert times[0] == pytest.approx(times[1], rel=0.01)


def seconds_of(count, nbytes, slicing):
    """How long ``count`` messages of so many bytes take over 10 ms and next to no time to send."""
    steps = [Step.of([0], [1], [chunk], reduce=False) for chunk in range(count)]
    plan = Plan("all_reduce", "by hand", 2, 0, Partition.uniform(count), lambda: iter(steps))
    far = Network.of(sites_of_one(lambda a, b: Link(1e12, 10e-3), 2))
    return time_plan(program_of(plan, count * nbytes, 1), far, slicing).total_s


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("slicing", [Slicing(1000, 8), Slicing(250, 32), Slicing(8000, 1)])
def test_messages_that_are_not_cut_take_credit_too(count, slicing):
    # 8000 bytes at a time: after every 8 messages of 1000, a round trip of 20 ms.
    rounds = -(-count // 8)
    expected_s = 0.010 + 0.020 * (rounds - 1)
    assert seconds_of(count, 1000, slicing) == pytest.approx(expected_s, rel=1e-3)


def test_nccl_counts_slots_however_short_a_message_is():
    nccl = Slicing(1000, 8, counts_slots=True)
    assert seconds_of(9, 2, nccl) == pytest.approx(0.030, rel=1e-3)
    assert seconds_of(9, 2, Slicing(1000, 8)) == pytest.approx(0.010, rel=1e-3)
    assert Slicing.of(load_stack("nccl"), None) == Slicing(512 * KIB, 8, counts_slots=True)


@given(st.data())
def test_no_more_is_in_flight_than_the_credit_and_one_message(data):
    topology = data.draw(topologies())
    plan = data.draw(chaotic_plans(topology.world_size))
    slicing = Slicing(data.draw(st.integers(1, 24)), data.draw(st.integers(1, 4)))
    width = plan.partition.n_chunks * data.draw(st.integers(1, 12))
    network = Network.of(topology)
    timeline = time_plan(program_of(plan, width, 4), network, slicing)
    most = most_in_flight(timeline.transfers)
    connections = {}
    for t in np.flatnonzero(timeline.src != timeline.dst).tolist():
        ends = int(timeline.src[t]), int(timeline.dst[t])
        back_ps = timeline.arrival_ps[t] + network.latency_ps(*reversed(ends))
        held = timeline.start_ps[t], back_ps, int(timeline.nbytes[t])
        connections.setdefault((*ends, int(timeline.transfers.channel[t])), []).append(held)
    for held in connections.values():
        for start, *_ in held:
            assert sum(nbytes for begun, back, nbytes in held if begun <= start < back) <= most


def arrivals_ms(sizes, slicing):
    """When each message to a rank 10 ms away is there, all of it; the ports take no time."""
    edges = np.cumsum([0, *sizes])
    steps = [Step.of(0, 1, chunk, reduce=False) for chunk in range(len(sizes))]
    partition = Partition(1, int(edges[-1]), edges)
    plan = Plan("all_reduce", "by hand", 2, 0, partition, lambda: iter(steps))
    far = sites_of_one(lambda a, b: Link(1e15, 10e-3), 2, nic=Link(1e15, 0.0))
    timeline = time_plan(program_of(plan, int(edges[-1]), 1), Network.of(far), slicing)
    last = np.append(np.flatnonzero(timeline.begins)[1:], len(timeline)) - 1
    return [round(timeline.arrival_ps[t] / 1e9, 3) for t in last]


@pytest.mark.parametrize(
    ("sizes", "slots", "expected_ms"),
    [
        # 1000 bytes of 8000 are left: half of the third message fits, or one byte is missing.
        ((4000, 3000, 2000), 2, [10, 10, 10]),
        ((4000, 3000, 2001), 2, [10, 10, 30]),
        # First come, first served: a message that would fit waits behind one that does not.
        ((4000, 3000, 4000, 500), 2, [10, 10, 30, 30]),
        # What is left over of a message goes with it if it is less than half a slice ...
        ((5999,), 1, [10]),
        ((6000,), 1, [30]),
        # ... but a message as short, that stands alone, does not.
        ((4000, 1999), 1, [10, 30]),
    ],
)
def test_a_message_goes_when_half_of_it_fits(sizes, slots, expected_ms):
    assert arrivals_ms(sizes, Slicing(4000, slots)) == expected_ms


def test_what_is_left_over_goes_only_with_its_own_slice():
    # Rank 1 hands on what it gets from 0 after 4 ms, and 1000 bytes after 5 ms; between them, after
    # 4.5 ms, comes a message of rank 3. It goes at 24 ms, when word of the first slice is back, and
    # the remainder, which is not that of what was sent before it, 20 ms later.
    def link_between(a, b):
        rates = {(0, 1): 1e6, (1, 3): 4000 / 4.5e-3}
        return Link(rates[a, b], 0.0) if (a, b) in rates else Link(1e15, 10e-3)

    rows = [(0, 1, 0), (3, 1, 1), (1, 2, 0), (1, 2, 1)]
    steps = [Step.of(src, dst, chunk, reduce=False) for src, dst, chunk in rows]
    partition = Partition(1, 9000, np.array([0, 5000, 9000]))
    plan = Plan("all_reduce", "by hand", 4, 0, partition, lambda: iter(steps))
    network = Network.of(sites_of_one(link_between, 4, nic=Link(1e15, 0.0)))
    timeline = time_plan(program_of(plan, 9000, 1), network, Slicing(4000, 1))
    arrived = (timeline.arrival_ps[timeline.src == 1] / 1e9).round(3).tolist()
    assert arrived == [14, 54, 34]
