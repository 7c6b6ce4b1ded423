"""The Ops protocol, and the choice of who does the arithmetic."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from emul.arrays import Array
from emul.errors import ArgumentError, BackendError, shown, unknown_name
from emul.ops.arrays import Arrays, gpu_of
from emul.ops.buffers import Buffers
from emul.ops.cpu.cpu_ops import CpuOps
from emul.ops.numpy_ops import NumpyOps
from emul.plans import Program

__all__ = ["AUTO_BACKEND", "BACKENDS", "Ops", "TimedOps", "best_backend", "ops_for", "ops_taking"]


AUTO_BACKEND = "auto"
GPU_BACKEND = "cupy"
BACKENDS = (AUTO_BACKEND, "cpu", "numpy", GPU_BACKEND)

OF_OPS = ("name", "arrays", "new_bytes", "perform")
"""The attributes that a user's own Ops must have; see there."""


class Ops(Protocol):
    """A backend: the arithmetic of a whole call. NumpyOps is the specification."""

    @property
    def name(self) -> str:
        """The name of the backend in reports."""

    @property
    def arrays(self) -> Arrays:
        """The arrays that it computes on."""

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return the bytes that ``perform`` will allocate, before anything is touched."""

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Array:
        """Carry out ``program``, in plan order, and return the output, which is then there.

        When it fails, ``buffers.restore`` leaves an input that is used in place as it was.
        """


@runtime_checkable
class TimedOps(Ops, Protocol):
    """A backend that waits by itself, step by step, on the device that computes."""

    def perform_on_time(
        self,
        program: Program,
        buffers: Buffers,
        reduction: str,
        root: int,
        *,
        due_ns: npt.NDArray[np.int64],
        started_ns: int,
    ) -> tuple[Array, npt.NDArray[np.int64]]:
        """Carry out ``program`` as ``perform`` does, but no step ends before it is due.

        But this may return shortly before the last one is due, for the caller to wait.

        ``due_ns`` (steps,): when each step is due, in nanoseconds after ``started_ns`` of the
        monotonic clock; never falling. Returns the output, and by how many nanoseconds each step
        ended late: (steps,).
        """


def ops_for(backend: str | Ops) -> Ops:
    """Return the Ops of the backend called ``backend``; ``auto`` is that for arrays of the host.

    Ops of one's own are returned as they are. Raises ArgumentError for an unknown name,
    BackendError where this machine has no GPU for it.
    """
    if not isinstance(backend, str):
        if isinstance(backend, type) or not all(hasattr(backend, name) for name in OF_OPS):
            raise ArgumentError(
                f"backend {shown(backend)}: needed one of {', '.join(BACKENDS)}, or Ops"
            )
        return backend
    if backend not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    if backend == GPU_BACKEND:
        return _gpu_ops()
    return NumpyOps() if backend == "numpy" else CpuOps()


def ops_taking(x: object, otherwise: Ops) -> Ops:
    """Return the backend of ``auto`` for ``x``: the GPU if it lies there, else ``otherwise``.

    Raises BackendError for an array of a GPU that cannot be computed on.
    """
    return otherwise if gpu_of(x) is None else _gpu_ops()


def best_backend() -> str:
    """Return the backend for arrays that are yet to be made: ``cupy`` if a GPU can compute."""
    from emul.ops.cuda.choice import find_gpu

    return "cpu" if find_gpu().device is None else GPU_BACKEND


def _gpu_ops() -> Ops:
    from emul.ops.cuda.choice import find_gpu, ops_on

    found = find_gpu()
    if found.device is None:
        raise BackendError(
            f"backend {GPU_BACKEND}: {found.reason}: needed an NVIDIA GPU that CuPy can use; "
            "backend='cpu' computes on arrays of the host"
        )
    return ops_on(found.device)
