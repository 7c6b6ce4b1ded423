"""What has passed on the modelled clock: collectives, and their transfers as they happened."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from emul.timing import Timeline

__all__ = ["TRANSFER", "Carried", "Entry", "Passage", "Past"]

KEPT = 4096
"""Collectives whose passage is kept, the last ones: 0.5 MB at most."""

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
"""A transfer that left its rank: the ``number`` of its collective's passage, its ranks in the
world, bytes; and in picoseconds since the World was made when its sender's port was taken, when
its last byte arrived, and when it could be used."""

TransferTable = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class Passage:
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


class Carried(NamedTuple):
    """The transfers of a collective: lines of a timeline that began at ``since_ps``."""

    timeline: Timeline
    lines: slice
    since_ps: int

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


class Entry:
    """A passage that is yet to be numbered, and its transfers; None when they are forgotten."""

    __slots__ = ("carried", "passage")

    def __init__(self, passage: tuple[str, int, int, int, int], carried: Carried) -> None:
        """Take what a Passage has after its number, and the transfers."""
        self.passage = passage
        self.carried: Carried | TransferTable | None = carried

    @property
    def size(self) -> int:
        """How many transfers are kept: with a timeline, all of it."""
        found = self.carried
        if found is None:
            return 0
        return len(found.timeline if isinstance(found, Carried) else found)

    def cut_out(self) -> Entry:
        """Return the same, without the timeline that it is of."""
        if isinstance(self.carried, Carried):
            self.carried = self.carried.table()
        return self

    def transfers(self, number: int) -> TransferTable:
        """Return the transfers, of the collective with this number."""
        found = self.carried
        if isinstance(found, Carried):
            found = found.table()
        elif found is None:
            found = np.zeros(0, dtype=TRANSFER)
        found["collective"] = number
        return found


class Past:
    """The last collectives that passed."""

    def __init__(self) -> None:
        """Begin with none."""
        self._entries: deque[Entry] = deque()
        self._first = 0  # the number of the first entry
        self._bare = 0  # so many entries, the first ones, have no transfers any more
        self._size = 0  # transfers of all

    def add(self, entry: Entry) -> None:
        """Take note of one more, and forget what is long past."""
        self._entries.append(entry)
        self._size += entry.size
        while self._size > KEPT_TRANSFERS and self._bare < len(self._entries) - 1:
            oldest = self._entries[self._bare]
            self._size -= oldest.size
            oldest.carried = None
            self._bare += 1
        if len(self._entries) > KEPT:
            self._size -= self._entries.popleft().size
            self._bare = max(0, self._bare - 1)
            self._first += 1

    def passages(self, under_way: Iterable[Entry]) -> list[Passage]:
        """Return the passages in order, then those that are ``under_way``."""
        entries = enumerate(chain(self._entries, under_way), self._first)
        return [Passage(number, *entry.passage) for number, entry in entries][-KEPT:]

    def transfers(self, under_way: Iterable[Entry]) -> TransferTable:
        """Return the transfers of the same, as far as they are kept: (transfers,)."""
        entries = enumerate(chain(self._entries, under_way), self._first)
        return np.concatenate(
            [np.zeros(0, dtype=TRANSFER), *(entry.transfers(number) for number, entry in entries)]
        )
