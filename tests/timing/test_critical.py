import numpy as np
import pytest
from every_link import drawn
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples, fewer
from strategies import cases, chaotic_plans, program_of, sites_of_one, topologies

from emul import Link, Node, Site, Topology, World
from emul.links import Transport
from emul.plans import Partition, Plan, Step, Waits
from emul.timing import Slicing, critical_path, time_plan
from emul.topology import Network


@examples(150)
@given(st.data())
def test_segments_sum_to_the_total_on_random_plans(data):
    topology = data.draw(topologies())
    plan = data.draw(chaotic_plans(topology.world_size))
    program = program_of(plan, plan.partition.n_chunks * data.draw(st.integers(0, 12)), 4)
    slicing = data.draw(st.none() | st.builds(Slicing, st.integers(1, 24), st.integers(1, 4)))
    timeline = time_plan(program, Network.of(topology), slicing)
    assert critical_path(timeline).total_ps == timeline.total_ps


@given(topologies(), cases)
def test_segments_sum_to_the_total_on_real_plans(topology, case):
    world = World(topology)
    prediction = world.predict(case[0], 60 * world.size, algorithm=case[1])
    assert prediction.critical_path.total_ps == prediction.timeline.total_ps
    assert all(segment.duration_ps >= 0 for segment in prediction.critical_path.segments)


@pytest.mark.parametrize("part", range(fewer(6, 2)))
def test_segments_sum_to_the_total_whatever_links_there_are(part):
    # Waves, streams, windows, gaps, losses, jitter, queues, slow start, buckets, outages, uplinks.
    over_streams = 0
    for number in range(100 * part, 100 * part + 100):
        world, (collective, count, algorithm) = drawn(number)
        found = world.predict(collective, count, dtype="uint8", algorithm=algorithm)
        segments = found.critical_path.segments
        assert sum(each.duration_ps for each in segments) == found.timeline.total_ps, number
        assert all(each.duration_ps >= 0 for each in segments), number
        over_streams += len(found.timeline.runs_from) > 0
    assert over_streams >= 30


@pytest.mark.parametrize("streams", [2, 3, 7])
@pytest.mark.parametrize("messages", [1, 2, 5])
def test_streams_on_unequal_waves_take_the_time_of_the_fullest_wave(streams, messages):
    # A stream that is through early begins the next message; each wave is busy all the time, and
    # the one with most streams longest: a part of each message for each stream.
    part, wave_rate = 10_000, 1e8
    trunk = Link(2 * wave_rate, 1e-3, waves=2, transport=Transport(streams=streams))
    steps = [Step.of(0, 1, chunk, reduce=False) for chunk in range(messages)]
    plan = Plan("all_reduce", "by hand", 2, 0, Partition.uniform(messages), lambda: iter(steps))
    program = program_of(plan, messages * streams * part, 1)
    network = Network.of(sites_of_one(lambda a, b: trunk, 2, nic=Link(1e18, 0.0)))
    splits = set()
    for seed in range(12):
        timeline = time_plan(program, network, seed=seed)
        fullest = int(np.bincount(timeline.connection_table.classes.of_stream).max())
        splits.add(fullest)
        path, busy_ps = critical_path(timeline), messages * fullest * 100_000_000
        assert path.total_ps == timeline.total_ps == busy_ps + 1_000_000_000
        assert path.spent_s("trunk s0 -> s1", "share") == busy_ps / 1e12
    assert len(splits) > 1


def binding_of(rate, latency_s, nbytes):
    world = World(sites_of_one(lambda a, b: Link(rate, latency_s), 2))
    prediction = world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")
    return prediction.binding, prediction.critical_path.binding_place


def test_a_thin_trunk_binds_by_its_share():
    assert binding_of(1e6, 1e-3, 10**6) == ("share", "trunk s0 -> s1")


def test_a_long_trunk_binds_by_its_latency():
    assert binding_of(1e12, 1e-1, 10**6) == ("latency", "trunk s0 -> s1")


def test_the_slowest_of_three_trunks_binds_a_ring():
    slow, quick = Link(1e7, 1e-4), Link(1e9, 1e-4)
    world = World(sites_of_one(lambda a, b: slow if (a, b) == (1, 2) else quick, 3))
    path = world.predict("all_reduce", 3 * 10**5, algorithm="ring").critical_path
    assert path.binding == "share"
    assert path.binding_place == "trunk s1 -> s2"
    assert path.spent_s("trunk s1 -> s2", "share") > 0.9 * path.total_ps / 1e12


def test_a_path_goes_through_what_had_to_be_issued_first():
    # What rank 0 sends rank 1 at once (row 3) counts as there when rank 1 sends on to its neighbour
    # (row 2) what has come from rank 3 by way of rank 0; only then does rank 1 send it back.
    rows = [(3, 0, 0), (0, 1, 0), (1, 2, 0), (0, 1, 1), (1, 0, 1)]
    steps = [Step.of(src, dst, chunk, reduce=False) for src, dst, chunk in rows]
    waits = Waits(np.array([2]), np.array([3]), np.array([True]), np.array([False]))
    plan = Plan(
        "all_reduce", "custom", 4, 0, Partition.uniform(2), lambda: iter(steps), waits=waits
    )
    far, near = Link(1e9, 1e-4), Link(1e9, 1e-6)
    nodes = (Node(1, near), Node(2, near), Node(1, near))
    network = Network.of(Topology("three nodes", (Site("campus", nodes, far),)))
    timeline = time_plan(program_of(plan, 2000, 1), network)
    once_ps = 1_000_000 + 100_000_000
    assert critical_path(timeline).total_ps == timeline.total_ps == 3 * once_ps
