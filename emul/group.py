"""Groups: communicators of some ranks of a world."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from emul.communicator import Communicator
from emul.errors import ArgumentError, shown
from emul.reading.checks import whole
from emul.runtime.planner import Planner

if TYPE_CHECKING:
    from emul.world import World

__all__ = ["Group", "checked_ranks"]


class Group(Communicator):
    """Some ranks of a world, which carry out collectives among themselves.

    Buffers have as many rows, roots are counted among these ranks, and plans see only the places
    where they live. ``run.prediction`` is of the group alone, on links that it has to itself.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> leaders = world.group([0, 8, 16])
    >>> leaders.all_reduce(np.array([[1.0], [2.0], [3.0]])).output[0]
    array([6.])
    """

    def __init__(self, world: World, ranks: npt.NDArray[np.int32], number: int) -> None:
        """Take the world, some of its ranks, rising, and what number the group has in it."""
        planner = Planner(
            world.topology.of_ranks(ranks.tolist()),
            world.slicing,
            seed=world.seed,
            start_s=world.start_s,
            stack=world.stack,
        )
        super().__init__(planner, ranks, number)
        self.world = world

    def __repr__(self) -> str:
        """Say which ranks these are."""
        return f"<Group of {self.size} ranks of {self.world.topology.name}: {self.ranks.tolist()}>"


def checked_ranks(ranks: Iterable[int], world_size: int) -> npt.NDArray[np.int32]:
    """Return ``ranks`` in rising order. Raises ArgumentError where they are not a world's."""
    if isinstance(ranks, str | bytes | bytearray | np.ma.MaskedArray):
        raise ArgumentError(f"ranks {shown(ranks)}: needed whole numbers, one for each rank")
    try:
        found = sorted(whole(rank, "ranks with") for rank in islice(ranks, world_size + 1))
    except TypeError:
        raise ArgumentError(
            f"ranks {shown(ranks)}: needed whole numbers, one for each rank"
        ) from None
    if not found or found[0] < 0 or found[-1] >= world_size or len(set(found)) < len(found):
        raise ArgumentError(
            f"ranks {shown(found)}: needed at least one, each once, from 0 to {world_size - 1}"
        )
    return np.array(found, dtype=np.int32)
