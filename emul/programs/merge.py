"""From the acts of single ranks to one program of all: who meets whom, in a fixed order.

Rounds: in each, every rank that can go on carries out one act, so acts that many ranks carry out
alike reach the clocks as one call. A rank can go on unless it waits for an operation to which
others have yet to come. The k-th issue of a communicator on each of its ranks is one operation, and
the k-th send of a rank to another under a tag meets the k-th receive. Nothing depends on a modelled
time, so the same acts make the same program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn, Protocol

from emul.errors import EmulError, ProgramError, listed, one_of_many, shown
from emul.programs.acts import Act, Compute, Issue, Mark, Recv, Send, Wait
from emul.programs.groups import RankGroup
from emul.programs.meeting import (
    Call,
    Came,
    CollectiveMeeting,
    Communicators,
    Meeting,
    MessageMeetings,
    UnlikeError,
)
from emul.units import PS_PER_S

__all__ = ["Clocks", "Places", "merge"]

END = object()

Places = Callable[[int, int], str]
"""Returns in words where an act stands: of a rank, the act with a number, counted from 0."""


class Clocks(Protocol):
    """The clocks of all ranks, as a program makes them go on. Ranks rise within a call."""

    def compute(self, durations_ps: list[int], ranks: list[int]) -> None:
        """Let each of ``ranks`` compute, (ranks,) picoseconds."""

    def mark(self, name: str, ranks: list[int]) -> None:
        """Note the clocks of ``ranks`` under ``name``."""

    def arrive(self, ranks: list[int]) -> object:
        """Return the arrival of ``ranks``, at their clocks, at an operation to come."""

    def issue(self, call: Call, group: RankGroup, arrivals: list[object]) -> object:
        """Return the operation of a call to which all ranks of ``group`` came, in ``arrivals``.

        Operations of equal groups are those of one communicator, and come in their order.
        """

    def send(self, act: Send, rank: int) -> object | None:
        """Let ``rank`` send; return the operation, or None where the receiver must come first."""

    def recv(self, act: Recv, rank: int) -> object | None:
        """Let ``rank`` receive; return the operation, or None where the sender has not come.

        The receives of a group find the sends of the same ranks and tag in their order.
        """

    def wait(self, operation: object, ranks: list[int]) -> None:
        """Let some ranks of an operation wait until their own part of it is done."""


def merge(programs: Sequence[Iterable[Act]], clocks: Clocks, places: Places | None = None) -> None:
    """Carry out the acts of all ranks on ``clocks``; ``programs[r]`` yields those of rank r.

    ``places``: where acts stand, for errors. Raises ProgramError, naming ranks and calls, where
    ranks of a communicator call different things, where a message has two sizes, and where no rank
    can go on; the clocks are then at some moment of the program.
    """
    _Merge(programs, clocks, places or _place).run()


def _place(rank: int, number: int) -> str:
    return f"rank {rank}, act {number}"


class _Rank:
    """One rank: its acts, and the operations that it issued and has not waited for."""

    __slots__ = ("acts", "ended", "issued", "number", "numbers", "open", "waits")

    def __init__(self, acts: Iterable[Act]) -> None:
        """Begin before the first act."""
        self.acts = iter(acts)
        self.number = -1  # of the act that it is at
        self.ended = False
        self.issued = 0
        self.open: dict[int, tuple[str, Meeting]] = {}
        self.numbers: dict[str, list[int]] = {}  # of open operations, by their names
        self.waits: list[Meeting] = []

    def issue(self, name: str, operation: Meeting) -> None:
        """Number an operation, and note its name."""
        self.open[self.issued] = name, operation
        if name:
            self.numbers.setdefault(name, []).append(self.issued)
        self.issued += 1

    def close(self, of: str | int) -> list[Meeting]:
        """Return the open operations of a wait; raises ProgramError where none ever was."""
        if isinstance(of, str):
            if of not in self.numbers:
                raise ProgramError(
                    f"wait for {shown(of)}: needed the name of an operation of this rank before"
                )
            numbers, self.numbers[of] = self.numbers[of], []
            return [self.open.pop(number)[1] for number in numbers]
        number = of if of >= 0 else self.issued + of
        if not 0 <= number < self.issued:
            raise ProgramError(
                f"wait for operation {of}: needed one of the {self.issued} that this rank issued"
            )
        if number not in self.open:
            return []
        name, operation = self.open.pop(number)
        if name:
            self.numbers[name].remove(number)
        return [operation]


class _Merge:
    """The program of all ranks, from its beginning on."""

    def __init__(self, programs: Sequence[Iterable[Act]], clocks: Clocks, places: Places) -> None:
        """Begin before the first act of every rank."""
        self.ranks = [_Rank(acts) for acts in programs]
        self.clocks = clocks
        self.places = places
        self.communicators = Communicators(len(self.ranks))
        self.messages = MessageMeetings()
        self.carry_out: dict[type, Callable[[int, _Rank, Any], bool]] = {
            Compute: self._compute,
            Issue: self._issue,
            Send: self._message,
            Recv: self._message,
            Wait: self._wait,
            Mark: self._mark,
        }
        self._begin_round()

    def _begin_round(self) -> None:
        self.computing: tuple[list[int], list[int]] = [], []  # picoseconds, ranks
        self.marking: dict[str, list[int]] = {}
        self.arriving: dict[CollectiveMeeting, list[int]] = {}
        self.waiting: dict[Meeting, list[int]] = {}
        self.released: list[int] = []

    def run(self) -> None:
        """Carry out all acts."""
        going = list(range(len(self.ranks)))
        while going:
            going = [rank for rank in going if self._go_on(rank)]
            released = self._end_round()
            if released:
                going = sorted(going + released)
        self._check_complete()

    def _go_on(self, rank: int) -> bool:
        """Let a rank carry out its next act; say whether it can go on."""
        state = self.ranks[rank]
        if state.waits:
            return self._settle(rank, state)
        act: Any = next(state.acts, END)
        if act is END:
            state.ended = True
            return False
        state.number += 1
        carry_out = self.carry_out.get(type(act))
        if carry_out is None:
            self._refuse(rank, f"{shown(act)}: needed an act")
        try:
            return carry_out(rank, state, act)
        except ProgramError as error:
            self._refuse(rank, str(error))
        except UnlikeError as unlike:
            self._refuse_unlike(rank, act, unlike.operation)

    def _compute(self, rank: int, _: _Rank, act: Compute) -> bool:
        self.computing[0].append(round(act.seconds * PS_PER_S))
        self.computing[1].append(rank)
        return True

    def _mark(self, rank: int, _: _Rank, act: Mark) -> bool:
        self.marking.setdefault(act.name, []).append(rank)
        return True

    def _issue(self, rank: int, state: _Rank, act: Issue) -> bool:
        communicator = self.communicators.of(act.group, rank)
        operation = communicator.came(Came(rank, state.number, act))
        self.arriving.setdefault(operation, []).append(rank)
        state.issue(act.name, operation)
        return True

    def _message(self, rank: int, state: _Rank, act: Send | Recv) -> bool:
        other = act.to if isinstance(act, Send) else act.source
        if other == rank or other >= len(self.ranks):
            raise ProgramError(f"{act}: needed another rank, from 0 to {len(self.ranks) - 1}")
        for end in (rank, other):
            self.communicators.of(act.group, end)
        message = self.messages.came(Came(rank, state.number, act))
        begin = self.clocks.send if isinstance(act, Send) else self.clocks.recv
        issued = begin(act, rank)  # type: ignore[arg-type]
        if message.issued is None:
            message.issued = issued
            self.released += message.stopped if issued is not None else []
        state.issue(act.name, message)
        return True

    def _wait(self, rank: int, state: _Rank, act: Wait) -> bool:
        state.waits = state.close(act.of)
        return self._settle(rank, state)

    def _settle(self, rank: int, state: _Rank) -> bool:
        """Let a rank wait for its operations if all ranks of them have come, or else stop it."""
        for operation in state.waits:
            if operation.issued is None:
                operation.stopped.append(rank)
                return False
        for operation in state.waits:
            self.waiting.setdefault(operation, []).append(rank)
        state.waits = []
        return True

    def _end_round(self) -> list[int]:
        """Tell the clocks; return the ranks that waited for operations issued in this round."""
        clocks = self.clocks
        durations_ps, ranks = self.computing
        if ranks:
            clocks.compute(durations_ps, ranks)
        for name, ranks in self.marking.items():
            clocks.mark(name, ranks)
        for operation, ranks in self.waiting.items():
            clocks.wait(operation.issued, ranks)
        for operation, ranks in self.arriving.items():
            operation.arrivals.append(clocks.arrive(ranks))
            if not operation.missing:
                self._tell(operation)
                self.released += operation.stopped
        released = self.released
        self._begin_round()
        return released

    def _tell(self, operation: CollectiveMeeting) -> None:
        """Issue an operation to which all ranks have come."""
        communicator = operation.communicator
        del communicator.open[operation.number]
        try:
            call = operation.call()
        except EmulError as error:
            self._refuse(operation.came.rank, str(error), operation.came.number)
        operation.issued = self.clocks.issue(call, communicator.group, operation.arrivals)

    def _refuse(self, rank: int, why: str, number: int | None = None) -> NoReturn:
        """Raise the error about an act of ``rank``: the one that it is at, or another."""
        at = self.places(rank, self.ranks[rank].number if number is None else number)
        raise ProgramError(f"{at}: {why}")

    def _refuse_unlike(self, rank: int, act: Act, operation: Meeting) -> NoReturn:
        """Raise the error about a call that is not that of the rank which came first."""
        first = self.places(operation.came.rank, operation.came.number)
        self._refuse(rank, f"{act}, but {first}: {operation}: {operation.needed}")

    def _check_complete(self) -> None:
        """Raise the error about all waits, or all operations, to which ranks did not come."""
        waiting = [
            f"{self.places(rank, state.number)} waits for {operation}, {operation.lacking()}"
            for rank, state in enumerate(self.ranks)
            for operation in state.waits
            if operation.issued is None
        ]
        if waiting:
            ended = listed(str(rank) for rank, state in enumerate(self.ranks) if state.ended)
            over = f", and the acts of {ended} are over" if ended else ""
            raise ProgramError(f"no rank can go on{over}: {one_of_many(waiting)}")
        open_still = [*self.communicators.open(), *self.messages.open()]
        if open_still:
            told = (
                f"{self.places(operation.came.rank, operation.came.number)}: {operation}, "
                f"{operation.lacking()}"
                for operation in open_still
            )
            raise ProgramError(f"all acts are over: {one_of_many(told)}")
