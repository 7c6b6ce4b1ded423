"""Recursive doubling and halving: partners whose numbers differ in one bit.

recursive_doubling: in an all-reduce, partners exchange and reduce the whole buffer in each of
log2 n steps; in an all-gather their data double; broadcast, reduce, gather and scatter are
binomial trees. halving_doubling (Thakur, Rabenseifner and Gropp, IJHPCA 19(1), 2005): a
reduce-scatter in which the exchanged data halve, nearest partners first, so that the far ones
exchange least; the all-gather is that backwards, all-reduce one after the other.
halving_doubling:far_first begins with the farthest partners, which then exchange most.

Where n is no power of two, the ranks beyond the largest one in n fold into the first ones: each
hands its buffer to its substitute before, and gets its result from it afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from emul.arrays import Int64Array
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import backwards, chunk_rows, gathering

__all__ = [
    "DOUBLING_COLLECTIVES",
    "HALVING_COLLECTIVES",
    "build_far_first",
    "build_halving_doubling",
    "build_recursive_doubling",
]


DOUBLING_COLLECTIVES = ("all_reduce", "all_gather", "broadcast", "reduce", "gather", "scatter")
HALVING_COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")


def build_recursive_doubling(collective: str, places: Places, root: int) -> Plan:
    """Return the recursive doubling plan; the sites do not change it."""
    n = places.world_size

    def steps() -> Iterator[Step]:
        if collective == "all_reduce":
            yield from _exchange_all(n)
        elif collective == "all_gather":
            yield from doubling_all_gather(n)
        elif collective in ("broadcast", "scatter"):
            yield from _binomial(n, root, in_blocks=collective == "scatter")
        else:
            tree = _binomial(n, root, in_blocks=collective == "gather")
            yield from backwards(tree, reduce=collective == "reduce")

    in_blocks = collective in ("all_gather", "gather", "scatter")
    partition = Partition.uniform(n if in_blocks else 1)
    return Plan(collective, "recursive_doubling", n, root, partition, steps)


def build_halving_doubling(collective: str, places: Places, root: int) -> Plan:
    """Return the halving-doubling plan; the sites do not change it."""
    n = places.world_size
    return _halving_doubling(collective, "halving_doubling", n, root, near_last=True)


def build_far_first(collective: str, places: Places, root: int) -> Plan:
    """Return the halving-doubling plan that halves with the farthest partners first."""
    n = places.world_size
    return _halving_doubling(collective, "halving_doubling:far_first", n, root, near_last=False)


def _halving_doubling(
    collective: str, algorithm: str, n: int, root: int, *, near_last: bool
) -> Plan:
    def steps() -> Iterator[Step]:
        yield from gathering(collective, lambda: doubling_all_gather(n, near_last=near_last))

    return Plan(collective, algorithm, n, root, Partition.uniform(n), steps)


def _power_below(n: int) -> int:
    """Return the largest power of two in ``n``."""
    return 1 << (n.bit_length() - 1)


def doubling_all_gather(n: int, *, near_last: bool = True) -> Iterator[Step]:
    """Yield the all-gather of recursive doubling, nearest partners last or first.

    With the nearest last, the fewest bytes go far; run backwards it is recursive halving.
    """
    size = _power_below(n)
    rank, folded = np.arange(size), np.arange(size, n)
    if len(folded):
        yield chunk_rows(folded, folded - size, folded, reduce=False)
    bits = [1 << i for i in range(size.bit_length() - 1)]
    for bit in reversed(bits) if near_last else bits:
        # A rank holds the blocks that agree with it in this bit and those yet to come.
        yield _doubling_step(n, rank, bit, 2 * bit - 1 if near_last else -bit)
    if len(folded):
        pairs = [(extra, block) for extra in folded for block in range(n) if block != extra]
        extra, block = np.array(pairs).T
        yield chunk_rows(extra - size, extra, block, reduce=False)


def _doubling_step(n: int, rank: Int64Array, bit: int, agreeing: int) -> Step:
    """Return the exchange with the partner at distance ``bit``.

    So far a rank holds the blocks whose owner, or the owner's substitute, agrees with it in
    the bits ``agreeing``.
    """
    block = np.arange(n)
    owner = block % len(rank)
    holds = ((rank[:, None] ^ owner) & agreeing) == 0
    sender, chosen = np.nonzero(holds)
    return chunk_rows(sender, sender ^ bit, block[chosen], reduce=False)


def _exchange_all(n: int) -> Iterator[Step]:
    size = _power_below(n)
    rank, folded = np.arange(size), np.arange(size, n)
    if len(folded):
        yield Step.of(folded, folded - size, 0, reduce=True)
    bit = 1
    while bit < size:
        yield Step.of(rank, rank ^ bit, 0, reduce=True)
        bit *= 2
    if len(folded):
        yield Step.of(folded - size, folded, 0, reduce=False)


def _binomial(n: int, root: int, *, in_blocks: bool) -> Iterator[Step]:
    """Yield the tree from ``root`` in which the number of ranks that hold something doubles.

    With ``in_blocks`` only the blocks of the ranks below the receiver are passed on.
    """
    bit = _power_below(n) * 2
    while bit > 1:
        bit //= 2
        senders = range(0, n - bit, 2 * bit)
        if not senders:
            continue
        if not in_blocks:
            sender = np.array(senders)
            yield Step.of((sender + root) % n, (sender + bit + root) % n, 0, reduce=False)
            continue
        below = [(s, b) for s in senders for b in range(s + bit, min(s + 2 * bit, n))]
        s, b = np.array(below).T
        yield chunk_rows((s + root) % n, (s + bit + root) % n, (b + root) % n, reduce=False)
