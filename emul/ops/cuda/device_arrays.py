"""The arrays of a device as a backend's Arrays."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from emul.errors import CapacityError, DTypeError
from emul.memory import ALWAYS_THERE_BYTES
from emul.ops.arrays import from_dlpack, gpu_of, type_name
from emul.ops.cuda.device import Device, DeviceArray
from emul.ops.extents import Extent
from emul.units import format_bytes

__all__ = ["ArrayDevice", "DeviceArrays"]


class ArrayDevice(Device, Protocol):
    """A Device that knows the arrays of others, and where its own lie."""

    @property
    def number(self) -> int:
        """Its number in CUDA and DLPack."""

    def current(self) -> AbstractContextManager[None]:
        """Make it the device that work is queued on, and memory is asked of."""

    def from_dlpack(self, array: object) -> DeviceArray:
        """Return a view of an array of this device that is another library's."""


class DeviceArrays:
    """Arrays of one device."""

    def __init__(self, device: ArrayDevice, relieve: Callable[[], bool] = lambda: False) -> None:
        """Take ``device``; ``relieve`` frees memory that is not needed, and says if it did."""
        self.device = device
        self.relieve = relieve

    def taken(self, array: object, what: str) -> DeviceArray:
        """Return ``array`` itself, or a view of another library's array on this device.

        Raises DTypeError also for elements that do not lie at multiples of their size.
        """
        if self.device.is_array(array):
            return self._loadable(array, what)
        number = gpu_of(array)
        if number is None:
            raise DTypeError(
                f"{what} of type {type_name(array)}: needed an array on GPU {self.device.number} "
                f"({self.device.name}), of CuPy or of a library that speaks DLPack; for arrays of "
                "the host, use backend='cpu' or copy them there first (cupy.asarray)"
            )
        if number != self.device.number:
            raise DTypeError(
                f"{what} of type {type_name(array)} on GPU {number}: needed one on GPU "
                f"{self.device.number}, on which this backend computes"
            )
        return self._loadable(from_dlpack(self.device.from_dlpack, array, what), what)

    def _loadable(self, array: DeviceArray, what: str) -> DeviceArray:
        """Return ``array``, which a GPU can load; else even a copy of it would be a fault."""
        itemsize = int(array.dtype.itemsize)
        address = self.device.pointer(array)
        steps = [s for n, s in zip(array.shape, array.strides, strict=True) if n > 1]
        if array.size and (address % itemsize or any(step % itemsize for step in steps)):
            raise DTypeError(
                f"{what} of {array.dtype} begins {address % itemsize} bytes behind a multiple of "
                f"{itemsize}, with strides {tuple(array.strides)}: needed all of them multiples of "
                f"{itemsize}, or a GPU can neither load nor copy its elements; put them elsewhere "
                "in the buffer, or copy its bytes into a new array first"
            )
        return array

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return a new array; raises CapacityError without room."""
        with self.device.current():
            return self.device.empty(shape, dtype)

    def copy(self, array: DeviceArray) -> DeviceArray:
        """Return a copy of ``array``; raises CapacityError without room."""
        copied = self.empty(array.shape, array.dtype)
        self.assign(copied, array)
        return copied

    def assign(self, target: DeviceArray, source: DeviceArray) -> None:
        """Queue copying ``source`` into ``target``."""
        with self.device.current():
            self.device.copy(target, source)

    def overlap(self, a: DeviceArray, b: DeviceArray) -> bool:
        """Say whether any byte belongs to both."""
        one, another = (Extent.of(each, self.device.pointer(each)) for each in (a, b))
        return one.meets(another)

    def writeable(self, array: DeviceArray) -> bool:
        """Say yes: a device keeps no array from being written into."""
        return True

    def to_host(self, array: DeviceArray) -> npt.NDArray[Any]:
        """Return a copy of ``array`` in NumPy."""
        with self.device.current():
            return self.device.download(array)

    def from_host(self, array: npt.NDArray[Any]) -> DeviceArray:
        """Return a copy of NumPy's ``array``; raises CapacityError without room."""
        with self.device.current():
            return self.device.upload(array)

    def check_fits(self, needed_bytes: int, what: str) -> None:
        """Raise CapacityError when ``needed_bytes`` are not free on the device for ``what``."""
        if needed_bytes < ALWAYS_THERE_BYTES:
            return
        free = self._free_bytes()
        if needed_bytes > free and self.relieve():
            free = self._free_bytes()
        if needed_bytes > free:
            raise CapacityError(
                f"{what}: {format_bytes(needed_bytes)} needed, {format_bytes(free)} free on "
                f"{self.device.name}: use a smaller size or fewer ranks, or free arrays of the GPU"
            )

    def _free_bytes(self) -> int:
        with self.device.current():
            return self.device.free_bytes()
