"""One schedule that grows and goes on where it stood: to look at it changes no picosecond."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from by_hand import stacks
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples, fewer
from strategies import real_topologies

from emul import Link, Node, OutageError, Site, Topology, Trunk, World
from emul.links import Changes, Outages, State
from emul.links.link import OtherTraffic, Transport
from emul.runtime.busy_period import BusyPeriod

CALLS = (("all_reduce", "ring"), ("all_reduce", "hierarchical"), ("broadcast", "direct"))
TRACE = (State(0.0), State(3e-4, 0.5), State(9e-4, 1.0, 1e-4), State(2e-3, 0.25))
CHANGES = (
    Changes(),
    Changes(trace=TRACE, repeat_s=0.1),
    Changes(outages=Outages(schedule=((4e-4, 1e-4), (2e-3, 3e-4)))),
)

TIMES = (
    "on_link_ps",
    "left_ps",
    "cwnd_ps",
    "runs_ps",
    "sent_to_nic_ps",
    "start_cause",
    "done_cause",
)
NUMBERS = ("behind", "runs_from", "held_by", "waited_for", "ordered_after")


@st.composite
def changing_topologies(draw):
    """Links with everything that there is: also waves, trunks that change, uplinks, buckets."""
    topology = draw(real_topologies())
    changes, waves = draw(st.sampled_from(CHANGES)), draw(st.sampled_from([1, 3]))
    uplink, burst = draw(st.sampled_from([(math.inf, 0.0), (3e7, 0.0), (3e7, 20_000.0)]))
    trunks = tuple(
        replace(trunk, changes=changes, link=replace(trunk.link, waves=waves))
        for trunk in topology.trunks
    )
    sites = tuple(
        replace(site, uplink_bytes_per_s=uplink, uplink_burst_bytes=burst)
        for site in topology.sites
    )
    return replace(topology, trunks=trunks, sites=sites)


class Program:
    """A random program on a World; if it ``looks``, at times after every act of it.

    Ranks compute for parts of what a collective takes, so that they pass the middle of others.
    """

    def __init__(self, topology, stack, number, *, looks):
        self.world = World(topology, stack=stack)
        self.draw, self.looks = random.Random(number), looks
        some = [self.draw.sample(range(self.world.size), self.world.size // 2 + 1) for _ in "ab"]
        self.members = [self.world, *map(self.world.group, some)]
        self.handles, self.flights, self.last_s = [], [], 0.0
        for _ in range(16):
            self.step(self.draw.choice(("issue", "issue", "compute", "compute", "wait", "call")))
        while self.handles:
            self.step("wait")

    def step(self, kind):
        draw, world = self.draw, self.world
        if kind == "compute":
            world.compute(self.last_s * draw.choice((0.1, 0.3, 0.7)))
            world.compute(self.last_s * draw.random(), draw.sample(range(world.size), 1))
        elif kind == "wait" and self.handles:
            self.handles.pop(draw.randrange(len(self.handles))).wait()
        elif kind == "issue" or (kind == "call" and draw.random() < 0.3):
            (name, algorithm), member = draw.choice(CALLS), draw.choice(self.members)
            x = np.ones((member.size, draw.choice((7, 300_001))), np.uint8)
            made = getattr(member, name)(x, algorithm=algorithm, async_op=kind == "issue")
            if kind == "issue":
                self.handles.append(made)
            self.flights.append(made._operation if kind == "issue" else made.operation)
            self.last_s = self.flights[-1].prediction.time_s
        if self.looks:
            _ = world.ranks_now_s, world.history  # which lets go of what is over
            self.look_anew()

    def look_anew(self):
        """Clocks that are known without timing are what timing says."""
        epoch = self.world.engine.clocks._period
        if isinstance(epoch, BusyPeriod):
            known_ps = epoch.clocks_ps().tolist()
            epoch.simulation._outcome = None
            epoch.simulation.outcome()
            assert epoch.clocks_ps().tolist() == known_ps

    def told(self):
        """All that the World says of times."""
        moments = [flight.moments for flight in self.flights]
        names = ("issued_ps", "started_ps", "done_ps", "straggler_of")
        each = [[getattr(m, name).tolist() for name in names] for m in moments]
        clocks = self.world.engine.clocks.clocks_ps().tolist()
        return each, clocks, self.world.history, self.world.transfers.tolist()

    def causes(self):
        """Of those that are not let go of, all that their timelines say, by place in them."""
        found = {}
        for place, flight in enumerate(self.flights):
            if flight.issue is None:
                continue
            outcome = self.world.engine.clocks._period.simulation.outcome()
            lines = outcome.lines[flight.issue]
            columns = {name: getattr(outcome.timeline, name) for name in TIMES + NUMBERS}
            found[place] = {n: c[lines] for n, c in columns.items() if len(c)}
            for name in NUMBERS:
                if name in found[place]:
                    number = found[place][name]
                    inside = (number >= lines.start) & (number < lines.stop)
                    found[place][name] = np.where(inside, number - lines.start, -1)
        return found


def assert_looks_change_nothing(topology, stack, number):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emul.runtime.busy_period.MANY_TRANSFERS", 1 << 60)
        try:
            whole = Program(topology, stack, number, looks=False)
        except OutageError:
            return
        patch.setattr("emul.runtime.busy_period.MANY_TRANSFERS", 0)
        looks = Program(topology, stack, number, looks=True)
    assert looks.told() == whole.told()
    causes = whole.causes()
    for place, columns in looks.causes().items():
        for name, column in columns.items():
            np.testing.assert_array_equal(column, causes[place][name], name)


@examples(70)
@given(changing_topologies(), stacks | st.just("ideal"), st.integers(0, 10**6))
def test_what_is_let_go_of_leaves_every_time_as_it_was(topology, stack, number):
    assert_looks_change_nothing(topology, stack, number)


def few_sites(ranks, trunk, **uplink):
    nic = Link(1e12, 0.0)
    sites = tuple(
        Site(name, (Node(1, nic),) * n, nic, **uplink)
        for name, n in zip("abc", ranks, strict=False)
    )
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    return Topology("few", sites, tuple(Trunk(pair, trunk) for pair in pairs))


TRUNK, UPLINK = Link(1e12, 1e-3), {"uplink_bytes_per_s": 1e8, "uplink_burst_bytes": 200_000.0}
BUCKET = replace(TRUNK, rate_bytes_per_s=1e8, others=OtherTraffic(burst_bytes=200_000.0))
TCP = Transport(recovery="cubic", slow_start=True, rto_s=0.2)
REMEMBERING = {
    "buckets of uplinks": few_sites((2, 1, 2), TRUNK, **UPLINK),
    "buckets of trunks": few_sites((2, 2), BUCKET),
    "slow start": few_sites((2, 2), replace(TRUNK, rate_bytes_per_s=1e9, transport=TCP)),
}


@pytest.mark.parametrize("number", range(fewer(8, 3)))
@pytest.mark.parametrize("kind", REMEMBERING)
def test_links_remember_what_they_carried(kind, number):
    assert_looks_change_nothing(REMEMBERING[kind], "ideal", number)


def moments_from(course, left):
    """All moments that are told when the course stops with so many transfers left, and goes on."""
    course._looks_ahead, course._outcome = True, None
    course._open.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emul.timing.joint.graph.JointGraph.last_size", left)
        course.outcome()
    passed, course._passed, course._outcome = course._passed, None, None
    if passed is not None:
        course._graph = course._graph.without(passed.kept, passed.over)
        course._checkpoint = passed.checkpoint
    moments = course.outcome().moments
    return {issue: each.done_ps.tolist() for issue, each in moments.items()}


@examples(30)
@given(changing_topologies(), stacks | st.just("ideal"), st.integers(0, 10**6))
def test_a_course_that_stopped_at_any_moment_goes_on_as_if_it_had_not(topology, stack, number):
    try:
        period = Program(topology, stack, number, looks=False).world.engine.clocks._period
    except OutageError:
        return
    if not isinstance(period, BusyPeriod) or not len(period.simulation):
        return
    course = period.simulation
    whole = {issue: each.done_ps.tolist() for issue, each in course.outcome().moments.items()}
    for share in (0.8, 0.6, 0.4, 0.2, 0.1):
        for issue, done_ps in moments_from(course, int(share * len(course))).items():
            assert done_ps == whole[issue]
