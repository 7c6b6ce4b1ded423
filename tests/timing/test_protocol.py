"""Handshakes and constants of hosts: against times worked out by hand, and against
a slow simulation of every message."""

import math
from dataclasses import replace

import numpy as np
import pytest
from by_hand import (
    BULK,
    CONTROL,
    CONTROL_S,
    DELAY_S,
    ONE_MESSAGE,
    RATE,
    TRUNK,
    exchange_after_a_fold,
    plan_of,
    seconds,
    stacks,
)
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from protocol_reference import wire_transfers
from reference import simulate_transfers
from strategies import cases, chaotic_plans, program_of, sites_of_one, topologies, width_for

from emul import Stack, World
from emul.plans import Partition, Plan, Step, build_plan
from emul.stacks import Constants
from emul.timing import critical_path, time_plan
from emul.topology import Network

OVERHEAD_S, BULK_S = 1e-6, 0.01


@pytest.mark.parametrize(
    ("handshake", "eager", "trips"),
    [("none", math.inf, 1), ("rendezvous", BULK, 1), ("rendezvous", BULK - 1, 3), ("notice", 0, 2)],
)
def test_a_message_takes_a_trip_for_itself_and_for_each_word_before_it(handshake, eager, trips):
    stack = replace(CONTROL, handshake=handshake, eager_bytes=eager)
    expected = OVERHEAD_S + BULK_S + trips * DELAY_S + (trips - 1) * CONTROL_S
    assert seconds(ONE_MESSAGE, BULK, stack) == pytest.approx(expected, rel=1e-9)


def test_constants_of_hosts_add_up():
    constants = Constants(
        call_s=1e-3, message_s=2e-3, control_s=3e-3, completion_s=4e-3, byte_s=5e-9
    )
    stack = replace(CONTROL, handshake="rendezvous", eager_bytes=0, constants=constants)
    plain = replace(stack, constants=Constants())
    more = seconds(ONE_MESSAGE, BULK, stack) - seconds(ONE_MESSAGE, BULK, plain)
    assert more == pytest.approx(1e-3 + 2e-3 + 3e-3 + 4e-3 + BULK * 5e-9, rel=1e-9)


def test_an_answer_waits_behind_the_bulk_data_of_its_connection():
    # Rank 2 asked long ago. When rank 1 comes, it answers and asks; the bulk of 2 starts when the
    # answer is there, and what 2 answers to 1 comes behind it, so the two ways take turns.
    stack = replace(CONTROL, handshake="rendezvous", eager_bytes=0, control_bytes=1)
    plan = exchange_after_a_fold()
    in_turns = seconds(plan, BULK, stack, n=3)
    at_once = seconds(plan, BULK, replace(stack, in_order=False), n=3)
    fold = BULK_S + 3 * DELAY_S
    assert at_once == pytest.approx(fold + 3 * DELAY_S + BULK_S, rel=1e-3)
    assert in_turns == pytest.approx(fold + 3 * DELAY_S + 2 * BULK_S, rel=1e-3)


def test_who_meet_at_the_same_time_exchange_at_once():
    stack = replace(CONTROL, handshake="rendezvous", eager_bytes=0, control_bytes=1)
    plan = plan_of([Step.of([0, 1], [1, 0], 0, reduce=True)], order="lockstep")
    assert seconds(plan, BULK, stack) == pytest.approx(3 * DELAY_S + BULK_S, rel=1e-3)


def test_a_receiver_that_is_busy_elsewhere_answers_late():
    # Rank 1 gets two messages, one after the other: it asks for the second after the first.
    steps = [Step.of(0, 1, 0, reduce=True), Step.of(2, 1, 0, reduce=True)]
    plan = Plan("all_reduce", "by hand", 3, 0, Partition.uniform(1), lambda: iter(steps),
                order="lockstep")  # fmt: skip
    stack = replace(CONTROL, handshake="notice", control_bytes=1)
    once = 2 * DELAY_S + BULK_S
    assert seconds(plan, BULK, stack, n=3) == pytest.approx(2 * once, rel=1e-3)
    in_any_order = replace(plan, order="free")
    assert seconds(in_any_order, BULK, stack, n=3) == pytest.approx(once, rel=1e-3)


def test_steps_under_way_hide_the_trips_of_one_another():
    # Segments of 1 ms, 10 ms there and back: one at a time, or two, or as many as there are.
    segments, bulk_s = 12, 1e-3
    steps = [Step.of(0, 1, i, reduce=False) for i in range(segments)]
    stack = replace(CONTROL, handshake="notice", control_bytes=1)
    for under_way in (1, 2, 3):
        plan = plan_of(steps, "lockstep", segments, under_way=under_way)
        rounds = segments / under_way
        # Each round trip carries so many segments; the last ones follow one another.
        expected = rounds * 2 * DELAY_S + (rounds + under_way - 1) * bulk_s
        found = seconds(plan, int(segments * bulk_s * RATE), stack)
        assert found == pytest.approx(expected, rel=0.01), under_way


