"""Shapley values, against the mean over all orders in which players can come."""

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.insight.shapley import shapley_values, whole_parts


def by_orders(worths):
    """The mean of what each player adds to those who came before it, over all orders."""
    players = range(len(worths).bit_length() - 1)
    orders = list(permutations(players))
    added = [Fraction(0) for _ in players]
    for order in orders:
        there = 0
        for player in order:
            added[player] += worths[there + (1 << player)] - worths[there]
            there += 1 << player
    return [each / len(orders) for each in added]


worths = st.integers(0, 5).flatmap(
    lambda n: st.lists(st.integers(-(10**15), 10**15), min_size=1 << n, max_size=1 << n)
)


@given(worths)
def test_a_share_is_the_mean_over_all_orders(worths):
    values = shapley_values(worths)
    assert values == by_orders(worths)
    assert sum(values) == worths[-1] - worths[0]
    rounded = whole_parts(values)
    assert sum(rounded) == worths[-1] - worths[0]
    assert all(abs(a - b) < 1 for a, b in zip(rounded, values, strict=True))


def test_two_players_share_what_they_add_together():
    # Alone 10 and 20; both 40: each has half of the other 10 on top.
    assert shapley_values([0, 10, 20, 40]) == [15, 25]
    # Alone either brings all that both bring.
    assert shapley_values([7, 17, 17, 17]) == [5, 5]
    assert shapley_values([5]) == []


@given(worths)
def test_a_player_that_adds_nothing_changes_no_share(worths):
    doubled = [worth for worth in worths for _ in range(2)]  # player 0 adds nothing
    assert shapley_values(doubled) == [0, *shapley_values(worths)]


def test_players_that_add_alike_have_equal_shares():
    # Worth by the number of players: 0, 1, 4, 9.
    assert shapley_values([0, 1, 1, 4, 1, 4, 4, 9]) == [3, 3, 3]


@pytest.mark.parametrize(
    ("parts", "unit", "rounded"),
    [
        ([Fraction(1, 3)] * 3, 1, [1, 0, 0]),
        ([Fraction(5, 2), Fraction(-1, 2), Fraction(3)], 1, [3, -1, 3]),
        ([Fraction(-7, 3), Fraction(-2, 3)], 1, [-2, -1]),
        ([149, 149, 149, 553], 100, [2, 1, 1, 6]),
        ([149, 149, 152], 100, [2, 1, 2]),  # 4.5, rounded up
        ([149, 149, 151], 100, [1, 1, 2]),
        ([], 1, []),
    ],
)
def test_parts_are_rounded_to_sum_to_the_whole(parts, unit, rounded):
    # The last units go to the largest remainders; of equal ones to the first.
    assert whole_parts(parts, unit) == rounded
