"""Two populations in one calibration: told or refused, and never told of one."""

import math
import re

import numpy as np
import pytest

from emul.measured import Measurement, MeasurementError, calibrate
from emul.measured.measurement import LATENCY, STREAM

LATENCY_S, RATE, RANKS = 10e-6, 10e9, 4
HALVES = ("out of place", "in place")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "ns": 1e-9}


def rows(
    seed, *, sizes=6, noise=0.02, latency_s=LATENCY_S, rate=RATE, place="", ranks=RANKS, run=0,
    source="a.log",
):  # fmt: skip
    draws = np.random.default_rng([seed, sizes, HALVES.index(place) if place else 2, run, ranks])
    return [
        Measurement(
            "all_reduce",
            2
            * (ranks - 1)
            * (latency_s + nbytes / ranks / rate)
            * math.exp(noise * draws.normal()),
            source,
            int(nbytes),
            ranks,
            place=place,
            run=run,
        )
        for nbytes in np.geomspace(1 << 10, 1 << 30, sizes)
    ]


def both(seed, *, latency=1.0, rate=1.0, **more):
    """Both halves of a log; in place latency and rate are so many times what they are."""
    out = rows(seed, place=HALVES[0], **more)
    return out + rows(
        seed, place=HALVES[1], latency_s=LATENCY_S * latency, rate=RATE * rate, **more
    )


@pytest.mark.parametrize("sizes", [3, 6, 20])
def test_halves_that_are_alike_are_taken_together(sizes):
    """60 draws, of which noise parts one in a thousand."""
    for seed in range(20):
        found = calibrate(both(seed, sizes=sizes, noise=0.05), slice_bytes=0)
        assert found.measurements == 2 * sizes
        assert not any("differ" in each for each in found.warnings)


@pytest.mark.parametrize(
    ("latency", "rate"), [(1, 0.5), (1, 0.1), (1, 4), (3, 1), (0.2, 1), (10, 0.1), (2, 2)]
)
@pytest.mark.parametrize("sizes", [5, 12])
def test_halves_that_differ_are_refused_with_how_much_and_with_what_each_says(latency, rate, sizes):
    for seed in range(3):
        with pytest.raises(MeasurementError) as caught:
            calibrate(both(seed, sizes=sizes, latency=latency, rate=rate), slice_bytes=0)
        said = str(caught.value)
        assert "a.log: out of place and in place differ" in said
        assert "--half out-of-place or --half in-place" in said
        slower, times, chance = re.search(
            r"differ: (in place|out of place) takes ([\d.]+) times .* \(chance (.*?)\)", said
        ).groups()
        ratio = max(latency, 1 / rate, 1 / latency, rate)
        assert float(times) == pytest.approx(ratio, rel=0.1)
        assert float(chance) < 1e-3
        slows = [each for each in (latency, 1 / rate) if each != 1]
        if max(slows) == min(slows) or (max(slows) > 1) == (min(slows) > 1):
            assert slower == ("in place" if max(slows) > 1 else "out of place")
        alone = re.findall(r"place alone: ([\d.]+) (\w+), ([\d.]+) GB/s", said)
        for (time, unit, gb_per_s), (by, speed) in zip(
            alone, [(1, 1), (latency, rate)], strict=True
        ):
            assert float(time) * UNITS[unit] == pytest.approx(LATENCY_S * by, rel=0.1)
            assert float(gb_per_s) * 1e9 == pytest.approx(RATE * speed, rel=0.1)


def test_the_chance_is_that_of_the_noise():
    """What is five times the noise is told from it, what is as large as the noise is not."""
    with pytest.raises(MeasurementError):
        calibrate(both(0, sizes=12, noise=0.04, rate=0.8, latency=1.2), slice_bytes=0)
    found = calibrate(both(0, sizes=5, noise=0.5, rate=0.8, latency=1.2), slice_bytes=0)
    assert not any("differ" in each for each in found.warnings)


def test_halves_that_differ_by_less_than_a_tenth_are_told_and_spanned():
    found = calibrate(both(1, sizes=12, noise=0.002, rate=0.95, latency=1.05), slice_bytes=0)
    (said,) = (each for each in found.warnings if "differ" in each)
    assert re.search(r"in place takes 1\.0[56]\d* times as long", said)
    for quantity, ends in (
        (found.rate_bytes_per_s, (0.95 * RATE, RATE)),
        (found.latency_s, (LATENCY_S, 1.05 * LATENCY_S)),
    ):
        assert quantity.low < ends[0] * 1.001
        assert quantity.high > ends[1] * 0.999
        assert ends[0] < quantity.value < ends[1]


def test_halves_without_noise_are_told_apart_from_a_hundredth_on():
    found = calibrate(both(0, noise=0, rate=1 / 1.015, latency=1.015), slice_bytes=0)
    assert any("in place takes 1.015 times as long" in each for each in found.warnings)
    alike = calibrate(both(0, noise=0), slice_bytes=0)
    assert not any("differ" in each for each in alike.warnings)


