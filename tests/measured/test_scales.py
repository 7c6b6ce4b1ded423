"""An interval is a part of its value: the same noise on a longer link is a wider interval."""

import pytest
from measured import logs

from emul.measured import Measurement, calibrate, read_measurements

TRIPS_MS = [1.0, 1.1, 0.95, 1.02, 1.3, 0.99, 1.05, 1.01, 1.04, 0.97, 1.15, 1.03]


def latency_of(tmp_path, factor):
    path = tmp_path / f"ping-{factor}.txt"
    path.write_text(logs.ping_log([factor * each for each in TRIPS_MS]))
    return calibrate(read_measurements(path).measurements).latency_s


@pytest.mark.parametrize("factor", [10, 100])
def test_the_interval_of_a_ping_grows_with_its_round_trips(tmp_path, factor):
    near, far = (latency_of(tmp_path, each) for each in (1, factor))
    assert near.low < near.value < near.high
    for end in ("low", "value", "high"):
        assert getattr(far, end) == pytest.approx(factor * getattr(near, end), rel=1e-3)
    # Twelve trips that stray by a tenth say their middle to some per cent.
    assert 0.005 < near.high / near.value - 1 < 0.2


def messages(times_of):
    """From 1 kB to 1 GB, of 10 us and 1 GB/s, each by its factor too long."""
    sizes = [1000 * 2**k for k in range(21)]
    times = [(10e-6 + size / 1e9) * times_of(k) for k, size in enumerate(sizes)]
    return [
        Measurement("message", time, "a.csv", size) for size, time in zip(sizes, times, strict=True)
    ]


def said(found, word):
    return [each for each in found.warnings if word in each]


def test_one_of_twice_the_time_is_the_worst_and_an_outlier():
    found = calibrate(messages(lambda k: 2 if k == 10 else 1 + 0.001 * (-1) ** k))
    assert found.typical_error < 0.005
    assert found.worst_error == pytest.approx(0.5, abs=0.01)
    (warning,) = said(found, "outliers")
    assert warning.startswith("1 of 21 measurements are outliers")
    rate = found.rate_bytes_per_s
    assert rate.low < rate.value < rate.high
    assert rate.value == pytest.approx(1e9, rel=0.01)


def test_what_strays_like_all_others_is_no_outlier():
    found = calibrate(messages(lambda k: 1 + 0.03 * (-1) ** k))
    assert found.worst_error > 0.02
    assert not said(found, "outliers")


@pytest.mark.parametrize("collective", ["gather", "scatter"])
def test_the_root_has_the_blocks_of_all_others_at_its_port(collective):
    """Four ranks: three blocks, each a quarter of the vector, one after the other."""
    sizes = [4000 * 2**k for k in range(18)]
    found = calibrate([
        Measurement(collective, 1e-5 + 0.75 * size / 1e9, "a.csv", size, 4) for size in sizes
    ])  # fmt: skip
    assert found.rate_bytes_per_s.value == pytest.approx(1e9, rel=1e-3)
