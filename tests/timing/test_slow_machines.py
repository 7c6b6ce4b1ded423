"""The slow machines by hand: trunks that change and fail, messages, and ranks of their own.

One rank at each site; a message of 1 MB takes 10 ms on a trunk and is 5 ms under way.
"""

import random
from dataclasses import replace

import pytest
from async_reference import carried_out
from async_script import Script
from closed_forms.outages import tcp_outage
from closed_forms.sharing import Flow, finish_times_s
from line_of_states import LineOfStates
from random_programs import changes as drawn_changes
from strategies import sites_of_one

from emul import Link, Node, Site, Topology, Trunk
from emul.links import Changes, Diurnal, Outages, State, Transport
from emul.plans import Partition, Plan, Step

MS = 10**9
PLAIN = Link(1e8, 5e-3)
MB = 10**6


def sites(n=2, changes=None, transport=None, between=("s0", "s1")):
    """Return ``n`` sites of one rank; ``changes`` are those of the trunk ``between`` two."""
    link = replace(PLAIN, transport=transport or Transport())
    topology = sites_of_one(lambda a, b: link, n)
    trunks = tuple(
        replace(trunk, changes=changes) if changes and trunk.sites == between else trunk
        for trunk in topology.trunks
    )
    return replace(topology, trunks=trunks)


def down(*schedule_ms):
    return Changes(outages=Outages(tuple((a / 1e3, b / 1e3) for a, b in schedule_ms)))


def rdma(rto_ms=0.0, retries=7):
    return Transport(recovery="gbn", rto_s=rto_ms / 1e3, retries=retries)


def steps_of(n, *ends):
    """Return a plan of one step after the other, each a transfer of the whole buffer."""
    steps = [Step.of(src, dst, 0, reduce=False) for src, dst in ends]
    return Plan("all_reduce", "by hand", n, 0, Partition.uniform(1), lambda: iter(steps))


def ms(moments_ps):
    """Return moments by rank in milliseconds; the ports take a nanosecond of each message."""
    return {rank: round(ps / MS, 5) for rank, ps in sorted(moments_ps.items())}


class Told(Script):
    """A script of operations of one megabyte, that tells how each one went."""

    def message(self, src=0, dst=1, tag=0):
        self.recv(src, dst, tag)
        return self.send(src, dst, MB, tag)

    def collective(self, ranks, *ends, communicator=0):
        plan = steps_of(len(ranks), *ends)
        return self.issue(self.plan(plan, MB, 1, ranks, communicator))

    def on(self, topology, start_s=0.0):
        return carried_out(topology, self, start_s)


def done_after(topology, start_s=0.0):
    """Return when sender and receiver of one message are done."""
    script = Told()
    message = script.message()
    script.on(topology, start_s)
    return ms(message.done)


# Messages and waits


def test_a_sender_is_free_when_the_last_byte_has_left_and_a_receiver_when_it_is_there():
    assert done_after(sites()) == {0: 10, 1: 15}


@pytest.mark.parametrize(("computes_ms", "comes_ms"), [(3, 15), (20, 20)])
def test_a_receiver_may_come_early_or_late(computes_ms, comes_ms):
    script = Told()
    sent = script.send(0, 1, MB)
    script.compute(computes_ms * MS, [1])
    assert script.recv(0, 1) is sent
    script.wait(sent, [1])
    assert script.on(sites()).clock == [0, comes_ms * MS]
    assert ms(sent.issued) == {0: 0, 1: computes_ms}


def test_a_message_waits_for_its_sender_and_is_that_of_its_tag():
    script = Told()
    second, first = script.recv(0, 1, tag=7), script.recv(0, 1, tag=8)
    script.compute(4 * MS, [0])
    assert script.send(0, 1, MB, tag=8) is first
    assert script.send(0, 1, MB, tag=7) is second
    script.wait(second, [1])
    assert script.on(sites()).clock[1] == 29 * MS
    assert ms(first.done) == {0: 14, 1: 19}
    assert ms(second.started) == {0: 14, 1: 0}  # the second is sent after the first


def test_only_those_wait_who_are_named_and_no_one_for_others():
    script = Told()
    both = script.collective([0, 1, 2], (0, 1), (1, 2))
    script.wait(both, [1])
    machines = script.on(sites(3))
    assert ms(both.done) == {0: 15, 1: 30, 2: 30}
    assert machines.clock == [0, both.done[1], 0]


