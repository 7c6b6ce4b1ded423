"""Closed forms and bounds on small numbers, each result worked out by hand."""

import math

import numpy as np
import pytest
from closed_forms import (
    message,
    nccl,
    outages,
    random_laws,
    recorded,
    sharing,
    site_bounds,
    sites,
    tail,
    training,
)
from closed_forms.site_bounds import cut_bound_s

from emul import ArgumentError
from emul.links import (
    changes,
    delay,
    draws,
    formulas,
    framing,
    jitter,
    loss,
    queues,
    transport,
)
from emul.links.bounds import Cut, count_bound_s, crossing_s


@pytest.mark.parametrize(
    ("collective", "transfers"),
    [("all_reduce", 6), ("reduce_scatter", 3), ("all_gather", 3), ("broadcast", 3), ("reduce", 3),
     ("all_to_all", 0), ("gather", 0), ("send_recv", 0)],
)  # fmt: skip
def test_how_often_an_element_travels_between_four_parts(collective, transfers):
    # Once into every part but one, or out of it; a sum that all want does both.
    assert count_bound_s(collective, 300, 4, 100.0, 1.0) == 1 + 3 * transfers


def test_a_cut_carries_both_directions_at_once():
    cut = Cut(0.25, False, 10.0, 5.0, 1.0)
    assert cut_bound_s("all_reduce", 100, cut, 8) == 1 + 20
    assert cut_bound_s("all_gather", 100, cut, 8) == 1 + max(25 / 10, 75 / 5)
    assert crossing_s(30.0, 5.0, cut) == 1 + 3
    assert crossing_s(0.0, 5.0, cut) == 1 + 1
    assert crossing_s(30.0, 0.0, cut) == 1 + 3
    assert crossing_s(0.0, 0.0, cut) == 0


def test_the_thinner_direction_of_a_site_binds():
    up, down = [10.0, 20.0, 40.0], [40.0, 5.0, 20.0]
    bound = site_bounds.all_reduce_bound(100.0, up, down, delay_s=1.0)
    # Each site sends and receives 100; an element takes 4 transfers over all 70 of uplinks.
    assert (bound.cut_s, bound.count_s) == (100 / 5, pytest.approx(4 * 100 / 70))
    assert bound.bound_s == 21
    exchange = site_bounds.all_to_all_bound_s([2, 1, 1], 10.0, up, down, delay_s=1.0)
    # Two ranks exchange 10 with each of two others, both ways; one with each of three.
    assert exchange == 1 + max(40 / 10, 30 / 5, 30 / 20)


def test_a_gather_brings_what_others_hold_and_a_scatter_turns_it_round():
    shares, up, down = [60.0, 30.0, 10.0], [10.0, 1.0, 10.0], [20.0, 20.0, 5.0]
    gathered = site_bounds.all_gather_bound_s(shares, up, down, delay_s=1.0)
    # Leaving: 30 over 1; entering: 90 over 5; in all 2 x 100 over the 21 of uplinks.
    assert gathered == 1 + 30
    scattered = site_bounds.reduce_scatter_bound_s(shares, up, down, delay_s=1.0)
    # Leaving: 70 over 1, what the second site holds for others.
    assert scattered == 1 + 70


def test_sixteen_sites_may_be_a_mesh():
    full = [[1.0] * 16 for _ in range(16)]
    found = site_bounds.all_reduce_mesh_bound(30.0, full, delay_s=0.0)
    # 15 links lead out of a site; 30 transfers of each element over 240 links.
    assert (found.cut_s, found.count_s) == (2.0, 30 * 30 / 240)
    with pytest.raises(ArgumentError, match="17 sites: needed at most 16"):
        site_bounds.all_reduce_mesh_bound(1.0, [[1.0] * 17 for _ in range(17)], delay_s=0.0)


def test_the_last_timer_counts_and_one_after_it_is_too_late():
    timer_s = 4.096e-6 * 2**20
    assert outages.rdma_timer_s() == timer_s
    for number in (1, 2, 7):
        at = outages.rdma_outage(number * timer_s)
        assert (at.survives, at.stall_s) == (True, pytest.approx(number * timer_s))
        assert outages.rdma_outage(number * timer_s * 1.001).survives == (number < 7)
    assert outages.rdma_outage(3 * timer_s, retries=2).survives is False
    assert outages.rdma_outage(2 * timer_s, retries=2).survives is True


