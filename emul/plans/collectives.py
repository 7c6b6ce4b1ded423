"""The promise of each collective, one small class per collective.

Each answers four questions: whether a rank's input and output are the whole vector or a block of
it, the contents of each rank at first and at the end, and the factor from algbw to busbw
(nccl-tests, doc/PERFORMANCE.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from emul import naming
from emul.arrays import BoolArray, Int64Array
from emul.errors import unknown_name
from emul.naming import canonical
from emul.plans.contents import Contents, everyone, sets_of

__all__ = ["COLLECTIVES", "Collective", "collective_meant", "collective_named"]

Asked = tuple[Contents, BoolArray]


class Collective(ABC):
    """A collective over n ranks; ``block`` says which block each chunk of the vector lies in.

    ``in_blocks``: the vector is cut into one block per rank. ``input_whole``, ``output_whole``:
    whether input and output of a rank are the whole vector, or its block of it. ``between_all``:
    each rank's vector has a block for each other. ``from_root``: only the root's input matters.
    ``at_root_only``: whether only the root has an ``input``, or an ``output``; that buffer then has
    one dimension. ``promises``: how it ends, in words.
    """

    name: str
    promises: str
    reduces = False
    rooted = False
    in_blocks = False
    input_whole = True
    output_whole = True
    between_all = False
    from_root = False
    at_root_only = ""

    @abstractmethod
    def bus_factor(self, world_size: int) -> float:
        """Return busbw / algbw."""

    @abstractmethod
    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return the contents of each chunk of the vector on each rank at first."""

    @abstractmethod
    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Return the contents at the end, and the (rank, chunk) for which they are required."""

    def __reduce__(self) -> tuple[Callable[[str], Collective], tuple[str]]:
        """Pickle the name: there is one object of each collective."""
        return collective_named, (self.name,)

    @property
    def in_place(self) -> bool:
        """Whether input and output are of the same shape, so that one buffer can be both."""
        return self.input_whole == self.output_whole and not self.at_root_only


def _own_everywhere(world_size: int, n_chunks: int) -> Contents:
    own = sets_of(np.arange(world_size), world_size)
    return Contents(
        np.broadcast_to(own[:, None, :], (world_size, n_chunks, own.shape[1])),
        np.broadcast_to(np.arange(n_chunks), (world_size, n_chunks)),
    )


def _kept(contents: Contents, where: BoolArray) -> Contents:
    return Contents(
        np.where(where[..., None], contents.ranks, np.uint64(0)),
        np.where(where, contents.origin, -1),
    )


def _all_of(world_size: int, n_chunks: int) -> Contents:
    own = _own_everywhere(world_size, n_chunks)
    return Contents(np.broadcast_to(everyone(world_size), own.ranks.shape), own.origin)


def _of_block_owners(world_size: int, block: Int64Array) -> Contents:
    own = _own_everywhere(world_size, len(block))
    owners = sets_of(block, world_size)
    return Contents(np.broadcast_to(owners, own.ranks.shape), own.origin)


def _mine(world_size: int, block: Int64Array) -> BoolArray:
    mine: BoolArray = np.arange(world_size)[:, None] == block
    return mine


def _at(rank: int, world_size: int, n_chunks: int) -> BoolArray:
    return np.broadcast_to((np.arange(world_size) == rank)[:, None], (world_size, n_chunks))


def _everywhere(world_size: int, n_chunks: int) -> BoolArray:
    return np.broadcast_to(np.array(True), (world_size, n_chunks))


class AllReduce(Collective):
    """Every rank ends with the reduction of all buffers."""

    name = "all_reduce"
    promises = "every rank ends with the reduction of all buffers"
    reduces = True

    def bus_factor(self, world_size: int) -> float:
        """Return 2(n - 1)/n: every element leaves a rank once per phase, but for its own."""
        return 2 * (world_size - 1) / world_size

    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return each rank's own contribution, everywhere."""
        return _own_everywhere(world_size, len(block))

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask for every contribution, everywhere."""
        return _all_of(world_size, len(block)), _everywhere(world_size, len(block))


class Reduce(AllReduce):
    """The root ends with the reduction of all buffers: (n, count) -> (count,)."""

    name = "reduce"
    promises = "the root ends with the reduction of all buffers: (n, count) -> (count,)"
    rooted = True
    at_root_only = "output"

    def bus_factor(self, world_size: int) -> float:
        """Return 1: the root takes in the bytes of a buffer at least once."""
        return 1.0

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask the root for every contribution."""
        return _all_of(world_size, len(block)), _at(root, world_size, len(block))


class ReduceScatter(AllReduce):
    """Rank r ends with block r of the reduction of all buffers: (n, n*c) -> (n, c)."""

    name = "reduce_scatter"
    promises = "rank r ends with block r of the reduction of all buffers: (n, n*c) -> (n, c)"
    in_blocks = True
    output_whole = False

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask for every contribution in each rank's own block."""
        return _all_of(world_size, len(block)), _mine(world_size, block)


