"""What one transfer gets from a link without loss: windows, gaps, slow start, time.

A window turns latency into bandwidth: no more than the window is in flight per round trip.
"""

from __future__ import annotations

import math

from emul.links.checks import not_negative, positive, whole

__all__ = [
    "TCP_INITIAL_WINDOW_BYTES",
    "gap_rate_bytes_per_s",
    "round_up",
    "slow_start_time_s",
    "streams_to_fill",
    "transfer_time_s",
    "window_rate_bytes_per_s",
]

TCP_INITIAL_WINDOW_BYTES = 14_480
"""Ten segments of 1448 bytes (RFC 6928)."""

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
    whole("streams", streams=streams)
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


def gap_rate_bytes_per_s(
    rate_bytes_per_s: float, *, chunk_bytes: float, gap_s: float, streams: int = 1
) -> float:
    """Return min(C, n c / g), the bytes per second when chunks of a stream start g apart.

    A RoCE system at 400G needed 10 to 12 us per step whatever its size (NVIDIA/nccl#2409).

    >>> round(gap_rate_bytes_per_s(49e9, chunk_bytes=2**17, gap_s=11e-6) / 1e9, 1)
    11.9
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    positive("bytes", chunk_bytes=chunk_bytes)
    not_negative("seconds", gap_s=gap_s)
    whole("streams", streams=streams)
    if gap_s == 0:
        return rate_bytes_per_s
    return min(rate_bytes_per_s, streams * chunk_bytes / gap_s)


def transfer_time_s(
    nbytes: float,
    *,
    rate_bytes_per_s: float,
    delay_s: float,
    overhead_s: float = 0.0,
    extra_s: float = 0.0,
) -> float:
    """Return o + S / R + L, the seconds of one message that has its path to itself.

    ``rate_bytes_per_s`` is what the windows, gaps and losses leave. ``extra_s`` is what comes
    on top once: a ramp, a tail, jitter, packets stored and forwarded. With nothing of these
    this is Hockney's alpha + beta S, with alpha = o + L.

    >>> round(transfer_time_s(2**30, rate_bytes_per_s=49e9, delay_s=130e-6) * 1e3, 2)
    22.04
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", delay_s=delay_s, overhead_s=overhead_s, extra_s=extra_s)
    return overhead_s + nbytes / rate_bytes_per_s + delay_s + extra_s


def slow_start_time_s(
    nbytes: float,
    *,
    rate_bytes_per_s: float,
    rtt_s: float,
    delay_s: float,
    initial_window_bytes: float = TCP_INITIAL_WINDOW_BYTES,
) -> float:
    """Return the seconds until a TCP connection that starts anew has delivered ``nbytes``.

    Its window doubles each round trip until it holds C RTT bytes; from then on, or when the
    rest fits into the window, the rest goes at the rate of the link. RDMA starts at full rate.

    >>> slow_start_time_s(10**6, rate_bytes_per_s=1.25e9, rtt_s=0.08, delay_s=0.04)
    0.520070208
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    positive("bytes", initial_window_bytes=initial_window_bytes)
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", rtt_s=rtt_s, delay_s=delay_s)
    rest_bytes, window_bytes, rounds = float(nbytes), float(initial_window_bytes), 0
    while window_bytes < min(rest_bytes, rate_bytes_per_s * rtt_s):
        rest_bytes -= window_bytes
        window_bytes *= 2
        rounds += 1
    return rounds * rtt_s + rest_bytes / rate_bytes_per_s + delay_s
