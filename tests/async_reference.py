"""A slow simulation of programs of issue, compute and wait: every rank a little machine of its own.

It shares no code with ``emul.timing``; what a plan sends, and how long a link takes, are those of
``reference``. Ranks go through the program until they must wait; a collective's transfers wait
until their sender has started it.
"""

import heapq
import math
from collections import defaultdict

from reference import Credit, path, places, transfers_of
from shared_trunk import SharedTrunk

PORT, PIPE, RECEIVER, LEFT, ARRIVED, DONE, FREED = range(7)


class Collective:
    """One issue: who it is between, what they send, and what it comes after."""

    def __init__(self, number, ranks, transfers, before, channel):
        self.number, self.ranks, self.transfers, self.before = number, ranks, transfers, before
        self.channel = channel
        for t in transfers:
            t.src, t.dst = ranks[t.src], ranks[t.dst]
        self.reset()

    def reset(self):
        """As if nothing had happened yet."""
        self.issued, self.started, self.done = {}, {}, {}
        self.arrived, self.finished = set(), set()
        self.begun, self.sent = set(), set()
        self.legs = dict.fromkeys(range(len(self.transfers)), 1)
        self.left_at, self.came_at = defaultdict(int), defaultdict(int)

    def creditor(self, i):
        """Whose credit a transfer takes: its connection's, which is full for each collective."""
        t = self.transfers[i]
        return t.src, t.dst, t.channel, self

    def may_start(self, i):
        t = self.transfers[i]
        ready = t.src in self.started and t.starts_upon_done <= self.finished
        return ready and i not in self.begun and t.starts_upon_issue <= self.sent

    def may_be_done(self, i):
        t = self.transfers[i]
        return i in self.arrived and i not in self.finished and t.done_upon_done <= self.finished

    def is_over(self, rank):
        if rank not in self.started or rank in self.done:
            return False
        mine = enumerate(self.transfers)
        return all(
            (i in self.arrived or t.src != rank) and (i in self.finished or t.dst != rank)
            for i, t in mine
        )


