"""How often a link fails, and how long a connection stands still."""

from __future__ import annotations

import math
from dataclasses import dataclass

from closed_forms.checks import not_negative_or_unlimited
from emul.links.transport import TCP_LEAST_TIMER_S, round_up
from emul.reading.checks import not_negative, positive, whole_numbers

__all__ = [
    "RdmaOutage",
    "TcpOutage",
    "availability",
    "rdma_outage",
    "rdma_timer_s",
    "tcp_outage",
    "years_between_cuts",
]

BURIED_CUTS_PER_1000_KM_YEAR = 2.13
"""Failures of buried cable that interrupt service (Bellcore, in AFL's reliability paper);
0.085 for cable in the ground wire of power lines."""


INFINIBAND_TICK_S = 4.096e-6
"""Unit of the InfiniBand local ACK timer, which is this times two to a power."""


NCCL_IB_TIMEOUT = 20
"""NCCL's default power of two, so a timer of 4.29 s (NVIDIA/nccl 2.30.7, net_ib)."""


NCCL_IB_RETRIES = 7
"""NCCL's default NCCL_IB_RETRY_CNT (NVIDIA/nccl 2.30.7, net_ib)."""


def years_between_cuts(
    route_km: float, *, cuts_per_1000_km_year: float = BURIED_CUTS_PER_1000_KM_YEAR
) -> float:
    """Return the mean years between cuts of ``route_km`` kilometres of cable; none: infinity.

    >>> round(years_between_cuts(1300), 2)
    0.36
    """
    not_negative("kilometres", route_km=route_km)
    not_negative("cuts per 1000 km and year", cuts_per_1000_km_year=cuts_per_1000_km_year)
    cuts_per_year = cuts_per_1000_km_year * route_km / 1000
    return 1 / cuts_per_year if cuts_per_year else math.inf


def availability(between_failures: float, repair: float) -> float:
    """Return MTBF / (MTBF + MTTR), the part of the time that a link is up; one unit for both."""
    positive("the unit of repair", between_failures=between_failures)
    not_negative("the unit of between_failures", repair=repair)
    return between_failures / (between_failures + repair)


@dataclass(frozen=True, slots=True)
class RdmaOutage:
    """What an outage does to a reliable connection of RDMA.

    ``stall_s`` is how long it stands still: until the retry that gets through, or until it
    gives up, one timer after the last retry; then all that used it has to start again.
    """

    timer_s: float
    survives: bool
    stall_s: float


def rdma_timer_s(timeout: int = NCCL_IB_TIMEOUT) -> float:
    """Return 4.096 us times 2^timeout; a NIC may take up to four times as long (assumed).

    >>> round(rdma_timer_s(), 2)
    4.29
    """
    whole_numbers("powers of two", 0, timeout=timeout)
    return INFINIBAND_TICK_S * 2.0**timeout


def rdma_outage(
    outage_s: float, *, timeout: int = NCCL_IB_TIMEOUT, retries: int = NCCL_IB_RETRIES
) -> RdmaOutage:
    """Return what an outage of ``outage_s`` seconds does: a retry each timer, then error 12.

    The stall is the outage rounded up to whole timers, so that a protection switch of 50 ms
    costs 4.29 s with NCCL's defaults. A connection that dies does so one timer after its last
    retry.

    >>> round(rdma_outage(10.0).stall_s, 2)
    12.88
    """
    not_negative_or_unlimited("seconds", outage_s=outage_s)
    whole_numbers("retries", 0, retries=retries)
    timer_s = rdma_timer_s(timeout)
    survives = outage_s <= retries * timer_s
    timers = round_up(outage_s / timer_s) if survives else retries + 1
    return RdmaOutage(timer_s, survives, timers * timer_s)


@dataclass(frozen=True, slots=True)
class TcpOutage:
    """What an outage does to TCP: the retries until one gets through, and when it does."""

    retries: int
    stall_s: float


def tcp_outage(
    outage_s: float,
    *,
    timer_s: float = TCP_LEAST_TIMER_S,
    longest_timer_s: float = math.inf,
) -> TcpOutage:
    """Return when TCP goes on after ``outage_s`` seconds: retries are sent at rto (2^k - 1).

    ``longest_timer_s`` is where doubling stops; Linux has 120 s (TCP_RTO_MAX), which shows
    from outages of about 200 s on.

    >>> tcp_outage(31.0).stall_s
    51.0
    """
    not_negative("seconds", outage_s=outage_s)
    positive("seconds", timer_s=timer_s)
    retries, stall_s, wait_s = 0, 0.0, timer_s
    while stall_s < outage_s:
        wait_s = min(timer_s * 2.0**retries, longest_timer_s)
        retries, stall_s = retries + 1, stall_s + wait_s
    return TcpOutage(retries, stall_s)
