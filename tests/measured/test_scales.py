"""An interval is a part of its value: the same noise on a longer link is a wider interval."""

import pytest
from measured import logs

from emul.measured import calibrate, read_measurements

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
