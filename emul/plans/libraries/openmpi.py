"""The algorithms of Open MPI 4.1 (ompi/mca/coll/base: coll_base_allreduce.c and its kin).

A rank takes one MPI_Sendrecv, or blocking send, after the other. Where n is no power of two, the
even one of the first pairs of ranks hands its buffer to the odd one and sits out; Rabenseifner's
pairs halve the work of that, and the odd one sits out.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from emul.plans.libraries.shapes import Fold, binomial, ring_gather, ring_reduce, segmented
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import chunk_rows

__all__ = ["BUILDERS", "COLLECTIVES"]

TO_THE_NEXT_ONE = 1


def _ring(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    """Return the ring; with ``segments``, ring_segmented, whose reduction takes them in turn."""
    n, segments = places.world_size, segments or 1

    def steps() -> Iterator[Step]:
        if collective != "all_gather":
            for number in range(segments):
                whole = ring_reduce(n, segments, TO_THE_NEXT_ONE, at_once=segments)
                for step in whole:
                    yield Step.of(step.src, step.dst, step.src_chunk + number, reduce=True)
        if collective != "reduce_scatter":
            yield from ring_gather(n, segments, TO_THE_NEXT_ONE, at_once=segments)

    return Plan(collective, name, n, root, segmented(n, segments), steps, order="lockstep")


def _recursive_doubling(
    collective: str, name: str, places: Places, root: int, segments: int
) -> Plan:
    n = places.world_size
    fold = Fold.of(n)

    def steps() -> Iterator[Step]:
        if fold.idle:
            yield Step.of(fold.idle, fold.proxy, 0, reduce=True)
        bit = 1
        while bit < fold.size:
            yield Step.of(*fold.partners(bit), 0, reduce=True)
            bit *= 2
        if fold.idle:
            yield Step.of(fold.proxy, fold.idle, 0, reduce=False)

    return Plan(collective, name, n, root, Partition.uniform(1), steps, order="lockstep")


def _rabenseifner(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    n = places.world_size
    fold = Fold.of(n, odd_steps_aside=True)
    size = fold.size

    def steps() -> Iterator[Step]:
        half = size // 2
        if fold.idle:
            # The one that stays reduces the left half, the other one the right half.
            sender, receiver = [*fold.idle, *fold.proxy], [*fold.proxy, *fold.idle]
            chunk = np.repeat([0, half], len(fold.idle))
            yield Step.of(sender, receiver, chunk, reduce=True, nchunks=half)
            yield Step.of(fold.idle, fold.proxy, half, reduce=False, nchunks=half)
        exchanges = list(_halving(fold))
        for sent, _ in exchanges:
            yield sent
        for _, back in reversed(exchanges):
            yield back
        if fold.idle:
            yield Step.of(fold.proxy, fold.idle, 0, reduce=False, nchunks=size)

    return Plan(collective, name, n, root, Partition.uniform(size), steps, order="lockstep")


def _halving(fold: Fold) -> Iterator[tuple[Step, Step]]:
    """Yield exchanges of ever smaller halves, near partners first, and each the way back."""
    low, high = [0] * fold.size, [fold.size] * fold.size
    bit = 1
    while bit < fold.size:
        rank, partner = fold.partners(bit)
        middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
        upper = [bool(i & bit) for i in range(fold.size)]
        kept_low = [m if up else a for a, m, up in zip(low, middle, upper, strict=True)]
        width = high[0] - middle[0]
        given = [a if up else m for a, m, up in zip(low, middle, upper, strict=True)]
        yield (
            Step.of(rank, partner, given, reduce=True, nchunks=width),
            Step.of(rank, partner, kept_low, reduce=False, nchunks=width),
        )
        low, high = kept_low, [a + width for a in kept_low]
        bit *= 2


def _recursive_halving(
    collective: str, name: str, places: Places, root: int, segments: int
) -> Plan:
    """Return the reduce-scatter that halves the exchanged data, far partners first."""
    n = places.world_size
    fold = Fold.of(n)
    # A rank that is still there owns its block and that of the one that sits out for it.
    first = [*fold.idle, *range(2 * len(fold.idle), n), n]

    def steps() -> Iterator[Step]:
        if fold.idle:
            yield Step.of(fold.idle, fold.proxy, 0, reduce=True, nchunks=n)
        bit = fold.size // 2
        low, high = [0] * fold.size, [fold.size] * fold.size
        while bit:
            rank, partner = fold.partners(bit)
            middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
            upper = [bool(i & bit) for i in range(fold.size)]
            spans = [
                (first[a], first[m]) if up else (first[m], first[b])
                for a, m, b, up in zip(low, middle, high, upper, strict=True)
            ]
            chunk, width = [a for a, _ in spans], [b - a for a, b in spans]
            yield Step.of(rank, partner, chunk, reduce=True, nchunks=width)
            low, high = (
                [m if up else a for a, m, up in zip(low, middle, upper, strict=True)],
                [b if up else m for m, b, up in zip(middle, high, upper, strict=True)],
            )
            bit //= 2
        if fold.idle:
            yield Step.of(fold.proxy, fold.idle, fold.idle, reduce=False)

    return Plan(collective, name, n, root, Partition.uniform(n), steps, order="lockstep")


def _bruck(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    n = places.world_size

    def steps() -> Iterator[Step]:
        rank, distance = np.arange(n)[:, None], 1
        while distance < n:
            ahead = np.arange(min(distance, n - distance))
            yield chunk_rows(rank, (rank - distance) % n, (rank + ahead) % n, reduce=False)
            distance *= 2

    return Plan(collective, name, n, root, Partition.uniform(n), steps, order="lockstep")


def _binomial(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    n = places.world_size
    return Plan(collective, name, n, root, Partition.uniform(1), lambda: binomial(n, root))


def _chain(collective: str, name: str, places: Places, root: int, segments: int) -> Plan:
    """Return the chain through all ranks, in order, of the whole buffer or of segments."""
    n, segments = places.world_size, segments or 1

    def steps() -> Iterator[Step]:
        line = [(root + i) % n for i in range(n)]
        hops = list(pairwise(line))
        for number in range(len(hops) + segments - 1):
            there = [i for i in range(len(hops)) if 0 <= number - i < segments]
            if there:
                sender, receiver = zip(*(hops[i] for i in there), strict=True)
                yield Step.of(sender, receiver, [number - i for i in there], reduce=False)

    return Plan(collective, name, n, root, Partition.uniform(segments), steps)


BUILDERS = {
    "ring": _ring,
    "recursive_doubling": _recursive_doubling,
    "rabenseifner": _rabenseifner,
    "recursive_halving": _recursive_halving,
    "bruck": _bruck,
    "binomial": _binomial,
    "chain": _chain,
}

COLLECTIVES = {
    "ring": ("all_reduce", "reduce_scatter", "all_gather"),
    "recursive_doubling": ("all_reduce",),
    "rabenseifner": ("all_reduce",),
    "recursive_halving": ("reduce_scatter",),
    "bruck": ("all_gather",),
    "binomial": ("broadcast",),
    "chain": ("broadcast",),
}
