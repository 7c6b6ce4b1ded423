"""The rate of one transfer on a link without loss: windows and streams.

A window turns latency into bandwidth: no more than the window is in flight per round trip.
"""

from __future__ import annotations

import math

from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "ASSUMED_WINDOW_BYTES",
    "TCP_INITIAL_WINDOW_BYTES",
    "TCP_LEAST_TIMER_S",
    "round_up",
    "streams_to_fill",
    "window_rate_bytes_per_s",
]

ASSUMED_WINDOW_BYTES = 4 << 20
"""Of a stream over a trunk that states no window. Two sources say the same:
NCCL_BUFFSIZE of NCCL (NVIDIA/nccl 2.30.7, src/init.cc), whose 8 slots of 512 KiB the ideal stack
has too, and the largest tcp_wmem of Linux (net/ipv4/tcp.c), by which sockets are bound."""

TCP_INITIAL_WINDOW_BYTES = 14_480
"""Ten segments of 1448 bytes (RFC 6928)."""

TCP_LEAST_TIMER_S = 0.2
"""Linux's least retransmission time-out (include/net/tcp.h, TCP_RTO_MIN)."""

ROUNDING = 1e-12
"""A quotient this close above a whole number, relatively, is that number: rounding errors of
inputs must not cost one more stream or step."""


def round_up(value: float) -> int:
    """Return the least whole number that is not less than ``value``, but for rounding errors."""
    return math.ceil(value * (1 - ROUNDING))


def window_rate_bytes_per_s(
    rate_bytes_per_s: float,
    *,
    window_bytes: float,
    rtt_s: float,
    streams: int = 1,
    chunk_bytes: float = 0.0,
    turnaround_s: float = 0.0,
) -> float:
    """Return min(C, n W / (RTT + c / C + t)), the bytes per second that windows allow.

    Each of the W / c slots of a stream can be used again one round trip after its last byte
    has left, plus ``turnaround_s`` at the far end. A window of 0 bytes means no window; NCCL
    has 4 MiB per channel and connection (NVIDIA/nccl 2.30.7, src/init.cc).

    >>> window_rate_bytes_per_s(49e9, window_bytes=2**22, rtt_s=0.5e-3, streams=2) / 1e9
    16.777216
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("bytes", window_bytes=window_bytes, chunk_bytes=chunk_bytes)
    not_negative("seconds", rtt_s=rtt_s, turnaround_s=turnaround_s)
    whole_numbers("streams", streams=streams)
    slot_s = rtt_s + chunk_bytes / rate_bytes_per_s + turnaround_s
    if window_bytes == 0 or slot_s == 0:
        return rate_bytes_per_s
    return min(rate_bytes_per_s, streams * window_bytes / slot_s)


def streams_to_fill(rate_bytes_per_s: float, *, window_bytes: float, rtt_s: float) -> int:
    """Return the least number of streams whose windows hold the link's bytes in flight.

    That is C RTT / W rounded up, and 1 where a window of 0 bytes means no window.

    >>> streams_to_fill(49e9, window_bytes=2**22, rtt_s=0.26e-3)
    4
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("bytes", window_bytes=window_bytes)
    not_negative("seconds", rtt_s=rtt_s)
    if window_bytes == 0:
        return 1
    return max(1, round_up(rate_bytes_per_s * rtt_s / window_bytes))