def test_before_a_step_that_drains_all_before_it_is_waited_for():
    # Of two under way, the third step follows the first, unless it waits for the long second too.
    steps = [Step.of(0, 1, 0, reduce=False), Step.of(0, 1, 1, reduce=False, nchunks=1),
             Step.of(0, 1, 2, reduce=False)]  # fmt: skip
    partition = Partition(1, 102, np.array([0, 1, 101, 102]))
    stack = replace(CONTROL, handshake="notice", control_bytes=1)

    def third_starts(drains):
        plan = Plan("all_reduce", "by hand", 2, 0, partition, lambda: iter(steps),
                    order="lockstep", under_way=2, drains=drains)  # fmt: skip
        network = Network.of(sites_of_one(lambda a, b: TRUNK, 2))
        timeline = time_plan(program_of(plan, 102 * 10_000, 1), network, stack=stack)
        notices = np.flatnonzero(timeline.src == 1)
        return timeline.start_ps[notices[2]] / 1e12

    # The first is there after a trip for the notice, and its own; the second 10 ms later.
    assert third_starts(()) == pytest.approx(2 * DELAY_S + 1e-4, rel=1e-2)
    assert third_starts((2,)) == pytest.approx(2 * DELAY_S + 1e-4 + 10e-3, rel=1e-2)


def assert_as_simulated(plan, topology, width, stack):
    timeline = time_plan(program_of(plan, width, 4), Network.of(topology), None, stack=stack)
    wire = wire_transfers(plan, width, 4, stack)
    call_ps = round(stack.constants.call_s * 1e12)
    simulate_transfers(wire, topology, call_ps, shares_ports=stack.shares_ports)
    assert timeline.nbytes.tolist() == [t.nbytes for t in wire]
    assert timeline.done_ps.tolist() == [t.done_ps for t in wire]
    assert critical_path(timeline).total_ps == timeline.total_ps


@examples(100)
@given(st.data(), topologies(), stacks)
def test_random_plans_are_sent_as_the_slow_simulation_sends_them(data, topology, stack):
    plan = data.draw(chaotic_plans(topology.world_size))
    plan = replace(plan, waits=None)
    if plan.order == "lockstep":
        plan = replace(plan, under_way=data.draw(st.integers(1, 3)))
    width = plan.partition.n_chunks * data.draw(st.integers(0, 12))
    assert_as_simulated(plan, topology, width, stack)


@examples(60)
@given(topologies(max_sites=3, max_nodes=2, max_ranks=2), cases, st.integers(0, 60), stacks)
def test_real_plans_are_sent_as_the_slow_simulation_sends_them(topology, case, count, stack):
    sizes, n = tuple(site.ranks for site in topology.sites), topology.world_size
    plan = build_plan(*case, sizes, root=n // 2)
    assert_as_simulated(plan, topology, width_for(case[0], n, count // n), stack)


LIBRARY_CASES = [
    ("all_reduce", "gloo:ring"), ("all_gather", "gloo:ring"), ("broadcast", "gloo:binomial"),
    ("all_reduce", "openmpi:ring"), ("all_reduce", "openmpi:ring,segments=2"),
    ("all_reduce", "openmpi:recursive_doubling"), ("all_reduce", "openmpi:rabenseifner"),
    ("reduce_scatter", "openmpi:recursive_halving"), ("all_gather", "openmpi:bruck"),
    ("broadcast", "openmpi:chain,segments=3"),
]  # fmt: skip


@examples(60)
@given(topologies(max_sites=3, max_nodes=2, max_ranks=2), st.sampled_from(LIBRARY_CASES),
       st.integers(0, 60), stacks)  # fmt: skip
def test_library_plans_are_sent_as_the_slow_simulation_sends_them(topology, case, count, stack):
    n = topology.world_size
    plan = build_plan(*case, [n])
    assert_as_simulated(plan, topology, width_for(case[0], n, count // n), stack)


@given(topologies(), cases, st.integers(0, 60))
def test_a_stack_without_anything_is_the_ideal_one_with_whole_messages(topology, case, count):
    sizes, n = tuple(site.ranks for site in topology.sites), topology.world_size
    plan = build_plan(*case, sizes, root=n // 2)
    program = program_of(plan, width_for(case[0], n, count // n), 4)
    network = Network.of(topology)
    ideal, bare = time_plan(program, network), time_plan(program, network, stack=Stack("bare"))
    assert ideal.done_ps.tolist() == bare.done_ps.tolist()


@pytest.mark.parametrize("stack", ["ideal", "gloo", "openmpi"])
@pytest.mark.parametrize("collective", ["all_reduce", "all_gather", "broadcast", "reduce_scatter"])
def test_stacks_change_the_time_and_not_one_bit(stack, collective):
    world = World("three-campus", stack=stack)
    rng = np.random.default_rng(7)
    x = rng.normal(size=(24, 48)).astype(np.float32)
    plain = World("three-campus", slicing=None)
    run = getattr(world, collective)(x)
    same = getattr(plain, collective)(x, algorithm=run.prediction.plan.algorithm)
    assert run.output.tobytes() == same.output.tobytes()
    assert run.time_s >= run.bound_s
    if stack != "ideal":
        assert run.time_s > same.time_s
