"""Which calls may have a wire format, and by which backends."""

from __future__ import annotations

from typing import Any

import numpy as np

from emul.errors import ArgumentError, BackendError, DTypeError
from emul.ops.dtypes import DTYPES, name_of
from emul.plans import WireFormat, wire_named

__all__ = ["check_takes_wire", "wire_of_call"]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")
OPS = ("sum", "avg")
ELEMENTS = ("float32", "bfloat16", "float16")


def wire_of_call(
    wire: str | None, collective: str, dtype: np.dtype[Any], op: str = "sum"
) -> WireFormat | None:
    """Return the wire format that a call asks for by name; None for elements as they are.

    Raises ArgumentError for an unknown name, and a collective or an operator without such formats;
    DTypeError for elements that have none.
    """
    if wire is None:
        return None
    carried = wire_named(wire)
    if collective not in COLLECTIVES:
        raise ArgumentError(
            f"wire {carried} of {collective}: needed one of {', '.join(COLLECTIVES)}, or no wire"
        )
    if op not in OPS:
        raise ArgumentError(
            f"wire {carried} with op {op}: needed {' or '.join(OPS)}, which are worked out in "
            "float32, or no wire"
        )
    if dtype not in [DTYPES[name] for name in ELEMENTS]:
        raise DTypeError(
            f"wire {carried} of elements of {name_of(dtype)}: needed one of {', '.join(ELEMENTS)}, "
            "or no wire"
        )
    return carried


def check_takes_wire(ops: Any, wire: WireFormat) -> None:
    """Raise BackendError where a backend sends elements only as they are."""
    if not getattr(ops, "takes_wire", False):
        raise BackendError(
            f"wire {wire} on the backend {ops.name}: needed backend='cpu' or 'numpy', and an array "
            "of the host"
        )
