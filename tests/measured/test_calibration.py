"""What the fit finds of parameters that the test knows, and what it says that it cannot find."""

import contextlib
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples, fewer

from emul.measured import Measurement, MeasurementError, MissingLibraryError, calibrate, fitting
from emul.measured.forms import ALGORITHMS
from emul.measured.measurement import LATENCY, MESSAGE, STREAM, WINDOW

BASE_S, LATENCY_S, OVERHEAD_S, RATE = 20e-6, 5e-6, 2e-6, 12e9
SIZES = [8 << k for k in range(28)]  # 8 B to 1 GiB
NOISE = 0.01


def all_reduce_s(n, nbytes, base_s=BASE_S, latency_s=LATENCY_S, overhead_s=OVERHEAD_S, rate=RATE):
    """A ring: 2 (n - 1) steps, each of a message of an n-th."""
    return base_s + 2 * (n - 1) * (latency_s + overhead_s + nbytes / n / rate)


def log(n, seed, *, noise=NOISE, sizes=SIZES, source=None, **link):
    """Measurements as of nccl-tests: in place and out of place."""
    draws = np.random.default_rng([seed, n])
    source = source or f"{n}.log"
    return [
        Measurement(
            "all_reduce",
            all_reduce_s(n, nbytes, **link) * math.exp(noise * draws.normal()),
            source,
            nbytes,
            n,
        )
        for nbytes in sizes
        for _ in range(2)
    ]


def ping(seed=0, noise=0.01, **more):
    value = LATENCY_S * math.exp(noise * np.random.default_rng(seed).normal())
    return Measurement(LATENCY, value, "ping.txt", spread=noise, **more)


def off_by(quantity, truth):
    return abs(quantity.value / truth - 1)


def within(quantity, truth):
    return quantity.low <= truth <= quantity.high


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("n", [2, 8, 64, 512])
def test_one_log_gives_rate_and_the_sum_of_what_a_step_costs(n, seed):
    found = calibrate(log(n, seed))
    step_s = LATENCY_S + OVERHEAD_S + BASE_S / (2 * (n - 1))
    assert off_by(found.latency_s, step_s) < 0.02
    assert off_by(found.rate_bytes_per_s, RATE) < 0.02
    assert found.overhead_s is None
    assert found.base_s is None


def test_one_log_cannot_tell_latency_from_overhead_nor_base_from_step_and_says_so():
    found = calibrate(log(8, 0))
    assert [warning.split(":")[0] for warning in found.warnings] == [
        "latency and overhead cannot be told apart",
        "the base of a call and the latency of its steps cannot be told apart",
    ]
    assert "the sum of both" in found.warnings[0]
    assert "(a ping would tell)" in found.warnings[0]
    assert "(logs of several world sizes would tell)" in found.warnings[1]
    assert "all calls have as many steps" in found.warnings[1]
    assert found.latency_s.holds.split(";")[0] == "the overhead of a message included"


@pytest.mark.parametrize("seed", range(8))
def test_several_world_sizes_tell_base_from_step(seed):
    found = calibrate([*log(2, seed), *log(8, seed), *log(32, seed)])
    assert off_by(found.base_s, BASE_S) < 0.02
    assert off_by(found.latency_s, LATENCY_S + OVERHEAD_S) < 0.02
    assert off_by(found.rate_bytes_per_s, RATE) < 0.02
    assert len(found.warnings) == 1


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_a_remedy_is_named_only_where_it_would_tell(scale):
    """A direct all_to_all has as many steps over any number of ranks."""
    times = [(8 << k, scale * (1e-5 + (8 << k) / 1e9)) for k in range(0, 25, 3)]
    for kind, algorithm, ping_tells, ranks_tell in (
        ("all_reduce", "ring", True, True),
        ("all_to_all", "pairwise", True, True),
        ("all_to_all", "direct", True, False),
    ):
        rows = [Measurement(kind, seconds, "a", size, 8) for size, seconds in times]
        said = [each for each in calibrate(rows, algorithm=algorithm).warnings if "apart" in each]
        assert any("a ping would tell" in each for each in said) == ping_tells
        assert any("several world sizes would tell" in each for each in said) == ranks_tell


