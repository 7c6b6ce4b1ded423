"""Sizes without data: a shape in the place of an array, and the size that a call is timed for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from emul.errors import ArgumentError, DTypeError, ShapeError, shown
from emul.ops.arrays import HOST, Arrays, type_name
from emul.ops.buffers import Buffers, output_shape, shape_of_call
from emul.ops.dtypes import DTYPES, dtype_named, name_of
from emul.plans import Collective, Counts, Program, Shape
from emul.reading.checks import whole

__all__ = [
    "NO_ARITHMETIC",
    "GivenShape",
    "NoArithmetic",
    "NoData",
    "ShapeOnly",
    "given_shape",
    "timed_shape",
]

HOLDS_DATA = (
    "__array__",
    "__array_interface__",
    "__array_struct__",
    "__cuda_array_interface__",
    "__dlpack__",
    "__getitem__",
    "__add__",
)
"""An object with a shape and one of these has elements. jax.ShapeDtypeStruct has none of them; the
last two are those of arrays without any interface, as the sparse ones of SciPy."""


@dataclass(frozen=True, slots=True)
class NoData:
    """A shape in the place of an array: ``count`` elements of ``dtype`` in the row of each rank.

    Every collective takes one, and a ``jax.ShapeDtypeStruct`` or a torch tensor on the ``meta``
    device, whose shapes are those of the array that they stand for: (n, count). In ``scatter``
    only the root has an input, so there ``count`` is the whole vector of the root, (count,).
    ``dtype``: the name of an element type.

    Nothing is allocated or computed, however large the count is. Times, clocks, moments and history
    are those of the same call with data; on the wall clock, the call returns when its moment has
    come. ``output`` and ``error`` of the run are None; run.prediction.shape has the shape of the
    output. A call without data takes no ``out``. Raises ArgumentError for a count below 0 and for
    an unknown element type.

    >>> import emul
    >>> world = emul.World("three-campus")
    >>> run = world.all_reduce(emul.NoData(10**9, "bfloat16"))  # 24 rows of 2 GB each
    >>> run.output is None, run.prediction.nbytes
    (True, 2000000000)
    >>> world.now_s == run.time_s
    True
    """

    count: int
    dtype: str

    def __post_init__(self) -> None:
        """Check both, and call the element type by its own name."""
        object.__setattr__(self, "count", whole(self.count, "count", least=0))
        object.__setattr__(self, "dtype", name_of(dtype_named(self.dtype)))


class GivenShape(NamedTuple):
    """The shape and the element type of an input without data.

    ``shape`` is None for a NoData, whose rows have ``row_count`` elements each.
    """

    shape: tuple[int, ...] | None
    row_count: int
    dtype: np.dtype[Any]

    def of(self, collective: Collective, world_size: int) -> tuple[int, ...]:
        """Return the shape of the input of ``collective``."""
        if self.shape is not None:
            return self.shape
        alone = collective.at_root_only == "input"
        return (self.row_count,) if alone else (world_size, self.row_count)


def given_shape(x: object) -> GivenShape | None:
    """Return the shape of an input without data; None for anything else, as for every array.

    Raises ShapeError or DTypeError for one that no array could have.
    """
    if isinstance(x, NoData):
        return GivenShape(None, x.count, dtype_named(x.dtype))
    if isinstance(x, type | np.ndarray) or not (hasattr(x, "shape") and hasattr(x, "dtype")):
        return None
    on_meta = getattr(getattr(x, "device", None), "type", None) == "meta"
    if not on_meta and any(hasattr(x, name) for name in HOLDS_DATA):
        return None
    return GivenShape(_whole_shape(x), 0, _element_type(x))


def _whole_shape(x: Any) -> tuple[int, ...]:
    try:
        return tuple(int(each) for each in x.shape)
    except (TypeError, ValueError):
        raise ShapeError(
            f"input of type {type_name(x)} and shape {shown(x.shape)}: needed a whole number for "
            "each dimension"
        ) from None


def _element_type(x: Any) -> np.dtype[Any]:
    """Return the element type of an input without data, by the name that its library gives it."""
    name = str(x.dtype).removeprefix("torch.")
    if name not in DTYPES:
        raise DTypeError(f"an input of {x.dtype!s}: needed one of {', '.join(DTYPES)}")
    return DTYPES[name]


class ShapeOnly(Buffers):
    """The buffers of a call without data: their shapes, as Buffers has them, and no array.

    Checked on construction: raises DTypeError, ShapeError or ArgumentError.
    """

    def __init__(
        self,
        collective: Collective,
        world_size: int,
        given: GivenShape,
        out: object,
        counts: Counts | None,
    ) -> None:
        """Take the shape of the input, and ``out``, which has to be None."""
        shape = given.of(collective, world_size)
        self.collective = collective
        self.arrays = HOST
        self.dtype = given.dtype
        self.shape = shape_of_call(collective, world_size, shape, counts)
        self.outside = output_shape(collective, world_size, shape, self.shape)
        self.in_place = self.kept = False
        if out is not None:
            raise ArgumentError(
                f"{collective.name}: out of type {type_name(out)} for an input without data: "
                "needed no out, for nothing is written"
            )

    def returned(self, output: object) -> None:
        """Return None: there is no output."""


class NoArithmetic:
    """The Ops of calls without data: it does nothing, in no time."""

    name = "none"
    takes_wire = True
    arrays: Arrays = HOST

    def new_bytes(self, program: Program, buffers: Buffers, reduction: str, root: int) -> int:
        """Return 0: nothing will be allocated."""
        return 0

    def perform(self, program: Program, buffers: Buffers, reduction: str, root: int) -> Any:
        """Return None, the output."""
        return None


NO_ARITHMETIC = NoArithmetic()


def timed_shape(buffers: Buffers | ShapeOnly, nbytes: float) -> Shape:
    """Return the shape of the same call with ``nbytes`` in the input of one rank.

    In ``scatter``, in the vector of the root. Raises ArgumentError for a number of bytes that is
    not whole, an input without data, or counts; ShapeError where the bytes are not those of whole
    elements, or of elements that the collective can cut.
    """
    promise, itemsize = buffers.collective, buffers.dtype.itemsize
    if isinstance(buffers, ShapeOnly):
        raise ArgumentError(
            f"{promise.name}: nbytes for an input without data: needed no nbytes, for a shape says "
            "its size itself"
        )
    if buffers.shape.counts is not None:
        raise ArgumentError(
            f"{promise.name}: nbytes with counts: needed no nbytes, for counts say the size of "
            "each block; without counts, blocks are equal"
        )
    size = int(nbytes) if isinstance(nbytes, float) and nbytes.is_integer() else nbytes
    count, rest = divmod(whole(size, "nbytes", least=0), itemsize)
    if rest:
        raise ShapeError(
            f"{promise.name}: {shown(size)} bytes per rank: needed a multiple of {itemsize}, the "
            f"bytes of an element of {name_of(buffers.dtype)}"
        )
    return Shape.of(promise, buffers.shape.world_size, count)
