"""Random programs of ranks over tiny worlds, by number: issue, compute, wait, send, receive.

A program goes on an emul.World by its public interface, and into a script for the slow machines of
``async_reference``.
"""

import random
from dataclasses import dataclass, replace
from functools import partial
from unittest.mock import patch

import numpy as np
from async_reference import carried_out
from async_script import Message, Script

from emul import Link, Node, OutageError, Site, Topology, Trunk, World
from emul.links import Changes, Diurnal, Outages, State, Transport

CALLS = (
    ("all_reduce", "ring"),
    ("all_reduce", "direct"),
    ("broadcast", "direct"),
    ("reduce", "direct"),
    ("send_recv", "direct"),
)
COUNTS, LONG = (7, 3001), 30_011  # elements of a byte; long ones only where nothing is sliced
COMPUTES_PS = (1_009, 700_001, 30_000_001, 400_000_003)

COLLECTIVE_ACTS = {"issue": 6, "compute": 4, "wait": 3, "wait of some": 2, "call": 4}
MESSAGE_ACTS = {"send": 4, "recv": 4}
ARRIVAL_ACTS = {"arrive": 3, "come": 3}
"""Acts of programs, and how often they come."""


def tiny_topology(draw, changes_of=None):
    """Return up to seven ranks at up to three sites, with links of unround numbers.

    ``changes_of``: draws the transport and the changes of a trunk, if it has any.
    """

    def link(rates, latencies):
        overhead_s = draw.choice((0, 37e-9))
        return Link(draw.choice(rates) * 1e6, draw.choice(latencies) * 1e-9, overhead_s)

    sites = []
    for s in range(draw.randint(2 if changes_of else 1, 3)):
        ranks = [draw.randint(1, 2 if s == 0 else 1), 1]
        nodes = tuple(Node(n, link((4001, 9973), (11, 101))) for n in ranks[: draw.randint(1, 2)])
        sites.append(Site(f"s{s}", nodes, link((997, 3001), (503, 1009))))
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    rates = (53, 101, 307) if changes_of else (101, 997, 2003)
    trunks = tuple(Trunk(pair, link(rates, (5003, 70001))) for pair in pairs)
    if changes_of:
        trunks = tuple(changed(trunk, draw, changes_of) for trunk in trunks)
    return Topology("tiny", tuple(sites), trunks)


def changed(trunk, draw, changes_of):
    transport, changes = changes_of(draw)
    return replace(trunk, link=replace(trunk.link, transport=transport), changes=changes)


def patient(draw):
    """Draw changes and outages that every connection lives through."""
    recovery = draw.choice(("none", "gbn", "cubic"))
    rto_s = 0.0 if recovery == "none" else draw.choice((0.0, 41.7e-6, 133.3e-6))
    return Transport(recovery=recovery, rto_s=rto_s, retries=1000), changes(draw)


def impatient(draw):
    """Draw the same, where connections of RDMA may be given up after one or two retries."""
    transport = Transport(recovery="gbn", rto_s=53.9e-6, retries=draw.randint(0, 2))
    return (transport, changes(draw)) if draw.random() < 0.7 else patient(draw)


def changes(draw):
    """Draw a trace, repeated or not, load by the hour, outages, or several of them.

    A trace that is repeated has no outages: a trunk that is never up for long lets nothing arrive.
    """
    trace, repeat_s, from_s = (), 0.0, 0.0
    if draw.random() < 0.5:
        repeated = draw.random() < 0.6
        for _ in range(draw.randint(1, 4)):
            up = repeated or not from_s or draw.random() < 0.7
            factor, extra_s = draw.choice((0.31, 0.77, 1.0)), draw.choice((0.0, 0.0, 3.1e-6))
            trace += (State(from_s, factor, extra_s, up=up),)
            from_s += draw.uniform(20e-6, 300e-6)
        trace += () if repeated else (State(from_s, 0.9),)
        repeat_s = from_s + 1e-3 if repeated else 0.0
    schedule, from_s = (), 0.0
    for _ in range(draw.randint(0, 6)):
        from_s += draw.uniform(5e-6, 120e-6)
        schedule += ((from_s, draw.uniform(20e-6, 120e-6)),)
        from_s += schedule[-1][1]
    day = Diurnal(0.1, 0.6) if draw.random() < 0.2 and not repeat_s else None
    return Changes(trace, repeat_s, day, Outages(schedule) if schedule else None)


