"""One line of time: changes of links at moments of the line, draws and windows that go on."""

from dataclasses import replace

import numpy as np
import pytest
from by_hand import ONE_MESSAGE, TRUNK, plan_of
from joint_programs import DELAY_PS, NBYTES, OVERHEAD_PS, THERE_PS, Joint, message, ranks
from strategies import program_of, sites_of_one

from emul import CapacityError, OutageError
from emul.links import Changes, Jitter, Outages, State, Transport
from emul.plans import Step
from emul.stacks import IDEAL
from emul.timing import Compute, Footprint, Issue, Wait, time_plan
from emul.timing.effects import link_states
from emul.timing.effects.drawn_delays import MessageCounts, network_draws
from emul.topology import Network

MS, S = 10**9, 10**12
HALF = Changes(trace=(State(), State(1.004, 0.5)))
TWICE = plan_of([Step.of(0, 1, 0, reduce=False)] * 2)


def changing(changes, trunk=TRUNK, n=2):
    topology = sites_of_one(lambda a, b: trunk, n)
    trunks = tuple(replace(each, changes=changes) for each in topology.trunks)
    return Network.of(replace(topology, trunks=trunks))


def alone_ps(network, at_ps, start_s=1.0):
    return time_plan(
        program_of(ONE_MESSAGE, NBYTES, 1), network, start_s=start_s, at_ps=at_ps
    ).total_ps


def test_a_change_is_at_its_moment_of_the_line():
    # 4 ms after the start, so 2 ms after a call at 2 ms; the rest takes twice as long.
    half_ps = 2 * (THERE_PS - DELAY_PS - 2 * MS)
    assert alone_ps(changing(HALF), 2 * MS) == 2 * MS + half_ps + DELAY_PS
    assert alone_ps(changing(HALF), 4 * MS) == OVERHEAD_PS + 2 * 10 * MS + DELAY_PS
    assert alone_ps(changing(HALF), 4 * MS - 1) == OVERHEAD_PS + 2 * 10 * MS + DELAY_PS
    assert alone_ps(changing(HALF), 0, start_s=0.0) == THERE_PS


@pytest.mark.parametrize("base_ps", [0, 1, 999, 2 * MS + 1, 7 * S + 3, 2**50 + 1])
@pytest.mark.parametrize("looks", [False, True])
def test_the_same_moments_whatever_the_base(base_ps, looks):
    trace = tuple(State(k / 7, 0.3 + k % 3 / 4, k % 2 * 1e-3) for k in range(40))
    network = changing(Changes(trace=trace, repeat_s=6.0))
    for ahead_ps in (0, 5 * MS + 1, 137 * MS + 11):
        joint = Joint(network, looks=looks, start_s=1.0, base_ps=base_ps)
        joint.take(Compute(np.array([ahead_ps] * 2)))
        last = joint.take(Issue(message(network), None))
        joint.take(Wait(last))
        total_ps = alone_ps(network, base_ps + ahead_ps)
        assert joint.done(last) == [ahead_ps + total_ps] * 2


def test_an_outage_that_is_seen_from_later_is_told_by_the_line():
    changes = Changes(outages=Outages(schedule=((2.0, 1e3),)))
    transport = Transport(recovery="gbn", rto_s=0.1, retries=2)
    network = changing(changes, replace(TRUNK, transport=transport))
    told = r"is down from 2 s for 1000 s: .* is given up at 2.3 s"
    for at_ps in (2 * S - 9 * MS, 2 * S - MS, 2 * S - 1):
        with pytest.raises(OutageError, match=told):
            alone_ps(network, at_ps, start_s=0.0)


