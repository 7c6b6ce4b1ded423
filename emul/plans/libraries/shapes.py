"""The common parts of the algorithms of several libraries: rings, trees, folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from emul.plans.plan import Partition, Step

__all__ = ["Fold", "binomial", "ring_gather", "ring_reduce", "segmented"]


def segmented(n: int, segments: int) -> Partition:
    """Return the partition into a block per rank, each cut into ``segments``."""
    return Partition(n, segments, np.arange(n * segments + 1, dtype=np.int64))


def ring_reduce(n: int, segments: int, towards: int, *, at_once: int = 1) -> Iterator[Step]:
    """Yield the reduce-scatter of a ring in which ranks send to the one ``towards`` away.

    Rank r ends with block r. Each step moves ``at_once`` segments of a block.
    """
    rank = np.arange(n)
    for hop in range(n - 1):
        block = (rank - towards * (hop + 1)) % n
        for first in range(0, segments, at_once):
            yield Step.of(
                rank, (rank + towards) % n, block * segments + first, reduce=True, nchunks=at_once
            )


def ring_gather(n: int, segments: int, towards: int, *, at_once: int = 1) -> Iterator[Step]:
    """Yield the all-gather of such a ring, which begins with block r at rank r."""
    rank = np.arange(n)
    for hop in range(n - 1):
        block = (rank - towards * hop) % n
        for first in range(0, segments, at_once):
            yield Step.of(
                rank, (rank + towards) % n, block * segments + first, reduce=False, nchunks=at_once
            )


def binomial(n: int, root: int) -> Iterator[Step]:
    """Yield the tree in which the ranks that hold the buffer double, the nearest partner first."""
    bit = 1
    while bit < n:
        sender = np.arange(min(bit, n - bit))
        yield Step.of((sender + root) % n, (sender + bit + root) % n, 0, reduce=False)
        bit *= 2


@dataclass(frozen=True, slots=True)
class Fold:
    """How ``n`` ranks become a power of two: of the first pairs, one of each steps aside.

    ``idle`` ranks step aside for the ``proxy`` beside them; ``real`` are the others, in order.
    """

    idle: Sequence[int]
    proxy: Sequence[int]
    real: Sequence[int]

    @classmethod
    def of(cls, n: int, *, odd_steps_aside: bool = False) -> Fold:
        """Return the fold of ``n`` ranks; the even one of a pair steps aside unless told."""
        extra = n - (1 << (n.bit_length() - 1))
        even, odd = [2 * i for i in range(extra)], [2 * i + 1 for i in range(extra)]
        idle, proxy = (odd, even) if odd_steps_aside else (even, odd)
        return cls(idle, proxy, [*proxy, *range(2 * extra, n)])

    @property
    def size(self) -> int:
        """The power of two."""
        return len(self.real)

    def partners(self, bit: int) -> tuple[list[int], list[int]]:
        """Return the ranks, and the partner of each, whose numbers differ in ``bit``."""
        return list(self.real), [self.real[i ^ bit] for i in range(self.size)]
