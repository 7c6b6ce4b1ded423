"""The arrays that a backend computes on, and the views it takes of other libraries' arrays.

A backend computes on arrays of one library: NumPy, or that of a device. An array that speaks DLPack
and lies in the same memory goes in as a view and comes out as its own type, without a copy.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np

from emul.arrays import Array
from emul.errors import DTypeError
from emul.memory import check_fits
from emul.ops.bfloat16 import BFLOAT16, AsUint16, FromUint16, is_bfloat16
from emul.ops.extents import Extent

__all__ = [
    "HOST",
    "Arrays",
    "HostArrays",
    "from_dlpack",
    "gpu_of",
    "in_kind_of",
    "is_immutable",
    "type_name",
]


CPU, CUDA, CUDA_HOST, CUDA_MANAGED = 1, 2, 3, 13
"""DLDeviceType of dlpack.h."""

HOST_MEMORY = (CPU, CUDA_HOST)
GPU_MEMORY = (CUDA, CUDA_MANAGED)

IMMUTABLE = ("jax", "jaxlib")
"""Libraries whose arrays nobody may write into; DLPack does not always say so."""


class Arrays(Protocol):
    """The arrays of a backend. NumPy's behave like those of a device that is the host."""

    def taken(self, array: object, what: str) -> Array:
        """Return ``array`` as one of the backend's, a view if it is not one already.

        Raises DTypeError, which names it as ``what``, where that cannot be without a copy.
        """

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return a new array. Raises CapacityError when there is no memory for it."""

    def copy(self, array: Array) -> Array:
        """Return a copy of ``array``. Raises CapacityError when there is no memory for it."""

    def assign(self, target: Array, source: Array) -> None:
        """Copy the elements of ``source`` into ``target``, of the same shape."""

    def overlap(self, a: Array, b: Array) -> bool:
        """Say whether ``a`` and ``b`` share memory, or too much was to be looked at to say no."""

    def writeable(self, array: Array) -> bool:
        """Say whether ``array`` may be written into."""

    def to_host(self, array: Array) -> Array:
        """Return ``array`` as NumPy's; it may be the same."""

    def from_host(self, array: Array) -> Array:
        """Return NumPy's ``array`` as one of the backend's; it may be the same."""

    def check_fits(self, needed_bytes: int, what: str) -> None:
        """Raise CapacityError when ``needed_bytes`` cannot be allocated for ``what``."""


class HostArrays:
    """NumPy's arrays."""

    def taken(self, array: object, what: str) -> Array:
        """Return ``array`` itself, or a view of another library's array in host memory."""
        if isinstance(array, np.ma.MaskedArray):
            raise DTypeError(
                f"{what} is a masked array: needed one without a mask, for what is masked would "
                "be reduced with the rest; use its filled(0), or another neutral value"
            )
        if isinstance(array, np.ndarray):
            return array if type(array) is np.ndarray else np.asarray(array)
        device = _device(array)
        if device is None:
            raise DTypeError(
                f"{what} of type {type_name(array)}: needed a NumPy array, or one that speaks "
                "DLPack"
            )
        if device[0] not in HOST_MEMORY:
            raise DTypeError(
                f"{what} of type {type_name(array)}, on a device ({device[0]}, {device[1]} in "
                "DLPack): needed an array in host memory; backend='cupy' and 'auto' compute on "
                "NVIDIA GPUs, for other backends copy it to the host first"
            )
        return from_dlpack(_as_numpy, array, what)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
        """Return a new array."""
        return np.empty(shape, dtype)

    def copy(self, array: Array) -> Array:
        """Return a copy of ``array``."""
        return array.copy()

    def assign(self, target: Array, source: Array) -> None:
        """Copy ``source`` into ``target``."""
        target[...] = source

    def overlap(self, a: Array, b: Array) -> bool:
        """Say whether any byte belongs to both."""
        if not np.may_share_memory(a, b):  # by the first byte and the last one of each
            return False
        one, another = (Extent.of(each, each.__array_interface__["data"][0]) for each in (a, b))
        return one.meets(another)

    def writeable(self, array: Array) -> bool:
        """Say whether NumPy lets ``array`` be written into."""
        return array.flags.writeable

    def to_host(self, array: Array) -> Array:
        """Return ``array``."""
        return array

    def from_host(self, array: Array) -> Array:
        """Return ``array``."""
        return array

    def check_fits(self, needed_bytes: int, what: str) -> None:
        """Ask the system; see emul.memory."""
        check_fits(needed_bytes, what)


HOST = HostArrays()


def gpu_of(array: object) -> int | None:
    """Return the number of the NVIDIA GPU that ``array`` lies on; None for anything else."""
    device = _device(array)
    return device[1] if device is not None and device[0] in GPU_MEMORY else None


def from_dlpack(take: Any, array: object, what: str) -> Array:
    """Return ``array`` as ``take``, the from_dlpack of a library, imports it.

    Raises DTypeError where the two do not agree, as on an element type.
    """
    try:
        taken: Array = take(array)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise DTypeError(
            f"{what} of type {type_name(array)} cannot be used through DLPack ({error}): needed "
            "an array that is exported as it lies there, of an element type that both sides know"
        ) from error
    return taken


def is_immutable(array: object) -> bool:
    """Say whether ``array`` is of a library whose arrays nobody may write into."""
    return type(array).__module__.partition(".")[0] in IMMUTABLE


def in_kind_of(like: object, array: Array) -> Any:
    """Return ``array`` as an array of the library that ``like`` is of, a view of it.

    That goes by the library's from_dlpack; where it has none, or refuses, ``array`` itself is
    returned.
    """
    take = getattr(_library(like), "from_dlpack", None)
    if take is None:
        return array
    try:
        return take(FromUint16(array) if array.dtype == BFLOAT16 else array)
    except (BufferError, RuntimeError, TypeError, ValueError):
        return array


def _as_numpy(array: Any) -> Array:
    """Return a view of another library's ``array`` in host memory."""
    if not is_bfloat16(array):
        return np.from_dlpack(array)
    return np.from_dlpack(AsUint16(array)).view(BFLOAT16)


def type_name(array: object) -> str:
    """Return the name of the type of ``array``, with its library where that is not Python."""
    kind = type(array)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library == "builtins" else f"{library}.{kind.__name__}"


def _device(array: object) -> tuple[int, int] | None:
    """Return type and number of the device of ``array`` by DLPack; None if it does not speak it."""
    if isinstance(array, type) or not hasattr(array, "__dlpack__"):
        return None
    ask = getattr(array, "__dlpack_device__", None)
    if ask is None:
        return None
    try:
        kind, number = ask()
    except Exception:  # of an array without memory, each library has its own
        return None
    return int(kind), int(number)


def _library(array: object) -> Any:
    """Return the namespace of the library that ``array`` is of: by the standard, or its module."""
    ask = getattr(array, "__array_namespace__", None)
    if ask is not None:
        return ask()
    return sys.modules.get(type(array).__module__.partition(".")[0])
