"""Direct: every rank sends to every other rank itself, without relays.

Reduce-scatter and all-gather take n - 1 steps in which each rank has another partner, so that
no receiver is crowded; all-reduce is one after the other ("two-shot"). In broadcast the root
sends the whole buffer to every other rank.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.plan import Partition, Plan, Step

__all__ = ["build"]


def build(collective: str, ranks_per_site: tuple[int, ...], root: int) -> Plan:
    """Return the direct plan; the sites do not change it."""
    n = sum(ranks_per_site)
    rank = np.arange(n)

    def steps() -> Iterator[Step]:
        if collective in ("all_reduce", "reduce_scatter"):
            for k in range(1, n):
                partner = (rank + k) % n
                yield Step.of(rank, partner, partner, reduce=True)
        if collective in ("all_reduce", "all_gather"):
            for k in range(1, n):
                yield Step.of(rank, (rank + k) % n, rank, reduce=False)
        if collective == "broadcast" and n > 1:
            yield Step.of(root, (root + rank[1:]) % n, 0, reduce=False)

    partition = Partition.uniform(1 if collective == "broadcast" else n)
    return Plan(collective, "direct", n, root, partition, steps)
