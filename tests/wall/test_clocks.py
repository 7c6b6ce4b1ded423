"""The clocks of worlds, modelled and measured, where every moment is worked out by hand."""

import math

import numpy as np
import pytest
from strategies import sites_of_one

from emul import ArgumentError, CapacityError, LagError, Link, TimeLimitError, World, memory
from emul.runtime.operation import LATEST_PS, checked_clock
from emul.units import format_bytes, format_rate, format_time, parse_size
from emul.wall.clock import WallClock, checked_dilation, too_late
from emul.wall.lag import (
    PENDING_AT_MOST,
    CallTimes,
    Lag,
    LagRecord,
)

STEP_S = 1e-3 + 1e-6
"""One transfer of 100 bytes between two of four sites: 1 ms under way, 1 us of sending."""


@pytest.fixture
def world():
    return World(sites_of_one(lambda a, b: Link(1e8, 1e-3), 4))


def ones(n, count=100):
    return np.ones((n, count), np.uint8)


def clock(dilation=1.0, strict=False):
    return WallClock(dilation, strict, realtime=False)


def test_moments_are_due_not_before_they_have_come():
    stretched = clock(3.0)
    stretched.start(1000, 5000)
    due = {5000: 1000, 6000: 1003, 5001: 1001, 5334: 1002, 8000: 1009}
    assert {moment: stretched.due_ns(moment) for moment in due} == due


def test_a_call_is_modelled_without_its_dilation(monkeypatch):
    late_ns = iter([7_000_100, 7_000_000])
    monkeypatch.setattr("emul.wall.clock.now_ns", lambda: next(late_ns))
    monkeypatch.setattr(
        "emul.wall.clock.wait_until", lambda due_ns, *, realtime: max(due_ns, 7_000_150)
    )
    wall = clock(2.0)
    wall.start(1_000_000, 0)
    arrival = CallTimes(1_000_000, 6_000_000, 0, 0, 0, 0.0)
    wall.hand_over("all_reduce", arrival, 3_000_000_000)  # 3 ms, so at 7 ms
    assert (arrival.due_ns, arrival.asked_ns, arrival.ended_ns) == (7_000_000, 7_000_100, 7_000_150)
    assert arrival.modelled_s == pytest.approx(3e-3)
    assert (arrival.lag_ns, arrival.program_ns, arrival.arithmetic_ns) == (150, 100, 0)
    assert wall.lag.arrivals == 1


@pytest.mark.parametrize(("strict", "allowed_ns"), [(True, 100_000), (0.002, 2_000_000), (0, 0)])
def test_strictness_is_in_seconds(monkeypatch, strict, allowed_ns):
    wall, ended = clock(1.0, strict), []
    wall.start(0, 0)
    monkeypatch.setattr("emul.wall.clock.now_ns", lambda: 0)
    monkeypatch.setattr(
        "emul.wall.clock.wait_until", lambda due_ns, *, realtime: due_ns + ended[-1]
    )
    for late_ns, refused in ((allowed_ns, False), (allowed_ns + 1, True)):
        ended.append(late_ns)
        arrival = CallTimes(0, 0, 0, 0, 0, 0.0)
        if not refused:
            wall.hand_over("reduce", arrival, 10**9)
        else:
            with pytest.raises(LagError, match=r"^reduce: "):
                wall.hand_over("reduce", arrival, 10**9)
    assert wall.lag.arrivals == 2


def late(ready_ns=0, asked_ns=0, ended_ns=2_000_000):
    """A call of 1 ms that ended after 2 ms."""
    return CallTimes(0, ready_ns, 1_000_000, asked_ns, ended_ns, 1e-3)


@pytest.mark.parametrize(
    ("arrival", "why"),
    [
        (late(), "the wait ended late"),
        (late(ready_ns=1_090_000), "the wait ended late"),
        (late(ready_ns=1_090_000, asked_ns=1_150_000), "it was ready after 1.09 ms"),
        (late(asked_ns=1_900_000), "nobody asked for it for 900 us"),
        (late(ready_ns=1_300_000, asked_ns=1_900_000), "nobody asked for it for 600 us"),
        (
            late(ready_ns=1_700_000, asked_ns=1_900_000),
            "it was ready after 1.7 ms: a dilation of 1.6",
        ),
    ],
)
def test_what_was_late_is_told(arrival, why):
    error = too_late("all_reduce", arrival, 1e-4, 1.0)
    assert why in str(error)
    assert str(error).startswith(
        "all_reduce: 1 ms behind its modelled moment, 1 ms with a dilation"
    )


