"""The interval of a median: exact by the binomial, and true of every distribution."""

import math
from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.measured.medians import CONFIDENCE, FEWEST, Interval, median_interval


def outside(n, k):
    """The probability that fewer than k of n draws are below the median, or fewer than k above."""
    return 2 * sum(math.comb(n, i) for i in range(k)) / 2**n


@pytest.mark.parametrize("n", [*range(1, 41), 100, 1000])
def test_the_ends_are_the_narrowest_order_statistics_that_are_sure_enough(n):
    found = median_interval(range(1, n + 1))
    k = int(found.low)
    assert found.high == n + 1 - k
    assert found.confidence == pytest.approx(1 - outside(n, k), abs=1e-9)
    assert outside(n, k + 1) > 1 - CONFIDENCE  # one sample narrower is not sure enough
    assert (found.confidence >= CONFIDENCE) == (n >= FEWEST)


DISTRIBUTIONS = {
    "normal": (lambda d, size: 10 + d.normal(size=size), 10.0),
    "long tail": (lambda d, size: np.exp(1.5 * d.normal(size=size)), 1.0),
    "no mean": (lambda d, size: 5 + d.standard_cauchy(size), 5.0),
    "two kinds": (lambda d, size: np.where(d.random(size) < 0.7, 1 + d.random(size), 50.0), 12 / 7),
    "first slow": (lambda d, size: 10 + d.exponential(size=size), 10 + math.log(2)),
}
"""Draws, and the true median."""


@pytest.mark.parametrize("n", [3, 5, 6, 10, 31])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_true_median_is_between_the_ends_as_often_as_is_said(name, n):
    """1000 draws; four standard deviations are the slack."""
    draw, truth = DISTRIBUTIONS[name]
    table = draw(np.random.default_rng([7, n]), (1000, n))
    found = [median_interval(list(row)) for row in table]
    held = sum(each.low <= truth <= each.high for each in found) / len(found)
    said = found[0].confidence
    assert held >= said - 4 * math.sqrt(said * (1 - said) / len(found))


@given(samples=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=60))
def test_the_median_is_within_and_the_ends_were_seen(samples):
    found = median_interval(samples)
    assert found.low <= median(samples) <= found.high
    assert {found.low, found.high} <= set(samples)


def test_hulls_are_as_sure_as_the_less_sure_and_unknown_with_an_unknown_one():
    hull = Interval(1, 2, 0.95).hull(Interval(4, 5, 0.75))
    assert hull == Interval(1, 5, 0.75)
    assert math.isnan(hull.hull(Interval(math.nan, math.nan)).high)