@pytest.mark.parametrize("seed", range(8))
def test_a_ping_tells_latency_from_overhead(seed):
    found = calibrate([*log(2, seed), *log(8, seed), *log(32, seed), ping(seed)])
    sum_s = found.latency_s.value + found.overhead_s.value
    assert abs(sum_s / (LATENCY_S + OVERHEAD_S) - 1) < 0.02
    assert found.warnings == ()
    assert found.latency_s.sources == ("ping.txt",)
    assert "ping.txt" in found.overhead_s.sources


def test_intervals_hold_the_truth_as_often_as_they_say():
    """400 draws: of 95 %, four standard deviations are 4.4 %; of 133 draws 7.6 %."""
    truths = {
        "base_s": BASE_S,
        "latency_s": LATENCY_S,
        "overhead_s": OVERHEAD_S,
        "rate_bytes_per_s": RATE,
    }
    held = dict.fromkeys(truths, 0)
    draws = fewer(400)
    for seed in range(draws):
        found = calibrate([*log(2, seed), *log(8, seed), *log(32, seed), ping(seed)], slice_bytes=0)
        for name, truth in truths.items():
            held[name] += within(getattr(found, name), truth)
    deviation = math.sqrt(0.95 * 0.05 / draws)
    for name, count in held.items():
        assert abs(count / draws - 0.95) < 4 * deviation, name


def test_osu_latency_and_bandwidth_tell_latency_from_overhead():
    """A window pays the overhead 65 times and the latency twice."""
    draws = np.random.default_rng(0)

    def noisy(seconds):
        return seconds * math.exp(NOISE * draws.normal())

    messages = [
        Measurement(MESSAGE, noisy(LATENCY_S + OVERHEAD_S + s / RATE), "osu", s) for s in SIZES
    ]
    windows = [
        Measurement(
            WINDOW, noisy(64 * (OVERHEAD_S + s / RATE) + 2 * LATENCY_S + OVERHEAD_S), "osu", s
        )
        for s in SIZES
    ]
    found = calibrate([*messages, *windows])
    assert off_by(found.latency_s, LATENCY_S) < 0.02
    assert off_by(found.overhead_s, OVERHEAD_S) < 0.02
    assert off_by(found.rate_bytes_per_s, RATE) < 0.02


def test_windows_alone_say_what_the_latency_is_without_overhead():
    times = [(s, 64 * (OVERHEAD_S + s / RATE) + 2 * LATENCY_S + OVERHEAD_S) for s in SIZES]
    found = calibrate([Measurement(WINDOW, seconds, "osu", s) for s, seconds in times])
    assert "what it is if there is no overhead" in found.warnings[0]
    assert 2 * found.latency_s.value == pytest.approx(65 * OVERHEAD_S + 2 * LATENCY_S, rel=1e-3)


def test_ping_and_stream_are_taken_as_they_are():
    found = calibrate(
        [
            Measurement(LATENCY, 3e-4, "ping", spread=0.02),
            Measurement(STREAM, 1.0, "iperf", 1.2e8, spread=0.01),
        ]
    )
    assert found.latency_s.value == pytest.approx(3e-4)
    assert found.rate_bytes_per_s.value == pytest.approx(1.2e8)
    assert found.latency_s.high / found.latency_s.value - 1 == pytest.approx(1.96 * 0.02, rel=1e-3)
    assert found.overhead_s is None


def test_without_spread_or_further_rows_there_is_no_interval():
    found = calibrate([Measurement(LATENCY, 3e-4, "a"), Measurement(STREAM, 1.0, "a", 1.2e8)])
    assert math.isnan(found.latency_s.low)
    assert math.isnan(found.rate_bytes_per_s.high)
    assert found.warnings == ()


def test_sizes_of_the_latency_regime_do_not_tell_the_rate():
    found = calibrate(log(8, 0, sizes=[8 << k for k in range(8)]))
    assert found.rate_bytes_per_s is None
    assert "the rate is not determined: the sizes never leave the latency regime" in " ".join(
        found.warnings
    )
    assert off_by(found.latency_s, LATENCY_S + OVERHEAD_S + BASE_S / 14) < 0.02


def test_sizes_of_the_bandwidth_regime_do_not_tell_the_latency():
    found = calibrate(log(8, 0, sizes=[1 << k for k in range(28, 33)]))
    assert found.latency_s is None
    assert "the sizes never leave the bandwidth regime" in " ".join(found.warnings)
    assert off_by(found.rate_bytes_per_s, RATE) < 0.02


