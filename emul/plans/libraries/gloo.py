"""The algorithms of gloo (pytorch/gloo: gloo/allreduce.cc, allgather.cc, broadcast.cc).

Its rings send to the rank before, in at least two segments per block, and keep two under way: a
rank goes on with segment i when its messages of segment i - 2 are through. Between
reduce-scatter and all-gather it waits for everything. Its broadcast is a binomial tree, and
torch's reduce_scatter over gloo is its all-reduce (ProcessGroupGloo.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator

from emul.plans.libraries.shapes import binomial, ring_gather, ring_reduce, segmented
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step

__all__ = ["BINOMIAL_COLLECTIVES", "RING_COLLECTIVES", "build_binomial", "build_ring"]

RING_COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")
BINOMIAL_COLLECTIVES = ("broadcast",)
TO_THE_ONE_BEFORE = -1
UNDER_WAY = 2
LEAST_SEGMENTS = 2


def build_ring(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    """Return gloo's ring with ``segments`` per block, 0 for its least, two."""
    n, segments = places.world_size, segments or LEAST_SEGMENTS
    reduces = collective != "all_gather"

    def steps() -> Iterator[Step]:
        if reduces:
            yield from ring_reduce(n, segments, TO_THE_ONE_BEFORE)
        yield from ring_gather(n, segments, TO_THE_ONE_BEFORE)

    return Plan(
        collective,
        name,
        n,
        root,
        segmented(n, segments),
        steps,
        order="lockstep",
        under_way=UNDER_WAY,
        drains=((n - 1) * segments,) if reduces else (),
    )


def build_binomial(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    """Return gloo's binomial tree, in which a rank sends to all of its children at once."""
    n = places.world_size
    return Plan(collective, name, n, root, Partition.uniform(1), lambda: binomial(n, root))
