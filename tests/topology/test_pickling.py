"""Topologies and their parts, and stacks, are equal after a round trip through pickle and copy."""

import copy
import pickle
import random
from dataclasses import fields

import every_link
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.links import Changes, Diurnal, Outages, State
from emul.stacks import Stack
from emul.stacks.profile import load_stack, stack_names
from emul.topology import load, preset_names

TRIPS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest slots": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
trips = pytest.mark.parametrize("trip", TRIPS.values(), ids=TRIPS)


def parts(topology):
    """The topology, and all that it is made of."""
    yield topology
    for site in topology.sites:
        nodes = [node for node, _ in site.runs]  # equal ones in a row are one
        yield from (site, site.link, *nodes, *(node.link for node in nodes))
    for trunk in topology.trunks:
        yield from (trunk, trunk.link, trunk.changes)


def check(value, trip):
    back = trip(value)
    assert type(back) is type(value)
    assert (back, hash(back)) == (value, hash(value))
    for each in fields(value):
        assert getattr(back, each.name) == getattr(value, each.name)


@trips
@pytest.mark.parametrize("name", preset_names())
def test_presets_are_equal_after_the_trip(name, trip):
    for part in parts(load(name)):
        check(part, trip)


@trips
@given(number=st.integers(0, 1 << 30))
def test_any_topology_is_equal_after_the_trip(number, trip):
    check(every_link.topology(random.Random(number)), trip)


def worked_out(topology):
    nodes = [(len(site.nodes), site.ranks, site.runs) for site in topology.sites]
    return topology.world_size, topology.ranks_by_node, nodes, [*topology.links()]


@trips
def test_what_was_worked_out_before_the_trip_is_the_same_after(trip):
    topology = load("three-campus")
    known = [worked_out(topology) for _ in range(2)]
    assert worked_out(trip(topology)) == known[0] == known[1]


@trips
def test_changes_with_everything_are_equal_after_the_trip(trip):
    trace = (State(0.0, 0.5, 1e-3, 1e-4), State(1.0, up=False), State(2.0))
    changes = Changes(
        trace=trace,
        repeat_s=3.0,
        diurnal=Diurnal(0.1, 0.6),
        outages=Outages(schedule=((1.0, 2.0),)),
    )
    check(changes, trip)


@trips
@pytest.mark.parametrize("name", stack_names())
def test_stacks_are_equal_after_the_trip_and_have_a_hash(name, trip):
    stack = load_stack(name)
    check(stack, trip)
    with pytest.raises(TypeError):
        trip(stack).sources["x"] = "y"


def test_a_stack_keeps_its_own_mapping():
    overheads = {"node": 1e-6}
    stack = Stack("mine", hop_overhead_s=overheads)
    before = hash(stack)
    overheads["node"] = 2.0
    assert stack.hop_overhead_s == {"node": 1e-6}
    assert hash(stack) == before
