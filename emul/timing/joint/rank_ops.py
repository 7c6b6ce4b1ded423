"""The operations of all ranks on the modelled clock, and their moments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from emul.arrays import Int32Array, Int64Array, UInt8Array
from emul.plans import Program
from emul.plans.proof.verify import MOST_CHANNELS
from emul.reading.brief import brief
from emul.stacks import Stack
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.timeline import Timeline, maker
from emul.timing.traffic import Slicing, Transfers
from emul.topology import Network

__all__ = [
    "CHANNELS",
    "Compute",
    "Footprint",
    "Issue",
    "Join",
    "Moments",
    "Outcome",
    "RankOp",
    "Wait",
]


CHANNELS = MOST_CHANNELS
"""Of a communicator; the connections of the next one are numbered after them."""


@dataclass(frozen=True, slots=True, eq=False)
class Footprint:
    """The transfers of one collective between ``ranks`` of the world, and who waits for whom.

    ``transfers`` have the ranks of the world; of the channels of communicator c the first has
    number c * CHANNELS in the schedule, so that no two share a connection. ``earlier``, ``later``,
    ``kind``: as engine.dependencies.edges_between takes them. Transfers of few ranks that stand for
    all are as many connections as their ``multiplicity`` says (see emul.timing.quotient).
    ``call_ps``: the time of each rank's software before it sends anything. ``jitter_ps``,
    ``tail_ps``: the delay of each transfer by chance, and ``credited``: whose credit it takes, as
    if the collective were alone, as in emul.timing.effects.connection_table.
    """

    ranks: Int32Array
    communicator: int
    transfers: Transfers
    earlier: Int32Array
    later: Int32Array
    kind: UInt8Array
    call_ps: int
    jitter_ps: Int64Array
    tail_ps: Int64Array
    credited: Int32Array

    __repr__ = brief

    @classmethod
    def of(
        cls,
        program: Program,
        network: Network,
        slicing: Slicing | None,
        stack: Stack,
        ranks: Int32Array,
        communicator: int,
        seed: int,
    ) -> Footprint:
        """Return the part of ``program``, whose rank i is rank ``ranks[i]`` of ``network``.

        ``seed``: of random delays.
        """
        make, windows = maker(program, network, slicing, stack)
        transfers, edges, seen = make()
        src, dst = ranks[transfers.src], ranks[transfers.dst]
        nothing: Int64Array = np.zeros(len(src), dtype=np.int64)
        # The cost of a message on this call, beyond the network's, comes on top of it.
        more = np.append(seen.path_overhead_ps - network.path_overhead_ps, 0)
        host_ps: Int64Array = (more[network.paths(src, dst)] * transfers.begins).astype(np.int64)
        if len(transfers.host_ps):
            host_ps += transfers.host_ps
        placed = replace(
            _alone(transfers),
            src=src,
            dst=dst,
            host_ps=host_ps,
            completion_ps=transfers.completion_ps if len(transfers.completion_ps) else nothing,
            takes=transfers.takes if transfers.credit else nothing,
            remainder=transfers.remainder if transfers.credit else nothing.astype(np.uint8),
            call_ps=0,
        )
        call_ps = transfers.call_ps if len(src) else 0  # nothing is sent, nothing called
        drawn = ConnectionTable.of(placed, seen, seed=seed, start_s=0, until_s=0, windows=windows)
        return cls(
            ranks,
            communicator,
            placed,
            *edges.table(),
            call_ps=call_ps,
            jitter_ps=drawn.jitter_ps,
            tail_ps=drawn.tail_ps,
            credited=drawn.credited,
        )


def _alone(transfers: Transfers) -> Transfers:
    """Return ``transfers`` without the places that they read and write."""
    return Transfers(*(getattr(transfers, name) for name in Transfers.__slots__))


class Issue:
    """All ranks of ``footprint`` issue it, to start after the issue ``after``, if there is one."""

    __slots__ = ("after", "footprint")

    def __init__(self, footprint: Footprint, after: Issue | None) -> None:
        """Take the footprint, and the issue before it on the same communicator."""
        self.footprint = footprint
        self.after = after


@dataclass(frozen=True, slots=True, eq=False)
class Wait:
    """All ranks of ``issue`` wait until they are done with it."""

    issue: Issue

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Compute:
    """Each rank computes for so long: (n,) picoseconds."""

    duration_ps: Int64Array

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Join:
    """No one of ``ranks`` goes on before all of them are here."""

    ranks: Int32Array

    __repr__ = brief


RankOp = Issue | Wait | Compute | Join


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """When each of the ``ranks`` of a collective issued it, started it and was done with it.

    All (ranks,), in picoseconds since the World was made; ``started_ps`` is the later of its issue
    and of when the rank was done with its issue before on the same communicator.
    ``straggler_of``: the rank on whose start the end hung, by the chain of causes;
    the rank itself if that is its own. On links that are shared, who else was there is not told.
    """

    ranks: Int32Array
    issued_ps: Int64Array
    started_ps: Int64Array
    done_ps: Int64Array
    straggler_of: Int32Array

    __repr__ = brief

    def after(self, ps: int) -> Moments:
        """Return the same, so much later."""
        return replace(
            self,
            issued_ps=self.issued_ps + ps,
            started_ps=self.started_ps + ps,
            done_ps=self.done_ps + ps,
        )

    @property
    def waited_for(self) -> Int32Array:
        """The same as ``straggler_of``, by its former name."""
        return self.straggler_of

    @property
    def time_ps(self) -> int:
        """From when the first rank started until the last was done."""
        return int(self.done_ps.max()) - int(self.started_ps.min())

    @property
    def waiting_ps(self) -> Int64Array:
        """For how long each rank waited for another to start, 0 where that was there before it."""
        at = np.searchsorted(self.ranks, self.straggler_of)
        late: Int64Array = np.maximum(0, self.started_ps[at] - self.started_ps)
        return late

    @property
    def straggler(self) -> int | None:
        """The rank for which the others waited longest; None when nobody waited."""
        waiting = self.waiting_ps
        if not waiting.any():
            return None
        return int(self.straggler_of[waiting.argmax()])


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The outcome of operations: each issue's moments.

    ``timeline``: of everything, with the ``lines`` that are the transfers of each issue.
    """

    moments: dict[Issue, Moments]
    timeline: Timeline
    lines: dict[Issue, slice]

    __repr__ = brief
