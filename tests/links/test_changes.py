"""Links that change: days, outages and traces, and what comes of several together."""

import math
from itertools import islice, pairwise

import numpy as np
import pytest

from emul import ArgumentError
from emul.links.changes import CONSTANT, Changes, Diurnal, Outages, State

HOUR_S = 3600.0


def test_a_day_goes_by_quarters_of_an_hour_each_at_its_middle():
    states = list(islice(Diurnal(0.1, 0.6, busiest_hour=14.0).states(), 4 * 25))
    assert [state.from_s for state in states] == [900.0 * i for i in range(100)]
    for quarter in (0, 1, 55, 56, 90):
        hours = (quarter + 0.5) / 4 - 14
        load = 0.1 + 0.5 * (1 + math.cos(math.pi * hours / 12)) / 2
        assert states[quarter].rate_factor == pytest.approx(1 - load)
    assert [state.rate_factor for state in states[96:]] == [
        state.rate_factor for state in states[:4]
    ]
    # The two quarters around the busiest hour are alike, and no other is worse.
    least = min(state.rate_factor for state in states)
    assert states[55].rate_factor == pytest.approx(least)
    assert states[56].rate_factor == pytest.approx(least)


def test_scheduled_outages_begin_and_end():
    outages = Outages(((1.0, 2.0), (3.0, 0.5)))  # the second begins as the first ends
    found = [(state.from_s, state.up) for state in outages.states(0, "a - b")]
    assert found == [(0, True), (1, False), (3, True), (3, False), (3.5, True)]
    joined = [(s.from_s, s.up) for s in Changes(outages=outages).states(0, "a - b", 99.0)]
    assert joined == [(0, True), (1, False), (3, False), (3.5, True)]
    with pytest.raises(ArgumentError, match=r"outage from 2.9 s, while the one before lasts to 3"):
        Outages(((1.0, 2.0), (2.9, 1.0)))


def test_drawn_outages_last_and_come_as_long_as_they_are_said_to():
    # Derived: means of 4000 exponential numbers, five standard errors of 1 / sqrt(4000) each.
    outages = Outages(between_failures_s=100.0, repair_s=3.0)
    states = list(islice(outages.states(1, "a - b"), 8001))
    assert [state.up for state in states] == [i % 2 == 0 for i in range(8001)]
    times = np.diff([state.from_s for state in states])
    assert times[0::2].mean() == pytest.approx(100.0, rel=5 / math.sqrt(4000))
    assert times[1::2].mean() == pytest.approx(3.0, rel=5 / math.sqrt(4000))
    assert len(set(times.tolist())) == 8000
    assert times.std() > 0
    other = list(islice(outages.states(1, "a - c"), 3))
    assert other[1].from_s != states[1].from_s
    assert states[:3] == list(islice(outages.states(1, "a - b"), 3))
    assert states[1] != list(islice(outages.states(2, "a - b"), 2))[1]


def test_drawn_outages_follow_the_schedule():
    outages = Outages(((1.0, 2.0), (1e6, 5.0)), between_failures_s=1.0, repair_s=1.0)
    states = list(islice(outages.states(0, "x"), 20))
    assert all(after.from_s >= 1e6 + 5 for after in states[5:])
    assert [state.from_s for state in states[:5]] == [0, 1, 3, 1e6, 1e6 + 5]


def test_a_trace_is_repeated_from_its_period():
    trace = (State(0.0, 1.0), State(2.0, 0.5))
    found = list(Changes(trace, 5.0).states(0, "x", 10.0))
    assert [(s.from_s, s.rate_factor) for s in found] == [
        (0, 1), (2, 0.5), (5, 1), (7, 0.5), (10, 1), (12, 0.5),
    ]  # fmt: skip
    once = list(Changes(trace).states(0, "x", 10.0))
    assert [s.from_s for s in once] == [0, 2]


def test_what_changes_at_once_is_multiplied_added_and_all_up():
    trace = (State(0.0, 0.5, 1e-3, 0.1), State(900.0, 0.8, 2e-3, None), State(1000.0, up=False))
    day = Diurnal(0.2, 0.2)
    both = Changes(trace, diurnal=day, outages=Outages(((950.0, 10.0), (1000.0, 1.0))))
    found = [(s.from_s, s.extra_delay_s, s.loss, s.up) for s in both.states(0, "x", 1001.0)]
    assert found[0] == (0, 1e-3, 0.1, True)
    assert found[1] == (900, 2e-3, None, True)  # the second quarter begins then as well
    assert found[2] == (950, 2e-3, None, False)
    assert found[3] == (960, 2e-3, None, True)
    assert found[4] == (1000, 0, None, False)
    assert found[5] == (1001, 0, None, False)  # the outage is over, and the trace says down
    factors = [s.rate_factor for s in both.states(0, "x", 1001.0)]
    assert factors[:3] == pytest.approx([0.4, 0.64, 0.64])
    assert all(a < b for a, b in pairwise(s[0] for s in found))


def test_the_best_of_what_changes():
    trace = (State(0.0, 0.5, 3e-3), State(1.0, 0.9, 1e-3, up=False), State(2.0, 0.7, 2e-3))
    assert Changes(trace).best_rate_factor == 0.7
    assert Changes(trace, diurnal=Diurnal(0.1, 0.6)).best_rate_factor == pytest.approx(0.63)
    assert Changes(trace).least_extra_delay_s == 1e-3
    assert (CONSTANT.best_rate_factor, CONSTANT.least_extra_delay_s) == (1, 0)


def test_effects_are_turned_off_in_traces_too():
    state = State(0.0, 0.5, 3e-3, 0.1, up=False)
    changes = Changes((state,), diurnal=Diurnal(0.1, 0.2), outages=Outages(((1.0, 1.0),)))
    quiet = changes.without(frozenset({"load"}))
    assert (quiet.trace[0].rate_factor, quiet.diurnal) == (1, None)
    assert quiet.outages == changes.outages
    near = changes.without(frozenset({"latency", "loss"})).trace[0]
    assert near == State(0.0, 0.5, 0.0, None, up=False)
    whole = changes.without(frozenset({"outage"}))
    assert (whole.trace[0].up, whole.outages, whole.diurnal) == (True, None, changes.diurnal)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Changes((State(0.0), State(0.0))), "trace goes back from 0.0 s to 0.0 s"),
        (lambda: Changes((State(1.0),)), "trace begins at 1.0 s"),
        (lambda: Changes((State(0.0), State(2.0)), 2.0), "repeated every 2.0 s"),
        (lambda: Outages(repair_s=1.0), "needed both above 0, or neither"),
        (lambda: Diurnal(0.5, 0.4), "loads 0.5 to 0.4"),
        (lambda: Diurnal(0.5, 1.0), "loads 0.5 to 1.0"),
        (lambda: State(loss=1.0), "loss = 1.0: needed a probability from 0 to less than 1"),
    ],
)
def test_changes_that_mean_nothing_are_refused(make, complaint):
    with pytest.raises(ArgumentError, match=complaint):
        make()