def test_timers_of_tcp_double():
    # 0.2, then 0.4, then 0.8: looks at 0.2, 0.6, 1.4 and 3.0 s
    for outage_s, retries, stall_s in ((0.1, 1, 0.2), (0.2, 1, 0.2), (0.21, 2, 0.6), (1.5, 4, 3.0)):
        found = outages.tcp_outage(outage_s)
        assert (found.retries, found.stall_s) == (retries, pytest.approx(stall_s))
    capped = outages.tcp_outage(1.5, longest_timer_s=0.4)
    assert (capped.retries, capped.stall_s) == (5, pytest.approx(0.2 + 4 * 0.4))


def test_a_link_is_there_between_its_failures():
    assert outages.availability(99.0, 1.0) == 0.99
    assert outages.availability(1.0, 1.0) == 0.5
    assert outages.years_between_cuts(500.0, cuts_per_1000_km_year=2.0) == 1


def test_windows_of_several_streams_and_gaps():
    assert transport.window_rate_bytes_per_s(100.0, window_bytes=10, rtt_s=1, streams=3) == 30
    # 2 s of the round trip, 10 B at 100 B/s, 0.9 s to turn: 3 s for a window
    found = transport.window_rate_bytes_per_s(
        100.0, window_bytes=30, rtt_s=2, chunk_bytes=10, turnaround_s=0.9
    )
    assert found == pytest.approx(10.0)
    assert message.gap_rate_bytes_per_s(100.0, chunk_bytes=10, gap_s=1, streams=3) == 30
    assert message.gap_rate_bytes_per_s(100.0, chunk_bytes=10, gap_s=1, streams=30) == 100
    assert transport.streams_to_fill(100.0, window_bytes=30, rtt_s=1) == 4
    assert transport.streams_to_fill(0.3, window_bytes=0.1, rtt_s=1) == 3  # not 4, by rounding
    assert transport.TCP_INITIAL_WINDOW_BYTES == 10 * 1448


@pytest.mark.parametrize(
    ("nbytes", "rounds", "last"), [(10, 0, 10), (11, 1, 1), (30, 1, 20), (31, 2, 1), (1000, 4, 850)]
)
def test_slow_start_doubles_until_the_pipe_is_full(nbytes, rounds, last):
    # Windows of 10, 20, 40, 80 and more than the 100 that 1 s at 100 B/s holds.
    found = message.slow_start_time_s(
        nbytes, rate_bytes_per_s=100.0, rtt_s=1.0, delay_s=0.5, initial_window_bytes=10
    )
    assert found == pytest.approx(rounds * 1.0 + last / 100 + 0.5)


def test_what_is_lost_costs_its_window():
    assert loss.packets_in_flight(1e6, rtt_s=0.1, mtu_bytes=1e3) == 101
    # A window of 10 of 20 packets: 10 x 0.9 in (0.9 + 0.1 x 10) rounds of 20 slots
    assert loss.go_back_n_efficiency(0.1, 20, window_packets=10) == pytest.approx(9 / 38)
    assert loss.go_back_n_efficiency(0.1, 20) == pytest.approx(0.9 / (0.9 + 2))
    assert loss.selective_repeat_efficiency(0.1, 20, window_packets=10) == pytest.approx(0.45)
    assert loss.selective_repeat_efficiency(0.1, 20) == 0.9
    assert loss.bbr_rate_bytes_per_s(100.0, 0.2) == 80
    assert loss.bbr_rate_bytes_per_s(100.0, 0.21) == 0


def test_laws_of_tcp_at_one_per_cent():
    numbers = {"rtt_s": 0.1, "loss": 0.01}
    assert loss.mathis_rate_bytes_per_s(1000, **numbers) == pytest.approx(1e4 * math.sqrt(150))
    recovery_s = 0.1 * math.sqrt(0.02 / 3)
    waiting_s = 0.4 * 3 * math.sqrt(0.03 / 8) * 0.01 * (1 + 32e-4)
    expected = 1000 / (recovery_s + waiting_s)
    assert message.tfrc_rate_bytes_per_s(1000, **numbers) == pytest.approx(expected)
    # RFC 9438, section 5.1: (0.4 x 3.7 / 1.2)^(1/4) (RTT / p)^(3/4), and at least 1.2 / sqrt(p)
    assert loss.cubic_window_segments(0.1, 1e-6) == pytest.approx((1.48 / 1.2) ** 0.25 * 1e5**0.75)
    assert loss.cubic_window_segments(0.001, 0.01) == pytest.approx(12)


