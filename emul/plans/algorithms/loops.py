"""Rings that go around once for each loop: ``ring,loops=4``, ``ring:channels,loops=16``.

NCCL carries a vector that is larger than the buffers of its channels in loops. A rank begins a loop
when the last chunk of the loop before has come to it, so every loop pays for the whole way around
(NVIDIA/nccl 2.30.7, src/device/all_reduce.h, reduce_scatter.h, all_gather.h, runRing).

Of an all-reduce, a loop carries one part of the vector after the other; of collectives with a block
for each rank, one part of every block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emul.arrays import Int32Array
from emul.errors import ArgumentError
from emul.plans.algorithms.ring import AROUND, orders_of
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step, Waits
from emul.plans.rounds import Rounds

__all__ = ["MOST_LOOPS", "build", "loops_of", "with_loops"]

MOST_LOOPS = 1 << 16

_NAME = re.compile(r"(?P<ring>ring(?::[a-z]+)?),loops=(?P<loops>\d{1,9})")


def with_loops(ring: str, loops: int) -> str:
    """Return the name of ``ring`` in so many loops.

    >>> with_loops("ring:channels", 4), with_loops("ring", 1)
    ('ring:channels,loops=4', 'ring')
    """
    return f"{ring},loops={loops}" if loops > 1 else ring


def loops_of(name: str) -> tuple[str, int] | None:
    """Return the ring and the number of loops that a name says; None where it says no loops."""
    match = _NAME.fullmatch(name)
    return match and (match["ring"], int(match["loops"]))


def build(collective: str, name: str, places: Places, root: int) -> Plan:
    """Return the plan called ``name``, not proven yet.

    Raises ArgumentError for a number of loops that is none, and for a collective that does not go
    around a ring.
    """
    ring, loops = loops_of(name) or ("", 0)
    if not 1 <= loops <= MOST_LOOPS:
        raise ArgumentError(f"algorithm {name!r}: needed 1 to {MOST_LOOPS} loops")
    if collective not in AROUND:
        raise ArgumentError(
            f"algorithm {name!r} does not do {collective}: needed one of {', '.join(AROUND)}"
        )
    orders = np.array(orders_of(ring, places))
    steps = LoopedRounds(Rounds(orders, AROUND[collective]), loops, collective == "all_reduce")
    return Plan(
        collective, name, places.world_size, root, steps.partition, steps, waits=steps.waits
    )


@dataclass(frozen=True, slots=True, eq=False)
class LoopedRounds:
    """The steps of ``rounds``, once for each of the ``loops``.

    ``one_behind_another``: the loops follow each other in the vector; else in every block of it.
    """

    rounds: Rounds
    loops: int
    one_behind_another: bool

    @property
    def partition(self) -> Partition:
        """The chunks: those of all loops."""
        channels, n = self.rounds.orders.shape
        if self.one_behind_another:
            return Partition.uniform(self.loops * n * channels)
        parts = channels * self.loops
        return Partition(n, parts, np.arange(n * parts + 1, dtype=np.int64))

    @property
    def waits(self) -> Waits:
        """For a rank's first chunk of a loop to be sent, its last one of the loop before."""
        channels, n = self.rounds.orders.shape
        rows = channels * n
        first = np.arange(rows)
        before = first.reshape(channels, n)
        received = np.roll(before, 1, axis=1).ravel() + (len(self.rounds) - 1) * rows
        if not len(self.rounds):
            first = received = first[:0]
        begins = np.arange(self.loops - 1)[:, None] * len(self.rounds) * rows
        earlier = (begins + received).ravel()
        later = (begins + len(self.rounds) * rows + first).ravel()
        return Waits(earlier, later, np.zeros(len(later), bool), np.ones(len(later), bool))

    def __len__(self) -> int:
        """Return the number of steps."""
        return self.loops * len(self.rounds)

    def __call__(self) -> Iterator[Step]:
        """Yield the steps."""
        for loop in range(self.loops):
            for step in self.rounds():
                chunk = self._chunk_of(step.src_chunk, loop)
                yield Step(
                    step.src, step.dst, chunk, chunk, step.nchunks, step.reduce, step.channel
                )

    def _chunk_of(self, of_rounds: Int32Array, loop: int) -> Int32Array:
        """Return the chunks of a loop by their numbers in a vector of one loop."""
        channels, n = self.rounds.orders.shape
        if self.one_behind_another:
            chunk = of_rounds + loop * n * channels
        else:
            block, channel = np.divmod(of_rounds, channels)
            chunk = (block * channels + channel) * self.loops + loop
        return np.asarray(chunk, np.int32)
