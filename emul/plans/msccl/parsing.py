"""Reads MSCCL XML: a file becomes a plan that is proven, with the order its threadblocks keep.

The meaning is that of MSCCL's interpreter (msccl_interpreter.h): ``r`` and ``rcs`` write the
message at dst; ``rrc`` and ``rrcs`` write there the message, reduced with src; ``rrs`` sends that
on without keeping it; ``s`` sends src; ``cpy`` writes src at dst; ``re`` reduces src into dst. A
protocol (proto) and the bytes that a file is meant for (minBytes, maxBytes) change nothing here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from emul.arrays import Int32Array
from emul.errors import PlanError
from emul.plans.collectives import collective_named
from emul.plans.msccl.buffer_places import BufferPlaces
from emul.plans.msccl.document import Algo, read_document
from emul.plans.msccl.machine import Interpreter, MovedRun
from emul.plans.msccl.order import ProgramOrder
from emul.plans.msccl.own import joined_places, numbered_rows
from emul.plans.msccl.step_cuts import Levels
from emul.plans.plan import Order, Partition, Plan, RecordedSteps, Step, Waits
from emul.plans.proof.verify import verify

__all__ = ["proven_plan"]


def proven_plan(path: str | Path) -> Plan:
    """Return the plan of a file: see emul.plans.read_plan."""
    algo = read_document(path)
    order = ProgramOrder(algo, str(path))
    forms = [apart for apart, there in ((False, algo.in_place), (True, algo.out_of_place)) if there]
    plans = [_proven(algo, order, BufferPlaces(str(path), algo, apart)) for apart in forms]
    return plans[0]


def _proven(algo: Algo, order: ProgramOrder, buffers: BufferPlaces) -> Plan:
    buffers.check()
    machine = Interpreter(order, buffers)
    plan, rows = (_foreign if algo.order is None else _own)(algo, machine, buffers)
    try:
        verify(plan)
    except PlanError as error:
        line = _line(error, plan, rows, machine)
        at = f"{buffers.path}, line {line}" if line else buffers.path
        also = f" ({algo.passed_over})" if str(algo.passed_over) else ""
        raise PlanError(f"{at}: {error}{also}") from None
    return plan


def _foreign(
    algo: Algo, machine: Interpreter, buffers: BufferPlaces
) -> tuple[Plan, list[MovedRun]]:
    """Return the plan of a file that others wrote: its steps are found, its order is kept."""
    levels = Levels(machine)
    if levels.level is None:
        buffers.refuse(
            algo.line,
            "a message is overtaken by what was sent after it, so that there are no steps: needed "
            "another channel or a dependency",
        )
    ordered = levels.ordered(machine)
    rows = [machine.rows[i] for i in ordered]
    # Where every rank has a block, all blocks are cut alike, whatever their length.
    blocks = algo.n_chunks
    if collective_named(algo.collective).in_blocks:
        blocks = algo.world_size
    edges = np.arange(algo.n_chunks + 1, dtype=np.int64)
    partition = Partition(blocks, algo.n_chunks // blocks, edges)
    places = [(each.start, len(each)) for row in rows for each in (row.source, row.target)]
    steps = _steps(rows, places, [levels.level[i] for i in ordered])
    scratch, waits = _scratch(machine, buffers), levels.kept_waits(ordered)
    return _plan(buffers, partition, steps, "free", scratch, waits), rows


def _plan(
    buffers: BufferPlaces,
    partition: Partition,
    steps: list[Step],
    order: Order,
    scratch: Int32Array,
    waits: Waits | None = None,
) -> Plan:
    """Return the plan of these steps, under the name that the file gives it."""
    algo = buffers.algo
    return Plan(
        algo.collective,
        algo.name,
        algo.world_size,
        algo.root,
        partition,
        RecordedSteps(tuple(steps)),
        order,
        buffers.apart,
        scratch,
        waits,
        notes=tuple(filter(None, [str(algo.passed_over)])),
    )


def _scratch(machine: Interpreter, buffers: BufferPlaces) -> Int32Array:
    """Return the chunk that each place of scratch is as long as: the first that it holds."""
    number = buffers.scratch + max(machine.aside.values())
    like = np.zeros((buffers.algo.world_size, number), dtype=np.int32)
    for (rank, place), origin in machine.origin_of_scratch.items():
        like[rank, place - buffers.vectors] = max(0, origin)
    return like


def _own(algo: Algo, machine: Interpreter, buffers: BufferPlaces) -> tuple[Plan, list[MovedRun]]:
    """Return the plan of a file that emul wrote, as it was."""
    if algo.n_chunks % algo.units:
        buffers.refuse(algo.line, f"nchunksperloop: needed a multiple of units={algo.units}")
    ordered, rounds = numbered_rows(machine, buffers)
    rows = [machine.rows[i] for i in ordered]
    partition, places = joined_places(algo, rows, buffers)
    steps = _steps(rows, places, rounds)
    like = {gpu.scratch for gpu in algo.gpus}
    if len({len(each) for each in like}) > 1:
        buffers.refuse(algo.line, "scratch=: needed as many places on every gpu")
    each = [gpu.scratch for gpu in algo.gpus][: 1 if len(like) == 1 else None]
    scratch = np.array(each, dtype=np.int32).reshape(len(each), -1)
    plan = _plan(buffers, partition, steps, cast("Order", algo.order), scratch)
    return replace(plan, under_way=algo.under_way, drains=algo.drains), rows


def _steps(rows: list[MovedRun], places: list[tuple[int, int]], level: list[int]) -> list[Step]:
    """Return the steps; ``places`` holds first place and length of both ends of every row."""
    if not rows:
        return []
    columns = [
        (row.src, row.dst, places[2 * i][0], places[2 * i + 1][0], places[2 * i][1], row.channel)
        for i, row in enumerate(rows)
    ]
    src, dst, source, target, number, channel = np.array(columns, dtype=np.int32).T
    reduce = np.array([row.reduce for row in rows], dtype=bool)
    whole = (src, dst, source, target, number, reduce, channel)
    edges = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(rows)]
    return [Step(*(column[a:b] for column in whole)) for a, b in pairwise(edges)]


def _line(error: PlanError, plan: Plan, rows: list[MovedRun], machine: Interpreter) -> int | None:
    """Return the line of the step at which the proof failed, if it was at one."""
    if error.where is None:
        return None
    number, rank, place = error.where
    steps = list(plan.steps())
    first = sum(len(step) for step in steps[:number])
    step = steps[number]
    for i in range(len(step)):
        row, chunks = rows[first + i], step.nchunks[i]
        for node, at, start in (
            (row.written_by, step.dst[i], step.dst_chunk[i]),
            (row.read_by, step.src[i], step.src_chunk[i]),
        ):
            if at == rank and start <= place < start + chunks:
                return machine.order.nodes[node].step.line
    return None
