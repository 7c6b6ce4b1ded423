"""The arithmetic. It knows no time and no links; the order of reduction is the plan's."""

from emul.ops.backend import BACKENDS, Ops, ops_for
from emul.ops.cpu_ops import CpuOps
from emul.ops.dtypes import DTYPES, NCCL_NAMES, dtype_named, dtype_of
from emul.ops.numpy_ops import REDUCTIONS, NumpyOps
from emul.ops.rounding import RoundingError, rounding_error

__all__ = [
    "BACKENDS",
    "DTYPES",
    "NCCL_NAMES",
    "REDUCTIONS",
    "CpuOps",
    "NumpyOps",
    "Ops",
    "RoundingError",
    "dtype_named",
    "dtype_of",
    "ops_for",
    "rounding_error",
]
