"""Places in another order of their sites, so that a plan need not follow the numbers of a file.

Where nothing else decides, a plan goes by the numbers of ranks: who comes first at a port, who is
relayed by whom. By the numbers of an order that another room gives, the same sites take the same
time however a file lists them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.plans.places import Places

__all__ = ["Reordered"]


@dataclass(frozen=True)
class Reordered:
    """The ``places`` with their sites in ``order``, which names each of them once."""

    given: Places
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse an order that leaves out a site: ArgumentError."""
        if sorted(self.order) != list(range(len(self.given.nodes))):
            raise ArgumentError(
                f"order of sites {self.order}: needed each of {len(self.given.nodes)} once"
            )

    @cached_property
    def places(self) -> Places:
        """The places in the new order."""
        return Places(tuple(self.given.nodes[site] for site in self.order))

    @cached_property
    def ranks(self) -> Int64Array:
        """The given number of each rank of the new order: (n,)."""
        first = [0, *accumulate(self.given.sites)]
        spans = [np.arange(first[site], first[site + 1]) for site in self.order]
        return np.concatenate(spans).astype(np.int64)

    @cached_property
    def new_rank(self) -> Int64Array:
        """The new number of each given rank: (n,)."""
        return np.argsort(self.ranks)

    @cached_property
    def new_site(self) -> dict[int, int]:
        """The new number of each given site; of -1, which is none, the same."""
        return {site: new for new, site in enumerate(self.order)} | {-1: -1}
