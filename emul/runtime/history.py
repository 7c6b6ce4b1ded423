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
from emul.timing.traced import Crossings
from emul.timing.traffic import Origin

__all__ = ["TRANSFER", "History", "HistoryEntry", "HistoryRow", "Passage", "SentTransfers"]

KEPT = 4096
"""Collectives that have a row in the history, the last ones: 0.5 MB at most."""

KEPT_TRANSFERS = 1 << 18
"""Transfers that are kept of them, the last ones: some 50 MB at most, and those of the last."""

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
    """That a collective ran, in picoseconds since the World was made.

    ``number``: how many passed before it. ``communicator``: 0 for the world, then groups as they
    were made. ``issued_ps``, ``started_ps``: of the first rank; ``done_ps``: of the last.
    """

    number: int
    collective: str
    communicator: int
    issued_ps: int
    started_ps: int
    done_ps: int

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

    def crossings(self) -> Crossings:
        """Return when each held which link, in picoseconds since the World was made."""
        return Crossings.of(self.timeline, self.lines, self.origin).after(self.since_ps)

    def table(self) -> TransferTable:
        """Return those that left their rank, apart from the timeline."""
        timeline, lines = self.timeline, self.lines
        gone = timeline.src[lines] != timeline.dst[lines]
        found = np.zeros(int(gone.sum()), dtype=TRANSFER)
        for name in ("src", "dst", "nbytes"):
            found[name] = getattr(timeline, name)[lines][gone]
        for name in ("start_ps", "arrival_ps", "done_ps"):
            found[name] = getattr(timeline, name)[lines][gone] + self.since_ps
        return found


class HistoryEntry:
    """A row that is yet to be numbered, and its transfers; None when they are forgotten.

    The rest of a timeline of several collectives need not be kept: ``sent`` is then Crossings.
    """

    __slots__ = ("row", "sent")

    def __init__(self, row: tuple[str, int, int, int, int], sent: SentTransfers) -> None:
        """Take the fields of a HistoryRow after its number, and the transfers."""
        self.row = row
        self.sent: SentTransfers | Crossings | None = sent

    @property
    def lines(self) -> int:
        """The number of its transfers, those that stay with their rank among them."""
        found = self.sent
        if isinstance(found, SentTransfers):
            return len(found.timeline.src[found.lines])
        return 0 if found is None else len(found)

    @property
    def size(self) -> int:
        """How many transfers are kept: with a timeline, all of it."""
        found = self.sent
        return len(found.timeline) if isinstance(found, SentTransfers) else self.lines

    def cut_out(self) -> HistoryEntry:
        """Return the same, without the timeline that it is of."""
        if isinstance(self.sent, SentTransfers):
            self.sent = self.sent.crossings().apart()
        return self

    def crossings(self) -> Crossings | None:
        """Return when each transfer held which link; None when they are forgotten."""
        found = self.sent
        return found.crossings() if isinstance(found, SentTransfers) else found

    def transfers(self, number: int) -> TransferTable:
        """Return the transfers, of the collective with this number."""
        found = self.sent
        if isinstance(found, SentTransfers):
            table = found.table()
        elif found is None:
            table = np.zeros(0, dtype=TRANSFER)
        else:
            table = _table(found)
        table["collective"] = number
        return table


def _table(crossings: Crossings) -> TransferTable:
    """Return those of ``crossings`` that left their rank."""
    gone = crossings.src != crossings.dst
    found = np.zeros(int(gone.sum()), dtype=TRANSFER)
    for name in ("src", "dst", "nbytes", "arrival_ps", "done_ps"):
        found[name] = getattr(crossings, name)[gone]
    found["start_ps"] = crossings.from_ps[gone, 0]
    return found


class History:
    """The last collectives that passed."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: deque[HistoryEntry] = deque()
        self._first = 0  # the number of the first entry
        self._bare = 0  # number of entries, the first ones, without transfers
        self._size = 0  # transfers of all

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
