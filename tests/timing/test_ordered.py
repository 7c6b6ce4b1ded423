"""The pass in plan order against the heap: the same bits in every column, or a refusal."""

from contextlib import contextmanager
from dataclasses import fields, replace
from unittest.mock import patch

import numpy as np
import pytest
from by_hand import stacks
from hypothesis import event, given
from hypothesis import strategies as st
from nightly import examples
from strategies import (
    cases,
    chaotic_plans,
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
    Partition,
    Places,
    Plan,
    Program,
    Shape,
    Step,
    SymmetricPlan,
    Waits,
    build_plan,
)
from emul.stacks import IDEAL
from emul.stacks.profile import load_stack
from emul.timing import Slicing, dependencies, time_excerpt, time_plan
from emul.timing.effects.connection_table import ConnectionTable
from emul.timing.engine.ordered import times_in_order, total_in_order
from emul.timing.engine.tables import Tables
from emul.timing.traffic import Traffic
from emul.topology import Network


class HeapError(Exception):
    """The heap was asked."""


@contextmanager
def no_heap():
    with patch("emul.timing.timeline.schedule", side_effect=HeapError):
        yield


def by_heap(*call, **more):
    with patch("emul.timing.timeline.times_in_order", lambda tables: None):
        return time_plan(*call, **more)


def in_order(*call, **more):
    """The timeline of the pass in plan order, or None where it refuses."""
    try:
        with no_heap():
            return time_plan(*call, **more)
    except HeapError:
        return None


def assert_same(one, other):
    kept = {"network", "connection_table", "transfers"}
    for name in {each.name for each in fields(one)} - kept:
        mine, others = getattr(one, name), getattr(other, name)
        assert mine.dtype == others.dtype, name
        assert mine.shape == others.shape, name
        assert mine.tolist() == others.tolist(), name


def same_by_both(*call, **more):
    """Whether the pass applies; if so it says in every bit what the heap says."""
    found = in_order(*call, **more)
    if found is not None:
        assert_same(found, by_heap(*call, **more))
    return found is not None


slicings = st.none() | st.builds(Slicing, st.integers(1, 24), st.integers(1, 4))
wires = st.just(IDEAL) | stacks | st.sampled_from(["nccl", "gloo", "openmpi"]).map(load_stack)


@examples(150)
@given(st.data())
def test_both_engines_agree_on_random_plans(data):
    topology = data.draw(topologies() | real_topologies())
    plan = data.draw(chaotic_plans(topology.world_size))
    width = plan.partition.n_chunks * data.draw(st.integers(0, 12))
    slicing, stack = data.draw(slicings), data.draw(wires)
    program, network = program_of(plan, width, 4), Network.of(topology)
    event(f"in order: {same_by_both(program, network, slicing, stack=stack, seed=3)}")


