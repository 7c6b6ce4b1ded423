"""When steps are due, worked out transfer by transfer: whole messages, slices and stacks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import CASES, cases, topologies, width_for

from emul import World
from emul.plans import COLLECTIVES, Shape
from emul.runtime.request import Request
from emul.timing import NCCL_SLICING, Slicing
from emul.wall.step_deadlines import step_deadlines_ps

STACKS = ("ideal", "nccl", "gloo", "openmpi")


def deadlines(world, collective, algorithm, blocks, root=0):
    shape = Shape(COLLECTIVES[collective], world.size, width_for(collective, world.size, blocks))
    prepared = world.planner.prepare(Request(shape, 4, "sum", algorithm, root))
    program, prediction = prepared.program, prepared.prediction
    return program, prediction.timeline, step_deadlines_ps(program, prediction.timeline)


def check(program, timeline, due_ps):
    steps = len(program.first_of_step) - 1
    assert due_ps.shape == (steps,)
    assert due_ps.dtype == np.int64
    assert (np.diff(due_ps) >= 0).all()
    assert (due_ps >= 0).all()
    if steps:
        assert due_ps[-1] == timeline.total_ps


@examples(40)
@given(
    topologies(), cases, st.integers(1, 40), st.sampled_from([None, NCCL_SLICING, Slicing(64, 2)])
)
def test_a_step_is_due_when_the_last_that_it_sends_has_come(topology, case, blocks, slicing):
    world = World(topology, slicing=slicing)
    program, timeline, due_ps = deadlines(world, *case, blocks)
    check(program, timeline, due_ps)
    # Bytes tell which lines of the timeline belong to which transfer of the program.
    line, latest = 0, 0
    for step in range(len(due_ps)):
        for transfer in range(program.first_of_step[step], program.first_of_step[step + 1]):
            carried = 0
            while carried < program.nbytes[transfer]:
                assert (timeline.src[line], timeline.dst[line]) == (
                    program.src[transfer],
                    program.dst[transfer],
                )
                carried += timeline.nbytes[line]
                latest = max(latest, int(timeline.done_ps[line]))
                line += 1
            assert carried == program.nbytes[transfer]
        assert due_ps[step] == latest
    assert line == len(timeline)


@pytest.mark.parametrize("stack", STACKS)
def test_handshakes_of_a_stack_belong_to_no_step(stack):
    world = World("three-campus", stack=stack)
    for algorithm in ("ring", "hierarchical"):
        program, timeline, due_ps = deadlines(world, "all_reduce", algorithm, 1_000_000)
        check(program, timeline, due_ps)
        if stack in ("gloo", "openmpi"):
            data = np.flatnonzero(np.isin(timeline.nbytes, program.nbytes))
            assert len(data) == len(program) < len(timeline)
            done_ps = np.maximum.accumulate(timeline.done_ps[data])
            assert due_ps.tolist() == done_ps[program.first_of_step[1:] - 1].tolist()


def test_no_step_is_due_where_nothing_is_sent():
    world = World("three-campus")
    name, algorithm = next(case for case in CASES if case[0] == "send_recv")
    shape = Shape(COLLECTIVES[name], world.size, 0)
    prepared = world.planner.prepare(Request(shape, 4, algorithm=algorithm))
    program, prediction = prepared.program, prepared.prediction
    assert len(step_deadlines_ps(program, prediction.timeline)) == len(program.first_of_step) - 1
