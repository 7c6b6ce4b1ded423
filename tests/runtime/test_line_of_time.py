"""One line of time: outages, hours and failures where they happen in a program, by hand.

Between two sites a broadcast of 2.5 MB takes 35 ms: 25 ms of sending, 10 ms of delay.
"""

from dataclasses import replace

import numpy as np
import pytest
from closed_forms.outages import tcp_outage
from closed_forms.training import bucketed_step
from strategies import sites_of_one

from emul import Link, NoData, OutageError, World
from emul.links import Changes, Diurnal, Outages, Transport
from emul.links.changes import diurnal_rate_bytes_per_s
from emul.programs import Recv, Send, Wait

PS = 10**12
PLAIN = Link(1e8, 0.01)
SENDS_S, CALL_S = 0.025, 0.035
X = np.ones((2, 2_500_000), np.uint8)
TIMER_S = 4.294967296
"""NCCL's, which RDMA tries again after: 4.096 us times 2^20."""


def world_of(n=2, changes=None, between=("s0", "s1"), link=PLAIN, transport=None, **more):
    """Return a World of ``n`` sites of one rank; ``changes`` are of the trunk ``between`` two."""
    link = replace(link, transport=transport or Transport())
    topology = sites_of_one(lambda a, b: link, n)
    trunks = tuple(
        replace(trunk, changes=changes) if changes and trunk.sites == between else trunk
        for trunk in topology.trunks
    )
    return World(replace(topology, trunks=trunks), slicing=None, **more)


def down(from_s, lasting_s):
    return Changes(outages=Outages(((from_s, lasting_s),)))


def loop(world, times=8, *, by_calls):
    """Compute for 0.3 s and broadcast, again and again; return the clocks and the errors."""
    clocks_s, errors = [], []
    for _ in range(times):
        world.compute(0.3)
        try:
            if by_calls:
                world.broadcast(X, algorithm="direct")
            else:
                world.broadcast(X, algorithm="direct", async_op=True).wait()
        except OutageError as error:
            errors.append(error)
        clocks_s.append(world.now_s)
    return pytest.approx(clocks_s, rel=0, abs=2e-11), errors


BOTH = pytest.mark.parametrize("by_calls", [True, False], ids=["calls", "handles"])


@BOTH
def test_the_call_under_way_waits_for_an_outage_and_later_ones_come_after_it(by_calls):
    """The third sends from 0.97 to 0.995 s: of its bytes those since 0.99 s are lost at 1 s.

    TCP tries again 0.2 (2^k - 1) s later: 51 s, for after 25.4 s the trunk is down.
    """
    assert tcp_outage(30.0).stall_s == pytest.approx(51.0)
    world = world_of(changes=down(1.0, 30.0), transport=Transport(recovery="cubic"))
    clocks_s, errors = loop(world, by_calls=by_calls)
    third_s = 1.0 + 51.0 + 0.005 + 0.01
    assert clocks_s == [0.335, 0.67, *(third_s + k * (0.3 + CALL_S) for k in range(6))]
    assert not errors
    assert [row.done_ps - row.issued_ps for row in world.history].count(35 * 10**9) == 7


@BOTH
def test_the_call_under_way_waits_for_whole_timers_of_rdma(by_calls):
    world = world_of(changes=down(1.0, 30.0), transport=Transport(recovery="gbn", rto_s=TIMER_S))
    clocks_s, errors = loop(world, by_calls=by_calls)
    third_s = 1.0 + 7 * TIMER_S + 0.005 + 0.01
    assert clocks_s == [0.335, 0.67, *(third_s + k * (0.3 + CALL_S) for k in range(6))]
    assert not errors


@BOTH
def test_the_call_under_way_fails_alone_and_the_next_tries_again(by_calls):
    """Given up one timer after three retries; the next one's third retry finds the trunk up."""
    transport = Transport(recovery="gbn", rto_s=TIMER_S, retries=3)
    world = world_of(changes=down(1.0, 30.0), transport=transport)
    clocks_s, errors = loop(world, by_calls=by_calls)
    failed_s = 1.0 + 4 * TIMER_S
    fourth_s = failed_s + 0.3 + 3 * TIMER_S + CALL_S
    assert failed_s + 0.3 + 2 * TIMER_S < 31.0 < failed_s + 0.3 + 3 * TIMER_S
    assert clocks_s == [0.335, 0.67, failed_s, *(fourth_s + k * (0.3 + CALL_S) for k in range(5))]
    assert len(errors) == 1
    assert "s0 -> s1" in str(errors[0])
    assert len(world.history) == 8


@pytest.mark.parametrize("by_compute", [True, False])
def test_a_call_takes_the_time_of_its_hour(by_compute):
    day = Changes(diurnal=Diurnal(0.0, 0.9, busiest_hour=12.0))
    one = world_of(changes=day)
    for hour in (0, 6, 12, 18):
        if by_compute:
            one.compute(hour * 3600 - one.now_s)
        else:
            one = world_of(changes=day, start_s=hour * 3600.0)
        run = one.broadcast(X, algorithm="direct")
        rate = diurnal_rate_bytes_per_s(
            1e8, hour + 1 / 8, least_load=0, most_load=0.9, busiest_hour=12
        )
        assert run.time_s == pytest.approx(2.5e6 / rate + 0.01, abs=2e-9)


