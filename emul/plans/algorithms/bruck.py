"""Bruck: ceil(log2 n) steps of doubling distance, for any number of ranks.

All-gather: at distance d a rank passes on the min(d, n - d) blocks nearest behind it (Bruck et
al., IEEE TPDS 8(11), 1997). Reduce-scatter is that backwards, all-reduce one after the other.
All-to-all: a block for j ranks on moves at the distances of the bits of j; every block on the
way waits at the place where it will stay when it has arrived, so nothing is rotated. A rank takes
one step after the other, as with MPI_Sendrecv, also where the next one needs nothing of the last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import chunk_rows, gathering

__all__ = ["COLLECTIVES", "build"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "all_to_all")


def build(collective: str, places: Places, root: int) -> Plan:
    """Return the Bruck plan; the sites do not change it."""
    n = places.world_size

    def steps() -> Iterator[Step]:
        if collective == "all_to_all":
            yield from _all_to_all(n)
        else:
            yield from gathering(collective, lambda: _all_gather(n))

    apart = collective == "all_to_all"
    return Plan(collective, "bruck", n, root, Partition.uniform(n), steps, "lockstep", apart)


def _all_gather(n: int) -> Iterator[Step]:
    rank = np.arange(n)[:, None]
    distance = 1
    while distance < n:
        behind = np.arange(min(distance, n - distance))
        yield chunk_rows(rank, (rank + distance) % n, (rank - behind) % n, reduce=False)
        distance *= 2


def _all_to_all(n: int) -> Iterator[Step]:
    rank = np.arange(n)[:, None]
    travels = np.arange(n)
    # What travels j and is now at rank p waits in p's received block p - j.
    yield chunk_rows(
        rank, rank, (rank + travels) % n, dst_chunk=n + (rank - travels) % n, reduce=False
    )
    distance = 1
    while distance < n:
        moving = travels[(travels & distance) != 0]
        there = (rank + distance) % n
        yield chunk_rows(
            rank,
            there,
            n + (rank - moving) % n,
            dst_chunk=n + (there - moving) % n,
            reduce=False,
        )
        distance *= 2
