"""A slow simulation of programs of ranks: every rank a little machine of its own.

It shares no code with ``emul.timing``; the transfers of a plan, and the time of a link, are those
of ``reference``. Ranks go through the program until they must wait; a collective's transfers wait
until their sender has started it. Moments count in picoseconds from the birth of the World.
"""

import heapq
import math
from collections import defaultdict

from changing_trunk import ChangingTrunk
from line_of_states import LineOfStates
from reference import Credit, path, places

PORT, PIPE, RECEIVER, LEFT, GONE, ARRIVED, DONE, FREED = range(8)
THROUGH, CHANGES, TIMERS = -3, -2, -1  # in the place of an operation's number: before all of them


class Machines:
    """All ranks, each at some place of the program, and the network between them."""

    def __init__(self, topology, program, slicing=None, start_s=0.0):
        self.topology, self.program, self.start_s = topology, program, start_s
        self.credit = Credit(slicing.slots * slicing.slice_bytes if slicing else 0)
        self.where = places(topology)
        self.clock = [0] * len(self.where)
        self.at = [0] * len(self.where)
        self.free, self.last = defaultdict(int), defaultdict(int)
        self.trunks, self.events = {}, []
        self.issues = [act[1] for act in program if act[0] == "issue"]
        for each in self.issues:
            each.reset()

    def run(self):
        for rank in range(len(self.clock)):
            self.go_on(rank)
        while coming := self.coming():
            (now, _), what, about = coming
            what(now, about)
        return self

    def coming(self):
        """Return the next event, (its time and place, its function, what that is about).

        Of one moment, first leave those who are through a trunk, then trunks change, then timers
        run out, by the ranks of their connections, then come the operations in order.
        """
        found = []
        for ends, trunk in self.trunks.items():
            if trunk.until:
                due, connection = trunk.due()
                found.append(((due, THROUGH), self.through, (ends, connection)))
                found.append(((trunk.next_change(), CHANGES), self.change, (ends,)))
        if self.events:
            found.append((self.events[0][:2], self.handle, ()))
        first = min(found, key=lambda each: (each[0], each[2]), default=None)
        assert first is None or first[0][0] < math.inf, "somebody waits for ever"
        return first

    def go_on(self, rank):
        """Let a rank do what it can until it must wait."""
        while self.at[rank] < len(self.program):
            kind, *about = self.program[self.at[rank]]
            if not getattr(self, kind)(rank, *about):
                return
            self.at[rank] += 1

    # The acts of a rank: each says whether the rank goes on.

    def compute(self, rank, ps, ranks):
        if rank in ranks:
            self.clock[rank] += ps
        return True

    def issue(self, rank, issued):
        """Start, unless the rank has arrived before or comes later."""
        if rank in issued.ranks and rank not in issued.apart:
            self.arrive_at(rank, issued, [rank])
        return True

    def arrive_at(self, rank, issued, ranks):
        """The rank's clock is its issue; it does not wait for others who come later."""
        if rank in ranks:
            issued.issued[rank] = self.clock[rank]
            self.start(issued, rank)
        return True

    def wait(self, rank, issued, ranks):
        if rank not in ranks:
            return True
        if rank not in issued.done:
            return False
        self.clock[rank] = max(self.clock[rank], issued.done[rank])
        return True

    # The transfers of collectives.

    def start(self, issued, rank):
        before = issued.comes_after(rank)
        if rank in issued.issued and rank not in issued.started:
            if before and rank not in before.done:
                return
            when = max(issued.issued[rank], before.done[rank] if before else 0)
            self.push(when, issued, -1 - rank, PORT)

    def push(self, when, issued, i, kind):
        heapq.heappush(self.events, (when, issued.number, i, kind, None))

    def handle(self, _now, _):
        now, number, i, kind, trunk = heapq.heappop(self.events)
        if number == TIMERS:
            trunk.wake(now, i)
            return
        c = self.issues[number]
        if i < 0:
            self.started(now, c, -1 - i)
        elif kind == PORT:
            self.ask(now, c, i)
        elif kind in (PIPE, RECEIVER):
            self.cross(now, c, i, kind)
        else:
            later = {LEFT: self.leave, GONE: self.gone, ARRIVED: self.arrive, DONE: self.done}
            later.get(kind, self.freed)(now, c, i)

    def started(self, now, c, rank):
        c.started[rank] = now
        if c.failed_ps is not None:
            self.end_of(now, c, rank, rank)
            return
        for other in range(len(c.transfers)):
            if c.transfers[other].src == rank and c.may_start(other):
                self.begin(now, c, other, rank)
        self.look(now, c, rank, rank)

    def ask(self, now, c, i):
        """Take the sender's port, with credit and if there is still any sense in it."""
        if c.failed_ps is not None:
            return
        if self.credit.has(c.transfers[i], (c, i), c.creditor(i)):
            self.sent(now, c, i)
            self.cross(now, c, i, PORT)

    def sent(self, now, c, i):
        c.sent.add(i)
        for other in range(len(c.transfers)):
            if i in c.transfers[other].starts_upon_issue and c.may_start(other):
                self.begin(now, c, other, c.start_hung_on[i])

    def begin(self, now, c, i, hung_on):
        """Let a transfer ask for its port; its start hung on that of rank ``hung_on``."""
        c.begun.add(i)
        c.start_hung_on[i] = hung_on
        self.push(now, c, i, PORT)

    def cross(self, now, c, i, kind):
        """Put a transfer on a link; its head comes to the receiver's port after the latency."""
        t = c.transfers[i]
        hops, latency, overhead = path(self.topology, t.src, t.dst)
        if not hops:
            self.push(now, c, i, ARRIVED)
            return
        if kind == PIPE:
            self.trunk(hops[1][0]).enter(now, (c, i), c.connection(i), t.nbytes)
            return
        link, rate = hops[0 if kind == PORT else -1]
        head = max(now, self.free[link]) + (overhead if kind == PORT and t.begins else 0)
        self.free[link] = head + math.floor(t.nbytes * 1e12 / rate + 0.5)
        if kind == RECEIVER:
            c.came_at[i] = self.free[link]
            self.leg(c, i)
            return
        c.left_at[i] = self.free[link]
        if len(hops) == 3:
            c.legs[i] = 2
            self.push(head, c, i, PIPE)
        else:
            c.under_way[i] = latency
            self.push(self.free[link], c, i, GONE)
            self.push(head + latency, c, i, RECEIVER)

    def leave(self, now, c, i):
        c.left_at[i] = max(c.left_at[i], now)
        self.push(c.left_at[i], c, i, GONE)
        self.leg(c, i)

    def leg(self, c, i):
        """Arrive after the last of port and trunk, and not before what was sent before it."""
        c.legs[i] -= 1
        if c.legs[i] == 0:
            when = max(c.left_at[i] + c.under_way[i], c.came_at[i])
            if c.crosses_a_trunk(i, self.where):
                when = self.last[c.connection(i)] = max(when, self.last[c.connection(i)])
            self.push(when, c, i, ARRIVED)

    def gone(self, now, c, i):
        """The last byte has left the sender."""
        c.gone.add(i)
        self.look(now, c, c.transfers[i].src, c.start_hung_on[i])

    def arrive(self, now, c, i):
        c.arrived.add(i)
        self.end(now, c, i, c.start_hung_on[i])
        t = c.transfers[i]
        self.look(now, c, t.src, c.start_hung_on[i])
        if t.src != t.dst:
            self.push(now + path(self.topology, t.dst, t.src)[1], c, i, FREED)

    def freed(self, now, c, i):
        for owner, other in self.credit.give_back(c.transfers[i], c.creditor(i)):
            owner.start_hung_on[other] = c.start_hung_on[i]
            self.push(now, owner, other, PORT)

    def end(self, now, c, i, hung_on):
        if c.may_be_done(i):
            c.end_hung_on[i] = hung_on
            self.push(now, c, i, DONE)

    def done(self, now, c, i):
        c.finished.add(i)
        for other in range(len(c.transfers)):
            if i in c.transfers[other].starts_upon_done and c.may_start(other):
                self.begin(now, c, other, c.end_hung_on[i])
            if i in c.transfers[other].done_upon_done:
                self.end(now, c, other, c.end_hung_on[i])
        self.look(now, c, c.transfers[i].dst, c.end_hung_on[i])

    def look(self, now, c, rank, hung_on):
        """Is a rank done with a collective? Then what it issued after it may start."""
        if c.is_over(rank):
            self.end_of(now, c, rank, hung_on)

    def end_of(self, now, c, rank, hung_on):
        c.done[rank], c.hung_on[rank] = now, hung_on
        for other in self.issues:
            if other.comes_after(rank) is c:
                self.start(other, rank)
        self.go_on(rank)

    # Trunks, and what they tell.

    def trunk(self, ends):
        if ends not in self.trunks:
            names = {self.topology.sites[end].name for end in ends[1:]}
            found = next(t for t in self.topology.trunks if set(t.sites) == names)
            line = LineOfStates(found.changes, self.start_s)
            latency = round(found.link.latency_s * 1e12)
            self.trunks[ends] = ChangingTrunk(found.link, latency, line, self)
        return self.trunks[ends]

    def through(self, now, about):
        ends, connection = about
        self.trunks[ends].sent(now, connection)

    def change(self, now, about):
        (ends,) = about
        self.trunks[ends].change(now)

    def head_comes(self, when, transfer):
        self.push(when, *transfer, RECEIVER)

    def has_left(self, now, transfer, delay):
        c, i = transfer
        c.under_way[i] = delay
        self.push(now, c, i, LEFT)

    def wakes(self, when, trunk, connection):
        heapq.heappush(self.events, (when, TIMERS, connection, 0, trunk))

    def fails(self, now, transfer):
        """A transfer cannot arrive: its operation is over for all who are not done with it."""
        c, _ = transfer
        if c.failed_ps is not None:
            return
        c.failed_ps = now
        for rank in c.ranks:
            if rank in c.started and rank not in c.done:
                self.end_of(now, c, rank, rank)


def carried_out(topology, script, start_s=0.0):
    """Return the machines after all of ``script``."""
    return Machines(topology, script.acts, script.slicing, start_s).run()
