"""Proves that a plan computes its collective, before anything runs.

The proof follows, for every rank and chunk, whose contributions it holds and to which chunk they
belong (proof.pyx). Steps are taken in one after the other as they are generated. Where all
chunks take much memory, and the plan moves none to another place, they are proven some at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.errors import CapacityError, PlanError, not_compiled
from emul.memory import available_bytes, check_fits
from emul.plans.collectives import collective_named
from emul.plans.contents import BITS, Contents, nothing, ranks_in
from emul.plans.plan import Plan, Step
from emul.plans.rounds import Rounds

try:
    from emul.plans.proof.holdings import FAULTS, Holdings
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

__all__ = ["passes", "proof_bytes", "verify"]


MOST_CHANNELS = 1 << 12
"""Far beyond any network card; so a channel and a rank fit in one number."""

SHARE_OF_MEMORY = 0.5
"""Of the available memory, for a proof that has to be cut up."""

MOST_BYTES_AT_ONCE = 2 << 30
"""Of a proof that can be cut up without loss."""

MOST_PASSES = 64
"""Over the steps of a plan; one that needs more is refused, because it would not end soon."""


def verify(plan: Plan) -> None:
    """Return when every output chunk of ``plan`` holds every contribution exactly once.

    Raises PlanError otherwise, naming step, rank, chunk and the missing or double contribution, and
    CapacityError when the proof would not fit in memory.
    """
    _check_waits(plan)
    _check_blocks(plan)
    block = plan.partition.block_of_chunk(
        plan.world_size if collective_named(plan.collective).in_blocks else 1
    )
    at_once = _chunks_at_once(plan)
    if at_once == plan.n_places:
        _prove(plan, block, 0, part=False)
        return
    for first in range(0, len(block), at_once):
        _prove(plan, block[first : first + at_once], first, part=True)


def passes(plan: Plan) -> int:
    """Return how often a proof goes through the steps of ``plan``; raises CapacityError for never.

    More than once where not all chunks can be followed at the same time.
    """
    return -(-plan.partition.n_chunks // _chunks_at_once(plan)) if plan.n_places else 1


def proof_bytes(plan: Plan) -> int:
    """Return the bytes of a proof: of all places at the same time, or of those of one pass."""
    return _bytes_per_place(plan) * _chunks_at_once(plan)


def _chunks_at_once(plan: Plan) -> int:
    """Return how many of the places of a rank are to be followed at the same time."""
    needed = _bytes_per_place(plan)
    most = MOST_BYTES_AT_ONCE // needed
    if most < plan.n_places <= most * MOST_PASSES and _keeps_places(plan):
        check_fits(needed * most, f"proving a part of {plan}")
        return most
    try:
        check_fits(needed * plan.n_places, f"proving {plan}")
    except CapacityError:
        fitting = int(available_bytes() * SHARE_OF_MEMORY) // needed
        if plan.n_places > plan.partition.n_chunks or fitting * MOST_PASSES < plan.n_places:
            raise
        return min(fitting, plan.n_places - 1)
    return plan.n_places


def _keeps_places(plan: Plan) -> bool:
    """Say whether no chunk is moved to another place, so that each can be proven on its own."""
    if plan.n_places > plan.partition.n_chunks:
        return False
    if isinstance(plan.steps, Rounds):
        return True
    return all(np.array_equal(step.src_chunk, step.dst_chunk) for step in plan.steps())


def _bytes_per_place(plan: Plan) -> int:
    """Return the bytes of the contents of a place on all ranks, present and wanted."""
    words = (plan.world_size + BITS - 1) // BITS
    return 2 * plan.world_size * (words + 1) * 8


def _prove(plan: Plan, block: Int64Array, first: int, *, part: bool) -> None:
    """Prove the chunks of ``block``, from number ``first`` on, or all places of the plan."""
    collective, n = collective_named(plan.collective), plan.world_size
    places = len(block) if part else plan.n_places
    held = _at_first(n, places, collective.held(n, block, plan.root))
    holdings = Holdings(held.ranks, held.origin, first, part, plan.n_places, MOST_CHANNELS)
    proof = _Proof(plan, holdings, first)
    for number, step in enumerate(plan.steps()):
        proof.take(number, step)
    proof.check_end(*collective.wanted(n, block, plan.root))


def _at_first(world_size: int, places: int, vector: Contents) -> Contents:
    """Return the contents of all places, chunk by chunk, when the first ones hold ``vector``."""
    ranks, origin = vector.ranks.swapaxes(0, 1), vector.origin.T
    chunks = len(origin)
    if places == chunks:
        return Contents(np.array(ranks, order="C"), np.array(origin, order="C"))
    contents = nothing(places, world_size, ranks.shape[2])
    contents.ranks[:chunks] = ranks
    contents.origin[:chunks] = origin
    return contents


def _check_blocks(plan: Plan) -> None:
    """Refuse chunks that reach from the block of one rank into that of the next."""
    cut, n = plan.partition, plan.world_size
    length = cut.blocks * cut.units
    if not collective_named(plan.collective).in_blocks:
        return
    missing = set(range(0, length + 1, length // n or 1)) - set(cut.edges.tolist())
    if length % n or missing:
        raise PlanError(
            f"{plan}: chunks {cut.edges.tolist()[:8]} of {length}: needed edges where the block of "
            "each rank begins"
        )


def _check_waits(plan: Plan) -> None:
    """Refuse waits for a later row, which might go around in a circle, or for none."""
    waits = plan.waits
    if waits is not None and len(waits):
        rows = sum(len(step) for step in plan.steps())
        ordered = (waits.earlier >= 0) & (waits.earlier < waits.later) & (waits.later < rows)
        wrong = np.flatnonzero(~ordered)
        if len(wrong):
            i = wrong[0]
            raise PlanError(
                f"{plan}: row {waits.later[i]} waits for row {waits.earlier[i]}: needed an earlier "
                f"one of {rows} rows"
            )


@dataclass
class _Proof:
    """The contents so far of the places of every rank, from number ``first`` on."""

    plan: Plan
    holdings: Holdings
    first: int

    def take(self, number: int, step: Step) -> None:
        """Carry out one step; raises PlanError for a fault in it."""
        rows = (step.src, step.dst, step.src_chunk, step.dst_chunk, step.nchunks, step.channel)
        if any(column.dtype != np.int32 for column in rows):  # wider ones could wrap
            _check_range(self.plan, number, step)
        src, dst, src_chunk, dst_chunk, nchunks, channel = (
            np.ascontiguousarray(column, np.int32) for column in rows
        )
        fault, row, source, target = self.holdings.take(
            number, src, dst, src_chunk, dst_chunk, nchunks, channel, step.reduce
        )
        name = FAULTS[fault]
        if name == "out of range":
            _check_range(self.plan, number, step)
        if name == "moved":
            raise CapacityError(
                f"proving {self.plan}: step {number}, row {row} moves a chunk to another place, so "
                "all have to be followed at once, and that does not fit in memory: use fewer ranks"
            )
        if name != "none":
            place = source if name == "sent empty" else target
            self.refuse(number, place, self.complaint(name, source, target))

    def complaint(self, name: str, source: int, target: int) -> str:
        """Return the fault in words."""
        if name == "mixed":
            belongs = self.holdings.origin.ravel()[[target, source]] + self.first
            return f"would mix values of chunk {belongs[0]} with values of chunk {belongs[1]}"
        if name == "counted twice":
            ranks = self.holdings.ranks.reshape(self.holdings.origin.size, -1)
            again = ranks_in(ranks[source] & ranks[target])
            return f"would count the contribution of {again} twice"
        return {
            "written twice": "is written twice in one step",
            "sent empty": "is sent without holding anything",
            "reduced into empty": "is reduced into without holding anything",
        }[name]

    def refuse(self, number: int, place: int, complaint: str) -> None:
        """Raise PlanError about a place in a step."""
        chunk, rank = divmod(place, self.plan.world_size)
        chunk += self.first
        raise PlanError(
            f"{self.plan}: step {number}: rank {rank} {self.plan.place_name(chunk)} {complaint}",
            where=(number, rank, chunk),
        )

    def check_end(self, wanted: Contents, asked: BoolArray) -> None:
        """Refuse a plan whose output differs from the wanted contents where they are required."""
        received = self.plan.received
        there = slice(received, received + asked.shape[1])
        ranks, origin = self.holdings.ranks[there].swapaxes(0, 1), self.holdings.origin[there].T
        other = (ranks != wanted.ranks).any(axis=2)
        wrong = asked & (other | (origin != wanted.origin))
        if not wrong.any():
            return
        rank, chunk = (int(i) for i in np.argwhere(wrong)[0])
        name = self.plan.place_name(received + chunk + self.first)
        complaint = f"{self.plan}: after the last step, rank {rank} {name}"
        if not other[rank, chunk]:
            belongs = origin[rank, chunk] + self.first
            needed = wanted.origin[rank, chunk] + self.first
            raise PlanError(f"{complaint} holds values of chunk {belongs}: needed chunk {needed}")
        has, needs = ranks[rank, chunk], wanted.ranks[rank, chunk]
        lacks, stray = ranks_in(needs & ~has), ranks_in(has & ~needs)
        said = [f"lacks the contribution of {lacks}"] if lacks else []
        said += [f"holds that of {stray}"] if stray else []
        raise PlanError(f"{complaint} {' and '.join(said)}")


def _check_range(plan: Plan, number: int, step: Step) -> None:
    """Raise PlanError for the first row of ``step`` that names something there is not."""
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
