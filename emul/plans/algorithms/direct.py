"""Direct and pairwise: every rank sends to every other rank itself, without relays.

Reduce-scatter and all-gather take n - 1 steps in which each rank has another partner, so that
no receiver is crowded; all-reduce is one after the other ("two-shot"). Where there is a root, it
sends to, or receives from, every other rank. Direct starts all it can at once; pairwise is the same
in lockstep: a rank sends to the next partner when it has heard from the last one.

``direct:one_shot`` is the all-reduce in one round: every rank sends its whole buffer to every
other, and each adds them all up itself, in the order of the ranks, so that all have the same bits.
It pays one latency instead of two and moves n / 2 times the bytes; the buffers of the others wait
in n places of scratch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.places import Places
from emul.plans.plan import Order, Partition, Plan, Step

__all__ = [
    "DIRECT_COLLECTIVES",
    "ONE_SHOT_COLLECTIVES",
    "PAIRWISE_COLLECTIVES",
    "build_direct",
    "build_one_shot",
    "build_pairwise",
]

ONE_SHOT_COLLECTIVES = ("all_reduce",)

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


def build_one_shot(collective: str, places: Places, root: int) -> Plan:
    """Return the all-reduce in one round; the sites do not change it."""
    n = places.world_size
    everywhere = np.zeros((1, n if n > 1 else 0), dtype=np.int32)

    def steps() -> Iterator[Step]:
        if n > 1:
            yield from _one_shot(n)

    return Plan(
        collective, "direct:one_shot", n, root, Partition.uniform(1), steps, scratch=everywhere
    )


def _one_shot(n: int) -> Iterator[Step]:
    """Yield the steps; place 0 is the chunk itself, in place 1 + r waits the buffer of rank r."""
    rank = np.arange(n)
    for k in range(n):
        yield Step.of(rank, (rank + k) % n, 0, dst_chunk=1 + rank, reduce=False)
    yield Step.of(rank, rank, 1, dst_chunk=0, reduce=False)
    for sender in range(1, n):
        yield Step.of(rank, rank, 1 + sender, dst_chunk=0, reduce=True)


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
