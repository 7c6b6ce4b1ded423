"""The history of the modelled clock: finished collectives and their transfers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emul.reading.brief import brief
from emul.timing import Timeline
from emul.timing.traced import Crossings, Lines
from emul.timing.traffic import Origin

__all__ = ["TRANSFER", "History", "HistoryEntry", "HistoryRow", "Passage", "SentTransfers"]

KEPT = 4096
"""Collectives that have a row in the history, the last ones: 0.5 MB at most."""

KEPT_TRANSFERS = 1 << 18
"""Transfers that are kept of them, the last ones: some 70 MB at most, and those of the last."""

TRANSFER = np.dtype(
    [
        ("collective", np.int64),
        ("src", np.int32),
        ("dst", np.int32),
        ("nbytes", np.int64),
        ("start_ps", np.int64),
        ("arrival_ps", np.int64),
        ("done_ps", np.int64),
    ]
)
"""A transfer that left its rank: the ``number`` of its collective's row, its ranks in the
world, bytes; and in picoseconds since the World was made when its sender's port was taken, when
its last byte arrived, and when it could be used."""

TransferTable = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """That an operation ran, in picoseconds since the World was made.

    ``number``: how many passed before it. ``communicator``: 0 for the world, then groups as they
    were made. ``issued_ps``, ``started_ps``: of the first rank; ``done_ps``: of the last.
    ``failure``: why it failed, at ``done_ps``; None where it did not.
    """

    number: int
    collective: str
    communicator: int
    issued_ps: int
    started_ps: int
    done_ps: int
    failure: str | None = None

    __repr__ = brief


Passage = HistoryRow
"""An older name."""


class SentTransfers(NamedTuple):
    """The transfers of a collective: lines of a timeline that began at ``since_ps``.

    ``origin``: the messages that they carry, where the timeline is of several collectives.
    """

    timeline: Timeline
    lines: slice
    since_ps: int
    origin: Origin | None = None

    @property
    def size(self) -> int:
        """The number of transfers, those that stay with their rank among them."""
        return len(self.timeline.src[self.lines])

    @property
    def kept(self) -> int:
        """How many transfers are kept with them: all of the timeline."""
        return len(self.timeline)

    def told(self) -> Lines:
        """Return the lines as the timeline has them."""
        return Lines.of(self.timeline, self.lines, self.origin)

    def cut_out(self) -> SentLines:
        """Return the same, apart from the timeline."""
        return SentLines(self.told().apart(), self.since_ps)


class SentLines(NamedTuple):
    """The same transfers, apart from a timeline of several collectives."""

    lines: Lines
    since_ps: int

    @property
    def size(self) -> int:
        """The number of transfers, those that stay with their rank among them."""
        return len(self.lines.src)

    @property
    def kept(self) -> int:
        """How many transfers are kept: these alone."""
        return self.size

    def told(self) -> Lines:
        """Return the lines as the timeline had them."""
        return self.lines

    def cut_out(self) -> SentLines:
        """Return the same."""
        return self


class HistoryEntry:
    """A row that is yet to be numbered, and its transfers; None when they are forgotten.

    ``times``: those of the operation, which are for the record alone; None when that has them.
    """

    __slots__ = ("row", "sent", "times")

    def __init__(
        self,
        row: tuple[str, int, int, int, int, str | None],
        sent: SentTransfers,
        times: object,
    ) -> None:
        """Take the fields of a HistoryRow after its number, the transfers and the times."""
        self.row = row
        self.sent: SentTransfers | SentLines | None = sent
        self.times: object | None = times

    @property
    def lines(self) -> int:
        """The number of its transfers, those that stay with their rank among them."""
        return 0 if self.sent is None else self.sent.size

    @property
    def size(self) -> int:
        """How many transfers are kept: with a timeline, all of it."""
        return 0 if self.sent is None else self.sent.kept

    def cut_out(self) -> HistoryEntry:
        """Return the same, without the timeline that it is of."""
        if self.sent is not None:
            self.sent = self.sent.cut_out()
        return self

    def crossings(self) -> Crossings | None:
        """Return when each transfer held which link; None when they are forgotten.

        In picoseconds since the World was made.
        """
        if self.sent is None:
            return None
        return Crossings.of(self.sent.told()).after(self.sent.since_ps)

    def transfers(self, number: int) -> TransferTable:
        """Return the transfers that left their rank, of the collective with this number."""
        if self.sent is None:
            return np.zeros(0, dtype=TRANSFER)
        lines, since_ps = self.sent.told(), self.sent.since_ps
        gone = lines.src != lines.dst
        if self.row[-1] is not None:  # it failed: some never began, or never arrived
            gone &= (lines.on_link_ps[:, 0] >= 0) & (lines.done_ps > 0)
        found = np.zeros(int(gone.sum()), dtype=TRANSFER)
        for name in ("src", "dst", "nbytes"):
            found[name] = getattr(lines, name)[gone]
        found["start_ps"] = lines.on_link_ps[gone, 0] + since_ps
        for name in ("arrival_ps", "done_ps"):
            found[name] = getattr(lines, name)[gone] + since_ps
        found["collective"] = number
        return found


class History:
    """The last collectives that passed."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: deque[HistoryEntry] = deque()
        self._first = 0  # the number of the first entry
        self._bare = 0  # number of entries, the first ones, without transfers
        self._size = 0  # transfers of all

    @property
    def next_number(self) -> int:
        """The number of the entry that is added next."""
        return self._first + len(self._entries)

    def add(self, entry: HistoryEntry) -> None:
        """Add an entry, and forget the oldest ones beyond the limits."""
        self._entries.append(entry)
        self._size += entry.size
        while self._size > KEPT_TRANSFERS and self._bare < len(self._entries) - 1:
            oldest = self._entries[self._bare]
            self._size -= oldest.size
            oldest.sent = None
            self._bare += 1
        if len(self._entries) > KEPT:
            self._size -= self._entries.popleft().size
            self._bare = max(0, self._bare - 1)
            self._first += 1

    def rows(self, in_flight: Iterable[HistoryEntry]) -> list[HistoryRow]:
        """Return the rows in order, then those of the collectives ``in_flight``."""
        entries = enumerate(chain(self._entries, in_flight), self._first)
        return [HistoryRow(number, *entry.row) for number, entry in entries][-KEPT:]

    def entries(self, in_flight: Iterable[HistoryEntry]) -> Iterator[tuple[int, HistoryEntry]]:
        """Yield the entries with their numbers, then those of the collectives ``in_flight``."""
        yield from enumerate(chain(self._entries, in_flight), self._first)

    def transfers(self, in_flight: Iterable[HistoryEntry]) -> TransferTable:
        """Return the transfers of the same collectives, as far as they are kept: (transfers,)."""
        entries = enumerate(chain(self._entries, in_flight), self._first)
        return np.concatenate(
            [np.zeros(0, dtype=TRANSFER), *(entry.transfers(number) for number, entry in entries)]
        )