class Machines:
    """All ranks, each at some place of the program, and the network between them."""

    def __init__(self, topology, program, slicing=None):
        self.topology, self.program = topology, program
        self.credit = Credit(slicing.slots * slicing.slice_bytes if slicing else 0)
        self.where = places(topology)
        self.clock = [0] * len(self.where)
        self.at = [0] * len(self.where)
        self.met = defaultdict(dict)
        self.free, self.last = defaultdict(int), defaultdict(int)
        self.trunks, self.events = {}, []
        self.collectives = [act[1] for act in program if act[0] == "issue"]
        for each in self.collectives:
            each.reset()

    def run(self):
        for rank in range(len(self.clock)):
            self.go_on(rank)
        while True:
            busy = [(*t.due(), ends) for ends, t in self.trunks.items() if t.until]
            first = min(busy, key=lambda each: (each[0], each[2]), default=None)
            if first and (not self.events or first[0] <= self.events[0][0]):
                self.left(*first)
            elif self.events:
                self.handle(*heapq.heappop(self.events))
            else:
                return self

    def go_on(self, rank):
        """Let a rank do what it can until it must wait."""
        while self.at[rank] < len(self.program):
            kind, *what = self.program[self.at[rank]]
            if kind == "compute" and rank in what[1]:
                self.clock[rank] += what[0]
            elif kind == "issue" and rank in what[0].ranks:
                what[0].issued[rank] = self.clock[rank]
                self.start(what[0], rank)
            elif kind == "wait" and rank in what[0].ranks:
                if rank not in what[0].done:
                    return
                self.clock[rank] = max(self.clock[rank], what[0].done[rank])
            elif kind == "join" and rank in what[0]:
                here = self.met[self.at[rank]]
                here[rank] = self.clock[rank]
                if len(here) < len(what[0]):
                    return
                self.pass_on(here)
            self.at[rank] += 1

    def pass_on(self, here):
        """All have met: let those that came before go on too."""
        for rank in here:
            self.clock[rank] = max(here.values())
        at = {rank: self.at[rank] for rank in here}
        *others, _ = here
        for rank in others:
            self.at[rank] = at[rank] + 1
        for rank in others:
            self.go_on(rank)

    def start(self, collective, rank):
        before = collective.before
        if rank in collective.issued and rank not in collective.started:
            if before and rank not in before.done:
                return
            when = max(collective.issued[rank], before.done[rank] if before else 0)
            self.push(when, collective, -1 - rank, PORT)

    def push(self, when, collective, i, kind):
        heapq.heappush(self.events, (when, collective.number, i, kind))

    def handle(self, now, number, i, kind):
        c = self.collectives[number]
        if i < 0:
            self.started(now, c, -1 - i)
        elif kind <= RECEIVER:
            if kind == PORT and not self.credit.has(c.transfers[i], (c, i), c.creditor(i)):
                return
            if kind == PORT:
                self.sent(now, c, i)
            self.cross(now, c, i, kind)
        elif kind == LEFT:
            c.left_at[i] = max(c.left_at[i], now)
            self.leg(c, i)
        elif kind == ARRIVED:
            self.arrive(now, c, i)
        elif kind == FREED:
            for handed in self.credit.give_back(c.transfers[i], c.creditor(i)):
                self.push(now, *handed, PORT)
        else:
            self.done(now, c, i)

    def arrive(self, now, c, i):
        c.arrived.add(i)
        self.end(now, c, i)
        t = c.transfers[i]
        self.look(now, c, t.src)
        if t.src != t.dst:
            self.push(now + path(self.topology, t.dst, t.src)[1], c, i, FREED)

    def started(self, now, c, rank):
        c.started[rank] = now
        for other in range(len(c.transfers)):
            if c.transfers[other].src == rank and c.may_start(other):
                self.begin(now, c, other)
        self.look(now, c, rank)

    def done(self, now, c, i):
        c.finished.add(i)
        for other in range(len(c.transfers)):
            if i in c.transfers[other].starts_upon_done and c.may_start(other):
                self.begin(now, c, other)
            if i in c.transfers[other].done_upon_done:
                self.end(now, c, other)
        self.look(now, c, c.transfers[i].dst)

    def sent(self, now, c, i):
        c.sent.add(i)
        for other in range(len(c.transfers)):
            if i in c.transfers[other].starts_upon_issue and c.may_start(other):
                self.begin(now, c, other)

    def begin(self, now, c, i):
        c.begun.add(i)
        self.push(now, c, i, PORT)

    def end(self, now, c, i):
        if c.may_be_done(i):
            self.push(now, c, i, DONE)

    def look(self, now, c, rank):
        """Is a rank done with a collective? Then what it issued after it may start."""
        if not c.is_over(rank):
            return
        c.done[rank] = now
        for other in self.collectives:
            if other.before is c:
                self.start(other, rank)
        self.go_on(rank)

    def cross(self, now, c, i, kind):
        """Put a transfer on a link; its head comes to the receiver's port after the latency."""
        t = c.transfers[i]
        hops, latency, overhead = path(self.topology, t.src, t.dst)
        if not hops:
            self.push(now, c, i, ARRIVED)
            return
        if kind == PIPE:
            ends, rate = hops[1][0], hops[1][1]
            trunk = self.trunks.setdefault(ends, SharedTrunk(rate))
            c.legs[i] = 2
            connection = t.src, t.dst, t.channel, c.channel
            if trunk.enter(now, (c, i), connection, t.nbytes):
                self.push(now + latency, c, i, RECEIVER)
            return
        link, rate = hops[0 if kind == PORT else -1]
        start = max(now, self.free[link])
        head = start + (overhead if kind == PORT and t.begins else 0)
        self.free[link] = head + math.floor(t.nbytes * 1e12 / rate + 0.5)
        if kind == RECEIVER:
            c.came_at[i] = self.free[link]
            self.leg(c, i)
            return
        c.left_at[i] = max(c.left_at[i], self.free[link])
        if len(hops) == 3:
            self.push(head, c, i, PIPE)
        else:
            self.push(head + latency, c, i, RECEIVER)

    def left(self, now, connection, ends):
        (c, i), after = self.trunks[ends].leave(now, connection)
        self.push(now, c, i, LEFT)
        if after is not None:
            t = after[0].transfers[after[1]]
            self.push(now + path(self.topology, t.src, t.dst)[1], *after, RECEIVER)

    def leg(self, c, i):
        c.legs[i] -= 1
        if c.legs[i]:
            return
        t = c.transfers[i]
        hops, latency, _ = path(self.topology, t.src, t.dst)
        when = max(c.left_at[i] + latency, c.came_at[i])
        if len(hops) == 3:
            connection = t.src, t.dst, t.channel, c.channel
            when = self.last[connection] = max(when, self.last[connection])
        self.push(when, c, i, ARRIVED)


class Script:
    """Notes a program down as the machines take it."""

    def __init__(self, slicing=None):
        self.slicing = slicing
        self.acts, self.last, self.collectives = [], {}, []

    def issue(self, prediction, itemsize, ranks, communicator):
        width = prediction.shape.width
        transfers = transfers_of(prediction.plan, width, itemsize, self.slicing)
        issued = Collective(
            len(self.collectives), ranks, transfers, self.last.get(communicator), communicator
        )
        self.last[communicator] = issued
        self.collectives.append(issued)
        self.acts.append(("issue", issued))
        return issued

    def wait(self, issued):
        self.acts.append(("wait", issued))

    def compute(self, ps, ranks):
        self.acts.append(("compute", ps, frozenset(ranks)))

    def join(self, ranks):
        self.acts.append(("join", frozenset(ranks)))
