"""Closed forms of the link model against slow simulations that know nothing of them."""

import heapq
import math

import numpy as np
import pytest
from closed_forms.barrier import expected_largest
from closed_forms.ecmp import expected_most_flows, no_collision_probability
from closed_forms.message import slow_start_time_s
from closed_forms.sharing import Flow, finish_times_s, max_min_rates
from closed_forms.sites import ring_steps_s
from closed_forms.tail import expected_tail_s, tail_closed_form_s
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul.links.jitter import lognormal_sigma
from emul.links.loss import go_back_n_efficiency
from emul.links.transport import window_rate_bytes_per_s


def simulated_window_rate(rate, window, chunk, rtt_s, streams, turnaround_s, rounds):
    """Send chunks over one wire, each from a free slot; a slot is free one RTT after it left."""
    free = [(0.0, i) for i in range(streams * (window // chunk))]
    heapq.heapify(free)
    wire_s, ends_s = 0.0, []
    for _ in range(rounds * len(free)):
        ready_s, slot = heapq.heappop(free)
        wire_s = max(wire_s, ready_s) + chunk / rate
        heapq.heappush(free, (wire_s + rtt_s + turnaround_s, slot))
        ends_s.append(wire_s)
    half = len(ends_s) // 2
    return (len(ends_s) - half) * chunk / (ends_s[-1] - ends_s[half - 1])


@pytest.mark.parametrize("rtt_s", [1e-5, 2e-4, 5e-4, 3e-3])
@pytest.mark.parametrize("streams", [1, 2, 5])
@pytest.mark.parametrize("chunk", [2**16, 2**19])
@pytest.mark.parametrize("turnaround_s", [0.0, 5e-5])
def test_window_rate_agrees_with_chunks_in_slots(rtt_s, streams, chunk, turnaround_s):
    # Derived: bytes per second of the second half of 100 windows. Both halves hold whole windows,
    # so the start shows no more; 1e-9 is for sums of 1e4 floats.
    arguments = {"rtt_s": rtt_s, "streams": streams, "turnaround_s": turnaround_s}
    simulated = simulated_window_rate(49e9, 2**22, chunk, rounds=100, **arguments)
    formula = window_rate_bytes_per_s(49e9, window_bytes=2**22, chunk_bytes=chunk, **arguments)
    assert simulated == pytest.approx(formula, rel=1e-9)


def simulated_go_back_n(loss, in_flight, window, spacing, slots, rng):
    """Return delivered packets per slot, at most a packet every ``spacing`` slots.

    What became of a packet is known ``in_flight`` slots later. The sender may run ``window``
    packets ahead of what it knows to have arrived; when it learns of a loss it goes back to the
    lost packet. What follows a lost packet is thrown away.
    """
    lost = rng.random(slots) < loss
    news = [None] * (slots + in_flight + 1)
    following, known, delivered = 0, 0, 0
    for slot in range(0, slots, spacing):
        if news[slot] is not None:
            packet, arrived = news[slot]
            known = packet + arrived
            following = following if arrived else packet
        if following < known + window:
            if following == delivered:
                news[slot + in_flight] = (following, not lost[slot])
                delivered += not lost[slot]
            following += 1
    return delivered / slots


def go_back_n_noise(formula, window, in_flight, slots):
    """Return five standard errors of the simulated efficiency, and one pipe for its start.

    About k = slots x (part of the time lost) / N losses are seen; the part lost scatters by
    1 / sqrt(k) of itself, and the efficiency by that times itself.
    """
    losing = 1 - formula / min(1, window / in_flight)
    return 5 * losing * formula / math.sqrt(slots * losing / in_flight) + in_flight / slots


@pytest.mark.parametrize(
    ("loss", "in_flight", "spacing"),
    [
        *[(0.003, 50, 1), (0.01, 20, 1), (0.05, 20, 1), (0.2, 7, 1)],
        *[(0.003, 50, 5), (0.01, 20, 4), (0.05, 20, 2), (0.2, 8, 2)],
    ],
)
def test_go_back_n_agrees_with_packets(loss, in_flight, spacing):
    # Derived: packets delivered in 2e5 slots, those of a window evenly over its round trip.
    slots, window = 200_000, in_flight // spacing
    rng = np.random.default_rng(1)
    formula = go_back_n_efficiency(loss, in_flight, window_packets=window)
    simulated = simulated_go_back_n(loss, in_flight, window, spacing, slots, rng)
    assert abs(simulated - formula) < go_back_n_noise(formula, window, in_flight, slots)


@pytest.mark.parametrize(("loss", "in_flight", "window"), [(0.01, 20, 6), (0.05, 20, 6)])
def test_go_back_n_in_bursts_is_a_little_better(loss, in_flight, window):
    # A window sent at once and then waited for loses less: a loss early in a burst costs the
    # burst, not the wait that was there anyway. The formula is the lower end, by less than 1/10.
    slots = 200_000
    formula = go_back_n_efficiency(loss, in_flight, window_packets=window)
    simulated = simulated_go_back_n(loss, in_flight, window, 1, slots, np.random.default_rng(1))
    noise = go_back_n_noise(formula, window, in_flight, slots)
    assert formula - noise < simulated < 1.1 * formula + noise


@pytest.mark.parametrize("window", [5, 10, 40])
def test_go_back_n_without_loss_is_its_window(window):
    # Derived: W packets per N slots, exactly but for the last round.
    simulated = simulated_go_back_n(0.0, 40, window, 1, 40_000, np.random.default_rng(1))
    assert simulated == pytest.approx(go_back_n_efficiency(0.0, 40, window_packets=window), 2e-3)


def simulated_tails(packets, packet_s, recovery_s, loss, trials, rng):
    """Return how long after its last packet would have arrived each message is complete."""
    losses = rng.geometric(1 - loss, size=(trials, packets)) - 1
    sent_s = (np.arange(packets) - (packets - 1)) * packet_s
    return np.maximum(0.0, (sent_s + losses * recovery_s).max(axis=1))


@pytest.mark.parametrize(
    ("packets", "recovery_s", "loss"),
    [(1, 3.0, 0.3), (10, 3.5, 0.1), (10, 40.0, 0.02), (100, 10.0, 0.05), (500, 50.25, 1e-3)],
)
def test_selective_repeat_tail_agrees_with_draws(packets, recovery_s, loss):
    # Derived: the mean of 40 000 messages; five of its standard errors.
    tails = simulated_tails(packets, 1.0, recovery_s, loss, 40_000, np.random.default_rng(2))
    formula = expected_tail_s(packets, packet_s=1.0, recovery_s=recovery_s, loss=loss)
    assert abs(tails.mean() - formula) < 5 * tails.std() / math.sqrt(tails.size)


@pytest.mark.parametrize("packets", [1000, 20_000, 100_000])
@pytest.mark.parametrize("recovery_s", [30.0, 3000.0, 300_000.0])
def test_closed_tail_is_the_first_order_of_the_exact_one(packets, recovery_s):
    # Derived: the closed form leaves out second losses, of probability p each, for those that
    # show: at most min(M, R) p^2 R; and takes a sum over packets as an integral: half a packet.
    loss = 1e-6
    numbers = {"packet_s": 1.0, "recovery_s": recovery_s, "loss": loss}
    exact, closed = expected_tail_s(packets, **numbers), tail_closed_form_s(packets, **numbers)
    twice = 2 * packets * loss**2 * recovery_s
    assert abs(exact - closed) < twice + loss * recovery_s + 1e-4 * exact


flow_sets = st.lists(
    st.tuples(
        st.sets(st.integers(0, 3), min_size=1),
        st.one_of(st.just(math.inf), st.integers(1, 30).map(float)),
    ),
    min_size=1,
    max_size=8,
)
capacities = st.lists(st.integers(1, 40), min_size=4, max_size=4)


def flows_of(described):
    return {i: Flow(tuple(links), cap) for i, (links, cap) in enumerate(described)}


def used(flows, rates, link):
    return sum(rates[name] for name, flow in flows.items() if link in flow.links)


@examples(300)
@given(capacities, flow_sets)
def test_max_min_rates_are_feasible_and_each_flow_has_a_reason(rates, described):
    # The definition (Bertsekas and Gallager): no link carries more than it can, and a flow is at
    # its cap or crosses a full link on which none has more. 1e-9 is for sums of eight floats.
    links, flows = dict(enumerate(map(float, rates))), flows_of(described)
    found = max_min_rates(links, flows)
    full = set()
    for link, rate in links.items():
        assert used(flows, found, link) <= rate * (1 + 1e-9)
        if used(flows, found, link) >= rate * (1 - 1e-9):
            full.add(link)
    for name, flow in flows.items():
        assert found[name] <= flow.cap_bytes_per_s
        held = any(
            all(found[name] >= (1 - 1e-9) * found[x] for x in flows if link in flows[x].links)
            for link in full.intersection(flow.links)
        )
        assert held or found[name] >= flow.cap_bytes_per_s * (1 - 1e-9)


@examples(40)
@given(capacities, flow_sets)
def test_max_min_rates_agree_with_filling_drop_by_drop(rates, described):
    # Derived: rates rise by 1/50 in turns while nothing overflows. A flow is stopped within one
    # drop of its level, and what others leave differs by so much per flow and round.
    drop = 0.02
    links, flows = dict(enumerate(map(float, rates))), flows_of(described)
    filled = dict.fromkeys(flows, 0.0)
    rising = set(flows)
    while rising:
        for name in sorted(rising):
            filled[name] += drop
            over = any(used(flows, filled, x) > links[x] for x in flows[name].links)
            if over or filled[name] > flows[name].cap_bytes_per_s:
                filled[name] -= drop
                rising.discard(name)
    found = max_min_rates(links, flows)
    assert found == pytest.approx(filled, abs=drop * 2 * len(flows))


def stepped_finish(links, flows, step_s):
    """Move bytes in steps of time; shares from the function that the tests above hold."""
    rest = {name: flow.nbytes for name, flow in flows.items()}
    ends, now_s, rates, sharing = {}, 0.0, {}, None
    while rest:
        active = frozenset(name for name in rest if flows[name].start_s <= now_s)
        if active != sharing:
            sharing, rates = active, max_min_rates(links, {name: flows[name] for name in active})
        for name in active:
            rest[name] -= rates[name] * step_s
            if rest[name] <= 0:
                ends[name] = now_s + step_s
                del rest[name]
        now_s += step_s
    return ends


@pytest.mark.parametrize("seed", range(12))
def test_finish_times_agree_with_small_steps(seed):
    # Derived: a flow ends and starts up to one step late, which shifts others by as much each.
    rng = np.random.default_rng(seed)
    links = {"a": 10.0, "b": 6.0, "c": 3.0}
    flows = {
        name: Flow(
            tuple(rng.choice(list(links), size=rng.integers(1, 4), replace=False)),
            math.inf if rng.random() < 0.5 else float(rng.uniform(0.5, 6)),
            float(rng.uniform(0.5, 10)),
            float(rng.choice([0.0, rng.uniform(0, 3)])),
        )
        for name in range(6)
    }
    step_s = 2e-4
    stepped = stepped_finish(links, flows, step_s)
    assert finish_times_s(links, flows) == pytest.approx(stepped, abs=4 * len(flows) * step_s)


@pytest.mark.parametrize(("flows", "paths"), [(8, 8), (32, 8), (5, 20), (3, 1), (40, 7)])
def test_hashed_flows_agree_with_draws(flows, paths):
    # Derived: 40 000 throws; five standard errors of each mean.
    draws = np.random.default_rng(3).integers(0, paths, size=(40_000, flows))
    loads = (draws[:, :, None] == np.arange(paths)).sum(axis=1).max(axis=1)
    noise = 5 * loads.std() / math.sqrt(loads.size) + 1e-9
    assert abs(loads.mean() - expected_most_flows(flows, paths)) < noise
    alone = (loads == 1).mean()
    assert abs(alone - no_collision_probability(flows, paths)) < 5 * 0.5 / math.sqrt(loads.size)


@pytest.mark.parametrize("ranks", [1, 2, 24, 100])
def test_largest_jitter_agrees_with_draws(ranks):
    # Derived: the mean of 20 000 barriers; five standard errors.
    sigma = lognormal_sigma(3.0)
    waits = np.exp(sigma * np.random.default_rng(4).standard_normal((20_000, ranks))).max(axis=1)
    error = abs(waits.mean() - expected_largest(1.0, sigma, ranks))
    assert error < 5 * waits.std() / math.sqrt(waits.size)


def test_slow_start_agrees_with_rounds_counted_in_segments():
    # Derived: windows of 10, 20, 40 ... whole segments until 1000 segments, which fill the pipe.
    segment, rate, rtt_s = 1000, 1e7, 0.1
    for segments in (1, 10, 11, 30, 31, 635, 1000, 5000):
        rest, window, now_s = segments, 10, 0.0
        while rest > window and window < rate * rtt_s / segment:
            rest, window, now_s = rest - window, window * 2, now_s + rtt_s
        expected = now_s + rest * segment / rate + rtt_s / 2
        numbers = {"rate_bytes_per_s": rate, "rtt_s": rtt_s, "delay_s": rtt_s / 2}
        found = slow_start_time_s(segments * segment, initial_window_bytes=10 * segment, **numbers)
        assert found == pytest.approx(expected, rel=1e-12)


@examples(100)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=9), st.integers(1, 9), st.integers(1, 30))
def test_equal_hops_take_their_time_and_the_worst_run_of_latencies(latency, busy, steps):
    # Derived: with one occupancy everywhere a message is never late for its turn but by the
    # latencies behind it: steps times the occupancy + the largest sum of so many in a row.
    n = len(latency)
    worst = max(sum(latency[(i + k) % n] for k in range(steps)) for i in range(n))
    assert ring_steps_s([busy] * n, latency, steps) == steps * busy + worst
