"""What must hold for any link: limits, orders, and refusals of numbers that mean nothing."""

import itertools
import math

import pytest
from closed_forms import (
    barrier,
    counting,
    ecmp,
    message,
    nccl,
    outages,
    pipelining,
    recorded,
    sharing,
    site_bounds,
    sites,
    tail,
    training,
)
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul import ArgumentError
from emul.links import (
    changes,
    delay,
    formulas,
    framing,
    jitter,
    loss,
    queues,
    transport,
)

ROUNDING = 1 + 1e-12
rates = st.floats(1e6, 1e12)
losses = st.floats(0.0, 0.5)
sizes = st.integers(0, 2**34)
windows = st.integers(1, 2**26)
trips = st.floats(1e-6, 0.3)
grows = st.floats(1.0, 10.0)
few = examples(60)


def one_time_s(rate, window, streams, lost, rtt_s, nbytes):
    """An isolated message under go-back-N with a window."""
    allowed = transport.window_rate_bytes_per_s(
        rate, window_bytes=window, rtt_s=rtt_s, streams=streams
    )
    in_flight = loss.packets_in_flight(rate, rtt_s=rtt_s, mtu_bytes=4096)
    whole = rate * loss.go_back_n_efficiency(lost, in_flight)
    assert 0 < min(allowed, whole) <= rate * ROUNDING
    return message.transfer_time_s(nbytes, rate_bytes_per_s=min(allowed, whole), delay_s=rtt_s / 2)


@few
@given(rates, windows, st.integers(1, 64), losses, trips, sizes, grows)
def test_time_falls_with_rate_window_streams_and_rises_with_delay_loss_size(
    rate, window, streams, lost, rtt_s, nbytes, grow
):
    at = one_time_s(rate, window, streams, lost, rtt_s, nbytes)
    limit = at * ROUNDING
    assert one_time_s(rate * grow, window, streams, lost, rtt_s, nbytes) <= limit
    assert one_time_s(rate, window * grow, streams, lost, rtt_s, nbytes) <= limit
    assert one_time_s(rate, window, streams + 1, lost, rtt_s, nbytes) <= limit
    assert one_time_s(rate, window, streams, lost, rtt_s * grow, nbytes) * ROUNDING >= at
    assert one_time_s(rate, window, streams, lost + (1 - lost) / 2, rtt_s, nbytes) >= at
    assert one_time_s(rate, window, streams, lost, rtt_s, nbytes * grow) >= at


@few
@given(rates, trips, losses, losses)
def test_every_recovery_stays_below_the_link_and_loses_with_loss(rate, rtt_s, one, other):
    less, more = sorted((one, other))
    limit = {"rtt_s": rtt_s, "limit_bytes_per_s": rate}
    pipe = loss.packets_in_flight(rate, rtt_s=rtt_s, mtu_bytes=4096)
    for model in (
        lambda p: loss.mathis_rate_bytes_per_s(1448, loss=p, **limit),
        lambda p: message.tfrc_rate_bytes_per_s(1448, loss=p, **limit),
        lambda p: loss.cubic_rate_bytes_per_s(1448, loss=p, **limit),
        lambda p: loss.bbr_rate_bytes_per_s(rate, p),
        lambda p: rate * loss.go_back_n_efficiency(p, pipe),
        lambda p: rate * loss.go_back_n_efficiency(p, pipe, window_packets=pipe / 3),
        lambda p: rate * loss.selective_repeat_efficiency(p, pipe, window_packets=100),
    ):
        assert model(more) <= model(less) * ROUNDING <= rate * ROUNDING**2
    assert loss.mathis_rate_bytes_per_s(1448, loss=0.0, **limit) == rate


@few
@given(rates, trips, sizes, st.integers(1, 10**6))
def test_slow_start_is_never_quicker_than_the_link(rate, rtt_s, nbytes, window):
    numbers = {"rate_bytes_per_s": rate, "rtt_s": rtt_s, "delay_s": rtt_s / 2}
    slow_s = message.slow_start_time_s(nbytes, initial_window_bytes=window, **numbers)
    assert slow_s >= (nbytes / rate + rtt_s / 2) / ROUNDING
    assert message.slow_start_time_s(nbytes, initial_window_bytes=1e15, **numbers) <= slow_s


