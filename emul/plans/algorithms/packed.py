"""Packed: the vector over several trees of sites at once, each with its share, piece by piece.

The trees and their shares come from outside (``emul.synthesis`` makes them of the rates of a
topology, so that the trunks are full together); a plan knows whole units alone. Of places alone,
``packed`` takes the trees that are best where all trunks are alike: one star around each site.

In each site the ranks hang on a leader, and leaders send to each other over the trunks. All-reduce:
each tree reduces towards the edge where its halves meet, whose ends exchange, and spreads. Where
each rank has a block, the block takes the trees from (all-gather) or to (reduce-scatter) its site.
A piece follows the one before it at once, so all links of a tree are busy together. For the shares
and the theory see Edmonds (1973), and ForestColl (arXiv 2402.06787), which packs trees of GPUs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from emul.arrays import Int64Array
from emul.errors import ArgumentError
from emul.plans.algorithms.rank_tree import NO_PARENT, Move, RankTree, leaders_of
from emul.plans.algorithms.reordered import Reordered
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step

__all__ = [
    "NAME",
    "TREE_COLLECTIVES",
    "PackedSpec",
    "Pipeline",
    "SiteTree",
    "asked_pipeline",
    "is_packed",
    "stars",
]

NAME = "packed"

TREE_COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")

MOST = 1024
"""Pieces, leaders or channels that a name may ask for."""

IN_BLOCKS = ("reduce_scatter", "all_gather")


@dataclass(frozen=True, slots=True)
class SiteTree:
    """A tree of sites and its share: ``units`` of those of all trees of the same blocks.

    ``parents``: of each site the one before it, -1 at the root. All-reduce takes trees of one root
    or of two, the ends of the edge over which they exchange. All others are of the vector, or of
    the blocks, of the root's site; they may go either way.
    """

    units: int
    parents: tuple[int, ...]

    @property
    def site(self) -> int:
        """The first root."""
        return self.parents.index(NO_PARENT)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """In how many ``pieces`` the vector, or each block, goes; over how many ``leaders`` per site.

    Pieces take turns on the leaders, and on ``channels`` of the connections between them.
    """

    pieces: int = 1
    leaders: int = 1
    channels: int = 1


PARTS = ("pieces", "leaders", "channels")


def is_packed(algorithm: object) -> bool:
    """Say whether this is the name ``packed``, alone or with parts behind a colon."""
    return isinstance(algorithm, str) and algorithm.partition(":")[0] == NAME


def asked_pipeline(name: str) -> Mapping[str, int]:
    """Return the parts of a name such as packed:pieces=16,leaders=2 that it says.

    Raises ArgumentError for another part, or for something else than a whole number from 1 on.

    >>> asked_pipeline("packed:pieces=16,leaders=2")
    {'pieces': 16, 'leaders': 2}
    """
    asked: dict[str, int] = {}
    _, colon, parts = name.partition(":")
    for part in parts.split(",") if colon else ():
        key, _, value = part.partition("=")
        if key not in PARTS or not (value.isascii() and value.isdigit() and 0 < int(value) <= MOST):
            needed = ", ".join(f"{each}=..." for each in PARTS)
            raise ArgumentError(
                f"{name}: {part!r}: needed one of {needed}, a whole number from 1 to {MOST}"
            )
        if key in asked:
            raise ArgumentError(f"{name}: {key}= is given twice: needed once at most")
        asked[key] = int(value)
    return asked


@dataclass(frozen=True, slots=True)
class PackedSpec:
    """All of which a plan over trees is made; ``name`` is that of the plan.

    ``order``: of the sites, by which the plan goes where nothing else decides.
    """

    collective: str
    name: str
    places: Places
    root: int
    trees: tuple[SiteTree, ...]
    pipeline: Pipeline
    order: tuple[int, ...] = ()

    def build(self) -> Plan:
        """Return the plan, not proven. Raises ArgumentError for trees that do not fit."""
        plan = _packed_plan(self)
        return plan.built_from(self)


def stars(sites: int, collective: str, root_site: int) -> tuple[SiteTree, ...]:
    """Return the best trees where every two sites have a trunk and all trunks are alike.

    For all-reduce one star around each site. For blocks, one around their own. For a vector of one
    site, a star around each other site, which the root sends its share.
    """
    if collective in ("broadcast", "reduce") and sites > 1:
        others = [site for site in range(sites) if site != root_site]
        return tuple(SiteTree(1, _by_way_of(sites, root_site, other)) for other in others)
    return tuple(SiteTree(1, _star(sites, site)) for site in range(sites))


def _star(sites: int, middle: int) -> tuple[int, ...]:
    return tuple(NO_PARENT if site == middle else middle for site in range(sites))


def _by_way_of(sites: int, root: int, middle: int) -> tuple[int, ...]:
    parents = list(_star(sites, middle))
    parents[root], parents[middle] = NO_PARENT, root
    return tuple(parents)


def _packed_plan(spec: PackedSpec) -> Plan:
    """Return the plan over the trees of ``spec``; raises ArgumentError if they do not fit."""
    _check(spec)
    reordered = Reordered(spec.places, spec.order or tuple(range(len(spec.places.nodes))))
    new = reordered.new_site
    ordered = replace(
        spec,
        places=reordered.places,
        root=int(reordered.new_rank[spec.root]),
        trees=tuple(
            SiteTree(tree.units, tuple(new[tree.parents[site]] for site in reordered.order))
            for tree in spec.trees
        ),
    )
    table = _of_blocks(ordered) if spec.collective in IN_BLOCKS else _of_vector(ordered)
    chunks = _chunks(spec, reordered)
    lengths = [
        tree.units
        for trees in _trees_of_blocks(spec)
        for _ in range(spec.pipeline.pieces)
        for tree in trees
    ]

    def steps() -> Iterator[Step]:
        yield from _steps(table, reordered.ranks, chunks)

    blocks = spec.places.world_size if spec.collective in IN_BLOCKS else 1
    cut = Partition(blocks, sum(lengths) // blocks, np.cumsum([0, *lengths]))
    return Plan(spec.collective, spec.name, spec.places.world_size, spec.root, cut, steps)


def _chunks(spec: PackedSpec, reordered: Reordered) -> Int64Array:
    """Return the number of each chunk, for its number in the new order of sites."""
    sizes = [spec.pipeline.pieces * len(trees) for trees in _trees_of_blocks(spec)]
    if spec.collective not in IN_BLOCKS:
        return np.arange(sizes[0])
    first = [0, *accumulate(sizes)]
    spans = [np.arange(first[rank], first[rank + 1]) for rank in reordered.ranks.tolist()]
    return np.concatenate(spans)


def _check(spec: PackedSpec) -> None:
    """Refuse what no plan can be made of: ArgumentError."""
    collective, pipeline = spec.collective, spec.pipeline
    if collective not in TREE_COLLECTIVES:
        raise ArgumentError(
            f"trees do not do {collective}: needed one of {', '.join(TREE_COLLECTIVES)}"
        )
    if min(pipeline.pieces, pipeline.leaders, pipeline.channels) < 1:
        raise ArgumentError(f"{pipeline}: needed 1 or more of each")
    sites = len(spec.places.sites)
    rooted = collective in ("broadcast", "reduce")
    needed = {spec.places.site_of(spec.root)} if rooted else set(range(sites))
    roots = 2 if collective == "all_reduce" else 1
    for tree in spec.trees:
        if len(tree.parents) != sites or _not_reached(tree.parents) or tree.units < 1:
            raise ArgumentError(f"{tree}: needed a tree of {sites} sites, with a share")
        if tree.parents.count(NO_PARENT) > roots or tree.site not in needed:
            raise ArgumentError(
                f"{tree}: needed {roots} root at most, at a site of {sorted(needed)}"
            )
    shares = [sum(tree.units for tree in trees) for trees in _trees_of_blocks(spec)]
    if len(set(shares)) > 1 or 0 in shares:
        raise ArgumentError(f"trees of {sorted(set(shares))} units: needed as many for each site")


def _not_reached(parents: Sequence[int]) -> set[int]:
    """Return the sites that hang on no root."""
    lost = set()
    for site in range(len(parents)):
        here = site
        for _ in parents:
            if here != NO_PARENT and -1 <= parents[here] < len(parents):
                here = parents[here]
        if here != NO_PARENT:
            lost.add(site)
    return lost


def _trees_of_blocks(spec: PackedSpec) -> list[list[SiteTree]]:
    """Return the trees of each rank's block; of a vector, which is one block, all of them."""
    if spec.collective not in IN_BLOCKS:
        return [list(spec.trees)]
    of_site = [
        [tree for tree in spec.trees if tree.site == site] for site in range(len(spec.places.sites))
    ]
    return [
        trees for trees, ranks in zip(of_site, spec.places.sites, strict=True) for _ in range(ranks)
    ]


