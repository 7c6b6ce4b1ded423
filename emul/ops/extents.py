"""Which bytes of memory an array takes: whether two elements share one, and views without a copy.

All of it is arithmetic of addresses and strides. No memory is read, so that arrays of a device are
asked the same questions.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from emul.arrays import Array

__all__ = ["Extent", "in_rows", "shares_within"]


MOST_WORK = 100_000
"""Candidates that NumPy looks at before it gives up: some milliseconds. Two arrays of rows whose
elements lie side by side are told apart in the first few."""


class Extent(NamedTuple):
    """Where the elements of an array lie, in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @classmethod
    def of(cls, array: Array, address: int) -> Extent:
        """Return the extent of ``array``, whose first element lies at ``address``."""
        return cls(address, tuple(array.shape), tuple(array.strides), array.dtype.itemsize)

    @property
    def bounds(self) -> tuple[int, int]:
        """The first byte, and the one behind the last; the same for no elements."""
        if 0 in self.shape:
            return self.address, self.address
        ends = [(n - 1) * s for n, s in zip(self.shape, self.strides, strict=True)]
        low = sum(end for end in ends if end < 0)
        return self.address + low, self.address + sum(ends) - low + self.itemsize

    def meets(self, other: Extent) -> bool:
        """Say whether any byte is in both; also where that would take too long to find out."""
        (low, high), (other_low, other_high) = self.bounds, other.bounds
        if low == high or other_low == other_high or high <= other_low or other_high <= low:
            return False
        one, another = (np.asarray(_Bytes(each)) for each in (self, other))
        try:
            work: Any = MOST_WORK  # NumPy's stubs know of no limit but none
            return bool(np.shares_memory(one, another, max_work=work))
        except np.exceptions.TooHardError:
            return True


class _Bytes:
    """An array of bytes at some address, for NumPy's arithmetic of addresses; nobody reads it."""

    def __init__(self, extent: Extent) -> None:
        self.__array_interface__ = {
            "version": 3,
            "typestr": "|u1",
            "data": (extent.address, True),
            "shape": (*extent.shape, extent.itemsize),
            "strides": (*extent.strides, 1),
        }


def shares_within(array: Array) -> bool:
    """Say whether two elements of ``array``, of at most two dimensions, share a byte.

    Exact: of rows d apart, only the element e next to d times the row's stride can come as near as
    an element is wide.
    """
    if not array.size or array.flags.c_contiguous:
        return False
    itemsize = int(array.dtype.itemsize)
    steps = [(abs(s), n) for s, n in zip(array.strides, array.shape, strict=True) if n > 1]
    if not steps:
        return False
    (stride, count), *outer = sorted(steps)
    if stride < itemsize:
        return True
    if not outer:
        return False
    ((wide, rows),) = outer
    length = (count - 1) * stride
    apart = wide * np.arange(1, min(rows - 1, (length + itemsize) // wide) + 1)
    before, off = np.divmod(apart, stride)
    near = (off < itemsize) & (before < count)
    near |= (stride - off < itemsize) & (before + 1 < count)
    return bool(near.any())


def in_rows(array: Array) -> Array | None:
    """Return (n, a, b, ...) as (n, a * b * ...) in the same memory; None if that needs a copy."""
    inner = [(n, s) for n, s in zip(array.shape[1:], array.strides[1:], strict=True) if n != 1]
    merged = all(outer == stride * count for (_, outer), (count, stride) in pairwise(inner))
    if not (merged or not array.size):
        return None
    rows: Array = array.reshape(array.shape[0], prod(array.shape[1:]))
    return rows
