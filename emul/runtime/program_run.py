"""Programs of single ranks on the clocks of a World, and the moments that they come to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from emul.arrays import Int32Array
from emul.errors import ArgumentError, shown
from emul.ops import dtype_named
from emul.programs import Act, Log, RankGroup, Recv, Send
from emul.programs.groups import WORLD
from emul.programs.meeting import Call
from emul.programs.merge import merge
from emul.reading.brief import one_line
from emul.runtime.alone_period import Arrival
from emul.runtime.engine import Engine
from emul.runtime.history import HistoryRow
from emul.runtime.messages import Envelope, Parcel
from emul.runtime.operation import Operation
from emul.runtime.planner import Planner
from emul.runtime.record import Mark
from emul.runtime.request import Request
from emul.timing import Release
from emul.units import PS_PER_S, format_time

__all__ = ["MarkRow", "Program", "ProgramClocks", "ProgramRun", "run_program"]

Program = Log | str | Path | Mapping[int, Iterable[Act]] | Callable[[int], Iterable[Act]]
"""A log, its file or folder, or the acts of each rank: by rank, or from a function of the rank."""


class MarkRow(NamedTuple):
    """The clock of a rank when it came to a mark, in seconds since the World was made."""

    name: str
    rank: int
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class ProgramRun:
    """The moments of a program: see World.run.

    ``time_s``: from the latest clock before it to the latest after it. ``ranks_now_s`` (n,): the
    clocks after it. ``marks``: in the order of time, then of ranks, each with its ``name``, its
    ``rank`` and ``at_s``, the clock of the rank there. ``operations``: the rows of the World's
    history that the program added, the last 4096; that of a failed operation says why. ``groups``:
    those of all programs of the World so far, by the number of their communicator.
    """

    time_s: float
    ranks_now_s: npt.NDArray[np.float64]
    marks: tuple[MarkRow, ...]
    operations: tuple[HistoryRow, ...]
    groups: Mapping[int, RankGroup] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say the modelled time in one line."""
        return one_line(
            f"<ProgramRun of {len(self.ranks_now_s)} ranks: modelled {format_time(self.time_s)}, "
            f"{len(self.operations)} operations, {len(self.marks)} marks>"
        )

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        facts = [
            ("ranks", f"{len(self.ranks_now_s):,}"),
            ("modelled time", format_time(self.time_s)),
            ("operations", f"{len(self.operations):,}"),
            ("marks", f"{len(self.marks):,}"),
        ]
        return sheet("ProgramRun", facts)


@dataclass(frozen=True, slots=True, eq=False)
class _Member:
    """The ranks of a group on a communicator of its own, and the planner of their places."""

    ranks: Int32Array
    number: int
    planner: Planner
    ordered: None = None
    release: Release = "arrival"

    @property
    def communicator(self) -> int:
        """The number of the communicator: its own."""
        return self.number