def test_what_is_not_measured_at_all_is_said():
    found = calibrate([Measurement(STREAM, 1.0, "iperf", 1e9, spread=0.01)])
    assert (found.latency_s, found.overhead_s, found.base_s) == (None, None, None)
    assert found.warnings == (
        "latency and overhead are not determined: nothing was measured that depends on them",
    )
    found = calibrate([Measurement(LATENCY, 1e-3, "ping", spread=0.01)])
    assert found.rate_bytes_per_s is None
    assert "the rate is not determined: nothing was measured" in found.warnings[0]


def test_one_size_is_refused():
    with pytest.raises(MeasurementError, match=r"8.log: sizes do not differ"):
        calibrate(log(8, 0, sizes=[1 << 20]))


def test_world_sizes_too_alike_for_the_noise_are_said_and_put_together():
    few = [8 << k for k in range(0, 28, 9)]
    found = calibrate([m for n in (63, 64) for m in log(n, 3, sizes=few, noise=0.05, base_s=1e-6)])
    assert found.base_s is None
    assert any("the noise hides the difference" in warning for warning in found.warnings)


def test_no_base_is_found_where_there_is_none():
    found = calibrate([m for n in (2, 8, 32) for m in log(n, 1, base_s=0.0, noise=0.0)])
    assert found.base_s.value < 1e-3 * LATENCY_S
    assert found.latency_s.value == pytest.approx(LATENCY_S + OVERHEAD_S, rel=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_few_outliers_count_little_and_are_said(seed):
    measured = log(8, seed)
    for i in (3, 20, 41):  # three of 56 took three times as long
        spoilt = measured[i]
        measured[i] = Measurement("all_reduce", 3 * spoilt.time_s, "8.log", spoilt.size_bytes, 8)
    found = calibrate(measured)
    assert off_by(found.latency_s, LATENCY_S + OVERHEAD_S + BASE_S / 14) < 0.02
    assert off_by(found.rate_bytes_per_s, RATE) < 0.02
    assert any("3 of 56 measurements are outliers" in warning for warning in found.warnings)


def test_data_of_another_form_are_said_to_fit_badly():
    measured = [Measurement("all_reduce", 1e-6 * math.sqrt(s), "x", s, 8) for s in SIZES]
    found = calibrate(measured)
    (said,) = (each for each in found.warnings if "form" in each)
    assert "not at random along the sizes" in said
    for name in ("halving_doubling", "recursive_doubling", "double_binary_tree"):
        assert re.search(rf"{name} \d+%", said)
    # a value stays, though no interval can be told
    assert found.rate_bytes_per_s.value > 0
    assert math.isnan(found.rate_bytes_per_s.high)


def test_an_algorithm_that_is_asked_for_is_fitted():
    measured = [Measurement("all_reduce", 3 * (LATENCY_S + s / RATE), "x", s, 8) for s in SIZES]
    found = calibrate(measured, algorithm="recursive_doubling")
    assert found.latency_s.value == pytest.approx(LATENCY_S, rel=1e-6)
    assert found.rate_bytes_per_s.value == pytest.approx(RATE, rel=1e-6)


def sliced_s(n, nbytes, slice_bytes, alpha_s, rate):
    """A ring step by step: rank r sends on slice k of a piece as soon as it is there and its port
    is free; the last slice of the last step is the end."""
    piece = nbytes / n
    lengths, left = [], piece
    while left > 0:
        lengths.append(min(slice_bytes, left))
        left -= lengths[-1]
    arrived, free = [0.0] * len(lengths), 0.0
    for _ in range(2 * (n - 1)):
        for k, length in enumerate(lengths):
            free = max(free, arrived[k]) + length / rate
            arrived[k] = free + alpha_s
    return arrived[-1]


def test_slices_are_found_where_they_hide_latency():
    sizes = [2 << k for k in range(3, 28)]
    measured = [
        Measurement("all_reduce", sliced_s(8, s, 512 << 10, 1e-3, 1e9), "x", s, 8) for s in sizes
    ]
    found = calibrate(measured)
    assert found.slice_bytes == 512 << 10
    assert found.latency_s.value == pytest.approx(1e-3, rel=1e-4)
    assert found.rate_bytes_per_s.value == pytest.approx(1e9, rel=1e-4)
    assert found.worst_error < 1e-4
    whole = calibrate(measured, slice_bytes=0)
    assert whole.worst_error > 0.1


def test_whole_chunks_are_taken_where_slices_fit_no_better():
    assert calibrate(log(8, 0)).slice_bytes == 0


@examples(25)
@given(
    n=st.integers(2, 200),
    latency_s=st.floats(1e-7, 1e-1),
    rate=st.floats(1e7, 1e11),
)
def test_two_parameters_without_noise_are_found_exactly(n, latency_s, rate):
    """Over sizes on both sides of where latency and sending are equal."""
    equal = latency_s * rate * n
    sizes = [max(1, int(equal * 4.0**k)) for k in range(-4, 5)]
    measured = log(
        n, 0, noise=0, sizes=sizes, base_s=0, overhead_s=0, latency_s=latency_s, rate=rate
    )
    found = calibrate(measured, slice_bytes=0)
    assert found.latency_s.value == pytest.approx(latency_s, rel=1e-5)
    assert found.rate_bytes_per_s.value == pytest.approx(rate, rel=1e-5)


anything = st.builds(
    Measurement,
    st.sampled_from([*ALGORITHMS, LATENCY, MESSAGE, STREAM, WINDOW]),
    st.floats(1e-21, 1e15),
    st.sampled_from(["a", "b"]),
    st.integers(1, 1 << 60),
    st.sampled_from([2, 4, 1024]),
    spread=st.sampled_from([0.0, 0.01, 3.0]),
)


@examples(80)
@given(measured=st.lists(anything, min_size=1, max_size=6))
def test_any_measurements_are_fitted_or_refused(measured):
    with contextlib.suppress(MeasurementError):
        found = calibrate(measured)
        for each in (found.base_s, found.latency_s, found.overhead_s, found.rate_bytes_per_s):
            assert each is None or (math.isfinite(each.value) and each.value >= 0)


@examples(10)
@given(scale=st.floats(1e-3, 1e3))
def test_a_clock_of_another_unit_scales_every_parameter(scale):
    measured = [m for n in (2, 16) for m in log(n, 5)]
    scaled = [
        Measurement(m.kind, m.time_s * scale, m.source, m.size_bytes, m.world_size)
        for m in measured
    ]
    one, other = (calibrate(each, slice_bytes=0) for each in (measured, scaled))
    assert other.base_s.value == pytest.approx(one.base_s.value * scale, rel=1e-5)
    assert other.latency_s.value == pytest.approx(one.latency_s.value * scale, rel=1e-5)
    rates = (one.rate_bytes_per_s.value / scale, other.rate_bytes_per_s.value)
    assert rates[1] == pytest.approx(rates[0], rel=1e-5)


def test_the_order_of_the_files_changes_nothing():
    measured = [m for n in (2, 16) for m in log(n, 5)]
    one, other = calibrate(measured), calibrate(measured[::-1])
    assert other.latency_s.value == pytest.approx(one.latency_s.value, rel=1e-6)
    assert other.rate_bytes_per_s.value == pytest.approx(one.rate_bytes_per_s.value, rel=1e-6)


def test_without_scipy_the_error_says_what_to_install(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(fitting.importlib, "import_module", missing)
    with pytest.raises(MissingLibraryError, match=r"pip install '\.\[calibrate\]'"):
        calibrate(log(8, 0))


def test_times_by_the_fit_are_those_of_its_numbers_in_the_order_of_the_measurements():
    rows = [*log(8, 0), *log(2, 1), Measurement(LATENCY, LATENCY_S, "ping", spread=1e-3)]
    found = calibrate(rows)
    assert len(found.fitted_s) == len(rows)
    numbers = {
        "base_s": found.base_s.value,
        "latency_s": found.latency_s.value,
        "overhead_s": found.overhead_s.value,
        "rate": found.rate_bytes_per_s.value,
    }
    for row, fitted_s in zip(rows[:-1], found.fitted_s, strict=False):
        expected_s = all_reduce_s(row.world_size, row.size_bytes, **numbers)
        assert fitted_s == pytest.approx(expected_s, rel=0.02)
    errors = [fitted_s / row.time_s - 1 for row, fitted_s in zip(rows, found.fitted_s, strict=True)]
    assert max(map(abs, errors)) == pytest.approx(found.worst_error)
