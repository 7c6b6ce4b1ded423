import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.wall.lag import (
    CallTimes,
    Lag,
    LagRecord,
    round_up,
)


def arrival(lag_ns, *, late_arithmetic_ns=0, asked_ns=0, due_ns=1_000_000, modelled_s=1e-3):
    """One that began at 0."""
    ready_ns = due_ns + late_arithmetic_ns
    return CallTimes(0, ready_ns, due_ns, asked_ns, due_ns + lag_ns, modelled_s)


def recorded(arrivals, dilation=1.0):
    record = LagRecord()
    for each in arrivals:
        record.add(each)
    return record.summary(dilation)


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_quantiles_are_those_of_all_arrivals(lags_ns):
    exact = np.sort(lags_ns)
    for lag, off in (
        (Lag.of([arrival(each) for each in lags_ns], 1.0), 1e-12),
        (recorded([arrival(each) for each in lags_ns]), 2**-7),
    ):
        assert lag.arrivals == len(lags_ns)
        for found, share in ((lag.median_s, 0.5), (lag.p99_s, 0.99)):
            expected = exact[int(np.ceil(share * len(exact) - 1e-9)) - 1] / 1e9
            assert expected * (1 - off) <= found <= expected * (1 + 1e-12)
        assert lag.max_s == pytest.approx(exact[-1] / 1e9)
        assert lag.waiting_s == pytest.approx(sum(lags_ns) / 1e9)
        assert lag.behind_share == pytest.approx(sum(lags_ns) / sum(1_000_000 + e for e in lags_ns))


def test_the_blame_is_on_what_most_of_the_lag_is_due_to():
    waited, computed = arrival(1000), arrival(5000, late_arithmetic_ns=4500)
    assert Lag.of([waited], 1.0).blame == "waiting"
    assert Lag.of([computed], 1.0).blame == "arithmetic"
    both = recorded([waited, computed])
    assert (both.arithmetic_s, both.waiting_s) == pytest.approx((4.5e-6, 1.5e-6))
    assert both.blame == "arithmetic"
    late = arrival(5000, late_arithmetic_ns=1000, asked_ns=1_004_000)
    for lag in (Lag.of([late], 1.0), recorded([late])):
        told = lag.arithmetic_s, lag.program_s, lag.waiting_s
        assert told == pytest.approx((1e-6, 3e-6, 1e-6))
        assert lag.blame == "program"
    assert Lag.of([arrival(0)], 1.0).blame == recorded([]).blame == "none"


def test_the_dilation_that_would_have_been_enough():
    """Ready after 2.5 ms, of a call that is modelled to take 1 ms and was waited for twice that."""
    slow = CallTimes(0, 2_500_000, 2_000_000, 0, 2_600_000, 1e-3)
    assert slow.enough_dilation() == pytest.approx(2.5)
    assert slow.enough_dilation(allowed_s=1e-3) == pytest.approx(1.5)
    lag = Lag.of([slow], 2.0)
    assert lag.enough_dilation == pytest.approx(2.5)
    assert str(lag).endswith("by arithmetic; a dilation of 2.5 would have been enough")
    assert str(lag).startswith("median 600 us, 99 % within 600 us, at most 600 us; behind for 0.23")


def test_who_had_time_to_spare_is_told_no_dilation():
    lag = Lag.of([arrival(100)], 1.0)
    assert lag.enough_dilation == pytest.approx(1.0)
    assert str(lag).endswith("of the time, by waiting")
    assert arrival(100, modelled_s=0.0).enough_dilation() == 0


def test_steps_are_arrivals_where_a_device_waits_for_each():
    lag = Lag.of([arrival(7000)], 1.0, np.array([3e-6, 1e-6, 2e-6]))
    assert (lag.arrivals, lag.median_s, lag.max_s) == (3, 2e-6, 3e-6)


def test_records_are_safe_in_threads_and_small():
    record = LagRecord()

    def add():
        for lag_ns in range(5000):
            record.add(arrival(lag_ns * 997))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record.summary(1.0).arrivals == 20_000
    assert len(record._counts) < 2500


@pytest.mark.parametrize(
    ("dilation", "rounded"), [(1.01, 1.1), (1.1, 1.1), (123.4, 130), (0.0231, 0.024), (0, 0)]
)
def test_dilations_are_rounded_up_to_two_digits(dilation, rounded):
    assert round_up(dilation) == rounded