def test_boxes_and_fibre_add_up():
    assert delay.glass_s_per_km() == 1.4682 / 299_792.458
    fibre_s = delay.one_way_delay_s(100, route_factor=1.5, dispersion_compensation=0.2)
    assert fibre_s == pytest.approx(180 * 1.4682 / 299_792.458)
    boxes = delay.equipment_s(
        amplifiers=2, amplifier_s=1, transponder_pairs=3, transponder_pair_s=10, hops=4, hop_s=100,
        store_and_forward_hops=5, packet_s=1000, error_correction_s=1e5, macsec_s=1e6,
    )  # fmt: skip
    assert boxes == 2 + 30 + 9 * 100 + 5 * 1000 + 1e5 + 1e6
    assert message.payload_rate_bytes_per_s(8e9, 900, 100) == 0.9e9
    assert (framing.ROCE_V2_OVERHEAD_BYTES, framing.TCP_OVERHEAD_BYTES) == (
        4178 - 4096,
        1538 - 1448,
    )


def test_a_pause_takes_a_round_trip_and_two_packets():
    # 1e9 B/s over 10 km: 2 x 48.97 us of bytes, a packet on the way each way, 800 bits more
    found = queues.pfc_headroom_bytes(1e9, cable_km=10, mtu_bytes=1000, fixed_bits=800)
    assert found == pytest.approx(97_940 + 2000 + 100)
    loaded = {"rtt_s": 1.0, "buffer_bytes": 300.0}
    assert message.loaded_rtt_s(100.0, total_window_bytes=50, **loaded) == 1
    assert message.loaded_rtt_s(100.0, total_window_bytes=250, **loaded) == 2.5
    assert message.loaded_rtt_s(100.0, total_window_bytes=999, **loaded) == 4


def test_the_law_of_jitter_and_of_what_is_drawn():
    # The 99th percentile of a normal law lies 2.3263 deviations above its median.
    assert jitter.lognormal_sigma(math.e) == pytest.approx(1 / 2.3263478740408408)
    same = np.ones(100_000)
    keys = draws.mixed(7, np.arange(100_000))
    numbers = np.sort(draws.lognormal(keys, 2 * same, 0.5 * same))
    for share, deviations in ((0.01, -2.3263), (0.1, -1.2816), (0.5, 0), (0.9, 1.2816)):
        expected = 2 * math.exp(0.5 * deviations)
        assert numbers[int(share * len(numbers))] == pytest.approx(expected, rel=0.02)
    assert draws.exponential(3, np.arange(40_000)).mean() == pytest.approx(1, rel=0.03)
    assert (draws.exponential(3, np.arange(40_000)) > 1).mean() == pytest.approx(math.exp(-1), 0.03)


def test_the_far_tail_of_the_normal_law():
    # Quantiles of Wichura's law, which the standard library computes as well (AS 241, PPND16).
    from statistics import NormalDist

    p = np.array([1e-15, 1e-13, 1e-6, 0.01, 0.3, 0.5, 0.8, 1 - 1e-6])
    # Keys of which the draws are these, to 2^-52.
    keys = random_laws.unmixed((p * 2.0**52).astype(np.uint64) << np.uint64(12))
    drawn, one = draws.uniform(keys, 0), np.ones(len(p))
    assert drawn == pytest.approx(p, rel=0.2, abs=2.0**-52)
    found = np.log(draws.lognormal(keys, one, one))
    expected = [NormalDist().inv_cdf(each) for each in drawn]
    assert found == pytest.approx(expected, rel=3e-7, abs=1e-9)


def test_the_laws_are_bit_for_bit_those_written_out_in_numpy():
    keys = draws.mixed(5, np.arange(200_000))
    assert (keys == random_laws.mixed(5, np.arange(200_000))).all()
    scale, sigma = np.linspace(1e-6, 3, len(keys)), np.linspace(0.01, 4, len(keys))
    assert (draws.uniform(keys, 3) == random_laws.uniform(keys, 3)).all()
    assert (draws.exponential(keys, 3) == random_laws.exponential(keys, 3)).all()
    expected = random_laws.lognormal(keys, scale, sigma)
    assert (draws.lognormal(keys, scale, sigma) == expected).all()