@few
@given(st.integers(1, 200), st.floats(0.1, 300), losses, losses)
def test_tails_grow_with_loss_and_messages(packets, recovery_s, one, other):
    less, more = sorted((one, other))
    numbers = {"packet_s": 1.0, "recovery_s": recovery_s}
    for model in (tail.expected_tail_s, tail.tail_closed_form_s):
        small = model(packets, loss=less, **numbers)
        assert 0 <= small <= model(packets, loss=more, **numbers) * ROUNDING + 1e-12
        assert small <= model(packets + 1, loss=less, **numbers) * ROUNDING + 1e-12


def test_loss_free_links_have_no_tail():
    assert tail.expected_tail_s(10, packet_s=1.0, recovery_s=5.0, loss=0.0) == 0
    assert tail.selective_repeat_time_s(3, packet_s=1, recovery_s=5, loss=0, delay_s=2) == 5


def test_the_alpha_beta_limit_is_exact():
    alone = message.transfer_time_s(7e6, rate_bytes_per_s=1e9, delay_s=3e-3, overhead_s=1e-5)
    assert alone == 1e-5 + 7e6 / 1e9 + 3e-3
    assert transport.window_rate_bytes_per_s(1e9, window_bytes=0, rtt_s=9.0) == 1e9
    assert transport.streams_to_fill(1e9, window_bytes=0, rtt_s=9.0) == 1
    assert transport.streams_to_fill(1e9, window_bytes=1, rtt_s=0.0) == 1
    assert message.gap_rate_bytes_per_s(1e9, chunk_bytes=1, gap_s=0.0) == 1e9


def test_a_lossless_rate_is_what_the_buffer_turns_over():
    numbers = {"headroom_bytes": 4e6, "rtt_s": 1e-3}
    assert queues.pfc_rate_bytes_per_s(5e9, buffer_bytes=4e6, **numbers) == 5e9
    assert queues.pfc_rate_bytes_per_s(5e9, buffer_bytes=2e6, **numbers) == 2e9
    assert message.loaded_rtt_s(1e9, total_window_bytes=0, rtt_s=1e-3, buffer_bytes=0) == 1e-3


def test_flows_at_the_edge():
    assert sharing.max_min_rates({"x": 1.0}, {}) == {}
    assert sharing.max_min_rates({}, {"local": sharing.Flow(())}) == {"local": math.inf}
    assert sharing.max_min_rates({"x": 9.0}, {1: sharing.Flow(("x", "x"))}) == {1: 4.5}
    twice = sharing.Flow(("x", "x"), cap_bytes_per_s=1.0)
    shares = sharing.max_min_rates({"x": 9.0}, {1: twice, 2: sharing.Flow(("x",))})
    assert shares == {1: 1.0, 2: 7.0}
    assert sharing.finish_times_s({"x": 1.0}, {}) == {}
    later = sharing.Flow(("x",), start_s=3.0)
    assert sharing.finish_times_s({"x": 1.0}, {"empty": later}) == {"empty": 3.0}
    assert sharing.finish_times_s({}, {"local": sharing.Flow((), nbytes=5.0)}) == {"local": 0.0}
    with pytest.raises(ArgumentError, match="flow 1 over link 'y': needed one of x"):
        sharing.max_min_rates({"x": 1.0}, {1: sharing.Flow(("y",))})


def test_balls_in_bins_at_the_edge():
    assert ecmp.no_collision_probability(0, 3) == ecmp.no_collision_probability(1, 3) == 1
    assert ecmp.no_collision_probability(4, 3) == 0
    assert ecmp.expected_most_flows(0, 3) == 0
    assert ecmp.expected_most_flows(5, 1) == 5
    for flows, paths in itertools.product(range(1, 6), range(1, 5)):
        throws = list(itertools.product(range(paths), repeat=flows))
        most = sum(max(map(throw.count, throw)) for throw in throws) / len(throws)
        assert ecmp.expected_most_flows(flows, paths) == pytest.approx(most, rel=1e-12)


def test_jitter_without_spread_is_its_median():
    assert jitter.lognormal_sigma(1.0) == 0
    assert barrier.expected_largest(2.0, 0.0, 1000) == pytest.approx(2.0, rel=1e-12)
    # the mean of one draw is median exp(sigma^2 / 2)
    mean = 2.0 * math.exp(0.18)
    assert barrier.expected_largest(2.0, 0.6, 1) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("ranks", range(1, 18))
