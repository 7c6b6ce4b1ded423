"""What each part of a link does to a collective, against times worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from closed_forms.message import slow_start_time_s
from strategies import sites_of_one

from emul import Link, Node, OutageError, Site, Topology, Trunk, World
from emul.links import EFFECTS, Changes, Jitter, OtherTraffic, Outages, State, Transport
from emul.timing import Slicing

MB = 10**6
L = 0.01
PLAIN = Link(1e9, L)
WHOLE = None
NIC = Link(1e15, 0.0)


def between(link, changes=None, slicing=WHOLE, **world):
    """Two sites of one rank, joined by ``link``."""
    topology = sites_of_one(lambda a, b: link, 2)
    if changes is not None:
        (trunk,) = topology.trunks
        topology = replace(topology, trunks=(replace(trunk, changes=changes),))
    return World(topology, slicing=slicing, **world)


def sent(world, nbytes=100 * MB):
    """The prediction for one message from rank 0 to rank 1."""
    return world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")


def seconds(prediction):
    return pytest.approx(prediction.time_s, rel=1e-12, abs=2e-12)


def without(world, *effects):
    return World(world.topology.without(effects), slicing=world.slicing)


def test_a_window_turns_latency_into_bandwidth():
    # 2 streams of 1 MB per round trip of 20 ms: 100 MB/s
    link = replace(PLAIN, transport=Transport(window_bytes=MB, streams=2))
    prediction = sent(between(link))
    assert seconds(prediction) == 1.0 + L
    assert prediction.binding == "window"
    assert seconds(sent(without(between(link), "window"))) == 0.1 + L
    assert seconds(sent(without(between(link), "latency"))) == 0.1
    # No algorithm can do better with one connection; larger windows can.
    assert prediction.window_bound_s == pytest.approx(1.0 + L)
    assert prediction.bound_s == pytest.approx(0.1 + L)


def test_a_window_of_the_link_takes_the_place_of_slots():
    slicing = Slicing(MB, 2)  # alone: 2 MB each round trip and the time of a slice
    assert seconds(sent(between(PLAIN, slicing=slicing))) == 49 * (0.001 + 2 * L) + 0.002 + L
    link = replace(PLAIN, transport=Transport(window_bytes=4 * MB))
    assert seconds(sent(between(link, slicing=slicing))) == 0.5 + L


def test_slices_of_a_stream_begin_a_gap_apart():
    # 10 slices of 10 ms, 15 ms apart on each of 2 streams: 7.5 ms apart does not show
    link = replace(PLAIN, transport=Transport(gap_s=0.04, streams=2))
    prediction = sent(between(link, slicing=Slicing(10 * MB, 100)))
    assert seconds(prediction) == 9 * 0.02 + 0.01 + L
    assert prediction.binding == "gap"
    hidden = replace(PLAIN, transport=Transport(gap_s=0.015, streams=2))
    assert seconds(sent(between(hidden, slicing=Slicing(10 * MB, 100)))) == 0.1 + L


@pytest.mark.parametrize("inside", [False, True])
def test_go_back_n_pays_a_pipe_for_each_loss(inside):
    # N = 1 + 20 ms / 4 us = 5001 packets of 4000 bytes; (1 - p) / (1 + p (N - 1)) of the rate
    transport = Transport(loss=1e-3, recovery="gbn", mtu_bytes=4000)
    link = replace(PLAIN, transport=transport)
    world = between(link)
    if inside:
        world = World(Topology("in", (Site("a", (Node(1, NIC),) * 2, link),)), slicing=None)
    prediction = sent(world)
    assert seconds(prediction) == 0.1 * (1 + 1e-3 * 5000) / (1 - 1e-3) + L
    assert prediction.binding == "loss"
    assert seconds(sent(without(world, "loss"))) == 0.1 + L


def test_others_take_their_part_and_stand_in_front():
    link = replace(PLAIN, others=OtherTraffic(load=0.75, queue_bytes=30 * MB))
    prediction = sent(between(link), MB)
    assert seconds(prediction) == 0.004 + 0.03 + L
    assert prediction.binding == "queue"
    assert seconds(sent(without(between(link), "queue"), MB)) == 0.004 + L
    assert seconds(sent(without(between(link), "queue", "load"), MB)) == 0.001 + L
    short = replace(link, others=replace(link.others, buffer_bytes=10 * MB))
    assert seconds(sent(between(short), MB)) == 0.004 + 0.01 + L


def test_a_lossless_link_needs_its_headroom():
    # 1 GB/s over 20 ms needs 20 MB and two frames; 5 MB pass 250 MB/s
    others = OtherTraffic(buffer_bytes=5 * MB, lossless=True)
    short = replace(PLAIN, others=others)
    assert short.short_of_headroom
    assert seconds(sent(between(short))) == 0.4 + L
    enough = replace(short, others=replace(others, buffer_bytes=20 * MB + 2 * 9216))
    assert not enough.short_of_headroom
    assert seconds(sent(between(enough))) == 0.1 + L
    losing = replace(short, transport=Transport(loss=1e-3, recovery="gbn", mtu_bytes=4000))
    assert seconds(sent(between(losing))) == 0.1 * (1 + 1e-3 * 5000) / (1 - 1e-3) + L
    assert seconds(sent(without(between(short), "queue"))) == 0.1 + L


def test_tcp_starts_slowly_and_again_after_silence():
    transport = Transport(recovery="cubic", slow_start=True, rto_s=0.2)
    link = replace(PLAIN, transport=transport)
    expected = slow_start_time_s(2 * MB, rate_bytes_per_s=1e9, rtt_s=2 * L, delay_s=L)
    prediction = sent(between(link), 2 * MB)
    assert seconds(prediction) == expected
    assert prediction.binding == "window"
    in_slices = sent(between(link, slicing=Slicing(MB // 4, 100)), 2 * MB)
    assert seconds(in_slices) == expected
    assert seconds(sent(without(between(link), "window"), 2 * MB)) == 0.002 + L


# Seven windows of 10 to 640 segments, each a round trip, and the rest at once.
RAMP_S = 7 * 2 * L + (2 * MB - 127 * 14480) / 1e9


@pytest.mark.parametrize(
    ("down_s", "rto_s", "left_s", "sent_again"),
    [
        (RAMP_S + 0.005, 0.2, RAMP_S + 0.205, 0.005 / RAMP_S),  # while the last bytes are under way
        (0.05, 0.2, 0.25, 1 - 0.04 / RAMP_S),  # between two windows: all after the first 40 ms
        (0.05, 0.02, RAMP_S, 0.0),  # again long before slow start would have let the last one go
        (RAMP_S + L, 0.2, RAMP_S, 0.0),  # when all has arrived
    ],
)
def test_an_outage_while_slow_start_waits_costs_its_timers(down_s, rto_s, left_s, sent_again):
    """The bytes of a message leave evenly until slow start lets the last of them go."""
    link = replace(PLAIN, transport=Transport(recovery="cubic", slow_start=True, rto_s=rto_s))
    changes = Changes(outages=Outages(schedule=((down_s, 0.001),)))
    prediction = sent(between(link, changes), 2 * MB)
    assert seconds(prediction) == left_s + sent_again * 2 * MB / 1e9 + L
    assert prediction.critical_path.total_ps == prediction.total_ps
    assert seconds(sent(between(link), 2 * MB)) == RAMP_S + L


def test_two_senders_share_a_trunk_evenly():
    nic = Link(1e9, 0.0)
    sites = tuple(Site(name, (Node(1, nic), Node(1, nic)), nic) for name in "ab")
    world = World(Topology("two", sites, (Trunk(("a", "b"), PLAIN),)), slicing=None)
    prediction = world.predict("send_recv", 10 * MB, dtype="uint8", shift=2)
    assert prediction.timeline.arrival_ps.tolist() == [30 * 10**9] * 4


def test_sites_share_their_uplink():
    # a sends to b and c at once, over trunks of 1 GB/s each behind an uplink of 1 GB/s
    sites = tuple(
        Site(name, (Node(1, NIC),), NIC, uplink_bytes_per_s=1e9 if name == "a" else np.inf)
        for name in "abc"
    )
    trunks = tuple(Trunk(pair, PLAIN) for pair in (("a", "b"), ("b", "c"), ("a", "c")))
    world = World(Topology("three", sites, trunks), slicing=None)
    prediction = sent(world)
    assert seconds(prediction) == 0.2 + L
    assert prediction.binding == "share"
    assert prediction.bound_s <= prediction.time_s


def test_a_stream_lives_on_one_wave():
    link = replace(PLAIN, waves=4)
    assert seconds(sent(between(link))) == 0.4 + L
    streams = replace(link, transport=Transport(streams=64))
    busiest = sent(between(streams)).time_s - L
    assert 0.1 < busiest < 0.2  # 64 streams on 4 waves, not 16 on each


def test_jitter_is_the_same_for_the_same_seed_alone():
    link = replace(PLAIN, jitter=Jitter(1e-3, 5.0))
    times = [sent(between(link, seed=seed)).time_s for seed in (1, 1, 2)]
    assert times[0] == times[1] != times[2]
    assert min(times) > 0.1 + L
    assert seconds(sent(without(between(link), "jitter"))) == 0.1 + L


def test_load_by_the_hour():
    half = Changes(trace=(State(0.0), State(3600.0, rate_factor=0.5)))
    assert seconds(sent(between(PLAIN, half))) == 0.1 + L
    assert seconds(sent(between(PLAIN, half, start_s=3600.0))) == 0.2 + L
    assert seconds(sent(between(PLAIN, half, start_s=3599.95))) == 0.05 + 0.1 + L


RDMA = replace(PLAIN, transport=Transport(recovery="gbn", rto_s=0.5, retries=3))


def test_an_outage_costs_whole_timers():
    # Down at 50 ms for 0.6 s: of 50 MB sent, the last 10 MB are lost; two timers.
    changes = Changes(outages=Outages(schedule=((0.05, 0.6),)))
    prediction = sent(between(RDMA, changes))
    assert seconds(prediction) == 0.05 + 2 * 0.5 + 0.06 + L
    assert prediction.binding == "outage"
    off = between(RDMA, changes).topology.without(["outage"])
    assert seconds(sent(World(off, slicing=None))) == 0.1 + L


DOWN_S, LAST_RETRY_S, GIVEN_UP_S = 0.05, 0.05 + 3 * 0.5, 0.05 + 4 * 0.5


@pytest.mark.parametrize("up_s", [LAST_RETRY_S - 1e-6, LAST_RETRY_S])
def test_an_outage_that_the_last_retry_finds_over_is_survived(up_s):
    # Down at 50 ms; what was in flight and the 50 MB left go at the third retry, not before.
    world = between(RDMA, Changes(outages=Outages(schedule=((DOWN_S, up_s - DOWN_S),))))
    assert seconds(sent(world)) == LAST_RETRY_S + 0.06 + L


@pytest.mark.parametrize("up_s", [LAST_RETRY_S + 1e-6, GIVEN_UP_S - 1e-6, GIVEN_UP_S, 9.0])
def test_a_connection_is_given_up_one_timer_after_its_last_retry(up_s):
    world = between(RDMA, Changes(outages=Outages(schedule=((DOWN_S, up_s - DOWN_S),))))
    with pytest.raises(OutageError, match=r"from 0\.05 s .* given up at 2\.05 s, one timer after"):
        sent(world)


def test_of_two_connections_the_one_that_is_given_up_first_is_told():
    """One of 7 retries of 0.25 s is dead after 2 s, one of a single retry of 1.05 s after 2.1 s."""
    retried = {1: (7, 0.25), 2: (1, 1.05)}
    topology = sites_of_one(lambda a, b: PLAIN, 3)
    changes = Changes(outages=Outages(schedule=((DOWN_S, 60.0),)))
    trunks = []
    for trunk in topology.trunks:
        retries, rto_s = retried.get(max(int(name[1:]) for name in trunk.sites), (7, 9.0))
        transport = replace(RDMA.transport, retries=retries, rto_s=rto_s)
        link = replace(trunk.link, transport=transport)
        trunks.append(replace(trunk, link=link, changes=changes))
    world = World(replace(topology, trunks=tuple(trunks)), slicing=None)
    with pytest.raises(OutageError, match=r"trunk s0 -> s1.* given up at 2\.05 s"):
        world.predict("broadcast", 100 * MB, dtype="uint8", algorithm="direct")


@pytest.mark.parametrize("retries", [0, 1])
def test_few_retries_are_counted_too(retries):
    link = replace(RDMA, transport=replace(RDMA.transport, retries=retries))
    world = between(link, Changes(outages=Outages(schedule=((DOWN_S, retries * 0.5 + 0.1),))))
    with pytest.raises(OutageError, match=rf"given up at {DOWN_S + (retries + 1) * 0.5:g} s"):
        sent(world)


def test_an_outage_of_a_trace_that_is_repeated_kills_in_time():
    trace = (State(0.0), State(0.05, up=False), State(5.0))
    with pytest.raises(OutageError, match=r"for 4\.95 s: .* given up at 2\.05 s"):
        sent(between(RDMA, Changes(trace=trace, repeat_s=6.0)))


def test_an_outage_that_is_too_long_leaves_the_arrays_alone():
    changes = Changes(outages=Outages(schedule=((0.05, 1.6),)))
    world = between(RDMA, changes)
    x = np.arange(2 * 100 * MB // 4, dtype=np.float32).reshape(2, -1)
    out = np.full_like(x, 7)
    before = x.copy()
    with pytest.raises(OutageError) as error:
        world.all_reduce(x, out=out, algorithm="ring")
    said = str(error.value)
    assert "trunk s0 -> s1" in said or "trunk s1 -> s0" in said
    assert "from 0.05 s for 1.6 s" in said
    assert "3 retries of 0.5 s" in said
    assert (x == before).all()
    assert (out == 7).all()


def test_auto_passes_over_what_an_outage_kills():
    # One round is over after 10 ms, two are not; the link is down from 15 ms on.
    world = between(RDMA, Changes(outages=Outages(schedule=((0.015, 9.0),))))
    with pytest.raises(OutageError):
        world.predict("all_reduce", 100, dtype="uint8", algorithm="ring")
    prediction = world.predict("all_reduce", 100, dtype="uint8")
    assert prediction.time_s < 0.015
    assert prediction.ruled_out["ring"] == np.inf
    with pytest.raises(OutageError, match="for 9 s"):
        world.predict("all_reduce", 100 * MB, dtype="uint8")


def test_every_effect_can_be_turned_off():
    link = Link(
        1e9,
        L,
        1e-6,
        transport=Transport(window_bytes=MB, gap_s=1e-3, loss=1e-3, recovery="sr", rto_s=1.0),
        jitter=Jitter(1e-3, 9.0),
        others=OtherTraffic(load=0.5, queue_bytes=MB),
        completion_s=1e-5,
    )
    changes = Changes(outages=Outages(schedule=((0.0, 0.01),)))
    world = between(link, changes)
    assert seconds(sent(without(world, *EFFECTS))) == 1e-6 + 0.1
    assert len({sent(without(world, effect)).time_s for effect in EFFECTS}) == len(EFFECTS)


def test_a_trunk_with_one_connection_is_not_shared():
    assert not len(sent(between(PLAIN)).timeline.connection_table.classes.of_stream)
    world = World("three-campus")
    ring = world.predict("all_reduce", 2400, algorithm="ring").timeline
    assert not len(ring.connection_table.classes.of_stream)
    hierarchical = world.predict("all_reduce", 2400, algorithm="hierarchical").timeline
    assert len(hierarchical.connection_table.classes.of_stream)
