import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from reference import simulate
from strategies import (
    cases,
    chaotic_plans,
    link,
    one_site,
    program_of,
    sites_of_one,
    topologies,
    width_for,
)

from emul import Link, Node, Site, TimeLimitError, Topology, Trunk, World
from emul.plans import Partition, Plan, Step, build_plan
from emul.timing import Slicing, time_plan
from emul.topology import Network


def time_and_simulate(plan, topology, width, slicing=None, itemsize=4):
    timeline = time_plan(program_of(plan, width, itemsize), Network.of(topology), slicing)
    return timeline, simulate(plan, width, itemsize, topology, slicing)


slicings = st.builds(Slicing, st.integers(1, 24), st.integers(1, 4))


def assert_same(timeline, reference):
    assert timeline.nbytes.tolist() == [t.nbytes for t in reference]
    assert timeline.arrival_ps.tolist() == [t.arrival_ps for t in reference]
    assert timeline.done_ps.tolist() == [t.done_ps for t in reference]
    starts = [[when for when in row if when >= 0] for row in timeline.on_link_ps.tolist()]
    assert starts == [t.starts for t in reference]
    assert timeline.begins.tolist() == [t.begins for t in reference]


@examples(150)
@given(st.data())
def test_schedule_equals_the_event_simulation_on_random_plans(data):
    topology = data.draw(topologies())
    plan = data.draw(chaotic_plans(topology.world_size))
    width = plan.partition.n_chunks * data.draw(st.integers(0, 12))
    slicing = data.draw(st.none() | slicings)
    assert_same(*time_and_simulate(plan, topology, width, slicing))


@examples(60)
@given(topologies(max_sites=3, max_nodes=2), cases, st.integers(0, 40), st.none() | slicings)
def test_schedule_equals_the_event_simulation_on_real_plans(topology, case, count, slicing):
    sizes = tuple(site.ranks for site in topology.sites)
    n = topology.world_size
    plan = build_plan(*case, sizes, root=n // 2)
    width = width_for(case[0], n, count // n)
    assert_same(*time_and_simulate(plan, topology, width, slicing))


@given(
    st.floats(1e6, 1e12),
    st.floats(0, 0.1),
    st.floats(0, 1e-3),
    st.integers(1, 1 << 33),
)
def test_one_transfer_costs_overhead_plus_bytes_over_rate_plus_latency(rate, latency, overhead, n):
    trunk = Link(rate, latency, overhead)
    world = World(sites_of_one(lambda a, b: trunk, 2), slicing=None)
    prediction = world.predict("broadcast", n, dtype="uint8", algorithm="direct")
    bytes_ps = int(np.floor(n * 1e12 / rate + 0.5))
    assert prediction.timeline.total_ps == round(overhead * 1e12) + bytes_ps + round(latency * 1e12)


@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 24])
@pytest.mark.parametrize(
    ("collective", "phases"), [("all_reduce", 2), ("reduce_scatter", 1), ("all_gather", 1)]
)
def test_ring_on_uniform_links_takes_the_textbook_time(n, collective, phases):
    # links.md 3.1: phases * (n - 1) * (alpha + S / (n R)), with alpha = o + L
    fabric = Link(rate_bytes_per_s=1e10, latency_s=5e-6, overhead_s=3e-6)
    world = World(one_site(n, fabric))
    block = 50_000
    count = block if collective == "all_gather" else block * n
    prediction = world.predict(collective, count, dtype="uint8", algorithm="ring")
    block_ps = block * 100  # 10 GB/s is 100 ps per byte
    assert prediction.timeline.total_ps == phases * (n - 1) * (5_000_000 + 3_000_000 + block_ps)


hops_in_a_ring = st.tuples(st.sampled_from([1e9, 2e9, 5e8]), st.integers(0, 400))


@given(st.lists(hops_in_a_ring, min_size=2, max_size=6))
def test_ring_on_unequal_links_follows_the_recursion(hops):
    # start_i(s) = max(start_i(s-1) + occ_i, arrive_{i-1}(s-1)); arrive = start + occ_i + lat_i
    n, block = len(hops), 1000

    def hop_between(a, b):
        rate, latency_us = hops[a] if b == a + 1 else hops[b]
        return Link(rate, latency_us * 1e-6)

    world = World(sites_of_one(hop_between, n))
    timeline = world.predict("all_reduce", n * block, dtype="uint8", algorithm="ring")
    # With two sites, both directions are the one trunk between them.
    used = [hops[0]] * 2 if n == 2 else hops
    occupancy = [round(block * 1e12 / rate) for rate, _ in used]
    latency = [us * 10**6 for _, us in used]
    busy, arrived = [0] * n, [0] * n
    for _ in range(2 * (n - 1)):
        start = [max(busy[i], arrived[i]) for i in range(n)]
        busy = [start[i] + occupancy[i] for i in range(n)]
        arrived = [busy[i - 1] + latency[i - 1] for i in range(n)]
    assert timeline.timeline.total_ps == max(arrived)


