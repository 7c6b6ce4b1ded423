"""Direct and pairwise: every rank sends to every other rank itself, without relays.

Reduce-scatter and all-gather take n - 1 steps in which each rank has another partner, so that
no receiver is crowded; all-reduce is one after the other ("two-shot"). Where there is a root, it
sends to, or receives from, every other rank. Direct starts all it can at once; pairwise is the same
in lockstep: a rank sends to the next partner when it has heard from the last one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.places import Places
from emul.plans.plan import Order, Partition, Plan, Step

__all__ = ["DIRECT_COLLECTIVES", "PAIRWISE_COLLECTIVES", "build_direct", "build_pairwise"]

PAIRWISE_COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all")
DIRECT_COLLECTIVES = (
    *PAIRWISE_COLLECTIVES,
    "broadcast",
    "reduce",
    "gather",
    "scatter",
    "send_recv",
)


def build_direct(collective: str, places: Places, root: int) -> Plan:
    """Return the direct plan; the sites do not change it."""
    return _build(collective, "direct", places.world_size, root)


def build_pairwise(collective: str, places: Places, root: int) -> Plan:
    """Return the pairwise plan; the sites do not change it."""
    return _build(collective, "pairwise", places.world_size, root)


def _build(collective: str, algorithm: str, n: int, root: int) -> Plan:
    rooted = {
        "broadcast": _from_root,
        "reduce": _to_root,
        "gather": _to_root,
        "scatter": _from_root,
    }

    def steps() -> Iterator[Step]:
        if collective in ("all_reduce", "reduce_scatter"):
            yield from _reduce_scatter(n)
        if collective in ("all_reduce", "all_gather"):
            yield from _all_gather(n)
        if collective == "all_to_all":
            yield from _all_to_all(n)
        if collective == "send_recv":
            rank = np.arange(n)
            yield Step.of(rank, (rank + root) % n, 0, dst_chunk=1, reduce=False)
        if collective in rooted and n > 1:
            yield from rooted[collective](n, root, collective)

    partition = Partition.uniform(1 if collective in ("broadcast", "reduce", "send_recv") else n)
    order: Order = "lockstep" if algorithm == "pairwise" else "free"
    apart = collective in ("send_recv", "all_to_all")
    return Plan(collective, algorithm, n, root, partition, steps, order, apart)


def _reduce_scatter(n: int) -> Iterator[Step]:
    rank = np.arange(n)
    for k in range(1, n):
        partner = (rank + k) % n
        yield Step.of(rank, partner, partner, reduce=True)


def _all_gather(n: int) -> Iterator[Step]:
    rank = np.arange(n)
    for k in range(1, n):
        yield Step.of(rank, (rank + k) % n, rank, reduce=False)


def _all_to_all(n: int) -> Iterator[Step]:
    rank = np.arange(n)
    for k in range(n):
        partner = (rank + k) % n
        yield Step.of(rank, partner, partner, dst_chunk=n + rank, reduce=False)


def _from_root(n: int, root: int, collective: str) -> Iterator[Step]:
    others = (root + np.arange(1, n)) % n
    yield Step.of(root, others, others if collective == "scatter" else 0, reduce=False)


def _to_root(n: int, root: int, collective: str) -> Iterator[Step]:
    others = (root + np.arange(1, n)) % n
    if collective == "gather":
        yield Step.of(others, root, others, reduce=False)
        return
    for other in others:  # one contribution after the other into the same chunk
        yield Step.of(other, root, 0, reduce=True)
