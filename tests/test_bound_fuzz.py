"""No run is below its bounds: random worlds with every kind of link, and random calls on them."""

import pytest
from bound_fuzz import drawn_call, drawn_graph
from nightly import fewer

from emul.errors import ArgumentError, OutageError

CALLS, PARTS = fewer(800), 8
ON_GRAPHS = fewer(96)


@pytest.mark.parametrize("part", range(PARTS))
def test_no_run_is_below_its_bounds(part):
    tried = 0
    for number in range(part, CALLS, PARTS):
        call = drawn_call(number)
        try:
            prediction = call.predict()
        except (ArgumentError, OutageError):
            continue  # a level that an algorithm does not do, or a link that is down too long
        tried += 1
        assert prediction.total_ps >= prediction.bound_ps, (number, call)
        assert prediction.total_ps >= prediction.window_bound_ps, (number, call)
        assert not prediction.below_bound
    assert tried >= 0.9 * CALLS / PARTS


@pytest.mark.parametrize("part", range(PARTS))
def test_no_run_on_a_graph_is_below_its_bounds(part):
    tried = 0
    for number in range(part, ON_GRAPHS, PARTS):
        call = drawn_call(number, drawn_graph)
        try:
            prediction = call.predict()
        except (ArgumentError, OutageError):
            continue
        tried += 1
        assert prediction.total_ps >= prediction.bound_ps, (number, call)
        assert prediction.total_ps >= prediction.window_bound_ps, (number, call)
        assert prediction.critical_path.total_ps == prediction.total_ps
    assert tried >= 0.8 * ON_GRAPHS / PARTS
