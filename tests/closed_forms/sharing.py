"""How flows share links: max-min fairness with a cap per flow, and when each flow ends.

Fluid: rates change at once when a flow starts or ends. Bertsekas and Gallager, Data
Networks, 1992, section 6.5.2; the same assumption as SimGrid's (network_cm02.cpp).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

from emul.errors import ArgumentError
from emul.reading.checks import not_negative, positive, positive_or_unlimited

__all__ = ["Flow", "finish_times_s", "max_min_rates"]

TIES = 1e-12
"""Levels this close, relatively, are one: shares computed along two ways still tie."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What wants to go over ``links``: ``nbytes`` from ``start_s`` on, at most ``cap_bytes_per_s``.

    The cap is what windows, gaps and losses leave; infinity where there is none. A link named
    twice is used twice. Raises ArgumentError for bytes or a time below 0 or a cap of 0.
    """

    links: tuple[Hashable, ...]
    cap_bytes_per_s: float = math.inf
    nbytes: float = 0.0
    start_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that no flow can have."""
        positive_or_unlimited("bytes per second", cap_bytes_per_s=self.cap_bytes_per_s)
        not_negative("bytes", nbytes=self.nbytes)
        not_negative("seconds", start_s=self.start_s)


def max_min_rates(
    links_bytes_per_s: Mapping[Hashable, float], flows: Mapping[Hashable, Flow]
) -> dict[Hashable, float]:
    """Return the max-min fair bytes per second of each flow, all of them active.

    All rates rise together; a flow stops at its cap or when one of its links is full. A flow
    without links and cap has an infinite rate. A link that is down is not among the links: the
    flows over it have to be left out. Raises ArgumentError for a flow over an unknown link.

    >>> shares = max_min_rates({"up": 12.0}, {1: Flow(("up",), 2.0), 2: Flow(("up",))})
    >>> shares
    {1: 2.0, 2: 10.0}
    """
    _check(links_bytes_per_s, flows)
    free = {link: float(rate) for link, rate in links_bytes_per_s.items()}
    waiting = {name: Counter(flow.links) for name, flow in flows.items()}
    rates: dict[Hashable, float] = {}
    while waiting:
        levels = _levels(free, waiting)
        lowest = min([*levels.values(), *(flows[name].cap_bytes_per_s for name in waiting)])
        limit = lowest * (1 + TIES)
        stopped = [
            name
            for name, uses in waiting.items()
            if flows[name].cap_bytes_per_s <= limit or any(levels[x] <= limit for x in uses)
        ]
        for name in stopped:
            rates[name] = lowest
            for link, uses in waiting.pop(name).items():
                free[link] = max(0.0, free[link] - uses * rates[name])
    return {name: rates[name] for name in flows}


def _levels(
    free: Mapping[Hashable, float], waiting: Mapping[Hashable, Counter[Hashable]]
) -> dict[Hashable, float]:
    """Return for each link in use the common rate at which its waiting flows would fill it."""
    uses: Counter[Hashable] = Counter()
    for links in waiting.values():
        uses.update(links)
    return {link: free[link] / number for link, number in uses.items()}


def _check(links: Mapping[Hashable, float], flows: Mapping[Hashable, Flow]) -> None:
    """Refuse links without a rate and flows over links that are not there."""
    for link, rate in links.items():
        positive("bytes per second", **{f"rate of link {link}": rate})
    for name, flow in flows.items():
        for link in flow.links:
            if link not in links:
                known = ", ".join(map(str, links)) or "no link at all"
                raise ArgumentError(f"flow {name!r} over link {link!r}: needed one of {known}")


def finish_times_s(
    links_bytes_per_s: Mapping[Hashable, float], flows: Mapping[Hashable, Flow]
) -> dict[Hashable, float]:
    """Return when the last byte of each flow leaves, in seconds; latency comes on top.

    The shares are max-min fair at every moment and are computed anew whenever a flow starts
    or ends. A flow of 0 bytes ends when it starts.

    >>> flows = {"slow": Flow(("x",), 2.0, 20.0), "fast": Flow(("x",), nbytes=40.0)}
    >>> finish_times_s({"x": 10.0}, flows)
    {'slow': 10.0, 'fast': 5.0}
    """
    _check(links_bytes_per_s, flows)
    rest = {name: float(flow.nbytes) for name, flow in flows.items() if flow.nbytes}
    ends = {name: flow.start_s for name, flow in flows.items() if not flow.nbytes}
    now_s = 0.0
    while rest:
        active = {name: flows[name] for name in rest if flows[name].start_s <= now_s}
        rates = max_min_rates(links_bytes_per_s, active)
        left_s = {name: rest[name] / rate for name, rate in rates.items()}
        starts_s = [flows[name].start_s for name in rest if name not in active]
        ends_s = now_s + min(left_s.values(), default=math.inf)
        then_s = min([ends_s, *starts_s])
        for name, needs_s in left_s.items():
            if now_s + needs_s <= then_s * (1 + TIES):
                ends[name] = now_s + needs_s
                del rest[name]
            else:
                rest[name] -= rates[name] * (then_s - now_s)
        now_s = then_s
    return {name: ends[name] for name in flows}