def test_latency_does_not_occupy_a_link():
    # Two messages over one long trunk: the second follows right behind the first.
    trunk = Link(1e9, 0.1)
    sites = (
        Site("a", (Node(1, link()), Node(1, link())), Link(1e15, 0.0)),
        Site("b", (Node(1, link()), Node(1, link())), Link(1e15, 0.0)),
    )
    world = World(Topology("two", sites, (Trunk(("a", "b"), trunk),)), slicing=None)
    timeline = world.predict("all_gather", 10**6, dtype="uint8", algorithm="direct").timeline
    over_trunk = timeline.nbytes[(timeline.src < 2) & (timeline.dst >= 2)]
    assert len(over_trunk) == 4
    assert timeline.total_ps == pytest.approx(4 * 10**9 + 10**11, rel=1e-6)


def test_a_receiver_takes_one_transfer_at_a_time():
    # All send to rank 0 at once: its port serialises them, whatever the senders could do.
    world = World(one_site(5, Link(1e9, 0.0)))
    timeline = world.predict("reduce_scatter", 5 * 1000, dtype="uint8", algorithm="direct").timeline
    into_0 = np.sort(timeline.arrival_ps[timeline.dst == 0])
    assert (np.diff(into_0) >= 1000 * 1000).all()


def test_done_waits_for_what_is_reduced_before():
    # Rank 2's contribution comes first over the short trunk, but is added after rank 1's.
    far, near = Link(1e9, 1e-2), Link(1e9, 1e-6)
    topology = sites_of_one(lambda a, b: near if (a, b) == (0, 1) else far, 3)
    timeline = World(topology).predict("reduce_scatter", 3, algorithm="direct").timeline
    to_0 = [i for i in range(len(timeline)) if timeline.dst[i] == 0]
    assert [int(timeline.src[i]) for i in to_0] == [2, 1]
    assert timeline.arrival_ps[to_0[1]] < timeline.arrival_ps[to_0[0]]
    assert timeline.done_ps[to_0[1]] == timeline.done_ps[to_0[0]] == timeline.arrival_ps[to_0[0]]


def test_time_beyond_int64_picoseconds_is_refused():
    world = World(sites_of_one(lambda a, b: Link(1.0, 0.0), 2))
    with pytest.raises(TimeLimitError, match="53 days"):
        world.predict("broadcast", 10**7, dtype="uint8")


@pytest.mark.parametrize("before", [1, 2])
def test_heads_that_leave_a_port_at_once_go_on_in_the_order_of_the_plan(before):
    # Rank 0 is busy with long messages; behind them wait one byte of chunk 2, of chunk 3, and then
    # of chunk 1, which is before them in the plan. They take no time, so all leave at once, and
    # chunk 1 goes first over the trunk, which is slow.
    nic, big = Link(1e13, 1e-6), 10**8
    sites = (Site("a", (Node(1, nic),) * 4, nic), Site("b", (Node(1, nic),), nic))
    topology = Topology("two", sites, (Trunk(("a", "b"), Link(1e6, 1e-6)),))
    rows = (*[(0, 3, 0)] * before, (2, 0, 1), (0, 4, 1), (0, 4, 2), (0, 4, 3))
    edges = np.array([0, big, big + 1, big + 2, big + 3])
    plan = Plan(
        "all_reduce", "by hand", 5, 0, Partition(1, big + 3, edges),
        lambda: (Step.of(src, dst, chunk, reduce=False) for src, dst, chunk in rows),
    )  # fmt: skip
    timeline, reference = time_and_simulate(plan, topology, big + 3, itemsize=1)
    free, byte = before * 10**7, 10**6
    assert timeline.start_ps[-3:].tolist() == [free] * 3
    assert timeline.on_link_ps[-3:, 1].tolist() == [free, free + byte, free + 2 * byte]
    assert_same(timeline, reference)


def test_no_elements_take_no_time():
    prediction = World("three-campus").predict("all_reduce", 0)
    assert (prediction.time_s, prediction.bound_s, len(prediction.timeline)) == (0.0, 0.0, 0)
    assert prediction.binding == "none"


def test_same_question_same_answer():
    one, other = (World("three-campus").predict("all_reduce", 12345).timeline for _ in range(2))
    assert one.done_ps.tobytes() == other.done_ps.tobytes()
    assert one.on_link_ps.tobytes() == other.on_link_ps.tobytes()


def test_overhead_occupies_the_sender_once_per_message():
    # A root that sends to four others pays four overheads, one after the other.
    world = World(one_site(5, Link(1e12, 0.0, 1e-6)))
    prediction = world.predict("broadcast", 1, dtype="uint8", algorithm="direct")
    assert prediction.timeline.total_ps == 4 * (10**6 + 1)