class AllGather(Collective):
    """Every rank ends with all buffers, in rank order: (n, c) -> (n, n*c)."""

    name = "all_gather"
    promises = "every rank ends with all buffers, in rank order: (n, c) -> (n, n*c)"
    in_blocks = True
    input_whole = False

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return each rank's own block."""
        return _kept(_own_everywhere(world_size, len(block)), _mine(world_size, block))

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask every rank for every block's owner."""
        return _of_block_owners(world_size, block), _everywhere(world_size, len(block))


class Gather(AllGather):
    """The root ends with all buffers, in rank order: (n, c) -> (n*c,)."""

    name = "gather"
    promises = "the root ends with all buffers, in rank order: (n, c) -> (n*c,)"
    rooted = True
    at_root_only = "output"

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask the root for every block's owner."""
        return _of_block_owners(world_size, block), _at(root, world_size, len(block))


class Broadcast(Collective):
    """Every rank ends with the root's buffer: (n, count) -> (n, count)."""

    name = "broadcast"
    promises = "every rank ends with the root's buffer: (n, count) -> (n, count)"
    rooted = True
    from_root = True

    def bus_factor(self, world_size: int) -> float:
        """Return 1: the root's bytes need to leave it only once."""
        return 1.0

    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return the root's contribution at the root, nothing elsewhere."""
        at_root = _at(root, world_size, len(block))
        return _kept(_own_everywhere(world_size, len(block)), at_root)

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask every rank for the root's contribution."""
        wanted = _of_block_owners(world_size, np.full(len(block), root))
        return wanted, _everywhere(world_size, len(block))


class Scatter(Broadcast):
    """Rank r ends with block r of the root's buffer: (n*c,) -> (n, c)."""

    name = "scatter"
    promises = "rank r ends with block r of the root's buffer: (n*c,) -> (n, c)"
    in_blocks = True
    output_whole = False
    at_root_only = "input"

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask each rank for the root's contribution to its block."""
        return super().wanted(world_size, block, root)[0], _mine(world_size, block)


class AllToAll(Collective):
    """Rank d ends with block d of every rank, in rank order: (n, n*c) -> (n, n*c)."""

    name = "all_to_all"
    promises = "rank d ends with block d of every rank, in rank order: (n, n*c) -> (n, n*c)"
    in_blocks = True
    between_all = True

    def bus_factor(self, world_size: int) -> float:
        """Return (n - 1)/n."""
        return (world_size - 1) / world_size

    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return each rank's own contribution, everywhere."""
        return _own_everywhere(world_size, len(block))

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask rank d, in block s, for block d of rank s."""
        first = np.searchsorted(block, np.arange(world_size))  # chunk of each block
        within = np.arange(len(block)) - first[block]
        origin = first[:, None] + within
        return Contents(_of_block_owners(world_size, block).ranks, origin), _everywhere(
            world_size, len(block)
        )


class SendRecv(Collective):
    """Rank r sends its buffer to rank r + root and ends with that of rank r - root."""

    name = "send_recv"
    promises = "rank r sends its buffer to rank r + root and ends with that of rank r - root"

    def bus_factor(self, world_size: int) -> float:
        """Return 1: every rank sends its buffer once."""
        return 1.0

    def held(self, world_size: int, block: Int64Array, root: int) -> Contents:
        """Return each rank's own contribution, everywhere."""
        return _own_everywhere(world_size, len(block))

    def wanted(self, world_size: int, block: Int64Array, root: int) -> Asked:
        """Ask each rank for the buffer of the rank ``root`` before it."""
        own = _own_everywhere(world_size, len(block))
        sender = np.roll(own.ranks, root, axis=0)
        return Contents(sender, own.origin), _everywhere(world_size, len(block))


COLLECTIVES: Mapping[str, Collective] = MappingProxyType(
    {
        each.name: each
        for each in (
            AllReduce(),
            ReduceScatter(),
            AllGather(),
            Broadcast(),
            Reduce(),
            AllToAll(),
            Gather(),
            Scatter(),
            SendRecv(),
        )
    }
)


def collective_named(name: str) -> Collective:
    """Return the collective called ``name``; raises ArgumentError when there is none."""
    if not isinstance(name, str) or name not in COLLECTIVES:
        raise unknown_name("collective", name, COLLECTIVES)
    return COLLECTIVES[name]


def collective_meant(name: str) -> Collective:
    """Return the collective that ``name`` means, also as libraries spell it: AllReduce, allreduce.

    Raises ArgumentError when there is none.
    """
    return collective_named(
        canonical(name, COLLECTIVES, naming.COLLECTIVES) if isinstance(name, str) else name
    )
