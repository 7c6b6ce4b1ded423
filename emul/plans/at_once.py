"""A program that several groups of ranks carry out at once, as one program of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.plans.program import Multiplicity, Program
from emul.plans.runs import expand
from emul.plans.shape import BufferLayout, Shape

__all__ = ["at_once"]


def at_once(program: Program, groups: Sequence[Int32Array], alike: Sequence[int]) -> Program:
    """Return ``program`` for each of ``groups`` at once, group by group within a step.

    Rank i of ``program`` is rank ``groups[g][i]`` there; all ranks are in one group, and all groups
    are of one size. ``alike[g]``: how many groups the group stands for, beside its multiplicity.
    """
    ranks = np.stack(groups)
    group, transfer = _in_order_of_steps(program, len(ranks))
    counts = np.diff(program.first_row)[transfer]
    of, within = expand(counts)
    row, of_row = program.first_row[transfer][of] + within, group[of]
    steps = np.diff(program.first_of_step) * len(ranks)
    several = program.multiplicity
    if several is not None:
        taken = several.of(transfer)
        connections = taken.connections * np.array(alike, dtype=np.int64)[group]
        several = Multiplicity(connections, taken.rounds, taken.not_before_ps)
    return replace(
        program,
        layout=_layout(program.layout, ranks),
        row_src=ranks[of_row, program.row_src[row]],
        row_dst=ranks[of_row, program.row_dst[row]],
        **{name: getattr(program, name)[row] for name in BY_ROW},
        first_row=np.concatenate([[0], np.cumsum(counts)]),
        first_of_step=np.concatenate([[0], np.cumsum(steps)]),
        src=ranks[group, program.src[transfer]],
        dst=ranks[group, program.dst[transfer]],
        channel=program.channel[transfer],
        nbytes=program.nbytes[transfer],
        multiplicity=several,
    )


BY_ROW = ("src_place", "dst_place", "nplaces", "reduce", "src_low", "dst_low", "length")
"""Columns of rows that are the same in every group."""


def _in_order_of_steps(program: Program, groups: int) -> tuple[Int64Array, Int64Array]:
    """Return the group of each transfer of all, and its number in ``program``."""
    step = np.repeat(np.arange(len(program.first_of_step) - 1), np.diff(program.first_of_step))
    order = np.argsort(np.tile(step, groups), kind="stable")
    group, transfer = np.divmod(order, max(1, len(program)))
    return group, transfer


def _layout(one: BufferLayout, ranks: Int32Array) -> BufferLayout:
    """Return the layout of the buffers of all ranks, where ``one`` is that of a group."""
    shape = Shape(one.shape.collective, ranks.size, one.shape.width)
    if len(one.edges) == 1:
        return replace(one, shape=shape)
    edges = np.empty((ranks.size, one.edges.shape[1]), dtype=np.int64)
    edges[ranks] = one.edges
    return replace(one, edges=edges, shape=shape)
