"""Programs as ``async_reference`` takes them: operations, and the acts of ranks around them."""

from collections import defaultdict, deque

from reference import Transfer, say_what_is_taken, transfers_of


class Collective:
    """One operation: who it is between, what they send, and what it comes after.

    ``apart``: ranks that arrive at it by an act of their own.
    """

    def __init__(self, ranks, transfers, before, channel, apart=()):
        self.number = None  # among the issues of a script
        self.ranks, self.transfers, self.before = ranks, transfers, before
        self.channel, self.apart = channel, set(apart)
        self.reset()

    def reset(self):
        """As if nothing had happened yet."""
        self.issued, self.started, self.done, self.hung_on = {}, {}, {}, {}
        self.arrived, self.finished, self.gone = set(), set(), set()
        self.begun, self.sent, self.failed_ps = set(), set(), None
        self.start_hung_on, self.end_hung_on = {}, {}
        self.legs = dict.fromkeys(range(len(self.transfers)), 1)
        self.left_at, self.came_at, self.under_way = {}, {}, {}

    def creditor(self, i):
        """Whose credit a transfer takes: its connection's, which is full for each operation."""
        t = self.transfers[i]
        return t.src, t.dst, t.channel, self

    def connection(self, i):
        t = self.transfers[i]
        return t.src, t.dst, self.lane, t.channel

    @property
    def lane(self):
        """The number of its connections between the same ranks; those of messages come last."""
        return self.channel

    def comes_after(self, rank):
        """Return the operation that a rank must be done with before it starts this one."""
        return self.before

    def crosses_a_trunk(self, i, where):
        t = self.transfers[i]
        return where[t.src].site != where[t.dst].site

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
        return all(
            (i in self.arrived or t.src != rank) and (i in self.finished or t.dst != rank)
            for i, t in enumerate(self.transfers)
        )


class Message(Collective):
    """One message: its sender is done when its last byte has left, its receiver when all is there.

    A sender sends one after the other to the same rank; a receiver takes them as it likes.
    """

    lane = 10**6

    def comes_after(self, rank):
        return None if rank in self.apart else self.before

    def is_over(self, rank):
        if rank not in self.started or rank in self.done:
            return False
        over = self.gone if rank == self.transfers[0].src else self.finished
        return len(over) == len(self.transfers)


def message_of(src, dst, nbytes, slicing):
    """Return the transfers of one message: one, or its slices."""
    size = slicing.slice_bytes if slicing else nbytes
    found = [
        Transfer(src, dst, 0, 0, min(size, nbytes - low), begins=low == 0)
        for low in range(0, nbytes, size)
    ]
    if slicing:
        say_what_is_taken(found, size)
    return found


class Script:
    """Notes a program down as the machines take it."""

    def __init__(self, slicing=None):
        self.slicing = slicing
        self.acts, self.last, self.issues = [], {}, []
        self.sends, self.recvs = defaultdict(deque), defaultdict(deque)

    def plan(self, plan, width, itemsize, ranks, communicator):
        """Return an operation to come, by ``plan`` between ``ranks``."""
        transfers = transfers_of(plan, width, itemsize, self.slicing)
        for t in transfers:
            t.src, t.dst = ranks[t.src], ranks[t.dst]
        return Collective(ranks, transfers, None, communicator)

    def issue(self, planned):
        """Let all ranks issue an operation, but those that have arrived already."""
        planned.before = self.last.get(planned.channel)
        self.last[planned.channel] = planned
        return self.number(planned)

    def number(self, issued):
        issued.number = len(self.issues)
        self.issues.append(issued)
        self.acts.append(("issue", issued))
        return issued

    def arrive(self, planned, ranks):
        """Let ``ranks`` arrive at an operation, which is issued when the last rank comes."""
        planned.apart |= set(ranks)
        self.acts.append(("arrive_at", planned, frozenset(ranks)))

    def wait(self, issued, ranks=None):
        self.acts.append(("wait", issued, frozenset(issued.ranks if ranks is None else ranks)))

    def compute(self, ps, ranks):
        self.acts.append(("compute", ps, frozenset(ranks)))

    def send(self, src, dst, nbytes, tag=0):
        """Let ``src`` send; the nth message of these ranks and this tag is that of the nth recv."""
        message = self.matched(self.recvs, self.sends, (src, dst, tag))
        message.transfers = message_of(src, dst, nbytes, self.slicing)
        message.reset()
        return self.issue(message)

    def recv(self, src, dst, tag=0):
        """Let ``dst`` receive."""
        message = self.matched(self.sends, self.recvs, (src, dst, tag))
        self.acts.append(("arrive_at", message, frozenset([dst])))
        return message

    def matched(self, waiting, mine, between):
        """Return the message that the other side waits with, or a new one."""
        if waiting[between]:
            return waiting[between].popleft()
        src, dst, _ = between
        message = Message([src, dst], [], None, (src, dst), apart=[dst])
        mine[between].append(message)
        return message
