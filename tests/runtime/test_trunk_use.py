"""The part of each trunk's rate that a collective takes, by hand."""

import pytest

from emul import Link, Node, Site, Topology, Trunk, World
from emul.runtime.trunk_use import trunk_uses

NAME = "hierarchical"
PORT, TRUNK = Link(1e10, 0.0), Link(2e9, 1e-3)
TWO = Topology(
    "two",
    tuple(Site(name, (Node(1, PORT),), PORT) for name in "ab"),
    (Trunk(("a", "b"), TRUNK),),
)


def test_use_is_bytes_over_rate_and_time():
    prediction = World(TWO).predict("broadcast", 500_000, dtype="float32", algorithm="direct")
    assert prediction.time_s == pytest.approx(1e-3 + 1e-3)  # 2 MB at 2 GB/s, and the delay
    there, back = trunk_uses(prediction)
    assert (there.sender, there.receiver, there.place) == (0, 1, "trunk a -> b")
    assert (there.nbytes, there.rate_bytes_per_s) == (2_000_000, 2e9)
    assert there.use == pytest.approx(0.5)
    assert (back.place, back.nbytes, back.use) == ("trunk b -> a", 0, 0.0)


def test_no_use_without_trunks_or_time():
    alone = Topology("one", (Site("a", (Node(1, PORT),), PORT),))
    assert trunk_uses(World(alone).predict("all_reduce", 8, dtype="float32")) == []
    nothing = World(TWO).predict("broadcast", 0, dtype="float32")
    assert [use.use for use in trunk_uses(nothing)] == [0.0, 0.0]


def test_an_excerpt_has_the_use_of_all_ranks():
    sites = tuple(Site(name, (Node(2, PORT),) * 4, PORT) for name in "abc")
    trunks = tuple(Trunk(pair, TRUNK) for pair in (("a", "b"), ("b", "c"), ("a", "c")))
    world = World(Topology("three", sites, trunks))
    each, few = (
        world.predict("all_reduce", 24_000, dtype="float32", algorithm=NAME, collapse=collapse)
        for collapse in (False, True)
    )
    assert len(few.timeline) < len(each.timeline)
    assert trunk_uses(few) == trunk_uses(each)
