"""An operation that fails does so alone: when, who learns it, and what goes on beside it."""

import random
from dataclasses import replace

import numpy as np
import pytest
from by_hand import TRUNK, plan_of
from joint_programs import (
    DELAY_PS,
    LAZILY,
    NBYTES,
    OVERHEAD_PS,
    PING_PONG,
    SENDS_PS,
    SENT_PS,
    THERE_PS,
    Joint,
    message,
    ranks,
)
from nightly import fewer
from strategies import program_of, sites_of_one

from emul import Link, OutageError
from emul.links import Changes, Outages, State, Transport
from emul.plans import Partition, Plan, Step
from emul.stacks import IDEAL
from emul.timing import (
    Arrive,
    Attach,
    Compute,
    Failure,
    Footprint,
    Hold,
    Issue,
    Slicing,
    Wait,
    time_plan,
)
from emul.topology import Network

MS, S = 10**9, 10**12
DOWN_PS, PATIENCE_PS = 5 * MS, 300 * MS
GBN = replace(TRUNK, transport=Transport(recovery="gbn", rto_s=0.1, retries=2))
TCP = replace(TRUNK, transport=Transport(recovery="cubic"))
LONG = Changes(outages=Outages(schedule=((5e-3, 10.0),)))
EVER = Changes(trace=(State(), State(5e-3, up=False)))
DRY = Changes(trace=(State(), State(5e-3, rate_factor=0.0)))
LOOKS = pytest.mark.parametrize("looks", [False, True])
RING = Plan(
    "all_reduce", "by hand", 4, 0, Partition.uniform(2), order="free",
    steps=lambda: iter(
        Step.of([0, 1, 2, 3], [1, 2, 3, 0], [k % 2] * 4, reduce=False) for k in range(5)
    ),
)  # fmt: skip
BOTH = plan_of([Step.of(0, 1, 0, reduce=False)] * 2)


def network_of(changes, trunk=GBN, n=4):
    """Sites of one rank, of which the trunk between the first two changes."""
    topology = sites_of_one(lambda a, b: trunk, n)
    first, *others = topology.trunks
    return Network.of(replace(topology, trunks=(replace(first, changes=changes), *others)))


def footprint(network, plan, nbytes=NBYTES, communicator=0, slicing=None):
    here = ranks(*range(plan.world_size))
    program = program_of(plan, nbytes, 1)
    return Footprint.of(program, network, slicing, IDEAL, here, communicator, seed=0)


@LOOKS
def test_one_of_two_trunks_dies_and_the_other_operation_goes_on(looks):
    joint = Joint(network := network_of(LONG), looks=looks)
    dies, lives = (message(network, *ends, communicator=ends[0]) for ends in ((0, 1), (2, 3)))
    dies, lives = Issue(dies, None), Issue(lives, None)
    joint.take(dies, lives, Wait(lives), Wait(dies))
    failed_ps = DOWN_PS + PATIENCE_PS
    assert joint.clocks() == [failed_ps, failed_ps, THERE_PS, THERE_PS]
    assert joint.done(dies) == [failed_ps] * 2
    assert joint.failure(lives) is None
    assert joint.failure(dies) == Failure(
        failed_ps,
        "s0 -> s1",
        "trunk s0 -> s1 is down from 0.005 s for 10 s: a connection of 'gbn' is given up at "
        "0.305 s, one timer after the last of 2 retries of 0.1 s: needed a shorter outage, or "
        "more of rto_s or retries",
    )
    # When the trunk is up again, it is as if nothing had been.
    joint.take(Hold(ranks(0, 1), np.array([20 * S] * 2)))
    again = joint.take(Issue(message(network), dies))
    joint.take(Wait(again))
    assert joint.clocks()[:2] == [20 * S + THERE_PS] * 2


def test_a_plan_alone_says_the_same():
    network = network_of(LONG)
    joint = Joint(network)
    issue = joint.take(Issue(message(network), None))
    with pytest.raises(OutageError) as error:
        time_plan(message(network).transfers.origin.program, network)
    assert str(error.value) == joint.failure(issue).text


