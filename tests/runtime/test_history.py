"""What is kept of collectives while they are under way, and when they have passed."""

import gc
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from strategies import sites_of_one
from two_sites import TRUNK, ones, two_sites

from emul import World
from emul.runtime.busy_period import BusyPeriod
from emul.timing import Issue, Timeline


def kept_transfers(world):
    """Transfers that the clocks keep, of operations that are not over."""
    period = world.engine.clocks._period
    if isinstance(period, BusyPeriod):
        return len(period.simulation)
    return sum(act.times.lines.stop or 0 for act in period.in_flight.values())


@pytest.fixture
def world():
    """Four ranks at four sites, all alike."""
    return World(sites_of_one(lambda a, b: TRUNK, 4))


def test_memory_does_not_grow_with_collectives_that_have_passed(monkeypatch):
    monkeypatch.setattr("emul.runtime.history.KEPT", 100)
    monkeypatch.setattr("emul.runtime.record.MOST_ACTS", 200)
    world, x = World(two_sites(1)), ones(2, 8)

    def hundred():
        handles = [world.all_reduce(x, algorithm="ring", async_op=True) for _ in range(100)]
        for handle in handles:
            handle.wait()
        world.compute(1.0)

    def traced(rounds):
        for _ in range(rounds):
            hundred()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    traced(2)
    blocks = sys.getallocatedblocks()
    traced(92)
    assert sys.getallocatedblocks() - blocks < 9200 / 10  # not one of every tenth collective
    tracemalloc.start()
    before, after = traced(3), traced(5)
    tracemalloc.stop()
    assert after - before < 500 * 20  # bytes of each
    assert len(world.history) == 100


def test_of_many_that_stay_in_flight_few_looks_are_taken(world, monkeypatch):
    looks, end = [], BusyPeriod.end

    def counted(period, **how):
        looks.append(len(period.operations))
        return end(period, **how)

    monkeypatch.setattr(BusyPeriod, "end", counted)
    monkeypatch.setattr("emul.runtime.busy_period.MANY", 500)
    groups = [world.group([0, 1]), world.group([1, 2])]
    for number in range(600):
        groups[number % 2].all_reduce(ones(2, 8), algorithm="ring", async_op=True)
    assert 3 < len(looks) < 10
    assert looks == sorted(set(looks))


def test_no_timeline_hangs_on_an_operation_that_has_passed(world, monkeypatch):
    monkeypatch.setattr("emul.runtime.alone_period.KEPT", 1)
    monkeypatch.setattr("emul.runtime.history.KEPT_TRANSFERS", 1)
    monkeypatch.setattr("emul.runtime.record.MOST_TRANSFERS", 1)

    def run_of_latecomers(late):
        world.compute(late * 1e-3, ranks=[late])  # other starts each time: timed anew
        return world.all_reduce(ones(4, 8), algorithm="ring")

    runs = [run_of_latecomers(late) for late in range(4)]
    world.compute(1.0)
    gc.collect()
    timelines = sum(isinstance(each, Timeline) for each in gc.get_objects())
    runs.append(run_of_latecomers(1))
    more = [run_of_latecomers(late) for late in (2, 3, 0, 1, 2, 3)]
    gc.collect()
    assert sum(isinstance(each, Timeline) for each in gc.get_objects()) <= timelines + 1
    assert all((each.moments.done_ps > 0).all() for each in (*runs, *more))


@pytest.mark.parametrize("compute_s", [0.03, 0.001])
@pytest.mark.parametrize("looks", [True, False])
def test_of_a_window_that_never_drains_only_what_overlaps_is_kept(world, compute_s, looks):
    """With pauses, and one after the other without any; and if somebody looks at every turn."""
    handles, most = [], 0
    for _ in range(400):
        handles.append(world.all_reduce(ones(4, 4), algorithm="ring", async_op=True))
        world.compute(compute_s)
        if len(handles) > 5:
            handles.pop(0).wait()
        most = max(most, kept_transfers(world))
        _ = looks and world.now_s
    cost_s = handles[0]._operation.prediction.time_s
    assert 0.001 < cost_s < 0.03
    assert most < 66 * (24 + 4 * 4)  # transfers and those around them of as many collectives
    assert len(world.engine.clocks._period.operations) < 70
    gc.collect()
    assert sum(isinstance(each, Issue) for each in gc.get_objects()) < 70
    handles.pop().wait()
    assert world.now_s == pytest.approx(400 * max(cost_s, compute_s), rel=0.01)
    assert len({each.done_ps - each.started_ps for each in world.history}) == 1