def test_collectives_of_any_size(ranks):
    link = {"alpha_s": 1e-6, "rate_bytes_per_s": 1e9}
    blocks = sum(1 for k in range(5) for j in range(ranks) if j >> k & 1)
    steps = math.ceil(math.log2(ranks))
    bruck_s = formulas.bruck_all_to_all_s(ranks, 1e3, **link)
    assert bruck_s == pytest.approx(steps * 1e-6 + blocks * 1e-6, rel=1e-12)
    if ranks == 1:
        assert bruck_s == formulas.tree_all_reduce_s(1, 1e6, chunk_bytes=1, **link) == 0
        assert formulas.ring_all_reduce_s(1, 1e6, **link) == 0
    if ranks & (ranks - 1):
        with pytest.raises(ArgumentError, match="needed a power of two"):
            formulas.doubling_all_reduce_s(ranks, 1.0, **link)


@pytest.mark.parametrize("hops", [1, 2, 6])
@pytest.mark.parametrize("nbytes", [0.0, 1e3, 1e9])
def test_no_number_of_chunks_beats_the_best(hops, nbytes):
    link = {"rate_bytes_per_s": 49e9}
    hockney = pipelining.best_hockney_chunks(hops, nbytes, alpha_s=5e-4, **link)
    loggp = pipelining.best_loggp_chunks(hops, nbytes, delay_s=5e-4, gap_s=1e-5, **link)
    for chunks in (1, 1.5, 7, 20, 100, 1e4):
        other = pipelining.hockney_pipeline_s(hops, nbytes, alpha_s=5e-4, chunks=chunks, **link)
        assert hockney.time_s <= other * ROUNDING
        other = pipelining.loggp_pipeline_s(
            hops, nbytes, delay_s=5e-4, gap_s=1e-5, chunks=chunks, **link
        )
        assert loggp.time_s <= other * ROUNDING


def test_chunks_that_cost_nothing_are_as_many_as_you_like():
    free = pipelining.best_hockney_chunks(6, 1e9, alpha_s=0.0, rate_bytes_per_s=1e9)
    assert (free.chunks, free.chunk_bytes, free.time_s) == (math.inf, 0.0, 1.0)
    free = pipelining.best_loggp_chunks(6, 1e9, delay_s=1.0, gap_s=0.0, rate_bytes_per_s=1e9)
    assert free.time_s == 7.0


@few
@given(st.integers(1, 6), st.integers(1, 9), st.floats(0, 1e10), st.integers(1, 64))
def test_no_schedule_over_sites_beats_the_bound(number, per_site, nbytes, pieces):
    uplink, delay_s = 1e10, 1e-3
    found = site_bounds.all_reduce_bound(
        nbytes, [uplink] * number, [uplink] * number, delay_s=delay_s
    )
    limit = found.bound_s / ROUNDING
    for schedule in (sites.one_shot_s, sites.two_shot_s, sites.ring_across_s):
        assert schedule(number, nbytes, uplink_bytes_per_s=uplink, delay_s=delay_s) >= limit
    inside = {"rate_bytes_per_s": 1e11, "delay_s": delay_s, "uplink_bytes_per_s": uplink}
    whole = sites.hierarchical_all_reduce(number, per_site, nbytes, **inside)
    piped = sites.pipelined_hierarchical_s(number, per_site, nbytes, pieces=1, **inside)
    assert piped == whole.total_s >= limit
    assert (
        sites.pipelined_hierarchical_s(number, per_site, nbytes, pieces=pieces, **inside) >= limit
    )


def test_one_site_crosses_nothing():
    link = {"uplink_bytes_per_s": 1e9, "delay_s": 1.0}
    assert sites.one_shot_s(1, 1e9, **link) == sites.two_shot_s(1, 1e9, **link) == 0
    assert sites.ring_across_s(1, 1e9, **link) == 0
    assert sites.one_shot_wins_below_bytes(2, **link) == math.inf
    assert site_bounds.all_reduce_bound(1e9, [1.0], [1.0], delay_s=1.0).bound_s == 0
    assert site_bounds.all_gather_bound_s([5.0], [1.0], [1.0], delay_s=1.0) == 0
    assert site_bounds.all_to_all_bound_s([5], 5.0, [1.0], [1.0], delay_s=1.0) == 0
    alone = training.campus_step(1e9, compute_s=1.0, sites=1, uplink_bytes_per_s=1e9, delay_s=1.0)
    assert (alone.step_s, alone.distance, alone.local_steps) == (1.0, 1.0, 1)


