"""Traffic between sites, counted by moving every element of an all-reduce.

Each rank begins with a vector of its own; steps of messages add or replace parts of it. The
count of elements that change site is exact, and whether all sums came out right is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.links.formulas import power_of_two
from emul.reading.checks import whole_numbers

__all__ = ["Counted", "count_halving_doubling", "count_hierarchical", "count_ring"]

Vectors = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counted:
    """The elements that went from a site to another, and whether every rank has every sum."""

    cross_site_elements: int
    sums_are_right: bool


@dataclass(frozen=True, slots=True)
class Message:
    """Elements [first, last) from a rank to a rank, which adds them or takes them over."""

    sender: int
    receiver: int
    first: int
    last: int
    adds: bool


Step = list[Message]


def count_ring(site_of: Sequence[int], block: int) -> Counted:
    """Count a ring all-reduce of n blocks of ``block`` elements; rank r is at ``site_of[r]``.

    >>> count_ring([0, 1, 2, 0, 1, 2], 3).cross_site_elements
    180
    """
    whole_numbers("ranks", ranks=len(site_of))
    whole_numbers("elements", 0, block=block)
    everyone = list(range(len(site_of)))
    steps = _ring(everyone, 0, block, adds=True) + _ring(everyone, 0, block, adds=False)
    return _moved(steps, site_of, len(everyone) * block)


def count_halving_doubling(site_of: Sequence[int], block: int, *, far_first: bool) -> Counted:
    """Count a halving-doubling all-reduce of n blocks of ``block`` elements.

    ``far_first``: the first and largest exchange is with the rank n / 2 away, not with the
    neighbour. Raises ArgumentError unless the ranks are a power of two.

    >>> count_halving_doubling([0] * 4 + [1] * 4, 2, far_first=False).cross_site_elements
    32
    """
    ranks = len(site_of)
    whole_numbers("ranks", ranks=ranks)
    whole_numbers("elements", 0, block=block)
    distances = [1 << k for k in range(power_of_two(ranks))]
    order = distances[::-1] if far_first else distances
    held = [(0, ranks * block)] * ranks
    steps: list[Step] = []
    undone: list[Step] = []
    for distance in order:
        kept = [_half(held[rank], upper=bool(rank & distance)) for rank in range(ranks)]
        steps.append([Message(r ^ distance, r, *kept[r], True) for r in range(ranks)])
        undone.append([Message(r, r ^ distance, *kept[r], False) for r in range(ranks)])
        held = kept
    return _moved(steps + undone[::-1], site_of, ranks * block)


def count_hierarchical(sites: int, ranks_per_site: int, block: int) -> Counted:
    """Count an all-reduce by sites: reduce-scatter, a ring per shard, all-gather.

    The vector has a block of ``block`` elements per rank.

    >>> count_hierarchical(3, 2, 3).cross_site_elements
    72
    """
    whole_numbers("sites", sites=sites)
    whole_numbers("ranks", ranks_per_site=ranks_per_site)
    whole_numbers("elements", 0, block=block)
    groups = [[s * ranks_per_site + r for r in range(ranks_per_site)] for s in range(sites)]
    shard = sites * block
    held_by = [(r + 1) % ranks_per_site for r in range(ranks_per_site)]  # after a reduce-scatter
    steps: list[Step] = []
    for adds in (True, False):
        within = _together([_ring(group, 0, shard, adds=adds) for group in groups])
        across = _together(
            [
                _ring([group[r] for group in groups], held * shard, block, adds=adds)
                for r, held in enumerate(held_by)
            ]
        )
        steps += within + across if adds else across + within
    site_of = [rank // ranks_per_site for rank in range(sites * ranks_per_site)]
    return _moved(steps, site_of, sites * ranks_per_site * block)


def _half(span: tuple[int, int], *, upper: bool) -> tuple[int, int]:
    """Return one half of a span of an even number of elements."""
    middle = (span[0] + span[1]) // 2
    return (middle, span[1]) if upper else (span[0], middle)


def _ring(members: list[int], first: int, block: int, *, adds: bool) -> list[Step]:
    """Return the steps of a ring reduce-scatter, or of the all-gather that follows it."""
    n = len(members)
    ahead = 0 if adds else 1

    def message(i: int, step: int) -> Message:
        begin = first + (i + ahead - step) % n * block
        return Message(members[i], members[(i + 1) % n], begin, begin + block, adds)

    return [[message(i, step) for i in range(n)] for step in range(n - 1)]


def _together(plans: list[list[Step]]) -> list[Step]:
    """Return the plans side by side: step s of all at once."""
    return [[m for step in steps for m in step] for steps in zip(*plans, strict=True)]


def _moved(steps: list[Step], site_of: Sequence[int], count: int) -> Counted:
    """Carry out the steps, messages of one step all at once, and count."""
    ranks = len(site_of)
    start = np.arange(ranks * count, dtype=np.int64).reshape(ranks, count) ** 2
    vectors, crossed = start.copy(), 0
    for step in steps:
        sent = [vectors[m.sender, m.first : m.last].copy() for m in step]
        for message, data in zip(step, sent, strict=True):
            _receive(vectors, message, data)
            crossed += data.size * (site_of[message.sender] != site_of[message.receiver])
    return Counted(crossed, bool((vectors == start.sum(axis=0)).all()))


def _receive(vectors: Vectors, message: Message, data: Vectors) -> None:
    """Add or put ``data`` where the message says."""
    kept = vectors[message.receiver, message.first : message.last]
    kept[:] = kept + data if message.adds else data
