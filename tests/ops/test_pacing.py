"""Waits of the device, on the CPU: never early, bounded, ended by the host, late as they say."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
from host_device import COMPILER, WITHOUT_COMPILER
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from paced_device import BusyDevice, Monotonic, PacedDevice, SteppedClock, ThreadedDevice
from ptx import BUILDS, in_each

from emul import BackendError
from emul.ops.cuda import KernelSource
from emul.ops.cuda.pacing import (
    ELAPSED,
    NO_START,
    RECKONED_FOR_NS,
    ROUND_TRIPS,
    START,
    Pace,
    Reckoning,
    tick_ns,
)

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

MS = 1_000_000


@pytest.fixture(scope="module", params=in_each([()], [()]))
def build(request):
    return BUILDS[request.param]


def impatient(text):
    """A clock that stands is found soon: each reading is a call of Python here."""
    return text.replace("EMUL_SPARE_LOOKS = 1000000", "EMUL_SPARE_LOOKS = 1000")


def host_clock(monkeypatch, monotonic_ns):
    clock = SimpleNamespace(monotonic_ns=monotonic_ns, monotonic=time.monotonic, sleep=None)
    monkeypatch.setattr("emul.ops.cuda.pacing.time", clock)


def host_at_a_millisecond(monkeypatch):
    """The host takes a millisecond until it launches, to the nanosecond."""
    host_clock(monkeypatch, lambda: 1 * MS)


def paced(due_ns, *moves, device=None, build=None, **more):
    device = device or PacedDevice(
        clock=SteppedClock(*moves, **more), mutate=impatient, build=build
    )
    pace = Pace(device, [()] * len(due_ns))
    with pytest.MonkeyPatch.context() as patched:
        host_clock(patched, lambda: 1 * MS)  # a busy machine takes no time until it launches
        return pace.run(np.array(due_ns, dtype=np.int64), 1 * MS)


@examples(60)
@given(
    st.lists(st.integers(0, 5 * MS), max_size=12).map(sorted),
    st.lists(st.integers(0, 90_000), max_size=16),
    st.integers(1000, 200_000),
)
def test_every_step_ends_with_the_first_reading_that_is_not_before_its_time(
    build, due_ns, moves, last
):
    device = PacedDevice(clock=SteppedClock(*moves, last), build=build)
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


def test_a_clock_that_stands_still_is_found_also_while_naps_are_long():
    clock = SteppedClock(1000, at_most=5)
    with pytest.raises(BackendError, match="step 0 of 1: the clock of the device stands still"):
        paced([20 * MS], device=PacedDevice(clock=clock))
    assert clock.readings < 1000


def test_naps_that_end_at_once_are_no_clock_that_stands_still(monkeypatch):
    host_at_a_millisecond(monkeypatch)
    pace = Pace(PacedDevice(clock=SteppedClock(20), mutate=impatient), [()])
    assert 0 <= pace.run(np.array([2 * MS]), 0)[0] < 20


@pytest.mark.parametrize(
    ("due_ns", "ahead_ns", "waits_ns", "late_ns"),
    [
        ([0, 2 * MS, 3 * MS], 200_000, 2_800_000, [1 * MS + 1000, 0, 0]),
        ([0, 2 * MS, 2_100_000], 200_000, 1_900_000, [1 * MS + 1000, 0, 0]),
        ([0, 900_000, 950_000], 200_000, 1 * MS + 1000, [1 * MS + 1000, 102_000, 53_000]),
        ([3 * MS], 4 * MS, 1 * MS + 1000, [0]),
        ([500_000], 200_000, 1 * MS + 1000, [501_000]),
        ([2 * MS, 3 * MS], 0, 3 * MS, [0, 0]),
    ],
)
def test_waits_end_ahead_and_steps_are_late_only_after_their_moments(
    monkeypatch, due_ns, ahead_ns, waits_ns, late_ns
):
    host_at_a_millisecond(monkeypatch)
    device = PacedDevice(clock=SteppedClock(1000), mutate=impatient)
    pace, given = Pace(device, [()] * len(due_ns)), np.array(due_ns)
    began_ns = device.clock() - 1 * MS + 1000  # the stamp is the next reading
    assert pace.run(given, 0, ahead_ns=ahead_ns).tolist() == late_ns
    assert device.clock() - began_ns == pytest.approx(waits_ns, abs=3000)
    assert given.tolist() == due_ns


class RoundTrips(PacedDevice):
    """Launches and fetches that take each their ``trips``, by a clock that only they move.

    The clock of the device is ``apart_ns`` ahead.
    """

    def __init__(self, trips, apart_ns):
        super().__init__(clock=lambda: self.now_ns + apart_ns)
        self.trips, self.now_ns, self.taken = trips, 1 * MS, 0

    def launch(self, kernel, grid, block, arguments):
        self.now_ns += self.trips[self.taken % len(self.trips)][0]
        super().launch(kernel, grid, block, arguments)

    def download(self, array):
        self.now_ns += self.trips[self.taken % len(self.trips)][1]
        self.taken += 1
        return super().download(array)


def test_clocks_are_compared_by_the_quickest_of_many_round_trips(monkeypatch):
    trips = [(90_000, 10_000), (60_000, 20_000), (7_000, 7_000), (10_000, 90_000), (9_000, 6_000)]
    device = RoundTrips(trips, apart_ns=5_000_000_000)
    host_clock(monkeypatch, lambda: device.now_ns)
    reckoning = Reckoning(device)
    assert reckoning.start_ns(7) == NO_START
    reckoning.renew()
    assert device.taken == ROUND_TRIPS
    assert reckoning.start_ns(7) == 5_000_000_007
    device.now_ns += RECKONED_FOR_NS - 1
    reckoning.renew()
    assert device.taken == ROUND_TRIPS
    device.now_ns += 1
    reckoning.renew()
    assert device.taken == 2 * ROUND_TRIPS


@pytest.mark.parametrize(
    ("wrong_ns", "begins_ns"), [(0, 0), (-300, -300), (300, 300), (40_000, 10_000)]
)
def test_a_call_began_when_the_host_says_or_as_late_as_can_be(monkeypatch, wrong_ns, begins_ns):
    """Here the launch takes 10 us, so that nothing can have begun later than that."""
    device = RoundTrips([(10_000, 10_000)], apart_ns=-700)
    host_clock(monkeypatch, lambda: device.now_ns)
    reckoning = Reckoning(device)
    reckoning.reckoned = (device.now_ns, wrong_ns - 700)
    pace, started_ns = Pace(device, [], reckoning=reckoning), device.now_ns
    device.now_ns += 30_000
    device.captured, plain = None, pace.replay
    pace.replay = lambda: (setattr(device, "now_ns", device.now_ns + 10_000), plain())
    device.trips = [(0, 0)]
    pace.run(np.zeros(0, np.int64), started_ns)
    assert pace.table[START] - (started_ns - 700) == begins_ns


def test_a_clock_that_jumps_ends_no_wait_for_ever(build):
    back = -10_000_000_000
    with pytest.raises(BackendError, match="step 0 of 2: a wait was longer than the whole"):
        paced([50_000, 90_000], 1000, back, 1000, build=build)


def test_what_follows_an_error_is_carried_out_without_waiting():
    clock, done = SteppedClock(1000, at_most=3), []
    device = PacedDevice(clock=clock, mutate=impatient)
    device.launch = lambda *launch: (done.append(1), PacedDevice.launch(device, *launch))
    with pytest.raises(BackendError, match="step 0 of 3"):
        paced([50 * MS, 90 * MS, 95 * MS], device=device)
    assert len(done) == 1 + 3
    assert clock.readings < 1000


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
    assert old in KernelSource(kernel).text

    def mutate(text):
        return impatient(text).replace(old, new)

    host_at_a_millisecond(monkeypatch)
    assert holds(PacedDevice(clock=SteppedClock(1000), mutate=impatient, build=build))
    assert not holds(PacedDevice(clock=SteppedClock(1000), mutate=mutate, build=build))


def holds(device):
    """Whether three steps end when they are due, by the clock that the device reads."""
    pace = Pace(device, [()] * 3)
    began_ns = device.clock()
    late_ns = pace.run(np.array([0, 2 * MS, 3 * MS]), 0)
    took_ns = device.clock() - began_ns
    return late_ns.tolist() == [1 * MS + 1000, 0, 0] and abs(took_ns - 2 * MS) <= 5000
