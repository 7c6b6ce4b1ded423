import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from interrupts import StopError, stop

import emul
from emul.wall.pacer import (
    NAP_NS,
    calibrate,
    margin_ns,
    may_be_realtime,
    now_ns,
    wait_until,
)
from emul.wall.timer_accuracy import clock_step_ns, measure_waits


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


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
SET_SLACK, GET_SLACK = 29, 30  # PR_SET_TIMERSLACK, PR_GET_TIMERSLACK


@pytest.fixture
def slack():
    """A function that says the timer slack of this thread, which is not the usual one."""
    prctl = ctypes.CDLL(None).prctl
    prctl(SET_SLACK, 40_000, 0, 0, 0)
    yield lambda: prctl(GET_SLACK, 0, 0, 0, 0)
    prctl(SET_SLACK, 0, 0, 0, 0)  # back to the default


@linux
@pytest.mark.parametrize("realtime", [False, True])
def test_the_thread_is_put_back(slack, realtime):
    before = slack(), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    wait_until(now_ns() + 1_000_000, realtime=realtime)
    calibrate()
    may_be_realtime()
    after = slack(), os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
    assert after == before == (40_000, os.SCHED_OTHER, 0)


@linux
def test_signal_handlers_see_the_thread_as_it_was(slack):
    """What they start would inherit the slack and the priority of a wait."""
    seen = []

    def look(signum, frame):
        seen.append((slack(), os.sched_getscheduler(0)))

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    wait_until(now_ns() + 100_000_000, realtime=True)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    assert set(seen) == {(40_000, os.SCHED_OTHER)}


@linux
def test_a_wait_is_at_real_time_priority_where_that_is_allowed():
    if not may_be_realtime():
        pytest.skip("this user may not")
    due_ns = now_ns() + 10_000_000_000
    thread = threading.Thread(target=stopped, args=(due_ns,), kwargs={"realtime": True})
    thread.start()
    while os.sched_getscheduler(thread.native_id) & ~os.SCHED_RESET_ON_FORK != os.SCHED_FIFO:
        assert now_ns() < due_ns
        time.sleep(0.001)
    stop(thread)


@linux
def test_real_time_priority_that_is_not_allowed_is_done_without():
    """In a process of its own, which gives up what it may."""
    script = """
import os, resource
from emul.wall import may_be_realtime, now_ns, wait_until
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
assert not may_be_realtime()
due_ns = now_ns() + 2_000_000
assert wait_until(due_ns, realtime=True) >= due_ns
print("waited")
"""
    assert printed_by(script) == "waited\n"


def printed_by(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def stopped(due_ns, **how):
    with pytest.raises(StopError):
        wait_until(due_ns, **how)


def test_an_exception_set_by_another_thread_ends_the_wait():
    due_ns = now_ns() + 600_000_000_000
    thread = threading.Thread(target=stopped, args=(due_ns,))
    thread.start()
    stop(thread)
    assert now_ns() < due_ns


def test_an_interrupt_is_heeded_by_the_next_nap():
    """Whatever wakes whom: no nap is longer than leaves time to return within 50 ms.

    A nap may end late on a busy machine, but not by as much as it lasts.
    """
    assert NAP_NS <= 20_000_000
    waits = 300_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    wait_until(now_ns() + waits)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before >= waits // (2 * NAP_NS)


def test_the_core_is_free_but_for_the_margin():
    margin_ns()
    cpu_ns, began_ns = time.thread_time_ns(), now_ns()
    wait_until(began_ns + 400_000_000)
    assert time.thread_time_ns() - cpu_ns < (now_ns() - began_ns) / 20


def test_the_margin_is_measured_once_and_anew_in_a_child(tmp_path):
    """In a process of its own: this one has threads, which a fork leaves behind."""
    script = """
import os
from emul.wall import margin_ns, now_ns
def took():
    began = now_ns()
    assert 30_000 <= margin_ns() <= 500_000
    return now_ns() - began
first, second = took(), took()
assert second * 20 < first, (first, second)
if os.fork() == 0:
    anew = took()
    os._exit(0 if took() * 20 < anew and anew * 4 > first else 1)
assert os.wait()[1] == 0
assert took() * 20 < first
print("measured")
"""
    assert printed_by(script) == "measured\n"


def test_errors_of_waits_are_measured_beside_those_of_sleep():
    (short, long) = measure_waits(3, (20_000, 2_000_000))
    assert [short.wait_ns, long.wait_ns] == [20_000, 2_000_000]
    for found in (short, long):
        assert found.late_ns.shape == found.sleep_late_ns.shape == (3,)
        assert (found.late_ns >= 0).all()
        assert found.times_closer > 0
    assert clock_step_ns() > 0
