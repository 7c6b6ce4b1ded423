"""Carries out plans between groups: their positions become ranks, their chunks runs of chunks.

Position i of a plan between the children of a group stands, for each chunk, for the rank that owns
the chunk in child i.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.errors import ArgumentError
from emul.plans.algorithms.group_tree import ChunkOwners, Subtree
from emul.plans.plan import Plan, Step
from emul.plans.runs import expand

__all__ = ["Phase", "Scratch"]


class Scratch:
    """The scratch of the whole plan, for that of the plan at the top.

    Each scratch place of the top's plan becomes, at each rank, one place for each chunk that the
    rank owns of the chunk whose length the place has. Where another rank owns more, some are left
    over.
    """

    def __init__(
        self, cut: ChunkOwners, top: Subtree, plan: Plan, chunk_in_plan: Int64Array
    ) -> None:
        """Number the places, and note the chunk that each is as long as."""
        shape = (len(top.sizes), plan.scratch.shape[1])
        self.like = np.broadcast_to(plan.scratch, shape)
        self.begins = cut.n_chunks
        self.place_of = np.full((*shape, cut.n_chunks), -1)
        """Of each position's scratch place, the whole plan's place for each chunk."""
        self.chunk_of: Int64Array = np.zeros((top.ranks, 0), dtype=np.int64)
        owners = _owners(cut, top) if shape[1] else np.zeros((0, 0), dtype=np.int64)
        for number in range(shape[1]):
            child, chunk = np.nonzero(chunk_in_plan == self.like[:, number, None])
            self._add(number, child, chunk, owners[child, chunk])

    @property
    def size(self) -> int:
        """Number of places of a rank."""
        return int(self.chunk_of.shape[1])

    def _add(self, number: int, child: Int64Array, chunk: Int64Array, rank: Int64Array) -> None:
        """Add the places for scratch place ``number``: for each ``chunk`` of ``child``."""
        order = np.lexsort((chunk, rank))
        counts = np.bincount(rank, minlength=len(self.chunk_of))
        _, within = expand(counts)
        like = np.zeros((len(counts), int(counts.max())), dtype=np.int64)
        like[rank[order], within] = chunk[order]
        self.place_of[child[order], number, chunk[order]] = self.begins + self.size + within
        self.chunk_of = np.hstack([self.chunk_of, like])


def _owners(cut: ChunkOwners, group: Subtree) -> Int64Array:
    """Return, for each child of ``group``, the rank that owns each chunk."""
    if group.inner:
        return np.array([cut.owners(child) for child in group.inner])
    ranks = group.first + np.arange(len(group.sizes))
    return np.repeat(ranks[:, None], cut.n_chunks, axis=1)


@dataclass
class _Kind:
    """A plan that several groups follow, with the numbers of their first children and chunks."""

    plan: Plan
    child: list[int]
    chunk: list[int]


@dataclass
class _Rows:
    """Rows of a step between children: (rows,) each.

    ``chunk``: the first of ``nchunks`` chunks, in the count of the phase. ``src_scratch`` and
    ``dst_scratch``: the scratch place of the group's plan instead, or -1. ``begins``: whether the
    row is the first of a transfer.
    """

    src: Int64Array
    dst: Int64Array
    chunk: Int64Array
    nchunks: Int64Array
    src_scratch: Int64Array
    dst_scratch: Int64Array
    reduce: BoolArray
    channel: Int32Array
    begins: BoolArray

    @classmethod
    def of(cls, plan: Plan, step: Step, like: Int32Array) -> _Rows:
        """Return the rows of a step of ``plan``, with the places of scratch told apart."""
        begins = np.ones(len(step), dtype=bool)
        begins[1:] = (np.diff(step.src) != 0) | (np.diff(step.dst) != 0)
        begins[1:] |= np.diff(step.channel) != 0
        src, dst = step.src.astype(np.int64), step.dst.astype(np.int64)
        channel, reduce = step.channel, step.reduce
        chunk, into, n = step.src_chunk, step.dst_chunk, step.nchunks.astype(np.int64)
        if plan.scratch.size:
            row, within = expand(n)
            src, dst, channel, reduce = src[row], dst[row], channel[row], reduce[row]
            chunk, into, n = chunk[row] + within, into[row] + within, np.ones_like(row)
            begins = begins[row] & (within == 0)
        sent, src_scratch = _told_apart(plan, like, src, chunk)
        written, dst_scratch = _told_apart(plan, like, dst, into)
        if not np.array_equal(sent, written):
            raise ArgumentError(f"{plan}: needed one in which chunks keep their places")
        return cls(src, dst, sent, n, src_scratch, dst_scratch, reduce, channel, begins)

    def of_groups(self, kind: _Kind) -> _Rows:
        """Return the rows, which are those of one group, for each group of ``kind``."""
        n, groups = len(self.src), len(kind.child)
        rows = self
        if groups > 1:
            rows = _Rows(*(np.tile(getattr(self, c), groups) for c in _COLUMNS))
        child, chunk = np.repeat(kind.child, n), np.repeat(kind.chunk, n)
        return replace(rows, src=rows.src + child, dst=rows.dst + child, chunk=rows.chunk + chunk)

    @classmethod
    def joined(cls, several: Sequence[_Rows]) -> _Rows:
        """Return the rows of ``several``, one after the other."""
        if len(several) == 1:
            return several[0]
        return cls(*(np.concatenate([getattr(rows, c) for rows in several]) for c in _COLUMNS))

    @property
    def in_order(self) -> bool:
        """Whether every row is one whole transfer of one chunk."""
        return bool(self.begins.all() and (self.nchunks == 1).all())


_COLUMNS = tuple(_Rows.__annotations__)


def _told_apart(
    plan: Plan, like: Int32Array, position: Int64Array, place: Int32Array
) -> tuple[Int64Array, Int64Array]:
    """Return the chunk of each place, or the one it is as long as, and its number in the scratch.

    The latter is -1 where the place is not of the scratch.
    """
    scratch = np.maximum(place.astype(np.int64) - plan.partition.n_chunks, -1)
    if not plan.scratch.size:
        return place.astype(np.int64), scratch
    chunk = np.where(scratch < 0, place, like[position, scratch])
    return chunk.astype(np.int64), scratch


class Phase:
    """One level in one direction: the plans of its groups, carried out by the owners.

    Children of all groups are numbered in a row, at level 0 as their ranks; so are the chunks of
    all their plans. A run is a run of the chunks of the whole plan that lie in the same chunk of
    a group's plan and have the same owners in all its children. Steps are those of one piece.
    """

    def __init__(
        self,
        cut: ChunkOwners,
        plans: Sequence[tuple[Subtree, Plan, Int64Array]],
        scratch: Scratch,
        first: Int32Array,
    ) -> None:
        """Take each group's plan, with which of its chunks each chunk lies in.

        ``first``: where each place lies in the whole plan, in the first piece.
        """
        self.cut, self.scratch, self.first = cut, scratch, first
        self.level = plans[0][0].level
        self.kinds: dict[int, _Kind] = {}
        owners: list[Int64Array] = []
        runs = []
        chunks = 0
        for group, plan, chunk_in_plan in plans:
            kind = self.kinds.setdefault(id(plan), _Kind(plan, [], []))
            kind.child.append(len(owners) if group.inner else group.first)
            kind.chunk.append(chunks)
            chunks += plan.partition.n_chunks
            owners += [cut.owners(child) for child in group.inner]
            runs.append(self._runs(group, plan, chunk_in_plan))
        self.owner = np.array(owners)
        self.start, self.length, counts = (np.concatenate(each) for each in zip(*runs, strict=True))
        self.first_run = np.concatenate([[0], np.cumsum(counts)])

    def _runs(
        self, group: Subtree, plan: Plan, chunk_in_plan: Int64Array
    ) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return first chunk and length of each run, and how many each chunk of ``plan`` has."""
        changes = np.diff(self.first[: len(chunk_in_plan)]) != 1
        changes |= np.diff(chunk_in_plan) != 0
        for child in {child.ranks: child for child in group.inner}.values():
            changes |= np.diff(self.cut.shares(child)) != 0
        start = np.concatenate([[0], np.flatnonzero(changes) + 1])
        length = np.diff(start, append=len(chunk_in_plan))
        order = np.argsort(chunk_in_plan[start], kind="stable")
        counts = np.bincount(chunk_in_plan[start], minlength=plan.partition.n_chunks)
        return start[order], length[order], counts

    def steps(self) -> Iterator[Step]:
        """Yield the steps; groups whose plans have fewer are done earlier."""
        kinds = list(self.kinds.values())
        for together in zip_longest(*(kind.plan.steps() for kind in kinds)):
            rows = [
                _Rows.of(kind.plan, step, self.scratch.like).of_groups(kind)
                for kind, step in zip(kinds, together, strict=True)
                if step is not None and len(step)
            ]
            if rows:
                yield self._carried_out(_Rows.joined(rows))

    def _carried_out(self, rows: _Rows) -> Step:
        """Return the step that ``rows`` between children are between ranks."""
        first = self.first_run[rows.chunk]
        row, within = expand(self.first_run[rows.chunk + rows.nchunks] - first)
        run = first[row] + within
        chunk, length = self.start[run], self.length[run]
        src, dst = self._rank(rows.src[row], chunk), self._rank(rows.dst[row], chunk)
        sent = self._place(rows.src[row], rows.src_scratch[row], chunk)
        written = self._place(rows.dst[row], rows.dst_scratch[row], chunk)
        step = Step.of(
            src,
            dst,
            sent,
            dst_chunk=written,
            nchunks=length,
            reduce=False,
            channel=rows.channel[row],
        )
        step = replace(step, reduce=rows.reduce[row])
        if self.level == 0 and rows.in_order:
            return step
        transfer: Int64Array = np.cumsum(rows.begins, dtype=np.int64)[row]
        return self._joined(transfer, step)

    def _rank(self, child: Int64Array, chunk: Int64Array) -> Int64Array:
        """Return who owns each ``chunk`` in each ``child``."""
        if self.level == 0:
            return child
        owner: Int64Array = self.owner[child, chunk]
        return owner

    def _place(self, child: Int64Array, scratch: Int64Array, chunk: Int64Array) -> Int64Array:
        """Return the place that stands for each ``chunk``, in the scratch where that is not -1."""
        if not self.scratch.size or (scratch < 0).all():
            return chunk
        return np.where(scratch < 0, chunk, self.scratch.place_of[child, scratch, chunk])

    def _joined(self, transfer: Int64Array, step: Step) -> Step:
        """Return ``step`` by transfers between ranks, with rows that follow on made one."""
        order = np.lexsort((step.src_chunk, step.dst, step.src, transfer))
        step, transfer = _rows_of(step, order), transfer[order]
        begins = np.zeros(len(step), dtype=bool)
        begins[:1] = True
        for key in (transfer, step.src, step.dst, step.reduce):
            begins[1:] |= key[1:] != key[:-1]
        for place in (step.src_chunk, step.dst_chunk):
            last = place[:-1] + step.nchunks[:-1] - 1
            begins[1:] |= self.first[place[1:]] != self.first[last] + 1
        first = np.flatnonzero(begins)
        nchunks = np.add.reduceat(step.nchunks, first, dtype=np.int32)
        return replace(_rows_of(step, first), nchunks=nchunks)


def _rows_of(step: Step, rows: Int64Array) -> Step:
    """Return the given rows of ``step``, in that order."""
    return Step(
        step.src[rows],
        step.dst[rows],
        step.src_chunk[rows],
        step.dst_chunk[rows],
        step.nchunks[rows],
        step.reduce[rows],
        step.channel[rows],
    )
