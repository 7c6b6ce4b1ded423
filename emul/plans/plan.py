"""The plan: who sends which chunk to whom, and whether it is copied or reduced.

A plan knows no time and no array values. It cuts the buffer of every rank into the same
chunks and lists, step by step, the rows that are sent. Steps are generated on demand, so that a
plan need not be held as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sized
from dataclasses import dataclass, field, fields, replace
from hashlib import sha256
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.memory import check_fits
from emul.reading.brief import brief, one_line

__all__ = [
    "BYTES_PER_ROW",
    "Order",
    "Partition",
    "Plan",
    "PlanSpec",
    "RecordedSteps",
    "Step",
    "Waits",
    "place_name",
    "steps_that_fit",
]


Order = Literal["free", "issue", "lockstep"]
"""The constraint on the start of a transfer besides its data: see Plan."""

BYTES_PER_ROW = 25
"""Of a step: six numbers of 4 bytes and a flag."""


@dataclass(frozen=True, slots=True, eq=False)
class Partition:
    """Cuts a vector of any count into chunks: chunk i is [edge i, edge i + 1).

    The vector is cut into ``blocks`` and each block into ``units``; ``edges``, (n_chunks + 1,),
    are counted in units and rise from 0 to ``blocks * units``, so that a plan does not depend on
    the count, nor on blocks being of equal length. Inside a block, edges are rounded down.
    """

    blocks: int
    units: int
    edges: npt.NDArray[Any]

    __repr__ = brief

    @classmethod
    def uniform(cls, n_chunks: int) -> Partition:
        """Return ``n_chunks`` chunks of equal size."""
        return cls(n_chunks, 1, np.arange(n_chunks + 1, dtype=np.int64))

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self.edges) - 1

    def offsets(self, block_lengths: Int64Array) -> Int64Array:
        """Return the edges in elements: (rows, n_chunks + 1).

        ``block_lengths``, (rows, blocks): the elements of each block, of one or more vectors.
        """
        block, unit = self.edges // self.units, self.edges % self.units
        at = block.astype(np.int64)
        none = np.zeros((len(block_lengths), 1), dtype=np.int64)
        start = np.hstack([none, np.cumsum(block_lengths, axis=1)])[:, at]
        length = np.hstack([block_lengths, none])[:, at].astype(self.edges.dtype)
        # floor(unit * length / units), in parts that do not overflow
        whole, rest = length // self.units, length % self.units
        offsets: Int64Array = start + unit * whole + unit * rest // self.units
        return offsets.astype(np.int64)

    def block_of_chunk(self, n_blocks: int) -> Int64Array:
        """Return which of ``n_blocks`` equal blocks each chunk starts in: (n_chunks,)."""
        starts: Int64Array = self.edges[:-1] * n_blocks // (self.blocks * self.units)
        return starts.astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One round: rows that all read the state before the round, so their order is free.

    Row i sends ``nchunks[i]`` consecutive chunks of rank ``src[i]``, from ``src_chunk[i]`` on,
    to the chunks of rank ``dst[i]`` from ``dst_chunk[i]`` on, where they are combined with
    the present values (``reduce[i]``) or replace them, over channel ``channel[i]``. Adjacent rows
    with the same sender, receiver and channel travel as one transfer. No two rows of a step write
    the same chunk; each row reads the state before the step, so ranks can exchange chunks. All
    arrays have shape (rows,).
    """

    src: Int32Array
    dst: Int32Array
    src_chunk: Int32Array
    dst_chunk: Int32Array
    nchunks: Int32Array
    reduce: BoolArray
    channel: Int32Array

    __repr__ = brief

    @classmethod
    def of(
        cls,
        src: npt.ArrayLike,
        dst: npt.ArrayLike,
        chunk: npt.ArrayLike,
        *,
        reduce: bool,
        nchunks: npt.ArrayLike = 1,
        dst_chunk: npt.ArrayLike | None = None,
        channel: npt.ArrayLike = 0,
    ) -> Step:
        """Return a step whose rows are all copied or all reduced.

        Without ``dst_chunk``, chunks keep their numbers. Arguments are broadcast.
        """
        into = chunk if dst_chunk is None else dst_chunk
        columns = [np.asarray(c, np.int32) for c in (src, dst, chunk, into, nchunks, channel)]
        rows = max(column.size for column in columns)
        if rows and all(column.shape in ((), (1,), (rows,)) for column in columns):
            whole = [c.copy() if c.size == rows else np.full(rows, c, np.int32) for c in columns]
            src, dst, chunk, into, nchunks, lanes = (column.reshape(rows) for column in whole)
        else:
            broad = np.broadcast_arrays(*columns)
            src, dst, chunk, into, nchunks, lanes = (c.copy().ravel() for c in broad)
        return cls(src, dst, chunk, into, nchunks, np.full(len(src), reduce), lanes)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.src)