def test_a_program_over_a_day_is_that_of_worlds_that_start_then():
    day = Changes(diurnal=Diurnal(0.1, 0.6))
    one, times_s = world_of(changes=day), []
    for hour in (0, 6, 12, 18):
        one.compute(hour * 3600 - one.now_s)
        then = world_of(changes=day, start_s=hour * 3600.0)
        times_s.append(one.broadcast(X, algorithm="direct").time_s)
        assert times_s[-1] == then.broadcast(X, algorithm="direct").time_s
    assert len(set(times_s)) == 4


def test_an_outage_fails_one_operation_and_all_else_goes_on():
    """The trunk of sites 0 and 1 goes down at 0.5 s for ever so long; 2 and 3 do not notice."""
    transport = Transport(recovery="gbn", rto_s=1.0, retries=2)
    world = world_of(4, down(0.5, 1000.0), transport=transport)
    struck, spared = world.group([0, 1]), world.group([2, 3])
    early = struck.broadcast(X, algorithm="direct", async_op=True)
    world.compute(0.49)
    failing = struck.broadcast(X, algorithm="direct", async_op=True)
    beside = spared.broadcast(X, algorithm="direct", async_op=True)
    with pytest.raises(OutageError, match="s0 -> s1"):
        failing.wait()
    assert world.ranks_now_s.tolist() == pytest.approx([3.5, 3.5, 0.49, 0.49])
    assert early.wait().time_s == pytest.approx(CALL_S)
    assert beside.wait().time_s == pytest.approx(CALL_S)
    assert spared.broadcast(X, algorithm="direct").time_s == pytest.approx(CALL_S)
    assert world.ranks_now_s.tolist() == pytest.approx([3.5, 3.5, 0.56, 0.56])
    ends_s = [row.done_ps / PS for row in world.history]
    assert sorted(ends_s) == pytest.approx([0.035, 0.525, 0.56, 3.5])
    with pytest.raises(OutageError):
        failing.wait()
    assert world.now_s == 3.5


def test_after_a_failure_the_same_trunk_carries_what_comes_when_it_is_up():
    transport = Transport(recovery="gbn", rto_s=1.0, retries=2)
    world = world_of(changes=down(0.01, 20.0), transport=transport)
    with pytest.raises(OutageError):
        world.broadcast(X, algorithm="direct")
    assert world.now_s == pytest.approx(0.01 + 3)
    world.compute(20)
    assert world.broadcast(X, algorithm="direct").time_s == pytest.approx(CALL_S)
    assert (X == 1).all()


# Messages between two ranks.


@pytest.mark.parametrize("alone", [True, False])
def test_a_receiver_takes_messages_by_tag_in_any_order(alone, monkeypatch):
    """Two messages of 25 ms: the second is there at 60 ms; by then the first is too."""
    monkeypatch.setattr("emul.runtime.clocks.ALONE", alone)
    world = world_of()
    first, second = (world.send(X[0], 0, 1, tag=tag, async_op=True) for tag in (0, 1))
    world.recv(0, 1, tag=1)
    assert world.ranks_now_s.tolist() == pytest.approx([0, 2 * SENDS_S + 0.01])
    world.recv(0, 1, tag=0)
    second.wait()
    first.wait()
    assert world.ranks_now_s.tolist() == pytest.approx([2 * SENDS_S, 2 * SENDS_S + 0.01])


def test_a_receive_of_nothing_that_was_sent_is_not_done():
    world = world_of()
    handle = world.recv(0, 1, async_op=True)
    world.compute(1.0)
    assert not handle.done
    world.send(X[0], 0, 1)
    assert not handle.done
    handle.wait()
    assert handle.done
    assert world.ranks_now_s.tolist() == pytest.approx([1 + SENDS_S, 1 + CALL_S])


def test_an_early_receive_comes_through_what_the_rank_does_in_between():
    """The receive is issued at once; two groups then meet on the trunk while the message comes."""
    world = world_of()
    handle = world.recv(0, 1, async_op=True)
    world.send(X[0], 0, 1, async_op=True)
    others = [world.group([0, 1]).broadcast(X, algorithm="direct", async_op=True) for _ in "ab"]
    for each in (handle, *others):
        each.wait()
    assert world.ranks_now_s[1] == pytest.approx(3 * SENDS_S + 0.01)


