"""An interrupt leaves an input that is used in place as it was, or complete; never half."""

import signal
import threading
import time

import numpy as np
import pytest

from emul import World
from emul.ops.cpu import cpu_ops

COUNT = 1 << 19

# An interrupt may come at any moment, also where a file has been opened and not yet been taken.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Stop(Exception):  # noqa: N818
    """What the signal raises."""


@pytest.fixture
def stop_after():
    """A function that has a signal interrupt the main thread so many seconds from now."""

    def raise_stop(*_):
        raise Stop

    before = signal.signal(signal.SIGALRM, raise_stop)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def ranks():
    return np.random.default_rng(0).integers(0, 9, (24, COUNT)).astype(np.float32)


@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_an_interrupt_in_place_leaves_no_half(stop_after, backend):
    world, x = World("three-campus", backend=backend), ranks()
    before, total = x.copy(), x.sum(axis=0)
    world.all_reduce(x.copy(), algorithm="ring")
    interrupted = 0
    for seconds in np.geomspace(1e-4, 0.05, 12):
        x[...] = before
        try:
            stop_after(seconds)
            world.all_reduce(x, algorithm="ring", out=x)
            stop_after(0)
        except Stop:
            interrupted += 1
        assert np.array_equal(x, before) or (x == total).all()
    assert interrupted


def test_an_interrupt_while_waiting_brings_the_input_back(stop_after):
    world, x = World("three-campus", clock="wall", dilation=1e4), ranks()[:, :24]
    x = np.ascontiguousarray(x)
    before = x.copy()
    world.predict("all_reduce", 24)
    stop_after(0.3)
    with pytest.raises(Stop):
        world.all_reduce(x, out=x)
    assert np.array_equal(x, before)


def test_a_long_call_out_of_place_ends_between_slabs(stop_after, monkeypatch):
    monkeypatch.setattr(cpu_ops, "SLAB_BYTES", 1 << 20)
    world, x = World("three-campus", backend="cpu"), ranks()
    before, out = x.copy(), np.empty_like(x)
    world.all_reduce(x, algorithm="ring", out=out)

    def again_and_again(seconds):
        while True:
            stop_after(seconds)  # once more, for Python ignores what is raised in a destructor
            for _ in range(100):
                world.all_reduce(x, algorithm="ring", out=out)

    for seconds in (2e-3, 4e-3, 8e-3):
        with pytest.raises(Stop):
            again_and_again(seconds)
        assert np.array_equal(x, before)


def test_other_threads_go_on_while_it_reduces():
    world, x = World("three-campus", backend="cpu"), ranks()
    out, ticks = np.empty_like(x), []
    world.all_reduce(x, algorithm="ring", out=out)
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())

    other = threading.Thread(target=tick)
    other.start()
    begun = time.monotonic()
    world.all_reduce(x, algorithm="ring", out=out)
    ended = time.monotonic()
    done.set()
    other.join()
    assert any(begun < each < ended for each in ticks)
