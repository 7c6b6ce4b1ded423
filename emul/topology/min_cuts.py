"""The parts of a graph that the least capacity joins to the rest, of every two places."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

__all__ = ["min_cuts"]

MOST_PLACES = 100
"""Of a graph whose parts are looked for: 99 maximum flows, about a second."""

Edge = tuple[int, int, float]


def min_cuts(places: int, edges: Sequence[Edge]) -> list[frozenset[int]]:
    """Return a part of the ``places`` for each minimum cut between two of them.

    ``edges`` join two places, with a capacity each way. The cuts are those of a tree of all of them
    (D. Gusfield, SIAM J. Comput. 19 (1990) 143), each by a maximum flow along shortest paths
    (Edmonds and Karp, J. ACM 19 (1972) 248). None of more than 100 places.

    >>> sorted(map(sorted, min_cuts(4, [(0, 1, 2.0), (1, 2, 1.0), (2, 3, 2.0)])))
    [[1, 2, 3], [2, 3], [3]]
    """
    if places > MOST_PLACES:
        return []
    parent = [0] * places
    parts = []
    for source in range(1, places):
        part = _source_side(places, edges, source, parent[source])
        for later in range(source + 1, places):
            if later in part and parent[later] == parent[source]:
                parent[later] = source
        parts.append(part)
    return list(dict.fromkeys(parts))


def _source_side(places: int, edges: Sequence[Edge], source: int, sink: int) -> frozenset[int]:
    """Return the places that a maximum flow from ``source`` to ``sink`` leaves within reach."""
    left: list[dict[int, float]] = [{} for _ in range(places)]
    for a, b, rate in edges:
        left[a][b] = left[a].get(b, 0.0) + rate
        left[b][a] = left[b].get(a, 0.0) + rate
    while True:
        before = _reached(left, source, sink)
        if sink not in before:
            return frozenset(before)
        hops, there = [], sink
        while there != source:
            hops.append((before[there], there))
            there = before[there]
        most = min(left[a][b] for a, b in hops)
        for a, b in hops:
            left[a][b] = 0.0 if left[a][b] == most else left[a][b] - most
            left[b][a] += most


def _reached(left: Sequence[dict[int, float]], source: int, sink: int) -> dict[int, int]:
    """Return the place before each one within reach, as far as the ``sink``."""
    before, todo = {source: source}, deque([source])
    while todo and sink not in before:
        here = todo.popleft()
        for there, rate in left[here].items():
            if rate > 0 and there not in before:
                before[there] = here
                todo.append(there)
    return before
