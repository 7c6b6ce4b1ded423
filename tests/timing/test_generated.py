"""Rounds timed step by step, against tables and against the heap."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st
from nightly import examples
from strategies import (
    link,
    one_site,
    program_of,
    real_topologies,
    sites_of_one,
    topologies,
    width_for,
)

from emul import Link, Node, Site, Topology, Trunk
from emul.links import Jitter, Transport
from emul.plans import (
    COLLECTIVES,
    Program,
    Rounds,
    Shape,
    build_plan,
)
from emul.plans.algorithms import ring
from emul.stacks import IDEAL, Constants
from emul.stacks.profile import load_stack
from emul.timing import Slicing, generated_total_ps, time_plan
from emul.topology import Network

AROUND = ("all_reduce", "reduce_scatter", "all_gather")
ITEMSIZE = 4


def shape_of(plan, width):
    return Shape(COLLECTIVES[plan.collective], plan.world_size, width)


def generated(plan, width, network, slicing=None, stack=IDEAL):
    shape = shape_of(plan, width)
    return generated_total_ps(plan, shape, ITEMSIZE, network, slicing, stack=stack)


def by_heap(plan, width, network, slicing=None, stack=IDEAL):
    with patch("emul.timing.timeline.times_in_order", lambda tables: None):
        program = program_of(plan, width, ITEMSIZE)
        return time_plan(program, network, slicing, stack=stack).total_ps


HOSTS = Constants(call_s=1e-4, message_s=2e-5)
SLOW = replace(load_stack("nccl"), constants=HOSTS, wire_factor=1.1)
stacks = st.sampled_from([IDEAL, load_stack("nccl"), SLOW, load_stack("gloo")])
algorithms = st.sampled_from(list(ring.BUILDERS))


@examples(200)
@given(
    topologies() | real_topologies(),
    st.sampled_from(AROUND),
    algorithms,
    st.integers(0, 2000),
    st.none() | st.builds(Slicing, st.sampled_from([20, 200, 4000]), st.integers(1, 4)),
    stacks,
)
def test_rounds_take_what_the_heap_says(topology, collective, algorithm, count, slicing, stack):
    sizes, network = tuple(site.ranks for site in topology.sites), Network.of(topology)
    plan = build_plan(collective, algorithm, sizes)
    width = width_for(collective, plan.world_size, count)
    found = generated(plan, width, network, slicing, stack)
    event(f"generated: {found is not None}")
    assert found in (None, by_heap(plan, width, network, slicing, stack))


def unequal_nodes(n, inside):
    """A site of n ranks in nodes of 1, 2, 3, ... ranks, every one with links of its own."""
    nodes, left = [], n
    while left:
        ranks = min(left, 1 + len(nodes) % 4)
        nodes.append(Node(ranks, Link(1e10 + 1e8 * len(nodes), inside, 1e-7 * len(nodes))))
        left -= ranks
    return Topology("unequal", (Site("a", tuple(nodes), Link(3e9, 2e-6, 1e-6)),))


@examples(100)
@given(
    st.sampled_from(
        [lambda n: one_site(n, link(overhead_us=1.0)), lambda n: unequal_nodes(n, 1e-6)]
    ),
    st.integers(2, 70),
    st.sampled_from(AROUND),
    algorithms,
    st.integers(0, 150),
)
@example(lambda n: one_site(n, link()), 64, "all_reduce", "ring", 0)
def test_rounds_need_no_tables_at_one_site(place, n, collective, algorithm, more):
    network, plan = Network.of(place(n)), build_plan(collective, algorithm, (n,))
    parts = len(plan.steps.orders)
    width = n * parts * 100 + more
    found = generated(plan, width_for(collective, 1, width), network)
    event(f"generated: {found is not None}")
    if algorithm.endswith("ring"):
        assert found is not None
    assert found in (None, by_heap(plan, width, network))


def test_each_connection_of_a_ring_has_the_rate_of_its_own_trunk():
    windows = {(0, 1): 4000, (1, 2): 1000, (0, 2): 2000}
    topology = sites_of_one(
        lambda a, b: Link(1e9, 1e-3, transport=Transport(window_bytes=windows[a, b])), 3
    )
    network, plan = Network.of(topology), build_plan("all_gather", "ring", (1, 1, 1))
    found = generated(plan, 3 * 5000, network)
    assert found == by_heap(plan, 3 * 5000, network)
    # Every block goes over the narrowest window of 1,000 bytes per round trip of 2 ms once.
    assert found >= 2 * 5000 * ITEMSIZE // 1000 * 2 * 10**9


@pytest.mark.parametrize("n", [2, 3, 8, 31, 32, 33, 64, 100, 257])
@pytest.mark.parametrize("more", [0, 1, -1])
def test_rounds_are_exact_at_any_number_of_ranks(n, more):
    # Runs of ranks that are alike, between others: nodes of 40 ranks, the last one of the rest.
    nodes = tuple(Node(min(40, n - at), link(latency_us=1.0)) for at in range(0, n, 40))
    network = Network.of(Topology("rows", (Site("a", nodes, link(25.0)),)))
    plan = build_plan("all_reduce", "ring", (n,))
    found = generated(plan, 1000 * n + more, network)
    assert found is not None
    assert found == by_heap(plan, 1000 * n + more, network)


def test_the_ring_around_three_campuses_is_generated():
    sites = tuple(Site(f"s{i}", (Node(4, link()),) * 2, link(25.0)) for i in range(3))
    between = sites_of_one(lambda a, b: replace(link(10.0, 300.0), transport=WINDOW), 3).trunks
    network, plan = (
        Network.of(Topology("three", sites, between)),
        build_plan("all_reduce", "ring", (8, 8, 8)),
    )
    found = generated(plan, 24 * 999 + 5, network)
    assert found is not None
    assert found == by_heap(plan, 24 * 999 + 5, network)


def test_messages_of_a_connection_begin_a_gap_apart():
    gaps = replace(link(), transport=Transport(gap_s=1e-3))
    assert generated(RING, 4000, with_link(gaps)) == by_heap(RING, 4000, with_link(gaps))
    assert generated(RING, 4000, with_link(gaps)) >= 5 * 10**9


WINDOW = Transport(window_bytes=2000.0, gap_s=3e-6)
RING = build_plan("all_reduce", "ring", (4,))
LINKS = one_site(4, link())


def with_link(each):
    return Network.of(sites_of_one(lambda a, b: each, 4))


@pytest.mark.parametrize(
    ("what", "call"),
    [
        ("an empty block", (RING, 3, Network.of(LINKS))),
        ("slices", (RING, 4000, Network.of(LINKS), Slicing(3999, 8))),
        ("another plan", (build_plan("all_reduce", "direct", (4,)), 4000, Network.of(LINKS))),
        ("handshakes", (RING, 4000, Network.of(LINKS), None, load_stack("gloo"))),
        ("order by issue", (replace(RING, order="issue"), 4000, Network.of(LINKS))),
        ("jitter", (RING, 4000, with_link(replace(link(), jitter=Jitter(1e-6, 3.0))))),
        ("slow start", (RING, 4000, with_link(
            replace(link(), transport=Transport(recovery="reno", slow_start=True))))),
        ("waves", (RING, 4000, with_link(replace(link(), waves=4)))),
        ("a time that no double holds", (RING, 4000, with_link(Link(0.1, 0.0)))),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_what_is_not_regular_is_left_to_tables(what, call):
    assert generated(*call) is None


def test_rings_that_meet_out_of_order_at_a_sender_are_left_to_the_heap():
    # What comes over the long trunk is late, so what the other ring brings is sent on before it.
    nics = (Link(1e8, 1e-6, 1e-6), Link(3e9, 1e-3), Link(3e9, 5e-6, 3e-6))
    sites = tuple(Site(f"s{i}", (Node(1, each),), each) for i, each in enumerate(nics))
    near, mid, far = Link(2e9, 0.0), Link(12.5e9, 5e-6), Link(3e9, 1e-3, 1e-6)
    pairs = zip((("s0", "s1"), ("s0", "s2"), ("s1", "s2")), (near, mid, far), strict=True)
    network = Network.of(Topology("triangle", sites, tuple(Trunk(*each) for each in pairs)))
    plan = build_plan("all_gather", "ring:bidirectional", (1, 1, 1))
    assert generated(plan, 2523, network) is None


def test_blocks_of_one_slice_need_no_tables_as_long_as_the_credit_lasts():
    network, steps = Network.of(LINKS), len(RING.steps)
    assert generated(RING, 4000, network, Slicing(4000, steps)) == generated(RING, 4000, network)
    assert generated(RING, 4000, network, Slicing(4000, steps - 1)) is None


def test_what_hosts_take_is_paid_for_every_message():
    plain = generated(RING, 4000, Network.of(LINKS), stack=replace(SLOW, constants=Constants()))
    found = generated(RING, 4000, Network.of(LINKS), stack=SLOW)
    assert found == by_heap(RING, 4000, Network.of(LINKS), stack=SLOW)
    assert found - plain == 10**8 + 6 * 2 * 10**7


def test_blocks_of_their_own_lengths_are_left_to_tables_only_if_ranks_differ():
    plan = build_plan("all_gather", "ring", (4,))
    counts = Shape.of_counts(COLLECTIVES["all_gather"], 4, [5, 1, 7, 2])
    network = Network.of(LINKS)
    found = generated_total_ps(plan, counts, ITEMSIZE, network)
    assert found == time_plan(Program.of(plan, counts, ITEMSIZE), network).total_ps


def test_rounds_yield_the_steps_of_the_textbook():
    # Rank r of a ring of 3: sends block r - 1, then r - 2 on to be reduced; then r, then r - 1.
    steps = list(Rounds(np.array([[0, 1, 2]]), (True, False))())
    assert [step.src_chunk.tolist() for step in steps] == [
        [2, 0, 1], [1, 2, 0], [0, 1, 2], [2, 0, 1]
    ]  # fmt: skip
    assert [bool(step.reduce.all()) for step in steps] == [True, True, False, False]
    assert all(step.dst.tolist() == [1, 2, 0] for step in steps)