@pytest.mark.parametrize(("key", "number"), [(5, 3), (2**64 - 1, -1), (0, 2**63 - 1)])
def test_a_key_and_a_number_alone_are_drawn_by_as_those_in_columns_are(key, number):
    column = np.full((2, 1), key, dtype=np.uint64)
    for draw in (draws.mixed, draws.uniform, draws.exponential):
        assert draw(key, number).shape == ()
        assert (draw(column, [number] * 3) == draw(key, number)).all()
        assert draw(column, [number] * 3).shape == (2, 3)


def test_keys_are_of_the_seed_and_of_each_word():
    keys = {
        draws.key_of(0, "ab", "c"), draws.key_of(0, "a", "bc"), draws.key_of(1, "ab", "c"),
        draws.key_of(0, "abc"), draws.key_of(0, "ab", "c", ""),
    }  # fmt: skip
    assert len(keys) == 5


def test_the_tail_of_two_packets():
    # The last of two 1 s packets is lost with 1/10: it ends 5 s late; the first alone 4 s late.
    # Lost again with 1/10, 5 s more each time: by P(more than x) for each second.
    found = tail.expected_tail_s(2, packet_s=1.0, recovery_s=5.0, loss=0.1)
    expected, survives = 0.0, lambda tries: 1 - 0.1**tries
    for second in range(200):
        tries = second // 5 + 1  # of the last packet, to be done by then
        first = (second + 1) // 5 + 1  # the first packet began a second earlier
        expected += 1 - survives(tries) * survives(first)
    assert found == pytest.approx(expected, rel=1e-9)
    assert tail.selective_repeat_time_s(
        2, packet_s=1.0, recovery_s=5.0, loss=0.1, delay_s=7.0
    ) == pytest.approx(7 + 2 + expected)


def test_flows_that_cross_a_link_twice_and_start_late():
    flows = {"twice": sharing.Flow(("x", "x")), "once": sharing.Flow(("x",))}
    assert sharing.max_min_rates({"x": 9.0}, flows) == {"twice": 3, "once": 3}
    late = {
        "a": sharing.Flow(("x",), nbytes=30.0),
        "b": sharing.Flow(("x",), nbytes=10.0, start_s=1.0),
        "c": sharing.Flow(("x",), 2.0, 4.0, 10.0),
    }
    # a alone for 1 s has 20 left; both at 5 for 2 s; a has 10 left, alone until 4 s.
    assert sharing.finish_times_s({"x": 10.0}, late) == pytest.approx({"a": 4, "b": 3, "c": 12})


def test_days_and_packets_of_traces():
    numbers = {"least_load": 0.2, "most_load": 0.6}
    for hour, left in ((14, 40), (2, 80), (20, 60), (8, 60)):
        found = changes.diurnal_rate_bytes_per_s(100.0, hour, **numbers)
        assert found == pytest.approx(left)
    assert recorded.recorded_packets_time_s(1500, [5, 7]) == 5e-3
    assert recorded.recorded_packets_time_s(4500, [5, 7]) == 12e-3


@pytest.mark.parametrize(("ranks", "depth"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (9, 4)])
def test_the_depth_of_a_tree(ranks, depth):
    assert formulas.log2_rounded_up(ranks) == depth
    link = {"alpha_s": 1.0, "rate_bytes_per_s": 10.0}
    if ranks > 1:
        tree_s = formulas.tree_all_reduce_s(ranks, 100.0, chunk_bytes=20.0, **link)
        assert tree_s == 2 * depth * (1 + 2) + 20
    assert formulas.ring_all_reduce_s(ranks, 90.0, **link) == pytest.approx(
        2 * (ranks - 1) * (1 + 9 / ranks)
    )


def test_rings_wait_for_the_rank_behind():
    # Rank 2's link is slow: rank 0 waits for it in every step, the others once it comes round.
    assert sites.ring_steps_s([1, 1, 5], [0, 0, 0], 1) == 5
    assert sites.ring_steps_s([1, 1, 5], [0, 0, 0], 2) == 10
    assert sites.ring_steps_s([1, 1, 1], [9, 0, 0], 2) == 1 + 9 + 1
    assert sites.ring_steps_s([1, 1, 1], [9, 2, 0], 2) == 1 + 9 + 1 + 2


