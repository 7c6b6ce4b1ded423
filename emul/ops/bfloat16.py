"""bfloat16 between libraries, without a copy.

NumPy knows bfloat16 by ml_dtypes, and its DLPack does not. But the 16 bits of an element are those
of a uint16, which every DLPack knows: so on the way, the element type that stands in the capsule is
changed, to uint16 for NumPy, and back for others. A capsule is made for each exchange; that it says
something else changes nothing of the array.
"""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

from emul.arrays import Array

__all__ = ["BFLOAT16", "AsUint16", "FromUint16", "is_bfloat16"]


BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

UINT_CODE, BFLOAT_CODE = 1, 4
"""DLDataTypeCode of dlpack.h."""

CODE_AT = 20
"""Bytes into a DLTensor: behind data (8), device (4 + 4) and ndim (4)."""

TENSOR_AT = {b"dltensor": 0, b"dltensor_versioned": 32}
"""Bytes into the structure of a capsule of that name: behind version (4 + 4), manager_ctx, deleter
and flags (8 each) of a DLManagedTensorVersioned."""


def is_bfloat16(array: object) -> bool:
    """Say whether the elements of an array of any library are bfloat16, by the name of the type."""
    return str(getattr(array, "dtype", "")).rpartition(".")[2] == "bfloat16"


class AsUint16:
    """Another library's array of bfloat16 as one of uint16, to those who ask by DLPack."""

    code_before, code_after = BFLOAT_CODE, UINT_CODE

    def __init__(self, array: Any) -> None:
        """Take an array that speaks DLPack."""
        self.array = array

    def __dlpack__(self, **asked: Any) -> Any:
        """Return a capsule of the array that names the other type."""
        capsule = self.array.__dlpack__(**asked)
        _rename(capsule, self.code_before, self.code_after)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        """Return where the array lies."""
        device: tuple[int, int] = self.array.__dlpack_device__()
        return device


class FromUint16(AsUint16):
    """NumPy's array of bfloat16 as such, to those who ask by DLPack."""

    code_before, code_after = UINT_CODE, BFLOAT_CODE

    def __init__(self, array: Array) -> None:
        """Take NumPy's array of bfloat16."""
        super().__init__(array.view(np.uint16))


def _rename(capsule: Any, before: int, after: int) -> None:
    """Change the element type of 16 bits that ``capsule`` names; raises BufferError for others."""
    api = ctypes.pythonapi
    name_of, pointer_of = api.PyCapsule_GetName, api.PyCapsule_GetPointer
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    name = name_of(capsule)
    if name not in TENSOR_AT:
        raise BufferError(f"a capsule called {name!r}: needed one of {sorted(TENSOR_AT)}")
    address = pointer_of(capsule, name) + TENSOR_AT[name] + CODE_AT
    kind = (ctypes.c_uint8 * 2).from_address(address)
    if tuple(kind) != (before, 16):
        raise BufferError(f"element type {tuple(kind)} of DLPack: needed {(before, 16)}")
    kind[0] = after
