import ctypes
import signal
import sys
import threading
import time

import numpy as np
import pytest

import emul
from emul.timing import now_ns, wait_until


@pytest.mark.parametrize("ahead_us", [-1000, 0, 50, 400, 30_000])
def test_wait_never_returns_early(ahead_us):
    due_ns = now_ns() + ahead_us * 1000
    returned_ns = wait_until(due_ns)
    assert due_ns <= returned_ns <= now_ns()


def test_clock_is_the_monotonic_one():
    before, ours, after = time.monotonic_ns(), now_ns(), time.monotonic_ns()
    assert before <= ours <= after


def test_others_run_while_one_waits():
    ticks = []

    def count():
        while len(ticks) < 50:
            ticks.append(now_ns())
            time.sleep(0)

    counter = threading.Thread(target=count)
    due_ns = now_ns() + 300_000_000
    counter.start()
    wait_until(due_ns)
    counter.join()
    assert max(ticks) < due_ns


class AlarmError(Exception):
    pass


@pytest.fixture
def alarm():
    def ring(signum, frame):
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda after_s: signal.setitimer(signal.ITIMER_REAL, after_s)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signal_ends_the_wait(alarm):
    due_ns = now_ns() + 60_000_000_000
    alarm(0.05)
    with pytest.raises(AlarmError):
        wait_until(due_ns)
    assert now_ns() < due_ns


# One shot works in a buffer of its own, with scratch; by then the result is in the input.
@pytest.mark.parametrize("algorithm", ["ring", "direct:one_shot"])
def test_an_interrupted_call_in_place_leaves_its_input_as_it_was(algorithm, alarm):
    world = emul.World("three-campus", clock="wall", dilation=1e5)
    x = np.arange(24.0 * 5).reshape(24, 5)
    before = x.copy()
    alarm(0.2)
    with pytest.raises(AlarmError):
        world.all_reduce(x, algorithm=algorithm, out=x)
    assert np.array_equal(x, before)


@pytest.mark.skipif(sys.platform != "linux", reason="timer slack is Linux's")
def test_timer_slack_is_put_back():
    prctl = ctypes.CDLL(None).prctl
    set_slack, get_slack = 29, 30  # PR_SET_TIMERSLACK, PR_GET_TIMERSLACK
    prctl(set_slack, 40_000, 0, 0, 0)
    wait_until(now_ns() + 1_000_000)
    assert prctl(get_slack, 0, 0, 0, 0) == 40_000
    prctl(set_slack, 0, 0, 0, 0)  # back to the default