def test_hierarchies_share_their_uplink():
    found = sites.hierarchical_all_reduce(
        2, 4, 80.0, rate_bytes_per_s=10.0, delay_s=1.0, uplink_bytes_per_s=8.0, overhead_s=0.5,
        cross_overhead_s=0.25,
    )  # fmt: skip
    # Inside 3 steps of 20 B; between sites 2 steps of 10 B of each rank, over a quarter of 8 B/s.
    assert (found.reduce_scatter_s, found.all_gather_s) == (7.5, 7.5)
    assert (found.cross_busy_s, found.cross_s) == (10.5, 12.5)
    piped = sites.pipelined_hierarchical_s(
        2, 4, 80.0, pieces=2, rate_bytes_per_s=10.0, delay_s=1.0, uplink_bytes_per_s=8.0
    )
    # Half as much each: 3 + 3 inside, 5 + 2 between; the next piece comes 6 later.
    assert piped == 6 + 7 + 6
    levels = [sites.Level(2, 0.5, 10.0, 0.0), sites.Level(3, 0.0, 5.0, 1.0)]
    # 2 x 1 steps of 30 B, and 2 x 2 of the 10 B that are left of it
    assert sites.levels_all_reduce_s(60.0, levels) == 2 * (0.5 + 3) + 4 * (1 + 2)
    assert sites.one_shot_wins_below_bytes(3, uplink_bytes_per_s=10.0, delay_s=1.0) == 15


def test_what_nccl_takes_for_its_trees():
    # base + 2 ((n / N - 1) near + log2(N) rounded down, far): 3, 4, 7 and 8 nodes
    for nodes, depth in ((3, 1), (4, 2), (7, 2), (8, 3)):
        found = nccl.nccl_tree_all_reduce_us(2 * nodes, nodes, "LL")
        assert found == pytest.approx(6.8 + 2 * (0.6 + depth * 5.0))
    assert nccl.nccl_ring_all_reduce_us(4, 1, "Simple", network_overhead_us=99.0) == pytest.approx(
        8.4 + 6 * 3.4
    )


def test_buckets_go_one_after_the_other():
    # Two of three equal buckets are ready at 2 and 3 s; each takes 2 s, the last ends at 8 s.
    found = training.bucketed_step(1.0, 3.0, [1.0, 1.0, 1.0], lambda nbytes: 2.0)
    assert (found.step_s, found.exposed_s) == (8, 4)
    stalled = training.local_steps_utilisation(
        10, step_s=1.0, sync_s=12.0, overlap_steps=2, fragments=4
    )
    # Each of four fragments takes 3 s, of which 2 are hidden.
    assert stalled == pytest.approx(10 / 14)
    assert training.pipeline_parallel_penalty_s(
        3, 20.0, rate_bytes_per_s=10.0, delay_s=1.0
    ) == pytest.approx(18)


@pytest.mark.parametrize(
    ("leaving", "entering", "expected_s"),
    [
        (1e6, 0.0, 1e-3 + 0.8e6 / 1e8),  # 200 kB of 1 MB pass at once
        (0.0, 1e6, 1e-3 + 0.7e6 / 2e8),  # and inwards 300 kB
        (1e6, 1e6, 1e-3 + 0.8e6 / 1e8),
        (0.2e6, 0.3e6, 1e-3),
        (1.0, 1.0, 1e-3),
        (0.0, 0.0, 0.0),
    ],
)
def test_what_a_bucket_holds_crosses_at_once(leaving, entering, expected_s):
    cut = Cut(0.5, True, 1e8, 2e8, 1e-3, 0.2e6, 0.3e6)
    assert crossing_s(leaving, entering, cut) == pytest.approx(expected_s, rel=1e-12)


@pytest.mark.parametrize(
    ("at_once_bytes", "expected_s"), [(0.0, 41e-3), (0.5e6, 36e-3), (4e6, 1e-3), (9e6, 1e-3)]
)
def test_what_passes_at_once_is_not_counted(at_once_bytes, expected_s):
    # Four transfers of 1 MB between three parts, at 100 MB/s together, and 1 ms.
    found = count_bound_s("all_reduce", 1e6, 3, 1e8, 1e-3, at_once_bytes=at_once_bytes)
    assert found == pytest.approx(expected_s, rel=1e-12)
