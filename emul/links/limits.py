"""The most that one connection gets from a link, however few share it: windows and losses.

R = min(share, n W / (RTT + c / C + t), n R_loss), of which the share is the scheduler's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from emul.links.link import Link, Transport
from emul.links.loss import (
    bbr_rate_bytes_per_s,
    cubic_rate_bytes_per_s,
    go_back_n_efficiency,
    mathis_rate_bytes_per_s,
    packets_in_flight,
    selective_repeat_efficiency,
)
from emul.links.transport import window_rate_bytes_per_s

__all__ = ["UNLIMITED", "Limit", "connection_limit", "lifted_limit_bytes_per_s", "usual_limit"]

HARDLY = 0.99
"""A limit above this part of the line is kept, but nobody is told that it binds."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Bytes per second, and the term that sets them: ``window``, ``loss``, or ``share`` for
    nothing."""

    bytes_per_s: float
    term: str


UNLIMITED = Limit(math.inf, "share")


def connection_limit(
    link: Link, *, rate_bytes_per_s: float, rtt_s: float, loss: float | None = None
) -> Limit:
    """Return the limit of a connection, which has all streams of the link's transport.

    ``rate_bytes_per_s`` is the rate of the link at the time, over all of its waves, ``rtt_s`` the
    round trip in seconds, and ``loss`` the part that is lost, where it is not the transport's. A
    stream has a wave to itself, or where there are more streams than waves its part of one.

    >>> metro = Link(49e9, 0.25e-3, transport=Transport(window_bytes=2**22, streams=2))
    >>> connection_limit(metro, rate_bytes_per_s=49e9, rtt_s=0.5e-3)
    Limit(bytes_per_s=16777216000.0, term='window')
    """
    transport = link.transport
    loss = transport.loss if loss is None else loss
    line = rate_bytes_per_s / max(link.waves, transport.streams)
    if not line:
        return UNLIMITED
    by_window = window_rate_bytes_per_s(
        line,
        window_bytes=transport.window_bytes,
        rtt_s=rtt_s,
        chunk_bytes=transport.chunk_bytes,
        turnaround_s=transport.turnaround_s,
    )
    by_loss = _loss_rate(transport, line, rtt_s, loss)
    rate = min(by_window, by_loss)
    if rate >= line and link.waves == 1:
        return UNLIMITED
    if rate > HARDLY * line:
        return Limit(transport.streams * rate, "share")
    # The one without which the connection would be quicker is named: without losses, by_window.
    without_window = _loss_rate(replace(transport, window_bytes=0.0), line, rtt_s, loss)
    return Limit(transport.streams * rate, "window" if without_window >= by_window else "loss")


def lifted_limit_bytes_per_s(
    link: Link, *, port_bytes_per_s: float, rtt_s: float, loss: float | None = None
) -> float:
    """Return the rate of a connection while tokens lift the limit of ``link``, in bytes per second.

    Bytes then come as fast as the sender's port lets them go, and windows and losses hold the
    connection to a part of that rate.
    """
    one_wave = replace(link, waves=1)
    limit = connection_limit(one_wave, rate_bytes_per_s=port_bytes_per_s, rtt_s=rtt_s, loss=loss)
    return min(port_bytes_per_s, limit.bytes_per_s)


def _loss_rate(transport: Transport, line: float, rtt_s: float, loss: float) -> float:
    """Return the rate of a stream on its ``line`` with losses, in bytes per second."""
    if not loss:
        return line
    if transport.recovery == "bbr":
        return bbr_rate_bytes_per_s(line, loss)
    in_flight = packets_in_flight(line, rtt_s=rtt_s, mtu_bytes=transport.mtu_bytes)
    window = transport.window_bytes / transport.mtu_bytes or math.inf
    if transport.recovery == "gbn":
        return line * go_back_n_efficiency(loss, in_flight, window_packets=window)
    if transport.recovery == "sr":
        return line * selective_repeat_efficiency(loss, in_flight, window_packets=window)
    if not rtt_s:
        return line
    law = mathis_rate_bytes_per_s if transport.recovery == "reno" else cubic_rate_bytes_per_s
    return law(transport.mtu_bytes, rtt_s=rtt_s, loss=loss, limit_bytes_per_s=line)


@lru_cache(maxsize=1024)
def usual_limit(link: Link) -> Limit:
    """Return the limit of a connection over a link that is as it is stated."""
    return connection_limit(link, rate_bytes_per_s=link.available_bytes_per_s, rtt_s=link.rtt_s)
