"""A link: the effect of one direction of a path on a message.

Three numbers, rate, latency and overhead, are always there. Further effects of real links are in
four parts, each off unless it is given: transport, jitter, other traffic, and waves.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from emul.errors import ArgumentError, TopologyError, unknown_name
from emul.links.framing import FRAMINGS
from emul.links.jitter import lognormal_sigma
from emul.links.loss import BBR_MOST_LOSS
from emul.links.queues import (
    CABLE_S_PER_KM,
    JUMBO_FRAME_BYTES,
    pfc_headroom_bytes,
    pfc_rate_bytes_per_s,
)
from emul.links.transport import TCP_INITIAL_WINDOW_BYTES
from emul.reading.brief import brief
from emul.reading.checks import (
    fraction,
    loss_probability,
    not_negative,
    positive,
    positive_or_unlimited,
    whole_numbers,
)

__all__ = ["EFFECTS", "RECOVERIES", "TCP", "Jitter", "Link", "OtherTraffic", "Transport"]

TCP = ("reno", "cubic", "bbr")
RECOVERIES = ("none", "gbn", "sr", *TCP)
"""How lost packets come again: not at all, go-back-N, selective repeat, or a law of TCP."""

EFFECTS = ("latency", "window", "gap", "loss", "jitter", "queue", "load", "outage", "host")
"""Effects that can be turned off, to see their cost."""


@dataclass(frozen=True, slots=True)
class Transport:
    """How a connection sends. Bytes and seconds.

    At most ``window_bytes`` are in flight on each of ``streams`` (0: no window), freed in
    chunks of ``chunk_bytes``, ``turnaround_s`` after they have come. Two slices of a stream
    start at least ``gap_s`` apart. Of packets of ``mtu_bytes`` the part ``loss`` is lost, and
    comes again by ``recovery``; ``rto_s`` is the timer where nothing else tells of a loss, 0 for
    none, and a connection of RDMA is dead one timer after the last of ``retries``. With
    ``slow_start`` a connection of TCP begins, and begins again after ``rto_s`` of silence, with
    ``initial_window_bytes`` (ten segments of 1448 bytes, RFC 6928). ``framing``: the name of the
    packets on the wire, one of emul.links.framing.FRAMINGS, empty where it is not known; it tells
    a library its transport, and changes no rate. With ``idle_s``, a window that is filled anew each
    round trip is a warm one of TCP: whole at first, halved for each ``idle_s`` of silence, down to
    ``initial_window_bytes`` (RFC 2861; tcp_cwnd_restart of Linux), and open again by slow start.
    """

    window_bytes: float = 0.0
    streams: int = 1
    chunk_bytes: float = 0.0
    turnaround_s: float = 0.0
    gap_s: float = 0.0
    loss: float = 0.0
    recovery: str = "none"
    mtu_bytes: float = 4096.0
    rto_s: float = 0.0
    retries: int = 7
    slow_start: bool = False
    initial_window_bytes: float = TCP_INITIAL_WINDOW_BYTES
    framing: str = ""
    idle_s: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers that no transport can have, and losses that nothing makes good."""
        if self.framing and self.framing not in FRAMINGS:
            raise unknown_name("framing", self.framing, FRAMINGS)
        not_negative("bytes", window_bytes=self.window_bytes, chunk_bytes=self.chunk_bytes)
        not_negative("seconds", turnaround_s=self.turnaround_s, gap_s=self.gap_s, rto_s=self.rto_s)
        not_negative("seconds", idle_s=self.idle_s)
        positive("bytes", mtu_bytes=self.mtu_bytes, initial_window_bytes=self.initial_window_bytes)
        whole_numbers("streams", streams=self.streams)
        whole_numbers("retries", 0, retries=self.retries)
        loss_probability(loss=self.loss)
        if self.recovery not in RECOVERIES:
            raise unknown_name("recovery", self.recovery, RECOVERIES)
        if self.loss and self.recovery == "none":
            raise ArgumentError(
                f"loss = {self.loss!r} with recovery 'none': needed one of "
                f"{', '.join(RECOVERIES[1:])}, for what is lost has to come again"
            )
        if self.recovery == "bbr" and self.loss > BBR_MOST_LOSS:
            raise ArgumentError(
                f"loss = {self.loss!r} with recovery 'bbr': needed at most {BBR_MOST_LOSS}, beyond "
                "which BBR sends ever less"
            )
        if self.slow_start and self.recovery not in TCP:
            raise ArgumentError(
                f"slow_start with recovery {self.recovery!r}: needed one of {', '.join(TCP)}"
            )