def test_the_quickest_rehearsal_of_the_slowest_call_counts(world, monkeypatch):
    walled = World(world.topology, clock="wall", dilation="auto", backend="numpy")
    moments = iter([0, 9, 0, 3, 0, 5])  # ms at which three rehearsals begin and are ready
    monkeypatch.setattr("emul.wall.clock.now_ns", lambda: next(moments) * 1_000_000)
    with walled.rehearsal():
        for _ in range(3):
            walled.engine.wall.carry_out(*_call(walled, "broadcast"), next(moments) * 1_000_000)
    assert walled.dilation == math.ceil(1.25 * 3e-3 / STEP_S * 10) / 10 == 3.8
    moments = iter([0, 2, 0, 40, 0, 4])
    with walled.rehearsal():
        for collective in ("broadcast", "all_reduce", "broadcast"):
            work, timeline = _call(walled, collective)
            walled.engine.wall.carry_out(work, timeline, next(moments) * 1_000_000)
    slowest = 40e-3 / walled.predict("all_reduce", 100, dtype="uint8", algorithm="direct").time_s
    assert walled.dilation == math.ceil(1.25 * slowest)


def _call(world, collective):
    """Work and timeline of a call, as the wall clock gets them."""
    from emul.ops.buffers import Buffers
    from emul.plans import collective_named
    from emul.runtime.request import Request
    from emul.wall.clock import Work

    buffers = Buffers(collective_named(collective), 4, ones(4), None, None)
    prepared = world.planner.prepare(Request(buffers.shape, 1, algorithm="direct"))
    program, prediction = prepared.program, prepared.prediction
    return Work(world.ops, program, buffers, "sum", 0), prediction.timeline


@pytest.mark.parametrize("given", [0, -1.0, math.nan, math.inf, "some"])
def test_dilations_that_stretch_nothing_are_refused(given):
    with pytest.raises(ArgumentError, match=f"dilation {given}: needed a finite number above 0"):
        checked_dilation(given)


def test_early_arithmetic_is_no_lag():
    early = CallTimes(0, 500_000, 1_000_000, 0, 1_000_000, 1e-3)
    assert (early.lag_ns, early.arithmetic_ns, early.program_ns) == (0, 0, 0)
    for lag in (Lag.of([early], 1.0), _recorded([early])):
        assert (lag.blame, lag.arithmetic_s, lag.behind_share) == ("none", 0, 0)


def _recorded(arrivals):
    record = LagRecord()
    for each in arrivals:
        record.add(each)
        record.tidy()
        assert len(record._pending) < PENDING_AT_MOST
    return record.summary(1.0)


def test_a_record_keeps_the_worst_and_all_sums():
    slow = CallTimes(0, 2_500_000, 2_000_000, 2_600_000, 2_700_000, 1e-3)
    quick = CallTimes(0, 500_000, 1_000_000, 0, 1_050_000, 1e-3)
    for lag in (Lag.of([slow, *[quick] * 99], 1.0), _recorded([slow, *[quick] * 99])):
        assert lag.enough_dilation == pytest.approx(2.5)
        assert (lag.arithmetic_s, lag.program_s) == pytest.approx((5e-4, 1e-4))
        assert lag.waiting_s == pytest.approx(1e-4 + 99 * 5e-5)
        assert lag.behind_share == pytest.approx((7e5 + 99 * 5e4) / (2.7e6 + 99 * 1.05e6))
        assert lag.max_s == pytest.approx(7e-4)
        assert lag.median_s == pytest.approx(5e-5, rel=2**-7)
        assert lag.p99_s == pytest.approx(5e-5, rel=2**-7)  # 99 of 100 are no later


def test_the_modelled_clock_ends_before_it_wraps():
    # 2^61 ps are 26 days, so that times of a call that begins then still fit in 63 bits.
    assert LATEST_PS == 1 << 61
    assert checked_clock(1 << 61) == 1 << 61
    with pytest.raises(TimeLimitError, match="passes 26 days"):
        checked_clock((1 << 61) + 1)
    world = World(sites_of_one(lambda a, b: Link(1e8, 1e-3), 2))
    world.compute(2e6)
    world.compute(3e5, [0])
    with pytest.raises(TimeLimitError):
        world.compute(1e4, [0])


