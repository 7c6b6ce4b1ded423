"""The link model played out as its specification words it: one process for each transfer.

Written from the specification alone, without a look at the scheduler or at the other simulations,
so that a fault would have to be made twice to go unseen. A process is a generator: it yields what
it waits for, a moment or a flag, with the stage in which it goes on. At the same moment transfers
go on in the order of their numbers, each in the order of its stages.
"""

import math
from collections import defaultdict, deque
from fractions import Fraction
from heapq import heappop, heappush

START, TRUNK, PORT, ARRIVAL, DONE, BACK = range(6)


def picoseconds(seconds):
    return math.floor(seconds * 1e12 + 0.5)


def occupancy(nbytes, rate):
    return math.floor(nbytes * 1e12 / rate + 0.5)


class Clock:
    """Lets processes go on when what they wait for has happened."""

    def __init__(self):
        self.now, self.events, self.due = 0, 0, []

    def call(self, when, rank, process):
        """Let ``process`` go on at ``when``, behind all that rank before it at that moment."""
        heappush(self.due, (when, rank, self.events + len(self.due), process))

    def start(self, number, stage, process):
        self.call(self.now, (number, stage), (number, process))

    def run(self):
        while self.due:
            self.now, _, _, (number, process) = heappop(self.due)
            self.events += 1
            self.go_on(number, process)

    def go_on(self, number, process):
        for stage, until in process:
            if not isinstance(until, Flag):
                self.call(until, (number, stage), (number, process))
                return
            if until.raised is None:
                until.waiting.append(((number, stage), (number, process)))
                return


class Flag:
    """Something that happens once, at ``raised``."""

    def __init__(self, clock):
        self.clock, self.raised, self.waiting = clock, None, []

    def hoist(self):
        self.raised = self.clock.now
        for rank, process in self.waiting:
            self.clock.call(self.raised, rank, process)


class Line:
    """A port, or a trunk of one connection: serves one after the other, first come first."""

    def __init__(self):
        self.free = 0

    def take(self, now, duration):
        """Return when it begins with who has come now."""
        begun = max(now, self.free)
        self.free = begun + duration
        return begun


class SharedTrunk:
    """A trunk of several connections: those with a message on it get equal parts of the rate.

    Work is in picoseconds at the whole rate, exact. Messages leave at whole picoseconds.
    """

    def __init__(self, clock, rate):
        self.clock, self.rate = clock, Fraction(rate)
        self.lines = defaultdict(deque)  # of each connection: [number, work left, begun, left]
        self.since, self.plan = 0, 0

    def enter(self, connection, number, nbytes):
        """Come with a message; return the flags of its beginning and of its leaving."""
        self.pass_time()
        message = [number, nbytes * 10**12 / self.rate, Flag(self.clock), Flag(self.clock)]
        self.lines[connection].append(message)
        if self.lines[connection][0] is message:
            message[2].hoist()
        self.expect()
        return message[2:]

    def active(self):
        return [line[0] for line in self.lines.values() if line]

    def pass_time(self):
        passed, self.since = self.clock.now - self.since, self.clock.now
        active = self.active()
        for message in active:
            message[1] = max(Fraction(0), message[1] - Fraction(passed, len(active)))

    def expect(self):
        """Come back when the next message leaves, unless something changes before."""
        self.plan += 1
        active = self.active()
        if active:
            work = min(message[1] for message in active) * len(active)
            when = self.clock.now + math.floor(work + Fraction(1, 2))
            self.clock.call(when, (-1, 0), (-1, self.leave(self.plan)))

    def leave(self, plan):
        if plan != self.plan:
            return
        self.pass_time()
        active = self.active()
        least = Fraction(1, 2 * len(active))  # less than half a picosecond
        for line in self.lines.values():
            if line and line[0][1] <= least:
                line.popleft()[3].hoist()
                if line:
                    line[0][2].hoist()
        self.expect()
        yield from ()


class Credit:
    """What a connection may have under way: ``left`` bytes more, None for any number.

    First come, first served: who is first in line goes when half of it fits. A remainder needs
    none if the transfer before it was handed over last, but keeps its place in line.
    """

    def __init__(self, clock, left):
        self.clock, self.left = clock, left
        self.asking, self.last = deque(), None  # in line; and who was handed over last

    def ask(self, number, takes, remainder):
        """Stand in line; return the flag of being handed over."""
        self.asking.append((number, takes, remainder, Flag(self.clock)))
        flag = self.asking[-1][3]
        self.hand_over()
        return flag

    def give(self, taken):
        if self.left is not None:
            self.left += taken
            self.hand_over()

    def hand_over(self):
        while self.asking:
            number, takes, remainder, flag = self.asking[0]
            needs_none = self.left is None or (remainder and number - 1 == self.last)
            if not needs_none and 2 * self.left < takes:
                return
            self.asking.popleft()
            self.last = number
            if self.left is not None:
                self.left -= takes
            flag.hoist()


