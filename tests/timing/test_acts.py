"""Acts of single ranks: arrivals, waits, holds, senders that are free early, late receivers."""

import numpy as np
import pytest
from joint_programs import (
    DELAY_PS,
    NBYTES,
    OVERHEAD_PS,
    RENDEZVOUS,
    SENDS_PS,
    SENT_PS,
    THERE_PS,
    Joint,
    message,
    network_of,
    ranks,
)
from two_sites import two_sites

from emul.timing import NOT_YET_PS, Arrive, Attach, Compute, Hold, Issue, Wait
from emul.topology import Network

MS = 10**9
LOOKS = pytest.mark.parametrize("looks", [False, True])


def compute(**ms):
    """So many milliseconds of ranks a, b, c."""
    return Compute(np.array([ms.get(name, 0) * MS for name in "abc"[: ms.pop("n", 2)]], np.int64))


@LOOKS
def test_only_those_wait_who_are_named(looks):
    network = network_of(3)
    joint = Joint(network, looks=looks)
    issue = joint.take(Issue(message(network), None))
    joint.take(Wait(issue, ranks(1)))
    assert joint.clocks() == [0, THERE_PS, 0]
    joint.take(compute(a=2, n=3), Wait(issue))
    assert joint.clocks() == [THERE_PS, THERE_PS, 0]


