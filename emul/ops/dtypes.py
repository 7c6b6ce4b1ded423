"""The element types that emul reduces, by their own names and by those of nccl-tests."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from emul import naming
from emul.errors import DTypeError, unknown_name
from emul.naming import canonical

__all__ = ["DTYPES", "NCCL_NAMES", "dtype_named", "dtype_of", "float_form", "name_of"]

DTYPES: Mapping[str, np.dtype[np.generic]] = MappingProxyType(
    {
        "float64": np.dtype(np.float64),
        "float32": np.dtype(np.float32),
        "float16": np.dtype(np.float16),
        "bfloat16": np.dtype(ml_dtypes.bfloat16),
        "int8": np.dtype(np.int8),
        "int32": np.dtype(np.int32),
        "int64": np.dtype(np.int64),
        "uint8": np.dtype(np.uint8),
    }
)

NCCL_NAMES: Mapping[str, str] = MappingProxyType(
    {"float64": "double", "float32": "float", "float16": "half"}
)
"""The names of types in nccl-tests where they differ (src/common.cu)."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def dtype_named(name: str) -> np.dtype[np.generic]:
    """Return the element type called ``name``, for example ``float32``, ``float`` or ``bf16``.

    Raises ArgumentError when there is none.
    """
    known = canonical(name, DTYPES, naming.DTYPES) if isinstance(name, str) else None
    if known not in DTYPES:
        raise unknown_name("dtype", name, (*NCCL_NAMES.values(), *DTYPES))
    return DTYPES[known]


def dtype_of(array: npt.NDArray[np.generic]) -> np.dtype[np.generic]:
    """Return the element type of ``array``; raises DTypeError when emul cannot reduce it."""
    if array.dtype not in _NAMES:
        raise DTypeError(
            f"an array of {array.dtype!s}: needed one of {', '.join(DTYPES)} in the byte order "
            "of this machine"
        )
    return array.dtype


def name_of(dtype: np.dtype[Any]) -> str:
    """Return emul's name of one of DTYPES; NumPy works out its own anew each time."""
    return _NAMES[dtype]


def float_form(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the form of ``dtype``, one of the floats in DTYPES.

    The first number is the bits of the significand after the point, the second is the least
    exponent of a normal number.
    """
    finfo: Any = ml_dtypes.finfo
    form = finfo(dtype)
    return int(form.nmant), int(form.minexp)