class Tiny:
    """A world by number, and its communicators: itself and two groups, perhaps of the same ranks.

    ``start_over`` makes a new World of the same. Plans come from another World, whose links never
    change: what a collective sends does not depend on that.
    """

    def __init__(self, number, changes_of=None, **arguments):
        draw = random.Random(number)
        topology = tiny_topology(draw, changes_of)
        n = topology.world_size
        self.groups = [draw.sample(range(n), draw.randint(1, n)) for _ in range(2)]
        self.topology, self.arguments = topology, arguments
        trunks = tuple(replace(trunk, changes=Changes()) for trunk in topology.trunks)
        slicing = {"slicing": arguments["slicing"]} if "slicing" in arguments else {}
        self.still = self.communicators(World(replace(topology, trunks=trunks), **slicing))
        self.start_over()

    def start_over(self):
        """Make a World in which nothing has happened."""
        self.world = World(self.topology, **self.arguments)
        self.members = self.communicators(self.world)

    def communicators(self, world):
        return [world, *map(world.group, self.groups)]


@dataclass(eq=False)
class Flight:
    """An operation of the World, the same of the script, and who waits for it by its handle."""

    issued: object
    handle: object
    ranks: list | None = None  # who waits by the handle; None: all
    run: object = None

    @property
    def operation(self):
        """The operation on the modelled clock; None for a call that failed."""
        if self.handle is not None:
            return self.handle._operation
        return self.run and self.run.operation

    def wait(self, ranks):
        """Let ``ranks`` of the world wait, or None for all who may."""
        if ranks in (None, self.ranks):
            return self.handle.wait()
        of_all = sorted(self.issued.ranks)
        return self.handle.wait(ranks=[of_all.index(rank) for rank in ranks])


