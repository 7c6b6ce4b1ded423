"""The types of arrays, by the type of their elements."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "BoolArray",
    "Float64Array",
    "Int32Array",
    "Int64Array",
    "UInt8Array",
    "UInt64Array",
]

Array = npt.NDArray[Any]
BoolArray = npt.NDArray[np.bool_]
Float64Array = npt.NDArray[np.float64]
Int32Array = npt.NDArray[np.int32]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt64Array = npt.NDArray[np.uint64]
