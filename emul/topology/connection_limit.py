"""The most that connections over a trunk get, by windows, losses and slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf

from emul.links import State
from emul.links.limits import connection_limit, lifted_limit_bytes_per_s
from emul.reading.brief import brief
from emul.topology.model import Trunk

__all__ = ["SiteConnections", "connection_over"]

BEYOND_ANY_PORT = 1e18
"""Bytes per second: no bytes come faster to a trunk whose tokens let them pass."""

RateAndBurst = tuple[float, float]
"""Bytes per second, and bytes that pass at once on top of that."""


@dataclass(frozen=True, slots=True)
class SiteConnections:
    """How a run sends beyond a site.

    A rank has ``number`` connections at most. ``slots_bytes``: the bytes of each in flight by its
    slots, infinity for anything. ``window_at_once``: a window is sent at once, each round trip
    anew, as stacks of whole messages do; else it is a rate.
    """

    number: int = 1
    slots_bytes: float = inf
    window_at_once: bool = False

    __repr__ = brief


def connection_over(
    trunk: Trunk, connection: SiteConnections, alpha_s: float
) -> tuple[RateAndBurst, RateAndBurst]:
    """Return the rate of a connection by windows and losses, and by the most bytes in flight.

    ``alpha_s`` is from when on the first counts.
    """
    if connection.window_at_once:
        return _by_losses(trunk), _by_round_trips(trunk)
    return _by_transport(trunk), _by_slots(trunk, connection.slots_bytes, alpha_s)


def _by_slots(trunk: Trunk, slots_bytes: float, alpha_s: float) -> RateAndBurst:
    """Return the rate and bytes that slots allow a connection; where the link has a window, they do
    not count.

    Each byte takes its own of them from when it is handed over until one trip back after its
    arrival, a round trip or more. So the bytes sent by a time T, times the round trip, are at most
    the bytes of the slots times T and the trip back.
    """
    back_s = trunk.link.latency_s + trunk.link.queue_s
    rtt_s = 2 * back_s + trunk.changes.least_extra_delay_s
    if trunk.link.transport.window_bytes or slots_bytes == inf or not rtt_s:
        return inf, 0.0
    rate = slots_bytes / rtt_s
    return rate, rate * (alpha_s + back_s)


def _by_round_trips(trunk: Trunk) -> RateAndBurst:
    """Return the rate and bytes of a window that is sent at once, and again each round trip."""
    transport, rtt_s = trunk.link.transport, trunk.link.rtt_s
    window = transport.window_bytes * transport.streams
    return (window / rtt_s, window) if window and rtt_s else (inf, 0.0)


def _by_losses(trunk: Trunk) -> RateAndBurst:
    transport = replace(trunk.link.transport, window_bytes=0.0)
    return _by_transport(replace(trunk, link=replace(trunk.link, transport=transport)))


def _by_transport(trunk: Trunk) -> RateAndBurst:
    """Return the rate of a connection by windows and losses at the best of the trunk's states."""
    return max(_limit(trunk, state) for state in _states(trunk)), 0.0


def _states(trunk: Trunk) -> Iterator[State]:
    """Yield the states of the trunk while it is up, its load by the hour at its least."""
    yield from (state for state in trunk.changes.trace if state.up)
    if not any(state.up for state in trunk.changes.trace):
        yield State()


def _limit(trunk: Trunk, state: State) -> float:
    link, diurnal = trunk.link, trunk.changes.diurnal
    left = state.rate_factor * (1 - diurnal.least_load if diurnal else 1.0)
    rate, rtt_s = link.available_bytes_per_s * left, link.rtt_s + 2 * state.extra_delay_s
    limit = connection_limit(link, rate_bytes_per_s=rate, rtt_s=rtt_s, loss=state.loss)
    if not link.others.burst_bytes:
        return min(rate, limit.bytes_per_s)
    return lifted_limit_bytes_per_s(
        link, port_bytes_per_s=BEYOND_ANY_PORT, rtt_s=rtt_s, loss=state.loss
    )
