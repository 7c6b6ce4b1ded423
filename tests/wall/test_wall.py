"""The wall clock of a World: lag, strictness, dilation, threads and processes."""

import math
import subprocess
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from interrupts import StopError, stop
from test_world import input_for

from emul import ArgumentError, LagError, World
from emul.ops import NumpyOps
from emul.wall.pacer import now_ns, wait_until

SLOW_NS = 30_000_000


class SlowOps(NumpyOps):
    """Takes 30 ms for any arithmetic, and as much longer the first time; counts its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def perform(self, program, buffers, reduction, root):
        self.calls += 1
        wait_until(now_ns() + SLOW_NS * (2 if self.calls == 1 else 1))
        return super().perform(program, buffers, reduction, root)


@pytest.fixture
def slow():
    return World("three-campus", clock="wall", backend=SlowOps())


ONES = np.ones((24, 6), np.float32)


def test_a_run_says_its_lag_and_a_world_that_of_all():
    world = World("three-campus", clock="wall")
    assert world.lag.arrivals == 0
    runs = []
    for _ in range(5):
        world.restart()
        runs.append(world.all_reduce(ONES))
    lags = [run.lag for run in runs]
    for run, lag in zip(runs, lags, strict=True):
        assert lag.arrivals == 1
        assert lag.median_s == lag.p99_s == lag.max_s == run.lag_s >= 0
        causes_s = lag.arithmetic_s + lag.program_s + lag.waiting_s
        assert causes_s == pytest.approx(run.lag_s)
        assert run.call_times.due_ns - run.arrival.started_ns == math.ceil(run.time_s * 1e9)
    assert world.lag.arrivals == 5
    assert world.lag.max_s == max(run.lag_s for run in runs)
    assert world.lag.waiting_s == pytest.approx(sum(lag.waiting_s for lag in lags))


def test_the_virtual_clock_has_no_lag():
    world = World("three-campus", strict=True, dilation="auto")
    assert world.all_reduce(ONES).lag is None
    assert (world.lag.arrivals, world.dilation) == (0, 1.0)


def test_slow_arithmetic_is_to_blame_and_a_dilation_is_named(slow):
    run = slow.all_reduce(ONES)
    assert run.lag.blame == "arithmetic"
    assert run.lag.enough_dilation >= 2 * SLOW_NS / 1e9 / run.time_s
    assert run.lag.behind_share > 0.9
    assert "would have been enough" in str(slow.lag)
    relaxed = World(
        "three-campus",
        clock="wall",
        backend=SlowOps(),
        dilation=10 * run.lag.enough_dilation,
        strict=10.0,
    )
    assert relaxed.all_reduce(ONES).lag.arithmetic_s == 0


def test_planning_is_no_part_of_a_call(monkeypatch):
    world = World("three-campus", clock="wall", dilation=20)
    anew = world.planner._plan_anew

    def slowly(*arguments):
        wait_until(now_ns() + 100_000_000)
        return anew(*arguments)

    monkeypatch.setattr(world.planner, "_plan", slowly)
    run = world.all_reduce(ONES, algorithm="ring")
    assert run.lag.arithmetic_s == 0


def test_a_strict_world_refuses_to_lag_and_leaves_its_input():
    world = World("three-campus", clock="wall", backend=SlowOps(), strict=1e-3)
    x = input_for(world, "all_reduce", 5)
    before = x.copy()
    with pytest.raises(LagError) as refused:
        world.all_reduce(x, out=x)
    assert np.array_equal(x, before)
    said = str(refused.value)
    assert said.startswith("all_reduce: ")
    assert "needed at most 1 ms (strict); it was ready after " in said
    assert "would have been enough; use it, a smaller size, or a larger bound" in said
    assert isinstance(refused.value, TimeoutError)
    assert world.lag.arrivals == 1


def test_a_strict_world_says_when_waits_are_late(monkeypatch):
    world = World("three-campus", clock="wall", strict=0.02)  # more than any machine takes itself
    late = lambda due_ns, realtime: wait_until(due_ns + 50_000_000)  # noqa: E731
    monkeypatch.setattr("emul.wall.clock.wait_until", late)
    with pytest.raises(
        LagError, match=r"most 20 ms \(strict\); the wait ended late, as others had"
    ):
        world.all_reduce(ONES)


def test_a_strict_world_says_when_nobody_asked_in_time():
    world = World("three-campus", clock="wall", strict=True)
    handle = world.all_reduce(ONES, async_op=True)
    time.sleep(0.05)
    with pytest.raises(LagError, match=r"nobody asked for it for .* do less between calls"):
        handle.wait()
    assert handle.run.lag.blame == world.lag.blame == "program"


def test_a_strict_world_lets_pass_what_is_on_time(slow):
    world = World("three-campus", clock="wall", strict=10.0)
    assert world.all_reduce(ONES).lag_s < 10


def test_auto_finds_a_dilation_in_a_rehearsal_of_the_first_call():
    world = World("three-campus", clock="wall", backend=SlowOps(), dilation="auto")
    x = input_for(world, "all_reduce", 5)
    expected = np.broadcast_to(x.sum(axis=0), x.shape)
    run = world.all_reduce(x, out=x)
    assert np.array_equal(x, expected)
    assert world.ops.calls == 4  # the quickest of three counts, and then the call
    assert world.dilation == run.dilation > SLOW_NS / 1e9 / run.time_s
    assert run.lag.arithmetic_s == 0 or run.lag.enough_dilation > 1.25 * SLOW_NS / 1e9 / run.time_s
    assert world.lag.arrivals == 1
    world.all_reduce(x)
    assert world.ops.calls == 5
    assert f"dilation {world.dilation:g}" in repr(world)
    assert f"dilation {world.dilation:g}" in repr(run)


def test_a_dilation_that_is_found_is_never_below_one():
    world = World("three-campus", clock="wall", dilation="auto")
    with world.rehearsal():
        for _ in range(3):
            run = world.all_reduce(ONES, algorithm="ring:interleaved")
    assert run.lag is run.lag_s is run.dilation is None
    assert world.dilation == 1


def test_a_rehearsal_without_calls_finds_nothing(slow):
    with slow.rehearsal():
        pass
    assert slow.dilation == 1
    with slow.rehearsal():
        slow.all_reduce(ONES)
    assert slow.dilation > 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"dilation": "some"}, "dilation some: needed a finite number above 0, or 'auto'"),
        ({"strict": -1.0}, "strict -1.0: needed True, False, or seconds"),
        ({"strict": float("nan")}, "strict nan"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        World("three-campus", **arguments)


def test_several_threads_may_call_one_world():
    world, runs = World("three-campus", clock="wall", dilation=10), []
    world.predict("all_reduce", 6)
    threads = [threading.Thread(target=lambda: runs.append(world.all_reduce(ONES))) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == world.lag.arrivals == 4
    assert all((run.output == 24).all() and run.lag_s >= 0 for run in runs)


def test_waits_of_several_threads_overlap(monkeypatch):
    """Each would be over in a quarter of an hour; all are ended when all have begun."""
    world, ended = World("three-campus", clock="wall", dilation=1e6), []
    world.predict("all_reduce", 6)
    waiting = threading.Semaphore(0)

    def wait(due_ns, realtime):
        waiting.release()
        return wait_until(due_ns)

    def call():
        with pytest.raises(StopError):
            world.all_reduce(ONES)
        ended.append(now_ns())

    monkeypatch.setattr("emul.wall.clock.wait_until", wait)
    threads = [threading.Thread(target=call) for _ in "1234"]
    for thread in threads:
        thread.start()
    for _ in threads:
        waiting.acquire()
    assert not ended
    for thread in threads:
        stop(thread)
    assert len(ended) == 4
    assert world.lag.arrivals == 0


def test_calls_of_other_threads_count_on_from_those_that_wait(monkeypatch):
    """The second call of the same ranks ends two calls after the first began, on both clocks."""
    world, due = World("one-campus", clock="wall", dilation=1e9), []
    modelled_s = world.predict("all_reduce", 6).time_s
    waiting = threading.Semaphore(0)

    def wait(due_ns, realtime):
        due.append(due_ns)
        waiting.release()
        return wait_until(due_ns)

    def call():
        with pytest.raises(StopError):
            world.all_reduce(ONES)

    monkeypatch.setattr("emul.wall.clock.wait_until", wait)
    threads = [threading.Thread(target=call) for _ in "123"]
    for thread in threads:
        thread.start()
        waiting.acquire()
    for thread in threads:
        stop(thread)
    for earlier, later in pairwise(due):
        assert (later - earlier) / 1e18 == pytest.approx(modelled_s, rel=1e-9)
    before_ns, last = now_ns(), threading.Thread(target=call)  # nobody waits any more
    last.start()
    waiting.acquire()
    stop(last)
    assert before_ns <= due[-1] - modelled_s * 1e18 <= now_ns()


PROCESSES = """
import multiprocessing, os, threading
import numpy as np
import emul

def collective(world=None):
    world = world or emul.World("three-campus", clock="wall")
    run = world.all_reduce(np.ones((24, 6), np.float32))
    assert (run.output == 24).all() and run.lag_s >= 0
    return world

if __name__ == "__main__":
    world = collective()
    busy = [threading.Thread(target=lambda: [collective(world) for _ in range(50)])
            for _ in range(2)]
    for thread in busy:
        thread.start()
    for _ in range(3):  # while others wait and count their lag
        if os.fork() == 0:
            before = world.lag.arrivals
            collective(world)
            os._exit(0 if world.lag.arrivals == before + 1 else 1)
        assert os.wait()[1] == 0
    for thread in busy:
        thread.join()
    spawned = multiprocessing.get_context("spawn").Process(target=collective)
    spawned.start()
    spawned.join()
    assert spawned.exitcode == 0
    assert world.lag.arrivals == 101
    print("all went well")
"""


def test_processes_may_be_forked_and_spawned(tmp_path):
    path = tmp_path / "processes.py"
    path.write_text(PROCESSES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "all went well\n", done.stderr