def test_two_communicators_that_never_pause_are_kept_small_too(world, monkeypatch):
    """Their collectives overlap without end: there is no moment at which nothing is under way."""
    monkeypatch.setattr("emul.runtime.busy_period.MANY_TRANSFERS", 500)
    members, handles, sizes = (world, world.group(range(4))), [], []
    for number in range(300):
        member = members[number % 2]
        handles.append(member.all_reduce(ones(4, 3000), algorithm="ring", async_op=True))
        if len(handles) > 4:
            handles.pop(0).wait()
        sizes.append(kept_transfers(world))
        _ = world.now_s
    assert max(sizes) < 1000
    passages = world.history
    assert len(passages) == 300
    assert all(b.started_ps < a.done_ps for a, b in pairwise(passages))


def test_the_transfers_are_the_timeline_of_everything(world):
    group = world.group([2, 3])
    world.all_reduce(ones(4), algorithm="ring")
    first = world.all_reduce(ones(4), algorithm="ring", async_op=True)
    world.compute(1e-3, [2])
    second = group.broadcast(ones(2, 7), algorithm="direct", async_op=True)
    told = world.transfers
    first.wait(), second.wait()
    assert told.tolist() == world.transfers.tolist()
    assert [each.number for each in world.history] == [0, 1, 2]
    alone = told[told["collective"] == 0]
    timeline = world.predict("all_reduce", 1000, dtype="uint8", algorithm="ring").timeline
    assert (alone["start_ps"] == timeline.start_ps).all()
    assert (alone["done_ps"] == timeline.done_ps).all()
    last = told[told["collective"] == 2]
    assert (last["src"].tolist(), last["dst"].tolist(), last["nbytes"].tolist()) == ([2], [3], [7])
    for number, handle in ((1, first), (2, second)):
        mine = told[told["collective"] == number]
        moments = handle.run.moments
        sender = np.searchsorted(moments.ranks, mine["src"][mine["start_ps"].argmin()])
        assert mine["start_ps"].min() == moments.started_ps[sender]
        assert mine["done_ps"].max() == moments.done_ps.max()
    assert (told["start_ps"] < told["arrival_ps"]).all()


def test_the_transfers_of_the_last_collectives_are_kept(world, monkeypatch):
    monkeypatch.setattr("emul.runtime.history.KEPT_TRANSFERS", 100)
    for async_op in (False, True):
        for _ in range(10):
            made = world.all_reduce(ones(4, 4), algorithm="ring", async_op=async_op)
            _ = async_op and made.wait()
    world.all_reduce(ones(4, 4), algorithm="ring")  # which lets go of those before
    kept = world.transfers
    # Of 24 transfers each; the last one is in flight, by the program so far.
    assert set(kept["collective"].tolist()) == {16, 17, 18, 19, 20}
    assert len(kept) == 5 * 24
    monkeypatch.setattr("emul.runtime.history.KEPT", 3)
    world = World(world.topology)
    for _ in range(7):
        world.all_reduce(ones(4, 4), algorithm="ring")
    world.compute(1.0)  # so that all of them are over
    assert [each.number for each in world.history] == [4, 5, 6]
    assert set(world.transfers["collective"].tolist()) == {4, 5, 6}


def test_transfers_are_kept_of_the_last_few_collectives_only(world):
    for count in range(1, 41):
        world.all_reduce(ones(4, 4 * count), algorithm="ring", async_op=True).wait()
    assert len(world.engine.clocks._footprints._kept) <= 32
    assert len(world.engine.clocks._timer._kept) <= 256
