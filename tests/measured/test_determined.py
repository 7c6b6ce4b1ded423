"""What was measured stays; what is assumed of the rest is never better than the data allow."""

import math
import re
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples, fewer

from emul.links import Link
from emul.measured import Measurement, calibrate, parameters_of
from emul.measured.measurement import LATENCY, STREAM
from emul.measured.medians import median_interval

LATENCY_S, RATE, RANKS = 10e-6, 10e9, 4
STEPS = 2 * (RANKS - 1)


def collective_s(nbytes, latency_s=LATENCY_S, rate=RATE):
    return STEPS * (latency_s + nbytes / RANKS / rate)


def logged(sizes, noise, seed, *, repeats=2, outliers=0.0):
    """Times of a ring all-reduce that are off by factors; outliers take three times as long."""
    draws = np.random.default_rng([seed, len(sizes), int(1000 * noise)])
    return [
        Measurement(
            "all_reduce",
            collective_s(nbytes)
            * math.exp(noise * draws.normal())
            * (3 if draws.random() < outliers else 1),
            "a.log",
            nbytes,
            RANKS,
        )
        for nbytes in sizes
        for _ in range(repeats)
    ]


def between(low, high, number):
    return [int(each) for each in np.geomspace(low, high, number)]


times = st.lists(st.floats(1e-6, 10.0), min_size=2, max_size=40)


@examples(60)
@given(rtts_s=times, rates=times)
def test_medians_stay_as_they_are_however_wide_their_intervals(rtts_s, rates):
    rates = [1e9 * each for each in rates]
    one_way = tuple(each / 2 for each in rtts_s)
    found = calibrate(
        [
            Measurement(LATENCY, median(one_way), "ping", samples=one_way),
            Measurement(STREAM, 1.0, "iperf", median(rates), samples=tuple(rates)),
        ]
    )
    latency, rate = found.latency_s, found.rate_bytes_per_s
    assert latency.value == pytest.approx(median(one_way), rel=1e-9)
    assert rate.value == pytest.approx(median(rates), rel=1e-9)
    for quantity, samples in ((latency, one_way), (rate, rates)):
        ends = median_interval(samples)
        assert quantity.low == pytest.approx(ends.low, rel=1e-9)
        assert quantity.high == pytest.approx(ends.high, rel=1e-9)
        assert quantity.confidence == ends.confidence
        assert min(samples) * (1 - 1e-9) <= quantity.value <= max(samples) * (1 + 1e-9)
    assert not any("regime" in each for each in found.warnings)


def test_how_far_samples_are_apart_and_how_few_they_are_is_said():
    one_way = (0.0155, 0.0225, 0.06, 0.019, 0.15)
    found = calibrate([Measurement(LATENCY, 0.0225, "p", samples=one_way)])
    said = " | ".join(found.warnings)
    assert "the latency, 22.5 ms, is uncertain: from 15.5 ms to 150 ms" in said
    assert "with only 93.8%" in said
    assert "single times vary 9.677-fold, from 15.5 ms to 150 ms" in said
    stalled = Measurement(STREAM, 1.0, "i", 1e8, samples=(0.0, 1e8, 2e8, 1e8, 1e8, 0.0))
    found = calibrate([stalled])
    assert (found.rate_bytes_per_s.low, found.rate_bytes_per_s.high) == (0.0, pytest.approx(2e8))
    assert "the rate varies down to nothing, from 0 GB/s" in " | ".join(found.warnings)


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.3, 0.6])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_bytes_and_steps_that_dominate_a_time_are_measured_whatever_the_noise(number, noise):
    for seed in range(8):
        found = calibrate(logged(between(256, 1 << 28, number), noise, seed), slice_bytes=0)
        assert found.latency_s is not None
        assert found.rate_bytes_per_s is not None
        assert abs(math.log(found.rate_bytes_per_s.value / RATE)) < 5 * noise
        assert abs(math.log(found.latency_s.value / LATENCY_S)) < 5 * noise


@pytest.mark.parametrize(
    ("number", "noise", "repeats", "outliers"),
    [(3, 0.1, 2, 0), (5, 0.3, 2, 0), (5, 0.01, 1, 0), (10, 0.05, 2, 0.03), (20, 0.2, 1, 0)],
)
def test_intervals_hold_the_truth_of_few_and_noisy_times(number, noise, repeats, outliers):
    """80 draws of two numbers: of 95 %, four standard deviations are 6.9 %; of 26 draws 12 %."""
    held, draws = 0, fewer(80)
    for seed in range(draws):
        rows = logged(
            between(1 << 10, 1 << 28, number), noise, seed, repeats=repeats, outliers=outliers
        )
        found = calibrate(rows, slice_bytes=0)
        for quantity, truth in ((found.latency_s, LATENCY_S), (found.rate_bytes_per_s, RATE)):
            held += quantity.low <= truth <= quantity.high
    assert held / (2 * draws) >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / (2 * draws))


