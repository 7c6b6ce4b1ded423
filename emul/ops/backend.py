"""The Ops protocol, and the choice of who does the arithmetic."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from emul.errors import unknown_name
from emul.ops.buffers import Buffers
from emul.ops.cpu_ops import CpuOps
from emul.ops.numpy_ops import NumpyOps
from emul.plans import Program

__all__ = ["BACKENDS", "Ops", "ops_for"]

Array = npt.NDArray[np.generic]

BACKENDS = ("auto", "cpu", "numpy")


class Ops(Protocol):
    """What a backend can do: the arithmetic of a whole call. NumpyOps is the specification."""

    @property
    def name(self) -> str:
        """What reports call the backend."""

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes that ``perform`` will allocate, before anything is touched."""

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Array:
        """Carry out ``program``, in plan order, and return the output.

        When it fails, ``buffers.restore`` leaves an input that is used in place as it was.
        """


def ops_for(backend: str) -> Ops:
    """Return the Ops of the backend called ``backend``; ``auto`` takes the best there is.

    Raises ArgumentError for an unknown name.
    """
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    return NumpyOps() if backend == "numpy" else CpuOps()
