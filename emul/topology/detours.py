"""How to write a trunk that is missing, as long as traffic does not pass through other sites."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emul.topology.model import Trunk

__all__ = ["in_place_of"]


def in_place_of(a: str, b: str, trunks: Iterable[Trunk]) -> str:
    """Return in words the trunk to write between two sites that others join, or nothing.

    The way with the least latency is taken.
    """
    way = _quickest_way(a, b, list(trunks))
    if way is None:
        return ""
    sites, latency_s, bytes_per_s = way
    return (
        f", for nothing passes through other sites yet; write [[trunk]] with between = [{a!r}, "
        f"{b!r}], latency_us = {latency_s * 1e6:.10g} and rate_gbit_per_s = "
        f"{bytes_per_s * 8 / 1e9:.10g}, the sum and the least over {' - '.join(sites)}; what is "
        "lost: it does not share the rate of the trunks that it goes over"
    )


def _quickest_way(
    a: str, b: str, trunks: list[Trunk]
) -> tuple[tuple[str, ...], float, float] | None:
    """Return the sites, the latency and the least rate of the quickest way (Dijkstra, 1959)."""
    beside: dict[str, list[tuple[str, Trunk]]] = {}
    for trunk in trunks:
        for here, there in (trunk.sites, trunk.sites[::-1]):
            beside.setdefault(here, []).append((there, trunk))
    todo: list[tuple[float, tuple[str, ...], float]] = [(0.0, (a,), float("inf"))]
    done: set[str] = set()
    while todo:
        latency_s, sites, rate = heappop(todo)
        if sites[-1] == b:
            return sites, latency_s, rate
        if sites[-1] in done:
            continue
        done.add(sites[-1])
        for there, trunk in beside.get(sites[-1], []):
            if there not in done:
                link = trunk.link
                least = min(rate, link.rate_bytes_per_s)
                heappush(todo, (latency_s + link.latency_s, (*sites, there), least))
    return None