def _of_vector(spec: PackedSpec) -> Int64Array:
    """Return the rows of all pieces of the vector: see _rows."""
    rows, pipeline = [], spec.pipeline
    for turn in range(min(pipeline.leaders, pipeline.pieces)):
        leaders = leaders_of(spec.places, turn, pipeline.leaders)
        pieces = np.arange(turn, pipeline.pieces, pipeline.leaders)
        for number, tree in enumerate(spec.trees):
            ranks = RankTree.of(spec.places, tree.parents, leaders)
            if spec.collective in ("broadcast", "reduce"):
                ranks = ranks.rooted_at(spec.root)
            moves = [(0, each) for each in _moves(spec.collective, ranks)]
            chunks = pieces * len(spec.trees) + number
            rows.append(_rows(spec, moves, pieces[:, None], chunks[:, None], number))
    return np.concatenate(rows)


def _of_blocks(spec: PackedSpec) -> Int64Array:
    """Return the rows of all pieces of all blocks, those of a site in turn, likewise."""
    pipeline, rows = spec.pipeline, []
    before = first = lanes = 0  # ranks, chunks and trees of the sites before
    for site, ranks in enumerate(spec.places.sites):
        trees = [tree for tree in spec.trees if tree.site == site]
        owners = [leaders_of(spec.places, turn, pipeline.leaders) for turn in range(ranks)]
        for number, tree in enumerate(trees):
            hung = [RankTree.of(spec.places, tree.parents, each) for each in owners]
            moves = [
                (turn, move)
                for turn, each in enumerate(hung)
                for move in _moves(spec.collective, each.rooted_at(before + turn))
            ]
            turn = np.array([each for each, _ in moves], dtype=np.int64)
            piece = np.arange(pipeline.pieces)[:, None]
            waves = turn[None, :] * pipeline.pieces + piece
            chunks = first + waves * len(trees) + number
            rows.append(_rows(spec, moves, waves, chunks, lanes + number))
        first += ranks * pipeline.pieces * len(trees)
        before += ranks
        lanes += len(trees)
    return np.concatenate(rows)


