"""Carries the acts of a method out on a World, and reads the time of a step off its clocks."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from emul.communicator import Group
from emul.programs import Act, Compute, Issue, Mark, RankGroup, Send, Wait
from emul.runtime.prediction import Prediction
from emul.runtime.program_path import COMPUTE, PathPart, ProgramPath
from emul.runtime.program_run import MarkRow, ProgramRun
from emul.runtime.trunk_use import trunk_uses
from emul.training.seat import Seat
from emul.training.timed_ranks import TimedRanks
from emul.units import PS_PER_S
from emul.world import World

__all__ = ["Call", "Exposed", "StepTime", "StepTimer"]

BEGIN, END = "begin", "end"
OTHER_RANKS = "other ranks"
WAITING, GOING_ON = "waiting", "going on"

Exposed = dict[tuple[str, str, str], int]
"""Picoseconds by axis, place of the network and term; ``compute`` where another rank is awaited."""


class Call(NamedTuple):
    """A collective that a rank issues along an axis."""

    name: str
    axis: str
    collective: str


@dataclass(frozen=True, slots=True)
class StepTime:
    """The picoseconds of a period, and of the compute in it, of the rank that ends last."""

    period_ps: int
    compute_ps: int
    last_rank: int

    @property
    def waiting_ps(self) -> int:
        """The picoseconds in which that rank waits."""
        return self.period_ps - self.compute_ps


@dataclass(frozen=True)
class StepTimer:
    """A method on the ranks that are timed: ``method`` yields the acts of each of them.

    ``seat``: makes the seat of a rank. ``settings``: of the World. ``carries``: whether
    an operation of a period is awaited in the next. ``inner``: that of the method
    inside a replica, whose step was timed alone.
    """

    ranks: TimedRanks
    method: Callable[[Seat], Iterable[Act]]
    seat: Callable[[int, Callable[[str, str, int], float]], Seat]
    settings: dict[str, Any]
    carries: bool = False
    inner: StepTimer | None = None

    @cached_property
    def world(self) -> World:
        """The World of the ranks that are timed."""
        return World(self.ranks.topology, slicing=self.ranks.slicing, record=True, **self.settings)

    @property
    def seat_of_first(self) -> Seat:
        """The seat of the first rank."""
        return self.seat(0, self.alone_s)

    @property
    def periods_before(self) -> int:
        """The periods before the one that is timed: one where work is carried over."""
        return int(self.carries)

    def timed(self) -> StepTimer:
        """Time the period now, so that errors are raised here, and return this."""
        assert self.time.period_ps >= 0
        return self

    @cached_property
    def time(self) -> StepTime:
        """The time of a period, with links at rest before the first."""
        run = self._run()
        began_ps = max(_ps(row) for row in run.marks if row.name == BEGIN)
        last = max((row for row in run.marks if row.name == END), key=lambda row: row.at_s)
        acts = self.method(self._seat(last.rank, self.periods_before))
        computed = sum(round(act.seconds * PS_PER_S) for act in acts if isinstance(act, Compute))
        return StepTime(_ps(last) - began_ps, computed, last.rank)

    @cached_property
    def exposed(self) -> tuple[Exposed, ProgramPath]:
        """The waiting of the rank that ends last, by the causes, and the path through a period.

        At each moment of its waiting, the path is at one link, or at the compute of a rank.
        """
        run = self._run(waits_of=self.time.last_rank)
        path = self.world.critical_path(BEGIN, END)
        axis_of = {number: _axis_of(group) for number, group in run.groups.items()}
        waits = _spans(run.marks)
        spent: dict[tuple[str, str, str], int] = defaultdict(int)
        for row in path.rows:
            axis = axis_of.get(row.communicator, "") if row.communicator is not None else ""
            for part in row.parts:
                overlap_ps = _overlap(waits, part.from_ps, part.to_ps)
                if overlap_ps:
                    spent[axis, self._place(part), part.term] += overlap_ps
        return dict(spent), path

    def _place(self, part: PathPart) -> str:
        return OTHER_RANKS if part.term == COMPUTE else self.ranks.place(part.place)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The collectives and sends of the first rank in a period, in their order."""
        acts = self.method(self._seat(0, self.periods_before))
        return tuple(
            Call(
                act.name, _axis_of(act.group), act.collective if isinstance(act, Issue) else "send"
            )
            for act in acts
            if isinstance(act, Issue | Send)
        )

    @cached_property
    def trunk_bytes(self) -> dict[str, int]:
        """Return the bytes of a period over each trunk and direction, by the plans of its calls."""
        carried: dict[str, int] = defaultdict(int)
        for act, times in self._operations().items():
            group = self._group(self._members(act))
            for use in trunk_uses(self._predicted(group, act)):
                carried[use.place] += use.nbytes * times
        return dict(carried)

    def _operations(self) -> Counter[Issue]:
        """Return how often each operation of a period is carried out; a send is a broadcast."""
        calls: Counter[Issue] = Counter()
        for rank in range(self.world.size):
            for act in self.method(self._seat(rank, self.periods_before)):
                if isinstance(act, Send):
                    calls[_as_broadcast(act, rank)] += 1
                elif isinstance(act, Issue) and rank == self._members(act)[0]:
                    calls[act] += 1
        return calls

    def alone_s(self, collective: str, axis: str, elements: int) -> float:
        """Return the seconds of a collective of the first group along an axis, alone."""
        seat = self.seat_of_first
        act = seat.issue(collective, axis, elements, name="alone")
        group = self._group(self._members(act))
        return self._predicted(group, act).time_s

    @staticmethod
    def _predicted(group: Group, act: Issue) -> Prediction:
        count, dtype = act.count, act.dtype
        return group.predict(
            act.collective, count, dtype=dtype, algorithm=act.algorithm, root=act.root
        )

    def _group(self, ranks: tuple[int, ...]) -> Group:
        return self.world.group(ranks)

    def _members(self, act: Issue) -> tuple[int, ...]:
        return act.group.ranks or tuple(range(self.world.size))

    def _seat(self, rank: int, before: int) -> Seat:
        return replace(self.seat(rank, self.alone_s), periods_before=before)

    def _run(self, waits_of: int | None = None) -> ProgramRun:
        self.world.restart()
        return self.world.run(lambda rank: self.acts(rank, tells=rank == waits_of))

    def acts(self, rank: int, *, tells: bool = False) -> Iterator[Act]:
        """Yield the acts of a rank, between marks; with ``tells``, also marks around its waits."""
        for before in range(self.periods_before):
            yield from self.method(self._seat(rank, before))
        yield Mark(BEGIN)
        for act in self.method(self._seat(rank, self.periods_before)):
            if tells and isinstance(act, Wait):
                yield from (Mark(WAITING), act, Mark(GOING_ON))
            else:
                yield act
        yield Mark(END)


