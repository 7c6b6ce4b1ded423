"""Requests, predictions, runs and the settings of a World survive a pickle."""

import copy
import pickle

import numpy as np
import pytest
from strategies import CASES, count_for, link, one_site, root_of

from emul import ArgumentError, Settings, World
from emul.plans import COLLECTIVES, Send, Shape, build_plan, plan_from
from emul.runtime.request import Request


def copied(value):
    return pickle.loads(pickle.dumps(value))


def chain(n):
    for rank in range(1, n):
        yield [Send(rank - 1, rank, chunk, reduce=True) for chunk in range(n)]
    for rank in range(n - 1):
        yield [Send(n - 1, rank, chunk) for chunk in range(n)]


@pytest.mark.parametrize(
    "algorithm",
    [
        "auto",
        "ring",
        build_plan("all_reduce", "ring", (3,)),
        chain,
        plan_from(chain, "all_reduce", 3),
    ],
)
def test_a_request_is_equal_after_a_pickle_and_is_found_in_caches(algorithm):
    request = Request(Shape.of(COLLECTIVES["all_reduce"], 3, 7), 4, "max", algorithm)
    again = copied(request)
    assert again == request
    assert hash(again) == hash(request)
    world = World(one_site(3, link()))
    assert world.planner.prepare(again) is world.planner.prepare(request)


def test_a_request_by_a_function_without_a_name_is_refused_with_the_way_out():
    request = Request(Shape.of(COLLECTIVES["all_reduce"], 3, 7), 4, "sum", lambda n: chain(n))
    with pytest.raises(
        ArgumentError, match=r"algorithm <lambda> cannot be pickled .*, or its Plan"
    ):
        pickle.dumps(request)


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_a_plan_takes_as_long_in_a_world_to_which_it_was_sent(collective, algorithm):
    here, told = World("one-campus"), {"dtype": "float32", **root_of(collective, 1)}
    prediction = here.predict(collective, count_for(collective, 8, 30), algorithm=algorithm, **told)
    there, plan = World.of(copied(here.settings)), copied(prediction.plan)
    again = there.predict(collective, count_for(collective, 8, 30), algorithm=plan, **told)
    assert again.total_ps == prediction.total_ps
    assert again.timeline.done_ps.tolist() == prediction.timeline.done_ps.tolist()


@pytest.mark.parametrize("algorithm", ["auto", "hierarchical"])
def test_a_prediction_tells_the_same_after_a_pickle(algorithm):
    prediction = World("three-campus").predict("all_reduce", 3000, algorithm=algorithm)
    again = copied(prediction)
    for name in ("total_ps", "bound_ps", "window_bound_ps", "binding", "algorithm", "nbytes"):
        assert getattr(again, name) == getattr(prediction, name), name
    assert again.considered == prediction.considered
    assert again.ruled_out == prediction.ruled_out
    assert again.timeline.done_ps.tobytes() == prediction.timeline.done_ps.tobytes()
    assert again.critical_path.segments == prediction.critical_path.segments


def test_a_run_leaves_its_arrays_behind():
    world, x = World("three-campus"), np.full((24, 30), 0.1, np.float32)
    told, untold = world.all_reduce(x), world.all_reduce(x)
    error = told.error
    for run in (told, untold):
        again = copied(run)
        assert again.output is None
        assert "output none" in repr(again)
        assert again.time_s == run.time_s
        assert again.call_times == again.arrival == run.call_times
        assert again.moments.done_ps.tolist() == run.moments.done_ps.tolist()
        assert run.output.shape == (24, 30)
    assert copied(told).error == error
    with pytest.raises(ArgumentError, match="needed to ask for the error before"):
        _ = copied(untold).error


def test_a_run_of_a_handle_keeps_its_moments():
    world = World("three-campus")
    handle = world.group([0, 8, 16]).all_reduce(np.ones((3, 50)), async_op=True)
    world.compute(1.0)
    run = handle.wait()
    again = copied(run)
    assert again.time_s == run.time_s
    assert again.moments.ranks.tolist() == [0, 8, 16]
    assert again.operation.settled


def test_a_world_is_made_again_from_its_settings():
    world = World("three-campus", backend="numpy", seed=7, stack="gloo", start_s=60.0)
    again = World.of(copied(world.settings))
    assert isinstance(again.settings, Settings)
    assert again.settings == world.settings
    x = np.arange(24 * 5.0).reshape(24, 5)
    assert again.all_reduce(x).time_s == world.all_reduce(x).time_s
    assert again.ops.name == "numpy"


@pytest.mark.parametrize("copying", [copied, copy.copy, copy.deepcopy])
def test_a_world_itself_is_refused_with_the_way_out(copying):
    with pytest.raises(TypeError, match=r"needed its settings, and World\.of\(settings\)"):
        copying(World("one-campus"))