@dataclass(frozen=True, slots=True)
class Jitter:
    """Extra delay of each message, lognormal: its median in seconds, and its p99 over that."""

    median_s: float = 0.0
    p99_over_p50: float = 1.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse a negative delay and a p99 below the median."""
        not_negative("seconds", median_s=self.median_s)
        lognormal_sigma(self.p99_over_p50)


@dataclass(frozen=True, slots=True)
class OtherTraffic:
    """Traffic of others on the link, and the buffer in front of it.

    ``load`` is the part of the rate that others take; ``queue_bytes`` of theirs stand in the
    queue, as far as ``buffer_bytes`` hold them. On a ``lossless`` link a buffer shorter than the
    pause needs (see emul.links.queues) caps the rate. A token bucket in front of the link lets
    ``burst_bytes`` pass at once after it was idle long enough.
    """

    load: float = 0.0
    queue_bytes: float = 0.0
    buffer_bytes: float = math.inf
    lossless: bool = False
    burst_bytes: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse others who leave nothing, and a buffer without bytes."""
        fraction(load=self.load)
        if self.load == 1:
            raise ArgumentError("load = 1: needed a fraction from 0 to less than 1")
        not_negative("bytes", queue_bytes=self.queue_bytes, burst_bytes=self.burst_bytes)
        positive_or_unlimited("bytes", buffer_bytes=self.buffer_bytes)


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a path between ranks.

    A transfer of b bytes that has the link to itself takes
    ``overhead_s + b / rate_bytes_per_s + latency_s``. The overhead and the bytes occupy the
    link; the latency delays the arrival and occupies nothing (LogGP's o, G and L;
    Alexandrov et al., SPAA 1995). The other parts change that; they are off by default.
    ``rate_bytes_per_s`` is the payload of all ``waves`` together; a stream lives on one of them.
    The hosts at its ends copy at most ``host_bytes_per_s``, and the receiving one takes
    ``completion_s`` before a transfer can be used, which is no part of a round trip.

    Raises TopologyError when a number is not finite, the rate is not positive or a time is
    negative.
    """

    rate_bytes_per_s: float
    latency_s: float
    overhead_s: float = 0.0
    transport: Transport = field(default=Transport())
    jitter: Jitter = field(default=Jitter())
    others: OtherTraffic = field(default=OtherTraffic())
    waves: int = 1
    host_bytes_per_s: float = math.inf
    completion_s: float = 0.0

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers that no link can have."""
        if not (math.isfinite(self.rate_bytes_per_s) and self.rate_bytes_per_s > 0):
            raise TopologyError(
                f"link with rate_bytes_per_s = {self.rate_bytes_per_s}: needed a finite number "
                "above 0, in bytes per second"
            )
        for name in ("latency_s", "overhead_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise TopologyError(
                    f"link with {name} = {value}: needed a finite number of seconds, 0 or more"
                )
        whole_numbers("waves", waves=self.waves)
        positive_or_unlimited("bytes per second", host_bytes_per_s=self.host_bytes_per_s)
        not_negative("seconds", completion_s=self.completion_s)

    @property
    def queue_s(self) -> float:
        """Seconds that a message waits behind the standing queue of other traffic."""
        standing = min(self.others.queue_bytes, self.others.buffer_bytes)
        return standing / self.rate_bytes_per_s

    @property
    def rtt_s(self) -> float:
        """Round-trip time in seconds of a path with this link in either direction, queues too."""
        return 2 * (self.latency_s + self.queue_s)

    @property
    def bdp_bytes(self) -> float:
        """Bandwidth-delay product: the bytes in flight that keep the link busy."""
        return self.rate_bytes_per_s * self.rtt_s

    @property
    def headroom_bytes(self) -> float:
        """The bytes that still come after a pause was sent, which the buffer has to hold."""
        mtu_bytes = max(self.transport.mtu_bytes, JUMBO_FRAME_BYTES)
        return pfc_headroom_bytes(
            self.rate_bytes_per_s, cable_km=self.latency_s / CABLE_S_PER_KM, mtu_bytes=mtu_bytes
        )

    @property
    def short_of_headroom(self) -> bool:
        """Whether the link is to be lossless and its buffer is too short for its length."""
        return self.others.lossless and self.headroom_bytes > self.others.buffer_bytes

    @property
    def available_bytes_per_s(self) -> float:
        """The rate of all transfers together: less the load of others, and as a short buffer and
        the hosts allow.

        A buffer that is too short for its length either caps the rate at buffer / RTT or, where
        go-back-N and a loss are given, loses.
        """
        return min(self.wire_bytes_per_s, self.host_bytes_per_s)

    @property
    def wire_bytes_per_s(self) -> float:
        """The same, however slow the hosts are."""
        left = self.rate_bytes_per_s * (1 - self.others.load)
        loses = self.transport.recovery == "gbn" and self.transport.loss > 0
        if not self.short_of_headroom or loses or not self.latency_s:
            return left
        return pfc_rate_bytes_per_s(
            left,
            headroom_bytes=self.headroom_bytes,
            buffer_bytes=self.others.buffer_bytes,
            rtt_s=2 * self.latency_s,
        )

    def without(self, effects: Collection[str]) -> Link:
        """Return the link without some of its effects, named as in ``EFFECTS``."""
        transport, others = self.transport, self.others
        if "window" in effects:
            transport = replace(transport, window_bytes=0.0, slow_start=False, idle_s=0.0)
        if "gap" in effects:
            transport = replace(transport, gap_s=0.0)
        if "loss" in effects:
            transport = replace(transport, loss=0.0)
        if "queue" in effects:
            others = replace(others, queue_bytes=0.0, lossless=False)
        if "load" in effects:
            others = replace(others, load=0.0)
        free = "host" in effects
        return replace(
            self,
            latency_s=0.0 if "latency" in effects else self.latency_s,
            transport=transport,
            jitter=Jitter() if "jitter" in effects else self.jitter,
            others=others,
            host_bytes_per_s=math.inf if free else self.host_bytes_per_s,
            completion_s=0.0 if free else self.completion_s,
        )
