"""A plan at given counts: the rows with their elements, and the transfers with their bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.errors import PlanError
from emul.plans.encoding import Encoded, Encoding
from emul.plans.plan import Order, Plan, Step, Waits, steps_that_fit
from emul.plans.runs import expand
from emul.plans.shape import BufferLayout, Shape
from emul.reading.brief import brief

__all__ = ["Multiplicity", "Program"]


BYTES_PER_ROW = 200
"""Of steps, program, dependencies and timeline together (measured: rings, direct, 10^6 rows)."""


@dataclass(frozen=True, slots=True, eq=False)
class Multiplicity:
    """The transfers that each one stands for, where a program has only some: (transfers,).

    For so many ``connections`` that are alike, and for so many ``rounds``, one after the other.
    Where rounds are left out, the first transfers after them start ``not_before_ps`` (picoseconds).
    """

    connections: Int64Array
    rounds: Int64Array
    not_before_ps: Int64Array

    __repr__ = brief

    @classmethod
    def alike(cls, transfers: int, connections: int) -> Multiplicity:
        """Return that of ``transfers`` each of which stands for so many connections."""
        ones: Int64Array = np.ones(transfers, dtype=np.int64)
        return cls(connections * ones, ones, 0 * ones)

    def of(self, transfers: Int64Array) -> Multiplicity:
        """Return the multiplicity of the slices of ``transfers``, which leave no rounds out."""
        assert not self.not_before_ps.any(), "rounds are left out of whole messages only"
        columns = (self.connections, self.rounds, self.not_before_ps)
        return Multiplicity(*(each[transfers] for each in columns))

    @property
    def transfers(self) -> Int64Array:
        """How many transfers each stands for."""
        return self.connections * self.rounds


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """The rows of all steps in order, without those that carry no element.

    The work buffers are cut into places as ``layout`` says. Row i combines elements
    [src_low, src_low + length) of rank ``row_src`` into the elements of rank ``row_dst`` from
    ``dst_low`` on. ``first_of_step`` (steps + 1,) is the transfer with which each step begins;
    ``order`` is that of the plan, as are ``under_way`` and ``drains`` (which count steps that have
    rows), and ``waits`` its waits, between transfers. Transfer t is the
    rows from ``first_row[t]`` up to ``first_row[t + 1]``; it carries ``nbytes[t]``, as ``encoding``
    has them, from ``src[t]``
    to ``dst[t]`` over ``channel[t]``. ``multiplicity``: see there; None for itself.
    """

    layout: BufferLayout
    encoding: Encoding
    row_src: Int32Array
    row_dst: Int32Array
    src_place: Int32Array
    dst_place: Int32Array
    nplaces: Int32Array
    reduce: BoolArray
    src_low: Int64Array
    dst_low: Int64Array
    length: Int64Array
    first_row: Int64Array
    first_of_step: Int64Array
    order: Order
    waits: Waits | None
    under_way: int
    drains: Int64Array
    src: Int32Array
    dst: Int32Array
    channel: Int32Array
    nbytes: Int64Array
    multiplicity: Multiplicity | None = None

    __repr__ = brief

    @classmethod
    def of(
        cls, plan: Plan, shape: Shape, encoding: Encoded, steps: list[Step] | None = None
    ) -> Program:
        """Return ``plan`` for a call of ``shape`` whose elements go on the wire by ``encoding``.

        ``steps``: those of the plan, where they are there already.
        Raises PlanError when a row joins places that are not of the same length then, and
        CapacityError when there are more rows than memory is there to time them.
        """
        layout, encoding = BufferLayout.of(plan, shape), Encoding.of(encoding)
        steps = steps_that_fit(plan, BYTES_PER_ROW, "timing", steps)
        steps = steps or [Step.of([], [], [], reduce=False)]
        rows = _joined(steps)
        _check_lengths(plan, layout, rows)
        ends = layout.at(rows.src, rows.src_chunk + rows.nchunks)
        length = ends - layout.at(rows.src, rows.src_chunk)
        keep = length > 0
        rows, length = Step(*(getattr(rows, c)[keep] for c in Step.__slots__)), length[keep]
        number = np.repeat(np.arange(len(steps)), [len(step) for step in steps])[keep]
        first = _first_rows(rows, number)
        carried = layout.nbytes(rows.src, rows.src_chunk, rows.nchunks, encoding)
        there, first_of_step = np.unique(number[first], return_index=True)
        return cls(
            layout=layout,
            encoding=encoding,
            row_src=rows.src,
            row_dst=rows.dst,
            src_place=rows.src_chunk,
            dst_place=rows.dst_chunk,
            nplaces=rows.nchunks,
            reduce=rows.reduce,
            src_low=layout.at(rows.src, rows.src_chunk),
            dst_low=layout.at(rows.dst, rows.dst_chunk),
            length=length,
            first_row=np.append(first, len(rows)),
            first_of_step=np.append(first_of_step, len(first)),
            order=plan.order,
            waits=None if plan.waits is None else _between_transfers(plan.waits, keep, first),
            under_way=plan.under_way,
            drains=np.searchsorted(there, plan.drains),
            src=rows.src[first],
            dst=rows.dst[first],
            channel=rows.channel[first],
            nbytes=np.add.reduceat(carried, first) if len(first) else carried,
        )

    def __len__(self) -> int:
        """Return the number of transfers."""
        return len(self.nbytes)

    @property
    def itemsize(self) -> int:
        """Return the bytes of an element in memory."""
        return self.encoding.itemsize

    @property
    def n_places(self) -> int:
        """Return the number of places of a rank."""
        return int(self.layout.edges.shape[1]) - 1

    @property
    def row_step(self) -> Int64Array:
        """Return the number of each row's step, counting only steps with rows: (rows,)."""
        rows = np.diff(self.first_row[self.first_of_step])
        return np.repeat(np.arange(len(rows)), rows)

    @property
    def aligned(self) -> bool:
        """Whether every element keeps its place, so that columns are independent."""
        return bool(np.array_equal(self.src_low, self.dst_low))