def test_a_late_receive_comes_through_what_meets_after_it():
    """The message is long there; two broadcasts then share the trunk from 1.025 s on."""
    world = world_of()
    world.send(X[0], 0, 1)
    world.compute(1.0)
    one = world.broadcast(X, algorithm="direct", async_op=True)
    received = world.recv(0, 1, async_op=True)
    other = world.group([0, 1]).broadcast(X, algorithm="direct", async_op=True)
    received.wait()
    assert world.ranks_now_s.tolist() == pytest.approx([1 + SENDS_S, 1])
    one.wait(), other.wait()
    assert world.ranks_now_s.tolist() == pytest.approx([1 + 3 * SENDS_S + 0.01] * 2)


# The pipeline: 64 waves of 392 Gbit/s, 6.4 ms one way; a stream lives on one wave.

STAGE_S, BATCHES = 0.01, 32
FAR = Link(64 * 49e9, 6.4e-3, waves=64)
ROW = NoData(4 << 20, "float16")
MOVES_S = (8 << 20) / 49e9 + 6.4e-3
PIPELINED_S = (BATCHES + 1) * STAGE_S + MOVES_S
"""The first micro-batch has to come; then one comes every 10 ms, and nobody waits."""


def test_a_pipeline_of_messages_waits_once():
    world = world_of(link=FAR)
    for _ in range(BATCHES):
        world.compute(STAGE_S, [0])
        world.send(ROW, 0, 1, async_op=True)
        world.recv(0, 1)
        world.compute(STAGE_S, [1])
    assert world.now_s == pytest.approx(PIPELINED_S, abs=1e-9)
    assert world.now_s == pytest.approx(0.336, abs=1e-3)


def test_a_pipeline_of_handles_that_only_the_receiver_waits_for_waits_once():
    world = world_of(link=FAR)
    for _ in range(BATCHES):
        world.compute(STAGE_S, [0])
        handle = world.broadcast(ROW, algorithm="direct", async_op=True)
        handle.wait(ranks=[1])
        world.compute(STAGE_S, [1])
    assert world.now_s == pytest.approx(PIPELINED_S, abs=1e-9)


def test_a_sender_that_waits_until_all_is_there_makes_a_pipeline_slow():
    world = world_of(link=FAR)
    for _ in range(BATCHES):
        world.compute(STAGE_S, [0])
        world.broadcast(ROW, algorithm="direct")
        world.compute(STAGE_S, [1])
    assert world.now_s == pytest.approx(BATCHES * (STAGE_S + MOVES_S) + STAGE_S, abs=1e-9)


# Three campuses, 1000 km apart, each as one rank: gradients of 405e9 parameters in bfloat16.

UPLINK = Link(64 * 49e9, 6.4e-3)
COMPUTE_S = 0.983
FORWARD_S = COMPUTE_S / 3


def step_s(buckets, communicators):
    """Return the time of a step whose buckets go out as the backward pass makes them."""
    world = world_of(3, link=UPLINK)
    groups = [world.group(range(3)) for _ in range(communicators)]
    x = NoData(round(405e9 / buckets), "bfloat16")
    world.compute(FORWARD_S)
    handles = []
    for bucket in range(buckets):
        world.compute((COMPUTE_S - FORWARD_S) / buckets)
        group = groups[bucket % communicators]
        handles.append(group.all_reduce(x, algorithm="direct", async_op=True))
    for handle in handles:
        handle.wait()
    return world.now_s


def cost_s(nbytes):
    """Return the time of a bucket alone: twice a third of it over each of two trunks, and delay.

    The second trunk gets its third when the first one's has left the port, of 1 PB/s.
    """
    return 2 * (nbytes / 3 / 1e15 + nbytes / 3 / (64 * 49e9) + 6.4e-3)


@pytest.mark.parametrize(("buckets", "seconds", "part"), [(126, 2.14, 0.46), (32, 1.00, 0.98)])
def test_buckets_on_one_communicator_pay_the_delay_one_after_the_other(buckets, seconds, part):
    nbytes = 405e9 / buckets * 2
    closed = bucketed_step(FORWARD_S, COMPUTE_S - FORWARD_S, [nbytes] * buckets, cost_s)
    found_s = step_s(buckets, 1)
    assert found_s == pytest.approx(closed.step_s, rel=1e-9)
    assert found_s == pytest.approx(seconds, rel=0.02)
    assert found_s == pytest.approx(COMPUTE_S / part, rel=0.02)


def test_buckets_on_four_communicators_pay_the_delay_once():
    found_s = step_s(126, 4)
    assert found_s == pytest.approx(COMPUTE_S + cost_s(405e9 / 126 * 2), rel=1e-9)
    assert found_s == pytest.approx(0.997, abs=1e-3)


def test_messages_of_a_new_line_of_time_are_drawn_as_those_of_the_first():
    """The same connection has the same draws: three-campus has jitter."""
    world = World("three-campus")

    def program(rank):
        if rank == 0:
            yield from (Send(8, 1 << 16), Wait())
        if rank == 8:
            yield from (Recv(0, 1 << 16), Wait())

    times = []
    for _ in range(3):
        times.append(world.run(program).time_s)
        world.restart()
    assert len(set(times)) == 1
