"""Tables are covered by few of their cases, and all of them run where they are asked for."""

from itertools import combinations, product
from types import SimpleNamespace

import nightly
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import also, covering, examples, fewer, kept, some

TABLE = [dict(zip("abc", case, strict=True)) for case in product("12", "345", "6789")]


def together(cases, number):
    """All values of ``number`` names that come together in one of the cases."""
    return {pairs for case in cases for pairs in combinations(case.items(), number)}


@pytest.mark.parametrize(("number", "fewest"), [(1, 4), (2, 12), (3, 24)])
def test_chosen_cases_have_all_values_together(number, fewest):
    """Of 2, 3 and 4 values: 4 cases or more have each, 12 each pair, all 24 each three of them."""
    chosen = [TABLE[place] for place in covering(TABLE, number)]
    assert together(chosen, number) == together(TABLE, number)
    assert fewest <= len(chosen) <= fewest * 1.5


@examples(60)
@given(st.lists(st.fixed_dictionaries({name: st.integers(0, 3) for name in "abc"})), st.data())
def test_no_value_of_any_table_is_left_out(table, data):
    number = data.draw(st.integers(1, 3))
    places = covering(table, number)
    assert together([table[place] for place in places], number) == together(table, number)
    assert places == sorted(set(places))


def test_a_table_of_one_name_is_whole():
    assert covering([{"a": 1}, {"a": 2}], 2) == [0, 1]


def items_of(name, table, *number, marked="covering"):
    """Collected tests as pytest has them, one for each case; ``marked`` with a number."""
    marker = SimpleNamespace(args=number) if number else None
    return [
        SimpleNamespace(
            nodeid=f"{name}[{place}]",
            callspec=SimpleNamespace(params=case),
            get_closest_marker=lambda name: marker if name == marked else None,
        )
        for place, case in enumerate(table)
    ]


def test_only_marked_tables_are_thinned_and_each_for_itself():
    plain, one, other = (
        items_of("plain", TABLE),
        items_of("one", TABLE, 1),
        items_of("two", TABLE, 2),
    )
    run = [item.nodeid for item in kept([*plain, *one, *other])]
    assert run[:24] == [item.nodeid for item in plain]
    for items, number in ((one, 1), (other, 2)):
        cases = [item.callspec.params for item in items if item.nodeid in run]
        assert len(cases) == len(covering(TABLE, number)) < 24


def test_a_test_of_the_night_waits_for_it():
    by_day, by_night = items_of("day", TABLE[:1]), items_of("night", TABLE[:1], 1, marked="nightly")
    assert kept([*by_night, *by_day]) == by_day


def test_a_case_that_is_asked_for_runs():
    (item,) = items_of("one", TABLE[7:8], 1)
    assert kept([item]) == [item]


@pytest.mark.parametrize(
    ("every", "numbers", "cases", "more"),
    [
        (True, [12, 15, 40, 60, 400], [0, 1, 2, 3, 4, 5, 6], (1,)),
        (False, [12, 15, 15, 20, 133], [0, 3, 6], ()),
    ],
)
def test_the_nightly_run_has_all_of_them(every, numbers, cases, more, monkeypatch):
    monkeypatch.setattr(nightly, "EVERY", every)
    assert [fewer(number) for number in (12, 15, 40, 60, 400)] == numbers
    assert fewer(8, 3) == (8 if every else 3)
    assert examples(60).max_examples == (60 if every else 20)
    assert list(some(range(7))) == cases
    assert also(1) == more
