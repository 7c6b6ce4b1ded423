"""Of a plan over ranks that sit alike: the rows that a few of them send.

In a ring inside a site every rank does the same as the one before it, one share further on; at the
top, ranks at the same position of all sites do the same as those at any other position. If all
shares are of one length, all sites of one size, and the links come again every few ranks, then
ranks that are a period apart have the same times. An excerpt has one such period of ranks per site,
in a ring that is closed earlier: a rank whose neighbour lies beyond it sends to the one that is
like that neighbour. It is closed after two periods of nodes, so that neighbours in the plan that
are in different nodes are so in the excerpt.

A share is numbered by how far behind its rank it began, for so ranks that are alike call alike
shares the same. A ring that would take very many rounds may be shown with fewer (see
emul.timing.symmetry, which decides when that is right).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from math import lcm

import numpy as np

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.memory import check_fits
from emul.plans.algorithms.hierarchical import NAME as HIERARCHICAL
from emul.plans.algorithms.hierarchical import asked_levels
from emul.plans.algorithms.registry import ALGORITHMS, build_plan
from emul.plans.collectives import collective_named
from emul.plans.places import Places
from emul.plans.plan import Plan
from emul.plans.program import BYTES_PER_ROW, Multiplicity, Program
from emul.plans.shape import BufferLayout, Shape
from emul.reading.brief import brief

__all__ = ["SymmetricPlan"]


COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")
RING = "ring"

SRC, DST, SENT, WRITTEN, PLACES, REDUCE, CHANNEL, STEP, POSITION, BEGINS = range(10)
"""Columns of the rows while they are collected; BEGINS: whether a row begins a transfer."""


@dataclass(frozen=True, slots=True)
class SymmetricPlan:
    """Rings of ``ranks`` ranks in every site, ``top`` between the sites: ``period`` ranks of each.

    ``top`` is a proven plan between as many ranks as there are sites. Rank i of site s is number
    ``s * period + i`` of the excerpt. ``lengthened``: whether shares that would differ by an
    element are all as long as the longest.
    """

    collective: str
    algorithm: str
    top: Plan
    ranks: int
    period: int
    lengthened: bool = False

    __repr__ = brief

    @classmethod
    def of(
        cls, collective: str, algorithm: str, places: Places, *, lengthened: bool = False
    ) -> SymmetricPlan:
        """Return the excerpt of ``algorithm``; raises ArgumentError, naming the difference."""
        if collective not in COLLECTIVES:
            raise _refusal(algorithm, f"{collective} has no ranks that do alike")
        inner, at_top = _levels(algorithm, places)
        if inner != RING:
            raise _refusal(algorithm, f"in a site it is {inner}, not a ring")
        if len(set(places.sites)) > 1:
            raise _refusal(algorithm, f"sites have {_listed(places.sites)} ranks")
        period = 1
        for nodes in places.nodes:
            if len(set(nodes)) > 1:
                raise _refusal(algorithm, f"nodes of a site have {_listed(nodes)} ranks")
            period = lcm(period, nodes[0] if len(nodes) > 1 else 1)
        ranks = places.sites[0]
        if ranks < 2 * period:
            raise _refusal(algorithm, f"sites of {ranks} ranks are no longer than two periods")
        top = build_plan(collective, at_top, [len(places.sites)])
        return cls(collective, algorithm, top, ranks, 2 * period, lengthened)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.top.world_size

    @property
    def world_size(self) -> int:
        """Number of ranks of the whole plan."""
        return self.sites * self.ranks

    def __str__(self) -> str:
        """Name the plan as error messages do."""
        return f"{self.algorithm} {self.collective} over {self.world_size} ranks"

    @property
    def rounds(self) -> int:
        """Number of rounds of a ring."""
        return self.ranks - 1

    @property
    def rings(self) -> int:
        """How many times each site goes around its ring: to reduce, to gather, or both."""
        return 2 if self.collective == "all_reduce" else 1

    def lengths(self, shape: Shape) -> Int64Array:
        """Return the elements of a share of each chunk of the top's plan.

        Where a vector is not cut into equal shares of whole elements, and shares are
        ``lengthened``, all are as long as the longest. Raises ArgumentError when the shares of a
        call of ``shape`` are unlike otherwise.
        """
        edges = self.top.partition.edges
        parts = np.diff(edges).astype(np.int64)
        needed = int(edges[-1]) * self.ranks
        if collective_named(self.collective).in_blocks and len(set(parts.tolist())) > 1:
            raise _refusal(self.algorithm, "the top cuts blocks unevenly")
        unlike = shape.width % needed and not self.lengthened
        if shape.counts is not None or not shape.width or unlike:
            raise _refusal(
                self.algorithm,
                f"{shape.width} elements are not cut alike",
                f"a number of elements that {needed} divides",
            )
        return parts * -(-shape.width // needed)

    def rounded_up(self, shape: Shape) -> float:
        """Return the part by which more elements are timed than there are: 0 for equal shares.

        The time is then no less than that of the whole plan. A longest share that goes around a
        ring is timed as it is, and the others do not keep it waiting.
        """
        return int(self.lengths(shape).sum()) * self.ranks / shape.width - 1

    def program(self, shape: Shape, itemsize: int, rounds: int) -> Program:
        """Return the sends of the ranks of the excerpt in a call of ``shape``, as a program.

        Every ring takes ``rounds``. Raises CapacityError when there is not the memory to time it.
        """
        count = self.rings * rounds * self.sites * self.period
        check_fits(count * BYTES_PER_ROW, f"timing {self.algorithm} by {count} transfers")
        lengths = self.lengths(shape)
        return _program(self, self._rows(rounds), self._layout(shape, lengths, rounds), itemsize)

    def ring_lines(self, program: Program, ring: int, site: int) -> Int64Array:
        """Return the numbers of a ring's transfers in ``site``, (rounds, period).

        Messages must be whole.
        """
        per_round = self.sites * self.period
        rounds = (program.n_places - self._scratch) // self._chunks - 1
        gathers = ring or self.collective == "all_gather"
        first = len(program) - rounds * per_round if gathers else 0
        at = np.arange(rounds * per_round).reshape(rounds, self.sites, self.period)
        lines: Int64Array = first + at[:, site]
        return lines

    @property
    def _chunks(self) -> int:
        return self.top.partition.n_chunks

    @property
    def _scratch(self) -> int:
        return int(self.top.scratch.shape[1])

    def _layout(self, shape: Shape, lengths: Int64Array, rounds: int) -> BufferLayout:
        """Return the places of a rank: its shares, each in the chunks of the top, and scratch."""
        ranks = self.sites * self.period
        here = Shape(shape.collective, ranks, int(lengths.sum()) * (rounds + 1))
        alike = np.tile(lengths, rounds + 1)[None, :]
        if self._scratch:
            like = np.repeat(self.top.scratch, ranks // len(self.top.scratch), axis=0)
            alike = np.hstack([np.broadcast_to(alike, (len(like), alike.shape[1])), lengths[like]])
        return BufferLayout(np.cumsum(np.pad(alike, ((0, 0), (1, 0))), axis=1), 0, here)

    def _rows(self, rounds: int) -> Int64Array:
        """Return the rows in the order of the plan, (columns, rows)."""
        parts = []
        if self.collective != "all_gather":
            parts.append(self._ring(rounds, reduce=True))
        parts.append(self._between_sites(rounds))
        if self.collective != "reduce_scatter":
            parts.append(self._ring(rounds, reduce=False))
        step = 0
        for part in parts:
            part[STEP] += step
            step = int(part[STEP].max(initial=step - 1)) + 1
        return np.hstack(parts)

    def _ring(self, rounds: int, *, reduce: bool) -> Int64Array:
        """Return the rows of all sites' rings."""
        number, site, at = (each.ravel() for each in np.indices((rounds, self.sites, self.period)))
        first = site * self.period
        behind = (rounds - number) if reduce else (rounds + 1 - number) % (rounds + 1)
        rows = np.empty((BEGINS + 1, len(number)), dtype=np.int64)
        rows[SRC], rows[DST] = first + at, first + (at + 1) % self.period
        rows[SENT] = behind * self._chunks
        rows[WRITTEN] = (rounds - number - (1 if reduce else 0)) * self._chunks
        rows[PLACES], rows[REDUCE], rows[CHANNEL] = self._chunks, reduce, 0
        rows[STEP], rows[POSITION], rows[BEGINS] = number, at, True
        return rows

    def _between_sites(self, rounds: int) -> Int64Array:
        """Return the rows of the top's plan, for every position."""
        found: list[tuple[int, ...]] = []
        for number, step in enumerate(self.top.steps()):
            columns = (step.src, step.dst, step.src_chunk, step.dst_chunk, step.nchunks)
            lists = (each.tolist() for each in (*columns, step.reduce, step.channel))
            for _, transfer in groupby(zip(*lists, strict=True), key=_connection):
                rows = list(transfer)
                found += [
                    self._at(position, number, row, begins=not i, rounds=rounds)
                    for position in range(self.period)
                    for i, row in enumerate(self._by_chunk(rows))
                ]
        return np.array(found, dtype=np.int64).reshape(-1, BEGINS + 1).T

    def _by_chunk(self, rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Return ``rows`` of one chunk each, because scratch does not follow on the chunks."""
        return [
            (src, dst, sent + i, written + i, 1, reduce, channel)
            for src, dst, sent, written, n, reduce, channel in rows
            for i in range(n)
        ]

    def _at(
        self, position: int, number: int, row: tuple[int, ...], *, begins: bool, rounds: int
    ) -> tuple[int, ...]:
        """Return a row between sites as that of the ranks at ``position``."""
        src, dst, sent, written, n, reduce, channel = row
        ranks = src * self.period + position, dst * self.period + position
        places = self._place(sent, rounds), self._place(written, rounds)
        return (*ranks, *places, n, reduce, channel, number, position, begins)

    def _place(self, place: int, rounds: int) -> int:
        """Return where a place of the top's plan lies: in a rank's own share, or in its scratch."""
        return place if place < self._chunks else place + rounds * self._chunks

    def connections(self, position: Int64Array) -> Int64Array:
        """Return for how many ranks of its site each ``position`` stands."""
        return self.ranks // self.period + (position < self.ranks % self.period)


def _program(
    excerpt: SymmetricPlan, rows: Int64Array, layout: BufferLayout, itemsize: int
) -> Program:
    """Return ``rows`` as a program whose transfers stand for those of all ranks."""
    first = np.flatnonzero(rows[BEGINS])
    edges = layout.edges
    of = rows[SRC] if len(edges) > 1 else np.zeros(rows.shape[1], dtype=np.int64)
    low = edges[of, rows[SENT]]
    length = edges[of, rows[SENT] + rows[PLACES]] - low
    into = rows[DST] if len(edges) > 1 else of
    narrow = rows.astype(np.int32)
    step = rows[STEP][first]
    one = np.ones(len(first), dtype=np.int64)
    return Program(
        layout=layout,
        itemsize=itemsize,
        row_src=narrow[SRC],
        row_dst=narrow[DST],
        src_place=narrow[SENT],
        dst_place=narrow[WRITTEN],
        nplaces=narrow[PLACES],
        reduce=rows[REDUCE].astype(bool),
        src_low=low,
        dst_low=edges[into, rows[WRITTEN]],
        length=length,
        first_row=np.append(first, rows.shape[1]),
        first_of_step=np.append(np.unique(step, return_index=True)[1], len(first)),
        order="free",
        waits=None,
        under_way=1,
        drains=np.zeros(0, dtype=np.int64),
        src=narrow[SRC][first],
        dst=narrow[DST][first],
        channel=narrow[CHANNEL][first],
        nbytes=np.add.reduceat(length, first) * itemsize if len(first) else length,
        multiplicity=Multiplicity(excerpt.connections(rows[POSITION][first]), one, one * 0),
    )


def _levels(algorithm: str, places: Places) -> tuple[str, str]:
    """Return the algorithms among the ranks of a site, and among sites."""
    if algorithm == RING and len(places.sites) == 1:
        return RING, RING
    if algorithm in ALGORITHMS and not algorithm.startswith(HIERARCHICAL):
        raise _refusal(algorithm, "it is no hierarchy")
    asked = asked_levels(algorithm)
    if asked.get("pieces", "1") != "1":
        raise _refusal(algorithm, "pieces overlap")
    inner = asked.get("site", RING)
    if "node" in asked:
        if all(len(nodes) == 1 for nodes in places.nodes):
            inner = asked["node"]
        elif max(map(max, places.nodes)) > 1:
            raise _refusal(algorithm, "it has a level inside nodes and one between them")
    return inner, asked.get("trunk", RING)


def _refusal(algorithm: str, why: str, needed: str = "") -> ArgumentError:
    needed = needed or "hierarchical, with site=ring, over sites that are all alike"
    return ArgumentError(f"{algorithm} cannot be timed by a few ranks: {why}: needed {needed}")


def _listed(numbers: tuple[int, ...]) -> str:
    return " and ".join(map(str, sorted(set(numbers))[:3]))


def _connection(row: tuple[int, ...]) -> tuple[int, int, int]:
    return row[0], row[1], row[-1]
