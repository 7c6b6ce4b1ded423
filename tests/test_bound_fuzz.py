"""No run is below its bounds: random worlds with every kind of link, and random calls on them."""

import pytest
from bound_fuzz import drawn_call

from emul.errors import ArgumentError, OutageError

CALLS, PARTS = 800, 8


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
