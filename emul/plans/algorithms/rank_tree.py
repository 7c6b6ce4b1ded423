"""A tree of sites as a tree of ranks: in each site all ranks hang on one of them, its leader.

The ranks of a node hang on its head, the heads on each other in a chain of nodes that ends at the
leader. So each NIC beyond the trunks carries the vector once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from emul.plans.places import Places

__all__ = ["Move", "RankTree", "leaders_of"]

NO_PARENT = -1


class Move(NamedTuple):
    """One transfer: the stage after which it can start, sender, receiver, whether it reduces."""

    stage: int
    src: int
    dst: int
    reduces: bool


def leaders_of(places: Places, turn: int, leaders: int) -> list[int]:
    """Return the leader of each site in its ``turn``, of at most so many, spread over its ranks."""
    found, first = [], 0
    for ranks in places.sites:
        most = min(leaders, ranks)
        found.append(first + (turn % most) * ranks // most)
        first += ranks
    return found


class RankTree:
    """The parent of each rank; -1 at the root, or at the two that exchange."""

    def __init__(self, parents: list[int]) -> None:
        """Take the parents, which are changed by ``rooted_at`` alone."""
        self.parents = parents

    @classmethod
    def of(cls, places: Places, site_parents: Sequence[int], leaders: Sequence[int]) -> RankTree:
        """Return the tree in which the leaders hang on each other as the sites do."""
        parents = [NO_PARENT] * places.world_size
        first = 0
        for nodes, leader in zip(places.nodes, leaders, strict=True):
            _hang(parents, first, nodes, leader)
            first += sum(nodes)
        for site, parent in enumerate(site_parents):
            if parent != NO_PARENT:
                parents[leaders[site]] = leaders[parent]
        return cls(parents)

    def rooted_at(self, rank: int) -> RankTree:
        """Return the same tree of one root with ``rank`` as its root."""
        parents, here, before = list(self.parents), rank, NO_PARENT
        while here != NO_PARENT:
            parents[here], here, before = before, parents[here], here
        return RankTree(parents)

    def _from_roots(self) -> tuple[list[int], list[list[int]]]:
        """Return all ranks, parents before children, and the children of each."""
        children: list[list[int]] = [[] for _ in self.parents]
        order = []
        for rank, parent in enumerate(self.parents):
            if parent == NO_PARENT:
                order.append(rank)
            else:
                children[parent].append(rank)
        for rank in order:
            order += children[rank]
        return order, children

    def up(self) -> tuple[list[Move], int]:
        """Return the moves by which all is reduced into the roots, and the stage after them.

        One child after the other, those that are ready first.
        """
        order, children = self._from_roots()
        ready = [0] * len(self.parents)
        moves = []
        for rank in reversed(order):
            stage = 0
            for child in sorted(children[rank], key=lambda each: (ready[each], each)):
                stage = max(stage, ready[child])
                moves.append(Move(stage, child, rank, reduces=True))
                stage += 1
            ready[rank] = stage
        return moves, max(ready)

    def exchange(self, stage: int) -> tuple[list[Move], int]:
        """Return the moves by which two roots exchange, if there are two, and the stage after."""
        roots = [rank for rank, parent in enumerate(self.parents) if parent == NO_PARENT]
        if len(roots) < 2:
            return [], stage
        a, b = roots
        return [Move(stage, a, b, reduces=True), Move(stage, b, a, reduces=True)], stage + 1

    def down(self, stage: int) -> list[Move]:
        """Return the moves by which the roots' chunk comes to all, from ``stage`` on."""
        order, children = self._from_roots()
        there = [stage] * len(self.parents)
        moves = []
        for rank in order:
            for child in children[rank]:
                moves.append(Move(there[rank], rank, child, reduces=False))
                there[child] = there[rank] + 1
        return moves


def _hang(parents: list[int], first: int, nodes: Sequence[int], leader: int) -> None:
    """Hang the ranks of a site, in ``nodes`` from rank ``first`` on, on its leader."""
    starts = [first + sum(nodes[:number]) for number in range(len(nodes))]
    own = max(number for number, start in enumerate(starts) if start <= leader)
    before = leader
    for turn in range(len(nodes)):
        number = (own + turn) % len(nodes)
        start, ranks = starts[number], nodes[number]
        head = leader if turn == 0 else start + (leader - starts[own]) % ranks
        if turn:
            parents[head] = before
        for rank in range(start, start + ranks):
            if rank != head:
                parents[rank] = head
        before = head
