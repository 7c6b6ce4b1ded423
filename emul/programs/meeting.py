"""Where ranks meet: the operations of communicators, and the messages between two ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterator
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from emul.errors import ArgumentError, ProgramError, listed
from emul.ops import dtype_named
from emul.plans import COLLECTIVES, Plan, Schedule, Shape
from emul.programs.acts import Act, Issue, Recv, Send
from emul.programs.groups import RankGroup

__all__ = [
    "Call",
    "Came",
    "CollectiveMeeting",
    "Communicators",
    "Meeting",
    "MessageMeeting",
    "MessageMeetings",
    "UnlikeError",
]

SAME = attrgetter("collective", "dtype", "op", "algorithm", "root", "shift")
"""The fields in which the calls of all ranks agree, beside the counts."""

CALLS_KEPT = 1024


class Call(NamedTuple):
    """A collective that all ranks of a communicator called; the fields are those of a Request."""

    shape: Shape
    itemsize: int
    op: str
    algorithm: str | Plan | Schedule
    root: int


class Came(NamedTuple):
    """That a rank came to an operation, by its act with this number, counted from 0."""

    rank: int
    number: int
    act: Act


class UnlikeError(Exception):
    """A rank came to an ``operation`` with another call than the ranks before it."""

    def __init__(self, operation: Meeting) -> None:
        """Take the operation."""
        super().__init__(str(operation))
        self.operation = operation


class Meeting(ABC):
    """One operation, from the first rank that comes to it.

    ``issued``: the operation of the clocks, None as long as other ranks have to come first.
    ``stopped``: the ranks that wait for that.
    """

    __slots__ = ("came", "issued", "stopped")

    needed = "needed the same call of every rank"

    def __init__(self, came: Came) -> None:
        """Take the first rank that came."""
        self.issued: object = None
        self.came = came
        self.stopped: list[int] = []

    @abstractmethod
    def lacking(self) -> str:
        """Return in words which ranks have not come."""


class CollectiveMeeting(Meeting):
    """Operation ``number`` of a communicator, counted from 0.

    ``arrivals``: of the ranks that came, by the clocks; ``missing``: the number of the others.
    """

    __slots__ = ("arrivals", "communicator", "missing", "number", "rows")

    def __init__(self, communicator: CollectiveMeetings, number: int, came: Came) -> None:
        """Take the call of the first rank that came."""
        super().__init__(came)
        self.arrivals: list[object] = []
        self.missing = len(communicator.ranks)
        self.communicator = communicator
        self.number = number
        self.rows: dict[int, tuple[int, ...]] = {}  # of all_to_all with counts, by rank

    def __str__(self) -> str:
        """Name the operation as errors do."""
        return f"{self.came.act}, operation {self.number} of {self.communicator.group}"

    def take(self, rank: int, act: Issue) -> None:
        """Take the call of one more rank; raises UnlikeError for another call."""
        first, count = self.came.act, act.count
        assert isinstance(first, Issue)
        same = count == first.count
        if act.collective == "all_to_all" and isinstance(count, tuple):
            self.rows[rank] = count
            same = isinstance(first.count, tuple)
        if act is not first and not (same and SAME(act) == SAME(first)):
            raise UnlikeError(self)
        self.missing -= 1

    def call(self) -> Call:
        """Return the call of all ranks, once they have come; raises EmulError where none fits."""
        act, ranks = self.came.act, self.communicator.ranks
        assert isinstance(act, Issue)
        count = tuple(self.rows[rank] for rank in ranks) if self.rows else act.count
        of = act.collective, count, act.dtype, act.op, act.algorithm, act.root, act.shift
        return _call(len(ranks), *of)

    def lacking(self) -> str:
        """Return in words which ranks have not come."""
        issued = self.communicator.issued
        late = [str(rank) for rank in self.communicator.ranks if issued.get(rank, 0) <= self.number]
        return f"to which rank{'s' if len(late) > 1 else ''} {listed(late)} did not come"


@lru_cache(CALLS_KEPT)
def _call(
    n: int,
    collective: str,
    count: int | tuple[int, ...] | tuple[tuple[int, ...], ...],
    dtype: str,
    op: str,
    algorithm: str | Plan | Schedule,
    root: int,
    shift: int,
) -> Call:
    """Return a call over ``n`` ranks."""
    promise = COLLECTIVES[collective]
    if isinstance(count, tuple):
        shape = Shape.of_counts(promise, n, count)
    else:
        shape = Shape.of(promise, n, count)
    if root >= n:
        raise ArgumentError(f"root {root}: needed a rank of the group, from 0 to {n - 1}")
    root = shift % n if collective == "send_recv" else root
    return Call(shape, dtype_named(dtype).itemsize, op, algorithm, root)


class CollectiveMeetings:
    """The ranks of a group, and how many operations each has issued on it."""

    def __init__(self, group: RankGroup, ranks: tuple[int, ...]) -> None:
        """Begin without operations."""
        self.group = group
        self.ranks = ranks
        self.members: Collection[int] = frozenset(ranks)
        self.issued: dict[int, int] = {}
        self.open: dict[int, CollectiveMeeting] = {}

    def came(self, came: Came) -> CollectiveMeeting:
        """Return the operation to which a rank came; raises UnlikeError."""
        number = self.issued.get(came.rank, 0)
        self.issued[came.rank] = number + 1
        operation = self.open.get(number)
        if operation is None:
            operation = self.open[number] = CollectiveMeeting(self, number, came)
        assert isinstance(came.act, Issue)
        operation.take(came.rank, came.act)
        return operation


class Communicators:
    """The communicators of a world of ``world_size`` ranks, by their groups."""

    def __init__(self, world_size: int) -> None:
        """Begin with none."""
        self.world_size = world_size
        self._by_group: dict[RankGroup, CollectiveMeetings] = {}

    def of(self, group: RankGroup, rank: int) -> CollectiveMeetings:
        """Return the communicator of ``group``, which ``rank`` must be of: ProgramError."""
        found = self._by_group.get(group)
        if found is None:
            ranks = tuple(range(self.world_size)) if group.ranks is None else group.ranks
            if ranks[-1] >= self.world_size:
                raise ProgramError(f"{group}: needed ranks from 0 to {self.world_size - 1}")
            found = self._by_group[group] = CollectiveMeetings(group, ranks)
        if rank not in found.members:
            raise ProgramError(f"{group}: needed a group with rank {rank}, which uses it")
        return found

    def open(self) -> Iterator[CollectiveMeeting]:
        """Yield the operations to which not all ranks have come."""
        for communicator in self._by_group.values():
            yield from communicator.open.values()


class MessageMeeting(Meeting):
    """A message from one rank to another, of which one end has come, or both."""

    __slots__ = ("dst", "src")

    needed = "needed the same size of both"

    def __init__(self, src: int, dst: int, came: Came) -> None:
        """Take the end that came first."""
        super().__init__(came)
        self.src = src
        self.dst = dst

    def __str__(self) -> str:
        """Name the end that came first, as errors do."""
        return str(self.came.act)

    def lacking(self) -> str:
        """Return in words which rank has not come."""
        if isinstance(self.came.act, Send):
            return f"for which rank {self.dst} has no recv"
        return f"for which rank {self.src} has no send"


class MessageMeetings:
    """The messages of which one end has come, in the order in which they were begun."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[tuple[RankGroup, int, int, int], deque[MessageMeeting]] = {}

    def came(self, came: Came) -> MessageMeeting:
        """Return the message to which a rank came; raises UnlikeError for another size."""
        act = came.act
        assert isinstance(act, Send | Recv)
        is_send = isinstance(act, Send)
        src, dst = (came.rank, act.to) if isinstance(act, Send) else (act.source, came.rank)
        key = act.group, src, dst, act.tag
        waiting = self._open.get(key)
        if waiting is None or isinstance(waiting[0].came.act, Send) == is_send:
            message = MessageMeeting(src, dst, came)
            self._open.setdefault(key, deque()).append(message)
            return message
        message = waiting.popleft()
        if not waiting:
            del self._open[key]
        if _nbytes(message.came.act) != _nbytes(act):
            raise UnlikeError(message)
        return message

    def open(self) -> Iterator[MessageMeeting]:
        """Yield the messages of which one end has not come."""
        for waiting in self._open.values():
            yield from waiting


def _nbytes(act: Act) -> int:
    assert isinstance(act, Send | Recv)
    return act.count * _itemsize(act.dtype)


@lru_cache(None)
def _itemsize(dtype: str) -> int:
    return dtype_named(dtype).itemsize
