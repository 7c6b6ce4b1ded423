"""Candidates that are timed only as far as they can be the quickest one."""

from dataclasses import replace

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from strategies import link, one_site, program_of, real_topologies, topologies
from timing.test_ordered import assert_same

from emul import Node, OutageError, Site, TimeLimitError, Topology, Trunk
from emul.links import Changes, Link, Outages, State, Transport
from emul.plans import build_plan
from emul.stacks import IDEAL, Constants
from emul.stacks.profile import load_stack
from emul.timing import NCCL_SLICING, Slicing, time_if_quicker, time_plan
from emul.topology import Network

SLOW = replace(load_stack("nccl"), constants=Constants(call_s=1e-4, message_s=2e-5))
ALGORITHMS = ["ring", "ring:channels", "direct", "double_binary_tree", "hierarchical"]


@settings(max_examples=100)
@given(
    topologies() | real_topologies(),
    st.sampled_from(ALGORITHMS),
    st.integers(0, 200),
    st.sampled_from([None, Slicing(16, 2), NCCL_SLICING]),
    st.sampled_from([IDEAL, load_stack("nccl"), SLOW, load_stack("gloo")]),
    st.floats(0, 2),
)
def test_the_quicker_one_has_its_timeline_and_the_slower_one_none(
    topology, algorithm, count, slicing, stack, part
):
    sizes, network = tuple(site.ranks for site in topology.sites), Network.of(topology)
    call = program_of(build_plan("all_reduce", algorithm, sizes), count, 4), network, slicing
    timeline = time_plan(*call, stack=stack, seed=5)
    total_ps = timeline.total_ps
    found = time_if_quicker(*call, than_ps=total_ps + 1, stack=stack, seed=5)
    assert found is not None
    assert_same(found, timeline)
    assert time_if_quicker(*call, than_ps=total_ps, stack=stack, seed=5) is None
    asked_ps = round(part * total_ps)
    found = time_if_quicker(*call, than_ps=asked_ps, stack=stack, seed=5)
    event(f"quicker: {found is not None}")
    assert (found is not None) == (total_ps < asked_ps)


def two_sites(line, changes):
    sites = tuple(Site(name, (Node(1, link()),), link()) for name in "ab")
    return Network.of(Topology("two", sites, (Trunk(("a", "b"), line, changes=changes),)))


def test_a_trunk_that_becomes_quick_after_the_first_second_is_waited_for():
    # About a thousandth of 100 MB/s for two seconds; then the 20 MB pass within the third one.
    line = Link(1e8, 0.01)
    slow = Changes((State(0.0, 0.001), State(1.5, 0.002), State(2.0)))
    network = two_sites(line, slow)
    program = program_of(build_plan("broadcast", "direct", (1, 1)), 5_000_000, 4)
    timeline = time_plan(program, network)
    assert 2.1 < timeline.total_s < 2.3
    found = time_if_quicker(program, network, than_ps=3 * 10**12)
    assert found is not None
    assert found.total_ps == timeline.total_ps
    early = program_of(build_plan("broadcast", "direct", (1, 1)), 10, 4)
    total_ps = time_plan(early, network).total_ps
    assert time_if_quicker(early, network, than_ps=total_ps) is None
    assert time_if_quicker(early, network, than_ps=total_ps + 1) is not None


def test_a_failure_counts_only_as_long_as_the_candidate_can_win():
    # Down after 50 ms for longer than the one timer after which a connection is given up.
    line = Link(1e8, 0.01, transport=Transport(recovery="gbn", rto_s=0.5, retries=0))
    down = Changes(outages=Outages(((0.05, 0.9),)))
    network = two_sites(line, down)
    program = program_of(build_plan("all_reduce", "ring", (1, 1)), 10_000_000, 4)
    with pytest.raises(OutageError, match="0 retries"):
        time_if_quicker(program, network, than_ps=10**18)
    assert time_if_quicker(program, network, than_ps=10**11) is None


def test_a_time_that_does_not_fit_is_refused():
    network = Network.of(one_site(4, Link(1e-3, 0.0)))
    program = program_of(build_plan("all_reduce", "direct", (4,)), 1 << 20, 4)
    with pytest.raises(TimeLimitError, match="passes 53 days"):
        time_if_quicker(program, network, than_ps=2**62)
    assert time_if_quicker(program, Network.of(one_site(4, link())), than_ps=2**62) is not None