def test_two_sizes_tell_no_noise_so_halves_differ_if_their_times_do():
    with pytest.raises(MeasurementError, match="too few sizes to tell it from noise"):
        calibrate(both(0, sizes=2, rate=0.5), slice_bytes=0)
    assert calibrate(both(0, sizes=2), slice_bytes=0).rate_bytes_per_s is not None


def ping(source, one_way, run=0):
    return Measurement(LATENCY, float(np.median(one_way)), source, samples=tuple(one_way), run=run)


def stream(source, rates, run=0):
    return Measurement(STREAM, 1.0, source, float(np.median(rates)), samples=tuple(rates), run=run)


@pytest.mark.parametrize("sources", [("p.txt", "q.txt"), ("p.txt", "p.txt")])
@pytest.mark.parametrize("number", [1, 3, 10])
def test_pings_and_streams_of_two_links_are_refused(sources, number):
    names = "p.txt and q.txt differ"
    if sources[0] == sources[1]:
        names = "p.txt holds 2 runs, of which run 1 and run 2 differ"
    pair = [ping(s, [v] * number) for s, v in zip(sources, (0.5e-3, 20.5e-3), strict=True)]
    with pytest.raises(MeasurementError) as caught:
        calibrate(pair)
    said = f"{names}: 500 us one way and 20.5 ms one way, 41 times as much"
    assert said in str(caught.value)
    alone = "give one of them alone"
    own = "put the one that is meant into a file of its own"
    assert str(caught.value).endswith(own if sources[0] == sources[1] else alone)
    pair = [stream(s, [v] * number) for s, v in zip(sources, (1e9, 2.5e8), strict=True)]
    with pytest.raises(MeasurementError, match=r"differ: 1 GB/s .* and 0\.25 GB/s .*, 4 times"):
        calibrate(pair)


@pytest.mark.parametrize("seed", range(10))
def test_two_pings_of_one_link_are_taken_together(seed):
    draws = np.random.default_rng(seed)
    pair = [ping(source, 1e-3 + 1e-3 * draws.exponential(size=9)) for source in ("p", "q")]
    found = calibrate(pair)
    values = sorted(each.time_s for each in pair)
    assert values[0] * 0.999 <= found.latency_s.value <= values[1] * 1.001
    assert not any("differ" in each for each in found.warnings)


def test_pings_a_little_apart_are_told_and_spanned():
    found = calibrate([ping("p", [1e-3] * 7), ping("q", [1.04e-3] * 7)])
    assert "p and q differ: 1 ms one way and 1.04 ms one way, 1.04 times as much" in " ".join(
        found.warnings
    )
    assert found.latency_s.low <= 1e-3
    assert found.latency_s.high >= 1.04e-3


@pytest.mark.parametrize("second", [{"source": "b.log"}, {"run": 1}])
def test_two_logs_of_one_collective_over_two_links_are_refused(second):
    pair = rows(0) + rows(1, rate=RATE / 3, **second)
    with pytest.raises(
        MeasurementError, match=r"differ, though both are all_reduce: .* 3\.\d+ tim"
    ):
        calibrate(pair, slice_bytes=0)
    alike = calibrate(rows(0) + rows(1, **second), slice_bytes=0)
    assert not any("differ" in each for each in alike.warnings)


def test_rates_of_unlike_measurements_that_differ_are_told_and_spanned():
    found = calibrate(rows(0) + rows(1, rate=RATE / 4, ranks=8, source="b.log"), slice_bytes=0)
    (said,) = (each for each in found.warnings if "alone" in each)
    rates = [float(each) for each in re.findall(r"alone(?: says)? ([\d.]+) GB/s", said)]
    assert rates == [pytest.approx(10, rel=0.1), pytest.approx(2.5, rel=0.1)]
    assert found.rate_bytes_per_s.low < RATE / 4
    assert found.rate_bytes_per_s.high > RATE * 0.99


def test_rates_of_unlike_measurements_that_differ_by_less_than_a_tenth_are_one():
    one, other = (rows(0, noise=1e-3), rows(1, noise=1e-3, rate=0.95 * RATE, ranks=8, source="b"))
    found = calibrate(one + other, slice_bytes=0)
    assert not any("alone" in each for each in found.warnings)


def test_a_ping_that_takes_longer_than_a_whole_step_is_refused():
    with pytest.raises(MeasurementError, match=r"p says 100 us one way, and a step of a\.log"):
        calibrate([*rows(0), ping("p", [100e-6] * 7)], slice_bytes=0)
    for one_way in (9e-6, 1e-6):
        found = calibrate([*rows(0), ping("p", [one_way] * 7)], slice_bytes=0)
        assert found.latency_s.value == pytest.approx(one_way, rel=0.02)