@pytest.mark.parametrize(
    ("trunk", "changes", "patience_ps", "told"),
    [
        (GBN, EVER, PATIENCE_PS, "down from 0.005 s on and does not come up again"),
        (GBN, DRY, PATIENCE_PS, "never ends: a trunk of s0 -> s1 has no rate left"),
        # 0.2 s and its doubles up to 102.4 s, then 120 s: 16 timers in all.
        (TCP, EVER, 924_600 * MS, "down from 0.005 s on and does not come up again"),
        (TCP, DRY, 924_600 * MS, "never ends: a trunk of s0 -> s1 has no rate left"),
        (TRUNK, EVER, 0, "down from 0.005 s on and does not come up again"),
        (TRUNK, DRY, 0, "never ends: a trunk of s0 -> s1 has no rate left"),
    ],
)
@LOOKS
def test_each_transport_loses_its_patience(trunk, changes, patience_ps, told, looks):
    joint = Joint(network := network_of(changes, trunk), looks=looks)
    issue = joint.take(Issue(message(network), None))
    joint.take(Wait(issue))
    assert joint.clocks()[:2] == [DOWN_PS + patience_ps] * 2
    assert told in joint.failure(issue).text
    # Who begins later loses it as late.
    after = joint.take(Issue(message(network), issue))
    began_ps = DOWN_PS + patience_ps + OVERHEAD_PS
    assert joint.done(after) == [began_ps + patience_ps] * 2
    with pytest.raises(OutageError, match=told):
        time_plan(message(network).transfers.origin.program, network)


@LOOKS
def test_tcp_bears_an_outage_that_ends_however_long(looks):
    changes = Changes(outages=Outages(schedule=((5e-3, 5000.0),)))
    joint = Joint(network := network_of(changes, TCP), looks=looks)
    issue = joint.take(Issue(message(network), None))
    joint.take(Wait(issue))
    assert joint.failure(issue) is None
    assert joint.clocks()[0] > 5000 * S


@LOOKS
def test_what_has_not_begun_never_begins_and_what_is_queued_is_dropped(looks):
    joint = Joint(network := network_of(LONG), looks=looks)
    queued = joint.take(Issue(footprint(network, BOTH), None))
    unbegun = Issue(replace(footprint(network, PING_PONG), communicator=1), None)
    joint.take(unbegun)
    failed_ps = DOWN_PS + PATIENCE_PS
    assert joint.done(queued) == joint.done(unbegun) == [failed_ps] * 2
    if not looks:
        outcome = joint.simulation.outcome()
        start_ps = outcome.timeline.start_ps
        assert (start_ps[outcome.lines[queued]] >= 0).all()
        assert start_ps[outcome.lines[unbegun]].tolist() == [2 * 10**3 + 2 * OVERHEAD_PS, -1]
    joint.take(Wait(queued), Wait(unbegun))
    after = joint.take(Issue(message(network), queued))
    # The queue is empty: it begins at once, and waits in vain from its own beginning.
    assert joint.done(after) == [failed_ps + OVERHEAD_PS + PATIENCE_PS] * 2


@LOOKS
def test_what_is_under_way_goes_on_and_starts_nothing_more(looks):
    network = network_of(LONG)
    steps = [Step.of([0, 2], [1, 0], [0, 1], reduce=False), Step.of(0, 2, 1, reduce=False)]
    plan = replace(RING, world_size=3, steps=lambda: iter(steps))
    joint = Joint(network, looks=looks)
    # The half of rank 2 takes a second; rank 1 comes late.
    issue = joint.take(Issue(footprint(network, plan, 200_000_000), None))
    joint.take(Compute(np.array([0, 0, 0, 2 * S])))
    assert joint.done(issue) == [DOWN_PS + PATIENCE_PS] * 3
    outcome = joint.simulation.outcome()
    sent, came, unbegun = range(*outcome.lines[issue].indices(99))
    assert outcome.timeline.done_ps[[sent, unbegun]].tolist() == [-1, -1]
    assert outcome.timeline.start_ps[unbegun] == -1
    assert outcome.timeline.done_ps[came] == OVERHEAD_PS + 1 * S + DELAY_PS


def test_credit_that_is_free_afterwards_lets_nothing_begin():
    joint = Joint(network := network_of(LONG))
    steps = [Step.of([0, 2], [1, 0], [0, 1], reduce=False)]
    plan = replace(RING, world_size=3, steps=lambda: iter(steps))
    sliced = footprint(network, plan, 200_000_000, slicing=Slicing(5_000_000, 2))
    issue = joint.take(Issue(sliced, None))
    assert joint.done(issue) == [DOWN_PS + PATIENCE_PS] * 3
    outcome = joint.simulation.outcome()
    start_ps = outcome.timeline.start_ps[outcome.lines[issue]]
    # Two slices of 50 ms are under way from rank 2; what was handed over by 305 ms is sent.
    assert start_ps.max() < DOWN_PS + PATIENCE_PS
    assert 4 < (start_ps >= 0).sum() < 12


