"""Standing queues, and the buffer that a lossless link needs."""

from __future__ import annotations

from emul.reading.checks import not_negative, positive

__all__ = [
    "CABLE_S_PER_KM",
    "JUMBO_FRAME_BYTES",
    "pfc_headroom_bytes",
    "pfc_rate_bytes_per_s",
]

CABLE_S_PER_KM = 4.897e-6
"""Of fibre at 1550 nm, in the three digits after the point that data sheets give."""

JUMBO_FRAME_BYTES = 9216
"""The largest frame that common switches carry, which may be in flight at a pause."""


def pfc_headroom_bytes(
    rate_bytes_per_s: float,
    *,
    cable_km: float,
    mtu_bytes: float = JUMBO_FRAME_BYTES,
    fixed_bits: float = 0.0,
) -> float:
    """Return the bytes that still arrive after a pause was sent, per port and priority.

    C times the round trip through ``cable_km`` of route (not line of sight), one packet that
    has begun at either end, and ``fixed_bits`` for interface and response: IEEE 802.3 allows
    a response of 30 720 bits at 10G, 201 728 at 100G, 463 360 at 400G, and 122 880 for the
    interface at 100G. Cisco's 641 B per 100 m one way at 10G agrees (Nexus 5010 PFC paper).

    >>> pfc_headroom_bytes(400e9 / 8, cable_km=24.1)
    11820202.0
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("kilometres", cable_km=cable_km)
    not_negative("bytes", mtu_bytes=mtu_bytes)
    not_negative("bits", fixed_bits=fixed_bits)
    return rate_bytes_per_s * 2 * cable_km * CABLE_S_PER_KM + 2 * mtu_bytes + fixed_bits / 8


def pfc_rate_bytes_per_s(
    rate_bytes_per_s: float, *, headroom_bytes: float, buffer_bytes: float, rtt_s: float
) -> float:
    """Return the bytes per second that stay lossless: the buffer per round trip, if too small.

    The rate is the rate of the link as long as ``buffer_bytes`` holds the headroom.
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    not_negative("bytes", headroom_bytes=headroom_bytes, buffer_bytes=buffer_bytes)
    positive("seconds", rtt_s=rtt_s)
    if headroom_bytes <= buffer_bytes:
        return rate_bytes_per_s
    return min(rate_bytes_per_s, buffer_bytes / rtt_s)