@pytest.mark.parametrize("noise", [0.002, 0.02, 0.2])
def test_what_is_assumed_is_within_the_bounds_that_the_data_give(noise):
    """Of small sizes no rate, of large ones no latency; the bounds hold in 95 of 100 cases."""
    fast, slow = Link(1e15, 0.0), Link(1e3, 10.0, 10.0)
    held = draws = 0
    for seed in range(25):
        for sizes in (between(8, 2048, 5), between(1 << 30, 1 << 36, 5)):
            found = calibrate(logged(sizes, noise, seed), slice_bytes=0)
            draws += 1
            held += found.least_rate_bytes_per_s <= RATE and found.most_step_s >= LATENCY_S
            for otherwise in (fast, slow):
                latency, overhead, rate = parameters_of(found, otherwise, "as asked")
                if latency.status == "assumed":
                    step_s = (latency.value + overhead.value) / 1e6
                    assert step_s <= found.most_step_s * (1 + 1e-4)
                if rate.status == "assumed":
                    least = found.least_rate_bytes_per_s * 8 / 1e9
                    assert rate.value >= least * (1 - 1e-4)
                    assert rate.value == pytest.approx(
                        max(least, otherwise.rate_bytes_per_s * 8 / 1e9), rel=1e-4
                    )
    assert held / draws >= 0.95 - 4 * math.sqrt(0.95 * 0.05 / draws)


def test_a_small_part_of_every_time_is_measured_where_the_noise_is_smaller():
    """The bytes are a third of the largest time, which is a hundred times its noise."""
    found = calibrate(logged(between(8, 200_000, 6), 0.002, 0), slice_bytes=0)
    assert found.rate_bytes_per_s.value == pytest.approx(RATE, rel=0.05)
    assert not any("not determined" in each for each in found.warnings)


def test_a_regime_is_named_only_where_every_time_is_of_it():
    """The bytes of the largest size are 4.9 % of its time, known to some thousandths."""
    small = calibrate(logged(between(8, 20_000, 6), 0.02, 1, repeats=1), slice_bytes=0)
    said = next(each for each in small.warnings if each.startswith("the rate is not determined"))
    share = float(re.search(r"at most ([\d.]+)% of a time", said)[1]) / 100
    assert share < 0.5
    most_s = 20_000 * 1.5 / small.least_rate_bytes_per_s
    assert share == pytest.approx(most_s / (STEPS * small.latency_s.value), rel=0.1)
    # sizes of both regimes, and noise that hides the latency: no regime is blamed
    for seed in (0, 1, 4):
        noisy = calibrate(logged(between(1 << 18, 1 << 30, 3), 0.3, seed, repeats=1), slice_bytes=0)
        (said,) = (each for each in noisy.warnings if "not determined" in each)
        assert re.search(r"not determined: times that scatter by [\d.]+% hide them", said)


def test_upper_ends_are_as_many_times_the_value_as_noise_of_factors_makes():
    found = calibrate(logged(between(1 << 10, 1 << 28, 8), 0.1, 0), slice_bytes=0)
    latency = found.latency_s
    part = 1 - latency.low / latency.value
    assert latency.high / latency.value == pytest.approx(math.exp(part), rel=1e-6)


def test_without_any_noise_to_judge_by_values_stay_and_no_interval_is_told():
    found = calibrate(logged(between(1 << 20, 1 << 30, 2), 0.0, 0, repeats=1), slice_bytes=0)
    assert found.latency_s.value == pytest.approx(LATENCY_S, rel=1e-6)
    assert found.rate_bytes_per_s.value == pytest.approx(RATE, rel=1e-6)
    assert math.isnan(found.latency_s.high)
    assert (found.least_rate_bytes_per_s, found.most_step_s) == (0, math.inf)
    assert (found.measurements, found.parameters) == (2, 2)


def test_one_value_of_a_stream_beside_a_ping_has_no_interval_and_the_ping_keeps_its_own():
    one_way = (1e-3, 1.1e-3, 0.9e-3, 1e-3, 1.2e-3, 1e-3, 0.8e-3)
    stream = Measurement(STREAM, 1.0, "i", 1e9)
    found = calibrate([Measurement(LATENCY, 1e-3, "p", samples=one_way), stream])
    assert math.isnan(found.rate_bytes_per_s.high)
    assert found.latency_s.low == pytest.approx(0.8e-3)
    assert found.latency_s.high == pytest.approx(1.2e-3)
