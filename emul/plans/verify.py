"""Proves that a plan computes what its collective promises, before anything runs.

The proof follows, for every rank and chunk, the set of ranks whose contributions it holds.
Sets are bit masks in uint64 words and a whole step is checked at once, so that the cost per
transfer stays far below a microsecond.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from emul.errors import PlanError
from emul.memory import check_fits
from emul.plans.collectives import BITS, collective_named
from emul.plans.plan import Plan, Step

__all__ = ["verify"]

Masks = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]


def verify(plan: Plan) -> None:
    """Return when every output chunk of ``plan`` holds every contribution exactly once.

    Raises PlanError otherwise, naming step, rank, chunk and what is missing or double.
    """
    collective = collective_named(plan.collective)
    check_fits(_bytes_needed(plan), f"proving {plan}")
    block = plan.partition.block_of_chunk(plan.world_size)
    held = collective.held(plan.world_size, block, plan.root)
    n_chunks = plan.partition.n_chunks
    state = held.reshape(plan.world_size * n_chunks, -1)
    written_in_step = np.full(len(state), -1, dtype=np.int64)
    for number, step in enumerate(plan.steps()):
        _apply(plan, number, step, state, written_in_step)
    wanted, asked = collective.wanted(plan.world_size, block, plan.root)
    _check_end(plan, state.reshape(wanted.shape), wanted, asked)


def _bytes_needed(plan: Plan) -> int:
    """Return the bytes of what is held, and of what is wanted."""
    words = (plan.world_size + BITS - 1) // BITS
    return 2 * plan.world_size * plan.partition.n_chunks * words * np.dtype(np.uint64).itemsize


def _apply(plan: Plan, number: int, step: Step, state: Masks, written_in_step: Int64Array) -> None:
    """Carry out one step on ``state``, refusing what must not happen in it."""
    _check_range(plan, number, step)
    n_chunks = plan.partition.n_chunks
    row, within = _expand(step.nchunks)
    source = step.src[row].astype(np.int64) * n_chunks + step.src_chunk[row] + within
    target = step.dst[row].astype(np.int64) * n_chunks + step.dst_chunk[row] + within
    _check_disjoint(plan, number, source, target, written_in_step)
    sent, stood = state[source], state[target]
    reduce = step.reduce[row]
    _refuse(
        plan,
        number,
        source,
        ~sent.any(axis=1),
        "rank {rank} sends chunk {chunk} without holding it",
    )
    double = reduce & (sent & stood).any(axis=1)
    if double.any():
        first = int(np.flatnonzero(double)[0])
        again = _ranks(sent[first] & stood[first])
        raise PlanError(
            f"{plan}: step {number}: {_place(plan, target[first])} would count the contribution "
            f"of {again} twice"
        )
    _refuse(
        plan,
        number,
        target,
        reduce & ~stood.any(axis=1),
        "rank {rank} reduces into chunk {chunk} without holding a value of it",
    )
    state[target] = np.where(reduce[:, None], sent | stood, sent)


def _expand(nchunks: npt.NDArray[np.int32]) -> tuple[Int64Array, Int64Array]:
    """Return, for every chunk of every row, its row and its position in the row."""
    row = np.repeat(np.arange(len(nchunks)), nchunks)
    starts = np.cumsum(nchunks) - nchunks
    return row, np.arange(len(row)) - starts[row]


def _check_range(plan: Plan, number: int, step: Step) -> None:
    n, n_chunks = plan.world_size, plan.partition.n_chunks
    columns = (
        ("rank", step.src, n),
        ("rank", step.dst, n),
        ("chunk", step.src_chunk, n_chunks - step.nchunks + 1),
        ("chunk", step.dst_chunk, n_chunks - step.nchunks + 1),
        ("number of chunks", step.nchunks - 1, n_chunks),
    )
    for what, column, limit in columns:
        outside = (column < 0) | (column >= limit)
        if outside.any():
            row = int(np.flatnonzero(outside)[0])
            raise PlanError(
                f"{plan}: step {number}, row {row} (rank {step.src[row]} chunk "
                f"{step.src_chunk[row]} to rank {step.dst[row]} chunk {step.dst_chunk[row]}, "
                f"{step.nchunks[row]} chunks): {what} out of range: there are {n} ranks and "
                f"{n_chunks} chunks"
            )


def _check_disjoint(
    plan: Plan, number: int, source: Int64Array, target: Int64Array, written_in_step: Int64Array
) -> None:
    """Refuse a step that writes a chunk twice, or reads one that it writes."""
    counts = np.unique(target, return_counts=True)
    if (counts[1] > 1).any():
        place = int(counts[0][counts[1] > 1][0])
        raise PlanError(
            f"{plan}: step {number}: {_place(plan, place)} is written twice in one step"
        )
    written_in_step[target] = number
    _refuse(
        plan,
        number,
        source,
        written_in_step[source] == number,
        "rank {rank} chunk {chunk} is sent and written in one step",
    )


def _refuse(
    plan: Plan, number: int, places: Int64Array, wrong: npt.NDArray[np.bool_], complaint: str
) -> None:
    if wrong.any():
        rank, chunk = divmod(int(places[np.flatnonzero(wrong)[0]]), plan.partition.n_chunks)
        raise PlanError(f"{plan}: step {number}: {complaint.format(rank=rank, chunk=chunk)}")


def _check_end(plan: Plan, state: Masks, wanted: Masks, asked: npt.NDArray[np.bool_]) -> None:
    wrong = asked & (state != wanted).any(axis=2)
    if not wrong.any():
        return
    rank, chunk = (int(i) for i in np.argwhere(wrong)[0])
    has, needs = state[rank, chunk], wanted[rank, chunk]
    lacks = _ranks(needs & ~has)
    stray = _ranks(has & ~needs)
    complaint = f"lacks the contribution of {lacks}" if lacks else ""
    complaint += (" and " if lacks and stray else "") + (f"holds that of {stray}" if stray else "")
    raise PlanError(f"{plan}: after the last step, rank {rank} chunk {chunk} {complaint}")


def _place(plan: Plan, place: int) -> str:
    rank, chunk = divmod(int(place), plan.partition.n_chunks)
    return f"rank {rank} chunk {chunk}"


def _ranks(mask: Masks) -> str:
    """Return the ranks of one set in words, or nothing when it is empty."""
    ranks = [
        str(word * BITS + bit)
        for word, bits in enumerate(mask.tolist())
        for bit in range(BITS)
        if bits >> bit & 1
    ]
    if not ranks:
        return ""
    shown = ", ".join(ranks[:8]) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return f"rank{'s' if len(ranks) > 1 else ''} {shown}"
