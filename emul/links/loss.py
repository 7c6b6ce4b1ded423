"""The rate with losses, by the law of recovery.

Loss is a probability per packet or segment, 0 to less than 1. The rates of TCP are per
stream; without loss they are unlimited, so each takes the rate of the link as its limit.
"""

from __future__ import annotations

import math

from emul.reading.checks import (
    loss_probability,
    not_negative,
    positive,
    positive_or_unlimited,
    whole_numbers,
)

__all__ = [
    "BBR_MOST_LOSS",
    "bbr_rate_bytes_per_s",
    "cubic_rate_bytes_per_s",
    "cubic_window_segments",
    "go_back_n_efficiency",
    "mathis_rate_bytes_per_s",
    "packets_in_flight",
    "selective_repeat_efficiency",
]

BBR_MOST_LOSS = 0.2
"""BBRv1 probes at 1.25 times its estimate, so 1 - 1/1.25 may be lost (Cardwell, bbr-dev)."""

CUBIC_C = 0.4
"""Segments per second cubed by which a CUBIC window grows (RFC 9438, section 5)."""

CUBIC_BETA = 0.7
"""The part of a CUBIC window after a loss (RFC 9438, section 4.6)."""

CUBIC_RENO_SEGMENTS = 1.2
"""Mean window times the root of the loss in CUBIC's Reno-friendly region (RFC 9438, tables)."""


def packets_in_flight(rate_bytes_per_s: float, *, rtt_s: float, mtu_bytes: float) -> float:
    """Return N = 1 + RTT / t, the packets of ``mtu_bytes`` that fill a path, t = MTU / rate.

    >>> round(packets_in_flight(49.0187e9, rtt_s=0.3e-3, mtu_bytes=4096))
    3591
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("seconds", rtt_s=rtt_s)
    positive("bytes", mtu_bytes=mtu_bytes)
    return 1 + rtt_s * rate_bytes_per_s / mtu_bytes


def _check_path(loss: float, in_flight_packets: float, window_packets: float) -> None:
    """Refuse a path that holds less than the packet being sent."""
    loss_probability(loss=loss)
    positive("packets", in_flight_packets=in_flight_packets)
    positive_or_unlimited("packets", window_packets=window_packets)


def go_back_n_efficiency(
    loss: float, in_flight_packets: float, *, window_packets: float = math.inf
) -> float:
    """Return the part of the rate that go-back-N turns into payload, 0 to 1.

    A loss costs all N slots in flight: (1 - p) / (1 + p (N - 1)), or with a window of
    W < N packets W (1 - p) / ((1 - p + p W) N), which is W / N without loss (worked example:
    csee.usf.edu/~christen, exp1). Such a window is taken to be spread over its round trip; one
    that leaves in a burst fares a little better.

    >>> round(go_back_n_efficiency(1e-4, 3591.23), 3)
    0.736
    """
    _check_path(loss, in_flight_packets, window_packets)
    window = min(window_packets, in_flight_packets)
    return window * (1 - loss) / ((1 - loss + loss * window) * in_flight_packets)


def selective_repeat_efficiency(
    loss: float, in_flight_packets: float, *, window_packets: float = math.inf
) -> float:
    """Return the part of the rate that selective repeat turns into payload: (1 - p) min(1, W / N).

    Only lost packets are sent again, as by NICs in the manner of IRN (Mittal et al.,
    SIGCOMM 2018).

    >>> selective_repeat_efficiency(1e-3, 3590)
    0.999
    """
    _check_path(loss, in_flight_packets, window_packets)
    return (1 - loss) * min(1.0, window_packets / in_flight_packets)


def _check_tcp(segment_bytes: float, rtt_s: float, loss: float, limit: float) -> None:
    """Refuse a stream without segments or without a round trip."""
    positive("bytes", segment_bytes=segment_bytes)
    positive("seconds", rtt_s=rtt_s)
    loss_probability(loss=loss)
    positive_or_unlimited("bytes per second", limit_bytes_per_s=limit)


def mathis_rate_bytes_per_s(
    segment_bytes: float,
    *,
    rtt_s: float,
    loss: float,
    segments_per_ack: int = 1,
    limit_bytes_per_s: float = math.inf,
) -> float:
    """Return MSS / RTT sqrt(3 / (2 b p)), the bytes per second of a Reno stream.

    b is ``segments_per_ack``: 2 with delayed acknowledgements (Mathis et al., CCR 27(3), 1997).

    >>> round(mathis_rate_bytes_per_s(1448, rtt_s=0.08, loss=1e-4))
    2216788
    """
    _check_tcp(segment_bytes, rtt_s, loss, limit_bytes_per_s)
    whole_numbers("segments", segments_per_ack=segments_per_ack)
    if loss == 0:
        return limit_bytes_per_s
    window = math.sqrt(1.5 / (segments_per_ack * loss))
    return min(limit_bytes_per_s, segment_bytes / rtt_s * window)


def cubic_window_segments(rtt_s: float, loss: float) -> float:
    """Return the mean window of a CUBIC stream in segments; infinity without loss.

    max((C (3 + beta) / (4 (1 - beta)))^(1/4) (RTT / p)^(3/4), 1.2 / sqrt(p)): the cubic and
    the Reno-friendly region (RFC 9438, section 5.1 and tables 1 and 2).

    >>> round(cubic_window_segments(0.1, 1e-6))
    5926
    """
    positive("seconds", rtt_s=rtt_s)
    loss_probability(loss=loss)
    if loss == 0:
        return math.inf
    scale: float = (CUBIC_C * (3 + CUBIC_BETA) / (4 * (1 - CUBIC_BETA))) ** 0.25
    cubic: float = scale * (rtt_s / loss) ** 0.75
    return max(cubic, CUBIC_RENO_SEGMENTS / math.sqrt(loss))


def cubic_rate_bytes_per_s(
    segment_bytes: float, *, rtt_s: float, loss: float, limit_bytes_per_s: float = math.inf
) -> float:
    """Return MSS W / RTT with CUBIC's mean window W, the bytes per second of a stream.

    >>> round(cubic_rate_bytes_per_s(1448, rtt_s=0.1, loss=0.01))
    173760
    """
    _check_tcp(segment_bytes, rtt_s, loss, limit_bytes_per_s)
    window = cubic_window_segments(rtt_s, loss)
    return min(limit_bytes_per_s, segment_bytes / rtt_s * window)


def bbr_rate_bytes_per_s(
    rate_bytes_per_s: float, loss: float, *, most_loss: float = BBR_MOST_LOSS
) -> float:
    """Return C (1 - p), the bytes per second of BBR, and 0 where more than it bears is lost.

    Beyond ``most_loss`` the probes no longer make good the losses, and the estimate of the
    rate falls without end. Versions 2 and 3 give way at about 0.02 (assumed).
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    loss_probability(loss=loss, most_loss=most_loss)
    return rate_bytes_per_s * (1 - loss) if loss <= most_loss else 0.0
