"""The capsules of DLPack, as dlpack.h has them, for what stands in for CuPy."""

import ctypes
import math
import sys

import numpy as np

DL_CUDA, DL_MANAGED = 2, 13
"""DLDeviceType."""

DL_BFLOAT = 4
"""DLDataTypeCode."""


class DLTensor(ctypes.Structure):
    """As in dlpack.h."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", ctypes.c_int32),
        ("number", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


class Versioned(ctypes.Structure):
    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", DLTensor),
    )


def tensor_in(capsule):
    """The DLTensor in a capsule that nobody has used. Raises what CuPy raises."""
    valid, pointer = ctypes.pythonapi.PyCapsule_IsValid, ctypes.pythonapi.PyCapsule_GetPointer
    valid.argtypes, valid.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_int
    pointer.argtypes, pointer.restype = (ctypes.py_object, ctypes.c_char_p), ctypes.c_void_p
    if valid(capsule, b"dltensor_versioned"):
        held = Versioned.from_address(pointer(capsule, b"dltensor_versioned"))
        if held.major > 1:
            raise BufferError(f"DLPack version {held.major}.{held.minor} is not understood")
        return held.tensor
    if valid(capsule, b"dltensor"):
        return DLTensor.from_address(pointer(capsule, b"dltensor"))
    raise ValueError("a dltensor capsule can be consumed only once, and must be one")


class FromCapsule:
    """Memory of another library, held by its capsule."""

    def __init__(self, capsule):
        self.capsule = capsule

    def array(self):
        tensor = tensor_in(self.capsule)
        bytes_each, dtype = tensor.bits // 8, _dtype_of(tensor)
        shape = tuple(tensor.shape[: tensor.ndim])
        apart = tensor.strides[: tensor.ndim] if tensor.strides else _packed(shape)
        self.__array_interface__ = {
            "version": 3,
            "typestr": f"|V{bytes_each}" if dtype.kind == "V" else dtype.str,
            "data": ((tensor.data or 0) + tensor.byte_offset, False),
            "shape": shape,
            "strides": tuple(each * bytes_each for each in apart),
        }
        return np.asarray(self).view(dtype)


def _packed(shape):
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def _dtype_of(tensor):
    if tensor.code == DL_BFLOAT:
        return bfloat16_of(NotImplementedError("CuPy does not support bfloat16 yet"))
    return np.dtype(f"{'iuf'[tensor.code]}{tensor.bits // 8}")


def bfloat16_of(error):
    """The dtype of ml_dtypes, which CuPy 14 takes where it is; raises ``error`` otherwise."""
    if sys.modules.get("ml_dtypes") is None:
        raise error
    return np.dtype(sys.modules["ml_dtypes"].bfloat16)