def _spans(marks: Iterable[MarkRow]) -> list[tuple[int, int]]:
    """Return the stretches between marks at which a rank waits, in picoseconds."""
    since = [_ps(row) for row in marks if row.name == WAITING]
    until = [_ps(row) for row in marks if row.name == GOING_ON]
    return [span for span in zip(since, until, strict=True) if span[0] < span[1]]


def _overlap(spans: list[tuple[int, int]], since: int, until: int) -> int:
    """Return how much of a stretch is in ``spans``, which rise and do not overlap."""
    spent, at = 0, max(0, bisect_right(spans, (since, since)) - 1)
    while at < len(spans) and spans[at][0] < until:
        spent += max(0, min(until, spans[at][1]) - max(since, spans[at][0]))
        at += 1
    return spent


def _axis_of(group: RankGroup) -> str:
    """Return the axis of a group, whose name may have the number of a lane behind it."""
    return group.name.partition(" ")[0]


def _as_broadcast(act: Send, rank: int) -> Issue:
    """Return the broadcast that goes the way of a message."""
    group, root = RankGroup((rank, act.to)), int(rank > act.to)
    return Issue(
        "broadcast", act.count, dtype=act.dtype, group=group, root=root, algorithm="direct"
    )


def _ps(row: MarkRow) -> int:
    return round(row.at_s * PS_PER_S)
