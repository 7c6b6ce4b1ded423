"""One operation: a collective on the modelled clock, from its issue until every rank is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from emul.arrays import BoolArray, Int32Array
from emul.errors import TimeLimitError
from emul.plans import Program
from emul.runtime.history import HistoryEntry
from emul.runtime.prediction import Prediction
from emul.runtime.prepared import Prepared
from emul.timing import Issue, MessageCounts, Moments, Release
from emul.units import PS_PER_S

__all__ = ["LATEST_PS", "Failed", "Issuer", "Operation", "checked_clock"]

LATEST_PS = 1 << 61
"""The latest clock that is asked for, and the largest difference of two: 26 days. The time of any
collective can be added without wrapping."""


class Issuer(Protocol):
    """The ranks that issue collectives together: the world, or a group of its ranks."""

    @property
    def ranks(self) -> Int32Array:
        """The ranks of the world, rising."""

    @property
    def number(self) -> int:
        """0 for the world, then groups, and pairs that send, in the order of their making."""

    @property
    def communicator(self) -> int:
        """The number of the communicator that they belong to: their own, but of a pair."""

    @property
    def ordered(self) -> Int32Array | None:
        """The ranks that start an operation after the one before it; all if None."""

    @property
    def release(self) -> Release:
        """When a sender is done with a transfer."""


GONE = ("_settled", "entry", "failure_of", "issue", "messages", "moments_of", "time_of")
"""Of an operation that is pickled: all that belongs to its clocks."""


class FormerMember(NamedTuple):
    """The ranks of an operation that was pickled, without their World."""

    ranks: Int32Array
    number: int
    communicator: int
    ordered: Int32Array | None = None
    release: Release = "arrival"


class Failed(NamedTuple):
    """Why an operation failed, in words; when, in picoseconds from the birth on; and where."""

    why: str
    at_ps: int
    place: str


class Operation:
    """One collective on the modelled clock.

    Its ``moments`` are told by the period of the clocks that it is in, until they are settled.
    """

    __slots__ = (
        "_known",
        "_settled",
        "_time_ps",
        "entry",
        "failure",
        "failure_of",
        "issue",
        "member",
        "messages",
        "moments_of",
        "name",
        "prepared",
        "time_of",
        "waited",
    )

    def __init__(
        self,
        member: Issuer,
        prepared: Prepared,
        moments_of: Callable[[Operation], Moments],
        time_of: Callable[[Operation], int],
        failure_of: Callable[[Operation], Failed | None],
        name: str = "",
    ) -> None:
        """Take a collective of ``member``, and who tells its moments, time and failure so far.

        ``name``: where it is not that of the collective.
        """
        self.name = name or prepared.program.layout.shape.collective.name
        self.member = member
        self.prepared = prepared
        self.moments_of = moments_of
        self.time_of = time_of
        self.failure_of = failure_of
        self.failure: Failed | None = None  # when that is settled
        self._known: Moments | None = None
        self._settled: Callable[[], Moments] | None = None
        self._time_ps: int | None = None
        self.messages: MessageCounts | None = None  # of its connections before it, if links draw
        self.issue: Issue | None = None  # in its busy period, as long as it is not over
        self.entry: HistoryEntry | None = None  # when it is over, for the history
        self.waited: BoolArray = np.zeros(len(member.ranks), dtype=bool)

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return the settled operation: its moments so far, apart from any clock."""
        known = self.moments
        state = dict.fromkeys(GONE)
        member = FormerMember(known.ranks, self.member.number, self.member.communicator)
        return None, state | {
            "_known": known,
            "_time_ps": self.time_ps,
            "member": member,
            "name": self.name,
            "failure": self.failed,
            "prepared": self.prepared,
            "waited": np.ones_like(self.waited),
        }

    @property
    def program(self) -> Program:
        """The program of its plan."""
        return self.prepared.program

    @property
    def prediction(self) -> Prediction:
        """The prediction of the collective alone, all ranks at once, from its moment on."""
        return self.prepared.prediction

    def settle(self, moments_of: Callable[[], Moments], time_ps: int | None = None) -> None:
        """Take the moments, told when asked for: nothing can change them any more.

        ``time_ps``: the time, where that is known without them.
        """
        self._settled, self._time_ps = moments_of, time_ps

    @property
    def moments(self) -> Moments:
        """The moments at which its ranks issued it, started it and were done, as known so far."""
        if self._known is None and self._settled is not None:
            self._known, self._settled = self._settled(), None
        return self._known or self.moments_of(self)

    @property
    def time_ps(self) -> int:
        """Picoseconds from the start of the first rank until the last is done."""
        if not self.settled:
            return self.time_of(self)
        return self.moments.time_ps if self._time_ps is None else self._time_ps

    @property
    def failed(self) -> Failed | None:
        """Why it failed and when, as known so far; None where it has not."""
        return self.failure if self.settled else self.failure_of(self)

    @property
    def settled(self) -> bool:
        """Whether nothing that is issued from now on can change its moments."""
        return self._known is not None or self._settled is not None

    def wait(self, ranks: Int32Array | None) -> Int32Array:
        """Note that ``ranks`` of it wait, all if None; return those that had not waited yet."""
        mine = self.member.ranks
        at = slice(None) if ranks is None else np.searchsorted(mine, ranks)
        fresh: Int32Array = mine[at][~self.waited[at]]
        self.waited[at] = True
        return fresh


def checked_clock(clock_ps: int) -> int:
    """Return ``clock_ps`` if clocks can go so far."""
    if clock_ps > LATEST_PS:
        raise TimeLimitError(
            f"the modelled clock passes {LATEST_PS // PS_PER_S // 86400} days: needed a new "
            "World, so that picoseconds fit in 64 bits"
        )
    return clock_ps