@examples(150)
@given(topologies() | real_topologies(), cases, st.integers(0, 120), slicings, wires)
def test_both_engines_agree_on_real_plans(topology, case, count, slicing, stack):
    sizes, n = tuple(site.ranks for site in topology.sites), topology.world_size
    program = program_of(
        build_plan(*case, sizes, root=n // 2), width_for(case[0], n, count // n), 4
    )
    event(f"in order: {same_by_both(program, Network.of(topology), slicing, stack=stack)}")


@examples(150)
@given(
    st.sampled_from([one_site, lambda n, each: sites_of_one(lambda a, b: each, n)]),
    st.integers(2, 7),
    st.sampled_from([link(), link(overhead_us=3.0), link(100.0, 0.0)]),
    st.sampled_from(["all_reduce", "reduce_scatter", "all_gather"]),
    st.integers(1, 100),
    slicings,
)
def test_the_pass_applies_to_rings_with_a_port_for_every_neighbour(
    place, n, each, collective, count, slicing
):
    program = program_of(
        build_plan(collective, "ring", (1,) * n), width_for(collective, n, count), 4
    )
    assert same_by_both(program, Network.of(place(n, each)), slicing)


@pytest.mark.parametrize(
    "case", [("all_to_all", "direct"), ("all_to_all", "pairwise"), ("all_reduce", "direct")]
)
def test_the_pass_applies_where_all_ranks_are_alike(case):
    program = program_of(build_plan(*case, (9,)), 9 * 100, 4)
    assert same_by_both(program, Network.of(one_site(9, link())))


def chain(*rows, **more):
    """Transfers of one chunk each, one after the other in the plan: from, to, chunk."""
    steps = [Step.of([src], [dst], [chunk], reduce=False) for src, dst, chunk in rows]
    chunks = 1 + max(chunk for *_, chunk in rows)
    ranks = 1 + max(max(src, dst) for src, dst, _ in rows)
    return Plan("all_reduce", "by hand", ranks, 0, Partition.uniform(chunks),
                lambda: iter(steps), **more)  # fmt: skip


# In each, the last transfer comes to a port before the one that the plan has before it does.
AT_THE_SENDER = chain((0, 1, 0), (1, 2, 0), (1, 3, 1))
AT_THE_RECEIVER = chain((0, 1, 0), (1, 2, 0), (3, 2, 1))


@pytest.mark.parametrize("plan", [AT_THE_SENDER, AT_THE_RECEIVER])
def test_a_head_that_comes_before_its_turn_is_refused(plan):
    program, network = program_of(plan, 2000, 1), Network.of(one_site(4, link()))
    assert in_order(program, network) is None
    assert time_plan(program, network).on_link_ps[2, 0] == 0


def test_who_waits_for_a_later_transfer_is_refused():
    stack = replace(load_stack("gloo"), handshake="rendezvous", eager_bytes=0)
    program = program_of(chain((0, 1, 0)), 100, 1)
    assert in_order(program, Network.of(one_site(2, link())), stack=stack) is None


def test_heads_that_come_at_once_go_in_the_order_of_the_plan():
    # All three to rank 3 at the same moment, the numbers of the ranks falling.
    plan = chain((2, 3, 0), (1, 3, 1), (0, 3, 2))
    assert same_by_both(program_of(plan, 3000, 1), Network.of(one_site(4, Link(1e9, 0.0))))


def waits_for(*pairs, upon_issue=False, starts=True):
    earlier, later = np.array(pairs).T
    return Waits(earlier, later, np.full(len(pairs), upon_issue), np.full(len(pairs), starts))


@pytest.mark.parametrize("upon_issue", [False, True])
@pytest.mark.parametrize("starts", [False, True])
def test_of_causes_at_the_same_time_the_last_handled_is_named(upon_issue, starts):
    # Rank 4 keeps all to itself, so everything happens at once, or at once after the first.
    waits = waits_for((0, 3), (1, 3), (2, 3), upon_issue=upon_issue, starts=starts)
    plan = chain((4, 4, 0), (4, 4, 1), (4, 4, 2), (4, 4, 3), waits=waits)
    program, network = program_of(plan, 400, 1), Network.of(one_site(5, link()))
    assert same_by_both(program, network)
    timeline = time_plan(program, network)
    assert (timeline.waited_for[3], timeline.ordered_after[3]) == ((2, -1) if starts else (-1, -1))


def tables_of(plan, width, topology, slicing=None):
    network = Network.of(topology)
    traffic = Traffic.of(program_of(plan, width, 4), slicing)
    table = ConnectionTable.of(traffic, network, seed=0, start_s=0.0, until_s=1.0)
    return Tables(traffic, dependencies(traffic, network.world_size), network, table)


@examples(150)
@given(topologies() | real_topologies(), cases, st.integers(0, 120), slicings)
def test_the_total_is_that_of_the_times(topology, case, count, slicing):
    sizes, n = tuple(site.ranks for site in topology.sites), topology.world_size
    plan = build_plan(*case, sizes)
    tables = tables_of(plan, width_for(case[0], n, count // n), topology, slicing)
    times, total = times_in_order(tables), total_in_order(tables)
    assert (times is None) == (total is None)
    assert times is None or total == times["done_ps"].max(initial=0)


def test_tables_leave_the_edges_to_the_heap():
    plan, network = build_plan("all_reduce", "ring", (4,)), Network.of(one_site(4, link()))
    traffic = Traffic.of(program_of(plan, 400, 4), None)
    edges = dependencies(traffic, 4)
    before = [np.array(column) for column in edges.table()]
    table = ConnectionTable.of(traffic, network, seed=0, start_s=0.0, until_s=1.0)
    for _ in range(2):
        assert times_in_order(Tables(traffic, edges, network, table)) is not None
    assert all((a == b).all() for a, b in zip(before, edges.table(), strict=True))


def test_windows_as_rates_are_in_order_and_slow_start_is_not():
    shape = Shape(COLLECTIVES["all_reduce"], 4, 4000)
    windowed = replace(link(), transport=Transport(window_bytes=1000.0))
    program = Program.of(build_plan("all_reduce", "ring", (1,) * 4), shape, 4)
    slow_start = replace(link(), transport=Transport(recovery="reno", slow_start=True))
    for each, applies in ((windowed, True), (slow_start, False)):
        network = Network.of(sites_of_one(lambda a, b, each=each: each, 4))
        assert (in_order(program, network) is not None) == applies


def test_nothing_arrives_before_what_was_sent_before_it_on_its_connection():
    # 40 messages, 1 us apart, each later by 20 us in the median.
    rough = replace(link(8.0, 10.0), jitter=Jitter(20e-6, 4.0))
    program = program_of(chain(*[(0, 1, chunk) for chunk in range(40)]), 40_000, 1)
    call = program, Network.of(sites_of_one(lambda a, b: rough, 2))
    assert same_by_both(*call)
    assert (time_plan(*call).held_by >= 0).any()


def test_more_may_be_under_way_than_the_queues_of_the_heap_hold():
    # Nothing arrives before all 25,440 have left, and a queue has room for 4,096.
    program = program_of(build_plan("all_to_all", "direct", (160,)), 160 * 4, 1)
    assert same_by_both(program, Network.of(one_site(160, link(8.0, 1e6))))


def test_an_excerpt_is_left_to_the_heap():
    excerpt = SymmetricPlan.of("all_reduce", "hierarchical", Places.of((4, 4)))
    sites = tuple(Site(name, (Node(1, link()),) * 4, link()) for name in "ab")
    topology = Topology("two", sites, (Trunk(("a", "b"), link()),))
    with pytest.raises(HeapError), no_heap():
        time_excerpt(excerpt, Shape(COLLECTIVES["all_reduce"], 8, 8000), 4, topology)


def test_times_that_might_not_fit_are_left_to_the_heap():
    # 26 days is what the pass dares; the heap goes on to 53.
    program = program_of(build_plan("broadcast", "direct", (1, 1)), 4 * 10**6, 1)
    network = Network.of(sites_of_one(lambda a, b: Link(1.0, 0.0), 2))
    assert in_order(program, network) is None
    assert time_plan(program, network).total_s == 4e6
