"""Every value that a user can come to says itself in one line, for worlds of any size."""

import dataclasses
from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import topologies

import emul
from emul import World
from emul.plans import COLLECTIVES, build_plan
from emul.reading.brief import brief, one_line

LONGEST = 160
DEEPEST = 6


def parts(thing):
    """The public values that hang on ``thing``: fields, properties, members of collections."""
    if isinstance(thing, dict):
        return list(thing.values())[:3]
    if isinstance(thing, list | tuple):
        return list(thing[:3])
    if not type(thing).__module__.startswith("emul"):
        return []
    names = [name for name in dir(type(thing)) if not name.startswith("_")]
    if dataclasses.is_dataclass(thing):
        names += [each.name for each in dataclasses.fields(thing)]
    found = []
    for name in dict.fromkeys(names):
        if isinstance(getattr(type(thing), name, None), property) or name in getattr(
            thing, "__dataclass_fields__", ()
        ):
            try:
                found.append(getattr(thing, name))
            except Exception:
                continue
    return found


def reached(*things):
    """Every value of a class of emul, one of each class, that can be come to from ``things``."""
    queue, seen = deque((thing, 0) for thing in things), {}
    while queue:
        thing, depth = queue.popleft()
        kind = type(thing)
        if kind.__module__.startswith("emul"):
            if kind in seen:
                continue
            seen[kind] = thing
        if depth < DEEPEST:
            queue.extend((part, depth + 1) for part in parts(thing))
    return seen


def a_session(topology):
    """A world with a run, a handle, a group and a prediction."""
    world = World(topology)
    x = np.ones((world.size, 3), np.float32)
    handle = world.all_reduce(x, async_op=True)
    group = world.group(range(world.size))
    return world, group, handle, handle.wait(), world.predict("all_gather", 3)


@pytest.fixture(scope="module")
def values():
    world, *others, prediction = a_session("three-campus")
    return reached(world, *others, prediction, world.settings, prediction.critical_path)


def test_every_value_says_itself_in_one_line(values):
    long = {
        kind.__name__: repr(thing)
        for kind, thing in values.items()
        if len(repr(thing)) > LONGEST or "\n" in repr(thing)
    }
    assert not long
    names = {kind.__name__ for kind in values}
    assert {
        "World",
        "Run",
        "Timeline",
        "Prediction",
        "Plan",
        "Topology",
        "Handle",
        "Group",
    } <= names
    assert {"Link", "Site", "Trunk", "Node", "CriticalPath", "Moments", "Settings", "Lag"} <= names


@examples(12)
@given(topologies(), st.text(max_size=200))
def test_names_of_any_text_are_data_in_one_line(topology, name):
    named = replace(topology, name=f"{name}\x1b[31m\n{name * 3}")
    world = World(named)
    for thing in (named, world, world.group([0]), world.settings):
        said = repr(thing)
        assert said.isprintable()
        assert len(said) <= LONGEST


def test_a_world_of_very_many_sites_fits_in_a_line():
    site = World("three-campus").topology.sites[0]
    sites = tuple(replace(site, name=f"site-{i}") for i in range(40))
    links = World("three-campus").topology.trunks[0]
    pairs = [(a.name, b.name) for i, a in enumerate(sites) for b in sites[i + 1 :]]
    topology = emul.Topology("many", sites, tuple(replace(links, sites=pair) for pair in pairs))
    world = World(topology)
    for thing in (world, world.group(range(world.size)), world.settings, world.network):
        assert len(repr(thing)) <= LONGEST
    assert repr(topology).endswith("...>")


@pytest.mark.parametrize("name", ["emul", "plans", "topology", "links", "timing", "stacks"])
def test_dataclasses_of_the_faces_do_not_spell_out_their_fields(name):
    """None keeps the repr of dataclasses if a field of it may be an array or another of them."""
    face = emul if name == "emul" else getattr(emul, name)
    for each in face.__all__:
        kind = getattr(face, each)
        if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
            continue
        plain = all(
            field.type in ("int", "float", "str", "bool", "str | None", "int | None")
            for field in dataclasses.fields(kind)
        )
        written_by_hand = "__create_fn__" not in kind.__repr__.__qualname__
        assert plain or written_by_hand, each


def test_a_brief_repr_has_the_fields_that_are_not_at_their_defaults():
    link = emul.Link(1e9, 5e-6)
    assert repr(link) == "Link(rate_bytes_per_s=1e+09, latency_s=5e-06)"
    assert brief(emul.Node(4, link)) == "Node(ranks=4, link=Link(...))"
    assert repr(World("three-campus").settings) == "Settings(topology=Topology(...))"
    assert one_line(f"<{'a' * 300}>") == f"<{'a' * 155}...>"


def test_every_plan_says_its_collective():
    for collective in COLLECTIVES:
        said = repr(build_plan(collective, "direct", [2, 2]))
        assert said.startswith("<Plan ")
        assert collective in said