def _joined(steps: list[Step]) -> Step:
    """Return the rows of all steps, in the types that the scheduler takes."""

    def column(name: str) -> Int32Array:
        joined = np.concatenate([getattr(step, name) for step in steps])
        narrow: Int32Array = joined.astype(np.int32, copy=False)
        return narrow

    reduce: BoolArray = np.concatenate([step.reduce for step in steps])
    return Step(
        column("src"),
        column("dst"),
        column("src_chunk"),
        column("dst_chunk"),
        column("nchunks"),
        reduce,
        column("channel"),
    )


def _first_rows(rows: Step, number: Int64Array) -> Int64Array:
    """Return the rows at which a transfer begins."""
    starts = np.ones(len(rows), dtype=bool)
    starts[1:] = np.diff(number) != 0
    for column in (rows.src, rows.dst, rows.channel):
        starts[1:] |= np.diff(column) != 0
    return np.flatnonzero(starts)


def _between_transfers(waits: Waits, keep: BoolArray, first: Int64Array) -> Waits:
    """Return the waits of rows as waits of the transfers that the rows are part of."""
    row = np.cumsum(keep) - 1
    transfer = np.searchsorted(first, row, side="right") - 1
    earlier, later = transfer[waits.earlier], transfer[waits.later]
    there = keep[waits.earlier] & keep[waits.later] & (earlier != later)
    return Waits(earlier[there], later[there], waits.upon_issue[there], waits.starts[there])


def _check_lengths(plan: Plan, layout: BufferLayout, rows: Step) -> None:
    """Refuse rows that join a place with a longer or a shorter one."""
    lengths = np.diff(layout.edges)
    alike = len(lengths) == 1
    moved = np.flatnonzero(
        (rows.src_chunk != rows.dst_chunk) | ((rows.src != rows.dst) & (not alike))
    )
    of, within = expand(rows.nchunks[moved])
    row = moved[of]
    source, target = rows.src_chunk[row] + within, rows.dst_chunk[row] + within
    sent = lengths[0 if alike else rows.src[row], source]
    wanted = lengths[0 if alike else rows.dst[row], target]
    unlike = np.flatnonzero(sent != wanted)
    if len(unlike):
        i = unlike[0]
        raise PlanError(
            f"{plan}: {plan.place_name(int(source[i]))} of {sent[i]} elements is sent to "
            f"{plan.place_name(int(target[i]))} of {wanted[i]}: needed a count for which both are "
            "of the same length"
        )