def test_states_are_made_once_and_anew_for_an_earlier_moment(monkeypatch):
    monkeypatch.setattr(link_states, "MOST_KEPT", 8)
    changes = Changes(outages=Outages(between_failures_s=0.01, repair_s=0.001))
    network = changing(changes)
    (trunk,) = network.topology.trunks
    line, other = (link_states._line_of(trunk.changes, "a", seed, 0.0) for seed in (3, 4))
    assert line is link_states._line_of(trunk.changes, "a", 3, 0.0) is not other
    first = line.relative(0, 0, S // 10)
    later = line.relative(5 * S, 0, S // 10)
    assert len(line._moments) <= 8 + len(later)
    assert line.relative(0, 0, S // 10) == first
    (_, state), (then_ps, following) = first[-2:]
    assert state.up is not following.up
    assert then_ps > S // 10
    # From the middle on, the same without those before, of which the last one holds.
    middle_ps = first[4][0]
    assert line.relative(0, middle_ps, S // 10) == [(0, first[3][1]), *first[4:]]
    assert line.relative(middle_ps, 0, S // 10 - middle_ps) == [
        (0, first[4][1]), *((ps - middle_ps, each) for ps, each in first[5:])
    ]  # fmt: skip


@pytest.mark.parametrize(("start_s", "until_s"), [(0.0, 10.0), (10.0, 0.0)])
def test_too_many_changes_are_refused(monkeypatch, start_s, until_s):
    monkeypatch.setattr(link_states, "MOST_STATES", 100)
    changes = Changes(outages=Outages(between_failures_s=0.01, repair_s=0.001))
    (trunk,) = changing(changes).topology.trunks
    line = link_states._line_of(trunk.changes, "a", 0, start_s)
    with pytest.raises(CapacityError, match="changes more than 100 times in 10 s"):
        line.relative(0, 0, round(until_s * S))


JITTERY = replace(TRUNK, jitter=Jitter(1e-3, 2.0))


def footprint_of(plan, communicator=0):
    network = Network.of(sites_of_one(lambda a, b: JITTERY, 2))
    program = program_of(plan, NBYTES, 1)
    return Footprint.of(program, network, None, IDEAL, ranks(0, 1), communicator, 0)


def drawn(footprint, messages=None):
    """The jitter of a footprint after earlier ``messages``, in picoseconds."""
    return footprint.delays.drawn(messages or MessageCounts.none())[0].tolist()


def test_draws_count_the_messages_of_a_connection_from_the_first():
    twice, once = footprint_of(TWICE), footprint_of(ONE_MESSAGE)
    assert len(set(drawn(twice))) == 2
    assert drawn(once) == drawn(twice)[:1]
    assert drawn(once, once.messages) == drawn(twice)[1:]
    third = drawn(once, once.messages + once.messages)
    assert third == drawn(once, twice.messages)
    assert third != drawn(once, once.messages)


def test_many_are_drawn_as_one_by_one():
    twice = footprint_of(TWICE)
    counts = [MessageCounts.none()]
    for _ in range(4):
        counts.append(counts[-1] + twice.messages)
    jitter_ps, tail_ps = twice.delays.drawn_each(counts)
    for count, *columns in zip(counts, jitter_ps, tail_ps, strict=True):
        expected = twice.delays.drawn(count)
        assert [each.tolist() for each in columns] == [each.tolist() for each in expected]


def test_each_communicator_draws_its_own_and_the_first_as_a_call_alone():
    network = Network.of(sites_of_one(lambda a, b: JITTERY, 2))
    alone = time_plan(program_of(ONE_MESSAGE, NBYTES, 1), network).total_ps
    first, second, third = (drawn(footprint_of(ONE_MESSAGE, k)) for k in range(3))
    assert alone == THERE_PS + first[0]
    assert len({*first, *second, *third}) == 3


def test_without_draws_a_footprint_draws_nothing():
    network = Network.of(sites_of_one(lambda a, b: TRUNK, 2))
    assert not network_draws(network)
    assert message(network).delays is None
    assert network_draws(Network.of(sites_of_one(lambda a, b: JITTERY, 2)))


def test_counts_of_connections_are_added():
    a = MessageCounts(np.array([3, 8]), np.array([1, 5]))
    b = MessageCounts(np.array([1, 8, 9]), np.array([2, 2, 2]))
    both = MessageCounts.none() + a + b
    assert (both.keys.tolist(), both.counts.tolist()) == ([1, 3, 8, 9], [2, 1, 7, 2])
    assert both.at(np.array([8, 7, 1, 99])).tolist() == [7, 0, 2, 0]
    assert (both + both).counts.tolist() == [4, 2, 14, 4]


@pytest.mark.parametrize("looks", [False, True])
def test_slow_start_remembers_for_ever(looks):
    transport = Transport(recovery="cubic", slow_start=True, initial_window_bytes=20_000, rto_s=1e6)
    network = Network.of(sites_of_one(lambda a, b: replace(TRUNK, transport=transport), 3))
    joint, last, done = Joint(network, looks=looks), None, []
    for dst in (1, 2, 2, 2, 1):
        last = joint.take(Issue(message(network, 0, dst, communicator=dst), None))
        before_ps = joint.clocks()[0]
        joint.take(Wait(last), Compute(np.full(3, 20 * MS)))
        done.append(joint.done(last)[0] - before_ps)
    alone_ps, full_ps = done[0], OVERHEAD_PS + 10 * MS + DELAY_PS
    assert alone_ps == done[1] > full_ps
    assert done[2:] == [full_ps] * 3