@dataclass(frozen=True, slots=True, eq=False)
class Waits:
    """Waits of rows that do not follow from their data: (waits,) each.

    Row ``later[i]`` of a plan, counting the rows of all steps, waits for the earlier row
    ``earlier[i]``: until it is issued (``upon_issue[i]``), which is when nothing but busy links
    keeps it from being sent, or else until it is done. It ``starts[i]`` only then, or else is done
    only then.
    """

    earlier: Int64Array
    later: Int64Array
    upon_issue: BoolArray
    starts: BoolArray

    __repr__ = brief

    def __len__(self) -> int:
        """Return the number of waits."""
        return len(self.earlier)


class PlanSpec(Hashable, Protocol):
    """The arguments from which a plan can be built anew: frozen and hashable."""

    def build(self) -> Plan:
        """Return the plan, not proven again."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordedSteps:
    """Steps as data, in place of a function that generates them."""

    steps: tuple[Step, ...]

    __repr__ = brief

    @classmethod
    def of(cls, plan: Plan) -> RecordedSteps:
        """Return all steps of ``plan``; raises CapacityError where they do not fit in memory."""
        if isinstance(plan.steps, RecordedSteps):
            return plan.steps
        return cls(tuple(steps_that_fit(plan, BYTES_PER_ROW, "recording")))

    def __call__(self) -> Iterator[Step]:
        """Yield the steps."""
        return iter(self.steps)


def steps_that_fit(
    plan: Plan, bytes_per_row: int, doing: str, given: Iterable[Step] | None = None
) -> list[Step]:
    """Return all steps of ``plan``; raises CapacityError when their rows do not fit in memory.

    ``doing``, such as "timing", says in the error which work needs ``bytes_per_row``. ``given``:
    the steps, where somebody has generated them already.
    """
    steps: list[Step] = []
    rows, asked = 0, 1
    for step in plan.steps() if given is None else given:
        steps.append(step)
        rows += len(step)
        if rows > asked:
            asked = 2 * rows
            check_fits(rows * bytes_per_row, f"{doing} {plan}, of {rows} rows and more")
    return steps


def _no_scratch() -> Int32Array:
    return np.zeros((1, 0), dtype=np.int32)


def place_name(place: int, vectors: int) -> str:
    """Return the name of a place of a rank whose scratch begins at place ``vectors``."""
    return f"chunk {place}" if place < vectors else f"scratch {place - vectors}"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How ``algorithm`` performs ``collective`` over ``world_size`` ranks.

    ``steps()`` starts a fresh pass over the steps. ``root`` matters only to collectives that
    have one (in send_recv it is how far along each rank sends).

    Chunks are numbered as places in the buffers of a rank: first those of the vector. In a plan
    that keeps input and output ``apart``, that is the vector that is sent, and behind it come
    as many chunks of the one received. Last come the places of ``scratch``, (1 or n, places):
    place i is as long as chunk ``scratch[r, i]`` of rank r.

    A transfer starts when its source is written. By ``issue``, those of a rank on one channel
    also start in the order of the plan; in ``lockstep``, those of a rank do, and it begins a step
    only when the transfers to it in the step before have arrived. With ``under_way`` steps at once,
    it waits for the step that many before; before the steps in ``drains``, for all of them.
    ``waits`` holds all other waits of rows. ``notes``: the remarks of its reader on the file that
    it was read from.

    A plan of the registry has a ``spec``. It is pickled and copied as its spec, which builds the
    steps anew, and equals every plan of an equal spec. Any other plan is pickled with its steps as
    data (CapacityError where they do not fit in memory). With its steps as data, as from a file or
    a function, it equals every plan with the same fields and steps; with steps that are generated,
    itself alone. A plan changed by ``dataclasses.replace`` has no spec.
    """

    collective: str
    algorithm: str
    world_size: int
    root: int
    partition: Partition
    steps: Callable[[], Iterator[Step]]
    order: Order = "free"
    apart: bool = False
    scratch: Int32Array = field(default_factory=_no_scratch)
    waits: Waits | None = None
    under_way: int = 1
    drains: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    spec: PlanSpec | None = field(default=None, init=False, repr=False)
    _digest: bytes = field(default=b"", init=False, repr=False)

    def built_from(self, spec: PlanSpec) -> Plan:
        """Return the same plan with ``spec``, which must build it."""
        plan = replace(self)
        object.__setattr__(plan, "spec", spec)
        return plan

    def __eq__(self, other: object) -> bool:
        """Say whether both are one plan, built from equal specs, or equal in all steps."""
        if not isinstance(other, Plan):
            return NotImplemented
        if self is other:
            return True
        mine = self._identity
        return mine is not None and mine == other._identity

    def __hash__(self) -> int:
        """Return a number that equal plans share."""
        mine = self._identity
        return id(self) if mine is None else hash(mine)

    @property
    def _identity(self) -> Hashable:
        """The value that equal plans share; None for a plan that equals itself alone."""
        if self.spec is None and isinstance(self.steps, RecordedSteps):
            if not self._digest:
                object.__setattr__(self, "_digest", _digest_of(self, self.steps.steps))
            return self._digest
        return self.spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the spec, or without one all fields, the steps as data."""
        if self.spec is not None:
            return _built, (self.spec,)
        values = [getattr(self, each.name) for each in fields(self) if each.init]
        recorded = RecordedSteps.of(self)
        return Plan, tuple(recorded if value is self.steps else value for value in values)

    @property
    def received(self) -> int:
        """Return the place at which the vector of received chunks begins."""
        return self.partition.n_chunks if self.apart else 0

    @property
    def vectors(self) -> int:
        """Return the number of places before the scratch."""
        return self.received + self.partition.n_chunks

    @property
    def n_places(self) -> int:
        """Number of places of a rank."""
        return self.vectors + int(self.scratch.shape[1])

    def place_name(self, place: int) -> str:
        """Return the name of place ``place`` of a rank."""
        return place_name(place, self.vectors)

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        facts = [
            ("collective", self.collective),
            ("algorithm", self.algorithm),
            ("ranks", f"{self.world_size:,}"),
            ("chunks", f"{self.partition.n_chunks:,}"),
            ("order", self.order),
        ]
        if isinstance(self.steps, Sized):
            facts.append(("steps", f"{len(self.steps):,}"))
        return sheet("Plan", facts, note=" ".join(self.notes))

    def __repr__(self) -> str:
        """Say in one line how it performs its collective, and for how many ranks."""
        return one_line(f"<Plan {self}: {self.partition.n_chunks} chunks, order {self.order}>")

    def __str__(self) -> str:
        """Name the plan as error messages do."""
        return f"{self.algorithm} {self.collective} over {self.world_size} ranks"


def _digest_of(plan: Plan, steps: Iterable[Step]) -> bytes:
    """Return a digest of all fields of ``plan``, and of its ``steps``."""
    cut, aside = plan.partition, {"partition", "steps", "scratch", "waits", "spec", "_digest"}
    told = [getattr(plan, each.name) for each in fields(plan) if each.name not in aside]
    told += [cut.blocks, cut.units, cut.edges.tolist(), plan.scratch.tolist()]
    digest = sha256(repr(told).encode("utf-8", "replace"))
    tables: list[Step | Waits] = [*steps, *filter(None, (plan.waits,))]
    for table in tables:
        digest.update(f"{type(table).__name__} {len(table)}".encode())
        for column in fields(table):
            digest.update(getattr(table, column.name).tobytes())
    return digest.digest()


def _built(spec: PlanSpec) -> Plan:
    """Return the plan of a pickled ``spec``."""
    return spec.build()
