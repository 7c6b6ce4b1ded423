"""What the tests leave to .ci/nightly: most examples of hypothesis, most cases of large tables.

There, and wherever EMUL_EVERY_CASE is set, all of them run. The rest is the same at every run.
"""

import os
from itertools import combinations, islice

import pytest
from hypothesis import settings

EVERY = "EMUL_EVERY_CASE" in os.environ
"""Whether all examples and all cases run, as .ci/nightly asks."""

FEWEST = 15
"""A property that names so many examples, or fewer, has all of them at every run."""

ONE_IN = 3


nightly = pytest.mark.nightly
"""A test that takes long, of what others test too."""


def fewer(number, fewest=FEWEST):
    """Return how many of ``number`` examples run: a third, but ``fewest`` where there are more."""
    return number if EVERY else max(min(number, fewest), number // ONE_IN)


def some(cases):
    """Return the cases that run of many that are alike: each third."""
    return islice(cases, 0, None, 1 if EVERY else ONE_IN)


def also(*cases):
    """Return ``cases`` for a list of cases that run in .ci/nightly alone; elsewhere nothing."""
    return cases if EVERY else ()


def examples(number):
    """Give a property ``number`` examples in .ci/nightly, and a third of them at other runs."""
    return settings(max_examples=fewer(number))


def covering(cases, together):
    """Return the places in ``cases`` of some that have every ``together`` values of all of them.

    A case is a mapping of names to values. That is a covering array, found greedily: next comes
    the case with the most combinations that no case before it has, of several the first.
    """
    values = [[(name, repr(value)) for name, value in case.items()] for case in cases]
    combined = [set(combinations(case, min(together, len(case)))) for case in values]
    missing, chosen = set().union(*combined), []
    while missing:
        best = max(range(len(cases)), key=lambda place: len(combined[place] & missing))
        missing -= combined[best]
        chosen.append(best)
    return sorted(chosen)


def kept(items):
    """Return the collected tests that run: of those marked ``covering``, what covers the table.

    A case that is asked for by its name runs. Those marked ``nightly`` do not.
    """
    tables = {}
    for item in items:
        marker = item.get_closest_marker("covering")
        if marker and hasattr(item, "callspec"):
            together, cases = tables.setdefault(item.nodeid.split("[")[0], (marker.args[0], []))
            cases.append(item)
    left = {item.nodeid for item in items if item.get_closest_marker("nightly")}
    for together, cases in tables.values():
        places = set(covering([case.callspec.params for case in cases], together))
        left.update(case.nodeid for place, case in enumerate(cases) if place not in places)
    return [item for item in items if item.nodeid not in left]