class Program:
    """One program, carried out on a World as it is drawn, and noted down for the machines.

    ``acts``: kinds of acts and their weights. Calls that wait at once are synchronous ones
    ``by_calls``, else by handles. ``look``: asks the World for its times between the acts.
    """

    def __init__(self, number, tiny, acts, *, by_calls=True, look=False):
        self.draw, self.tiny, self.world = random.Random(number), tiny, tiny.world
        self.script, self.by_calls = Script(self.world.slicing), by_calls
        self.counts = COUNTS if tiny.world.slicing else (*COUNTS, LONG)
        self.waiting, self.flights, self.failed = [], [], set()
        self.sent, self.received, self.arrivals = [], [], {}
        kinds, weights = zip(*acts.items(), strict=True)
        for _ in range(self.draw.randint(2, 12)):
            (kind,) = self.draw.choices(kinds, weights)
            getattr(self, "do_" + kind.replace(" ", "_"))()
            if look:
                self.look()

    def look(self):
        world = self.world
        return world.now_s, world.ranks_now_s, world.history, [f.handle.done for f in self.waiting]

    def do_compute(self):
        ranks = range(self.world.size)
        if self.draw.random() < 0.6:
            ranks = self.draw.sample(ranks, self.draw.randint(1, self.world.size))
        ps = self.draw.choice(COMPUTES_PS)
        self.script.compute(ps, ranks)
        self.world.compute(ps / 1e12, ranks)

    def do_issue(self):
        for member in self.any_member():
            self.waiting.append(self.issue(member, *self.arguments()))

    def do_call(self):
        for member in self.any_member():
            self.call(member)

    def any_member(self):
        """Return a communicator to whose next operation nobody has arrived; or none."""
        members = [each for each in self.tiny.members if each not in self.arrivals]
        return self.draw.sample(members, min(1, len(members)))

    def do_arrive(self):
        """Let some ranks arrive at the next operation of a communicator."""
        for member in self.any_member():
            arguments, ranks = self.arguments(), member.ranks.tolist()
            some = self.draw.sample(ranks, self.draw.randint(1, len(ranks)))
            planned = self.planned(member, *arguments)
            self.script.arrive(planned, some)
            arrival = self.world.engine.clocks.arrive(np.array(sorted(some), np.int32))
            self.arrivals[member] = arguments, planned, arrival

    def do_come(self):
        """Let the others come to an operation at which some have arrived."""
        for member in list(self.arrivals)[:1]:
            arguments, planned, arrival = self.arrivals.pop(member)
            clocks = self.world.engine.clocks
            came = partial(clocks.issue, arrivals=(arrival,))
            with patch.object(clocks, "issue", came):
                self.waiting.append(self.issue(member, *arguments, planned))

    def do_wait(self):
        if laid_out := self.laid_out():
            flight = self.draw.choice(laid_out)
            self.waiting.remove(flight)
            self.wait(flight)

    def laid_out(self):
        """Return the operations that can be waited for: no receives of what nobody has sent."""
        return [each for each in self.waiting if each.issued.number is not None]

    def do_wait_of_some(self):
        if laid_out := self.laid_out():
            flight = self.draw.choice(laid_out)
            ranks = flight.issued.ranks if flight.ranks is None else flight.ranks
            self.wait(flight, self.draw.sample(ranks, self.draw.randint(1, len(ranks))))

    def do_send(self):
        if self.world.size > 1:
            self.message(self.sent, self.received, "send", self.draw.choice((False, True)))

    def do_recv(self):
        if self.world.size > 1:
            self.message(self.received, self.sent, "recv", self.draw.choice((False, True)))

    def message(self, mine, others, act, at_once):
        """Send or receive: the other end of a message that waits for it, or of a new one.

        A rank that waits ``at_once`` for a message that nobody has sent would wait for ever.
        """
        if others:
            between, is_matched = others.pop(self.draw.randrange(len(others))), True
        else:
            src, dst = self.draw.sample(range(self.world.size), 2)
            between, is_matched = (src, dst, self.draw.randint(0, 1)), False
            mine.append(between)
        self.part(between, act, at_once and (act == "send" or is_matched))

    def part(self, between, act, at_once):
        src, dst, tag = between
        if act == "send":
            nbytes = self.draw.choice(self.counts)
            issued = self.script.send(src, dst, nbytes, tag)
            handle = self.world.send(np.ones(nbytes, np.uint8), src, dst, tag=tag, async_op=True)
            flight = Flight(issued, handle, [src])
            self.flights.append(flight)
        else:
            issued = self.script.recv(src, dst, tag)
            handle = self.world.recv(src, dst, tag=tag, async_op=True)
            flight = Flight(issued, handle, [dst])
        if at_once:
            self.wait(flight)
        else:
            self.waiting.append(flight)

    def wait(self, flight, ranks=None):
        self.script.wait(flight.issued, flight.ranks if ranks is None else ranks)
        self.expect_outage(flight, lambda: flight.wait(ranks))

    def expect_outage(self, flight, act):
        """Do ``act``, which may raise; note whose operation has failed."""
        try:
            return act()
        except OutageError:
            self.failed.add(flight.issued)
            return None

    def arguments(self):
        (name, algorithm), count = self.draw.choice(CALLS), self.draw.choice(self.counts)
        return name, {"algorithm": algorithm}, count

    def given(self, n, count):
        """Return the input of a call."""
        return np.ones((n, count), np.uint8)

    def issue(self, member, name, how, count, planned=None):
        """Issue an operation, at which some may have arrived who know that it is ``planned``."""
        issued = self.script.issue(planned or self.planned(member, name, how, count))
        x = self.given(member.size, count)
        flight = Flight(issued, getattr(member, name)(x, async_op=True, **how))
        self.flights.append(flight)
        return flight

    def planned(self, member, name, how, count):
        still = self.tiny.still[self.tiny.members.index(member)]
        prediction = still.predict(name, count, dtype="uint8", **how)
        width, ranks = prediction.shape.width, member.ranks.tolist()
        return self.script.plan(prediction.plan, width, 1, ranks, member.number)

    def call(self, member):
        """Issue and wait, by one call or by a handle; no rank waits for others."""
        name, how, count = self.arguments()
        if not self.by_calls:
            self.wait(self.issue(member, name, how, count))
            return
        flight = Flight(self.script.issue(self.planned(member, name, how, count)), None)
        self.script.wait(flight.issued)
        x = self.given(member.size, count)
        flight.run = self.expect_outage(flight, lambda: getattr(member, name)(x, **how))
        self.flights.append(flight)

    def finish(self):
        """Let all come who are waited for, and wait for everything."""
        while self.arrivals:
            self.do_come()
        while self.sent:
            self.part(self.sent.pop(0), "recv", at_once=True)
        while self.received:
            self.part(self.received.pop(0), "send", at_once=True)
        while self.waiting:
            self.wait(self.waiting.pop(0))

    def clocks(self):
        return self.world.engine.clocks.clocks_ps().tolist()

    def moments(self):
        """Return the moments of all operations that the World tells one by one: by rank."""
        found = {}
        for flight in self.flights:
            if flight.operation is not None:
                each = flight.operation.moments
                columns = (each.issued_ps, each.started_ps, each.done_ps)
                found[flight.issued.number] = told(flight.issued, columns)
        return found

    def rows(self):
        """Return the moments of all operations as the history tells them, in order of time."""
        rows = self.world.history
        return sorted((row.communicator, row.issued_ps, row.done_ps) for row in rows)

    def expected(self):
        """Return the machines after the same program: their clocks, their operations."""
        return carried_out(self.world.topology, self.script, self.world.start_s)


def told(issued, columns):
    """Return three columns by rank; of a message, without the start of its receiver.

    That depends on nothing, and nothing depends on it.
    """
    if isinstance(issued, Message):
        return tuple(map(list, (columns[0], columns[2])))
    return tuple(map(list, columns))


def moments_of(issued):
    """Return the moments of an operation of the machines, as ``Program.moments``."""
    columns = issued.issued, issued.started, issued.done
    return told(issued, [[column[rank] for rank in sorted(issued.ranks)] for column in columns])


def row_of(issued):
    """Return the row of the history of such an operation, as ``Program.rows``."""
    communicator = 0 if isinstance(issued, Message) else issued.channel
    return communicator, min(issued.issued.values()), max(issued.done.values())