@LOOKS
def test_who_has_not_started_hears_nothing_of_what_arrives(looks):
    joint = Joint(network := network_of(LONG), looks=looks)
    joint.take(Compute(np.array([0, 0, 3 * S, 0])))
    # Rank 1 sends to rank 2, from 0.1 s on, what comes after the outage has begun.
    steps = [Step.of([0, 1], [1, 2], [0, 1], reduce=False)]
    plan = replace(RING, world_size=3, steps=lambda: iter(steps))
    joint.take(Compute(np.array([0, 100 * MS, 0, 0])))
    issue = joint.take(Issue(footprint(network, plan, 100_000_000), None))
    assert joint.done(issue) == [DOWN_PS + PATIENCE_PS] * 2 + [3 * S]


@LOOKS
def test_operations_behind_it_on_the_connection_are_served(looks):
    joint = Joint(
        network := network_of(Changes(outages=Outages(schedule=((5e-3, 0.4),)))), looks=looks
    )
    first, second = (Issue(message(network), None) for _ in range(2))
    joint.take(first, second)
    failed_ps = DOWN_PS + PATIENCE_PS
    assert joint.done(first) == [failed_ps] * 2
    # It begins at 305 ms; the first retry that is not before 405 ms is at 405 ms.
    assert joint.done(second) == [405 * MS + SENDS_PS + DELAY_PS] * 2


@LOOKS
def test_a_rank_that_starts_later_learns_it_then(looks):
    joint = Joint(network := network_of(LONG), looks=looks)
    joint.take(Compute(np.array([0, 900 * MS, 0, 0])))
    issue = joint.take(Issue(message(network, release="sent"), None))
    assert joint.done(issue) == [DOWN_PS + PATIENCE_PS, 900 * MS]
    joint.take(Wait(issue))
    missing = joint.take(Issue(message(network), None, missing=ranks(1)))
    joint.take(Compute(np.array([0, 900 * MS, 0, 0])))
    joint.take(Attach(missing, ranks(1)), Wait(missing))
    began_ps = DOWN_PS + PATIENCE_PS + OVERHEAD_PS
    assert joint.done(missing) == [began_ps + PATIENCE_PS, 1800 * MS]
    assert joint.clocks() == [began_ps + PATIENCE_PS, 1800 * MS, 0, 0]


@LOOKS
def test_a_sender_that_was_free_before_stays_so(looks):
    joint = Joint(
        network := network_of(Changes(outages=Outages(schedule=((11e-3, 10.0),)))), looks=looks
    )
    # All has left before the trunk goes down, but not arrived: it is lost all the same.
    assert SENT_PS < 11 * MS < THERE_PS
    issue = joint.take(Issue(message(network, release="issue"), None))
    joint.take(Wait(issue))
    assert joint.clocks() == [0, 11 * MS + PATIENCE_PS, 0, 0]


def test_a_failed_operation_is_let_go_of():
    joint = Joint(network := network_of(LONG), looks=True)
    last = None
    for k in range(5):
        last = joint.take(Issue(footprint(network, BOTH if k % 2 else PING_PONG), last))
        joint.take(Wait(last), Compute(np.full(4, MS)))
        joint.take(Hold(ranks(2, 3), np.array([joint.clocks()[0]] * 2)))
    assert all(joint.failed[issue] for issue in joint.over)
    assert len(joint.over) >= 4
    joint.take(Compute(np.full(4, S)))
    assert len(joint.simulation) == 4


TRACES = (
    Changes(outages=Outages(schedule=((0.004, 0.03), (0.06, 1.0), (1.2, 0.2)))),
    Changes(outages=Outages(between_failures_s=0.03, repair_s=0.03)),
    Changes(trace=(State(), State(0.02, 0.0), State(0.3, 0.5), State(0.9, up=False))),
    Changes(trace=(State(), State(0.02, up=False), State(0.2), State(0.5, 0.0))),
)


