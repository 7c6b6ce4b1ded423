"""The graph of sites as numbers: arcs with their delays, and the limits that they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from emul.arrays import Float64Array, Int64Array

__all__ = ["Limit", "SiteGraph"]

LITTLE = 1e-6
"""Of the prices of limits, of which the largest is about 1."""

SCARCE = 1e-3
"""Of the largest limit, which is hardly anything."""

Arc = tuple[int, int]
"""From a site to another, by their numbers."""


class Limit(NamedTuple):
    """Bytes per second that some arcs carry together: by their numbers."""

    bytes_per_s: float
    arcs: tuple[int, ...]


@dataclass(frozen=True)
class SiteGraph:
    """``sites`` in number, ``arcs`` between them, the seconds that a byte needs over each.

    ``limits``: of the trunks, conduits, uplinks and NICs that arcs share. Every arc has its way
    back, and the arcs join all sites. Numbers should follow the names of sites, not a file: of two
    answers that are as good, the one with the smaller numbers is taken.
    """

    sites: int
    arcs: tuple[Arc, ...]
    delay_s: tuple[float, ...]
    limits: tuple[Limit, ...]

    @cached_property
    def number_of(self) -> dict[Arc, int]:
        """The number of each arc."""
        return {arc: number for number, arc in enumerate(self.arcs)}

    @cached_property
    def edges(self) -> tuple[Arc, ...]:
        """The pairs of sites that an arc joins, each once."""
        return tuple(arc for arc in self.arcs if arc[0] < arc[1])

    @cached_property
    def loads(self) -> Float64Array:
        """How often each arc is carried by each limit: (arcs, limits)."""
        loads = np.zeros((len(self.arcs), len(self.limits)))
        for number, limit in enumerate(self.limits):
            for arc in limit.arcs:
                loads[arc, number] += 1.0
        return loads

    @cached_property
    def rates(self) -> Float64Array:
        """The bytes per second of each limit: (limits,)."""
        return np.array([limit.bytes_per_s for limit in self.limits])

    def fullness(self, left: Float64Array) -> Float64Array:
        """Return a little more for arcs whose limits have less ``left``, of the largest: (arcs,).

        Of arcs that cost the same, the emptiest first: else the first trees would be arbitrary, and
        many more of them needed.
        """
        scarce = (self.loads / (left + SCARCE)).sum(axis=1)
        little: Float64Array = (LITTLE * SCARCE) * scarce
        return little

    @cached_property
    def back(self) -> Int64Array:
        """The number of the way back of each arc: (arcs,)."""
        return np.array([self.number_of[b, a] for a, b in self.arcs], dtype=np.int64)

    @property
    def turned(self) -> SiteGraph:
        """The same with every arc the other way around, under its number."""
        return replace(self, arcs=tuple((b, a) for a, b in self.arcs))

    def slower_left_out(self, most_s: float) -> SiteGraph:
        """Return the graph without the arcs of more than ``most_s``, either way."""
        kept = [
            number
            for number, back in enumerate(self.back.tolist())
            if max(self.delay_s[number], self.delay_s[back]) <= most_s
        ]
        new = {old: number for number, old in enumerate(kept)}
        limits = (
            Limit(limit.bytes_per_s, tuple(new[arc] for arc in limit.arcs if arc in new))
            for limit in self.limits
        )
        return SiteGraph(
            self.sites,
            tuple(self.arcs[arc] for arc in kept),
            tuple(self.delay_s[arc] for arc in kept),
            tuple(limit for limit in limits if limit.arcs),
        )

    @property
    def joins_all(self) -> bool:
        """Whether the arcs join all sites."""
        reached, todo = {0}, [0]
        while todo:
            here = todo.pop()
            there = {b for a, b in self.arcs if a == here} - reached
            reached |= there
            todo += there
        return len(reached) == self.sites
