"""Which trunks lie between each two sites: decided once, for the whole topology.

Two sites that a trunk joins send over it. Any others send over the quickest path: the least delay,
standing queues and the passage of sites included; then the fewest trunks; then the names. So the
order in which a file lists its sites decides nothing. A path and its way back are the same trunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import pairwise

from emul.errors import TopologyError, listed

__all__ = ["Delays", "parts_of", "paths_between"]

Delays = Mapping[str, Mapping[str, int]]
"""By place, the picoseconds to each place that a trunk joins it to."""

Names = tuple[str, ...]


def parts_of(names: Sequence[str], joined: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the connected parts of a graph, each with its names in the order of ``names``."""
    part = {name: [name] for name in names}
    for a, b in joined:
        larger, smaller = sorted((part[a], part[b]), key=len, reverse=True)
        if larger is not smaller:
            larger += smaller
            part.update(dict.fromkeys(smaller, larger))
    place = {name: at for at, name in enumerate(names)}
    found = {id(each): sorted(each, key=place.__getitem__) for each in part.values()}
    return list(found.values())


def paths_between(
    sites: Sequence[str],
    delays: Delays,
    passage_ps: Mapping[str, int],
    asked: Mapping[tuple[str, str], Names],
) -> dict[tuple[str, str], Names]:
    """Return the places on the path of each two ``sites`` that no trunk joins, by names that rise.

    ``passage_ps``: of a place, the cost of its passage. ``asked``: the places to pass between two
    sites, by names in either order; two that a trunk joins are among them only if they are asked
    for. Raises TopologyError for a path that would come to a place twice.
    """
    asked = {_rising(ends, via)[0]: _rising(ends, via)[1] for ends, via in asked.items()}
    rising = sorted(sites)
    quickest: dict[str, dict[str, Names]] = {}

    def from_to(a: str, b: str) -> Names:
        """Return the quickest path between two places, both of them included."""
        if b in delays[a]:
            return a, b
        first, last = sorted((a, b))
        if first not in quickest:
            quickest[first] = _quickest_from(first, delays, passage_ps)
        found = quickest[first][last]
        return found if first == a else found[::-1]

    found: dict[tuple[str, str], Names] = {}
    for at, a in enumerate(rising):
        for b in rising[at + 1 :]:
            if (a, b) in asked:
                found[a, b] = _by_way_of(a, b, asked[a, b], from_to)
            elif b not in delays[a]:
                found[a, b] = from_to(a, b)
    return found


def _rising(ends: tuple[str, str], via: Names) -> tuple[tuple[str, str], Names]:
    """Return two sites in the order of their names, and the places between them in that order."""
    a, b = ends
    return (ends, via) if a < b else ((b, a), via[::-1])


def _by_way_of(a: str, b: str, via: Names, from_to: Callable[[str, str], Names]) -> Names:
    """Return the path from ``a`` to ``b`` by way of ``via``, quickest from each to the next."""
    names: list[str] = [a]
    for here, there in pairwise((a, *via, b)):
        names += from_to(here, there)[1:]
    if len(set(names)) < len(names):
        raise TopologyError(
            f"path between {a!r} and {b!r} via {listed(list(via))} goes {' - '.join(names)}: "
            "needed a path that comes to no place twice; name all places to pass, in order"
        )
    return tuple(names)


def _quickest_from(source: str, delays: Delays, passage_ps: Mapping[str, int]) -> dict[str, Names]:
    """Return the quickest path from ``source`` to every other place (Dijkstra, 1959)."""
    todo: list[tuple[int, int, Names]] = [(0, 1, (source,))]
    done: dict[str, Names] = {}
    while todo:
        delay_ps, trunks, names = heappop(todo)
        here = names[-1]
        if here in done:
            continue
        done[here] = names
        on = delay_ps + (passage_ps[here] if trunks > 1 else 0)
        for there, trunk_ps in delays[here].items():
            if there not in done:
                heappush(todo, (on + trunk_ps, trunks + 1, (*names, there)))
    return done
