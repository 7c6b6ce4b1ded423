"""The arrays of a device as a backend's Arrays."""

from __future__ import annotations

from collections.abc import Callable
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
        """What CUDA and DLPack call it."""

    def from_dlpack(self, array: object) -> DeviceArray:
        """Return a view of an array of this device that is another library's."""


class DeviceArrays:
    """Arrays of one device."""

    def __init__(self, device: ArrayDevice, relieve: Callable[[], bool] = lambda: False) -> None:
        """Take ``device``; ``relieve`` frees what can be done without, and says if it did."""
        self.device = device
        self.relieve = relieve

    def taken(self, array: object, what: str) -> DeviceArray:
        """Return ``array`` itself, or a view of another library's array on this device."""
        if self.device.is_array(array):
            return array
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
        return from_dlpack(self.device.from_dlpack, array, what)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        """Return a new array; raises CapacityError without room."""
        return self.device.empty(shape, dtype)

    def copy(self, array: DeviceArray) -> DeviceArray:
        """Return a copy of ``array``; raises CapacityError without room."""
        copied = self.device.empty(array.shape, array.dtype)
        self.device.copy(copied, array)
        return copied

    def overlap(self, a: DeviceArray, b: DeviceArray) -> bool:
        """Say whether any byte belongs to both."""
        one, another = (Extent.of(each, self.device.pointer(each)) for each in (a, b))
        return one.meets(another)

    def writeable(self, array: DeviceArray) -> bool:
        """Say yes: a device keeps no array from being written into."""
        return True

    def to_host(self, array: DeviceArray) -> npt.NDArray[Any]:
        """Return a copy of ``array`` in NumPy."""
        return self.device.download(array)

    def from_host(self, array: npt.NDArray[Any]) -> DeviceArray:
        """Return a copy of NumPy's ``array``; raises CapacityError without room."""
        return self.device.upload(array)

    def check_fits(self, needed_bytes: int, what: str) -> None:
        """Raise CapacityError when ``needed_bytes`` are not free on the device for ``what``."""
        if needed_bytes < ALWAYS_THERE_BYTES:
            return
        free = self.device.free_bytes()
        if needed_bytes > free and self.relieve():
            free = self.device.free_bytes()
        if needed_bytes > free:
            raise CapacityError(
                f"{what}: {format_bytes(needed_bytes)} needed, {format_bytes(free)} free on "
                f"{self.device.name}: use a smaller size or fewer ranks, or free arrays of the GPU"
            )
