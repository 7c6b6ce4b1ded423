"""Shared trunks with token buckets by a slow simulation in exact fractions.

Written from what the model says and nothing else: streams share max-min fair, each at most at its
cap; a link with tokens in its bucket does not limit, everything else does; tokens flow in at the
link's rate and out with the bytes. While a wave has tokens, bytes come as fast as the sender's port
lets them go and a window leaves of that. What a message has in flight queues in front of a bucket,
as far as there are no tokens for it, and a stream that begins waits behind that.
"""

from dataclasses import dataclass, field
from fractions import Fraction

PS = 10**12

NOTHING_PS = Fraction(1, 1000)
"""Tokens of less than this time are none: two buckets in turn would fill each other up for ever."""


@dataclass
class Bucketed:
    """A wave, or an uplink of a site: bytes per second, and the bytes its bucket holds."""

    rate: Fraction
    burst: Fraction = Fraction(0)
    tokens: Fraction = Fraction(0)
    busy: Fraction = Fraction(0)

    def __post_init__(self):
        self.tokens = self.burst


@dataclass
class Stream:
    """One after the other: parts of messages, (number, when its head is there, bytes)."""

    wave: str
    uplinks: tuple
    cap: Fraction | None
    with_tokens: Fraction
    path_bytes: Fraction
    parts: list = field(default_factory=list)
    begins: Fraction = Fraction(0)
    left: Fraction | None = None  # bytes of the first part to send; None before it has begun

    @property
    def links(self):
        return (self.wave, *self.uplinks)


def half_up(ps):
    return (2 * ps + 1) // 2


def rates_of(active, links):
    """Max-min: all rates rise together; who reaches a limit of its own, or fills a link, stops."""
    limit, free = {}, {name: link.rate for name, link in links.items() if not link.tokens}
    for number, stream in active.items():
        wave = links[stream.wave]
        own = wave.rate / sum(other.wave == stream.wave for other in active.values())
        own = own if stream.cap is None else min(own, stream.cap)
        limit[number] = max(own, stream.with_tokens) if wave.tokens else own
    rates, waiting = {}, set(active)
    while waiting:
        users = {name: [n for n in waiting if name in active[n].links] for name in free}
        levels = {name: free[name] / len(using) for name, using in users.items() if using}
        level = min([*levels.values(), *(limit[n] for n in waiting)])
        full = {name for name, each in levels.items() if each == level}
        stopped = {n for n in waiting if limit[n] == level or full & set(active[n].links)}
        for number in stopped:
            rates[number] = level
            for name in set(active[number].links) & set(free):
                free[name] -= level
        waiting -= stopped
    return rates


def admitted(stream, links, now, nbytes):
    """When a part that is there at ``now`` may begin: behind what is queued at the buckets."""
    buckets = [links[name] for name in stream.links if links[name].burst]
    begins = max([now, *(bucket.busy for bucket in buckets)])
    for bucket in buckets:
        tokens = bucket.tokens if begins == now else 0
        queued = max(0, min(nbytes, stream.path_bytes) - tokens)
        bucket.busy = begins + queued * PS // bucket.rate  # a whole picosecond
    return begins


def simulate(streams, links):
    """When the last part of each message has left, exactly, and how many events there were."""
    now, left_ps, events = Fraction(0), {}, 0
    while any(stream.parts for stream in streams):
        begin(streams, links, now)
        under_way = [s for s in streams if s.left is not None and s.begins <= now]
        sending = {number: s for number, s in enumerate(under_way) if s.left}
        rates = rates_of(sending, links)
        used = {name: sum(rates[n] for n in rates if name in sending[n].links) for name in links}
        then = min(moments(streams, sending, rates, links, used, now))
        for number, rate in rates.items():
            sending[number].left -= rate * (then - now) / PS
        for name, link in links.items():
            gained = (link.rate - used[name]) * (then - now) / PS
            link.tokens = min(link.burst, link.tokens + gained)
            if link.tokens * PS < link.rate * NOTHING_PS:
                link.tokens = Fraction(0)
        now, events = then, events + 1
        for stream in under_way:
            if stream.left == 0:
                number = stream.parts.pop(0)[0]
                left_ps[number] = max(now, left_ps.get(number, now))
                # Times are whole picoseconds: then the next part may begin.
                stream.left, stream.begins = None, Fraction(half_up(now))
    return left_ps, events


def begin(streams, links, now):
    """Let the parts begin, or queue, that can at ``now``: in the order of their messages."""
    waiting = [s for s in streams if s.parts and s.left is None and s.begins <= now]
    for stream in sorted(waiting, key=lambda each: each.parts[0][0]):
        _, head, nbytes = stream.parts[0]
        if head <= now:
            stream.left, stream.begins = Fraction(nbytes), admitted(stream, links, now, nbytes)
        else:
            stream.begins = Fraction(head)


def moments(streams, sending, rates, links, used, now):
    """When something changes: a stream is through or begins, a bucket is empty."""
    for number, rate in rates.items():
        yield now + sending[number].left * PS / rate
    for stream in streams:
        if stream.left == 0 and stream.begins <= now:
            yield now
        elif stream.parts and stream.begins > now:
            yield stream.begins
    for name, link in links.items():
        if link.tokens and used[name] > link.rate:
            yield now + link.tokens * PS / (used[name] - link.rate)
