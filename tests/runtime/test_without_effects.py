"""A World without some effects: nothing of them is left, and nothing else is changed."""

from dataclasses import replace

import pytest
from strategies import sites_of_one

from emul import Link, Node, Site, Topology, Trunk, World
from emul.links import EFFECTS
from emul.runtime.planner import Planner, Timing
from emul.runtime.without_effects import without_effects
from emul.stacks import IDEAL, Stack
from emul.stacks.profile import load_stack
from emul.stacks.transport import without_host
from emul.timing import UNLIMITED, Slicing
from emul.topology import Waypoint

MS = 1e-3
PORT = Link(1e9, 0.0)


def chain(transit_s):
    """Two sites that meet at a place, each of one rank."""
    sites = tuple(Site(name, (Node(1, PORT),), PORT) for name in "ac")
    trunks = (Trunk(("a", "w"), Link(1e9, MS)), Trunk(("w", "c"), Link(1e9, MS)))
    return Topology("chain", sites, trunks, waypoints=(Waypoint("w", transit_s),))


def sent_s(topology, timing):
    planner = Planner(topology, timing)
    world = World(topology, slicing=None)
    request = world.request("broadcast", 10**6, dtype="uint8", algorithm="direct")
    return planner.predict(request, collapse=False).time_s


def test_without_latency_a_site_is_passed_at_once():
    timing = Timing(slicing=None)
    assert sent_s(chain(MS), timing) == pytest.approx(MS + 3 * MS, rel=1e-12)
    assert sent_s(*without_effects(chain(MS), timing, ["latency"])) == pytest.approx(MS, rel=1e-12)
    passed = Site("b", (Node(1, PORT),), PORT, transit_s=MS)
    assert replace(chain(0.0), sites=(passed,), trunks=(), waypoints=()).without(["latency"]).sites[
        0
    ].transit_s == 0.0  # fmt: skip


def test_an_effect_that_is_not_there_changes_nothing():
    plain, timing = chain(0.0), Timing(slicing=None)
    for effect in set(EFFECTS) - {"latency"}:
        topology, settings = without_effects(plain, timing, [effect])
        assert topology is plain
        assert settings == timing
    assert without_effects(plain, timing, ["latency"])[0] != plain


def test_without_windows_any_number_of_slices_is_in_flight():
    stack = load_stack("nccl")
    _, settings = without_effects(chain(0.0), Timing(Slicing(1000, 2), stack=stack), ["window"])
    assert (settings.slicing.slots, settings.stack.slots) == (UNLIMITED, UNLIMITED)
    assert settings.slicing.slice_bytes == 1000


@pytest.mark.parametrize("name", ["gloo", "openmpi"])
def test_without_the_host_a_message_takes_the_time_of_its_link_alone(name):
    # gloo's receiver says first that it is ready; Open MPI asks, is answered, and then sends.
    link = Link(1e9, MS)
    topology, stack = sites_of_one(lambda a, b: link, 2, nic=Link(1e12, 0.0)), load_stack(name)
    nbytes = 10**6
    there = World(topology, stack=stack)
    bare = World(topology, stack=without_host(stack))
    times = [
        each.predict("broadcast", nbytes, dtype="uint8", algorithm="direct").critical_path
        for each in (there, bare)
    ]
    host_ps = [sum(s.duration_ps for s in path.segments if s.term == "host") for path in times]
    assert host_ps[0] > 0 == host_ps[1]
    trips = {"notice": 2, "rendezvous": 3}[stack.handshake]
    controls = (trips - 1) * stack.control_bytes
    alone_s = trips * MS + (nbytes + controls) * stack.wire_factor / 1e9
    assert times[1].total_ps / 1e12 == pytest.approx(alone_s, rel=1e-3)


def test_nccls_steps_take_no_time_without_the_host():
    stack = load_stack("nccl")
    there, bare = (World("three-campus", stack=each) for each in (stack, without_host(stack)))
    for count in (256, 1 << 20):
        terms = [
            {each.term for each in world.predict("all_reduce", count).critical_path.segments}
            for world in (there, bare)
        ]
        assert "host" in terms[0]
        assert "host" not in terms[1]


def test_a_message_whose_cost_the_library_says_costs_nothing():
    # Over the trunk the library says 1 ms in place of the link's 2; over others the link's stays.
    stack = Stack("x", hop_overhead_s={"trunk": MS})
    link = Link(1e9, 0.0, 2 * MS)
    topology = sites_of_one(lambda a, b: link, 2, nic=Link(1e12, 0.0))
    for each, seconds in ((stack, 2 * MS), (without_host(stack), MS)):
        world = World(topology, stack=each)
        found = world.predict("broadcast", 10**6, dtype="uint8", algorithm="direct")
        assert found.time_s == pytest.approx(seconds, rel=1e-6)
    assert without_host(stack).hop_overhead_s == {"trunk": 0.0}


def test_nothing_of_a_library_has_no_software():
    assert without_host(IDEAL) is IDEAL