class Paths:
    """What lies between any two ranks of a topology."""

    def __init__(self, topology):
        self.where, self.sites = [], topology.sites
        for s, site in enumerate(topology.sites):
            for n, node in enumerate(site.nodes):
                self.where += [(s, (s, n), node)] * node.ranks
        self.trunks = {frozenset(trunk.sites): trunk.link for trunk in topology.trunks}

    def between(self, src, dst):
        """Return the link, the rate out, the rate in, the kind of ports, and the trunk or None."""
        (a, near, node), (b, far, _) = self.where[src], self.where[dst]
        if near == far:
            return node.link, node.link.rate_bytes_per_s, node.link.rate_bytes_per_s, "node", None
        out, into = (self.sites[each].link for each in (a, b))
        rates = out.rate_bytes_per_s, into.rate_bytes_per_s
        if a == b:
            return out, *rates, "nic", None
        link = self.trunks[frozenset((self.sites[a].name, self.sites[b].name))]
        return link, *rates, "nic", (a, b)


class Play:
    """All transfers of ``found`` over a topology; afterwards the moments of each of them."""

    def __init__(self, found, topology, slicing=None):
        self.found, self.ways, self.clock = found, Paths(topology), Clock()
        credit = slicing and slicing.slots * slicing.slice_bytes
        self.credits = defaultdict(lambda: Credit(self.clock, credit))
        self.ports, self.before = defaultdict(Line), {}
        self.issued, self.arrived, self.done = ([Flag(self.clock) for _ in found] for _ in range(3))
        users = defaultdict(set)
        for each in found:
            *_, trunk = self.ways.between(each.src, each.dst)
            if trunk:
                users[trunk].add((each.src, each.dst, each.channel))
        self.shared = {trunk for trunk, some in users.items() if len(some) > 1}
        self.trunks = {}
        for trunk in users:
            a, b = (topology.sites[each].name for each in trunk)
            rate = self.ways.trunks[frozenset((a, b))].rate_bytes_per_s
            self.trunks[trunk] = SharedTrunk(self.clock, rate) if trunk in self.shared else Line()
        for number in range(len(found)):
            self.clock.start(number, START, self.life(number))
        self.clock.run()
        self.arrival_ps = [flag.raised for flag in self.arrived]
        self.done_ps = [flag.raised for flag in self.done]

    def life(self, number):
        """Wait, go, arrive, be done."""
        me = self.found[number]
        for other in me.starts_upon_done:
            yield START, self.done[other]
        for other in me.starts_upon_issue:
            yield START, self.issued[other]
        if me.src == me.dst:
            self.issued[number].hoist()
        else:
            credit = self.credits[me.src, me.dst, me.channel]
            yield START, credit.ask(number, me.takes, me.remainder)
            self.issued[number].hoist()
            yield from self.travel(number, me)
            self.clock.start(number, BACK, self.give_back(number, me, credit))
        self.arrived[number].hoist()
        for other in me.done_upon_done:
            yield DONE, self.done[other]
        for other in me.done_upon_issue:
            yield DONE, self.issued[other]
        self.done[number].hoist()

    def travel(self, number, me):
        """Go through the sender's port, the trunk and the receiver's port."""
        clock, connection = self.clock, (me.src, me.dst, me.channel)
        link, rate_out, rate_in, kind, trunk = self.ways.between(me.src, me.dst)
        latency = picoseconds(link.latency_s)
        overhead = picoseconds(link.overhead_s) if me.begins else 0
        wire = occupancy(me.nbytes, rate_out)
        begun = self.ports[me.src, kind, "out"].take(clock.now, overhead + wire)
        gone, left = begun + overhead + wire, None
        head = begun + overhead
        previous = self.before.get(connection)
        self.before[connection] = number
        if trunk in self.shared:
            yield TRUNK, head
            begins, left = self.trunks[trunk].enter(connection, number, me.nbytes)
            yield TRUNK, begins
            head = begins.raised
        elif trunk:
            yield TRUNK, head
            on_trunk = occupancy(me.nbytes, link.rate_bytes_per_s)
            head = self.trunks[trunk].take(clock.now, on_trunk)
            gone = max(gone, head + on_trunk)
        yield PORT, head + latency
        wire = occupancy(me.nbytes, rate_in)
        through = self.ports[me.dst, kind, "in"].take(clock.now, wire) + wire
        if left:
            yield PORT, left
            gone = max(gone, left.raised)
        yield ARRIVAL, max(gone + latency, through)
        if trunk and previous is not None:
            yield ARRIVAL, self.arrived[previous]

    def give_back(self, number, me, credit):
        """Give the credit back after the way back."""
        link, *_ = self.ways.between(me.dst, me.src)
        yield BACK, self.arrived[number].raised + picoseconds(link.latency_s)
        credit.give(me.takes)
