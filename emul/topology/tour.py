"""The order of sites where not every two have a trunk: along a short tour of the graph.

Rings and chains follow the numbers of ranks. If these followed the file, the same graph would be
quick or slow by the order in which it is written down. So they follow a closed tour: the nearest
neighbour first, then two hops exchanged for two shorter ones until there are none (Croes, Oper.
Res. 6 (1958) 791). It begins at the first name, and goes towards the smaller one of its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["tour_of"]

MOST_EXCHANGED = 200
"""Sites; of more of them, the nearest neighbours are the tour."""

Distances = Mapping[tuple[str, str], int]
"""By two names that rise."""


def tour_of(names: Sequence[str], distances: Distances) -> list[str]:
    """Return ``names`` in the order of a short closed tour, the same for every order of them.

    >>> tour_of(["d", "b", "a", "c"], {("a", "b"): 9, ("a", "c"): 1, ("a", "d"): 2, ("b", "c"): 1,
    ...                                ("b", "d"): 1, ("c", "d"): 9})
    ['a', 'c', 'b', 'd']
    """

    def far(a: str, b: str) -> int:
        return distances[(a, b) if a < b else (b, a)]

    left = sorted(names)
    tour = [left.pop(0)]
    while left:
        here = tour[-1]
        nearest = min(left, key=lambda name: (far(here, name), name))
        left.remove(nearest)
        tour.append(nearest)
    exchanged = len(tour) <= MOST_EXCHANGED
    while exchanged:
        exchanged = False
        for i in range(len(tour) - 1):
            for j in range(i + 2, len(tour)):
                a, b, c = tour[i], tour[i + 1], tour[j]
                d = tour[(j + 1) % len(tour)]
                if d != a and far(a, c) + far(b, d) < far(a, b) + far(c, d):
                    tour[i + 1 : j + 1] = tour[i + 1 : j + 1][::-1]
                    exchanged = True
    turned = len(tour) > 2 and tour[-1] < tour[1]
    return [tour[0], *tour[:0:-1]] if turned else tour
