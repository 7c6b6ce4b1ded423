"""Rings in loops: right for any sites, and no rank begins one before the last is through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import is_right
from nightly import examples
from strategies import program_of, sites_of_one

from emul import ArgumentError, Link, PlanError
from emul.plans import build_plan
from emul.plans.algorithms.loops import MOST_LOOPS, loops_of, with_loops
from emul.plans.msccl import plan_xml
from emul.timing import time_plan
from emul.topology import Network

AROUND = ("all_reduce", "reduce_scatter", "all_gather")
RINGS = ("ring", "ring:interleaved", "ring:bidirectional", "ring:channels")


@examples(60)
@given(
    st.sampled_from(AROUND),
    st.sampled_from(RINGS),
    st.integers(1, 5),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
)
def test_any_ring_in_loops_is_right(collective, ring, loops, sites):
    assert is_right(build_plan(collective, f"{ring},loops={loops}", sites))


def chunks_of(plan, rank):
    """The chunks that ``rank`` sends, in order."""
    return [int(step.src_chunk[step.src == rank][0]) for step in plan.steps()]


def test_loops_of_a_vector_lie_behind_one_another_and_those_of_blocks_in_each_block():
    assert chunks_of(build_plan("all_reduce", "ring,loops=2", (2,)), 0) == [1, 0, 3, 2]
    assert chunks_of(build_plan("all_gather", "ring,loops=2", (3,)), 0) == [0, 4, 1, 5]
    assert chunks_of(build_plan("reduce_scatter", "ring,loops=2", (3,)), 0) == [4, 2, 5, 3]


def test_a_rank_waits_for_the_last_chunk_of_the_loop_before():
    # Rows 0 to 11 are of the first loop: 4 steps of 3 ranks; rank r receives the last from r - 1.
    waits = build_plan("all_reduce", "ring,loops=2", (3,)).waits
    assert waits.later.tolist() == [12, 13, 14]
    assert waits.earlier.tolist() == [11, 9, 10]
    assert waits.starts.all()
    assert not waits.upon_issue.any()


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("loops", [1, 2, 7])
def test_every_loop_takes_as_long_as_a_ring_of_its_part(n, loops):
    # 2 (n - 1) steps of one chunk each, and the delay of each: nothing is sent ahead.
    delay_s, rate, chunk = 1e-3, 1e9, 10_000
    network = Network.of(sites_of_one(lambda a, b: Link(1e15, delay_s), n, nic=Link(rate, 0.0)))
    program = program_of(
        build_plan("all_reduce", f"ring,loops={loops}", (n,)), n * loops * chunk, 1
    )
    expected_s = loops * 2 * (n - 1) * (chunk / rate + delay_s)
    assert time_plan(program, network).total_s == pytest.approx(expected_s, rel=1e-6)


def test_one_rank_has_nothing_to_send():
    plan = build_plan("all_reduce", "ring,loops=4", (1,))
    assert (len(plan.steps), len(plan.waits)) == (0, 0)


@pytest.mark.parametrize(("ring", "loops"), [("ring", 4), ("ring:channels", 65_536)])
def test_names_say_the_loops(ring, loops):
    assert loops_of(with_loops(ring, loops)) == (ring, loops)
    assert with_loops(ring, 1) == ring
    assert loops_of(ring) is None


@pytest.mark.parametrize(
    ("collective", "name", "said"),
    [
        ("broadcast", "ring,loops=2", "does not do broadcast: needed one of reduce_scatter"),
        ("all_reduce", "ring,loops=0", f"needed 1 to {MOST_LOOPS} loops"),
        ("all_reduce", "ring,loops=65537", f"needed 1 to {MOST_LOOPS} loops"),
        ("all_reduce", "ring:chanels,loops=2", "unknown ring 'ring:chanels': .*mean ring:channels"),
    ],
)
def test_names_of_no_plan_are_refused(collective, name, said):
    with pytest.raises(ArgumentError, match=said):
        build_plan(collective, name, (4,))


def test_loops_are_not_written_to_a_file():
    with pytest.raises(PlanError, match="loops wait for each other: needed a ring without loops"):
        plan_xml(build_plan("all_reduce", "ring,loops=2", (3,)))


def test_loops_change_the_parts_and_not_what_is_sent():
    one, four = (build_plan("all_gather", with_loops("ring", k), (5,)) for k in (1, 4))
    sent = [program_of(plan, 5 * 400, 1).nbytes.sum() for plan in (one, four)]
    assert sent[0] == sent[1]
    assert np.unique(program_of(four, 5 * 400, 1).nbytes).tolist() == [100]
