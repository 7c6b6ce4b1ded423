"""PAT: parallel aggregated trees, ceil(log2 n) steps whose long hops come first and are small.

All-gather: a binomial tree from every rank at once, far distances first, so that one block goes
far and n / 2 blocks go to the neighbour (Jeaugey, arXiv 2506.20252; NCCL 2.23). Reduce-scatter
is that backwards: the neighbour first, with much, the far ones last, with one block.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import chunk_rows, gathering

__all__ = ["COLLECTIVES", "build"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")


def build(collective: str, places: Places, root: int) -> Plan:
    """Return the PAT plan; the sites do not change it."""
    n = places.world_size

    def steps() -> Iterator[Step]:
        yield from gathering(collective, lambda: _all_gather(n))

    return Plan(collective, "pat", n, root, Partition.uniform(n), steps)


def _all_gather(n: int) -> Iterator[Step]:
    rank = np.arange(n)[:, None]
    distance = 1 << max(0, (n - 1).bit_length() - 1)
    while distance and n > 1:
        # A rank has the blocks that lie a multiple of twice the distance behind it.
        behind = np.arange(0, n - distance, 2 * distance)
        yield chunk_rows(rank, (rank + distance) % n, (rank - behind) % n, reduce=False)
        distance //= 2
