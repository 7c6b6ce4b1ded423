"""The work of ``emul compare``: every algorithm is proven, timed and run on random numbers."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from emul.arrays import Array
from emul.cli.algorithms import root_argument
from emul.errors import (
    ArgumentError,
    CapacityError,
    OutageError,
    PlanError,
    TimeLimitError,
)
from emul.ops import RoundingError, bound_of_any_order, dtype_named
from emul.plans import Shape, collective_named
from emul.report.comparison import Compared, ComparedRow, Excluded
from emul.runtime.prediction import Prediction
from emul.world import World

__all__ = ["Contest"]

MOST_ELEMENTS = 1 << 14
"""Of each rank, on which errors are measured: their order is the same at every size."""

MOST_OF_ALL = 1 << 22
"""Of all ranks together, likewise."""

CANNOT = (ArgumentError, CapacityError, MemoryError, OutageError, PlanError, TimeLimitError)


@dataclass
class Contest:
    """Algorithms for one collective in one world.

    ``subjects`` are the ones that were asked about: one that is wrong, or cannot be built, is an
    error. Of the others, it is a reason why they are not compared.
    """

    world: World
    collective: str
    subjects: tuple[str, ...]
    others: tuple[str, ...]
    dtype: str
    op: str
    root: int
    errors: dict[str, RoundingError | None] = field(default_factory=dict)
    rows: list[ComparedRow] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)

    def compare(self, count: int) -> int:
        """Compare all algorithms at a count of one rank's input; return the size in bytes."""
        size = self._shape(count).width * dtype_named(self.dtype).itemsize
        rows: list[ComparedRow] = []
        excluded: list[Excluded] = []
        for algorithm in (*self.subjects, *self.others):
            row = self._row(algorithm, count, size, excluded)
            if row is not None:
                rows.append(row)
        self.rows += rows  # of a size that is interrupted, nothing
        self.excluded += excluded
        return size

    def _row(
        self, algorithm: str, count: int, size: int, excluded: list[Excluded]
    ) -> ComparedRow | None:
        """Return the line of an algorithm; None, and a reason, where it cannot be compared."""
        try:
            prediction = self._predicted(algorithm, count)
            return _row_of(prediction, algorithm, size, self._error(algorithm))
        except CANNOT as error:
            own = algorithm in self.subjects and isinstance(error, ArgumentError | PlanError)
            if own:
                raise
            excluded.append(Excluded(algorithm, size, str(error) or "out of memory"))
            if not isinstance(error, PlanError):
                return None
            return ComparedRow(size, algorithm, proven=False)

    def _shape(self, count: int) -> Shape:
        return Shape.of(collective_named(self.collective), self.world.size, count)

    def _predicted(self, algorithm: str, count: int) -> Prediction:
        where = root_argument(self.collective, self.root)
        return self.world.predict(
            self.collective, count, dtype=self.dtype, algorithm=algorithm, **where
        )

    def _error(self, algorithm: str) -> RoundingError | None:
        """Return the error of an algorithm on random numbers; None where nothing is reduced."""
        if not self.error_elements:
            return None
        if algorithm not in self.errors:
            how: dict[str, Any] = {"op": self.op, **root_argument(self.collective, self.root)}
            x = self.world.ops.arrays.from_host(self._random())
            run = getattr(self.world, self.collective)(x, algorithm=algorithm, **how)
            self.errors[algorithm] = run.error
        return self.errors[algorithm]

    @property
    def error_elements(self) -> int:
        """Random elements of each rank that errors are measured on; 0 where nothing is reduced."""
        n = self.world.size
        if not collective_named(self.collective).reduces:
            return 0
        return max(1, min(MOST_ELEMENTS, MOST_OF_ALL // n) // n) * n

    def _random(self) -> Array:
        """Return input that is the same for all algorithms, and whose sums cancel at times."""
        generator = np.random.default_rng(self.world.seed)
        dtype, shape = dtype_named(self.dtype), self._shape(self.error_elements).input_shape
        if dtype.kind in "iu":
            return generator.integers(0, 2, shape).astype(dtype)
        return generator.normal(size=prod(shape)).reshape(shape).astype(dtype)

    @property
    def compared(self) -> Compared:
        """All that has been compared so far."""
        promise, dtype = collective_named(self.collective), dtype_named(self.dtype)
        topology, bound = self.world.topology, None
        if self.error_elements and dtype.kind not in "iu" and self.op in ("sum", "avg"):
            bound = bound_of_any_order(dtype, self.world.size + (self.op == "avg"))
        return Compared(
            collective=self.collective,
            topology=topology.name,
            description=topology.description,
            world_size=self.world.size,
            dtype=dtype.name,
            redop=self.op if promise.reduces else "none",
            root=self.root if promise.rooted else -1,
            subjects=self.subjects,
            error_elements=self.error_elements,
            error_bound=bound if bound is None or np.isfinite(bound) else None,
            rows=tuple(self.rows),
            excluded=tuple(self.excluded),
        )


def _row_of(
    prediction: Prediction, algorithm: str, size: int, error: RoundingError | None
) -> ComparedRow:
    return ComparedRow(
        size,
        algorithm,
        proven=True,
        modelled_s=prediction.time_s,
        bound_s=prediction.bound_s,
        times_bound=prediction.times_bound,
        cross_site_bytes=prediction.timeline.cross_site_bytes,
        max_relative_to_magnitudes=None if error is None else error.max_relative_to_magnitudes,
        max_ulp=None if error is None else error.max_ulp,
    )
