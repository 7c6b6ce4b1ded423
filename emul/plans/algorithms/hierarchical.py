"""Hierarchical: the wide links carry all, the narrow ones only one copy of each shard.

On the way up, the ranks of every innermost group reduce-scatter the vector among themselves; at
each level above, the owners of the same chunk in the children of a group go on with it. At the top
they do the collective itself, and on the way down all-gathers put the shards together. So over the
boundaries between the children of the whole go 2(K - 1) S bytes per all-reduce, which is the least
possible, if the algorithm at the top does so between K ranks. Broadcast: the root scatters among
its own groups, then top and way down; reduce: way up and top, then gathers in the root's groups.

Each level is an ordinary plan between the k children of a group; position i stands,
for each chunk, for the rank that owns the chunk in child i. See group_tree.py for the owners.

Cut in pieces, one piece can be at one level while the next is at another. Every level then has
channels of its own, on which a rank sends in the order of the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from math import lcm
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from emul.arrays import Int32Array, Int64Array
from emul.errors import ArgumentError
from emul.plans.algorithms import direct, ring
from emul.plans.algorithms.group_phase import Phase, Scratch
from emul.plans.algorithms.group_tree import (
    ChunkOwners,
    Groups,
    Subtree,
    tree_of,
)
from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step
from emul.plans.rows import backwards

__all__ = [
    "COLLECTIVES",
    "VARIANTS",
    "BuildLevel",
    "asked_levels",
    "build",
    "build_spec",
    "hierarchical_plan",
]

COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast", "reduce")

NAME = "hierarchical"

VARIANTS: Mapping[str, str] = MappingProxyType(
    {
        "hierarchical:nodes": "hierarchical:node=ring,site=ring,trunk=direct",
        "hierarchical:pieces": "hierarchical:node=ring,site=ring,trunk=direct,pieces=4",
        "hierarchical:one_shot": "hierarchical:node=direct,site=direct,trunk=direct:one_shot",
    }
)
"""Specs with a name of their own: over fast trunks in full mesh, overlapped, and for few bytes."""

PARTS = ("node", "site", "trunk", "pieces")
"""The parts of a spec: the levels, innermost first, and the number of pieces."""


BuildLevel: TypeAlias = Callable[[str, str, int, int], Plan]
"""Returns the plan for a collective, by an algorithm, between so many ranks, from a root."""


def build(collective: str, places: Places, root: int) -> Plan:
    """Return the plan of two levels that needs no choice: rings, with a root direct at the top."""
    algorithms = ("ring", _at_top(collective))
    return hierarchical_plan(
        collective, places.sites, algorithms, root=root, build_level=_ring_or_direct
    )


def _at_top(collective: str) -> str:
    return "direct" if collective in ("broadcast", "reduce") else "ring"


def _ring_or_direct(collective: str, algorithm: str, k: int, root: int) -> Plan:
    builder = direct.build_direct if algorithm == "direct" else ring.BUILDERS[algorithm]
    return builder(collective, Places.of([k]), root)


def build_spec(
    spec: str, collective: str, places: Places, root: int, build_level: BuildLevel
) -> Plan:
    """Return the plan that ``spec`` asks for, such as hierarchical:site=direct,trunk=ring,pieces=4.

    ``node=``, ``site=`` and ``trunk=`` name the algorithm among the ranks of a node, the nodes of a
    site (without ``node=``: its ranks) and the sites; ``pieces=``: in how many pieces the vector
    goes through the levels. ``spec`` may also be one of VARIANTS. Raises ArgumentError for a spec
    that cannot be carried out.
    """
    asked = asked_levels(spec)
    pieces = _whole_number(spec, asked.get("pieces", "1"))
    levels = PARTS[:3] if "node" in asked else PARTS[1:3]
    usual = {"node": "ring", "site": "ring", "trunk": _at_top(collective)}
    return hierarchical_plan(
        collective,
        places.nodes if "node" in asked else places.sites,
        [asked.get(level, usual[level]) for level in levels],
        root=root,
        pieces=pieces,
        name=spec,
        build_level=build_level,
        level_names=levels,
    )


def asked_levels(spec: str) -> Mapping[str, str]:
    """Return the parts of ``spec``, or of the variant of this name: see PARTS.

    Raises ArgumentError for something else than a hierarchy.
    """
    return _parsed(VARIANTS.get(spec, spec))


def _parsed(spec: str) -> Mapping[str, str]:
    """Return the parts of ``spec`` by name."""
    name, _, parts = spec.partition(":")
    if name != NAME:
        raise ArgumentError(f"{spec!r}: needed {NAME}, or {NAME}: and parts such as trunk=direct")
    asked: dict[str, str] = {}
    for part in parts.split(",") if parts or spec != name else ():
        key, equals, value = part.partition("=")
        if key not in PARTS or not equals or not value:
            raise ArgumentError(
                f"{spec}: {part!r}: needed one of {', '.join(f'{each}=...' for each in PARTS)}"
            )
        if key in asked:
            raise ArgumentError(f"{spec}: {key}= is given twice: needed once at most")
        asked[key] = value
    return asked


def _whole_number(spec: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ArgumentError(f"{spec}: pieces={text}: needed a whole number from 1 on")
    return int(text)


def hierarchical_plan(
    collective: str,
    groups: Groups,
    algorithms: Sequence[str],
    *,
    root: int = 0,
    pieces: int = 1,
    name: str = NAME,
    build_level: BuildLevel,
    level_names: Sequence[str] = (),
) -> Plan:
    """Return the plan over nested ``groups``: (8, 8) is two of 8 ranks, ((4, 4), (2, 6)) twice two.

    ``algorithms``: one for each level, innermost first, which ``build_level`` builds: below the top
    one that does reduce_scatter and all_gather, at the top one that does ``collective``. The vector
    goes through the levels in ``pieces``. ``level_names`` are for errors. Raises
    ArgumentError when something does not fit.
    """
    if collective not in COLLECTIVES:
        raise ArgumentError(
            f"{name} does not do {collective}: needed one of {', '.join(COLLECTIVES)}"
        )
    top = tree_of(groups)
    if len(algorithms) != top.level + 1:
        raise ArgumentError(
            f"{name}: {len(algorithms)} algorithms for {top.level + 1} levels: needed one for each"
        )
    if not 0 <= root < top.ranks:
        raise ArgumentError(f"{name}: root {root}: needed a rank from 0 to {top.ranks - 1}")
    if pieces < 1:
        raise ArgumentError(f"{name}: {pieces} pieces: needed 1 or more")

    @cache
    def planned(level: int, doing: str, k: int, at: int) -> Plan:
        try:
            return build_level(doing, algorithms[level], k, at)
        except ArgumentError as error:
            label = level_names[level] if level_names else f"level {level}"
            raise ArgumentError(f"{name}: {label}={algorithms[level]}: {error}") from None

    return _Hierarchy(collective, top, root, pieces, planned).plan(name)


class _Hierarchy:
    """The phases of a hierarchical plan, and their order."""

    def __init__(
        self,
        collective: str,
        top: Subtree,
        root: int,
        pieces: int,
        planned: Callable[[int, str, int, int], Plan],
    ) -> None:
        self.collective, self.root, self.pieces, self.planned = collective, root, pieces, planned
        self.groups = top.by_level()
        self.top = top
        self.at_top = planned(top.level, collective, len(top.sizes), top.child_of(root))
        by_block = collective in ("reduce_scatter", "all_gather")
        ranges = None if by_block else self.at_top.partition.edges
        self.cut = ChunkOwners(top, ranges, self.parts)
        self.scratch = Scratch(self.cut, top, self.at_top, self.chunk_in_plan(top, self.at_top))
        first, on = self.cut.first_place(pieces)
        size = self.scratch.size
        places = len(first) * pieces + np.arange(size)
        self.first = np.concatenate([first, places]).astype(np.int32)
        self.on = np.concatenate([on, np.full(size, size)]).astype(np.int32)

    def plan(self, name: str) -> Plan:
        """Return the plan, called ``name``."""
        return Plan(
            self.collective,
            name,
            self.top.ranks,
            self.root,
            self.cut.partition(self.pieces),
            self.steps,
            order="issue" if self.pieces > 1 else "free",
            scratch=self.scratch_of_pieces(),
        )

    def scratch_of_pieces(self) -> Int32Array:
        """Return the scratch of all pieces, as in Plan."""
        like = self.scratch.chunk_of if self.scratch.size else np.zeros((1, 0), dtype=np.int64)
        pieces = range(self.pieces)
        return np.hstack([self.first[like] + piece * self.on[like] for piece in pieces])

    def parts(self, group: Subtree) -> int:
        """Return into how many parts the plans of ``group`` cut the share of a rank."""
        k, level = len(group.sizes), group.level
        if group is self.top:
            return _parts(self.at_top)
        both = (self.planned(level, doing, k, 0) for doing in ("reduce_scatter", "all_gather"))
        return lcm(*map(_parts, both))

    def chunk_in_plan(self, group: Subtree, plan: Plan) -> Int64Array:
        """Return which chunk of ``plan``, between the children of ``group``, each chunk lies in."""
        if group is self.top and not self.cut.in_blocks:
            return self.cut.range_of_chunk(plan.partition.edges)
        return self.cut.chunk_in_plan(group, _parts(plan))

    def phases(self) -> list[Phase]:
        """Return the phases in their order."""
        up = [self.everywhere("reduce_scatter", level) for level in range(self.top.level)]
        down = [self.everywhere("all_gather", level) for level in range(self.top.level)][::-1]
        top = [self.phase([(self.top, self.at_top)])]
        if self.collective == "all_reduce":
            return up + top + down
        if self.collective == "reduce_scatter":
            return up + top
        if self.collective == "all_gather":
            return top + down
        levels = range(self.top.level)
        if self.collective == "broadcast":
            return [self.from_root(level, gather=False) for level in levels] + top + down
        return up + top + [self.from_root(level, gather=True) for level in reversed(levels)]

    def everywhere(self, doing: str, level: int) -> Phase:
        """Return the phase in which all groups of ``level`` do ``doing``."""
        groups = self.groups[level]
        return self.phase([(g, self.planned(level, doing, len(g.sizes), 0)) for g in groups])

    def from_root(self, level: int, *, gather: bool) -> Phase:
        """Return the phase in which the root's child of a group scatters to the others."""
        group = next(g for g in self.groups[level] if 0 <= self.root - g.first < g.ranks)
        return self.phase([(group, _scatter(len(group.sizes), group.child_of(self.root), gather))])

    def phase(self, plans: list[tuple[Subtree, Plan]]) -> Phase:
        """Return the phase in which each group follows its plan."""
        with_chunks = [(group, plan, self.chunk_in_plan(group, plan)) for group, plan in plans]
        return Phase(self.cut, with_chunks, self.scratch, self.first)

    def steps(self) -> Iterator[Step]:
        """Yield the steps of all pieces."""
        phases = self.phases()
        if self.pieces == 1:
            for phase in phases:
                yield from phase.steps()
            return
        stages = list(self.stages(phases))
        for number, piece in _waves(len(stages), self.pieces):
            level, steps = stages[number]
            for step in steps:
                yield self.of_piece(step, piece, level)

    def stages(self, phases: list[Phase]) -> Iterator[tuple[int, list[Step]]]:
        """Yield the level and the steps of each phase of a piece, one after the other.

        Each step at the top is a stage of its own: there a piece must not wait for another one to
        have crossed the longest links before it is sent.
        """
        for phase in phases:
            steps = list(phase.steps())
            if phase.level < self.top.level:
                yield phase.level, steps
            else:
                for step in steps:
                    yield phase.level, [step]

    def of_piece(self, step: Step, piece: int, level: int) -> Step:
        """Return ``step`` with the places of ``piece``, on the channels of ``level``."""
        src, dst = step.src_chunk, step.dst_chunk
        return Step(
            step.src,
            step.dst,
            self.first[src] + piece * self.on[src],
            self.first[dst] + piece * self.on[dst],
            step.nchunks,
            step.reduce,
            step.channel * np.int32(self.top.level + 1) + np.int32(level),
        )


def _waves(stages: int, pieces: int) -> Iterator[tuple[int, int]]:
    """Yield stages and pieces so that each piece is one stage behind the one before it."""
    for wave in range(stages + pieces - 1):
        for number in range(max(0, wave - pieces + 1), min(stages, wave + 1)):
            yield number, wave - number


def _parts(plan: Plan) -> int:
    """Return into how many equal parts ``plan`` cuts the block of each position."""
    partition = plan.partition
    parts, rest = divmod(partition.n_chunks, plan.world_size)
    if rest or len(set(np.diff(partition.edges).tolist())) > 1:
        raise ArgumentError(f"{plan}: needed one that cuts the blocks of all ranks alike")
    return parts


def _scatter(k: int, root: int, gather: bool) -> Plan:
    """Return the plan in which ``root`` hands each other position its block, or gets it."""

    def steps() -> Iterator[Step]:
        others = np.delete(np.arange(k), root)
        if k > 1:
            yield Step.of(root, others, others, reduce=False)

    def turned() -> Iterator[Step]:
        yield from backwards(steps(), reduce=False)

    doing = "gather" if gather else "scatter"
    return Plan(doing, "direct", k, root, Partition.uniform(k), turned if gather else steps)
