"""Collectives along an axis alone, with rounds left out, against all rounds of all groups."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from mesh_examples import FAR, NEAR

from emul.plans import Shape, collective_named
from emul.stacks import IDEAL
from emul.timing import Footprint, Slicing
from emul.timing.along_axis import AlongAxis, AxisTimer
from emul.timing.joint.alone import time_alone
from emul.timing.joint.simulation import JointSimulation
from emul.timing.quotient import INNER, MeshQuotient
from emul.topology import Node, Site, Topology, Trunk

ELEMENT = 4


@st.composite
def rings(draw):
    """Sites of two replicas in rings of 96 ranks, in nodes of so many; links may differ by site."""
    node = draw(st.sampled_from([1, 2, 4]))
    sites = [
        Site(name, [Node(node, draw(st.sampled_from(NEAR)))] * (192 // node), fabric)
        for name, fabric in zip("ab", draw(st.tuples(*[st.sampled_from(NEAR)] * 2)), strict=True)
    ]
    return MeshQuotient.of(Topology("rings", tuple(sites), (Trunk("ab", FAR[0]),)), 96)


def late(quotient, most_ps):
    """When each of the few ranks starts: 0 the first."""
    moments = st.lists(
        st.integers(0, most_ps),
        min_size=quotient.network.world_size,
        max_size=quotient.network.world_size,
    )
    return moments.map(lambda ps: np.array(ps) - min(ps))


def in_full(quotient, of, slicing, starts_ps):
    """The times of all rounds of all groups, as one operation."""
    footprint, network = footprint_of(quotient, of, slicing), quotient.network
    joint = JointSimulation(starts_ps, network, fills_windows=False, seed=0, start_s=0.0)
    return time_alone(footprint, joint)


def footprint_of(quotient, of, slicing):
    """All transfers of all groups."""
    network = quotient.network
    program = quotient.program(of.axis, of.plan, of.shape, of.encoding)
    ranks = np.arange(network.world_size, dtype=np.int32)
    return Footprint.of(program, network, slicing, IDEAL, ranks, 1, 0)


@given(st.data(), rings(), st.sampled_from([None, Slicing(4096, 2)]))
def test_rings_that_begin_at_any_moments_end_as_with_all_rounds(data, quotient, slicing):
    name = data.draw(st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]))
    starts_ps = data.draw(late(quotient, data.draw(st.sampled_from([0, 10**6, 10**8]))))
    width = 96 * data.draw(st.sampled_from([1, 3000]))
    plan = quotient.plan(INNER, name, "ring")
    of = AlongAxis(INNER, plan, Shape(collective_named(name), 96, width), ELEMENT)
    full = in_full(quotient, of, slicing, starts_ps)
    timer = AxisTimer(quotient, slicing)
    few = timer.times(of, starts_ps, lambda: footprint_of(quotient, of, slicing))
    assert np.array_equal(few.done_ps, full.done_ps)
    assert np.array_equal(few.use.first_ps, full.use.first_ps)
    assert np.array_equal(few.use.last_ps, full.use.last_ps)
    assert not len(few.timeline.src[few.lines])


def test_ranks_that_begin_late_are_timed_without_most_rounds():
    node = Node(8, NEAR[1])
    sites = tuple(Site(name, [node] * 200, NEAR[0]) for name in "ab")
    quotient = MeshQuotient.of(Topology("late", sites, (Trunk("ab", FAR[0]),)), 800)
    plan = quotient.plan(INNER, "all_gather", "ring")
    of = AlongAxis(INNER, plan, Shape(collective_named("all_gather"), 800, 800 << 12), ELEMENT)

    def never():
        raise AssertionError("timed in full")

    timer = AxisTimer(quotient, None)
    starts_ps = np.arange(quotient.network.world_size) * 10**6
    at_once = timer.times(of, 0 * starts_ps, never)
    late = timer.times(of, starts_ps, never)
    assert at_once.last_ps < late.last_ps < at_once.last_ps + starts_ps[-1] + 2 * 10**8