@few
@given(st.lists(st.floats(1e3, 1e9), min_size=2, max_size=6), st.floats(0, 1e9))
def test_a_star_drawn_as_a_mesh_has_no_lower_cut(up, nbytes):
    # every mesh of links that together are the uplinks lets no more out of any one site
    number = len(up)
    mesh = [[0.0 if a == b else up[a] / (number - 1) for b in range(number)] for a in range(number)]
    star = site_bounds.all_reduce_bound(nbytes, up, [1e18] * number, delay_s=0.0)
    assert (
        site_bounds.all_reduce_mesh_bound(nbytes, mesh, delay_s=0.0).cut_s >= star.cut_s * 0.999999
    )


def test_outages_at_the_edge():
    assert outages.rdma_outage(0.0).stall_s == outages.tcp_outage(0.0).stall_s == 0
    timer_s = outages.rdma_timer_s()
    assert outages.rdma_outage(7 * timer_s).survives
    dead = outages.rdma_outage(30.1)
    assert (dead.survives, dead.stall_s) == (False, 8 * timer_s)  # one timer after the last retry
    assert not outages.rdma_outage(math.inf).survives
    assert outages.tcp_outage(300.0, longest_timer_s=120.0).stall_s == pytest.approx(324.6)
    assert outages.years_between_cuts(0.0) == math.inf


