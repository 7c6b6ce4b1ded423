"""What links mean for a traffic: streams on waves, trunks that change, late messages; by hand."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from by_hand import CONTROL, ONE_MESSAGE, plan_of
from closed_forms.message import slow_start_time_s
from strategies import program_of, sites_of_one

from emul import Link, Node, OutageError, Site, Stack, Topology, Trunk, World
from emul.links import Changes, Jitter, OtherTraffic, Outages, State, Transport
from emul.links.transport import TCP_INITIAL_WINDOW_BYTES
from emul.plans import Partition, Plan, Step
from emul.stacks import Constants
from emul.stacks.profile import load_stack
from emul.timing import Slicing, time_plan
from emul.timing.effects.drawn_delays import (
    Delays,
    FollowedConnections,
    MessageCounts,
    can_be_late,
)
from emul.timing.effects.losses import Losses
from emul.timing.traffic import Traffic
from emul.topology import Network

MB = 10**6
L = 0.01
PLAIN = Link(1e9, L)


def between(link, changes=None, **options):
    """Two sites of one rank, joined by ``link``."""
    topology = sites_of_one(lambda a, b: link, 2)
    if changes is not None:
        (trunk,) = topology.trunks
        topology = replace(topology, trunks=(replace(trunk, changes=changes),))
    return World(topology, **{"slicing": None, **options})


def seconds(world, nbytes=100 * MB):
    found = world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")
    return pytest.approx(found.time_s, rel=1e-12, abs=2e-12)


def outages(*schedule):
    return Changes(outages=Outages(schedule=schedule))


# Streams on waves


@pytest.mark.parametrize("streams", [2, 3, 5])
@pytest.mark.parametrize("changing", [False, True])
def test_each_stream_on_its_wave_has_its_own_window_and_no_more(streams, changing):
    # 1 MB per round trip of 20 ms and stream; a wave carries far more than all of them.
    transport = Transport(window_bytes=MB, streams=streams)
    link = replace(PLAIN, rate_bytes_per_s=1e12, waves=4, transport=transport)
    world = between(link, Changes(trace=(State(), State(9.0, 0.5))) if changing else None)
    assert seconds(world, 60 * MB) == 60 * MB / (streams * 50e6) + L


@pytest.mark.parametrize("nbytes", [1, 2, 3, 4, 5, 299, 300, 301, 302])
def test_every_byte_of_a_message_over_several_streams_is_sent(nbytes):
    # One byte per round trip of 20 ms and stream: the longest part takes 20 ms for each byte.
    transport = Transport(window_bytes=1.0, streams=3)
    world = between(replace(PLAIN, waves=2, transport=transport))
    assert seconds(world, nbytes) == -(-nbytes // 3) * 0.02 + L


@pytest.mark.parametrize("changing", [False, True])
def test_a_stream_has_the_rate_of_one_wave(changing):
    link = replace(PLAIN, waves=4)
    trace = Changes(trace=(State(), State(0.2, 0.5))) if changing else None
    # 50 MB in 0.2 s at a quarter of the rate; then at an eighth.
    assert seconds(between(link, trace)) == (0.2 + 0.4 if changing else 0.4) + L


def test_each_wave_has_its_part_of_a_token_bucket():
    others = OtherTraffic(burst_bytes=40 * MB)
    link = replace(PLAIN, waves=4, others=others)
    assert seconds(between(link)) == (100 - 10) * MB / 250e6 + L


# Trunks that change


def test_a_longer_delay_makes_windows_slower_both_ways():
    # 1 MB per round trip: 20 ms, then with 5 ms more each way 30 ms.
    link = replace(PLAIN, transport=Transport(window_bytes=MB))
    later = Changes(trace=(State(), State(1.0, extra_delay_s=0.005)))
    assert seconds(between(link, later)) == 1.0 + 50 * 0.03 + L + 0.005


@pytest.mark.parametrize(
    ("down_s", "up_after_s"), [(0.1, 0.2), (0.2, 0.2), (0.21, 0.6), (0.6, 0.6), (0.61, 1.4)]
)
def test_tcp_finds_a_trunk_again_after_doubling_timers_of_at_least_a_fifth_of_a_second(
    down_s, up_after_s
):
    # Timers run out 0.2, 0.6 and 1.4 s after the loss (0.2 s: TCP_RTO_MIN of Linux); 10 MB in
    # flight are sent again.
    link = replace(PLAIN, transport=Transport(recovery="cubic"))
    assert seconds(between(link, outages((0.05, down_s)))) == 0.05 + up_after_s + 0.06 + L


def test_tcp_with_a_timer_of_its_own_doubles_that():
    link = replace(PLAIN, transport=Transport(recovery="cubic", rto_s=0.3))
    assert seconds(between(link, outages((0.05, 0.4)))) == 0.05 + 0.9 + 0.06 + L


def test_without_a_timer_what_was_lost_is_sent_when_the_trunk_is_up():
    link = replace(PLAIN, transport=Transport(recovery="gbn"))
    assert seconds(between(link, outages((0.05, 0.123)))) == 0.05 + 0.123 + 0.06 + L


def test_an_outage_that_catches_the_end_of_a_message_costs_what_was_in_flight():
    # The last byte leaves after 0.1 s; the trunk goes down 4 ms later: 6 ms of bytes had come.
    link = replace(PLAIN, transport=Transport(recovery="gbn", rto_s=0.5))
    assert seconds(between(link, outages((0.104, 0.1)))) == 0.104 + 0.5 + 0.006 + L
    assert seconds(between(link, outages((0.111, 0.1)))) == 0.1 + L


def test_the_last_retry_may_find_the_trunk_up():
    # Two retries, half a second and a second after the loss.
    link = replace(PLAIN, transport=Transport(recovery="gbn", rto_s=0.5, retries=2))
    assert seconds(between(link, outages((0.05, 0.9)))) == 0.05 + 1.0 + 0.06 + L
    with pytest.raises(OutageError, match="2 retries"):
        seconds(between(link, outages((0.05, 1.1))))


def test_a_trunk_that_is_down_twice_is_waited_for_twice():
    link = replace(PLAIN, transport=Transport(recovery="gbn", rto_s=0.5))
    # 50 MB, of which 10 lost; up to 0.55 s; 60 MB are left, of which 30 go and 10 are lost.
    again = outages((0.05, 0.2), (0.58, 0.1))
    assert seconds(between(link, again)) == 0.58 + 0.5 + 0.04 + L


@pytest.mark.parametrize(
    ("recovery", "by_chance"), [("gbn", True), ("sr", True), ("cubic", False), ("bbr", False)]
)
def test_losses_of_tcp_are_in_its_rate_and_draw_nothing(recovery, by_chance):
    """Only what RDMA loses comes later by chance: a message of TCP takes the same every time."""
    link = replace(PLAIN, transport=Transport(loss=0.01, recovery=recovery, rto_s=0.3))
    assert can_be_late(link) is by_chance
    times = {
        between(link, seed=seed).predict("broadcast", 10_000, algorithm="direct").total_ps
        for seed in range(200)
    }
    assert (len(times) > 1) is by_chance


# Slow start


@pytest.mark.parametrize("limit", ["uplink_bytes_per_s", "downlink_bytes_per_s"])
def test_slow_start_fills_what_a_site_lets_through(limit):
    tcp = Transport(recovery="cubic", slow_start=True, rto_s=9.0)
    topology = sites_of_one(lambda a, b: replace(PLAIN, transport=tcp), 2)
    a, b = topology.sites
    if limit == "uplink_bytes_per_s":
        a = replace(a, uplink_bytes_per_s=1e8)
    else:
        b = replace(b, downlink_bytes_per_s=1e8)
    world = World(Topology("two", (a, b), topology.trunks), slicing=None)
    expected = slow_start_time_s(20 * MB, rate_bytes_per_s=1e8, rtt_s=2 * L, delay_s=L)
    found = world.predict("broadcast", 20 * MB, dtype="uint8", algorithm="direct").time_s
    # Windows double until one holds the 2 MB of the path behind the site, not the trunk's 20.
    assert found == pytest.approx(expected, rel=1e-9)
    assert expected > 0.2 + L


def test_windows_stop_doubling_at_the_most_that_there_is():
    # Whole messages fill windows of 1, 2, and then 2.5 times the first one, five of them: six round
    # trips, and the last window at the rate of the trunk.
    first = TCP_INITIAL_WINDOW_BYTES
    most, rate = 5 * first // 2, 1e9
    tcp = Transport(recovery="cubic", slow_start=True, rto_s=9.0, window_bytes=most)
    trunk = Link(rate, L, transport=tcp)
    nbytes, step = 3 * first + 5 * most, Step.of(0, 1, 0, reduce=False)
    plan = Plan("broadcast", "by hand", 2, 0, Partition.uniform(1), lambda: iter([step]))
    network = Network.of(sites_of_one(lambda a, b: trunk, 2))
    found = time_plan(program_of(plan, nbytes, 1), network, stack=CONTROL)
    assert found.total_s == pytest.approx(6 * 2 * L + most / rate + L, rel=1e-9)


# Late by chance: draws put in the place of chance


class Draws:
    """In the place of emul.links.draws.exponential: the given numbers, one for each draw."""

    def __init__(self, *values):
        self.values = values

    def __call__(self, keys, number):
        return np.full(keys.shape, self.values[min(number, len(self.values) - 1)])


LOSSY = replace(PLAIN, transport=Transport(loss=0.25, recovery="sr", mtu_bytes=1000.0, rto_s=0.5))
PACKET_S = 1000 / 1e9


def draw_for(before, loss=0.25):
    """The exponential for which the next lost packet is so many before the one found last."""
    return (before - 0.5) * -np.log1p(-loss)


def times_lost(times, loss=0.25):
    return (times - 0.5) * -np.log(loss)


NEVER_AGAIN = draw_for(10**9)


def tail_s(*draws, packets=10):
    line = np.array([1e9])
    losses = Losses.of(LOSSY, np.array([packets * 1000]), line)
    with patch("emul.timing.effects.losses.exponential", Draws(*draws)):
        return losses.tails_s(np.zeros((1, 1), np.uint64)).item()


def test_a_packet_lost_near_the_end_comes_a_round_trip_later_less_what_follows_it():
    last = tail_s(draw_for(1), times_lost(1), NEVER_AGAIN)
    assert last == pytest.approx(2 * L, rel=1e-12)
    third = tail_s(draw_for(3), times_lost(1), NEVER_AGAIN)
    assert third == pytest.approx(2 * L - 2 * PACKET_S, rel=1e-12)
    twice = tail_s(draw_for(3), times_lost(2), NEVER_AGAIN)
    assert twice == pytest.approx(4 * L - 2 * PACKET_S, rel=1e-12)
    # Two packets apart, the earlier one lost three times: it is the later to come.
    both = tail_s(draw_for(1), times_lost(1), draw_for(2), times_lost(3), NEVER_AGAIN)
    assert both == pytest.approx(6 * L - 2 * PACKET_S, rel=1e-12)
    both = tail_s(draw_for(1), times_lost(3), draw_for(2), times_lost(1), NEVER_AGAIN)
    assert both == pytest.approx(6 * L, rel=1e-12)


def test_no_packet_before_the_first_is_lost():
    assert tail_s(draw_for(11), times_lost(1), NEVER_AGAIN) == 0
    assert tail_s(draw_for(10), times_lost(1), NEVER_AGAIN) > 0
    with patch(
        "emul.timing.effects.losses.exponential",
        Draws(draw_for(11), times_lost(1), NEVER_AGAIN),
    ):
        one_more = np.array([10_001])  # bytes: the eleventh packet holds one
        losses = Losses.of(LOSSY, one_more, np.array([1e9]))
        assert losses.tails_s(np.zeros((1, 1), np.uint64)) > 0


def delays(link, nbytes, tails_s, timers_s, slicing=None, limit=np.inf):
    """Tails in picoseconds of one message whose tails and timers are given."""
    traffic = Traffic.of(program_of(ONE_MESSAGE, nbytes, 1), slicing)
    network = Network.of(sites_of_one(lambda a, b: link, 2))
    ways = network.paths(traffic.src, traffic.dst)
    found = FollowedConnections.of_traffic(traffic, ways, ways >= 0)
    seen = []

    def tails(losses, keys):
        seen.append(losses.packet_s.tolist())
        return np.full(keys.shape, tails_s)

    with (
        patch("emul.timing.effects.losses.Losses.tails_s", tails),
        patch(
            "emul.timing.effects.losses.Losses.timers_s",
            lambda losses, keys: np.full(keys.shape, timers_s),
        ),
    ):
        delays = Delays(traffic, network, found, np.array([limit]), 0, 0)
        _, tail_ps = delays.drawn(MessageCounts.none())
    return tail_ps.tolist(), seen


@pytest.mark.parametrize(("tail", "timer"), [(0.02, 0.5), (0.7, 0.5), (0.02, 0.0)])
def test_who_waits_for_the_timer_does_not_wait_for_the_round_trip_too(tail, timer):
    tail_ps, _ = delays(LOSSY, 1000, tail, timer)
    assert tail_ps == [round(max(tail, timer) * 1e12)]


def test_only_the_last_slice_of_a_message_can_wait_for_the_timer():
    tail_ps, _ = delays(LOSSY, 3000, 0.02, 0.5, Slicing(1000, 8))
    assert tail_ps == [20 * 10**9, 20 * 10**9, 500 * 10**9]


def test_packets_follow_one_another_at_what_a_connection_gets():
    half = replace(LOSSY, others=OtherTraffic(load=0.5))
    assert delays(half, 1000, 0.0, 0.0)[1] == [[1000 / 5e8]]
    assert delays(half, 1000, 0.0, 0.0, limit=1e8)[1] == [[1000 / 1e8]]


def test_under_go_back_n_too_the_last_packet_may_wait_for_the_timer():
    link = replace(LOSSY, transport=replace(LOSSY.transport, recovery="gbn", loss=0.999))
    network = Network.of(sites_of_one(lambda a, b: link, 2))
    timeline = time_plan(program_of(ONE_MESSAGE, 1, 1), network)
    assert timeline.connection_table.tail_ps.tolist() == [5 * 10**11]


def test_messages_of_a_connection_are_late_each_by_a_draw_of_its_own():
    rough = replace(PLAIN, jitter=Jitter(1e-3, 3.0))
    three = plan_of([Step.of(0, 1, i, reduce=False) for i in range(3)], chunks=3)
    network = Network.of(sites_of_one(lambda a, b: rough, 2))
    whole = time_plan(program_of(three, 3000, 1), network).connection_table.jitter_ps
    assert len(set(whole.tolist())) == 3
    # Slices of a message are of one draw.
    slices = time_plan(
        program_of(three, 3000, 1), network, Slicing(500, 8)
    ).connection_table.jitter_ps
    assert slices.reshape(3, 2).tolist() == [[ps, ps] for ps in whole.tolist()]


# What libraries put on the wire


@pytest.mark.parametrize(("nbytes", "on_the_wire"), [(1, 2), (2, 3), (10, 13), (1000, 1250)])
def test_bytes_on_the_wire_are_rounded_up(nbytes, on_the_wire):
    stack = replace(load_stack("nccl"), wire_factor=1.25)
    found = Traffic.of(program_of(ONE_MESSAGE, nbytes, 1), None, stack)
    assert found.nbytes.tolist() == [on_the_wire]


@pytest.mark.parametrize(
    ("src", "dst", "overhead_s"),
    [(0, 1, 1e-3), (0, 2, 2e-3), (4, 5, 1e-3), (4, 6, 2e-3), (0, 4, 3e-3), (6, 3, 3e-3)],
)
def test_what_a_message_costs_its_sender_is_told_by_kind_of_hop(src, dst, overhead_s):
    nic = Link(1e9, L, 7.0)
    sites = tuple(Site(name, (Node(2, nic), Node(2, nic)), nic) for name in "ab")
    network = Network.of(Topology("two", sites, (Trunk(("a", "b"), nic),)))
    stack = Stack("hops", hop_overhead_s={"node": 1e-3, "site": 2e-3, "trunk": 3e-3})
    steps = [Step.of(src, dst, 0, reduce=False)]
    plan = Plan("all_reduce", "by hand", 8, 0, Partition.uniform(1), lambda: iter(steps))
    found = time_plan(program_of(plan, MB, 1), network, stack=stack).total_s
    assert found == pytest.approx(overhead_s + 1e-3 + L, rel=1e-12)


def test_a_library_that_sends_slices_takes_its_time_before_the_call_and_each_message():
    constants = Constants(call_s=0.5, message_s=0.25)
    stack = Stack("slices", slice_bytes=MB, slots=8, constants=constants)
    two = plan_of([Step.of(0, 1, i, reduce=False) for i in range(2)], chunks=2)
    network = Network.of(sites_of_one(lambda a, b: PLAIN, 2))
    found = time_plan(program_of(two, 6 * MB, 1), network, stack=stack)
    assert found.begins.sum() == 2
    # The port is the host's for a quarter of a second before each message.
    assert found.total_s == pytest.approx(0.5 + 2 * 0.25 + 0.003 + L, rel=1e-6)


# Inside a site, and windows that are not forgotten


def inside(transport, slicing=None):
    fabric = replace(PLAIN, transport=transport)
    topology = Topology("in", (Site("a", (Node(1, PLAIN),) * 2, fabric),))
    return World(topology, slicing=slicing)


def test_a_connection_inside_a_site_starts_slowly_too():
    tcp = Transport(recovery="cubic", slow_start=True, rto_s=9.0)
    expected = slow_start_time_s(2 * MB, rate_bytes_per_s=1e9, rtt_s=2 * L, delay_s=L)
    assert seconds(inside(tcp), 2 * MB) == expected


def test_slices_inside_a_site_begin_a_gap_apart_too():
    world = inside(Transport(gap_s=0.04), Slicing(10 * MB, 100))
    assert seconds(world) == 9 * 0.04 + 0.01 + L


def test_a_window_is_no_sooner_free_for_a_short_timer():
    # Rank 0 sends a window at once, and another when one of rank 2 has come, after 7 ms: before
    # word of the first is back, after 10 ms. Silence is for slow start only.
    window, rate = 200_000, 1e8
    transport = Transport(window_bytes=window, rto_s=1e-3, recovery="gbn")
    trunk = Link(rate, 5e-3, transport=transport)
    steps = [Step.of(*row, reduce=False) for row in ((0, 1, 0), (2, 0, 1), (0, 1, 1))]
    plan = Plan("all_reduce", "by hand", 3, 0, Partition.uniform(2), lambda: iter(steps))
    network = Network.of(sites_of_one(lambda a, b: trunk, 3))
    found = time_plan(program_of(plan, 2 * window, 1), network, stack=CONTROL)
    assert found.total_s == pytest.approx(10e-3 + 2e-3 + 5e-3, rel=1e-6)
