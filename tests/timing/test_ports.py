"""A receiver's port is taken when bytes are at it: near and far senders, derived by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import chaotic_plans, program_of, topologies

from emul import Link, Node, Site, Topology, Trunk, World
from emul.plans import Partition, Plan, Step
from emul.timing import time_plan
from emul.topology import Network

US = 10**6
"""In picoseconds."""

NIC = Link(1e9, 0.0)
FAR_US = 1000


def near_and_far():
    """Ranks 0 and 1 at one site, rank 2 far away; every port carries 1 GB/s."""
    sites = (Site("a", (Node(1, NIC), Node(1, NIC)), NIC), Site("b", (Node(1, NIC),), NIC))
    return Topology("near and far", sites, (Trunk(("a", "b"), Link(1e9, FAR_US * 1e-6)),))


@pytest.mark.parametrize(
    ("block_us", "total_us"),
    [
        # The near rank's block is through long before the far one comes: nobody waits.
        (100, FAR_US + 100),
        (FAR_US, 2 * FAR_US),
        # It is still coming in when the far one is there, which waits for the rest of it.
        (1500, 2 * 1500),
    ],
)
def test_a_gather_waits_for_what_is_at_the_port_and_for_nothing_else(block_us, total_us):
    world = World(near_and_far(), slicing=None)
    prediction = world.predict("gather", block_us * 1000, dtype="uint8", algorithm="direct")
    assert prediction.timeline.total_ps == total_us * US
    assert prediction.total_ps >= prediction.bound_ps
    assert prediction.critical_path.total_ps == prediction.total_ps


def test_what_comes_from_afar_keeps_its_place_at_the_port():
    # The near block takes the port from 0 to 1200 us. The far one, whose head is there at 1000 us,
    # waits 200 us, and is not in front although it was sent at the same time.
    def arriving(far_first):
        rows = [(2, 0, 0), (1, 1, 1), (1, 0, 1)] if far_first else [(1, 1, 1), (1, 0, 1), (2, 0, 0)]
        steps = [Step.of(src, dst, chunk, reduce=False) for src, dst, chunk in rows]
        edges = np.array([0, 400_000, 1_600_000])
        plan = Plan(
            "all_reduce", "by hand", 3, 0, Partition(1, 1_600_000, edges), lambda: iter(steps)
        )
        return time_plan(program_of(plan, 1_600_000, 1), Network.of(near_and_far()))

    for far_first in (True, False):
        timeline = arriving(far_first)
        far = timeline.src == 2
        near = (timeline.src == 1) & (timeline.dst == 0)
        assert timeline.arrival_ps[near].tolist() == [1200 * US]
        assert timeline.on_link_ps[far, 2].tolist() == [1200 * US]
        assert timeline.arrival_ps[far].tolist() == [1600 * US]


@examples(150)
@given(st.data())
def test_no_port_is_entered_faster_than_its_rate(data):
    """From the first head to the last byte, a port carries no more than its rate allows."""
    topology = data.draw(topologies())
    plan = data.draw(chaotic_plans(topology.world_size))
    width = plan.partition.n_chunks * data.draw(st.integers(1, 2000))
    network = Network.of(topology)
    timeline = time_plan(program_of(plan, width, 4), network)
    for rank in range(topology.world_size):
        for near in (True, False):
            into = (timeline.dst == rank) & (timeline.src != rank)
            into &= (network.node_of[timeline.src] == network.node_of[rank]) == near
            number = np.flatnonzero(into)
            if not len(number):
                continue
            rate = network.link_rate[4 * rank + (1 if near else 3)]
            head = timeline.on_link_ps[number, 2]
            order = np.argsort(head, kind="stable")
            taken = np.floor(timeline.nbytes[number] * 1e12 / rate + 0.5)[order].astype(np.int64)
            # One after the other, and nobody has arrived before the port is through with it.
            assert (head[order][1:] >= head[order][:-1] + taken[:-1]).all()
            assert (timeline.arrival_ps[number][order] >= head[order] + taken).all()
            latency = [network.latency_ps(int(timeline.src[t]), rank) for t in number]
            assert (head >= timeline.on_link_ps[number, 0] + latency).all()
