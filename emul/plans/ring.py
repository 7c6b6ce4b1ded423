"""Ring: rank r sends only to rank r + 1, in rank order and therefore site by site.

Reduce-scatter and all-gather take n - 1 steps each (Patarasuk and Yuan, JPDC 69, 2009);
all-reduce is one after the other. Broadcast is a chain from the root through which n chunks
flow, one behind the other; reduce is a chain that ends at the root.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.plan import Partition, Plan, Step

__all__ = ["COLLECTIVES", "build"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")


def build(collective: str, ranks_per_site: tuple[int, ...], root: int) -> Plan:
    """Return the ring plan; the sites do not change it."""
    n = sum(ranks_per_site)

    def steps() -> Iterator[Step]:
        if collective in ("all_reduce", "reduce_scatter"):
            yield from reduce_scatter_steps(n)
        if collective in ("all_reduce", "all_gather"):
            yield from all_gather_steps(n)
        if collective == "broadcast":
            yield from _chain_steps(n, root, reduce=False)
        if collective == "reduce":
            yield from _chain_steps(n, (root + 1) % n, reduce=True)

    return Plan(collective, "ring", n, root, Partition.uniform(n), steps)


def reduce_scatter_steps(n: int) -> Iterator[Step]:
    """Yield the steps after which rank r holds the reduction of chunk r."""
    rank = np.arange(n)
    for k in range(n - 1):
        yield Step.of(rank, (rank + 1) % n, (rank - k - 1) % n, reduce=True)


def all_gather_steps(n: int) -> Iterator[Step]:
    """Yield the steps that spread chunk r from rank r to all ranks."""
    rank = np.arange(n)
    for k in range(n - 1):
        yield Step.of(rank, (rank + 1) % n, (rank - k) % n, reduce=False)


def _chain_steps(n: int, first: int, *, reduce: bool) -> Iterator[Step]:
    """Yield the chain from rank ``first`` once around to the rank before it."""
    hop = np.arange(n - 1)
    for k in range(2 * n - 2 if n > 1 else 0):
        chunk = k - hop
        on_the_way = (chunk >= 0) & (chunk < n)
        sender = (first + hop[on_the_way]) % n
        yield Step.of(sender, (sender + 1) % n, chunk[on_the_way], reduce=reduce)
