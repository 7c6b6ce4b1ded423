"""Double binary tree: two trees, each with half of the buffer, so that all ranks work alike.

Both trees hang from the root; below it, a rank that is a leaf in one tree is inside the other
(Sanders, Speck and Traeff, Parallel Computing 35(12), 2009; NCCL since 2.4). Each half flows
through its tree in pieces, one behind the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from emul.plans.places import Places
from emul.plans.plan import Partition, Plan, Step

__all__ = ["COLLECTIVES", "build"]

COLLECTIVES = ("all_reduce", "broadcast", "reduce")

PIECES = 8
"""Of each half of the buffer. Assumed; more pieces fill deeper trees, and cost more overhead."""

TreeEdge = tuple[int, int, int]


def build(collective: str, places: Places, root: int) -> Plan:
    """Return the double binary tree plan; the sites do not change it."""
    n = places.world_size

    def steps() -> Iterator[Step]:
        edges = [_edges(n, root, tree) for tree in (0, 1)]
        if collective in ("all_reduce", "reduce"):
            yield from _reduce(edges)
        if collective in ("all_reduce", "broadcast"):
            yield from _broadcast(edges)

    return Plan(collective, "double_binary_tree", n, root, Partition.uniform(2 * PIECES), steps)


def _edges(n: int, root: int, tree: int) -> list[TreeEdge]:
    """Return (parent, child, depth of the child) of a tree, top down.

    The ranks besides the root stand in a row, 1 to n - 1; in the second tree the row is turned
    by one place, which makes leaves of the inner ones. The middle of a stretch of the row is the
    parent of the middles of the parts left and right of it.
    """
    row = [(root + 1 + (i + tree) % (n - 1)) % n for i in range(n - 1)] if n > 1 else []
    found = []
    open_stretches = [(root, 0, len(row), 1)]
    while open_stretches:
        parent, low, high, depth = open_stretches.pop(0)
        if low < high:
            # An odd place: leaves stand on the even ones.
            middle = min(high - 1, (low + high) // 2 | 1)
            found.append((parent, row[middle], depth))
            open_stretches.append((row[middle], low, middle, depth + 1))
            open_stretches.append((row[middle], middle + 1, high, depth + 1))
    return found


def _broadcast(trees: list[list[TreeEdge]]) -> Iterator[Step]:
    rounds: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for tree, edges in enumerate(trees):
        for parent, child, depth in edges:
            for piece in range(PIECES):
                rounds[depth + piece].append((parent, child, tree * PIECES + piece))
    for number in sorted(rounds):
        sender, receiver, chunk = np.array(rounds[number]).T
        yield Step.of(sender, receiver, chunk, reduce=False)


def _reduce(trees: list[list[TreeEdge]]) -> Iterator[Step]:
    """Yield the way up; the second child of a parent comes in a step of its own."""
    rounds: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for tree, edges in enumerate(trees):
        deepest = max((depth for _, _, depth in edges), default=0)
        seen: dict[int, int] = defaultdict(int)
        for parent, child, depth in edges:
            for piece in range(PIECES):
                chunk = tree * PIECES + piece
                rounds[deepest - depth + piece, seen[parent]].append((child, parent, chunk))
            seen[parent] += 1
    for turn in sorted(rounds):
        sender, receiver, chunk = np.array(rounds[turn]).T
        yield Step.of(sender, receiver, chunk, reduce=True)