@LOOKS
def test_a_rank_that_arrived_issues_at_its_arrival(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    joint.take(compute(a=1))
    arrive = joint.take(Arrive(ranks(0)))
    joint.take(compute(a=3, b=2))
    issue = joint.take(Issue(message(network), None, (arrive,)))
    moments = joint.moments(issue)
    assert moments.issued_ps.tolist() == moments.started_ps.tolist() == [1 * MS, 2 * MS]
    assert moments.done_ps.tolist() == [1 * MS + THERE_PS] * 2
    joint.take(Wait(issue))
    assert joint.clocks() == [1 * MS + THERE_PS] * 2
    assert not joint.simulation._graph.arrivals


@LOOKS
def test_arrivals_in_any_order_are_who_they_name(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    first = joint.take(Arrive(ranks(1)))
    joint.take(compute(a=4, b=9))
    second = joint.take(Arrive(ranks(0)))
    joint.take(compute(a=9, b=9))
    issue = joint.take(Issue(message(network), None, (second, first)))
    assert joint.moments(issue).issued_ps.tolist() == [4 * MS, 0]
    assert joint.done(issue) == [4 * MS + THERE_PS] * 2


@LOOKS
def test_traffic_waits_for_an_arrival_that_is_not_used_up(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    before = joint.take(Issue(message(network), None))
    joint.take(compute(a=2, b=2))
    arrive = joint.take(Arrive(ranks(0, 1)))
    joint.take(compute(a=40, b=40))
    after = joint.take(Issue(message(network, communicator=1), None, (arrive,)))
    # From 2 ms on, and the overhead of a port that was free, both have half of the trunk.
    began_ps = 2 * MS + OVERHEAD_PS
    first_ps = began_ps + 2 * (SENT_PS - began_ps)
    assert joint.done(before) == [first_ps + DELAY_PS] * 2
    assert joint.done(after) == [first_ps + (began_ps - OVERHEAD_PS) + DELAY_PS] * 2


@LOOKS
def test_ranks_hold_until_a_moment_or_not_at_all(looks):
    network = network_of(3)
    joint = Joint(network, looks=looks)
    joint.take(compute(a=3, b=3, c=9, n=3))
    joint.take(Hold(ranks(0, 1), np.array([5 * MS, 2 * MS])))
    assert joint.clocks() == [5 * MS, 3 * MS, 9 * MS]
    issue = joint.take(Issue(message(network), None))
    joint.take(Wait(issue), Hold(ranks(0, 1), np.array([6 * MS, 90 * MS])))
    assert joint.clocks() == [5 * MS + THERE_PS, 90 * MS, 9 * MS]


@pytest.mark.parametrize(("release", "free_ps"), [("arrival", THERE_PS), ("sent", SENT_PS)])
@LOOKS
def test_a_sender_is_free_by_the_release_of_its_message(release, free_ps, looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    issue = joint.take(Issue(message(network, release=release), None))
    joint.take(Wait(issue))
    assert joint.clocks() == [free_ps, THERE_PS]


@LOOKS
def test_an_eager_sender_is_free_at_once(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    joint.take(compute(a=1))
    issue = joint.take(Issue(message(network, release="issue"), None))
    joint.take(Wait(issue))
    assert joint.clocks() == [1 * MS, 1 * MS + THERE_PS]


def test_a_message_that_queues_is_sent_when_the_connection_has_sent_it():
    network = network_of()
    joint = Joint(network)
    issues = [Issue(message(network, release="sent"), None) for _ in range(3)]
    joint.take(*issues)
    # The port is far quicker than the trunk, so that all three are behind one overhead.
    ends = [SENT_PS + k * SENDS_PS for k in range(3)]
    assert [joint.done(issue) for issue in issues] == [[end, end + DELAY_PS] for end in ends]


def test_inside_a_site_a_message_is_sent_when_it_has_left_the_port():
    network = Network.of(two_sites())  # two ranks each, with 1e12 bytes per second between nodes
    joint = Joint(network)
    issue = joint.take(Issue(message(network, 0, 1, release="sent"), None))
    assert joint.done(issue) == [NBYTES, NBYTES]
    issue = joint.take(Issue(message(network, 0, 1, release="sent"), issue))
    assert joint.done(issue) == [2 * NBYTES, 2 * NBYTES]


@LOOKS
def test_a_receiver_may_come_late_or_early(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    first = joint.take(Issue(message(network, release="sent"), None, missing=ranks(1)))
    assert joint.moments(first).ranks.tolist() == [0]
    assert joint.done(first) == [SENT_PS]
    joint.take(compute(b=40), Attach(first, ranks(1)), Wait(first))
    assert joint.done(first) == [SENT_PS, 40 * MS]
    assert joint.moments(first).issued_ps.tolist() == [0, 40 * MS]
    assert joint.clocks() == [SENT_PS, 40 * MS]


@LOOKS
def test_a_receiver_that_arrived_early_is_done_with_the_data(looks):
    network = network_of()
    joint = Joint(network, looks=looks)
    issue = joint.take(Issue(message(network, release="sent"), None, missing=ranks(1)))
    arrive = joint.take(compute(b=1), Arrive(ranks(1)))
    joint.take(compute(b=1), Attach(issue, ranks(1), (arrive,)), Wait(issue, ranks(1)))
    assert joint.moments(issue).issued_ps.tolist() == [0, 1 * MS]
    assert joint.clocks() == [0, THERE_PS]


@LOOKS
def test_a_handshake_waits_for_the_receiver_and_others_do_not(looks):
    network = network_of(3)
    joint = Joint(network, stack=RENDEZVOUS, looks=looks)
    more = {"stack": RENDEZVOUS, "release": "sent"}
    asks = joint.take(Issue(message(network, **more), None, missing=ranks(1)))
    other = joint.take(Issue(message(network, 0, 2, communicator=1, **more), None))
    joint.take(Wait(other), Wait(asks, ranks(0)))
    (sent_ps, there_ps), moments = joint.done(other), joint.moments(asks)
    assert there_ps - sent_ps == DELAY_PS
    assert moments.ranks.tolist() == [0]
    assert moments.done_ps.tolist() == joint.clocks()[:1] == [NOT_YET_PS]
    assert not moments.are_known.any()
    assert joint.clocks()[1:] == [0, there_ps]
    joint.take(compute(b=100, n=3), Attach(asks, ranks(1)), Wait(asks))
    # The answer is one byte on the way back, without an overhead; then the data go.
    answered_ps = 100 * MS + 10**4 + DELAY_PS
    assert joint.clocks() == [answered_ps + SENT_PS, answered_ps + THERE_PS, there_ps]


def test_an_issue_whose_receiver_is_missing_is_kept():
    network = network_of()
    joint = Joint(network, looks=True)
    issue = joint.take(Issue(message(network, release="issue"), None, missing=ranks(1)))
    joint.take(compute(a=500, b=500))
    joint.look()
    assert issue not in joint.over
    joint.take(Attach(issue, ranks(1)), Wait(issue), compute(a=1, b=1))
    joint.look()
    assert joint.over[issue].done_ps.tolist() == [0, 500 * MS]
    assert len(joint.simulation) == 2  # the clocks


def test_a_rank_does_not_wait_before_its_part_is_issued():
    network = network_of()
    joint = Joint(network)
    issue = joint.take(Issue(message(network), None, missing=ranks(1)))
    with pytest.raises(AssertionError, match="before it issues"):
        joint.take(Wait(issue))
