"""Waits of the device, on the CPU: never early, bounded, ended by the host, late as they say."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from host_device import COMPILER, WITHOUT_COMPILER
from hypothesis import given, settings
from hypothesis import strategies as st
from paced_device import BusyDevice, Monotonic, PacedDevice, SteppedClock, ThreadedDevice
from ptx import BUILDS, in_each

from emul import BackendError
from emul.ops.cuda import Source
from emul.ops.cuda.pacing import ELAPSED, Pace, tick_ns

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

MS = 1_000_000


@pytest.fixture(scope="module", params=in_each([()], [()]))
def build(request):
    return BUILDS[request.param]


def impatient(text):
    """A clock that stands is found soon: each reading is a call of Python here."""
    return text.replace("EMUL_SPARE_LOOKS = 1000000", "EMUL_SPARE_LOOKS = 1000")


def paced(due_ns, *moves, device=None, build=None, **more):
    device = device or PacedDevice(
        clock=SteppedClock(*moves, **more), mutate=impatient, build=build
    )
    pace = Pace(device, [()] * len(due_ns))
    return pace.run(np.array(due_ns, dtype=np.int64), time.monotonic_ns())


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 5 * MS), max_size=12).map(sorted),
    st.lists(st.integers(0, 90_000), max_size=40),
    st.integers(1000, 200_000),
)
def test_every_step_ends_with_the_first_reading_that_is_not_before_its_time(
    build, due_ns, moves, last
):
    device = PacedDevice(clock=SteppedClock(*moves, last), mutate=impatient, build=build)
    pace = Pace(device, [()] * len(due_ns))
    late_ns = pace.run(np.array(due_ns, dtype=np.int64), time.monotonic_ns())
    clock = SteppedClock(*moves, last)
    start_ns, expected = clock() - int(pace.table[ELAPSED]), []
    for due in due_ns:
        now_ns = clock()
        while now_ns < start_ns + due:
            now_ns = clock()
        expected.append(now_ns - start_ns - due)
    assert late_ns.tolist() == expected
    assert min(expected, default=0) >= 0


def test_steps_are_due_after_the_call_began_not_after_the_launch():
    device = PacedDevice(mutate=impatient)
    pace = Pace(device, [(), ()])
    started_ns = time.monotonic_ns() - 30 * MS
    late_ns = pace.run(np.array([20 * MS, 45 * MS]), started_ns)
    ended_ns = time.monotonic_ns()
    assert late_ns[0] >= 10 * MS
    assert late_ns[1] >= 0
    assert started_ns + 45 * MS <= ended_ns


def test_new_delays_need_no_new_capture():
    device = PacedDevice(clock=SteppedClock(1000), mutate=impatient)
    captures = []
    device.captured = lambda queue: (captures.append(1), PacedDevice.captured(device, queue))[1]
    pace = Pace(device, [()])
    for due_ns in (0, 3 * MS, 40_000):
        before = device.clock()
        pace.run(np.array([due_ns]), time.monotonic_ns())
        assert device.clock() - before >= due_ns - 1 * MS
    assert len(captures) == 1


def test_a_clock_that_stands_still_is_found(build):
    with pytest.raises(BackendError, match=r"step 2 of 4: the clock of the device stands still"):
        paced([0, 100_000, 200_000, 300_000], 1000, at_most=120, build=build)


def test_a_clock_that_jumps_ends_no_wait_for_ever(build):
    back = -10_000_000_000
    with pytest.raises(BackendError, match="step 0 of 2: a wait was longer than the whole"):
        paced([50_000, 90_000], 1000, back, 1000, build=build)


def test_what_follows_an_error_is_carried_out_without_waiting():
    clock, done = SteppedClock(1000, at_most=3), []
    device = PacedDevice(clock=clock, mutate=impatient)
    device.launch = lambda *launch: (done.append(1), PacedDevice.launch(device, *launch))
    with pytest.raises(BackendError, match="step 0 of 3"):
        paced([200_000, 90_000_000, 95_000_000], device=device)
    assert len(done) == 1 + 3
    assert clock.readings < 1000 + 200_000


@pytest.mark.parametrize("stop_after_s", [0.0, 0.02])
def test_the_host_can_end_the_waits(build, stop_after_s):
    device = ThreadedDevice(
        mutate=lambda text: text.replace("LOOK_NS = 2", "LOOK_NS = 1"), build=build
    )
    pace = Pace(device, [(), ()])
    began = time.monotonic()
    pace.queue(np.array([30_000 * MS, 60_000 * MS]), time.monotonic_ns())
    time.sleep(stop_after_s)
    pace.stop()
    assert time.monotonic() - began < 5
    with pytest.raises(BackendError, match="told to end"):
        pace.lateness()
    late_ns = pace.run(np.array([0, 1 * MS]), time.monotonic_ns())  # it can be used again
    assert (late_ns >= 0).all()


def test_a_stop_holds_also_where_it_comes_before_the_delays():
    device = BusyDevice(0.1, clock=Monotonic())
    pace = Pace(device, [()])
    began = time.monotonic()
    pace.queue(np.array([4_000 * MS]), time.monotonic_ns())
    pace.stop()
    assert time.monotonic() - began < 3


def test_an_interrupt_while_it_waits_ends_the_waits(monkeypatch):
    device, slept = ThreadedDevice(), []

    def interrupted(seconds):
        slept.append(seconds)
        raise KeyboardInterrupt

    pace = Pace(device, [()])
    began = time.monotonic()
    monkeypatch.setattr("emul.ops.cuda.pacing.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pace.run(np.array([30_000 * MS]), time.monotonic_ns())
    assert time.monotonic() - began < 5
    assert 29 < slept[0] < 30
    assert device.mark().done


def test_the_host_sleeps_while_the_device_waits():
    pace = Pace(ThreadedDevice(clock=Monotonic()), [(), ()])
    began, cpu = time.monotonic(), time.thread_time()
    pace.run(np.array([100 * MS, 200 * MS]), time.monotonic_ns())
    assert time.monotonic() - began >= 0.2
    assert time.thread_time() - cpu < 0.01


def test_the_host_sleeps_again_when_the_device_is_late():
    device = ThreadedDevice(clock=Monotonic(behind_ns=100 * MS))
    pace = Pace(device, [()])
    began, cpu = time.monotonic(), time.thread_time()
    late_ns = pace.run(np.array([1 * MS]), time.monotonic_ns())
    assert late_ns[0] >= 0
    assert time.monotonic() - began >= 0.09
    assert time.thread_time() - cpu < 0.02


def test_tick_is_what_the_clock_moves_on_by(build):
    moves = [32, 0, 0, 64, 32, 0, 32]
    assert tick_ns(PacedDevice(clock=SteppedClock(*moves, 32), build=build)) == (32, 32)


def test_tick_of_a_clock_that_stands_is_refused(build):
    device = PacedDevice(clock=SteppedClock(1, at_most=9), mutate=impatient, build=build)
    with pytest.raises(BackendError, match="stands still"):
        tick_ns(device)


@pytest.mark.parametrize(
    ("kernel", "old", "new"),
    [
        ("wait", "now < due &&", "now + 1500 < due &&"),
        ("wait", "now < due &&", "now < due + 9000 &&"),
        ("wait", "= now - due", "= 0"),
        ("wait", "+ pace[EMUL_PACE_WORDS + step]", "+ pace[EMUL_PACE_WORDS]"),
        ("start", "- head->elapsed", ""),
    ],
)
def test_mutants_of_the_waits_are_caught(build, monkeypatch, kernel, old, new):
    assert old in Source(kernel).text

    def mutate(text):
        return impatient(text).replace(old, new)

    # The host takes a millisecond until it launches, to the nanosecond.
    clock = SimpleNamespace(monotonic_ns=lambda: 1 * MS, monotonic=time.monotonic, sleep=None)
    monkeypatch.setattr("emul.ops.cuda.pacing.time", clock)
    assert holds(PacedDevice(clock=SteppedClock(1000), mutate=impatient, build=build))
    assert not holds(PacedDevice(clock=SteppedClock(1000), mutate=mutate, build=build))


def holds(device):
    """Whether three steps end when they are due, by the clock that the device reads."""
    pace = Pace(device, [()] * 3)
    began_ns = device.clock()
    late_ns = pace.run(np.array([0, 2 * MS, 3 * MS]), 0)
    took_ns = device.clock() - began_ns
    return late_ns.tolist() == [1 * MS + 1000, 0, 0] and abs(took_ns - 2 * MS) <= 5000
