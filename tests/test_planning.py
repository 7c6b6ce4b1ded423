"""The choice of ``auto``, and plans in files that change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import cases, count_for, link, one_site, root_of, topologies

from emul import PlanError, World
from emul.plans import build_plan, plan_xml
from emul.report import closing_words
from emul.runtime.request import Request
from emul.timing import busiest_link_ps, transfers_in


@given(topologies(), cases, st.integers(0, 3000), st.data())
def test_no_program_is_quicker_than_its_busiest_link(topology, case, blocks, data):
    world = World(topology)
    root = data.draw(st.integers(0, world.size - 1))
    count = count_for(case[0], world.size, blocks)
    prediction = world.predict(
        case[0], count, dtype="uint8", algorithm=case[1], **root_of(case[0], root)
    )
    program, _ = world.planner.prepare(Request(prediction.shape, 1, "sum", case[1], root))
    least_ps = busiest_link_ps(program, world.network)
    rounding = len(prediction.timeline)  # each occupancy is rounded by half a picosecond
    assert least_ps <= prediction.timeline.total_ps + rounding
    assert transfers_in(program, world.slicing) <= len(prediction.timeline) + len(program)


def test_the_busiest_link_is_that_of_a_star():
    # direct broadcast over 5 ranks: the root's port sends 4 buffers
    world = World(one_site(5, link(gbit_per_s=8.0)))
    shape = world.predict("broadcast", 1000).shape
    program, _ = world.planner.prepare(Request(shape, 4, algorithm="direct"))
    assert busiest_link_ps(program, world.network) == 4 * 4000 * 1000


def test_what_cannot_win_is_ruled_out_by_the_least_time_that_it_takes(monkeypatch):
    world = World("three-campus")
    kept = world.predict("all_reduce", 1 << 20)
    monkeypatch.setattr("emul.runtime.planner.KEPT_TRANSFERS", 0)
    some = World("three-campus").predict("all_reduce", 1 << 20)
    assert some.plan.algorithm == kept.plan.algorithm
    assert (some.time_s, some.considered, some.ruled_out) == (
        kept.time_s, kept.considered, kept.ruled_out
    )  # fmt: skip
    assert some.ruled_out
    assert not some.considered.keys() & some.ruled_out.keys()
    for algorithm, least_s in some.ruled_out.items():
        time_s = world.predict("all_reduce", 1 << 20, algorithm=algorithm).time_s
        assert some.time_s <= least_s <= time_s
    words = closing_words(world, some, some)[-1]
    assert f"; {len(some.ruled_out)} cannot be quicker and were not timed." in words
    assert all(f" {name} " in words for name in some.considered)
    assert not any(f" {name} " in words for name in some.ruled_out)


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
