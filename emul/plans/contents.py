"""The contents of a place in a buffer: contributions of ranks, to one chunk of the vector.

Contributions are sets of ranks, one bit per rank in uint64 words; ``origin`` is the chunk of the
initial buffers that the value belongs to. Both together tell any two values apart that are not
equal for all inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array, UInt64Array

__all__ = ["BITS", "Contents", "everyone", "nothing", "ranks_in", "sets_of"]

BITS = 64
NOWHERE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """Of each rank and chunk: ``ranks`` (n, chunks, words) and ``origin`` (n, chunks).

    ``origin`` is -1 where nothing is held.
    """

    ranks: UInt64Array
    origin: Int64Array


def sets_of(ranks: npt.ArrayLike, world_size: int) -> UInt64Array:
    """Return the sets {rank}: shape of ``ranks`` plus (words,); the empty set for -1."""
    ranks = np.asarray(ranks)
    words = np.arange((world_size + BITS - 1) // BITS)
    bit = np.left_shift(np.uint64(1), (ranks % BITS).astype(np.uint64))
    sets: UInt64Array = np.where(words == (ranks // BITS)[..., None], bit[..., None], np.uint64(0))
    return sets


def everyone(world_size: int) -> UInt64Array:
    """Return the set of all ranks: (words,)."""
    union: UInt64Array = np.bitwise_or.reduce(sets_of(np.arange(world_size), world_size), axis=0)
    return union


def nothing(rows: int, columns: int, words: int) -> Contents:
    """Return contents in which nothing is held anywhere."""
    return Contents(
        np.zeros((rows, columns, words), dtype=np.uint64),
        np.full((rows, columns), NOWHERE, dtype=np.int64),
    )


def ranks_in(mask: UInt64Array) -> str:
    """Return the ranks of one set in words, or nothing when it is empty."""
    ranks = [
        str(word * BITS + bit)
        for word, bits in enumerate(mask.tolist())
        for bit in range(BITS)
        if bits >> bit & 1
    ]
    if not ranks:
        return ""
    shown = ", ".join(ranks[:8]) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}"