def test_each_rank_has_its_clock(world):
    world.compute(1.0, [1, 3])
    world.compute(0.5, [3])
    assert world.ranks_now_s.tolist() == [0, 1, 0, 1.5]
    assert world.now_s == 1.5
    world.compute(2.0)
    assert world.ranks_now_s.tolist() == [2, 3, 2, 3.5]
    assert world.engine.clocks.moment_ps(np.array([0, 2])) == 2 * 10**12
    assert world.engine.clocks.moment_ps(np.array([0, 1])) == 3 * 10**12
    run = world.group([0, 2]).broadcast(ones(2), algorithm="direct")
    assert run.time_s == pytest.approx(STEP_S)
    assert world.ranks_now_s.tolist() == pytest.approx([2 + STEP_S, 3, 2 + STEP_S, 3.5])


def test_history_says_when_each_call_was_issued_started_and_done(world):
    world.compute(1.0, [1])
    group = world.group([1, 2])
    group.broadcast(ones(2), algorithm="direct")  # rank 1 sends to rank 2, which waits for it
    world.broadcast(ones(4), algorithm="direct")
    world.broadcast(ones(4), algorithm="direct")
    first, second, third = world.history
    begun, ps = 10**12, round(STEP_S * 10**12)
    assert (first.number, first.collective, first.communicator) == (0, "broadcast", 1)
    assert (first.issued_ps, first.started_ps, first.done_ps) == (0, 0, begun + ps)
    assert [each.communicator for each in (second, third)] == [0, 0]
    assert second.done_ps - second.started_ps >= ps
    assert third.started_ps >= second.started_ps
    assert third.done_ps == round(world.now_s * 10**12)


def test_calls_in_step_follow_each_other(world):
    runs = [world.broadcast(ones(4), algorithm="direct") for _ in range(3)]
    each_ps = runs[0].prediction.total_ps
    found = [(p.issued_ps, p.started_ps, p.done_ps) for p in world.history]
    assert found == [(i * each_ps, i * each_ps, (i + 1) * each_ps) for i in range(3)]
    told = world.transfers
    assert told["start_ps"].min() == 0
    assert told["done_ps"].max() == 3 * each_ps
    assert (told["src"] != told["dst"]).all()


def test_a_handle_is_done_when_all_ranks_are(world):
    handle = world.broadcast(ones(4), algorithm="direct", async_op=True)
    assert not handle.done
    assert repr(handle) == "<Handle of direct broadcast over 4 ranks: not waited for yet>"
    world.compute(STEP_S / 2)
    assert not handle.done
    world.compute(1.0, [0, 1, 2])
    assert not handle.done  # rank 3 is not there yet
    world.compute(1.0, [3])
    assert handle.done
    handle.wait()
    assert repr(handle) == "<Handle of direct broadcast over 4 ranks: waited for>"


def test_handles_are_counted_until_they_are_waited_for(world):
    handles = [world.broadcast(ones(4), algorithm="direct", async_op=True) for _ in range(3)]
    assert world.engine.clocks.outstanding == 3
    for left, handle in zip((2, 1, 0), handles, strict=True):
        handle.wait()
        handle.wait()
        assert world.engine.clocks.outstanding == left


def test_programs_of_the_last_calls_are_kept(world):
    group = world.group(range(4))
    for count in range(1, 34):
        group.broadcast(ones(4, count), algorithm="direct", async_op=True).wait()
    kept = [program.nbytes.max() for program, _ in world.engine.clocks._footprints._kept]
    assert kept == list(range(2, 34))


def test_quantities_change_their_unit_when_they_reach_it():
    assert [format_bytes(n) for n in (1023, 1024, 1025)] == ["1023 B", "1 KiB", "1.001 KiB"]
    assert [format_time(s) for s in (1.0, 1e-3, 1e-6, 999e-9)] == ["1 s", "1 ms", "1 us", "999 ns"]
    assert format_rate(2e9) == "2 GB/s (16 Gbit/s)"
    assert [parse_size(each) for each in ("1K", "1M", "1G", "1T")] == [2**10, 2**20, 2**30, 2**40]


def test_what_fits_exactly_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 20 << 20)
    memory.check_fits(20 << 20, "all of it")
    with pytest.raises(CapacityError):
        memory.check_fits((20 << 20) + 1, "all of it and one byte")
