"""Collectives under way at once: what they cost one another, and what handles promise."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import stacks
from closed_forms.training import bucketed_step
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import cases, count_for, real_topologies, sites_of_one
from two_sites import TRUNK, ones, two_sites

from emul import ArgumentError, InFlightError, OutageError, ShapeError, TimeLimitError, World
from emul.links import Changes, Jitter, Outages


@pytest.fixture
def world():
    """Four ranks at four sites, all alike."""
    return World(sites_of_one(lambda a, b: TRUNK, 4))


@pytest.mark.parametrize("backward_s", [0.1, 0.4, 2.0])
def test_buckets_that_overlap_with_compute_take_the_closed_form(world, backward_s):
    """links.md 5.2: bucket j ends max(end of j - 1, ready at j) + its cost."""
    buckets, forward_s = [1_000_000 * (1 + j % 3) for j in range(8)], 0.05
    cost = {n: world.predict("all_reduce", n, dtype="uint8", algorithm="ring") for n in buckets}
    world.compute(forward_s)
    handles, ready_ps, end_ps = [], round(forward_s * 1e12), 0
    for nbytes in buckets:
        world.compute(backward_s * nbytes / sum(buckets))
        ready_ps += round(backward_s * nbytes / sum(buckets) * 1e12)
        end_ps = max(end_ps, ready_ps) + cost[nbytes].total_ps
        handles.append(world.all_reduce(ones(4, nbytes), algorithm="ring", async_op=True))
    assert world.engine.clocks.clocks_ps().tolist() == [ready_ps] * 4
    for handle in handles:
        handle.wait()
    assert world.engine.clocks.clocks_ps().tolist() == [max(ready_ps, end_ps)] * 4
    closed = bucketed_step(forward_s, backward_s, buckets, lambda nbytes: cost[nbytes].time_s)
    assert world.now_s == pytest.approx(closed.step_s, abs=1e-11)
    assert world.now_s - ready_ps / 1e12 == pytest.approx(closed.exposed_s, abs=1e-11)


def test_two_collectives_on_a_trunk_have_half_of_it_each():
    world, nbytes = World(two_sites(), slicing=None), 1_000_000
    left, right = world.group([0, 2]), world.group([1, 3])
    alone_s = left.predict("broadcast", nbytes, dtype="uint8", algorithm="direct").time_s
    assert alone_s == pytest.approx(TRUNK.latency_s + nbytes / 1e8, rel=1e-3)
    both = [
        each.broadcast(ones(2, nbytes), algorithm="direct", async_op=True) for each in (left, right)
    ]
    times = [handle.wait().time_s for handle in both]
    assert times == pytest.approx([TRUNK.latency_s + 2 * nbytes / 1e8] * 2, rel=1e-3)


def test_one_that_comes_later_shares_what_is_left():
    world, nbytes = World(two_sites(), slicing=None), 1_000_000
    left, right = world.group([0, 2]), world.group([1, 3])
    first = left.broadcast(ones(2, nbytes), algorithm="direct", async_op=True)
    world.compute(nbytes / 1e8 / 2)  # half of it has gone
    second = right.broadcast(ones(2, nbytes), algorithm="direct", async_op=True)
    sending = [handle.wait().time_s - TRUNK.latency_s for handle in (first, second)]
    assert sending == pytest.approx([1.5 * nbytes / 1e8] * 2, rel=1e-3)


def test_a_communicator_keeps_the_order_of_issue_and_others_do_not_wait_for_it(world):
    group = world.group(range(4))
    big, small, other = (
        member.all_reduce(ones(4, count), algorithm="ring", async_op=True).wait().moments
        for member, count in ((world, 4_000_000), (world, 4), (group, 4))
    )
    assert (small.started_ps == big.done_ps).all()
    assert (other.done_ps < small.done_ps).all() == (other.issued_ps < small.issued_ps).all()
    world = World(world.topology)
    group = world.group(range(4))
    handles = [
        member.all_reduce(ones(4, count), algorithm="ring", async_op=True)
        for member, count in ((world, 4_000_000), (world, 4), (group, 4))
    ]
    big, small, other = (handle.wait().moments for handle in handles)
    assert (small.issued_ps == 0).all()
    assert (small.started_ps == big.done_ps).all()
    assert (other.done_ps < big.done_ps).all()


def test_a_straggler_is_waited_for_and_named(world):
    world.compute(0.5, [2])
    moments = world.all_reduce(ones(4), algorithm="ring").moments
    assert moments.straggler == 2
    assert moments.straggler_of.tolist() == [2, 2, 2, 2]
    assert moments.waiting_ps.tolist() == [5 * 10**11, 5 * 10**11, 0, 5 * 10**11]
    world.restart()
    together = world.all_reduce(ones(4), algorithm="ring").moments
    assert together.straggler is None
    assert not together.waiting_ps.any()


def test_a_straggler_is_not_waited_for_twice(world):
    world.compute(0.5, [2])
    handles = [world.all_reduce(ones(4), algorithm="ring", async_op=True) for _ in range(2)]
    first, second = (handle.wait().moments for handle in handles)
    assert (second.issued_ps == first.issued_ps).all()
    assert first.waiting_ps.max() == 5 * 10**11
    assert second.waiting_ps.max() < 10**11


def test_who_needs_nothing_of_a_straggler_does_not_wait(world):
    world.compute(0.5, [3])
    moments = world.broadcast(ones(4), root=1, algorithm="direct", async_op=True).wait().moments
    assert moments.straggler_of.tolist() == [1, 1, 1, 3]
    assert moments.straggler is None
    assert (world.ranks_now_s[:3] < 0.5).all()
    assert world.ranks_now_s[3] == 0.5  # what came before it was there is there for it


def test_in_a_reduction_the_order_of_others_holds_no_sender_up(world):
    world.compute(0.5, [1])
    moments = world.reduce(ones(4), root=0, algorithm="direct", async_op=True).wait().moments
    assert moments.straggler_of.tolist() == [1, 1, 2, 3]
    assert (world.ranks_now_s[2:] < 0.5).all()


@examples(30)
@given(real_topologies(), cases, st.integers(0, 300), stacks | st.just("nccl") | st.just("ideal"))
def test_alone_in_the_joint_schedule_a_collective_takes_what_was_predicted(
    topology, case, blocks, stack
):
    world = World(topology, stack=stack)
    name, algorithm = case
    x = np.ones((world.size, count_for(name, world.size, blocks)), np.float32)
    x = x[0].repeat(1) if name == "scatter" else x
    run = getattr(world, name)(x, algorithm=algorithm)
    assert run.moments.time_ps == run.prediction.total_ps == round(run.time_s * 1e12)
    done_ps = run.moments.done_ps
    assert (world.engine.clocks.clocks_ps() == done_ps).all()
    again = getattr(world, name)(x, algorithm=algorithm)
    assert (again.moments.issued_ps == run.moments.done_ps).all()
    world.restart()
    run = getattr(world, name)(x, algorithm=algorithm)
    assert (run.moments.done_ps == done_ps).all()


def test_where_nothing_is_sent_no_software_is_called():
    world = World("three-campus", stack="nccl")
    assert world.all_reduce(ones(24, 1)).moments.time_ps > 8_400_000
    world.restart()
    run = world.all_reduce(ones(24, 0))
    assert run.moments.time_ps == run.prediction.total_ps == 0


def test_draws_count_the_messages_of_a_connection_from_the_birth_of_the_world():
    late = replace(TRUNK, jitter=Jitter(1e-3, 3.0))

    def program(world, member):
        handles = []
        for _ in range(3):
            handles.append(member.all_reduce(ones(4), algorithm="ring", async_op=True))
            world.compute(1.0)
        return [handle.wait() for handle in handles]

    worlds = [World(sites_of_one(lambda a, b: late, 4)) for _ in range(2)]
    runs, again = (program(world, world) for world in worlds)
    times = [run.time_s for run in runs]
    assert times == [run.time_s for run in again]
    assert len(set(times)) == 3
    assert times[0] == runs[0].prediction.time_s
    worlds[0].restart()
    assert [run.time_s for run in program(worlds[0], worlds[0])] == times
    group = program(worlds[1], worlds[1].group(range(4)))
    assert not set(times) & {run.time_s for run in group}


def test_a_synchronous_call_begins_at_each_rank_where_the_one_before_has_ended():
    world = World("three-campus")
    at_ps = [0] * 24
    for count in (8, 5000, 8):
        run = world.all_reduce(ones(24, count))
        assert run.moments.issued_ps.tolist() == run.moments.started_ps.tolist() == at_ps
        at_ps = run.moments.done_ps.tolist()
        assert world.engine.clocks.clocks_ps().tolist() == at_ps
    assert len(set(at_ps)) > 1
    assert [each.done_ps for each in world.history][-1] == max(at_ps)


def test_where_ranks_end_together_a_synchronous_program_is_the_sum_of_its_calls(world):
    total_ps = 0
    for count in (8, 5000, 8):
        run = world.all_reduce(ones(4, count), algorithm="ring")
        assert run.time_s == run.prediction.time_s
        total_ps += run.prediction.total_ps
        assert world.engine.clocks.clocks_ps().tolist() == [total_ps] * 4


def test_a_handle_says_when_it_is_done_and_its_run_is_there_when_waited_for(world):
    handle = world.all_reduce(ones(4), async_op=True)
    assert not handle.done
    with pytest.raises(InFlightError, match=r"needed wait\(\)"):
        _ = handle.run
    world.compute(1.0)
    assert handle.done
    run = handle.wait()
    assert run is handle.run
    assert run is handle.wait()
    assert world.now_s == 1.0
    assert (run.output == 4).all()
    assert "waited for>" in repr(handle)


def test_who_has_waited_needs_not_wait_again(world):
    handle = world.all_reduce(ones(4), async_op=True)
    handle.wait()
    clocks = world.ranks_now_s
    world.compute(1.0, [0])
    handle.wait()
    assert (world.ranks_now_s - clocks).tolist() == [1.0, 0, 0, 0]


def test_handles_never_waited_for_take_their_course_and_are_let_go(world):
    for _ in range(200):
        world.all_reduce(ones(4, 4), algorithm="ring", async_op=True)
        world.compute(1.0)
    assert world.engine.clocks.outstanding < 130
    assert len(world.history) == 200
    assert world.now_s == 200


def test_the_input_is_read_when_it_is_issued(world):
    x, out = ones(4), np.zeros((4, 1000), np.uint8)
    handle = world.all_reduce(x, out=out, async_op=True)
    x[:] = 9
    assert handle.wait().output is out
    assert (out == 4).all()
    assert (world.all_reduce(x, out=x, async_op=True).wait().output == 36).all()
    assert (x == 36).all()


@pytest.mark.parametrize("async_op", [True, False])
def test_what_is_wrong_is_said_at_once_and_nothing_is_under_way(world, async_op):
    for wrong in (
        {"x": ones(3)},
        {"x": ones(4), "op": "median"},
        {"x": ones(4), "out": ones(4, 9)},
    ):
        with pytest.raises((ShapeError, ArgumentError)):
            world.all_reduce(async_op=async_op, **wrong)
    assert world.history == ()
    assert world.now_s == 0


def test_a_barrier_lets_nobody_go_on_before_all_have_come(world):
    world.compute(0.3, [1])
    handle = world.barrier(async_op=True)
    world.compute(0.1)
    handle.wait()
    assert (world.ranks_now_s > 0.3).all()
    assert handle.run.moments.straggler == 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_compute_takes_a_time_that_can_pass(world, seconds):
    with pytest.raises(ArgumentError, match="seconds"):
        world.compute(seconds)


def test_clocks_end_after_26_days(world):
    world.all_reduce(ones(4), async_op=True)
    with pytest.raises(TimeLimitError, match="26 days"):
        world.compute(3e6)
    world = World(world.topology)
    world.compute(26 * 86400)
    with pytest.raises(TimeLimitError, match="needed a new World"):
        world.compute(3e6, [1])
    assert (world.ranks_now_s == 26 * 86400).all()
    world.compute(1e9)  # in step they go on
    assert world.now_s == 26 * 86400 + 1e9
    run = world.all_reduce(ones(4), algorithm="ring")
    assert run.time_s == run.prediction.time_s
    with pytest.raises(TimeLimitError, match="needed a new World"):
        _ = run.moments


def test_an_outage_that_only_a_crowd_meets_is_told_when_time_is_looked_at():
    link = replace(TRUNK, transport=replace(TRUNK.transport, rto_s=1e-3, retries=2))
    topology = two_sites(trunk=link)
    (trunk,) = topology.trunks
    down = replace(trunk, changes=Changes(outages=Outages(schedule=((0.02, 10.0),))))
    world = World(replace(topology, trunks=(down,)))
    groups = world.group([0, 2]), world.group([1, 3])
    handles = [
        each.broadcast(ones(2, 1_200_000), algorithm="direct", async_op=True) for each in groups
    ]
    with pytest.raises(OutageError, match="is down"):
        _ = world.now_s, handles[0].wait().time_s


def test_on_links_that_draw_programs_go_on_for_months():
    """Moments of a joint simulation fit in 64 bits, and are counted anew when all is over."""
    late = replace(TRUNK, jitter=Jitter(1e-3, 3.0))
    world, again = (World(sites_of_one(lambda a, b: late, 4)) for _ in range(2))
    times = []
    for _ in range(30):
        world.compute(2 * 86400.0)
        times.append(world.all_reduce(ones(4), algorithm="ring").time_s)
    assert world.now_s > 60 * 86400
    again.compute(1.0)
    drawn = []
    for _ in range(30):
        drawn.append(again.all_reduce(ones(4), algorithm="ring").time_s)
        again.compute(1.0)
    assert times == pytest.approx(drawn, abs=1e-3)
    assert len(set(times)) > 20
