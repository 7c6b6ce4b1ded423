"""The line that says what binds: its numbers are those of the path, and add up."""

import random
import re

import pytest
from every_link import drawn
from strategies import sites_of_one

from emul import Link, Node, Site, Stack, Topology, Trunk, World
from emul.links import Changes, State, Transport
from emul.report.words import closing_words
from emul.stacks import Constants

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
TIME = r"([0-9.e+-]+) (s|ms|us|ns)"
NIC = Link(1e15, 0.0)


def binding_line(world, *call, **options):
    prediction = world.predict(*call, **options)
    return prediction, closing_words(world, prediction, prediction)[1]


def seconds(found):
    return float(found[0]) * UNITS[found[1]]


@pytest.mark.parametrize("number", random.Random(0).sample(range(600), 60))
def test_the_parts_of_a_place_add_up_to_it_and_it_is_no_more_than_all(number):
    world, (collective, count, algorithm) = drawn(number)
    found, line = binding_line(world, collective, count, dtype="uint8", algorithm=algorithm)
    if world.size == 1:
        return
    place, whole, parts = re.match(
        rf"Binding: (.*?) takes? {TIME} of the {TIME} at .*?: (.*)\.$", line
    ).group(1, 0, 6)  # fmt: skip
    taken, total = map(seconds, re.findall(TIME, whole)[:2])
    each = [seconds(part) for part in re.findall(rf"(?:^|, ){TIME} ", parts)]
    assert place == found.critical_path.binding_place
    assert line.startswith(f"Binding: {place} takes ") != place.startswith(
        ("NICs", "node links", "the hosts")
    )
    assert total == pytest.approx(found.time_s, rel=1e-3)
    assert taken <= total
    assert sum(each) == pytest.approx(taken, rel=2e-3)


def test_a_call_that_its_software_rules_is_said_to_be():
    stack = Stack("slow", constants=Constants(call_s=5.0))
    world = World(sites_of_one(lambda a, b: Link(1e9, 1e-3), 2), stack=stack)
    _, line = binding_line(world, "all_reduce", 2, algorithm="ring")
    assert "Binding: the hosts take 5 s of the 5.002 s" in line
    assert line.endswith(": 5 s of software and copies.")


def rate_said(trunk, changes=None, uplink=float("inf"), downlink=float("inf")):
    a = Site("a", (Node(1, NIC),), NIC, uplink)
    b = Site("b", (Node(1, NIC),), NIC, downlink_bytes_per_s=downlink)
    topology = Topology("two", (a, b), (Trunk(("a", "b"), trunk, changes=changes or Changes()),))
    _, line = binding_line(World(topology), "broadcast", 10**7, dtype="uint8", algorithm="direct")
    return re.search(r"sending at (.*?) GB/s", line).group(1)


def test_the_rate_that_is_said_is_one_that_bytes_can_have():
    trunk = Link(4e9, 0.0)
    assert rate_said(trunk) == "4"
    assert rate_said(Link(4e9, 0.0, waves=2, transport=Transport(streams=9))) == "up to 4"
    assert rate_said(trunk, uplink=3e9) == "up to 3"
    assert rate_said(trunk, downlink=2e9) == "up to 2"
    assert rate_said(trunk, Changes(trace=(State(0.0, 0.5), State(9.0, 1.5)))) == "up to 6"
