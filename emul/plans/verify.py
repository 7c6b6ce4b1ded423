"""Proves that a plan computes what its collective promises, before anything runs.

The proof follows, for every rank and chunk, whose contributions it holds and to which chunk they
belong. A whole step is checked at once, so that the cost per transfer stays far below a
microsecond.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emul.errors import PlanError
from emul.memory import check_fits
from emul.plans.collectives import collective_named
from emul.plans.contents import BITS, Contents, nothing, ranks_in
from emul.plans.plan import Plan, Step
from emul.plans.runs import expand

__all__ = ["verify"]

Masks = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]
Int64Array = npt.NDArray[np.int64]

MOST_CHANNELS = 1 << 12
"""Far beyond what any network card has; so a channel and a rank fit in one number."""


def verify(plan: Plan) -> None:
    """Return when every output chunk of ``plan`` holds every contribution exactly once.

    Raises PlanError otherwise, naming step, rank, chunk and what is missing or double, and
    CapacityError when the proof would not fit in memory.
    """
    collective = collective_named(plan.collective)
    check_fits(_bytes_needed(plan), f"proving {plan}")
    _check_waits(plan)
    block = plan.partition.block_of_chunk(plan.world_size if collective.in_blocks else 1)
    held = _at_places(plan, 0, collective.held(plan.world_size, block, plan.root))
    proof = _Proof(plan, held.ranks.reshape(held.origin.size, -1), held.origin.ravel())
    for number, step in enumerate(plan.steps()):
        proof.take(number, step)
    wanted, asked = collective.wanted(plan.world_size, block, plan.root)
    there = np.zeros(held.origin.shape, dtype=bool)
    there[:, plan.received : plan.vectors] = asked
    proof.check_end(_at_places(plan, plan.received, wanted), there)


def _at_places(plan: Plan, first: int, vector: Contents) -> Contents:
    """Return the contents of all places when those from ``first`` on hold ``vector``."""
    contents = nothing(plan.world_size, plan.n_places)
    places = slice(first, first + plan.partition.n_chunks)
    contents.ranks[:, places] = vector.ranks
    contents.origin[:, places] = vector.origin
    return contents


def _bytes_needed(plan: Plan) -> int:
    """Return the bytes of what is held, and of what is wanted."""
    words = (plan.world_size + BITS - 1) // BITS
    return 3 * plan.world_size * plan.n_places * (words + 1) * 8


def _check_waits(plan: Plan) -> None:
    """Refuse waits for a later row: they might go around in a circle."""
    waits = plan.waits
    if waits is not None and len(waits):
        wrong = np.flatnonzero((waits.earlier >= waits.later) | (waits.earlier < 0))
        if len(wrong):
            i = wrong[0]
            raise PlanError(
                f"{plan}: row {waits.later[i]} waits for row {waits.earlier[i]}: needed an earlier "
                "row"
            )


@dataclass
class _Proof:
    """What every place holds so far; a place is a chunk of a rank, numbered row after row."""

    plan: Plan
    ranks: Masks
    origin: Int64Array

    def take(self, number: int, step: Step) -> None:
        """Carry out one step, refusing what must not happen in it."""
        _check_range(self.plan, number, step)
        row, within = expand(step.nchunks)
        places = self.plan.n_places
        source = step.src[row].astype(np.int64) * places + step.src_chunk[row] + within
        target = step.dst[row].astype(np.int64) * places + step.dst_chunk[row] + within
        reduce = step.reduce[row]
        self.check_written_once(number, target)
        sent, stood = self.ranks[source], self.ranks[target]
        self.refuse(number, source, ~sent.any(axis=1), "is sent without holding anything")
        empty = reduce & ~stood.any(axis=1)
        self.refuse(number, target, empty, "is reduced into without holding anything")
        belongs, into = self.origin[source], self.origin[target]
        self.check_same_origin(number, target, reduce & (belongs != into), belongs, into)
        self.check_counted_once(number, target, reduce, sent, stood)
        self.ranks[target] = np.where(reduce[:, None], sent | stood, sent)
        self.origin[target] = belongs

    def check_written_once(self, number: int, target: Int64Array) -> None:
        places, times = np.unique(target, return_counts=True)
        self.refuse(number, places, times > 1, "is written twice in one step")

    def check_same_origin(
        self,
        number: int,
        target: Int64Array,
        wrong: BoolArray,
        belongs: Int64Array,
        into: Int64Array,
    ) -> None:
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            self.refuse(
                number,
                target,
                wrong,
                f"would mix values of chunk {into[first]} with values of chunk {belongs[first]}",
            )

    def check_counted_once(
        self, number: int, target: Int64Array, reduce: BoolArray, sent: Masks, stood: Masks
    ) -> None:
        double = reduce & (sent & stood).any(axis=1)
        if double.any():
            first = int(np.flatnonzero(double)[0])
            again = ranks_in(sent[first] & stood[first])
            self.refuse(number, target, double, f"would count the contribution of {again} twice")

    def refuse(self, number: int, places: Int64Array, wrong: BoolArray, complaint: str) -> None:
        """Raise PlanError about the first of ``places`` that is wrong."""
        if wrong.any():
            place = int(places[np.flatnonzero(wrong)[0]])
            where = (number, *divmod(place, self.plan.n_places))
            raise PlanError(
                f"{self.plan}: step {number}: {self.place(place)} {complaint}", where=where
            )

    def place(self, number: int) -> str:
        rank, place = divmod(number, self.plan.n_places)
        return f"rank {rank} {self.plan.place_name(place)}"

    def check_end(self, wanted: Contents, asked: BoolArray) -> None:
        """Refuse a plan that leaves anything else than what is wanted where it is asked for."""
        ranks = self.ranks.reshape(wanted.ranks.shape)
        origin = self.origin.reshape(wanted.origin.shape)
        other = (ranks != wanted.ranks).any(axis=2)
        wrong = asked & (other | (origin != wanted.origin))
        if not wrong.any():
            return
        rank, chunk = (int(i) for i in np.argwhere(wrong)[0])
        place = self.place(rank * self.plan.n_places + chunk)
        complaint = f"{self.plan}: after the last step, {place}"
        if not other[rank, chunk]:
            belongs, needed = origin[rank, chunk], wanted.origin[rank, chunk]
            raise PlanError(f"{complaint} holds values of chunk {belongs}: needed chunk {needed}")
        has, needs = ranks[rank, chunk], wanted.ranks[rank, chunk]
        lacks, stray = ranks_in(needs & ~has), ranks_in(has & ~needs)
        said = [f"lacks the contribution of {lacks}"] if lacks else []
        said += [f"holds that of {stray}"] if stray else []
        raise PlanError(f"{complaint} {' and '.join(said)}")


def _check_range(plan: Plan, number: int, step: Step) -> None:
    n, n_chunks = plan.world_size, plan.n_places
    columns = (
        ("rank", step.src, n),
        ("rank", step.dst, n),
        ("chunk", step.src_chunk, n_chunks - step.nchunks + 1),
        ("chunk", step.dst_chunk, n_chunks - step.nchunks + 1),
        ("number of chunks", step.nchunks - 1, n_chunks),
        ("channel", step.channel, MOST_CHANNELS),
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