class ProgramClocks:
    """The clocks of an engine as programs of ranks make them go on: see emul.programs.merge.Clocks.

    Groups keep their communicators from one program to the next.
    """

    def __init__(self, engine: Engine) -> None:
        """Take the engine."""
        self.engine = engine
        everyone: Int32Array = np.arange(engine.topology.world_size, dtype=np.int32)
        self._members = {WORLD: _Member(everyone, 0, engine.planner)}
        self._marks: list[Mark] = []

    def compute(self, durations_ps: list[int], ranks: list[int]) -> None:
        """Let each of ``ranks`` compute, (ranks,) picoseconds."""
        clocks, each = self.engine.clocks, np.array(durations_ps, dtype=np.int64)
        if len(ranks) == clocks.size and not np.ptp(each):
            clocks.compute(durations_ps[0], None)
        else:
            clocks.compute(each, _numbers(ranks))

    def arrive(self, ranks: list[int]) -> Arrival:
        """Return the arrival of ``ranks`` at an operation to come."""
        return self.engine.clocks.arrive(_numbers(ranks))

    def issue(self, call: Call, group: RankGroup, arrivals: list[Any]) -> Operation:
        """Issue a collective to which all ranks of ``group`` came."""
        return self._issue(self._member(group), Request(*call), tuple(arrivals))

    def send(self, act: Send, rank: int) -> Operation | None:
        """Let ``rank`` send; return the operation, None where the receiver must come first."""
        parcel = Parcel(act.count, dtype_named(act.dtype))
        message = self.engine.messages.send(self._envelope(act, rank, act.to), parcel, waits=False)
        return message.operation

    def recv(self, act: Recv, rank: int) -> Operation | None:
        """Let ``rank`` receive; return the operation, None where the sender has not come."""
        envelope = self._envelope(act, act.source, rank)
        return self.engine.messages.receive(envelope, _fits, waits=False).operation

    def wait(self, operation: Any, ranks: list[int]) -> None:
        """Let some ranks of an operation wait until their own part of it is done."""
        self.engine.clocks.wait(operation, _numbers(ranks))

    def mark(self, name: str, ranks: list[int]) -> None:
        """Note the clocks of ``ranks``."""
        self._marks.append(self.engine.clocks.mark(name, _numbers(ranks)))

    @property
    def groups(self) -> dict[int, RankGroup]:
        """The groups so far, by the number of their communicator."""
        return {member.number: group for group, member in self._members.items()}

    def take_marks(self) -> tuple[MarkRow, ...]:
        """Return the marks since this was asked last."""
        marks, self._marks = self._marks, []
        rows = [
            MarkRow(mark.name, rank, ps / PS_PER_S)
            for mark, clocks_ps in zip(marks, self.engine.clocks.told_marks(marks), strict=True)
            for rank, ps in zip(mark.ranks.tolist(), clocks_ps.tolist(), strict=True)
        ]
        return tuple(sorted(rows, key=lambda row: (row.at_s, row.rank)))

    def _issue(self, member: _Member, request: Request, arrivals: tuple[Arrival, ...]) -> Operation:
        clocks, planner = self.engine.clocks, member.planner
        at_ps = clocks.earliest_ps(member.ranks) if planner.changes else 0
        prepared = planner.prepare(request, at_ps)
        return clocks.issue(member, prepared, arrivals)

    def _member(self, group: RankGroup) -> _Member:
        member = self._members.get(group)
        if member is None:
            everyone = tuple(range(self.engine.topology.world_size))
            ranks = everyone if group.ranks is None else group.ranks
            member = self._members[group] = self._new_member(ranks)
        return member

    def _new_member(self, ranks: tuple[int, ...]) -> _Member:
        planner = self.engine.planner_of(self.engine.topology.of_ranks(ranks))
        return _Member(_numbers(ranks), next(self.engine.numbers), planner)

    def _envelope(self, act: Send | Recv, src: int, dst: int) -> Envelope:
        return Envelope(self._member(act.group).number, src, dst, act.tag)


def run_program(clocks: ProgramClocks, program: Program) -> ProgramRun:
    """Carry a program out, and return the moments that it comes to. Raises as World.run does."""
    engine = clocks.engine
    size, rank_clocks = engine.topology.world_size, engine.clocks
    by_rank, places = _by_rank(program, size)
    before = rank_clocks.history()
    first = before[-1].number + 1 if before else 0
    began_ps = rank_clocks.moment_ps()
    try:
        merge(by_rank, clocks, places)
    finally:
        marks = clocks.take_marks()
    now_ps = rank_clocks.clocks_ps()
    rows = rank_clocks.history()
    return ProgramRun(
        (int(now_ps.max()) - began_ps) / PS_PER_S,
        now_ps / PS_PER_S,
        marks,
        tuple(row for row in rows if row.number >= first),
        clocks.groups,
    )


def _by_rank(
    program: Program, size: int
) -> tuple[list[Iterable[Act]], Callable[[int, int], str] | None]:
    """Return the acts of each of ``size`` ranks, and where they stand if they are of a log."""
    if isinstance(program, str | Path):
        program = Log.read(program)
    if isinstance(program, Log):
        if program.world_size != size:
            raise ArgumentError(
                f"a log of {program.world_size} ranks: needed one of {size}, or a World of as "
                "many, as World(topology.of_ranks([0, 8, 16]))"
            )
        return list(program.acts), program.place
    if isinstance(program, Mapping):
        others = [rank for rank in program if rank not in range(size)]
        if others:
            raise ArgumentError(f"rank {shown(others[0])}: needed ranks from 0 to {size - 1}")
        return [program.get(rank, ()) for rank in range(size)], None
    if callable(program):
        return [program(rank) for rank in range(size)], None
    raise ArgumentError(
        f"program {shown(program)}: needed a Log, its path, or the acts of each rank"
    )


def _numbers(ranks: Iterable[int]) -> Int32Array:
    return np.array(ranks, dtype=np.int32)


def _fits(_: Parcel) -> None:
    """Take any parcel: the sizes of both ends were compared before."""
