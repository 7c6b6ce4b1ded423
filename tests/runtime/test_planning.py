"""The choice of ``auto``, and plans in files that change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases, count_for, link, one_site, root_of, topologies

from emul import PlanError, World
from emul.plans import algorithms_for, build_plan, plan_xml
from emul.report import closing_words
from emul.runtime import planner
from emul.runtime.request import Request
from emul.timing import busiest_link_ps, transfers_in
from emul.units import format_time


@given(topologies(), cases, st.integers(0, 3000), st.data())
def test_no_program_is_quicker_than_its_busiest_link(topology, case, blocks, data):
    world = World(topology)
    root = data.draw(st.integers(0, world.size - 1))
    count = count_for(case[0], world.size, blocks)
    prediction = world.predict(
        case[0], count, dtype="uint8", algorithm=case[1], **root_of(case[0], root)
    )
    program = world.planner.prepare(Request(prediction.shape, 1, "sum", case[1], root)).program
    least_ps = busiest_link_ps(program, world.network)
    rounding = len(prediction.timeline)  # each occupancy is rounded by half a picosecond
    assert least_ps <= prediction.timeline.total_ps + rounding
    assert transfers_in(program, world.slicing) <= len(prediction.timeline) + len(program)


def test_the_busiest_link_is_that_of_a_star():
    # direct broadcast over 5 ranks: the root's port sends 4 buffers
    world = World(one_site(5, link(gbit_per_s=8.0)))
    shape = world.predict("broadcast", 1000).shape
    program = world.planner.prepare(Request(shape, 4, algorithm="direct")).program
    assert busiest_link_ps(program, world.network) == 4 * 4000 * 1000


@pytest.mark.parametrize("kept", [0, 1 << 18])
def test_an_algorithm_that_cannot_win_is_neither_proven_nor_timed(kept, monkeypatch):
    world, built = World("three-campus"), []
    names = algorithms_for("all_reduce")
    times = {name: world.predict("all_reduce", 1 << 20, algorithm=name).time_s for name in names}
    build, prove = planner.build_plan, planner.verify
    monkeypatch.setattr(
        planner, "build_plan", lambda *args, **more: built.append(args[1]) or build(*args, **more)
    )
    monkeypatch.setattr(planner, "verify", lambda plan: built.append(plan.algorithm) or prove(plan))
    monkeypatch.setattr(planner, "KEPT_TRANSFERS", kept)
    some = World("three-campus").predict("all_reduce", 1 << 20)
    assert some.time_s == min(times.values()) == times[some.plan.algorithm]
    assert some.considered.items() <= times.items()
    assert built
    assert built[-1] == some.plan.algorithm
    assert {*built} <= some.considered.keys()
    assert some.ruled_out.keys() == times.keys() - some.considered.keys()
    assert all(some.time_s <= least_s <= times[name] for name, least_s in some.ruled_out.items())
    words = closing_words(world, some, some)[-1]
    least = format_time(min(some.ruled_out.values()))
    needed = f"each needs at least {least} for its busiest link."
    assert f". {len(some.ruled_out)} more were not timed: {needed}" in words
    assert all(f"{name} " in words for name in some.considered)
    assert not any(f" {name} " in words for name in some.ruled_out)


def test_a_regular_ring_that_cannot_win_is_timed_by_rule(monkeypatch):
    made, of = [], planner.Program.of
    monkeypatch.setattr(
        planner.Program, "of", lambda plan, *more: made.append(plan.algorithm) or of(plan, *more)
    )
    found = World("one-campus").predict("all_reduce", 240)
    rings = ("ring", "ring:channels", "ring:interleaved")
    assert not {*rings} & {*made}
    for algorithm in rings:
        named = World("one-campus").predict("all_reduce", 240, algorithm=algorithm)
        assert found.considered[algorithm] == named.time_s


def test_a_file_that_changed_is_read_again(tmp_path):
    path = tmp_path / "plan.xml"
    world, x = World(one_site(3, link())), np.ones((3, 6))
    times = []
    for algorithm in ("ring", "direct"):
        path.write_text(plan_xml(build_plan("all_reduce", algorithm, (3,))))
        run = world.all_reduce(x, algorithm=str(path))
        times.append(run.time_s)
        assert run.prediction.plan.algorithm == algorithm
        assert run.time_s == world.all_reduce(x, algorithm=algorithm).time_s
    path.unlink()
    with pytest.raises(PlanError, match=r"plan.xml: cannot be read"):
        world.all_reduce(x, algorithm=str(path))
