"""Rounds of a ring that are alike: few of them are laid out, and used again and again.

In the middle of a ring each round is as the one before it: the same ranks send as many bytes, and
wait for the same transfers of the round before. So a footprint shows a *window* of rounds, and says
how many more there are (see emul.timing.joint.rings).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from emul.arrays import BoolArray, Int32Array, Int64Array
from emul.timing.engine.dependencies import STARTS_KIND
from emul.timing.joint.layout import COLUMNS, joined, picked
from emul.timing.joint.rank_ops import Footprint
from emul.timing.joint.window import Window
from emul.timing.traffic import NOBODY, connections_of

__all__ = ["WindowFinder", "in_order_of_rings", "side_by_side"]


class WindowFinder:
    """Finds windows among the transfers of a footprint."""

    def __init__(self, footprint: Footprint) -> None:
        """Sort the waits, by who is waited for and by who waits."""
        self.footprint, transfers = footprint, footprint.transfers
        self._columns = [getattr(transfers, name) for name in COLUMNS]
        self._columns += [footprint.credited, connections_of(transfers)]
        earlier, later = (each.astype(np.int64) for each in (footprint.earlier, footprint.later))
        kind = footprint.kind.astype(np.int64)
        self._edges = []
        for here, there in ((earlier, later), (later, earlier)):
            order = np.lexsort((kind, there, here))
            self._edges.append((here[order], there[order], kind[order]))

    def window(self, rows: range, size: int, omitted: int = 0) -> Window | None:
        """Return the window of ``rows`` in rounds of ``size``; None if they are no rounds."""
        rounds, transfers = len(rows) // size, self.footprint.transfers
        has_grown = bool((transfers.growth[rows.start : rows.stop] > 1).any())
        if rounds < 1 or len(rows) % size or self.footprint.delays is not None or has_grown:
            return None
        alike = self._alike(rows, size, rounds)
        middle = rounds // 2
        unlike = np.flatnonzero(~alike)
        first = int(unlike[unlike < middle].max(initial=-1)) + 1
        last = int(unlike[unlike > middle].min(initial=rounds))
        low = rows.start + middle * size
        later, earlier, kind = (each[self._of(1, low, low + size)] for each in self._edges[1])
        starts = kind & STARTS_KIND != 0
        before_start, before_done = (
            np.bincount(later[which] - low, minlength=size).astype(np.int32)
            for which in (starts, ~starts)
        )
        span = int((middle - (earlier - rows.start) // size).max(initial=1))
        begins = rows.start + first * size
        before_done += np.int32(1)
        return Window(begins, size, last - first, omitted, span, before_start, before_done)

    def _of(self, which: int, low: int, high: int) -> slice:
        """Return the edges from, or to, transfers from ``low`` up to ``high``."""
        return slice(*np.searchsorted(self._edges[which][0], [low, high]).tolist())

    def _alike(self, rows: range, size: int, rounds: int) -> BoolArray:
        """Return which rounds are as the middle one: (rounds,)."""
        middle = rounds // 2
        alike: BoolArray = np.ones(rounds, dtype=bool)
        for column in self._columns:
            if len(column):
                by_round = column[rows.start : rows.stop].reshape(rounds, size)
                alike &= (by_round == by_round[middle]).all(axis=1)
        for which, (all_here, all_there, all_kinds) in enumerate(self._edges):
            own = self._of(which, rows.start, rows.stop)
            here, there, kind = (each[own] for each in (all_here, all_there, all_kinds))
            of = (here - rows.start) // size
            counts = np.bincount(of, minlength=rounds)
            alike &= counts == counts[middle]
            base, taken = rows.start + of * size, alike[of]
            table = np.stack([here - base, there - base, kind])[:, taken]
            by_round = table.reshape(3, int(alike.sum()), int(counts[middle]))
            same = by_round == by_round[:, int(alike[:middle].sum())][:, None]
            alike[alike] = same.all(axis=(0, 2))
        return alike


def side_by_side(parts: list[Footprint], ranks: Int32Array, windows: list[Window]) -> Footprint:
    """Return the footprint of all ``parts``, which share no rank, with a window of each.

    ``ranks``: of all of them, rising; ``windows``: as in the parts.
    """
    sizes = np.array([part.size for part in parts])
    first: Int64Array = np.concatenate([[0], np.cumsum(sizes)])
    connections, credited = 0, []
    for part in parts:
        credited.append(np.where(part.credited >= 0, part.credited + connections, NOBODY))
        connections += 1 + int(part.credited.max(initial=-1))
    return replace(
        parts[0],
        ranks=ranks,
        transfers=joined([part.transfers for part in parts]),
        earlier=_moved([part.earlier for part in parts], first),
        later=_moved([part.later for part in parts], first),
        kind=np.concatenate([part.kind for part in parts]),
        credited=np.concatenate(credited).astype(np.int32),
        windows=tuple(
            replace(window, first=int(start) + window.first)
            for window, start in zip(windows, first[:-1], strict=True)
        ),
    )


def _moved(numbers: list[Int32Array], first: Int64Array) -> Int32Array:
    found = [each + start for each, start in zip(numbers, first, strict=False)]
    return np.concatenate(found).astype(np.int32)


def in_order_of_rings(footprint: Footprint, order: Int64Array) -> Footprint:
    """Return ``footprint`` with its transfers in an ``order`` in which rings come one by one.

    Rings that are under way at once share nothing, so the order among them changes no time.
    """
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    own = footprint.credited
    return replace(
        footprint,
        transfers=picked(footprint.transfers, order),
        earlier=number[footprint.earlier],
        later=number[footprint.later],
        credited=own[order] if len(own) else own,
    )
