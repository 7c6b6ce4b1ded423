"""Shares of the vector by site, in whole units, where blocks need not be of equal length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise, permutations

from emul.insight.shapley import whole_parts

__all__ = ["UNITS", "counts_of", "even_shares", "other_shares"]

UNITS = 48
"""Of the vector."""

STEPS = (4, 1)
"""Units that go from one site to another at once."""


def even_shares(ranks: Sequence[int]) -> str:
    """Return the shares of sites of so many ``ranks`` where all ranks have as much.

    >>> even_shares([8, 8, 4])
    '19,19,10'
    """
    whole = sum(ranks)
    return _text(whole_parts([UNITS * each for each in ranks], whole))


def other_shares(shares: str) -> Iterator[str]:
    """Yield the shares where some units go from one site to another, or to or from all others.

    For where two sites bind together, units of a third one have to go to both. No site gives its
    last unit.
    """
    units = _units(shares)
    sites = range(len(units))
    for step in STEPS:
        moves = [({giver: step}, {taker: step}) for giver, taker in permutations(sites, 2)]
        for one in sites if len(units) > 2 else ():
            others = {each: step for each in sites if each != one}
            alone = {one: step * len(others)}
            moves += [(alone, others), (others, alone)]
        for given, taken in moves:
            if all(units[site] > number for site, number in given.items()):
                moved = [
                    each - given.get(site, 0) + taken.get(site, 0)
                    for site, each in enumerate(units)
                ]
                yield _text(moved)


def counts_of(shares: str, ranks: Sequence[int], width: int) -> list[int]:
    """Return the elements of each rank's block, site by site, which sum to ``width``.

    Ranks of a site differ by one element at most.

    >>> counts_of("24,12,12", [2, 1, 1], 8)
    [2, 2, 2, 2]
    """
    each = whole_parts([units * width for units in _units(shares)], UNITS)
    counts: list[int] = []
    for elements, number in zip(each, ranks, strict=True):
        edges = [elements * rank // number for rank in range(number + 1)]
        counts += [b - a for a, b in pairwise(edges)]
    assert sum(counts) == width, "shares sum to UNITS"
    return counts


def _units(shares: str) -> list[int]:
    return [int(each) for each in shares.split(",")]


def _text(units: Sequence[int]) -> str:
    return ",".join(map(str, units))
