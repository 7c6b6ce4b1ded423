"""The arithmetic. It knows no time and no links; the order of reduction is the plan's."""

from emul.ops.arrays import Arrays
from emul.ops.backend import (
    AUTO_BACKEND,
    BACKENDS,
    Ops,
    TimedOps,
    best_backend,
    ops_for,
    ops_taking,
)
from emul.ops.cpu.cpu_ops import CpuOps
from emul.ops.dtypes import DTYPES, NCCL_NAMES, dtype_named, dtype_of
from emul.ops.numpy_ops import REDUCTIONS, NumpyOps
from emul.ops.rounding import RoundingError, bound_of_any_order, relative_rms, rounding_error

__all__ = [
    "AUTO_BACKEND",
    "BACKENDS",
    "DTYPES",
    "NCCL_NAMES",
    "REDUCTIONS",
    "Arrays",
    "CpuOps",
    "NumpyOps",
    "Ops",
    "RoundingError",
    "TimedOps",
    "best_backend",
    "bound_of_any_order",
    "dtype_named",
    "dtype_of",
    "ops_for",
    "ops_taking",
    "relative_rms",
    "rounding_error",
]