def test_traces_at_the_edge():
    trace = [(0.0, 10.0), (2.0, 0.0), (4.0, 5.0)]
    arrive = recorded.traced_transfer_time_s
    assert arrive(20.0, trace) == 2.0
    assert arrive(20.1, trace) == pytest.approx(4.02)
    assert arrive(5.0, trace, start_s=3.0) == 2.0
    assert arrive(5.0, trace, start_s=9.0) == 1.0
    assert arrive(0.0, trace, start_s=3.0, delay_s=1.0) == 1.0
    assert arrive(1.0, [(0.0, 0.0)]) == math.inf
    packets = recorded.recorded_packets_time_s
    assert packets(0, [1, 2], delay_s=1.0) == 1.0
    assert packets(1501, [1, 3]) == 3e-3
    assert packets(1500 * 5, [1, 3]) == 7e-3


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: delay.one_way_delay_s(-1.0), "km = -1.0: needed a finite number, 0 or more"),
        (lambda: delay.store_and_forward_s(9000, 0), "rate_bytes_per_s = 0: needed .* above 0"),
        (lambda: delay.equipment_s(hops=1.5), "hops = 1.5: needed a whole number of hops"),
        (lambda: framing.wire_efficiency(0, 82), "payload_bytes = 0"),
        (lambda: loss.go_back_n_efficiency(1.0, 5), "loss = 1.0: needed a probability"),
        (lambda: loss.go_back_n_efficiency(math.nan, 5), "loss = nan"),
        (lambda: loss.selective_repeat_efficiency(-0.1, 5), "loss = -0.1"),
        (lambda: loss.cubic_window_segments(0.0, 0.1), "rtt_s = 0.0: .* seconds"),
        (lambda: transport.window_rate_bytes_per_s(math.inf, window_bytes=1, rtt_s=1), "= inf"),
        (lambda: transport.streams_to_fill(1.0, window_bytes=-1, rtt_s=1), "window_bytes = -1"),
        (lambda: transport.streams_to_fill("1", window_bytes=1, rtt_s=1), "'1': needed"),
        (lambda: sharing.Flow(("x",), 0.0), "cap_bytes_per_s = 0.0: .* or infinity"),
        (lambda: sharing.max_min_rates({"x": 0.0}, {}), "rate of link x = 0.0"),
        (lambda: ecmp.used_paths_fraction(1, 0), "paths = 0: needed .* 1 or more"),
        (lambda: jitter.lognormal_sigma(0.5), "p99_over_p50 = 0.5: needed 1 or more"),
        (lambda: tail.tail_closed_form_s(0, packet_s=1, recovery_s=1, loss=0), "packets = 0"),
        (lambda: sites.ring_steps_s([1.0], [1.0, 2.0], 1), "occupied_s has 1, latency_s has 2"),
        (lambda: sites.ring_steps_s([1.0], [-1.0], 1), "latency_s = -1.0"),
        (lambda: site_bounds.all_reduce_mesh_bound(1, [[0]] * 17, delay_s=0), "17 sites"),
        (lambda: site_bounds.all_reduce_mesh_bound(1, [[0], [1]], delay_s=0), "row of 1 rates"),
        (lambda: nccl.nccl_tree_all_reduce_us(8, 3, "LL"), "ranks = 8 on 3 nodes"),
        (lambda: nccl.nccl_tree_all_reduce_us(8, 2, "LL64"), "unknown protocol 'LL64'"),
        (lambda: nccl.nccl_tree_all_reduce_us(8, 2, "LL", inside="X"), "unknown hop"),
        (lambda: outages.tcp_outage(math.inf), "outage_s = inf"),
        (lambda: recorded.traced_transfer_time_s(1, []), "trace without entries"),
        (lambda: recorded.traced_transfer_time_s(1, [(1, 1.0)]), "trace from 1 s"),
        (
            lambda: recorded.traced_transfer_time_s(1, [(0, 1.0), (2, 1), (1, 1)]),
            "goes back from 2",
        ),
        (
            lambda: changes.diurnal_rate_bytes_per_s(1, 2, least_load=0, most_load=2),
            "most_load = 2",
        ),
        (lambda: training.least_local_steps(1, 1, lost_part=0), "lost_part = 0"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(call, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        call()


def test_the_thinnest_cut_of_a_mesh_may_hold_several_sites():
    # two pairs at 10 within and 1 across: a site lets out 10 + 1 + 1, a pair four times 1
    mesh = [[0, 10, 1, 1], [10, 0, 1, 1], [1, 1, 0, 10], [1, 1, 10, 0]]
    found = site_bounds.all_reduce_mesh_bound(8.0, mesh, delay_s=1.0)
    assert (found.cut_s, found.count_s, found.bound_s) == (2.0, 6 * 8 / 48, 3.0)
    apart = site_bounds.all_reduce_mesh_bound(8.0, [[0, 0], [1, 0]], delay_s=1.0)
    assert apart.bound_s == math.inf


def test_nccl_rows_that_the_worked_cases_leave_out():
    # NVIDIA/nccl 2.30.7, tuning.cc: the host's overhead counts three times for Simple, on AMD
    # 3 x 2 us > 3.4 us; one GPU per node takes the tree's network step, 5 us
    amd_us = nccl.NETWORK_OVERHEAD_US["AMD"]
    ring_us = nccl.nccl_ring_all_reduce_us
    slow_us = ring_us(24, 3, "Simple", network_overhead_us=amd_us)
    assert slow_us == pytest.approx(8.4 + 42 * 6 + 4 * 14)
    assert ring_us(3, 3, "LL") == pytest.approx(6.6 + 4 * 5)
    assert ring_us(8, 1, "LL", inside="PCI") == pytest.approx(6.6 + 14 * 1.0)
    assert ring_us(1, 1, "LL") == 6.6


@pytest.mark.parametrize("far_first", [True, False])
@pytest.mark.parametrize("ranks", [1, 2, 8])
def test_counted_all_reduces_are_right_and_cross_what_is_known(ranks, far_first):
    site_of = [2 * rank // ranks for rank in range(ranks)]
    for block in (0, 1, 3):
        size, sites_used = ranks * block, len(set(site_of))
        halving = counting.count_halving_doubling(site_of, block, far_first=far_first)
        crossing = (ranks if far_first else 2) * size * (sites_used > 1)
        assert (halving.cross_site_elements, halving.sums_are_right) == (crossing, True)
        ring = counting.count_ring(site_of, block)
        hops = sites_used if sites_used > 1 else 0
        crossing = hops * 2 * (ranks - 1) * block
        assert (ring.cross_site_elements, ring.sums_are_right) == (crossing, True)


@pytest.mark.parametrize(("number", "per_site"), [(1, 1), (1, 4), (3, 1), (4, 3)])
def test_counted_hierarchies_cross_no_more_than_they_must(number, per_site):
    found = counting.count_hierarchical(number, per_site, 2)
    least = 2 * (number - 1) * number * per_site * 2
    assert (found.cross_site_elements, found.sums_are_right) == (least, True)
