"""Exactly predictable data: inputs whose collective is known to the last bit beforehand.

Values are small whole numbers that repeat along the row with a prime period, shifted from rank
to rank, so that a chunk at the wrong place, from the wrong rank, missing or counted twice shows.
They are so small that no order of reduction rounds or overflows. The expected values come from
whole-number arithmetic over one period; no plan and no backend has a part in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from emul.plans import Collective

__all__ = ["ExactData"]

Array = npt.NDArray[Any]
Int64Array = npt.NDArray[np.int64]

PERIOD = 1021
SHIFT = 367
"""Both primes: no power of two or world size in use falls on a multiple of the period."""

LARGEST = 100
"""Of values that are not added up: exact in every type, and negative ones fit int8."""

SIGNIFICAND_BITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}

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
        self.draws = np.random.default_rng(seed).integers(0, 1 << 30, PERIOD)

    def fill(self, x: Array) -> None:
        """Write every rank's input into ``x``: (n, count)."""
        for rank, row in enumerate(x):
            row[...] = np.resize(self._period(rank).astype(self.dtype), len(row))

    def wrong(self, output: Array) -> int:
        """Return how many elements of ``output`` are not what they must be."""
        rows = zip(self._expected(*output.shape), output, strict=True)
        return sum(int(np.count_nonzero(row != expected)) for expected, row in rows)

    def _expected(self, n: int, count: int) -> Iterator[Array]:
        """Yield what each rank must end with."""
        if self.collective.name == "all_gather":
            block = count // n
            row = np.concatenate(
                [np.resize(self._period(rank).astype(self.dtype), block) for rank in range(n)]
            )
        else:
            row = np.resize(self._result_period(), self._whole(n, count))
        for rank in range(n):
            yield row[rank * count : (rank + 1) * count] if len(row) > count else row

    def _whole(self, n: int, count: int) -> int:
        return n * count if self.collective.name == "reduce_scatter" else count

    def _period(self, rank: int) -> Int64Array:
        """Return one period of the values of ``rank``, as whole numbers."""
        draws: Int64Array = np.roll(self.draws, -SHIFT * rank)
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
            room = 2 ** min(SIGNIFICAND_BITS[self.dtype.name], 20)
        return min(LARGEST, max(1, room // self.world_size)) if rank < room else 0

    def _result_period(self) -> Array:
        """Return one period of the expected result."""
        if self.reduction == "none":
            return self._period(self.root).astype(self.dtype)
        combine = {"prod": np.multiply, "min": np.minimum, "max": np.maximum}
        result = self._period(0)
        for rank in range(1, self.world_size):
            result = combine.get(self.reduction, np.add)(result, self._period(rank))
        return self._average(result) if self.reduction == "avg" else result.astype(self.dtype)

    def _average(self, total: Int64Array) -> Array:
        """Return ``total`` over the world size, rounded as the specification says."""
        if self.dtype.kind in "iu":
            quotients = [abs(t) // self.world_size * (1 if t > 0 else -1) for t in total.tolist()]
            return np.array(quotients).astype(self.dtype)
        wide: Any = np.float64 if self.dtype == np.float64 else np.float32
        quotient: Array = (total.astype(wide) / wide(self.world_size)).astype(self.dtype)
        return quotient