def test_a_rank_that_arrives_sends_before_the_others_come():
    script = Told()
    coming = script.plan(steps_of(2, (0, 1)), MB, 1, [0, 1], 0)
    script.compute(2 * MS, [0])
    script.arrive(coming, [0])
    script.compute(30 * MS, [0])
    script.compute(4 * MS, [1])
    script.issue(coming)
    script.wait(coming)
    machines = script.on(sites())
    assert ms(coming.issued) == {0: 2, 1: 4}
    assert ms(coming.done) == {0: 17, 1: 17}
    assert ms(dict(enumerate(machines.clock))) == {0: 32, 1: 17}


# Trunks that change


def test_the_rate_and_the_delay_of_a_message_are_those_of_the_moment():
    half = (State(), State(0.005, 0.5), State(0.012, 0.5, 0.002))
    assert done_after(sites(changes=Changes(half))) == {0: 15, 1: 22}
    assert done_after(sites(changes=Changes(half)), start_s=0.002) == {0: 17, 1: 24}


def test_a_trace_is_repeated():
    beats = Changes((State(), State(0.001, 0.0)), repeat_s=0.003)
    assert done_after(sites(changes=beats)) == {0: 28, 1: 33}


def test_load_is_that_of_the_hour():
    day = Changes(diurnal=Diurnal(0.0, 0.5, busiest_hour=0.0))
    near_midnight, near_noon = (done_after(sites(changes=day), s)[0] for s in (0.0, 43200.0))
    assert near_midnight == pytest.approx(20, rel=1e-3)
    assert near_noon == pytest.approx(10, rel=1e-3)


@pytest.mark.parametrize("number", range(40))
def test_states_are_those_that_the_links_tell(number):
    draw = random.Random(number)
    changes, start_s = drawn_changes(draw), draw.choice((0.0, 1e-4, 0.1))
    told = list(changes.states(0, "x", start_s + 3e-3))
    line = LineOfStates(changes, start_s)
    for at_s in (draw.uniform(0, 2e-3) for _ in range(30)):
        (*_, there) = (state for state in told if state.from_s <= start_s + at_s)
        number = line.at(round(at_s * 1e12))
        found = line.states[number]
        assert (found.factor, found.up) == (there.rate_factor, there.up)
        assert found.extra_ps == round(there.extra_delay_s * 1e12)


# Sharing


def test_messages_that_share_a_trunk_end_as_fluid_flows_do():
    nic = Link(1e15, 0.0)
    two = tuple(Site(name, (Node(1, nic),) * 3, nic) for name in "ab")
    topology = Topology("two", two, (Trunk(("a", "b"), PLAIN),))
    script, flows = Told(), {}
    for rank, computes_ms in enumerate((0, 3, 7)):
        script.compute(computes_ms * MS, [rank])
        flows[rank] = Flow(("trunk",), nbytes=MB, start_s=computes_ms / 1e3)
        script.message(rank, 3 + rank)
    script.on(topology)
    ends_s = finish_times_s({"trunk": 1e8}, flows)
    for rank, message in enumerate(script.issues):
        assert message.done[rank] == pytest.approx(ends_s[rank] * 1e12, abs=3)


# Outages


@pytest.mark.parametrize("lasting_ms", [1, 7, 8, 21, 22, 48])
def test_tcp_goes_on_after_timers_that_double(lasting_ms):
    """Down at 4 ms: all that was sent is in flight, and is lost."""
    tcp = Transport(recovery="cubic", rto_s=0.007)
    stall_ms = tcp_outage(lasting_ms / 1e3, timer_s=0.007).stall_s * 1e3
    there = done_after(sites(changes=down((4, lasting_ms)), transport=tcp))
    assert there == pytest.approx({0: 4 + stall_ms + 10, 1: 4 + stall_ms + 15}, rel=1e-12)


@pytest.mark.parametrize(
    ("lasting_ms", "up_ms"), [(3, 4 + 6), (6, 4 + 6), (7, 4 + 12), (12, 4 + 12)]
)
def test_rdma_goes_on_after_whole_timers(lasting_ms, up_ms):
    topology = sites(changes=down((4, lasting_ms)), transport=rdma(6, retries=2))
    assert done_after(topology) == {0: up_ms + 10, 1: up_ms + 15}


