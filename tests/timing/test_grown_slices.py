"""Slices that grow where there would be too many of them: each stands for several."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import cases, count_for, link, one_site, program_of, real_topologies, sites_of_one

from emul import CapacityError, Link, NoData, Slicing, World
from emul.links import Transport
from emul.plans import build_plan
from emul.report.perf_row import modelled_row
from emul.report.words import closing_words
from emul.timing import transfers_in
from emul.timing.traffic import MOST_SLICES, Traffic

US = 1_000_000
WIDE = sites_of_one(lambda a, b: Link(1e9, 10e-6), 2)


@pytest.fixture
def most(monkeypatch):
    """Let slices grow beyond so many of them, however few each message then has."""
    monkeypatch.setattr("emul.timing.traffic.SLICES_PER_MESSAGE", 1)
    return lambda number: monkeypatch.setattr("emul.timing.traffic.MOST_SLICES", number)


def predicted(nbytes, slicing, topology=WIDE, stack="ideal"):
    world = World(topology, slicing=slicing, stack=stack)
    return world.predict("broadcast", nbytes, dtype="uint8", algorithm="direct")


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("growth", [1, 2, 8])
def test_word_of_a_grown_slice_takes_as_many_round_trips(most, slots, growth):
    # 64 slices of 1 us over 10 us: after every ``slots`` of them the sender waits for word
    most(64 // growth)
    prediction = predicted(64_000, Slicing(1000, slots))
    rounds = 64 // slots // growth
    waited = (rounds - 1) * growth * (1 * US + 20 * US)
    assert prediction.total_ps == waited + slots * growth * US + 10 * US
    assert prediction.slice_growth == growth
    assert len(prediction.timeline) == 64 // growth
    assert prediction.binding == "window"
    assert prediction.critical_path.total_ps == prediction.total_ps
    assert not prediction.below_bound


@pytest.mark.parametrize("growth", [1, 4])
def test_gaps_last_as_long_in_all(most, growth):
    # 16 slices of 1 us that begin 5 us apart, for each stands for as many gaps as slices
    most(16 // growth)
    gappy = sites_of_one(lambda a, b: Link(1e9, 10e-6, transport=Transport(gap_s=5e-6)), 2)
    prediction = predicted(16_000, Slicing(1000, 1 << 30), gappy)
    assert prediction.total_ps == (16 // growth - 1) * growth * 5 * US + growth * US + 10 * US


@pytest.mark.parametrize("growth", [2, 8])
def test_in_flight_beside_others_the_time_is_the_same(most, growth):
    most(64 // growth)
    slicing = Slicing(1000, 2)
    alone = predicted(64_000, slicing)
    world = World(WIDE, slicing=slicing)
    run = world.broadcast(NoData(64_000, "uint8"), algorithm="direct", async_op=True).wait()
    assert run.moments.time_ps == alone.total_ps
    group = World(WIDE, slicing=slicing).group([0, 1])
    assert group.broadcast(NoData(64_000, "uint8"), algorithm="direct").time_s == alone.time_s


def test_one_beside_grown_slices_has_its_own_credit(most):
    most(16)
    world = World(sites_of_one(lambda a, b: Link(1e9, 10e-6), 4), slicing=Slicing(1000, 2))
    large, small = world.group([0, 1]), world.group([2, 3])
    handles = [
        group.broadcast(NoData(count, "uint8"), algorithm="direct", async_op=True)
        for group, count in ((large, 64_000), (small, 12_000))
    ]
    # 12 slices in pairs, as if nothing had grown: see test_slices
    assert handles[1].wait().moments.time_ps == 5 * 21 * US + 2 * US + 10 * US
    alone = predicted(64_000, Slicing(1000, 2)).total_ps
    assert handles[0].wait().moments.time_ps == alone


@pytest.mark.parametrize("counts_slots", [False, True])
def test_grown_slices_take_the_credit_of_one(most, counts_slots):
    most(8)
    slicing = Slicing(1000, 4, counts_slots)
    program = program_of(build_plan("broadcast", "direct", (2,)), 31_600, 1)
    traffic = Traffic.of(program, slicing)
    assert traffic.growth.tolist() == [4] * 8
    assert traffic.nbytes.tolist() == [4000] * 7 + [3600]
    assert traffic.takes.tolist() == ([1] * 8 if counts_slots else [1000] * 7 + [900])
    assert traffic.credit == slicing.credit


def test_slices_grow_only_beyond_the_most(most):
    ring = program_of(build_plan("all_reduce", "ring", (4,)), 4 * 64_000, 1)  # 24 messages
    slicing = Slicing(1000)
    assert transfers_in(ring, slicing) == 24 * 64
    for number, growth in ((24 * 64, 1), (24 * 64 - 1, 2), (24 * 2, 32), (24, 64), (3, 64)):
        most(number)
        assert slicing.growth(ring) == growth
        assert set(Traffic.of(ring, slicing).growth) == ({growth} if growth > 1 else set())
    assert slicing.growth(program_of(build_plan("all_reduce", "ring", (4,)), 0, 1)) == 1


def test_messages_keep_some_slices(monkeypatch):
    ring, slicing = program_of(build_plan("all_reduce", "ring", (4,)), 4 * 64_000, 1), Slicing(1000)
    monkeypatch.setattr("emul.timing.traffic.MOST_SLICES", 100)
    assert slicing.growth(ring) == 4  # 64 slices in each of 24 messages, of which 16 are left
    monkeypatch.setattr("emul.timing.traffic.MOST_IN_ANY_CASE", 24 * 16 - 1)
    assert slicing.growth(ring) == 8


@examples(25)
@given(real_topologies(), cases, st.integers(2, 4), st.data())
def test_grown_slices_keep_to_the_bounds_and_add_up(topology, case, slots, data):
    collective, algorithm = case
    count = count_for(collective, topology.world_size, data.draw(st.integers(1, 4000)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emul.timing.traffic.SLICES_PER_MESSAGE", 1)
        patch.setattr("emul.timing.traffic.MOST_SLICES", data.draw(st.integers(1, 60)))
        world = World(topology, slicing=Slicing(200, slots))
        prediction = world.predict(collective, count, algorithm=algorithm)
    assert not prediction.below_bound
    assert prediction.critical_path.total_ps == prediction.total_ps


@pytest.mark.parametrize("algorithm", ["ring", "direct"])
def test_the_time_is_near_to_that_of_all_slices(most, algorithm):
    world = one_site(6, link(latency_us=200.0))  # held back by credit
    exact, grown = [], []
    for number, times in ((MOST_SLICES, exact), (3000, grown)):
        most(number)
        for verb in ("all_reduce", "all_gather"):
            prediction = World(world).predict(verb, 6 << 26, dtype="uint8", algorithm=algorithm)
            times.append(prediction.time_s)
            assert (prediction.slice_growth > 1) == (number == 3000)
    np.testing.assert_allclose(grown, exact, rtol=0.03)


def test_auto_times_sizes_whose_slices_would_be_too_many(most, monkeypatch):
    monkeypatch.setattr("emul.runtime.candidates.MOST_WORK_OF_AUTO", 2000)
    world = World(one_site(4, link()), slicing=Slicing(1000, 8))
    with pytest.raises(CapacityError, match="too much for auto"):
        world.predict("all_reduce", 4 << 20, dtype="uint8")
    most(2000)
    prediction = world.predict("all_reduce", 4 << 20, dtype="uint8")
    assert not prediction.passed_over
    assert prediction.slice_growth > 1


def test_a_row_and_its_words_say_so(most):
    most(16)
    world = World(WIDE, slicing=Slicing(1000, 2))
    prediction = predicted(64_000, Slicing(1000, 2))
    row = modelled_row(world, prediction, np.dtype("u1"), redop="none", root=0, seed=0)
    assert (row.slice_bytes, row.slice_growth) == (4000, 4)
    said = "Slices: 16 were timed, each for 4, as all would be too many to be timed."
    assert said in closing_words(world, prediction, None)
    most(64)
    plain = predicted(64_000, Slicing(1000, 2))
    assert not any(line.startswith("Slices") for line in closing_words(world, plain, None))
    row = modelled_row(world, plain, np.dtype("u1"), redop="none", root=0, seed=0)
    assert (row.slice_bytes, row.slice_growth) == (1000, 1)


def test_a_prediction_says_so(most):
    most(16)
    prediction = predicted(64_000, Slicing(1000, 2))
    assert "each slice for 4>" in repr(prediction)
    assert ("slices", "each stands for 4, as there are too many") in prediction.facts
    most(64)
    assert "slice" not in repr(predicted(64_000, Slicing(1000, 2)))
