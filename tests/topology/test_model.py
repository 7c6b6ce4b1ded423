"""Sites, nodes and trunks: each figure of three unlike sites worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from emul import ArgumentError, Link, Node, Site, Topology, TopologyError, Trunk
from emul.links import OtherTraffic
from emul.links.changes import Changes, Diurnal, Outages, State
from emul.topology import Network
from emul.topology.nodes import NodeRuns

QUICK, SLOW = Link(8e9, 1e-6, 2e-6), Link(4e9, 3e-6, 4e-6)
FABRIC, LOADED = Link(2e9, 5e-6, 6e-6), Link(1e9, 7e-6, 8e-6, others=OtherTraffic(load=0.5))
FAR = Link(3e9, 1e-3, 1e-5, others=OtherTraffic(queue_bytes=6e6))
BUSY = Link(4e9, 2e-3, others=OtherTraffic(load=0.75))
THIN = Link(2e9, 4e-3)
CHANGES = Changes(
    (State(0.0, 0.5, 1e-3),), diurnal=Diurnal(0.1, 0.2), outages=Outages(((1.0, 1.0),))
)

A = Site("a", (Node(2, QUICK), Node(2, QUICK), Node(3, SLOW)), FABRIC, 5e9, 6e9)
B = Site("b", (Node(1, QUICK),), LOADED, 7e9)
C = Site("c", (Node(2, SLOW), Node(1, SLOW)), FABRIC)
WORLD = Topology(
    "three", (A, B, C), (Trunk(("a", "b"), FAR, 10.0, CHANGES), Trunk(("c", "a"), BUSY),
                         Trunk(("b", "c"), THIN)),
)  # fmt: skip
NETWORK = Network.of(WORLD)


def test_what_leaves_and_enters_a_site():
    assert (A.into_bytes_per_s, B.into_bytes_per_s, C.into_bytes_per_s) == (6e9, 7e9, math.inf)
    assert (A.limited, B.limited, C.limited) == (True, True, False)
    assert Site("d", (Node(1, QUICK),), FABRIC, math.inf, 1e9).limited
    assert (A.ranks, WORLD.world_size, WORLD.ranks_by_node) == (7, 11, [[2, 2, 3], [1], [2, 1]])


def test_the_slowest_trunk_is_that_with_least_left():
    assert WORLD.slowest_trunk.sites == ("c", "a")
    assert replace(WORLD, sites=(A,), trunks=()).slowest_trunk is None


def test_one_place_has_the_slowest_of_everything():
    placed = WORLD.in_one_place()
    (site,) = placed.sites
    assert (site.link.rate_bytes_per_s, site.link.latency_s, site.link.overhead_s) == (
        1e9, 7e-6, 8e-6,
    )  # fmt: skip
    assert [node.ranks for node in site.nodes] == [2, 2, 3, 1, 2, 1]
    assert [node.link for node in site.nodes] == [QUICK, QUICK, SLOW, QUICK, SLOW, SLOW]
    assert placed.in_one_place() is placed


@pytest.mark.parametrize(
    ("ranks", "nodes", "trunks"),
    [
        ([0, 1], [[2]], []),
        ([1, 2], [[1, 1]], []),
        ([3, 4, 6], [[1, 2]], []),
        ([6, 7], [[1], [1]], [("a", "b")]),
        ([7, 10], [[1], [1]], [("b", "c")]),
        ([0, 3, 9, 10], [[1, 1], [1, 1]], [("c", "a")]),
    ],
)
def test_some_ranks_keep_their_places(ranks, nodes, trunks):
    some = WORLD.of_ranks(ranks)
    assert some.ranks_by_node == nodes
    assert [trunk.sites for trunk in some.trunks] == trunks


def test_effects_go_from_every_link_and_from_what_changes():
    without = WORLD.without(["load", "latency"])
    assert [node.link.latency_s for node in without.sites[0].nodes] == [0, 0, 0]
    assert without.sites[1].link == replace(LOADED, latency_s=0.0, others=OtherTraffic())
    changes = without.trunks[0].changes
    assert (changes.trace[0], changes.diurnal) == (State(0.0), None)
    assert changes.outages == CHANGES.outages
    assert without.name == "three without latency, load"
    assert WORLD.without([]) is WORLD
    with pytest.raises(ArgumentError, match="unknown effect 'rain'"):
        WORLD.without(["rain"])


@pytest.mark.parametrize(
    ("trunks", "complaint"),
    [
        ([("a", "a"), ("a", "b"), ("a", "c"), ("b", "c")], "trunk a - a: needed two different"),
        ([("a", "d")], "trunk a - d: needed two different sites of a, b, c"),
        ([("a", "b"), ("b", "a"), ("a", "c"), ("b", "c")], "trunk b - a is given twice"),
        ([("a", "b")], "no trunk joins a, b / c: needed one connected graph"),
    ],
)
def test_trunks_that_join_nothing_are_refused(trunks, complaint):
    with pytest.raises(TopologyError, match=complaint):
        Topology("bad", (A, B, C), tuple(Trunk(pair, FAR) for pair in trunks))


def test_equal_nodes_in_a_row_are_kept_once():
    runs = NodeRuns.of(A.nodes)
    assert runs.runs == ((Node(2, QUICK), 2), (Node(3, SLOW), 1))
    assert (runs.ranks, len(runs)) == (7, 3)
    assert [runs[i].ranks for i in range(3)] == [2, 2, 3]
    assert [runs[i].link for i in (-1, -2, -3)] == [SLOW, QUICK, QUICK]
    assert runs[1:] == (Node(2, QUICK), Node(3, SLOW))
    with pytest.raises(IndexError):
        runs[3]
    longer = NodeRuns.joined([(Node(1, SLOW), 3), (Node(1, SLOW), 2), (Node(2, SLOW), 1)])
    assert longer.runs == ((Node(1, SLOW), 5), (Node(2, SLOW), 1))
    for ranks in (0, -1):
        with pytest.raises(TopologyError, match=f"node with {ranks} ranks: needed at least 1"):
            Node(ranks, QUICK)


def test_links_have_names_by_their_nodes():
    assert [name for name, _ in WORLD.links()] == [
        "inside a node of a (2 nodes)", "inside a node of a (node 2)", "inside a",
        "inside a node of b", "inside b", "inside a node of c", "inside c",
        "a - b", "c - a", "b - c",
    ]  # fmt: skip


def test_ports_have_the_rate_that_others_leave():
    ports = NETWORK.link_rate[:44].reshape(11, 4)
    assert ports[:, 0].tolist() == ports[:, 1].tolist() == [8e9] * 4 + [4e9] * 3 + [8e9] + [4e9] * 3
    assert ports[:, 2].tolist() == ports[:, 3].tolist() == [2e9] * 7 + [0.5e9] + [2e9] * 3
    trunks = {
        (a, b): NETWORK.link_rate[NETWORK.trunk_link(a, b)]
        for a in range(3)
        for b in range(3)
        if a != b
    }
    assert trunks == {
        (0, 1): 3e9, (1, 0): 3e9, (0, 2): 1e9, (2, 0): 1e9, (1, 2): 2e9, (2, 1): 2e9,
    }  # fmt: skip


def test_each_direction_of_a_trunk_is_a_link_of_its_own():
    assert NETWORK.route(0, 7) == (2, 44, 31)
    assert NETWORK.route(7, 0) == (30, 44 + 1, 3)
    assert NETWORK.route(8, 6) == (34, 44 + 2, 27)
    assert NETWORK.route(0, 1) == (0, 5)
    assert NETWORK.route(0, 2) == (2, 11)
    assert NETWORK.route(5, 5) == ()
    assert NETWORK.trunk_link(1, 2) == 44 + 4
    places = [NETWORK.place(NETWORK.trunk_link(*pair)) for pair in ((0, 1), (1, 0), (2, 1))]
    assert places == ["trunk a -> b", "trunk b -> a", "trunk c -> b"]
    assert [NETWORK.place(28 + kind) for kind in range(4)] == [
        "node links of b", "node links of b", "NICs of b", "NICs of b",
    ]  # fmt: skip


def test_each_way_has_a_number_and_a_name():
    ways = {(0, 1): 0, (2, 3): 1, (4, 6): 2, (8, 9): 4, (0, 2): 6, (8, 10): 8}
    ways |= {(0, 7): 10, (7, 0): 12, (0, 9): 11, (9, 0): 15, (7, 9): 14, (9, 7): 16, (3, 3): -1}
    assert {ends: NETWORK.path(*ends) for ends in ways} == ways
    names = {
        0: "inside node 0 of a", 2: "inside node 2 of a", 3: "inside node 0 of b",
        5: "inside node 1 of c", 6: "inside a", 8: "inside c", 10: "a -> b", 12: "b -> a",
        15: "c -> a",
    }  # fmt: skip
    assert {way: NETWORK.path_name(way) for way in names} == names


def test_latencies_have_the_queue_in_them():
    assert NETWORK.latency_ps(0, 7) == NETWORK.latency_ps(7, 0) == (1 + 2) * 10**9
    assert int(NETWORK.path_queue_ps[10]) == 2 * 10**9
    assert NETWORK.overhead_ps(0, 7) == 10**7
    assert (NETWORK.latency_ps(0, 1), NETWORK.overhead_ps(4, 6)) == (10**6, 4 * 10**6)
    assert (NETWORK.latency_ps(3, 3), NETWORK.overhead_ps(3, 3)) == (0, 0)


def test_bytes_are_counted_on_every_link_they_cross():
    src, dst, nbytes = np.array(
        [[0, 1, 10], [0, 2, 20], [0, 7, 40], [9, 0, 80], [5, 5, 160], [8, 10, 320]]
    ).T
    src, dst = src.astype(np.int32), dst.astype(np.int32)
    carried = NETWORK.link_bytes(src, dst, nbytes)
    found = {link: int(number) for link, number in enumerate(carried) if number}
    assert found == {
        0: 10, 5: 10,  # ports inside the node
        2: 60, 11: 20, 31: 40, 38: 80, 3: 80, 34: 320, 43: 320,  # NICs
        44: 40, 44 + 2: 80,  # trunks
    }  # fmt: skip
    assert NETWORK.port_bytes(src, dst, nbytes)[0].tolist() == [10, 0, 60, 80]
    assert NETWORK.site_bytes(src, dst, nbytes).tolist() == [[0, 40, 0], [0, 0, 0], [80, 0, 0]]
