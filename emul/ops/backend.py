"""The Ops protocol, and the choice of who does the arithmetic."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from emul.errors import unknown_name
from emul.ops.numpy_ops import NumpyOps
from emul.plans import Program

__all__ = ["BACKENDS", "Ops", "ops_for"]

Array = npt.NDArray[np.generic]

BACKENDS = ("auto", "numpy")


class Ops(Protocol):
    """What a backend can do with the rows of a work buffer. NumpyOps is the specification."""

    @property
    def name(self) -> str:
        """What reports call the backend."""

    def execute(self, program: Program, work: Array, reduction: str) -> None:
        """Carry out the rows of ``program`` on ``work``, (ranks, width), in plan order."""

    def finish(self, result: Array, reduction: str, world_size: int) -> None:
        """Turn reduced values into the final result, in place."""


def ops_for(backend: str) -> Ops:
    """Return the Ops of the backend called ``backend``; ``auto`` takes the best there is.

    Raises ArgumentError for an unknown name.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    return NumpyOps()