def test_a_trunk_that_stays_down_is_not_looked_at_beside_one_that_changes_for_ever():
    network = network_of(EVER)
    first, second, *others = network.topology.trunks
    endless = Changes(outages=Outages(between_failures_s=0.01, repair_s=0.001))
    trunks = (first, replace(second, changes=endless), *others)
    network = Network.of(replace(network.topology, trunks=trunks))
    joint = Joint(network)
    issue = joint.take(Issue(message(network), None))
    assert joint.done(issue) == [DOWN_PS + PATIENCE_PS] * 2
    with pytest.raises(OutageError, match="does not come up again"):
        time_plan(message(network).transfers.origin.program, network)


class Drawn:
    """Messages, computes and waits of four ranks, over trunks that fail, drawn by number."""

    def __init__(self, number, *, looks):
        self.draw = draw = random.Random(number)
        recovery = draw.choice(("gbn", "gbn", "sr", "cubic", "none"))
        more = {} if recovery == "none" else {"rto_s": draw.choice((0.003, 0.02)), "retries": 2}
        streams, waves = draw.choice(((1, 1), (1, 1), (3, 4)))
        trunk = replace(
            TRUNK,
            waves=waves,
            rate_bytes_per_s=1e8 * waves,
            transport=Transport(recovery=recovery, streams=streams, **more),
        )
        nic = draw.choice((None, Link(1.3e8, 0.0)))
        topology = sites_of_one(lambda a, b: trunk, 4, nic)
        traces = [each for each in TRACES if recovery != "cubic" or each.trace]  # of little length
        trunks = tuple(replace(each, changes=draw.choice(traces)) for each in topology.trunks)
        self.network = Network.of(replace(topology, trunks=trunks))
        self.joint = Joint(self.network, looks=looks)
        self.slicing = Slicing(100_000, draw.choice((2, 8)))
        self.issues, self.waiting, self.last, self.open = [], [], {}, []
        for _ in range(24):
            self.step(draw.choice(("issue", "ring", "send", "compute", "compute", "wait")))
        self.attach()

    def step(self, kind):
        draw, joint = self.draw, self.joint
        src, dst = sorted(draw.sample(range(4), 2))
        nbytes = draw.choice((1000, 300_000, 2_000_000))
        if kind == "issue":
            communicator = 4 * src + dst
            sent = message(self.network, src, dst, nbytes, communicator)
            if draw.random() < 0.4:
                program = program_of(draw.choice((BOTH, PING_PONG)), nbytes, 1)
                sent = Footprint.of(
                    program, self.network, None, IDEAL, ranks(src, dst), communicator, 0
                )
            issue = self.last[communicator] = Issue(sent, self.last.get(communicator))
            self.issues.append(joint.take(issue))
            self.waiting.append(issue)
        elif kind == "ring":
            slicing = draw.choice((None, self.slicing))
            issue = Issue(footprint(self.network, RING, nbytes, 17, slicing), self.last.get(17))
            self.last[17] = issue
            self.issues.append(joint.take(issue))
            self.waiting.append(issue)
        elif kind == "send":
            release = draw.choice(("sent", "arrival", "issue"))
            sent = message(self.network, src, dst, nbytes, 16, release=release)
            self.issues.append(joint.take(Issue(sent, None, missing=ranks(dst))))
            self.open.append((self.issues[-1], dst))
        elif kind == "compute":
            most = draw.choice((MS, 30 * MS, 200 * MS))
            joint.take(Compute(np.array([draw.randrange(most) for _ in range(4)])))
        elif self.open and draw.random() < 0.5:
            self.attach()
        elif self.waiting:
            issue = self.waiting.pop(draw.randrange(len(self.waiting)))
            joint.take(Wait(issue, draw.choice((None, issue.footprint.ranks[:1]))))

    def attach(self):
        while self.open:
            issue, dst = self.open.pop()
            arrive = self.joint.take(Arrive(ranks(dst))) if self.draw.random() < 0.5 else None
            self.joint.take(Attach(issue, ranks(dst), (arrive,) if arrive else ()))

    def told(self):
        told = []
        for issue in self.issues:
            moments = self.joint.moments(issue)
            columns = moments.issued_ps, moments.started_ps, moments.done_ps
            told.append(([each.tolist() for each in columns], self.joint.failure(issue)))
        return told, self.joint.clocks()


def test_letting_go_of_what_failed_changes_no_moment():
    failed = issued = 0
    for number in range(fewer(60)):
        whole = Drawn(number, looks=False).told()
        looks = Drawn(number, looks=(True, LAZILY)[number % 2]).told()
        assert whole == looks, number
        issued += len(whole[0])
        failed += sum(failure is not None for _, failure in whole[0])
    assert issued / 10 < failed < issued / 2
