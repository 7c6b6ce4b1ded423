"""The operations that the arithmetic needs of a GPU, and no others: a Device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emul.ops.cuda.kernel_sources import KernelSource

__all__ = ["Device", "DeviceArray", "Kernel", "Launch"]

DeviceArray = Any
"""An array of the device's library: with shape, strides (in bytes), dtype, nbytes and slices."""

Kernel = Any
"""The compiled form of a KernelSource on the device."""


class Device(Protocol):
    """A GPU, or its stand-in of the tests.

    Work is queued in the order of the calls, as on one CUDA stream, the one that the caller works
    on; only ``download`` waits for it.
    """

    @property
    def name(self) -> str:
        """Its name in reports."""

    @property
    def multiprocessors(self) -> int:
        """How many multiprocessors there are to keep busy."""

    def is_array(self, value: object) -> bool:
        """Say whether ``value`` is an array of this device."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return a new array, its elements side by side; raises MemoryError where there is no room.

        It begins at a multiple of 16 bytes.
        """

    def upload(self, table: npt.NDArray[Any]) -> DeviceArray:
        """Return a copy of ``table`` on the device, which may be changed here afterwards."""

    def download(self, array: DeviceArray) -> npt.NDArray[Any]:
        """Return a copy of ``array`` in NumPy, when all that was queued before it is done."""

    def copy(self, target: DeviceArray, source: DeviceArray) -> None:
        """Copy the elements of ``source`` into ``target``, of the same shape, however they lie."""

    def pointer(self, array: DeviceArray) -> int:
        """Return the address of the first element."""

    def kernel(self, source: KernelSource) -> Kernel:
        """Return ``source`` compiled; once compiled, the same again."""

    def launch(
        self, kernel: Kernel, grid: int, block: int, arguments: Sequence[np.generic]
    ) -> None:
        """Queue ``grid`` blocks of ``block`` threads; arguments are passed by value, as they are.

        Addresses are np.uint64.
        """

    def free_bytes(self) -> int:
        """Return how many bytes could be allocated."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch, ready to be queued, captured or repeated.

    ``held`` are arrays that its arguments point to.
    """

    kernel: Kernel
    grid: int
    block: int
    arguments: tuple[np.generic, ...]
    held: tuple[DeviceArray, ...] = ()

    def queue(self, device: Device) -> None:
        """Queue it on ``device``."""
        if self.grid:
            device.launch(self.kernel, self.grid, self.block, self.arguments)
