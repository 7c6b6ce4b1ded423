"""Handles on the wall clock and from several threads."""

import threading

import numpy as np
import pytest
from strategies import sites_of_one

from emul import InFlightError, Link, World


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
            "emul.wall.wait_until", lambda due_ns, *, realtime: self.append(due_ns) or due_ns
        )
        for room in ("calls", "wall", "world"):
            monkeypatch.setattr(f"emul.{room}.now_ns", lambda: 1000)


def test_on_the_wall_clock_a_wait_ends_when_its_moment_has_come(world, monkeypatch):
    world, waits = World(world.topology, clock="wall", dilation=3.0), Waits(monkeypatch)
    handle = world.all_reduce(ones(4), algorithm="ring", async_op=True)
    assert not waits
    world.compute(2.0)
    assert waits == [1000 + 6 * 10**9]
    again = world.all_reduce(ones(4), algorithm="ring", async_op=True)
    handle.wait(), again.wait()
    cost_ps = again.run.prediction.total_ps
    due_ns = 1000 + -(-(2 * 10**12 + cost_ps) * 3 // 1000)
    assert waits == [1000 + 6 * 10**9, 1000 + 6 * 10**9, due_ns]
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
        patch.setattr("emul.wall.wait_until", interrupted)
        with pytest.raises(KeyboardInterrupt):
            handle.wait()
    with pytest.raises(InFlightError):
        _ = handle.run
    assert handle.wait().lag_s >= 0
    assert (handle.run.output == 4).all()
