"""Programs over the axes of a mesh: few ranks in the place of all, against all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mesh_examples import FAR, NEAR, meshes

from emul.errors import ArgumentError
from emul.links import Link
from emul.plans import Program, Shape, build_plan, collective_named
from emul.stacks import IDEAL
from emul.timing import Compute, Footprint, Issue, Slicing, Wait
from emul.timing.joint.simulation import JointSimulation
from emul.timing.quotient import INNER, OUTER, MeshQuotient
from emul.topology import Network, Node, Site, Topology, Trunk

ALGORITHM = {OUTER: "hierarchical", INNER: "ring"}


acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("issue"),
            st.sampled_from([OUTER, INNER]),
            st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
            st.sampled_from([1, 50, 3000]),
        ),
        st.tuples(st.just("compute"), st.integers(1, 10**9)),
        st.tuples(st.just("wait"), st.integers(0, 5)),
    ),
    min_size=1,
    max_size=5,
)
slicings = st.sampled_from([None, Slicing(4096, 2)])


def run(network, program, footprints):
    """The clocks of all ranks after ``program``, by one simulation; the transfers between ranks."""
    n = network.world_size
    simulation = JointSimulation(
        np.zeros(n, dtype=np.int64), network, fills_windows=False, seed=0, start_s=0.0
    )
    issued, last, transfers = [], {}, 0
    for act, *how in program:
        if act == "compute":
            simulation.take(Compute(network.site_of * np.int64(7) + how[0]))
        elif act == "issue":
            group = []
            for footprint in footprints(*how):
                issue = Issue(footprint, last.get(footprint.communicator))
                last[footprint.communicator] = issue
                simulation.take(issue)
                group.append(issue)
                transfers += len(footprint.transfers.src)
            issued.append(group)
        elif how[0] < len(issued):
            for issue in issued[how[0]]:
                simulation.take(Wait(issue))
    for group in issued:
        for issue in group:
            simulation.take(Wait(issue))
    return simulation.clocks_ps(), transfers


def in_full(topology, positions, slicing):
    """What issues a collective on every group of the mesh, and how many ranks each axis has."""
    network = Network.of(topology)
    ranks = np.arange(network.world_size, dtype=np.int32).reshape(-1, positions)
    groups = {OUTER: ranks.T.copy(), INNER: ranks}

    def footprints(axis, collective, times):
        first = 0 if axis == OUTER else positions
        for number, group in enumerate(groups[axis]):
            sites = topology.of_ranks(group.tolist()).ranks_by_node
            plan = build_plan(collective, ALGORITHM[axis], sites)
            shape = shape_of(collective, len(group), topology, positions, times)
            program = Program.of(plan, shape, 4)
            yield Footprint.of(program, network, slicing, IDEAL, group, first + number, 0)

    return network, footprints


def in_few(topology, positions, slicing):
    """The same of the few ranks that stand for all."""
    quotient = MeshQuotient.of(topology, positions)

    def footprints(axis, collective, times):
        plan = quotient.plan(axis, collective, ALGORITHM[axis])
        shape = shape_of(collective, plan.world_size, topology, positions, times)
        first = 0 if axis == OUTER else 1000
        return quotient.footprints(axis, plan, shape, 4, slicing, first)

    return quotient, footprints


def shape_of(collective, ranks, topology, positions, times):
    """A vector that comes out even in all shares."""
    even = int(np.lcm.reduce([each // positions for each in map(ranks_of, topology.sites)]))
    width = even * len(topology.sites) * ranks * positions * times
    return Shape(collective_named(collective), ranks, width)


def ranks_of(site):
    return site.ranks


@given(meshes(), acts, slicings)
def test_few_ranks_have_the_clocks_of_all_that_they_stand_for(mesh, program, slicing):
    """To the picosecond where paths are a rank's own, and within one for each event on trunks."""
    network, footprints = in_full(*mesh, slicing)
    clocks, events = run(network, program, footprints)
    quotient, few = in_few(*mesh, slicing)
    shown, _ = run(quotient.network, program, few)
    shared = any(act[:2] == ("issue", OUTER) for act in program) and len(mesh[0].sites) > 1
    apart = np.abs(shown[quotient.rank_of] - clocks).max()
    assert apart <= (events if shared else 0)


