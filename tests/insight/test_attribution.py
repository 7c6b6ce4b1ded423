"""The shares of effects and of the schedule in times that are made up, by hand."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.insight.attribution import Coalitions, program_shares, shares_with_schedule
from emul.insight.players import MOST_PLAYERS, effects_off, players_of
from emul.runtime.planner import Timing
from emul.runtime.without_effects import without_effects
from emul.world import World


def shares(effects, times_ps, bounds_ps):
    players = [(each,) for each in effects]
    found = Coalitions(players, times_ps, [f"plan {each}" for each in range(len(times_ps))])
    return {each.name: each for each in shares_with_schedule(found, bounds_ps)}


def parts(effects, times_ps, bounds_ps):
    found = shares(effects, times_ps, bounds_ps)
    return {name: each.share_ps for name, each in found.items()}


def test_two_effects_that_the_bound_is_blind_to_share_by_the_formula_for_two():
    # jitter alone 30 more, loss alone 50 more, both 100 more; the bound is 60 of 100.
    found = parts(("loss", "jitter"), [100, 150, 130, 200], [60] * 4)
    # loss: half of (150 - 100) and of (200 - 130); jitter: half of 30 and of 50.
    assert found == {"sending": 60, "loss": 60, "jitter": 40, "schedule": 40}


def test_an_effect_that_the_bound_counts_shares_with_the_schedule():
    # With all of it 290 and its bound 145; without load 18 and 9. So load is half of 145 - 9 and of
    # 290 - 18, the schedule half of 18 - 9 and of 290 - 145.
    found = parts(("load",), [18, 290], [9, 145])
    assert found == {"load": 204, "schedule": 77, "sending": 9}


def test_without_effects_the_schedule_is_all_above_the_bound():
    assert parts((), [70], [30]) == {"schedule": 40, "sending": 30}


def test_alone_is_the_time_that_one_change_brings():
    found = shares(("load", "jitter"), [18, 290, 20, 300], [9, 145, 9, 145])
    assert found["load"].alone_ps == 300 - 20
    assert found["load"].algorithm == "plan 2"  # the coalition of jitter alone
    assert found["jitter"].alone_ps == 300 - 290
    assert found["schedule"].alone_ps == 300 - 145
    assert found["sending"].alone_ps is None


def test_an_effect_that_changes_nothing_has_no_row():
    assert set(parts(("window", "load"), [5, 5, 9, 9], [2, 2, 3, 3])) == {
        "load", "schedule", "sending",
    }  # fmt: skip
    # One that only ever matters without another has one.
    assert "window" in parts(("window", "load"), [5, 6, 9, 9], [2] * 4)
    # So has one that only the bound counts.
    assert "load" in parts(("load",), [9, 9], [2, 3])


def test_equal_effects_have_equal_shares_and_the_largest_come_first():
    found = shares(("latency", "load"), [10, 20, 20, 50], [4, 6, 6, 12])
    # schedule: 10 - 4, 20 - 6 twice, 50 - 12, weighed 2, 1, 1 and 2 of 6: 19 and 1/3. Of the other
    # 26 and 2/3 each effect has half, 13 and 1/3; the last picosecond goes to the first remainder.
    assert {name: each.share_ps for name, each in found.items()} == {
        "schedule": 20, "latency": 13, "load": 13, "sending": 4,
    }  # fmt: skip
    assert list(found) == ["schedule", "latency", "load", "sending"]


def by_orders(players, times_ps, bounds_ps):
    """The shares as sums over all orders of effects and schedule, as their definition says."""
    n = len(players)
    everyone = range(n + 1)  # the last is the schedule
    coalitions = range(1 << n)
    counted = [p for p in range(n)
               if any(bounds_ps[c] != bounds_ps[c ^ (1 << p)] for c in coalitions)]  # fmt: skip

    def worth(there):
        on = sum(1 << p for p in there if p < n)
        if n in there:
            return times_ps[on]
        seen = sum(1 << p for p in there if p in counted)
        return bounds_ps[on] + times_ps[on] - times_ps[seen]

    orders = list(permutations(everyone))
    added = [0] * (n + 1)
    for order in orders:
        for at, player in enumerate(order):
            added[player] += worth(order[: at + 1]) - worth(order[:at])
    return [each / len(orders) for each in added]


tables = st.integers(0, 3).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 10**6), min_size=1 << n, max_size=1 << n),
        st.lists(st.sampled_from([0, 7, 7, 1000]), min_size=1 << n, max_size=1 << n),
    )
)


@given(tables)
def test_shares_are_the_mean_over_all_orders_and_sum_to_the_time(table):
    times_ps, bounds_ps = table
    effects = ("latency", "window", "loss")[: (len(times_ps) - 1).bit_length()]
    found = parts(effects, times_ps, bounds_ps)
    assert sum(found.values()) == times_ps[-1]
    *values, schedule = by_orders(effects, times_ps, bounds_ps)
    assert found["schedule"] == pytest.approx(schedule, abs=1)
    assert found["sending"] == bounds_ps[0]
    for effect, value in zip(effects, values, strict=True):
        assert found.get(effect, 0) == pytest.approx(value, abs=1)


def test_a_program_has_compute_and_sending_in_the_place_of_a_bound():
    found = Coalitions([("latency",), ("load",)], [50, 60, 80, 110], [""] * 4)
    told = {each.name: each.share_ps for each in program_shares(found, 40)}
    # latency: half of 10 and of 30; load: half of 30 and of 50.
    assert told == {"compute": 40, "load": 40, "latency": 20, "sending": 10}
    assert {each.name: each.alone_ps for each in program_shares(found, 40)} == {
        "compute": None, "sending": None, "latency": 30, "load": 50,
    }  # fmt: skip


def test_an_effect_that_changes_no_program_has_no_row():
    found = Coalitions([("window",), ("latency",)], [50, 50, 80, 80], [""] * 4)
    assert [each.name for each in program_shares(found, 40)] == ["latency", "compute", "sending"]


def test_the_players_are_the_effects_that_are_there():
    topology, timing = World("three-campus").topology, Timing()
    assert players_of(topology, timing, lambda off: 0) == [
        ("latency",), ("window",), ("gap",), ("loss",), ("jitter",), ("load",),
    ]  # fmt: skip
    quiet = topology.without(["loss", "gap", "jitter"])
    assert players_of(quiet, Timing(slicing=None), lambda off: 0)[-1] == ("load",)
    assert effects_off([("latency",), ("loss", "queue"), ("load",)], 0b101) == ("loss", "queue")
    assert effects_off([("latency",), ("loss",)], 0) == ("latency", "loss")


def test_of_more_than_eight_effects_the_least_are_switched_together(monkeypatch):
    topology, timing = World("three-campus").topology, Timing()

    def all_there(*given):
        return (object(), timing) if given[2] else without_effects(*given)

    monkeypatch.setattr("emul.insight.players.without_effects", all_there)
    brings = {"latency": 9, "window": 1, "gap": 7, "loss": 6, "jitter": 5, "queue": 8, "load": 4,
              "outage": 3, "host": 2}  # fmt: skip
    players = players_of(topology, timing, lambda off: 100 - sum(brings[each] for each in off))
    assert len(players) == MOST_PLAYERS
    assert ("window", "host") in players
    assert sum(map(len, players)) == len(brings)