def _moves(collective: str, ranks: RankTree) -> list[Move]:
    """Return the moves of one chunk over a tree of ranks."""
    if collective in ("reduce", "reduce_scatter"):
        return ranks.up()[0]
    if collective in ("broadcast", "all_gather"):
        return ranks.down(0)
    up, stage = ranks.up()
    over, stage = ranks.exchange(stage)
    return up + over + ranks.down(stage)


WAVE, SRC, DST, CHANNEL, CHUNK, REDUCES = range(6)


def _rows(
    spec: PackedSpec,
    moves: list[tuple[int, Move]],
    waves: Int64Array,
    chunks: Int64Array,
    tree: int,
) -> Int64Array:
    """Return the moves for all ``chunks``, (pieces, 1 or moves), begun in their ``waves``.

    (rows, 6), see WAVE and so on. Each tree has channels of its own over the trunks, so that none
    waits for another.
    """
    places, pipeline = spec.places, spec.pipeline
    each = np.array([move for _, move in moves], dtype=np.int64).reshape(-1, 4)
    site_of = np.repeat(np.arange(len(places.sites)), places.sites)
    beyond = site_of[each[:, 1]] != site_of[each[:, 2]]
    rows = np.empty((len(waves), len(each), 6), dtype=np.int64)
    lane = 1 + tree * pipeline.channels + (waves // pipeline.leaders) % pipeline.channels
    rows[:, :, WAVE] = waves + each[None, :, 0]
    rows[:, :, SRC], rows[:, :, DST] = each[None, :, 1], each[None, :, 2]
    rows[:, :, CHANNEL] = np.where(beyond[None, :], lane, 0)
    rows[:, :, CHUNK] = chunks
    rows[:, :, REDUCES] = each[None, :, 3]
    return rows.reshape(-1, 6)


def _steps(table: Int64Array, ranks: Int64Array, chunks: Int64Array) -> Iterator[Step]:
    """Yield a step for each wave, its rows by sender, receiver and channel.

    ``ranks`` and ``chunks``: their numbers in the plan.
    """
    keys = (CHUNK, CHANNEL, DST, SRC, WAVE)
    rows = table[np.lexsort([table[:, key] for key in keys])]
    for wave in np.split(rows, np.flatnonzero(np.diff(rows[:, WAVE])) + 1):
        if len(wave):
            src, dst = ranks[wave[:, SRC]], ranks[wave[:, DST]]
            step = Step.of(src, dst, chunks[wave[:, CHUNK]], reduce=False, channel=wave[:, CHANNEL])
            yield replace(step, reduce=wave[:, REDUCES].astype(bool))
