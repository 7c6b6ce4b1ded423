"""NCCL's ring all-reduce over equal links, loop after loop, slowly: a model of its own.

Written from src/device/all_reduce.h (runRing) and prims_simple.h (genericOp) of NVIDIA/nccl 2.30.7.
Each channel of a rank goes through its list of slices: it waits for the slice to receive and for a
slot to send, then hands the slice to the connection, which sends it in segments. Over sockets a
slot is free when the kernel has taken the bytes, which a window of unacknowledged bytes bounds;
over RDMA when the far end has acknowledged them. No software takes time.
"""

from collections import deque
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

STEP_BYTES, CHUNK_STEPS, SLOTS = 512 << 10, 4, 4  # slots of two steps, as a slice takes
CHANNELS, SEGMENT_BYTES, WINDOW_BYTES = 2, 64 << 10, 4 << 20


def slices_of(nbytes, n):
    """The slices of a channel, in order: whether one is received, whether sent, and its bytes."""
    found, left = [], nbytes
    while left > 0:
        chunk = min(CHUNK_STEPS * STEP_BYTES, -(-left // n))
        half = max(-(-chunk // 2), STEP_BYTES // 16)
        for k in range(2 * n - 1):
            pieces = [half, chunk - half] if chunk > half else [chunk]
            found += [(k > 0, k < 2 * n - 2, piece) for piece in pieces]
        left -= n * chunk
    return found


@dataclass
class Channel:
    """How far a rank is on a channel, and what is under way to the next rank."""

    done: int = 0
    received: int = 0
    slots_in_use: int = 0
    unacknowledged: int = 0
    handed_over: deque = field(default_factory=deque)


class Ring:
    """``n`` ranks whose links carry ``rate`` bytes per second, ``delay_s`` from one to the next."""

    def __init__(self, n, rate, delay_s, net):
        self.n, self.rate, self.delay_s, self.net = n, rate, delay_s, net
        self.channels = {(i, c): Channel() for i in range(n) for c in range(CHANNELS)}
        self.links, self.busy, self.last = [deque() for _ in range(n)], [False] * n, [0] * n
        self.events, self.number = [], count()

    def all_reduce_s(self, nbytes):
        """The seconds until the last slice has come to the last rank."""
        self.slices = slices_of(-(-nbytes // CHANNELS), self.n)
        self.now = 0.0
        for place in self.channels:
            self.go_on(*place)
        while self.events:
            self.now, _, (act, *what) = heappop(self.events)
            act(*what)
        assert all(each.done == len(self.slices) for each in self.channels.values())
        return self.end

    def after(self, seconds, *event):
        heappush(self.events, (self.now + seconds, next(self.number), event))

    def go_on(self, i, c):
        channel = self.channels[i, c]
        while channel.done < len(self.slices):
            receives, sends, nbytes = self.slices[channel.done]
            if (receives and not channel.received) or (sends and channel.slots_in_use == SLOTS):
                return
            channel.received -= receives
            channel.slots_in_use += sends
            channel.done, self.end = channel.done + 1, self.now
            if sends:
                sizes = [SEGMENT_BYTES] * (nbytes // SEGMENT_BYTES)
                sizes += [nbytes % SEGMENT_BYTES] * (nbytes % SEGMENT_BYTES > 0)
                channel.handed_over.extend((size, False) for size in sizes[:-1])
                channel.handed_over.append((sizes[-1], True))
                self.take(i, c)

    def take(self, i, c):
        """Let the kernel, or the NIC, take as many bytes as it may."""
        channel, sockets = self.channels[i, c], self.net == "Socket"
        while channel.handed_over:
            size, ends = channel.handed_over[0]
            if sockets and channel.unacknowledged + size > WINDOW_BYTES:
                return
            channel.handed_over.popleft()
            channel.unacknowledged += size
            self.links[i].append((c, size, ends))
            if ends and sockets:
                self.after(0.0, self.free, i, c)
            self.send(i)

    def free(self, i, c):
        self.channels[i, c].slots_in_use -= 1
        self.go_on(i, c)

    def send(self, i):
        """Begin the next segment, of the other channel where it has one."""
        link = self.links[i]
        if self.busy[i] or not link:
            return
        place = next((p for p, each in enumerate(link) if each[0] != self.last[i]), 0)
        c, size, ends = link[place]
        del link[place]
        self.busy[i], self.last[i] = True, c
        self.after(size / self.rate, self.sent, i, c, size, ends)

    def sent(self, i, c, size, ends):
        self.busy[i] = False
        if ends:
            self.after(self.delay_s, self.arrive, (i + 1) % self.n, c)
        self.after(2 * self.delay_s, self.acknowledged, i, c, size, ends)
        self.send(i)

    def arrive(self, i, c):
        self.channels[i, c].received += 1
        self.go_on(i, c)

    def acknowledged(self, i, c, size, ends):
        channel = self.channels[i, c]
        channel.unacknowledged -= size
        channel.slots_in_use -= ends and self.net == "IB"
        self.take(i, c)
        self.go_on(i, c)
