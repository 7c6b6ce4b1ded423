"""The time of one message, and the rate that its stream gets."""

from __future__ import annotations

import math

from closed_forms.checks import not_negative_or_unlimited
from emul.links.framing import wire_efficiency
from emul.links.transport import TCP_INITIAL_WINDOW_BYTES
from emul.reading.checks import (
    loss_probability,
    not_negative,
    positive,
    positive_or_unlimited,
    whole_numbers,
)

__all__ = [
    "gap_rate_bytes_per_s",
    "loaded_rtt_s",
    "payload_rate_bytes_per_s",
    "slow_start_time_s",
    "tfrc_rate_bytes_per_s",
    "transfer_time_s",
]


def payload_rate_bytes_per_s(
    line_bits_per_s: float, payload_bytes: float, overhead_bytes: float
) -> float:
    """Return the bytes of payload per second that a line of ``line_bits_per_s`` carries.

    >>> round(payload_rate_bytes_per_s(400e9, 4096, 82) * 8 / 1e9, 1)
    392.1
    """
    positive("bits per second", line_bits_per_s=line_bits_per_s)
    return line_bits_per_s / 8 * wire_efficiency(payload_bytes, overhead_bytes)


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
    whole_numbers("streams", streams=streams)
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


def loaded_rtt_s(
    rate_bytes_per_s: float,
    *,
    total_window_bytes: float,
    rtt_s: float,
    buffer_bytes: float = math.inf,
) -> float:
    """Return min(max(RTT0, sum W / C), RTT0 + Q / C), the round trip in seconds under load.

    Windows that hold more than the path stand in its queue, at most ``buffer_bytes`` of them.
    This is what other traffic sees: a flow's own queue is already in its share of the rate.

    >>> round(loaded_rtt_s(49e9, total_window_bytes=2**25, rtt_s=0.26e-3) * 1e3, 2)
    0.68
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("bytes", total_window_bytes=total_window_bytes)
    not_negative("seconds", rtt_s=rtt_s)
    not_negative_or_unlimited("bytes", buffer_bytes=buffer_bytes)
    queued_s = max(rtt_s, total_window_bytes / rate_bytes_per_s)
    return min(queued_s, rtt_s + buffer_bytes / rate_bytes_per_s)


def tfrc_rate_bytes_per_s(
    segment_bytes: float,
    *,
    rtt_s: float,
    loss: float,
    segments_per_ack: int = 1,
    timeout_s: float | None = None,
    limit_bytes_per_s: float = math.inf,
) -> float:
    """Return the bytes per second of the TCP throughput equation (RFC 5348, section 3.1).

    s / (RTT sqrt(2 b p / 3) + t_RTO 3 sqrt(3 b p / 8) p (1 + 32 p^2)), which unlike Mathis's
    counts time-outs; ``timeout_s`` is t_RTO, 4 RTT where left out.

    >>> round(tfrc_rate_bytes_per_s(1448, rtt_s=0.08, loss=1e-3))
    694757
    """
    positive("bytes", segment_bytes=segment_bytes)
    positive("seconds", rtt_s=rtt_s)
    loss_probability(loss=loss)
    positive_or_unlimited("bytes per second", limit_bytes_per_s=limit_bytes_per_s)
    whole_numbers("segments", segments_per_ack=segments_per_ack)
    timeout_s = 4 * rtt_s if timeout_s is None else timeout_s
    not_negative("seconds", timeout_s=timeout_s)
    if loss == 0:
        return limit_bytes_per_s
    recovery_s = rtt_s * math.sqrt(2 * segments_per_ack * loss / 3)
    waiting_s = timeout_s * 3 * math.sqrt(3 * segments_per_ack * loss / 8)
    segment_s = recovery_s + waiting_s * loss * (1 + 32 * loss**2)
    return min(limit_bytes_per_s, segment_bytes / segment_s)
