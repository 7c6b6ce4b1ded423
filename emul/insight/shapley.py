"""Shapley values: the shares of players in a worth that they make together. Numbers only.

A coalition of players is a number whose bit p says that player p is in it. The share of a player is
the mean, over all orders in which players can come, of the worth that it adds when it comes
(L. S. Shapley, A Value for n-person Games, 1953). The shares sum to the worth of all players less
the worth of none; a player that never adds anything has none; players that always add alike have
equal ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import factorial

__all__ = ["shapley_values", "whole_parts"]


def shapley_values(worths: Sequence[int]) -> list[Fraction]:
    """Return the share of each player, exactly.

    ``worths`` (2^n,): of each coalition of n players, by its number.

    >>> shapley_values([0, 10, 20, 40])
    [Fraction(15, 1), Fraction(25, 1)]
    """
    players = (len(worths) - 1).bit_length()
    assert len(worths) == 1 << players, "a worth for each coalition"
    orders = factorial(players)
    shares = []
    for player in range(players):
        added, bit = 0, 1 << player
        for coalition in range(len(worths)):
            if coalition & bit:
                continue
            before = coalition.bit_count()
            weight = factorial(before) * factorial(players - 1 - before)
            added += weight * (worths[coalition | bit] - worths[coalition])
        shares.append(Fraction(added, orders))
    return shares


def whole_parts(parts: Sequence[Fraction | int], unit: int = 1) -> list[int]:
    """Return ``parts`` as whole numbers of ``unit``, which sum to the sum of all, rounded.

    Each is rounded down, and the units that are left go to the largest remainders, of equal ones
    to the first (Hamilton's method of apportionment). Parts may be below 0.

    >>> whole_parts([Fraction(1, 3), Fraction(1, 3), Fraction(4, 3)])
    [1, 0, 1]
    """
    exact = [Fraction(each) / unit for each in parts]
    rounded = [each.numerator // each.denominator for each in exact]
    left = int((2 * sum(exact) + 1) // 2) - sum(rounded)
    by_remainder = sorted(range(len(exact)), key=lambda at: (rounded[at] - exact[at], at))
    for at in by_remainder[:left]:
        rounded[at] += 1
    return rounded
