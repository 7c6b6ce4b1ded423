"""Where the ranks of a plan live: at sites, in nodes. No links, no names."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """The ranks of each node of each site, in rank order."""

    nodes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, sites: Sequence[int | Sequence[int]]) -> Places:
        """Return the places of ``sites``: the ranks of each, or of each of its nodes.

        >>> Places.of([8, (4, 4)])
        Places(nodes=((8,), (4, 4)))
        """
        return cls(tuple((each,) if isinstance(each, int) else tuple(each) for each in sites))

    @property
    def sites(self) -> tuple[int, ...]:
        """The ranks of each site."""
        return tuple(map(sum, self.nodes))

    def site_of(self, rank: int) -> int:
        """Return the number of the site of ``rank``."""
        return bisect_right(list(accumulate(self.sites)), rank)

    @property
    def world_size(self) -> int:
        """Number of ranks."""
        return sum(self.sites)
