"""Random programs of issue, compute and wait over tiny worlds, by number."""

import random

import numpy as np
from async_reference import Machines, Script

from emul import Link, Node, Site, Topology, Trunk, World

CALLS = (
    ("all_reduce", "ring"),
    ("all_reduce", "direct"),
    ("broadcast", "direct"),
    ("reduce", "direct"),
    ("send_recv", "direct"),
)
COUNTS = (7, 3001)


def tiny_topology(draw):
    """Up to seven ranks at up to three sites, with links of unround numbers."""

    def link(rates, latencies):
        overhead_s = draw.choice((0, 37e-9))
        return Link(draw.choice(rates) * 1e6, draw.choice(latencies) * 1e-9, overhead_s)

    sites = []
    for s in range(draw.randint(1, 3)):
        ranks = [draw.randint(1, 2 if s == 0 else 1), 1]
        nodes = tuple(Node(n, link((4001, 9973), (11, 101))) for n in ranks[: draw.randint(1, 2)])
        sites.append(Site(f"s{s}", nodes, link((997, 3001), (503, 1009))))
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    trunks = tuple(Trunk(pair, link((101, 997, 2003), (5003, 70001))) for pair in pairs)
    return Topology("tiny", tuple(sites), trunks)


def tiny_world(number, **arguments):
    """A world, and the communicators of it: itself and two groups, perhaps of the same ranks."""
    draw = random.Random(number)
    world = World(tiny_topology(draw), **arguments)
    some = [draw.sample(range(world.size), draw.randint(1, world.size)) for _ in range(2)]
    return [world, *map(world.group, some)]


class Program:
    """One program, carried out on a World as it is drawn, and noted down for the machines.

    All ranks of the World are at the same moment at first, and nothing is under way.
    """

    def __init__(self, number, members):
        self.draw, self.members, self.world = random.Random(number), members, members[0]
        slicing = self.world.slicing
        self.script, self.handles, self.flights = Script(slicing), [], []
        self.base_ps = int(self.world.engine.clocks.clocks_ps()[0])
        for _ in range(self.draw.randint(2, 8)):
            self.step()

    def step(self):
        kind = self.draw.choice(("issue", "issue", "issue", "compute", "wait", "call"))
        if kind == "compute":
            self.compute()
        elif kind == "wait" and self.handles:
            self.wait(self.draw.randrange(len(self.handles)))
        elif kind in ("issue", "call"):
            self.call(self.draw.choice(self.members), async_op=kind == "issue")

    def wait(self, which):
        handle, issued = self.handles.pop(which)
        self.script.wait(issued)
        handle.wait()

    def compute(self):
        ranks = range(self.world.size)
        if self.draw.random() < 0.6:
            ranks = self.draw.sample(ranks, self.draw.randint(1, self.world.size))
        ps = self.draw.choice((1_009, 700_001, 30_000_001, 400_000_003))
        self.script.compute(ps, ranks)
        self.world.compute(ps / 1e12, ranks)

    def given(self, n, count):
        """The input of a call."""
        return np.ones((n, count), np.uint8)

    def call(self, member, *, async_op):
        (name, algorithm), count = self.draw.choice(CALLS), self.draw.choice(COUNTS)
        x = self.given(member.size, count)
        result = getattr(member, name)(x, algorithm=algorithm, async_op=async_op)
        flight = result._operation if async_op else result.operation
        ranks = member.ranks.tolist()
        issued = self.script.issue(flight.prediction, 1, ranks, member.number)
        self.flights.append(flight)
        if async_op:
            self.handles.append((result, issued))
        else:
            self.script.wait(issued)
            self.script.join(ranks)

    def moments(self):
        """What the World says of every collective: when it was issued, started and done."""
        return [
            tuple((each - self.base_ps).tolist() for each in (m.issued_ps, m.started_ps, m.done_ps))
            for m in (flight.moments for flight in self.flights)
        ]

    def clocks(self):
        """And of the ranks."""
        return (self.world.engine.clocks.clocks_ps() - self.base_ps).tolist()

    def finish(self):
        """Wait for everything, and let all ranks meet; so what comes next begins anew."""
        while self.handles:
            self.wait(0)
        self.call(self.world, async_op=False)

    def expected(self):
        """What the machines say of both."""
        machines = Machines(self.world.topology, self.script.acts, self.world.slicing).run()
        return machines.clock, [
            tuple([each[rank] for rank in c.ranks] for each in (c.issued, c.started, c.done))
            for c in self.script.collectives
        ]
