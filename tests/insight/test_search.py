"""The search over settings, on a matter whose times are made up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_times import MadeUp, three_sites

from emul import ArgumentError
from emul.insight.search import MOST_TRIED, best_settings

TOPOLOGY = three_sites()


@given(best=st.integers(-20, 20))
def test_steps_lead_to_the_best_setting_and_each_is_timed_once(best):
    problem = MadeUp(best=best)
    found = best_settings(problem, TOPOLOGY)
    assert found.settings == {"x": best}
    assert found.time_s == 4.0
    tried = [str(settings) for _, settings in problem.calls]
    assert len(tried) == len(set(tried)) == found.tried


def test_the_best_start_is_taken():
    problem = MadeUp(best=3)
    found = best_settings(problem, TOPOLOGY, [{"x": 9}, {"x": 3}])
    assert found.time_s == 4.0
    # 1, 9, 3; then from 3 one that is refused, and both neighbours.
    assert [settings["x"] for _, settings in problem.calls] == [1, 9, 3, "bad", 2, 4]


def test_a_step_that_saves_hardly_anything_is_not_taken():
    problem = MadeUp(best=1)
    problem.timed = lambda topology, settings: 1.0 - 1e-4 * (settings["x"] == 2)
    assert best_settings(problem, TOPOLOGY).settings == {"x": 1}


def test_settings_without_a_time_are_passed_over_unless_all_are():
    problem = MadeUp()
    problem.starts = lambda topology: iter([{"x": "bad"}])
    assert best_settings(problem, TOPOLOGY, [{"x": 3}]).settings == {"x": 3}
    with pytest.raises(ArgumentError, match="no time with bad"):
        best_settings(problem, TOPOLOGY)


def test_the_search_has_an_end():
    problem = MadeUp(best=10**9)
    problem.timed = lambda topology, settings: 1.01 ** -settings["x"]
    problem.moves = lambda topology, settings: iter([{"x": settings["x"] + 1}])
    assert best_settings(problem, TOPOLOGY).tried == MOST_TRIED


def test_progress_is_told():
    told = []
    best_settings(MadeUp(best=1), TOPOLOGY, advance=told.append)
    assert told == ["1 settings", "2 settings", "3 settings", "4 settings"]