def test_without_a_timer_a_message_goes_on_when_the_trunk_is_up():
    assert done_after(sites(changes=down((4, 3)), transport=rdma())) == {0: 17, 1: 22}


def test_bytes_are_lost_as_far_as_they_are_under_way():
    """Sent before 8 ms: 800 kB, of which 300 kB are there; 700 kB take 7 ms more."""
    assert done_after(sites(changes=down((8, 2)))) == {0: 17, 1: 22}


def test_an_outage_catches_the_end_of_a_message():
    """All has left at 10 ms; at 12 ms the bytes sent since 7 ms are lost."""
    assert done_after(sites(changes=down((12, 4)))) == {0: 19, 1: 24}
    assert done_after(sites(changes=down((15, 4)))) == {0: 10, 1: 15}


def test_a_message_that_meets_an_outage_begins_after_it():
    """Issued when the trunk is down, at 1 ms: the first timer that finds it up is at 7 ms."""
    script = Told()
    script.compute(1 * MS, [0])
    late = script.message()
    script.on(sites(changes=down((0.5, 4)), transport=rdma(6)))
    assert ms(late.done) == {0: 17, 1: 22}


def test_two_outages_are_waited_for_one_after_the_other():
    """The second one cuts what was sent from 7 to 9 ms, and lasts until 11 ms."""
    assert done_after(sites(changes=down((4, 3), (9, 2)))) == {0: 21, 1: 26}


def test_a_timer_that_finds_the_next_outage_counts_from_the_first_loss():
    """TCP tries at 11 ms, when the trunk is down again, and next at 4 + 7 + 14 = 25 ms."""
    tcp = Transport(recovery="cubic", rto_s=0.007)
    assert done_after(sites(changes=down((4, 3), (10.5, 1.5)), transport=tcp)) == {0: 35, 1: 40}
    topology = sites(changes=down((4, 3), (9.5, 1)), transport=rdma(6, retries=1))
    assert done_after(topology) == {0: 4 + 2 * 6, 1: 16}


def test_those_who_send_when_another_is_stalled_have_the_trunk_to_themselves():
    """Rank 0 is cut at 4 ms and goes on at 16 ms; rank 1 sends from 9 to 16 ms alone."""
    nic = Link(1e15, 0.0)
    two = tuple(Site(name, (Node(1, nic),) * 2, nic) for name in "ab")
    trunk = Trunk(("a", "b"), replace(PLAIN, transport=rdma(12)), changes=down((4, 3)))
    script = Told()
    first = script.message(0, 2)
    script.compute(9 * MS, [1])
    second = script.message(1, 3)
    script.on(Topology("two", two, (trunk,)))
    # 700 kB by 16 ms; the rest of the second at half of the rate until 22 ms, then the first alone.
    assert ms(second.done) == {1: 22, 3: 27}
    assert ms(first.done) == {0: 29, 2: 34}


# Failures


def test_a_connection_is_given_up_one_timer_after_its_last_retry():
    """Lost at 4 ms; tries at 10 and 16 ms; given up at 22 ms."""
    topology = sites(changes=down((4, 13)), transport=rdma(6, retries=2))
    assert done_after(topology) == {0: 22, 1: 22}


def test_tcp_gives_up_an_outage_without_end_after_fifteen_retries():
    """Sixteen timers: 0.2 s, doubled up to 102.4 s, and six of 120 s (tcp_retries2 of Linux)."""
    tcp = Transport(recovery="cubic")
    dark = Changes((State(), State(0.004, up=False)))
    seconds = 0.004 + 0.2 * (2**10 - 1) + 6 * 120
    assert done_after(sites(changes=dark, transport=tcp)) == {0: seconds * 1e3, 1: seconds * 1e3}


