"""What each collective promises, one small class per collective.

Each answers four questions: how many elements a rank works on, what each rank holds at first,
what each must hold at the end, and what busbw makes of the time (nccl-tests,
doc/PERFORMANCE.md). Contributions are written as sets of ranks, one bit per rank.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from emul.errors import unknown_name

__all__ = ["COLLECTIVES", "Collective", "collective_named"]

Masks = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BITS = 64


def _bit(ranks: npt.ArrayLike, world_size: int) -> Masks:
    """Return the sets {rank}: shape of ``ranks`` plus (words,)."""
    ranks = np.asarray(ranks)
    words = np.arange((world_size + BITS - 1) // BITS)
    bit = np.left_shift(np.uint64(1), (ranks % BITS).astype(np.uint64))
    sets: Masks = np.where(words == (ranks // BITS)[..., None], bit[..., None], np.uint64(0))
    return sets


def _everyone(world_size: int) -> Masks:
    everyone: Masks = np.bitwise_or.reduce(_bit(np.arange(world_size), world_size), axis=0)
    return everyone


class Collective(ABC):
    """A collective over n ranks; ``count`` is the count of one rank's input."""

    name: str
    reduces: bool
    rooted = False
    in_blocks = True

    @abstractmethod
    def width(self, world_size: int, count: int) -> int:
        """Return the elements of the whole vector that every rank works on."""

    @abstractmethod
    def bus_factor(self, world_size: int) -> float:
        """Return busbw / algbw."""

    @abstractmethod
    def held(self, world_size: int, block: Int64Array, root: int) -> Masks:
        """Return what each rank holds of each chunk at first: (n, chunks, words).

        ``block`` says which of n equal blocks each chunk lies in.
        """

    @abstractmethod
    def wanted(
        self, world_size: int, block: Int64Array, root: int
    ) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """Return what must be held at the end, and of which (rank, chunk) that is asked."""

    def input_shape(self, world_size: int, width: int) -> tuple[int, int]:
        """Return the shape of the input for a whole vector of ``width`` elements."""
        return (world_size, width)

    def output_shape(self, world_size: int, width: int) -> tuple[int, int]:
        """Return the shape of the output for a whole vector of ``width`` elements."""
        return (world_size, width)


def _own(world_size: int, n_chunks: int) -> Masks:
    own = _bit(np.arange(world_size), world_size)
    return np.repeat(own[:, None, :], n_chunks, axis=1)


class AllReduce(Collective):
    """Every rank ends with the reduction of all buffers."""

    name = "all_reduce"
    reduces = True
    in_blocks = False

    def width(self, world_size: int, count: int) -> int:
        """Return ``count``: input and output are the whole vector."""
        return count

    def bus_factor(self, world_size: int) -> float:
        """Return 2(n - 1)/n: every element leaves a rank once per phase, but for its own."""
        return 2 * (world_size - 1) / world_size

    def held(self, world_size: int, block: Int64Array, root: int) -> Masks:
        """Return each rank's own contribution, everywhere."""
        return _own(world_size, len(block))

    def wanted(
        self, world_size: int, block: Int64Array, root: int
    ) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """Ask for every contribution, everywhere."""
        full = np.broadcast_to(_everyone(world_size), self.held(world_size, block, root).shape)
        return full, np.ones((world_size, len(block)), dtype=bool)


class ReduceScatter(AllReduce):
    """Rank r ends with block r of the reduction of all buffers: (n, n*c) -> (n, c)."""

    name = "reduce_scatter"
    in_blocks = True

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def wanted(
        self, world_size: int, block: Int64Array, root: int
    ) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """Ask for every contribution in each rank's own block."""
        full, _ = super().wanted(world_size, block, root)
        return full, np.arange(world_size)[:, None] == block

    def output_shape(self, world_size: int, width: int) -> tuple[int, int]:
        """Return one block a rank."""
        return (world_size, width // world_size)


class AllGather(Collective):
    """Every rank ends with all buffers, in rank order: (n, c) -> (n, n*c)."""

    name = "all_gather"
    reduces = False

    def width(self, world_size: int, count: int) -> int:
        """Return n times ``count``."""
        return world_size * count

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def held(self, world_size: int, block: Int64Array, root: int) -> Masks:
        """Return each rank's own block."""
        mine = np.arange(world_size)[:, None] == block
        return np.where(mine[..., None], _own(world_size, len(block)), np.uint64(0))

    def wanted(
        self, world_size: int, block: Int64Array, root: int
    ) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """Ask every rank for every block's owner."""
        owners = _bit(block, world_size)
        everywhere = np.ones((world_size, len(block)), dtype=bool)
        return np.broadcast_to(owners, (world_size, *owners.shape)), everywhere

    def input_shape(self, world_size: int, width: int) -> tuple[int, int]:
        """Return one block a rank."""
        return (world_size, width // world_size)


class Broadcast(Collective):
    """Every rank ends with the root's buffer."""

    name = "broadcast"
    reduces = False
    rooted = True
    in_blocks = False

    def width(self, world_size: int, count: int) -> int:
        """Return ``count``."""
        return count

    def bus_factor(self, world_size: int) -> float:
        """Return 1: the root's bytes need to leave it only once."""
        return 1.0

    def held(self, world_size: int, block: Int64Array, root: int) -> Masks:
        """Return the root's contribution at the root, nothing elsewhere."""
        held = np.zeros_like(_own(world_size, len(block)))
        held[root] = _bit(root, world_size)
        return held

    def wanted(
        self, world_size: int, block: Int64Array, root: int
    ) -> tuple[Masks, npt.NDArray[np.bool_]]:
        """Ask every rank for the root's contribution."""
        shape = self.held(world_size, block, root).shape
        everywhere = np.ones(shape[:2], dtype=bool)
        return np.broadcast_to(_bit(root, world_size), shape), everywhere


COLLECTIVES: Mapping[str, Collective] = MappingProxyType(
    {each.name: each for each in (AllReduce(), ReduceScatter(), AllGather(), Broadcast())}
)


def collective_named(name: str) -> Collective:
    """Return the collective called ``name``; raises ArgumentError when there is none."""
    if name not in COLLECTIVES:
        raise unknown_name("collective", name, COLLECTIVES)
    return COLLECTIVES[name]
