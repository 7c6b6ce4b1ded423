"""The additions of emul to the files it writes, so that they are read back as the same plan.

On ``algo``: ``order``, ``root``, ``units`` and, where they do not follow from the rest, ``edges``,
``underway`` and ``drains``;
on ``gpu``: ``scratch``, the chunk that each place there is as long as (see emul.plans.plan). On
the steps that send or work inside a rank: ``round`` and ``row``, the step of the plan and the
number of the row. MSCCL looks attributes up by name and passes over others (microsoft/msccl,
src/graph/xml.h).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import pairwise

import numpy as np

from emul.plans.msccl.attributes import MOST_CHUNKS
from emul.plans.msccl.buffer_places import BufferPlaces
from emul.plans.msccl.document import Algo, Gpu
from emul.plans.msccl.machine import Interpreter, MovedRun
from emul.plans.plan import Partition

__all__ = ["cut_edges", "joined_places", "numbered_rows"]


def cut_edges(units: int, n_units: int, ranges: list[tuple[int, int]]) -> list[int]:
    """Return the edges of the blocks and of the ranges (first, last) that rows move."""
    edges = set(range(0, n_units + 1, units))
    for first, last in ranges:
        edges.update((first, last))
    return sorted(edges)


def numbered_rows(machine: Interpreter, buffers: BufferPlaces) -> tuple[list[int], list[int]]:
    """Return the rows in the order of their numbers, and the round of each.

    Raises PlanError where numbers are missing or rounds contradict the steps.
    """
    order, rows = machine.order, machine.rows
    steps = [order.nodes[row.read_by].step for row in rows]
    for step in steps:
        if step.round is None or step.row is None:
            buffers.refuse(step.line, "no round= and row= in a file with order=: needed both")
    ordered = sorted(range(len(rows)), key=lambda i: (steps[i].row or 0, i))
    rounds = [step.round or 0 for step in steps]
    for a, b in pairwise(ordered):
        if steps[a].row == steps[b].row or rounds[a] > rounds[b]:
            buffers.refuse(
                steps[b].line,
                f"row={steps[b].row} of round={rounds[b]} after row={steps[a].row} of "
                f"round={rounds[a]}: needed other rows, in the order of the rounds",
            )
    for pairs, apart in ((machine.strict, 1), (machine.loose, 0)):
        for earlier, later in pairs:
            if rounds[earlier] + apart > rounds[later]:
                buffers.refuse(
                    steps[later].line,
                    f"round={rounds[later]} for what has to come after row={steps[earlier].row} of "
                    f"round={rounds[earlier]}: needed a later round",
                )
    return ordered, [rounds[i] for i in ordered]


def joined_places(
    algo: Algo, rows: list[MovedRun], buffers: BufferPlaces
) -> tuple[Partition, list[tuple[int, int]]]:
    """Return the partition, and for each row its first place and number of places, twice.

    Places are chunks of the partition, of which each may be several chunks of the file.
    """
    vectors, n_units = buffers.vectors, algo.n_chunks
    edges = list(algo.edges or cut_edges(algo.units, n_units, _ranges(rows, vectors, n_units)))
    if edges[0] != 0 or edges[-1] != n_units or any(a >= b for a, b in pairwise(edges)):
        buffers.refuse(algo.line, f"edges=: needed numbers that rise from 0 to {n_units}")
    starts = [_starts(gpu, edges, buffers) for gpu in algo.gpus]
    partition = Partition(n_units // algo.units, algo.units, np.array(edges, dtype=np.int64))
    found = []
    for row in rows:
        for rank, places in ((row.src, row.source), (row.dst, row.target)):
            first, last = (bisect_left(starts[rank], at) for at in (places.start, places.stop))
            if starts[rank][first] != places.start or starts[rank][last] != places.stop:
                what = f"row from gpu {row.src} to gpu {row.dst} moves parts of chunks"
                buffers.refuse(
                    algo.line, f"edges=: a {what}: needed edges where rows begin and end"
                )
            found.append((first, last - first))
    return partition, found


def _starts(gpu: Gpu, edges: list[int], buffers: BufferPlaces) -> list[int]:
    """Return where each place of a gpu begins, in chunks of the file, and where the last ends."""
    n_units = edges[-1]
    lengths = [high - low for low, high in pairwise(edges)]
    starts = edges[:-1] + ([n_units + edge for edge in edges[:-1]] if buffers.apart else [])
    at = buffers.vectors
    for like in gpu.scratch:
        starts.append(at)
        at += lengths[like] if like < len(lengths) else MOST_CHUNKS
    if at != buffers.vectors + gpu.chunks["s"]:
        buffers.refuse(gpu.line, "scratch=: needed chunks that are as long as s_chunks together")
    return [*starts, at]


def _ranges(rows: list[MovedRun], vectors: int, n_units: int) -> list[tuple[int, int]]:
    """Return the parts of a vector that rows read or write."""
    ranges = [each for row in rows for each in (row.source, row.target)]
    return [
        (each.start % n_units, each.start % n_units + len(each))
        for each in ranges
        if each.start < vectors
    ]
