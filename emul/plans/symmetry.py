"""Of a plan over ranks that sit alike: the rows that a few of them send.

In a ring inside a site every rank does the same as the one before it, one share further on; between
sites, ranks do the same as those a cell further on (see emul.plans.cells). If the shares of a site
are of one length, and its links come again every cell, then ranks that are a cell apart have the
same times. An excerpt has one or two cells of ranks per site, in a ring that is closed earlier: a
rank whose neighbour lies beyond it sends to the one that is like that neighbour.

A share is numbered by how far behind its rank it began, for so ranks that are alike call alike
shares the same. A ring that would take very many rounds may be shown with fewer (see
emul.timing.symmetry, which decides when that is right).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd, lcm

import numpy as np

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.memory import check_fits
from emul.plans.algorithms.hierarchical import NAME as HIERARCHICAL
from emul.plans.algorithms.hierarchical import asked_levels
from emul.plans.algorithms.registry import ALGORITHMS, build_plan
from emul.plans.cells import Cells, Pieces
from emul.plans.collectives import collective_named
from emul.plans.encoding import Encoded, Encoding
from emul.plans.places import Places
from emul.plans.plan import Plan, Step
from emul.plans.program import BYTES_PER_ROW, Multiplicity, Program
from emul.plans.runs import expand
from emul.plans.shape import BufferLayout, Shape
from emul.reading.brief import brief

__all__ = ["RingRounds", "SymmetricPlan"]


COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather")
RING = "ring"

SRC, DST, SENT, WRITTEN, PLACES, REDUCE, CHANNEL, STEP, CELL, BEGINS = range(10)
"""Columns of the rows while they are collected; BEGINS: whether a row begins a transfer."""

MOST_RANKS_SHOWN = 4096
"""Of an excerpt: beyond them, its rings have more rounds before they settle than can be timed."""


@dataclass(frozen=True, slots=True)
class RingRounds:
    """The rounds of the ring of each site, to ``reduce`` and to ``gather``: (sites,) each."""

    reduce: tuple[int, ...]
    gather: tuple[int, ...]

    @property
    def most(self) -> tuple[int, ...]:
        """The most rounds of a ring of each site."""
        return tuple(map(max, self.reduce, self.gather))

    def messages(self, periods: tuple[int, ...]) -> int:
        """Return the number of messages of all rings, where so many ranks of a site are shown."""
        all_of_site = zip(self.reduce, self.gather, periods, strict=True)
        return sum((reduce + gather) * period for reduce, gather, period in all_of_site)


@dataclass(frozen=True, slots=True)
class SymmetricPlan:
    """Rings inside sites of ``ranks`` ranks each, ``top`` between the sites: some cells of them.

    ``top`` is a proven plan between as many ranks as there are sites. The ranks of the excerpt are
    those of the cells that are shown, site by site. ``lengthened``: whether shares that would
    differ by an element are all as long as the longest. ``groups``: how many groups of other ranks
    at the same sites do the same at once.
    """

    collective: str
    algorithm: str
    top: Plan
    ranks: tuple[int, ...]
    cells: Cells
    lengthened: bool = False
    groups: int = 1

    __repr__ = brief

    @classmethod
    def of(
        cls,
        collective: str,
        algorithm: str,
        places: Places,
        *,
        lengthened: bool = False,
        least_cells: int = 2,
    ) -> SymmetricPlan:
        """Return the excerpt of ``algorithm``; raises ArgumentError, naming the difference.

        Sites that come to fewer than ``least_cells`` are refused, for little is left out there.
        """
        if collective not in COLLECTIVES:
            raise _refusal(algorithm, f"{collective} has no ranks that do alike")
        inner, at_top = _levels(algorithm, places)
        if inner != RING:
            raise _refusal(algorithm, f"in a site it is {inner}, not a ring")
        cells = Cells.of(places.nodes)
        if cells.number < least_cells or sum(cells.periods) > MOST_RANKS_SHOWN:
            raise _refusal(
                algorithm,
                f"sites of {_listed(places.sites)} ranks come again only every "
                f"{_listed(cells.ranks)} ranks",
            )
        top = build_plan(collective, at_top, [len(places.sites)])
        return cls(collective, algorithm, top, places.sites, cells, lengthened)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return self.top.world_size

    @property
    def world_size(self) -> int:
        """Number of ranks of the whole plan."""
        return sum(self.ranks)

    @property
    def periods(self) -> tuple[int, ...]:
        """The ranks of each site that are shown."""
        return self.cells.periods

    def __str__(self) -> str:
        """Name the plan as error messages do."""
        return f"{self.algorithm} {self.collective} over {self.world_size} ranks"

    @property
    def rounds(self) -> RingRounds:
        """The rounds of all rings."""
        whole, none = tuple(each - 1 for each in self.ranks), (0,) * self.sites
        reduce, gather = self.collective != "all_gather", self.collective != "reduce_scatter"
        return RingRounds(whole if reduce else none, whole if gather else none)

    @property
    def pieces(self) -> Pieces:
        """The parts that the sites cut the chunks of the top's plan in."""
        return _pieces_of(self.cells, self.top, self._in_blocks)

    def lengths(self, shape: Shape) -> Int64Array:
        """Return the elements of each of the ``pieces``.

        Where a vector is not cut into equal shares of whole elements, and shares are
        ``lengthened``, all are as long as the longest. Raises ArgumentError when the shares of a
        call of ``shape`` are unlike otherwise.
        """
        pieces, edges = self.pieces, self.top.partition.edges
        parts = np.diff(edges).astype(np.int64)
        if self._in_blocks and len(set(parts.tolist())) > 1:
            raise _refusal(self.algorithm, "the top cuts blocks unevenly")
        of_range, needed = self._units(parts)
        unlike = bool((shape.width % needed * of_range % needed).any()) and not self.lengthened
        if shape.counts is not None or not shape.width or unlike:
            divisor = lcm(*(needed // gcd(needed, int(each)) for each in of_range))
            raise _refusal(
                self.algorithm,
                f"{shape.width} elements are not cut alike",
                f"a number of elements that {divisor} divides",
            )
        whole = shape.width // needed * of_range + -(-(shape.width % needed * of_range) // needed)
        if not self._in_blocks:
            whole = parts * -(-shape.width // needed)
        lengths: Int64Array = whole[pieces.chunk] * pieces.units
        return lengths

    def _units(self, parts: Int64Array) -> tuple[Int64Array, int]:
        """Return which part of the vector one unit of a piece of each chunk is: over the second."""
        units = self.pieces.per_cell * self.cells.number
        if not self._in_blocks:
            return parts, int(parts.sum()) * units
        ranks = np.array(self.ranks, dtype=np.int64)
        return np.repeat(ranks, len(parts) // len(ranks)), self.world_size * units

    def rounded_up(self, shape: Shape) -> float:
        """Return the part by which more elements are timed than there are: 0 for equal shares.

        The time is then no less than that of the whole plan. A longest share that goes around a
        ring is timed as it is, and the others do not keep it waiting.
        """
        in_cell = self.lengths(shape)[self.pieces.cell == 0]
        return int(in_cell.sum()) * self.cells.number / shape.width - 1

    def program(self, shape: Shape, encoding: Encoded, rounds: RingRounds) -> Program:
        """Return the sends of the ranks of the excerpt in a call of ``shape``, as a program.

        Its rings take so many ``rounds``. Raises CapacityError when there is not the memory to time
        it.
        """
        count = rounds.messages(self.periods)
        check_fits(count * BYTES_PER_ROW, f"timing {self.algorithm} by {count} transfers")
        lengths, most = self.lengths(shape), rounds.most
        layout = self._layout(shape, lengths, most)
        return _program(self, self._rows(rounds), layout, encoding)

    def ring_lines(self, size: int, rounds: RingRounds, site: int, *, reduce: bool) -> Int64Array:
        """Return the numbers of the messages of one ring of ``site``, (rounds, period).

        They are of a program of ``size`` messages, whose rings take so many ``rounds``.
        """
        own = rounds.reduce if reduce else rounds.gather
        of_site = self._ring_order(own)[0]
        lines: Int64Array = np.flatnonzero(of_site == site) + (0 if reduce else size - len(of_site))
        return lines.reshape(own[site], self.periods[site])

    @property
    def _in_blocks(self) -> bool:
        return collective_named(self.collective).in_blocks

    @property
    def _chunks(self) -> int:
        return self.top.partition.n_chunks

    @property
    def _scratch(self) -> int:
        return int(self.top.scratch.shape[1])

    @property
    def _first_rank(self) -> Int64Array:
        """The first rank of each site in the excerpt."""
        return np.concatenate([[0], np.cumsum(self.periods)[:-1]])

    def _layout(self, shape: Shape, lengths: Int64Array, rounds: tuple[int, ...]) -> BufferLayout:
        """Return the places of a rank: its shares, each in its pieces, and scratch."""
        rows = [self._site_lengths(site, lengths, rounds[site]) for site in range(self.sites)]
        width = max(each.shape[1] for each in rows)
        alike = np.vstack([np.pad(each, ((0, 0), (0, width - each.shape[1]))) for each in rows])
        here = Shape(shape.collective, len(alike), int(alike.sum(axis=1).max()))
        return BufferLayout(np.cumsum(np.pad(alike, ((0, 0), (1, 0))), axis=1), 0, here)

    def _site_lengths(self, site: int, lengths: Int64Array, rounds: int) -> Int64Array:
        """Return the elements of all places of the ranks of a site: (period, places)."""
        pieces, period = self.pieces, self.periods[site]
        rank, place = pieces.rank[site], pieces.place[site]
        own = np.zeros((period, pieces.places[site]), dtype=np.int64)
        own[rank, place] = lengths
        of = (np.arange(period)[:, None] + np.arange(rounds + 1)) % period
        shares = own[of].reshape(period, -1)
        scratch = np.zeros((period, self._scratch, pieces.most_of_chunk), dtype=np.int64)
        like = np.broadcast_to(self.top.scratch, (self.sites, self._scratch))[site]
        for number, chunk in enumerate(like.tolist()):
            these = pieces.chunk == chunk
            scratch[rank[these], number, pieces.of_chunk[site][these]] = lengths[these]
        return np.hstack([shares, scratch.reshape(period, -1)])

    def _rows(self, rounds: RingRounds) -> Int64Array:
        """Return the rows in the order of the plan, (columns, rows)."""
        parts = [
            self._ring(rounds.reduce, reduce=True),
            self._between_sites(rounds.most),
            self._ring(rounds.gather, reduce=False),
        ]
        step = 0
        for part in parts:
            part[STEP] += step
            step = int(part[STEP].max(initial=step - 1)) + 1
        return np.hstack(parts)

    def _ring_order(self, rounds: tuple[int, ...]) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return site, round and position of the messages of a ring of each site: (messages,).

        In each round, sites of one size come one after the other, as in the whole plan.
        """
        sizes = list(self.ranks)
        together = [sizes.index(size) for size in sizes]
        messages = [each * period for each, period in zip(rounds, self.periods, strict=True)]
        site = np.repeat(np.arange(self.sites), messages)
        period = np.array(self.periods)[site]
        within = np.concatenate([np.arange(each) for each in messages])
        number, at = within // period, within % period
        order = np.lexsort((at, site, np.array(together)[site], number))
        return site[order], number[order], at[order]

    def _ring(self, rounds: tuple[int, ...], *, reduce: bool) -> Int64Array:
        """Return the rows of all sites' rings."""
        site, number, at = self._ring_order(rounds)
        last, first = np.array(rounds)[site], self._first_rank[site]
        period, places = np.array(self.periods)[site], np.array(self.pieces.places)[site]
        behind = (last - number) if reduce else (last + 1 - number) % (last + 1)
        rows = np.empty((BEGINS + 1, len(number)), dtype=np.int64)
        rows[SRC], rows[DST] = first + at, first + (at + 1) % period
        rows[SENT] = behind * places
        rows[WRITTEN] = (last - number - (1 if reduce else 0)) * places
        rows[PLACES], rows[REDUCE], rows[CHANNEL] = places, reduce, 0
        rows[STEP], rows[BEGINS] = number, True
        rows[CELL] = at // np.array(self.cells.ranks)[site]
        return rows

    def _between_sites(self, rounds: tuple[int, ...]) -> Int64Array:
        """Return the rows of the top's plan, for every piece of its chunks."""
        found = [
            self._top_rows(step, number, rounds)
            for number, step in enumerate(self.top.steps())
            if len(step)
        ]
        return np.hstack([np.zeros((BEGINS + 1, 0), dtype=np.int64), *found])

    def _top_rows(self, step: Step, number: int, rounds: tuple[int, ...]) -> Int64Array:
        """Return the rows of a step of the top's plan."""
        pieces, ends = self.pieces, np.stack([step.src, step.dst, step.channel])
        transfer = np.cumsum(np.append(1, np.diff(ends, axis=1).any(axis=0)))
        row, within = expand(step.nchunks)
        src, dst = (each[row].astype(np.int64) for each in (step.src, step.dst))
        sent, written = step.src_chunk[row] + within, step.dst_chunk[row] + within
        chunk = self._chunk_of(src, sent)
        order = np.argsort(pieces.chunk, kind="stable")
        counts = np.bincount(pieces.chunk, minlength=self._chunks)
        each, part = expand(counts[chunk])
        piece = order[(np.cumsum(counts) - counts)[chunk[each]] + part]
        rows = np.empty((BEGINS + 1, len(each)), dtype=np.int64)
        rows[SRC], rows[SENT] = self._at(src[each], sent[each], piece, rounds)
        rows[DST], rows[WRITTEN] = self._at(dst[each], written[each], piece, rounds)
        rows[PLACES], rows[STEP], rows[CELL] = 1, number, pieces.cell[piece]
        rows[REDUCE], rows[CHANNEL] = step.reduce[row][each], step.channel[row][each]
        rows[BEGINS] = transfer[row][each]
        rows = rows[:, np.lexsort((rows[DST], rows[SRC], rows[BEGINS]))]
        changes = np.diff(rows[[BEGINS, SRC, DST]], axis=1).any(axis=0)
        rows[BEGINS] = np.append(True, changes)
        return rows

    def _chunk_of(self, site: Int64Array, place: Int64Array) -> Int64Array:
        """Return the chunk of each place of the top's plan, or the one it is as long as."""
        if not self._scratch:
            return place
        like = np.broadcast_to(self.top.scratch, (self.sites, self._scratch))
        chunk = like[site, np.maximum(place - self._chunks, 0)]
        found: Int64Array = np.where(place < self._chunks, place, chunk).astype(np.int64)
        return found

    def _at(
        self, site: Int64Array, place: Int64Array, piece: Int64Array, rounds: tuple[int, ...]
    ) -> tuple[Int64Array, Int64Array]:
        """Return the ranks that own ``piece`` of a place of the top's plan, and its places there.

        A piece lies in a rank's own share, or in its scratch.
        """
        pieces = self.pieces
        after_shares = np.array(pieces.places) * (np.array(rounds) + 1)
        scratch = (place - self._chunks) * pieces.most_of_chunk + pieces.of_chunk[site, piece]
        own, beyond = pieces.place[site, piece], after_shares[site] + scratch
        at = np.where(place < self._chunks, own, beyond)
        return self._first_rank[site] + pieces.rank[site, piece], at


@lru_cache(maxsize=8)
def _pieces_of(cells: Cells, top: Plan, in_blocks: bool) -> Pieces:
    return Pieces.of(cells, top, in_blocks=in_blocks)


def _program(
    excerpt: SymmetricPlan, rows: Int64Array, layout: BufferLayout, encoding: Encoded
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
    alike = excerpt.cells.alike(rows[CELL][first]) * excerpt.groups
    encoding = Encoding.of(encoding)
    carried = layout.nbytes(rows[SRC], rows[SENT], rows[PLACES], encoding)
    return Program(
        layout=layout,
        encoding=encoding,
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
        nbytes=np.add.reduceat(carried, first) if len(first) else carried,
        multiplicity=Multiplicity(alike, one, one * 0),
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
    needed = needed or "hierarchical, with site=ring, over sites whose ranks come again"
    return ArgumentError(f"{algorithm} cannot be timed by a few ranks: {why}: needed {needed}")


def _listed(numbers: tuple[int, ...]) -> str:
    return " and ".join(map(str, sorted(set(numbers))[:3]))
