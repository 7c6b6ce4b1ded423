"""The transfers of the collectives of a trace as flat arrays, and the lanes that they need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from emul.arrays import BoolArray, Int64Array
from emul.timing.traced.crossings import HOPS, Crossings
from emul.tracks import lanes

__all__ = ["Columns", "Hop", "Traced", "TracedTransfer"]

BLOCK = 4096
"""Transfers whose columns are Python's numbers at once."""

OF_HOPS = ("from_ps", "until_ps", "behind")
"""Columns with a number for each hop."""


class Traced(NamedTuple):
    """A collective of a trace: its ``name`` among several, and which transfers are critical."""

    name: str
    crossings: Crossings
    critical: BoolArray


class TracedTransfer(NamedTuple):
    """One transfer: the fields of Columns, as numbers; of three hops as lists."""

    collective: int
    number: int
    src: int
    dst: int
    channel: int
    nbytes: int
    alike: int
    rounds: int
    from_ps: list[int]
    until_ps: list[int]
    arrival_ps: int
    done_ps: int
    behind: list[int]
    waited_for: int
    start_cause: int
    held_by: int
    ordered_after: int
    step: int
    chunk: int
    chunks: int
    critical: int


class Columns(NamedTuple):
    """The transfers of all collectives, one after the other: flat arrays, (transfers,).

    ``number``: in its own collective, of number ``collective``.
    """

    collective: Int64Array
    number: Int64Array
    src: Int64Array
    dst: Int64Array
    channel: Int64Array
    nbytes: Int64Array
    alike: Int64Array
    rounds: Int64Array
    from_ps: Int64Array
    until_ps: Int64Array
    arrival_ps: Int64Array
    done_ps: Int64Array
    behind: Int64Array
    waited_for: Int64Array
    start_cause: Int64Array
    held_by: Int64Array
    ordered_after: Int64Array
    step: Int64Array
    chunk: Int64Array
    chunks: Int64Array
    critical: Int64Array

    @classmethod
    def of(cls, collectives: Sequence[Traced]) -> Columns:
        """Return those of ``collectives``."""
        found: dict[str, list[Int64Array]] = {name: [] for name in cls._fields}
        for number, (_, crossings, critical) in enumerate(collectives):
            size = len(crossings)
            own = {
                "collective": np.full(size, number),
                "number": np.arange(size),
                "critical": critical,
                **_origins(crossings),
            }
            for name in cls._fields:
                found[name].append(own[name] if name in own else getattr(crossings, name))
        return cls(*(_joined(name, found[name]) for name in cls._fields))

    def transfers(self, line: Int64Array) -> Iterator[TracedTransfer]:
        """Yield the transfers of these numbers, in their order."""
        for low in range(0, len(line), BLOCK):
            block = line[low : low + BLOCK]
            rows = (each[block].tolist() for each in self)
            yield from map(TracedTransfer._make, zip(*rows, strict=True))


def _joined(name: str, pieces: list[Int64Array]) -> Int64Array:
    if len(pieces) == 1:
        return pieces[0]
    if not pieces:
        return np.zeros((0, HOPS) if name in OF_HOPS else 0, dtype=np.int64)
    return np.concatenate(pieces)


def _origins(crossings: Crossings) -> dict[str, Int64Array]:
    """Return step and chunks of each transfer; -1 where they cannot be told.

    In an excerpt, the same chunk has another number at each of the ranks that it stands for.
    """
    size = len(crossings)
    none: Int64Array = np.full(size, -1, dtype=np.int64)
    if crossings.origin is None:
        return {"step": none, "chunk": none, "chunks": none}
    steps = crossings.origin.steps()
    if crossings.origin.program.multiplicity is not None:
        return {"step": steps, "chunk": none, "chunks": none}
    chunk, number = crossings.origin.chunks()
    return {"step": steps, "chunk": chunk, "chunks": number}


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """One hop of all transfers that take it, in the order of links and of time.

    ``line``: their numbers; ``row``: of each the row of ``links`` and ``lane``, (rows,).
    """

    line: Int64Array
    row: Int64Array
    links: Int64Array
    lane: Int64Array

    @classmethod
    def of(cls, columns: Columns, hop: int, link: Int64Array) -> Hop:
        """Return ``hop``, over ``link`` of each transfer."""
        there = np.flatnonzero(columns.from_ps[:, hop] >= 0)
        start, end = columns.from_ps[there, hop], columns.until_ps[there, hop]
        order = np.lexsort((end, start, link[there]))
        line, start, end = there[order], start[order], end[order]
        key = link[line]
        lane = np.zeros(len(line), dtype=np.int64)
        edges = [0, *(1 + np.flatnonzero(np.diff(key))).tolist(), len(key)]
        for low, high in pairwise(edges):
            lane[low:high] = lanes(start[low:high], end[low:high])
        most = int(lane.max(initial=0)) + 1
        rows, row = np.unique(key * most + lane, return_inverse=True)
        return cls(line, row, rows // most, rows % most)