def test_what_is_queued_on_a_dead_connection_is_dropped_with_its_operation():
    """Two transfers in a row of one operation; that of the next tries at 22 ms, then at 28 ms."""
    topology = sites(changes=down((4, 19)), transport=rdma(6, retries=2))
    script = Told()
    failing = script.collective([0, 1], (0, 1), (0, 1))
    after = script.collective([0, 1], (0, 1))
    script.on(topology)
    assert ms(failing.done) == {0: 22, 1: 22}
    assert not failing.gone
    assert ms(after.done) == {0: 28 + 15, 1: 43}


def test_what_comes_to_a_dead_connection_is_dropped_too():
    """Ports of 25 ms a message: the second comes at 25 ms, and that of the next one at 50 ms."""
    link = replace(PLAIN, rate_bytes_per_s=2e7, transport=rdma(6, retries=2))
    topology = sites_of_one(lambda a, b: link, 2, nic=Link(4e7, 0.0))
    (trunk,) = topology.trunks
    script = Told()
    failing = script.collective([0, 1], (0, 1), (0, 1))
    after = script.collective([0, 1], (0, 1))
    script.on(replace(topology, trunks=(replace(trunk, changes=down((4, 19))),)))
    assert ms(failing.done) == {0: 22, 1: 22}
    assert ms(after.done) == {0: 50 + 50 + 5, 1: 105}


def test_what_a_failed_operation_has_not_begun_never_begins_and_others_go_on():
    topology = sites(3, changes=down((4, 100)), transport=rdma(6, retries=2))
    script = Told()
    failing = script.collective([0, 1, 2], (0, 1), (1, 2))
    script.compute(20 * MS, [1, 2])
    other = script.message(1, 2)
    after = script.collective([0, 1, 2], (1, 2))
    for each in (failing, other, after):
        script.wait(each)
    machines = script.on(topology)
    assert failing.failed_ps == 22 * MS
    assert ms(failing.done) == {0: 22, 1: 22, 2: 22}
    assert not failing.gone
    # The other has the trunk alone up to 22 ms, and shares it with the one after the failure.
    assert ms(other.done) == {1: 20 + 2 + 16, 2: 43}
    assert ms(after.started) == {0: 22, 1: 22, 2: 22}
    assert ms(after.done) == {0: 22, 1: 38 + 2 + 5, 2: 45}
    assert [other.failed_ps, after.failed_ps] == [None, None]
    assert max(machines.clock) == after.done[2]


def test_who_is_done_when_an_operation_fails_stays_so_and_what_is_on_links_goes_on():
    """Rank 2 gets its part at 15 ms; that of rank 3 goes on beyond 22 ms, for it is slow."""
    topology = sites(4, changes=down((4, 100)), transport=rdma(6, retries=2))
    slow = tuple(
        replace(t, link=replace(t.link, rate_bytes_per_s=2.5e7)) if t.sites == ("s0", "s3") else t
        for t in topology.trunks
    )
    script = Told()
    failing = script.collective([0, 1, 2, 3], (0, 1), (0, 2), (0, 3))
    script.compute(25 * MS, [0])
    behind = script.message(0, 3)
    script.on(replace(topology, trunks=slow))
    assert ms(failing.done) == {0: 22, 1: 22, 2: 15, 3: 22}
    assert ms({2: failing.left_at[2]}) == {2: 25 + 15 * 2}  # 375 kB are left when it has half
    assert ms(behind.done) == {0: 55 + 25, 3: 85}


def test_a_rank_that_comes_after_the_failure_is_done_when_it_comes():
    script = Told()
    script.compute(50 * MS, [1])
    failing = script.collective([0, 1], (0, 1))
    after = script.collective([0, 1], (1, 0))
    script.on(sites(changes=down((4, 30)), transport=rdma(6, retries=2)))
    assert ms(failing.done) == {0: 22, 1: 50}
    assert ms(after.started) == {0: 22, 1: 50}
    assert ms(after.done) == {0: 65, 1: 65}


def test_on_the_same_trunk_messages_go_on_once_it_is_up():
    """Two that wait in a row: the first is given up at 22 ms, the second then begins, at 24 ms."""
    script = Told()
    first, second = script.message(), script.message()
    script.on(sites(changes=down((4, 19)), transport=rdma(6, retries=2)))
    assert first.failed_ps == 22 * MS
    assert ms(first.done) == {0: 22, 1: 22}
    assert ms(second.done) == {0: 38, 1: 43}  # a first try at 22 ms, the next at 28 ms
