"""Handles on the wall clock and from several threads."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from interrupts import StopError, stop
from strategies import sites_of_one

from emul import InFlightError, Link, World
from emul.ops import CpuOps


def ones(n, count=1000):
    return np.ones((n, count), np.uint8)


@pytest.fixture
def world():
    """Four ranks at four sites, all alike."""
    return World(sites_of_one(lambda a, b: Link(1e8, 3e-3, 1e-6), 4))


def test_a_world_can_be_used_from_several_threads(world):
    expected_s = world.predict("all_reduce", 1000, dtype="uint8").time_s
    failed = []

    def calls():
        try:
            for _ in range(30):
                world.all_reduce(ones(4))
        except Exception as error:
            failed.append(error)

    def handles():
        try:
            for _ in range(10):
                assert (world.all_reduce(ones(4), async_op=True).wait().output == 4).all()
        except Exception as error:
            failed.append(error)

    run_threads(calls, 4)
    assert world.now_s == pytest.approx(120 * expected_s)
    run_threads(handles, 4)
    assert not failed
    assert len(world.history) == 160


def run_threads(target, number):
    threads = [threading.Thread(target=target) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Waits(list):
    """Stands in for the clock: it is noted until when somebody would have waited."""

    def __init__(self, monkeypatch):
        super().__init__()
        monkeypatch.setattr(
            "emul.wall.clock.wait_until", lambda due_ns, *, realtime: self.append(due_ns) or due_ns
        )
        for room in ("runtime.launch", "runtime.engine", "wall.clock"):
            monkeypatch.setattr(f"emul.{room}.now_ns", lambda: 1000)


def test_on_the_wall_clock_a_wait_ends_when_its_moment_has_come(world, monkeypatch):
    world, waits = World(world.topology, clock="wall", dilation=3.0), Waits(monkeypatch)
    handle = world.all_reduce(ones(4), algorithm="ring", async_op=True)
    assert not waits
    world.compute(2.0)
    handle.wait()
    assert waits == [1000 + 6 * 10**9, 1000 + 6 * 10**9]
    again = world.all_reduce(ones(4), algorithm="ring", async_op=True)
    again.wait()  # nothing else was under way: it is counted anew
    cost_ps = again.run.prediction.total_ps
    assert waits[2:] == [1000 + -(-cost_ps * 3 // 1000)]
    assert again.run.lag_s == pytest.approx(0, abs=1e-9)
    world.compute(1.0)  # nothing is under way: it is counted anew
    assert waits[-1] == 1000 + 3 * 10**9


def test_on_the_wall_clock_time_makes_a_handle_done(world):
    world = World(world.topology, clock="wall", dilation=1e-3)
    handle = world.all_reduce(ones(4), async_op=True)
    while not handle.done:
        pass
    slow = World(world.topology, clock="wall", dilation=1e9).all_reduce(ones(4), async_op=True)
    assert not slow.done


def test_an_interrupt_leaves_a_handle_to_be_waited_for_again(world, monkeypatch):
    world = World(world.topology, clock="wall")
    handle = world.all_reduce(ones(4), async_op=True)

    def interrupted(due_ns, *, realtime):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("emul.wall.clock.wait_until", interrupted)
        with pytest.raises(KeyboardInterrupt):
            handle.wait()
    with pytest.raises(InFlightError):
        _ = handle.run
    assert handle.wait().lag_s >= 0
    assert (handle.run.output == 4).all()


class HeldOps(CpuOps):
    """Computes when it may: ``go`` is set, or it ``fails`` then."""

    def __init__(self):
        super().__init__()
        self.go, self.began, self.fails, self.order = threading.Event(), [], False, []

    def perform(self, program, buffers, reduction, root):
        self.began.append(threading.current_thread())
        assert self.go.wait(60)
        self.order.append(int(buffers.x[0, 0]))
        if self.fails:
            buffers.keep()
            buffers.x[:] = 77
            raise MemoryError("nothing left")
        return super().perform(program, buffers, reduction, root)


@pytest.fixture
def held(world):
    return World(world.topology, backend=HeldOps(), clock="wall", dilation=1e-3)


def test_on_the_wall_clock_a_worker_computes_in_order_of_issue(held):
    handles = [held.all_reduce(ones(4) * i, algorithm="ring", async_op=True) for i in range(5)]
    time.sleep(0.05)  # their moments have come
    assert not any(handle.done for handle in handles)
    held.ops.go.set()
    assert [int(handle.wait().output[0, 0]) for handle in reversed(handles)] == [16, 12, 8, 4, 0]
    assert held.ops.order == [0, 1, 2, 3, 4]
    assert all(handle.done for handle in handles)
    assert len({thread.ident for thread in held.ops.began}) == 1
    assert threading.main_thread() not in held.ops.began
    assert handles[0].run.lag.blame == "arithmetic"


def test_what_keeps_the_arithmetic_from_its_end_is_told_by_wait(held):
    held.ops.fails = True
    x = ones(4)
    handle = held.all_reduce(x, out=x, async_op=True)
    held.ops.go.set()
    for _ in range(2):
        with pytest.raises(MemoryError, match="nothing left"):
            handle.wait()
    assert (x == 1).all()
    with pytest.raises(InFlightError):
        _ = handle.run
    held.ops.fails = False
    assert (held.all_reduce(x, async_op=True).wait().output == 4).all()


@pytest.fixture
def heeded():
    """SIGINT raises KeyboardInterrupt, also where it is ignored, as in jobs of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded")
def test_an_interrupt_ends_a_wait_for_the_arithmetic(held):
    handle, late_s = held.all_reduce(ones(4), async_op=True), []

    def interrupt():
        time.sleep(0.1)
        late_s.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        handle.wait()
    late_s.append(time.perf_counter())

    def waits():
        with pytest.raises(StopError):
            handle.wait()

    waiting = threading.Thread(target=waits)
    waiting.start()
    stop(waiting)
    held.ops.go.set()
    assert (handle.wait().output == 4).all()
    assert late_s[1] - late_s[0] < 5  # a nap is 0.02


def test_in_a_rehearsal_and_on_the_virtual_clock_the_caller_computes(world):
    for clock in ("virtual", "wall"):
        held = World(world.topology, backend=HeldOps(), clock=clock)
        held.ops.go.set()
        with held.rehearsal():
            handle = held.all_reduce(ones(4), async_op=True)
            assert held.ops.began == [threading.main_thread()]
            handle.wait()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_finds_what_its_parent_had_begun(held):
    handle = held.all_reduce(ones(4), async_op=True)
    threading.Timer(0.1, held.ops.go.set).start()
    child = os.fork()
    if child == 0:
        good = (handle.wait().output == 4).all()
        again = held.all_reduce(ones(4), async_op=True).wait()
        os._exit(0 if good and (again.output == 4).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert (handle.wait().output == 4).all()
    assert (held.all_reduce(ones(4), async_op=True).wait().output == 4).all()
