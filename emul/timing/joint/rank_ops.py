"""The operations of all ranks on the modelled clock, and their moments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array, UInt8Array
from emul.plans import Program
from emul.plans.proof.verify import MOST_CHANNELS
from emul.reading.brief import brief
from emul.stacks import Stack
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.effects.drawn_delays import Delays, Draws, MessageCounts
from emul.timing.joint.window import Window
from emul.timing.timeline import Timeline, maker
from emul.timing.traffic import Slicing, Transfers
from emul.topology import Network

__all__ = [
    "CHANNELS",
    "NOT_YET_PS",
    "Arrive",
    "Attach",
    "Compute",
    "Failure",
    "Footprint",
    "Hold",
    "Issue",
    "Moments",
    "Outcome",
    "RankOp",
    "Release",
    "Wait",
]


NOT_YET_PS = 1 << 62
"""In the place of a moment that waits for a rank which has not issued its part."""

Release = Literal["arrival", "sent", "issue"]
"""The moment at which a sender is done with a transfer: when all of it has arrived, when its last
byte has left the sender's port and connection, or at once."""

CHANNELS = MOST_CHANNELS
"""Of a communicator; the connections of the next one are numbered after them."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Footprint:
    """The transfers of one collective between ``ranks`` of the world, and who waits for whom.

    ``transfers`` have the ranks of the world; of the channels of communicator c the first has
    number c * CHANNELS in the schedule, so that no two share a connection. ``earlier``, ``later``,
    ``kind``: as engine.dependencies.edges_between takes them. Transfers of few ranks that stand for
    all are as many connections as their ``multiplicity`` says (see emul.timing.quotient).
    ``call_ps``: the time of each rank's software before it sends anything. ``credited``: whose
    credit each transfer takes, as if the collective were alone, as in
    emul.timing.effects.connection_table. ``release``: when a sender is done. ``delays``: who draws
    the delays by chance, None where nothing is late by chance; ``messages``: how many it sends on
    each of its connections. ``windows``: of rings of which few rounds are laid out.
    """

    ranks: Int32Array
    communicator: int
    transfers: Transfers
    earlier: Int32Array
    later: Int32Array
    kind: UInt8Array
    call_ps: int
    credited: Int32Array
    release: Release
    delays: Delays | None
    messages: MessageCounts
    windows: tuple[Window, ...] = ()

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
        release: Release = "arrival",
    ) -> Footprint:
        """Return the part of ``program``, whose rank i is rank ``ranks[i]`` of ``network``.

        ``seed``: of random delays; ``release``: when a sender is done with a transfer.
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
            growth=transfers.growth if len(transfers.growth) else nothing + 1,
        )
        call_ps = transfers.call_ps if len(src) else 0  # nothing is sent, nothing called
        draws = Draws(communicator, MessageCounts.none())
        drawn = ConnectionTable.of(
            placed, seen, seed=seed, start_s=0, until_s=0, windows=windows, draws=draws
        )
        return cls(
            ranks,
            communicator,
            placed,
            *edges.table(),
            call_ps=call_ps,
            credited=drawn.credited,
            release=release,
            delays=drawn.delays if len(drawn.jitter_ps) else None,
            messages=MessageCounts.of(placed),
        )

    @property
    def size(self) -> int:
        """The number of its transfers."""
        return len(self.transfers.src)


def _alone(transfers: Transfers) -> Transfers:
    """Return ``transfers`` without the places that they read and write."""
    return Transfers(*(getattr(transfers, name) for name in Transfers.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Arrive:
    """The clocks of ``ranks``, rising, are noted as their arrival at an issue to come."""

    ranks: Int32Array

    __repr__ = brief


class Issue:
    """All ranks of ``footprint`` issue it, to start after the issue ``after``, if there is one.

    Those of ``arrivals`` issued it when they arrived, which uses the arrivals up, the others now;
    the ranks ``missing``, rising, are yet to issue it (see Attach). ``not_before_ps`` (ranks,):
    before which no rank starts, where the issue before it has left the simulation. ``ordered``: the
    ranks that wait for the issue before it; all if None. ``messages``: how many its connections
    have carried before, by which its delays are drawn.
    """

    __slots__ = (
        "after",
        "arrivals",
        "footprint",
        "messages",
        "missing",
        "not_before_ps",
        "ordered",
    )

    def __init__(
        self,
        footprint: Footprint,
        after: Issue | None,
        arrivals: tuple[Arrive, ...] = (),
        missing: Int32Array | None = None,
        not_before_ps: Int64Array | None = None,
        ordered: Int32Array | None = None,
        messages: MessageCounts | None = None,
    ) -> None:
        """Take the footprint, the issue before it on the same communicator, and who is here."""
        self.messages = MessageCounts.none() if messages is None else messages
        self.ordered = ordered
        self.not_before_ps = not_before_ps
        self.footprint = footprint
        self.after = after
        self.arrivals = arrivals
        self.missing = NOBODY_MISSING if missing is None else missing


NOBODY_MISSING: Int32Array = np.zeros(0, dtype=np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class Attach:
    """The ``ranks`` that were missing in ``issue`` issue it: now, or when they arrived."""

    issue: Issue
    ranks: Int32Array
    arrivals: tuple[Arrive, ...] = ()

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Wait:
    """Some ranks of ``issue``, rising, or all wait until they are done with it."""

    issue: Issue
    ranks: Int32Array | None = None

    __repr__ = brief

    def waiting(self) -> tuple[Int32Array, Int64Array]:
        """Return the ranks that wait, and the place of each among the ranks of the footprint."""
        all_ranks = self.issue.footprint.ranks
        ranks = all_ranks if self.ranks is None else self.ranks
        return ranks, np.searchsorted(all_ranks, ranks)


@dataclass(frozen=True, slots=True, eq=False)
class Hold:
    """Each of ``ranks`` waits until the moment ``until_ps`` (ranks,) of the simulation."""

    ranks: Int32Array
    until_ps: Int64Array

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Compute:
    """Each rank computes for so long: (n,) picoseconds."""

    duration_ps: Int64Array

    __repr__ = brief


RankOp = Arrive | Issue | Attach | Wait | Hold | Compute


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """When each of the ``ranks`` of a collective issued it, started it and was done with it.

    Ranks that are missing are left out. All (ranks,), in picoseconds since the World was made;
    ``started_ps`` is the later of its issue and of when the rank was done with its issue before on
    the same communicator.
    ``straggler_of``: the rank on whose start the end hung, by the chain of causes;
    the rank itself if that is its own. On links that are shared, who else was there is not told.
    A moment that hangs on a missing rank is NOT_YET_PS or later.
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
    def are_known(self) -> BoolArray:
        """Whether the end of each rank is known, which may hang on a missing one: (ranks,)."""
        known: BoolArray = self.done_ps < NOT_YET_PS
        return known

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


@dataclass(frozen=True, slots=True)
class Failure:
    """That an operation failed: at ``moment_ps`` of the simulation, by the path with that name.

    ``text``: why. Its ranks that were not done are done at that moment, or when they start.
    """

    moment_ps: int
    path: str
    text: str

    __repr__ = brief


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """The outcome of operations: each issue's moments, and which of them failed.

    ``timeline``: of everything, with the ``lines`` that are the transfers of each issue.
    """

    moments: dict[Issue, Moments]
    timeline: Timeline
    lines: dict[Issue, slice]
    failures: dict[Issue, Failure]

    __repr__ = brief
