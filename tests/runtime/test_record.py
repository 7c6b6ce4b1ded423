"""The record of a program is bounded, says what is gone, and keeps all if asked to."""

import gc
import tracemalloc

import pytest
from two_sites import ones, two_sites

from emul import ArgumentError, World


@pytest.fixture
def few(monkeypatch):
    """A record of 40 acts."""
    monkeypatch.setattr("emul.runtime.record.MOST_ACTS", 40)


def calls(world, number):
    for _ in range(number):
        world.compute(0.001, ranks=[0])
        world.all_reduce(ones(2, 8), algorithm="ring")


def test_what_is_older_is_summed_up_and_the_error_names_the_way_out(few):
    world = World(two_sites(1))
    start = world.mark("start")
    calls(world, 100)
    begun = world.mark("end")
    calls(world, 2)
    assert world.critical_path(begun).time_s == pytest.approx(world.now_s - begun.now_s)
    assert start.now_s == 0
    match = r"begins after \d+ acts \(\d+ computes, \d+ operations\).*World\(record=True\)"
    with pytest.raises(ArgumentError, match=match):
        world.critical_path(start)


def test_a_world_that_records_keeps_all(few):
    world = World(two_sites(1), record=True)
    calls(world, 100)
    path = world.critical_path()
    assert path.from_ps == 0
    assert sum(row.kind == "compute" for row in path.rows) == 100
    assert World.of(world.settings).settings.record


def test_clocks_after_the_sum_are_those_of_the_world(few):
    world = World(two_sites(1))
    for turn in range(60):
        world.compute(0.001 * turn, ranks=[turn % 2])
        world.all_reduce(ones(2, 8), algorithm="ring")
        mark = world.mark("turn")
        assert mark.ranks_now_s.tolist() == world.ranks_now_s.tolist()
    assert world.engine.clocks._record.first > 40


def test_clocks_are_summed_up_from_the_last_call_of_all_ranks_on(few):
    world = World(two_sites(2))
    group = world.group([0, 1])
    for turn in range(100):
        world.compute(0.001 * turn, ranks=[turn % 4])
        if turn % 70 == 5:
            world.all_reduce(ones(4, 8), algorithm="ring")
        group.all_reduce(ones(2, 8), algorithm="ring")
    assert world.engine.clocks._record.first > 40
    assert world.mark("end").ranks_now_s.tolist() == world.ranks_now_s.tolist()


def test_operations_in_flight_are_kept_until_nothing_changes_them(few):
    world = World(two_sites(2))
    group = world.group([0, 2])
    slow = group.all_reduce(ones(2, 10**6), async_op=True)
    for _ in range(30):
        world.compute(1e-6, ranks=[1])
        world.group([1, 3]).all_reduce(ones(2, 8))
    assert world.engine.clocks._record.first < 5
    slow.wait()
    assert world.mark("end").now_s == world.now_s


def test_times_of_operations_that_are_waited_for_late_are_told_by_these(few):
    world = World(two_sites(1))
    early = world.all_reduce(ones(2, 10**6), async_op=True)
    for _ in range(100):
        world.compute(0.001)
    early.wait()
    world.compute(0.001)
    assert world.mark("now").now_s == world.now_s


def test_memory_does_not_grow_with_acts(few, monkeypatch):
    monkeypatch.setattr("emul.runtime.history.KEPT", 40)
    world = World(two_sites(1))

    def traced():
        calls(world, 200)
        for _ in range(200):
            world.mark("step")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    _, before, after = traced(), traced(), traced()
    tracemalloc.stop()
    assert after - before < 200 * 20  # bytes of each
