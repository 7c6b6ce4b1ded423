"""In which form a call is carried out on a device, decided before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from emul.ops.buffers import Buffers
from emul.ops.cuda.device import DeviceArray
from emul.ops.cuda.kernel_sources import MOST_SPILLED
from emul.ops.cuda.step_tables import RowStrides
from emul.ops.cuda.tape import spill_slots
from emul.ops.dtypes import name_of
from emul.ops.fusing.recipe import Recipe
from emul.plans import Program

__all__ = ["LaunchForm", "packed_stride", "scattered", "stride_of"]


@dataclass(frozen=True, slots=True, eq=False)
class LaunchForm:
    """How one call is carried out: by its ``recipe``, or step by step where there is None.

    ``whole``: the output has all places of the plan. ``in_input``: the output goes to the
    buffer that is read. ``keeps``: the input is copied before. ``operator``: of the reduction,
    ``sum`` where there is none.
    """

    recipe: Recipe | None
    dtype: str
    operator: str
    ranks: int
    whole: bool
    in_input: bool
    keeps: bool

    @classmethod
    def of(
        cls, program: Program, buffers: Buffers, reduction: str, recipe: Recipe | None
    ) -> LaunchForm:
        """Return the form of a call that is to be carried out by ``recipe``, if that can be."""
        collective, whole = buffers.collective, not buffers.works_apart(program.layout)
        if recipe is not None and spill_slots(recipe, in_place=False) > MOST_SPILLED:
            recipe = None
        if recipe is None:
            fits = whole
        else:
            fits = recipe.in_columns and spill_slots(recipe, in_place=True) <= MOST_SPILLED
        return cls(
            recipe,
            name_of(buffers.x.dtype),
            reduction if collective.reduces else "sum",
            buffers.shape.world_size,
            whole,
            in_input=buffers.in_place and fits,
            keeps=buffers.in_place and (buffers.revocable or not fits),
        )

    @property
    def divides(self) -> bool:
        """Whether the last of it is a division, for ``avg``."""
        return self.operator == "avg"

    def places(self, input_stride: int, output_stride: int) -> RowStrides:
        """Return where the rows of a call step by step lie."""
        return RowStrides(input_stride, output_stride, self.whole, self.in_input)


def scattered(array: DeviceArray) -> bool:
    """Say whether the elements of a row of ``array`` are apart."""
    return bool(array.size and array.shape[-1] > 1 and array.strides[-1] != array.dtype.itemsize)


def stride_of(array: DeviceArray) -> int:
    """Return how many bytes apart the rows of ``array`` are; 0 where it is one row."""
    return int(array.strides[0]) if array.ndim > 1 else 0


def packed_stride(shape: tuple[int, ...], itemsize: int) -> int:
    """Return the same of a new array."""
    return prod(shape[1:]) * itemsize if len(shape) > 1 else 0
