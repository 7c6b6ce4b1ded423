"""The columns of compiled objects that a checkpoint keeps, as their classes name them.

Each class lists all its attributes in ``STATE``, by their rows: transfers, which are numbered anew
when some are let go of, or anything that stays; a star marks numbers of transfers.
Attributes that are given to the object, or made anew, are listed as such.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array

__all__ = ["Rows", "Saved", "StateColumns", "renumbering", "transfer_columns"]


Rows = slice | npt.NDArray[np.integer]
Saved = list[npt.NDArray[Any]]
ALL = slice(None)


class Stateful(Protocol):
    """A compiled object that names its columns, and has their arrays."""

    STATE: dict[str, str]
    arrays: dict[str, npt.NDArray[Any]]


@cache
def _names(owner: type[Stateful], kind: str) -> list[tuple[str, bool]]:
    """Return the names of columns, and whether each has numbers of transfers."""
    return [(name.rstrip("*"), name[-1] == "*") for name in owner.STATE[kind].split()]


class StateColumns:
    """The arrays of one kind of an object; some may be empty, as there is nothing to keep."""

    __slots__ = ("arrays",)

    def __init__(self, owner: Stateful, kind: str) -> None:
        """Look up the columns of ``kind``."""
        arrays = owner.arrays
        self.arrays = [(arrays[name], star) for name, star in _names(type(owner), kind)]

    def save(self, number: Int32Array, which: Int64Array | None = None) -> Saved:
        """Return copies of all rows, or of those in ``which``.

        ``number``: of transfers the new ones, with -1 at the end.
        """
        if which is None:
            return [number[array] if star else array.copy() for array, star in self.arrays]
        return [
            array if not len(array) else number[array[which]] if star else array[which]
            for array, star in self.arrays
        ]

    def restore(self, saved: Saved, rows: Rows = ALL) -> None:
        """Write the saved columns into ``rows``, of those columns that are not empty."""
        for (array, _), values in zip(self.arrays, saved, strict=True):
            if len(values) and len(array):
                array[rows] = values


def renumbering(kept: BoolArray) -> tuple[Int64Array, Int32Array]:
    """Return which transfers are ``kept``, and the new number of each, -1 for the others.

    There is one -1 more at the end, where a column that says -1 reads it.
    """
    which = np.flatnonzero(kept)
    number = np.full(len(kept) + 1, -1, dtype=np.int32)
    number[which] = np.arange(len(which), dtype=np.int32)
    return which, number


def transfer_columns(simulation: Any) -> list[tuple[str, npt.NDArray[Any], bool]]:
    """Return all columns by transfer of a simulation: name, values, whether they are numbers."""
    owners: list[Stateful] = [simulation, simulation.edges, simulation.egress, simulation.credit]
    owners.append(simulation.connections)
    found = []
    for owner in owners:
        of: type[Stateful] = type(owner)
        found += [(name, owner.arrays[name], star) for name, star in _names(of, "transfer")]
    return found