@given(
    meshes(),
    st.sampled_from([OUTER, INNER]),
    st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
    st.sampled_from([1, 3000]),
    slicings,
)
def test_a_collective_alone_ends_at_each_rank_as_in_a_program(mesh, axis, name, times, slicing):
    network, footprints = in_full(*mesh, slicing)
    clocks, events = run(network, [("issue", axis, name, times)], footprints)
    quotient, _ = in_few(*mesh, slicing)
    plan = quotient.plan(axis, name, ALGORITHM[axis])
    shape = shape_of(name, plan.world_size, *mesh, times)
    ends_ps = quotient.ends_ps(axis, plan, shape, 4, slicing)[quotient.rank_of]
    assert np.abs(ends_ps - clocks).max() <= (events if len(mesh[0].sites) > 1 else 0)


def test_a_hundred_thousand_ranks_at_each_campus_are_few():
    node = Node(8, NEAR[1])
    sites = tuple(Site(name, [node] * 12_500, NEAR[0]) for name in "abc")
    trunks = tuple(Trunk(pair, FAR[0]) for pair in ("ab", "bc", "ac"))
    quotient = MeshQuotient.of(Topology("300k", sites, trunks), 800)
    assert quotient.network.world_size == 3 * 2 * 16
    assert len(quotient.rank_of) == 300_000
    stands_for = np.bincount(quotient.rank_of)
    assert sorted(set(stands_for.tolist())) == [62 * 50, 63 * 50]


@pytest.mark.parametrize(
    ("sizes", "nodes", "positions", "complaint"),
    [
        ((12, 9), (1,), 4, "b has 9 ranks, not in whole replicas"),
        ((12, 12), (4,), 6, "nodes of a lie in two of them"),
        ((12, 12), (4, 2), 12, None),
    ],
)
def test_replicas_that_are_not_alike_are_refused(sizes, nodes, positions, complaint):
    sites = tuple(
        Site(name, [Node(n, NEAR[0]) for n in nodes] * (size // sum(nodes)), NEAR[0])
        for name, size in zip("ab", sizes, strict=True)
    )
    topology = Topology("t", sites, (Trunk("ab", FAR[0]),))
    if complaint is None:
        assert MeshQuotient.of(topology, positions).replicas == (1, 1)
        return
    with pytest.raises(ArgumentError, match=f"replicas are not alike: {complaint}"):
        MeshQuotient.of(topology, positions)


def test_hundreds_of_replicas_of_hundreds_of_ranks_are_timed_by_few():
    """To the last rank of a node, all shares but those of its node come over a NIC."""
    node = Node(8, Link(370e9, 5e-7, 2.9e-6))
    sites = tuple(Site(name, [node] * 12_500, Link(49e9, 3e-6, 1.1e-5)) for name in "abc")
    trunks = tuple(Trunk(pair, Link(12_800e9, 1e-4)) for pair in ("ab", "bc", "ac"))
    quotient = MeshQuotient.of(Topology("300k", sites, trunks), 800)
    plan = quotient.plan(INNER, "all_gather", "ring")
    shape = Shape(collective_named("all_gather"), 800, 800 << 18)
    ends_ps = quotient.ends_ps(INNER, plan, shape, 4, Slicing())
    least_s = 792 * ((1 << 20) / 49e9 + 1.1e-5)
    assert least_s < ends_ps.min() / 1e12 < ends_ps.max() / 1e12 < 1.2 * least_s
    plan = quotient.plan(OUTER, "all_reduce", "hierarchical")
    shape = Shape(collective_named("all_reduce"), 375, 375 << 12)
    ends_ps = quotient.ends_ps(OUTER, plan, shape, 4, Slicing())
    over_trunks_s = 4 * (375 << 14) / 3 * 800 / 12_800e9
    assert ends_ps.min() / 1e12 > over_trunks_s + 2 * 124 * 1.1e-5
