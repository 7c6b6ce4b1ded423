"""Token buckets: what passes at once, and who waits behind whom; against times by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import cases, program_of, topologies, width_for

from emul import Link, Node, Site, Topology, Trunk, World
from emul.links.link import OtherTraffic
from emul.plans import Partition, Plan, Step, build_plan
from emul.timing import time_plan
from emul.topology import Network

RATE, DELAY_S, BURST = 1e8, 10e-3, 200_000
NIC = Link(1e12, 0.0)
FAST = Link(1e12, DELAY_S)


def topology(ranks=(1, 1, 1), uplink=RATE, burst=0.0, trunk=FAST, downlink=math.inf):
    sites = tuple(
        Site(name, tuple(Node(1, NIC) for _ in range(n)), NIC, uplink, downlink, burst)
        for name, n in zip("abc", ranks, strict=False)
    )
    names = [site.name for site in sites]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Topology("buckets", sites, tuple(Trunk(pair, trunk) for pair in pairs))


def timeline_of(steps, where, nbytes, chunks, order="free"):
    n = where.world_size
    partition = Partition.uniform(chunks) if isinstance(chunks, int) else chunks
    plan = Plan("all_reduce", "by hand", n, 0, partition, lambda: iter(steps), order=order)
    return time_plan(program_of(plan, nbytes, 1), Network.of(where))


def one(src, dst, chunk=0):
    return Step.of(src, dst, chunk, reduce=False)


@pytest.mark.parametrize("nbytes", [50_000, 200_000, 1_000_000])
@pytest.mark.parametrize("shared", [True, False])
def test_a_full_bucket_lets_its_bytes_pass_at_once(nbytes, shared):
    paced = replace(FAST, rate_bytes_per_s=RATE, others=OtherTraffic(burst_bytes=BURST))
    where = topology((1, 1), burst=BURST) if shared else topology((1, 1), math.inf, trunk=paced)
    expected = DELAY_S + max(0, nbytes - BURST) / RATE
    found = timeline_of([one(0, 1)], where, nbytes, 1).total_s
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("delay_s", [0.1e-3, 0.5e-3, 1.5e-3, 25e-3])
def test_an_empty_bucket_fills_while_nothing_is_sent(delay_s, shared):
    # The answer of rank 1, a byte, is back two delays after the last byte of rank 0 has left. Then
    # rank 0 has what flowed into its bucket in that time, and no more than it holds.
    trunk = replace(FAST, latency_s=delay_s)
    paced = replace(trunk, rate_bytes_per_s=RATE, others=OtherTraffic(burst_bytes=BURST))
    where = (
        topology((1, 1), burst=BURST, trunk=trunk)
        if shared
        else topology((1, 1), math.inf, trunk=paced)
    )
    partition = Partition(1, 2_000_001, np.array([0, 1_000_000, 1_000_001, 2_000_001]))
    steps = [one(0, 1, 0), one(1, 0, 1), one(0, 1, 2)]
    found = timeline_of(steps, where, 2_000_001, partition, order="lockstep")
    last_s = found.total_s - found.arrival_ps[1] / 1e12 - delay_s
    assert last_s == pytest.approx((1_000_000 - min(BURST, 2 * delay_s * RATE)) / RATE, rel=1e-3)


@pytest.mark.parametrize("shared", [True, False])
def test_small_messages_wait_behind_what_others_have_queued(shared):
    # Rank 0 fills the bucket's queue; a word of rank 1, a bit later, waits for all of it ...
    bulk, path = 500_000, RATE * 2 * DELAY_S
    partition = Partition(1, 500_100, np.array([0, bulk, 500_100]))
    paced = replace(FAST, rate_bytes_per_s=RATE, others=OtherTraffic(burst_bytes=1.0))
    where = topology((2, 1), burst=1.0) if shared else topology((2, 1), math.inf, trunk=paced)
    found = timeline_of([one(0, 2, 0), one(1, 2, 1)], where, 500_100, partition)
    assert bulk < path
    assert found.arrival_ps[1] / 1e12 == pytest.approx(DELAY_S + bulk / RATE, rel=1e-3)
    # ... but of a message that the path does not hold at once, no more than that is queued.
    bulk = 5_000_000
    partition = Partition(1, bulk + 100, np.array([0, bulk, bulk + 100]))
    found = timeline_of([one(0, 2, 0), one(1, 2, 1)], where, bulk + 100, partition)
    assert found.arrival_ps[1] / 1e12 == pytest.approx(DELAY_S + path / RATE, rel=1e-3)


def test_what_a_bucket_lets_pass_at_once_is_not_queued():
    partition = Partition(1, 500_100, np.array([0, 500_000, 500_100]))
    where = topology((2, 1), burst=BURST)
    found = timeline_of([one(0, 2, 0), one(1, 2, 1)], where, 500_100, partition)
    expected = DELAY_S + (500_000 - BURST) / RATE
    assert found.arrival_ps[1] / 1e12 == pytest.approx(expected, rel=1e-3)


def test_without_a_bucket_small_messages_have_their_share_at_once():
    partition = Partition(1, 500_100, np.array([0, 500_000, 500_100]))
    found = timeline_of([one(0, 2, 0), one(1, 2, 1)], topology((2, 1)), 500_100, partition)
    assert found.arrival_ps[1] / 1e12 == pytest.approx(DELAY_S + 200 / RATE, rel=1e-3)


def test_a_queue_delays_and_loses_nothing():
    # Whoever goes first, the bucket is never idle: three messages take the time of their bytes.
    where = topology((3, 1), burst=1.0)
    found = timeline_of([one(0, 3, 0), one(1, 3, 1), one(2, 3, 2)], where, 3_000_000, 3)
    assert found.total_s == pytest.approx(DELAY_S + 3_000_000 / RATE, rel=1e-4)


def test_what_comes_in_may_be_faster_than_what_goes_out():
    steps = [Step.of([0, 1], [2, 2], [0, 1], reduce=False)]
    apart = timeline_of(steps, topology(), 2_000_000, 2).total_s
    joint = timeline_of(steps, topology(downlink=RATE), 2_000_000, 2).total_s
    assert apart == pytest.approx(DELAY_S + 1_000_000 / RATE, rel=1e-4)
    assert joint == pytest.approx(DELAY_S + 2_000_000 / RATE, rel=1e-4)


@examples(60)
@given(topologies(max_sites=3), cases, st.integers(1, 200), st.data())
def test_no_run_is_faster_than_its_bound_whatever_buckets_hold(where, case, count, data):
    bursts, rates = st.sampled_from([0.0, 100.0, 1e4]), st.sampled_from([1e8, 1e9, math.inf])
    sites = tuple(
        replace(
            site,
            uplink_bytes_per_s=data.draw(rates),
            downlink_bytes_per_s=data.draw(rates),
            uplink_burst_bytes=data.draw(bursts),
        )
        for site in where.sites
    )
    trunks = tuple(
        replace(t, link=replace(t.link, others=OtherTraffic(burst_bytes=data.draw(bursts))))
        for t in where.trunks
    )
    world = World(replace(where, sites=sites, trunks=trunks))
    prediction = world.predict(case[0], count * world.size, algorithm=case[1])
    assert prediction.time_s >= prediction.bound_s
    assert prediction.critical_path.total_ps == prediction.timeline.total_ps


@examples(40)
@given(topologies(max_sites=3), cases, st.integers(1, 200))
def test_buckets_that_hold_nothing_change_nothing_that_uplinks_do_not(where, case, count):
    sizes, n = tuple(site.ranks for site in where.sites), where.world_size
    program = program_of(build_plan(*case, sizes, root=n // 2), width_for(case[0], n, count), 4)
    wide = tuple(replace(site, uplink_bytes_per_s=1e18) for site in where.sites)
    plain, joined = (
        time_plan(program, Network.of(each)).total_ps
        for each in (where, replace(where, sites=wide))
    )
    assert joined == pytest.approx(plain, rel=1e-6, abs=50)
