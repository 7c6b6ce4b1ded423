"""Figures of a program and of a timeline, counted by hand: transfers, roundings, floors, waits."""

from dataclasses import replace

import numpy as np
import pytest
from strategies import program_of, sites_of_one

from emul import Link, Node, Site, Topology, Trunk, World
from emul.links import Changes, OtherTraffic, State, Transport
from emul.plans import build_plan
from emul.timing import Slicing, busiest_link_ps, transfers_in
from emul.timing.joint.rank_ops import Moments
from emul.topology import Network

PLAIN = Link(1e9, 0.01)


def ring(n, nbytes):
    return program_of(build_plan("all_reduce", "ring", (1,) * n), nbytes, 1)


@pytest.mark.parametrize(("slice_bytes", "each"), [(100, 1), (99, 2), (34, 3), (33, 4), (1, 100)])
def test_a_message_has_a_slice_more_for_what_is_left_of_it(slice_bytes, each):
    """A ring of three sends four steps of three messages of 100 bytes."""
    program = ring(3, 300)
    assert transfers_in(program, Slicing(slice_bytes, 8)) == 12 * each
    assert transfers_in(program, None) == 12


def network_of(changes=None, **more):
    topology = sites_of_one(lambda a, b: replace(PLAIN, **more), 2)
    if changes is not None:
        (trunk,) = topology.trunks
        topology = replace(topology, trunks=(replace(trunk, changes=changes),))
    return Network.of(topology)


def test_the_floor_is_that_of_the_busiest_link_at_its_best():
    """Two ranks send each 2 x 500 kB over a trunk of 1 GB/s, of which others leave what they do."""
    program = ring(2, 1_000_000)
    at_best = Changes(trace=(State(0.0, rate_factor=0.25), State(1.0, rate_factor=0.5)))
    bucket = OtherTraffic(burst_bytes=400_000)
    assert busiest_link_ps(program, network_of()) == 10**9
    assert busiest_link_ps(program, network_of(at_best)) == 2 * 10**9
    assert busiest_link_ps(program, network_of(others=bucket)) == 6 * 10**8


def two_sites(ranks, **link):
    fast = Link(1e12, 0.0)
    sites = tuple(Site(name, (Node(ranks, fast),), fast) for name in "ab")
    return Topology("two", sites, (Trunk(("a", "b"), replace(PLAIN, **link)),))


def test_roundings_are_of_the_link_with_most_transfers():
    """In steps of a shift by two, the two ranks of a site send each one message: one way each."""
    found = World(two_sites(2), slicing=None).predict("send_recv", 8000, dtype="uint8", shift=2)
    assert found.timeline.roundings == 2  # of the trunk; a port has one
    waves = World(two_sites(2, waves=2, transport=Transport(streams=3)), slicing=None)
    found = waves.predict("send_recv", 8000, dtype="uint8", shift=2)
    assert found.timeline.roundings == 6  # in three streams each
    assert found.timeline.sent == 4


def test_what_stays_with_its_rank_is_not_sent():
    world = World(two_sites(2), slicing=None)
    timeline = world.predict("all_to_all", 8000, dtype="uint8", algorithm="bruck").timeline
    inside = int((timeline.src == timeline.dst).sum())
    assert inside > 0
    assert timeline.sent == len(timeline) - inside


def test_times_and_the_straggler_of_ranks_that_start_apart():
    """Rank 2 starts last: rank 0 waits for it for 7, rank 1 for rank 0 for nothing."""
    start = np.array([3, 5, 10])
    moments = Moments(
        np.arange(3, dtype=np.int32), start - 1, start, np.array([20, 25, 22]),
        np.array([2, 0, 2], dtype=np.int32),
    )  # fmt: skip
    assert moments.time_ps == 22  # from 3 to 25
    assert moments.waiting_ps.tolist() == [7, 0, 0]
    assert moments.straggler == 2
    later = moments.after(100)
    assert (later.time_ps, later.started_ps.tolist()) == (22, [103, 105, 110])
