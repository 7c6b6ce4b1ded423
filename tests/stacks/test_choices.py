"""What a library chooses at the edges of its rules, worked out by hand."""

import pytest

from emul import Link, Node, Site, Topology
from emul.stacks.nccl import CHANNELS, _plan
from emul.stacks.nccl_tuner import PROTOCOLS, Nodes
from emul.stacks.stack import Choice, Stack

LL, _, SIMPLE = PROTOCOLS


@pytest.mark.parametrize(
    ("ranks", "nbytes", "segments"),
    [(3, 0, 2), (3, 250, 2), (3, 600, 2), (3, 601, 3), (3, 1000, 4), (1, 250, 3), (4, 1001, 3)],
)
def test_segments_of_a_choice_are_rounded_up_and_at_least_so_many(ranks, nbytes, segments):
    choice = Choice("ring,segments={segments}", segment_bytes=100, least_segments=2)
    assert choice.named(ranks, nbytes) == f"ring,segments={segments}"


def test_a_choice_holds_up_to_its_ranks_and_below_its_bytes():
    stack = Stack("own", choices={"reduce": (Choice("few", 4, 100), Choice("small", nbytes=50))})
    found = {
        (4, 99): "few", (4, 100): None, (5, 99): None, (5, 49): "small", (5, 50): None,
    }  # fmt: skip
    assert {case: stack.algorithm_for("reduce", *case) for case in found} == found
    assert stack.algorithm_for("broadcast", 2, 1) is None


def test_the_emptiest_node_says_how_many_channels_there_are():
    nodes = Nodes((8, 4), 371e9, 49e9)
    assert (nodes.channels, nodes.bus_bytes_per_s) == (8, 4 * 49e9)
    assert (nodes.world_size, nodes.single, nodes.column) == (12, False, 1)


def test_links_inside_nodes_are_those_of_nodes_that_have_some():
    slow, fast, fabric = Link(1e9, 0.0), Link(370e9, 0.0), Link(50e9, 0.0)
    site = Site("a", (Node(1, slow), Node(8, fast), Node(2, fast)), fabric)
    found = Nodes.of(Topology("t", (site,)))
    assert (found.ranks, found.inside_bytes_per_s, found.between_bytes_per_s) == (
        (1, 8, 2), 370e9, 50e9,
    )  # fmt: skip
    alone = Nodes.of(Topology("t", (Site("a", (Node(1, slow), Node(1, fast)), fabric),)))
    assert alone.inside_bytes_per_s == 1e9


def test_rings_over_channels_from_two_chunks_on():
    # A chunk of a channel: 512 threads with 64 bytes; of LL 8 bytes, for every rank
    nodes = Nodes((8, 8), 371e9, 49e9)
    for protocol, least in ((SIMPLE, 2 * 512 * 64), (LL, 2 * 512 * 8 * 16)):
        assert _plan("ring", protocol, nodes, least) == CHANNELS
        assert _plan("ring", protocol, nodes, least - 1) == "ring"
    assert _plan("ring", SIMPLE, Nodes((8,), 371e9, 49e9), 1 << 30) == "ring"
    assert _plan("ring", SIMPLE, Nodes((8, 1), 371e9, 49e9), 1 << 30) == "ring"
