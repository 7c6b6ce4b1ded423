"""Exactly predictable data: inputs whose collective is known to the last bit beforehand.

Values are small whole numbers that repeat along the row with a prime period, shifted from rank
to rank, so that a chunk at the wrong place, from the wrong rank, missing or counted twice shows.
They are so small that no order of reduction rounds or overflows. The expected values come from
whole-number arithmetic over one period; no plan and no backend has a part in them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from emul.arrays import Array, Int64Array
from emul.ops.dtypes import float_form
from emul.plans import Collective

__all__ = ["PERIOD", "ExactData"]


PERIOD = 1021
SHIFT = 367
"""Both primes: no power of two or world size in use falls on a multiple of the period."""

LARGEST = 100
"""Of values that are not added up: exact in every type, and negative ones fit int8."""

DOUBLINGS = 6
"""So many ranks may double a product: 2^6 fits int8."""


class ExactData:
    """Input and expected output of one collective, element type and world size."""

    def __init__(
        self,
        collective: Collective,
        world_size: int,
        dtype: np.dtype[Any],
        *,
        reduction: str,
        root: int,
        seed: int,
    ) -> None:
        """Draw one period of values from ``seed``."""
        self.collective = collective
        self.world_size = world_size
        self.dtype = dtype
        self.reduction = reduction if collective.reduces else "none"
        self.root = root
        draws = np.random.default_rng(seed).integers(0, 1 << 30, PERIOD)
        self.draws_twice = np.concatenate([draws, draws])  # any rotation of them is a slice

    def fill(self, x: Array) -> None:
        """Write the input into ``x``: one row per rank, or the root's buffer."""
        rows = {self.root: x} if x.ndim == 1 else dict(enumerate(x))
        for rank, row in rows.items():
            row[...] = self._values(rank, 0, len(row))

    def wrong(self, output: Array, *, count: int | None = None, low: int = 0) -> int:
        """Return the number of wrong elements of ``output``.

        With ``count``, its rows are the parts from element ``low`` on of rows of ``count``
        elements.
        """
        rows = {self.root: output} if output.ndim == 1 else dict(enumerate(output))
        width = output.shape[-1]
        wrong, expected = 0, None
        for rank, row in rows.items():
            if expected is None or not self._alike:
                expected = self._expected(rank, count or width, low, width)
            wrong += int(np.count_nonzero(row != expected))
        return wrong

    @property
    def _alike(self) -> bool:
        """Whether every rank must end with the same."""
        return self.collective.name in ("all_reduce", "all_gather", "broadcast")

    def _expected(self, rank: int, count: int, low: int, width: int) -> Array:
        """Return ``width`` elements from ``low`` on of the ``count`` that ``rank`` must get."""
        name, n = self.collective.name, self.world_size
        if name in ("all_gather", "gather", "all_to_all"):
            block = count // n
            first = rank * block if name == "all_to_all" else 0
            parts = [self._values(each, first, first + block) for each in range(n)]
            return np.concatenate(parts)[low : low + width]
        first = low + (rank * count if name in ("reduce_scatter", "scatter") else 0)
        if self.collective.reduces:
            return _stretch(self._result_period, first, first + width)
        source = (rank - self.root) % n if name == "send_recv" else self.root
        return self._values(source, first, first + width)

    def _values(self, rank: int, low: int, high: int) -> Array:
        """Return elements [low, high) of the buffer of ``rank``."""
        number = min(high - low, PERIOD)
        values: Array = self._terms(rank, low, number).astype(self.dtype)
        return values if number == high - low else np.resize(values, high - low)

    def _terms(self, rank: int, low: int, number: int) -> Int64Array:
        """Return up to a period of the values of ``rank`` from ``low`` on, as whole numbers."""
        first = (SHIFT * rank + low) % PERIOD
        draws: Int64Array = self.draws_twice[first : first + number]
        signed = self.dtype.kind != "u"
        if self.reduction == "prod":
            doubled: Int64Array = draws % 2 * (rank < DOUBLINGS)
            sign: Int64Array = 1 - 2 * (draws >> 1 & 1) * signed
            return (1 + doubled) * sign
        largest = self._largest_term(rank) if self.reduction in ("sum", "avg") else LARGEST
        lowest = -largest if signed else 0
        values: Int64Array = draws % (largest - lowest + 1) + lowest
        return values

    def _largest_term(self, rank: int) -> int:
        """Return how large a term may be so that no partial sum rounds or overflows."""
        if self.dtype.kind in "iu":
            room = min(int(np.iinfo(self.dtype).max), 1 << 20)
        else:
            after_the_point, _ = float_form(self.dtype)
            room = 2 ** min(after_the_point + 1, 20)
        return min(LARGEST, max(1, room // self.world_size)) if rank < room else 0

    @cached_property
    def _result_period(self) -> Array:
        """Return one period of the expected result of a reduction."""
        combine = {"prod": np.multiply, "min": np.minimum, "max": np.maximum}
        result = self._terms(0, 0, PERIOD)
        for rank in range(1, self.world_size):
            terms = self._terms(rank, 0, PERIOD)
            result = combine.get(self.reduction, np.add)(result, terms)
        return self._average(result) if self.reduction == "avg" else result.astype(self.dtype)

    def _average(self, total: Int64Array) -> Array:
        """Return ``total`` over the world size, rounded as the specification says."""
        if self.dtype.kind in "iu":
            quotients = [abs(t) // self.world_size * (1 if t > 0 else -1) for t in total.tolist()]
            return np.array(quotients).astype(self.dtype)
        wide: Any = np.float64 if self.dtype == np.float64 else np.float32
        quotient: Array = (total.astype(wide) / wide(self.world_size)).astype(self.dtype)
        return quotient


def _stretch(period: Array, low: int, high: int) -> Array:
    """Return elements [low, high) of ``period`` repeated for ever."""
    first = low % len(period)
    if first + high - low <= len(period):
        return period[first : first + high - low]
    stretch: Array = np.resize(np.concatenate([period[first:], period[:first]]), high - low)
    return stretch
