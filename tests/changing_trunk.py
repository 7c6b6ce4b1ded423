"""A trunk that several connections share, that changes and fails, for ``async_reference``.

Written from the link model: a trunk that goes down loses the bytes in flight of all that send, and
of those who have just ended; each goes on at the first timer after it is up again. TCP doubles its
timers, and gives up an outage without end after 15 of them. RDMA tries so many times, and gives a
connection up one timer after that; all that it has of the operation is dropped.
"""

import math
from dataclasses import dataclass, field

NEVER = math.inf
TCP = ("reno", "cubic", "bbr")
LEAST_TIMER_S = 0.2  # of TCP
LONGEST_TIMER = 120 * 10**12  # of TCP, which gives up after 15 retries


@dataclass
class Stream:
    """A connection on the trunk: its transfers in a row, and how the first one is doing."""

    queue: list = field(default_factory=list)  # of (transfer, bytes)
    rest: float = 0.0  # bytes of the first one that are to be sent since ``resumed``
    resumed: int = 0
    lost_at: int = -1  # since when nothing gets through; -1 if all is well
    gives_up: bool = False
    died_with: object = None  # the operation of the last transfer that was given up
    head_came: int = 0


class ChangingTrunk:
    """One direction of a trunk. ``network`` is told what happens, in four ways.

    Those are ``head_comes(when, transfer)``, ``has_left(now, transfer, delay)``,
    ``wakes(when, trunk, connection)`` and ``fails(now, transfer)``.
    """

    def __init__(self, link, latency_ps, line, network):
        self.rate, self.latency = link.rate_bytes_per_s, latency_ps
        self.line, self.network = line, network
        transport = link.transport
        self.doubles, self.retries = transport.recovery in TCP, transport.retries
        least_s = LEAST_TIMER_S if self.doubles else 0.0
        self.timer = round((transport.rto_s or least_s) * 1e12)
        self.streams, self.until, self.served, self.since = {}, {}, 0.0, 0
        self.number = 0  # of the state

    @property
    def state(self):
        return self.line.states[self.number]

    @property
    def delay(self):
        """How long a byte is under way that leaves now."""
        return self.latency + self.state.extra_ps

    @property
    def share(self):
        return self.rate * self.state.factor / len(self.until)

    def look(self, now):
        """Take the state of now, if nothing is being sent: else changes come one by one."""
        if not self.until:
            self.number = self.line.at(now)

    def advance(self, now):
        if self.until:
            self.served += self.share * (now - self.since) / 1e12
        else:
            self.served = 0.0
        self.since = now

    def enter(self, now, transfer, connection, nbytes):
        """Put a transfer on its connection; it begins at once if nothing is before it."""
        self.look(now)
        stream = self.streams.setdefault(connection, Stream())
        if stream.died_with is transfer[0]:
            return
        stream.queue.append((transfer, nbytes))
        if len(stream.queue) == 1:
            self.begin(now, connection)

    def begin(self, now, connection):
        stream = self.streams[connection]
        transfer, stream.rest = stream.queue[0]
        stream.head_came = max(stream.head_came, now + self.delay)
        self.network.head_comes(stream.head_came, transfer)
        self.send(now, connection)

    def send(self, now, connection):
        stream = self.streams[connection]
        if not self.state.up:
            self.stall(now, connection, now)
            return
        stream.resumed, stream.lost_at = now, -1
        self.advance(now)
        self.until[connection] = self.served + stream.rest

    def due(self):
        """When the first one has sent all that it has to, and which connection it is on."""
        connection = min(self.until, key=lambda each: (self.until[each], each))
        if self.state.factor == 0:
            return NEVER, connection
        rest = max(0.0, self.until[connection] - self.served)
        return self.since + math.floor(rest * 1e12 / self.share + 0.5), connection

    def sent(self, now, connection):
        """All is sent, but for bytes that an outage catches before they are there."""
        self.advance(now)
        del self.until[connection]
        stream, down = self.streams[connection], self.line.next_down_ps(self.number)
        if down is not None and down < now + self.latency:
            caught = now - max(stream.resumed, down - self.latency)
            stream.rest *= caught / max(1, now - stream.resumed)
            self.stall(now, connection, down)
            return
        self.gone(now, connection)

    def gone(self, now, connection):
        transfer, _ = self.streams[connection].queue.pop(0)
        self.network.has_left(now, transfer, self.delay)
        self.go_on(now, connection)

    def go_on(self, now, connection):
        if self.streams[connection].queue:
            self.begin(now, connection)

    def next_change(self):
        """When the state changes, as far as anybody who sends would notice."""
        following = self.line.next_from_ps(self.number) if self.until else None
        return NEVER if following is None else following

    def change(self, now):
        self.advance(now)
        self.number += 1
        for connection in [] if self.state.up else list(self.until):
            self.cut(now, connection)

    def cut(self, now, connection):
        """The trunk has gone down: bytes in flight are lost, of an even stream since it began."""
        stream = self.streams[connection]
        unsent = max(0.0, self.until.pop(connection) - self.served)
        sending, sent = now - stream.resumed, stream.rest - unsent
        lost = sent * min(sending, self.latency) / sending if sending else 0.0
        stream.rest = unsent + lost
        self.stall(now, connection, now)

    def stall(self, now, connection, lost_at):
        """Wait for the first timer after the trunk is up again; or in vain, for the last one."""
        stream = self.streams[connection]
        stream.lost_at = lost_at if stream.lost_at < 0 else stream.lost_at
        up = self.line.up_again_ps(self.number)
        wait, impatient = self.wait(stream.lost_at, up), self.timer and not self.doubles
        if wait == NEVER or (impatient and wait > self.retries * self.timer):
            stream.gives_up, wait = True, self.patience()
        self.network.wakes(max(now, stream.lost_at + wait), self, connection)

    def patience(self):
        """How long after ``lost_at`` a connection is given up."""
        if not self.doubles:
            return (self.retries + 1) * self.timer
        return sum(min(self.timer * 2**k, max(self.timer, LONGEST_TIMER)) for k in range(16))

    def wait(self, lost_at, up):
        """How long after ``lost_at`` the first try comes that finds the trunk up."""
        if up is None:
            return NEVER
        if self.timer == 0:
            return up - lost_at
        if not self.doubles:
            return -(-(up - lost_at) // self.timer) * self.timer
        wait = tries = 0
        while lost_at + wait < up:
            wait, tries = wait + self.timer * 2**tries, tries + 1
        return wait

    def wake(self, now, connection):
        """A timer has run out."""
        self.look(now)
        stream = self.streams[connection]
        if stream.gives_up:
            stream.gives_up, stream.lost_at = False, -1
            transfer, _ = stream.queue[0]
            stream.died_with = transfer[0]
            stream.queue = [each for each in stream.queue if each[0][0] is not transfer[0]]
            self.network.fails(now, transfer)
            self.go_on(now, connection)
        else:
            self.send(now, connection)
