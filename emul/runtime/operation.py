"""One operation: a collective on the modelled clock, from its issue until every rank is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from emul.arrays import Int32Array
from emul.plans import Program
from emul.runtime.history import HistoryEntry
from emul.runtime.prediction import Prediction
from emul.timing import Issue, Moments

__all__ = ["Issuer", "Operation"]


class Issuer(Protocol):
    """The ranks that issue collectives together: the world, or a group of its ranks."""

    @property
    def ranks(self) -> Int32Array:
        """The ranks of the world, rising."""

    @property
    def number(self) -> int:
        """0 for the world, then groups in the order of their making."""


class FormerMember(NamedTuple):
    """The ranks of an operation that was pickled, without their World."""

    ranks: Int32Array
    number: int


class Operation:
    """One collective on the modelled clock; its ``moments`` are computed on demand."""

    __slots__ = (
        "entry",
        "is_counted",
        "issue",
        "known",
        "member",
        "moments_of",
        "prediction",
        "program",
        "start_ps",
        "waited",
    )

    def __init__(
        self,
        member: Issuer,
        program: Program,
        prediction: Prediction,
        start_ps: int | None,
        moments_of: Callable[[Operation], Moments],
    ) -> None:
        """Take the collective, and for a collective alone the moment at which all ranks start.

        ``moments_of``: computes the moments, by the program so far, until they are known for good.
        """
        self.moments_of = moments_of
        self.known: Moments | None = None  # for good
        self.issue: Issue | None = None  # in its busy period, as long as it is not over
        self.is_counted = False  # among the operations of its busy period
        self.entry: HistoryEntry | None = None  # when it is over, for the history
        self.member = member
        self.program = program
        self.prediction = prediction
        self.start_ps = start_ps
        self.waited = start_ps is not None

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Return the settled operation: its moments so far, apart from any clock."""
        state = {name: getattr(self, name) for name in ("prediction", "program", "start_ps")}
        gone = dict.fromkeys(("entry", "issue", "moments_of"))
        known = self.moments
        member = FormerMember(known.ranks, self.member.number)
        return None, state | gone | {"known": known, "member": member} | {
            "is_counted": False,
            "waited": True,
        }

    @property
    def name(self) -> str:
        """The name of the collective."""
        return self.program.layout.shape.collective.name

    @property
    def moments(self) -> Moments:
        """The moments at which its ranks issued it, started it and were done, as known so far."""
        return self.known or self.moments_of(self)

    @property
    def time_ps(self) -> int:
        """Picoseconds from the start of the first rank until the last is done."""
        if self.start_ps is not None:
            return self.prediction.total_ps
        return self.moments.time_ps

    @property
    def settled(self) -> bool:
        """Whether nothing that is issued from now on can change its moments."""
        return self.start_ps is not None or self.known is not None
