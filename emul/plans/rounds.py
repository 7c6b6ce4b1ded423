"""Rounds: regular steps as a rule, from which a table can be made and need not be.

A plan whose ``steps`` are Rounds can be timed step by step, with no table of its transfers (see
emul.timing.generated).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emul.arrays import Int64Array
from emul.plans.plan import Step
from emul.reading.brief import brief

__all__ = ["Rounds"]


@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """Steps in which each rank sends one block to the next one of a ring, n - 1 for each phase.

    ``orders`` (channels, n): the ranks as the ring of each channel visits them. In step k of a
    phase the rank at position i of an order sends on the block of the rank k positions before it,
    or k + 1 in a phase that ``reduces``; channel c carries part c of every block. A block of a
    vector of n has the number of its rank, and its parts follow one another.

    >>> [step.src_chunk.tolist() for step in Rounds(np.array([[0, 2, 1]]), (True, False))()]
    [[1, 0, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2]]
    """

    orders: Int64Array
    reduces: tuple[bool, ...]

    __repr__ = brief

    @property
    def steps_of_a_phase(self) -> int:
        """Return the number of steps of each phase."""
        return int(self.orders.shape[1]) - 1

    def behind(self, steps: Int64Array) -> Int64Array:
        """Return how many positions before a sender the rank is whose block it sends, by step."""
        phase, within = np.divmod(steps, self.steps_of_a_phase)
        behind: Int64Array = within + np.array(self.reduces, dtype=np.int64)[phase]
        return behind

    def __len__(self) -> int:
        """Return the number of steps."""
        return self.steps_of_a_phase * len(self.reduces)

    def __call__(self) -> Iterator[Step]:
        """Yield the steps; the columns that do not change are the same arrays in all of them."""
        channels, n = self.orders.shape
        receivers = np.roll(self.orders, -1, axis=1).ravel()
        channel = np.repeat(np.arange(channels), n)
        parts = self.orders * channels + np.arange(channels)[:, None]
        twice = np.hstack([parts, parts]).astype(np.int32)
        src, dst, lane = (c.astype(np.int32) for c in (self.orders.ravel(), receivers, channel))
        one = np.ones(channels * n, dtype=np.int32)
        reduce = [np.full(channels * n, each) for each in self.reduces]
        for step, behind in enumerate(self.behind(np.arange(len(self))).tolist()):
            sent = twice[:, n - behind : 2 * n - behind].ravel()
            adds = reduce[step // self.steps_of_a_phase]
            yield Step(src, dst, sent, sent, one, adds, lane)
