"""How to write a trunk that is missing, as long as traffic does not pass through other sites."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from emul.links import Link

__all__ = ["in_place_of"]

Joined = tuple[tuple[str, str], Link]
"""Two sites, and the link between them in either direction."""


def in_place_of(a: str, b: str, trunks: Iterable[Joined]) -> str:
    """Return in words the trunk to write between two sites that others join, or nothing.

    The path with the least latency is taken.
    """
    path = _quickest_path(a, b, trunks)
    if path is None:
        return ""
    sites, latency_s, bytes_per_s = path
    return (
        f", for nothing passes through other sites yet; write [[trunk]] with between = [{a!r}, "
        f"{b!r}], latency_us = {latency_s * 1e6:.10g} and rate_gbit_per_s = "
        f"{bytes_per_s * 8 / 1e9:.10g}, the sum and the least over {' - '.join(sites)}; what is "
        "lost: it does not share the rate of the trunks that it goes over"
    )


def _quickest_path(
    a: str, b: str, trunks: Iterable[Joined]
) -> tuple[tuple[str, ...], float, float] | None:
    """Return the sites, the latency and the least rate of the quickest path (Dijkstra, 1959)."""
    beside: dict[str, list[tuple[str, Link]]] = {}
    for (here, there), link in trunks:
        beside.setdefault(here, []).append((there, link))
        beside.setdefault(there, []).append((here, link))
    todo: list[tuple[float, tuple[str, ...], float]] = [(0.0, (a,), float("inf"))]
    done: set[str] = set()
    while todo:
        latency_s, sites, rate = heappop(todo)
        if sites[-1] == b:
            return sites, latency_s, rate
        if sites[-1] in done:
            continue
        done.add(sites[-1])
        for there, link in beside.get(sites[-1], []):
            if there not in done:
                least = min(rate, link.rate_bytes_per_s)
                heappush(todo, (latency_s + link.latency_s, (*sites, there), least))
    return None
