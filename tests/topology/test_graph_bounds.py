"""Bounds on graphs: every trunk from its own latency on, conduits, nodes as parts, min cuts."""

from itertools import pairwise

import pytest
from graphs import MS, PORT, graph

from emul import Link, Node, Site, Topology, Trunk
from emul.topology import Conduit, Waypoint
from emul.topology.bound import lower_bound_ps

MB = 10**6


def bound_ms(topology, collective, nbytes, root=0):
    return lower_bound_ps(topology, collective, nbytes, root, 1) / 1e9


def test_each_trunk_of_a_cut_counts_from_its_own_latency_on():
    trunks = {"ab": Link(1e9, MS), "ac": Link(1e9, 9 * MS), "bc": Link(1e12, 9 * MS)}
    three = graph("abc", trunks)
    # Out of a: r (T - 1) + r (T - 9) = 20, so T = 15. Of 4 MB, the near trunk alone would carry
    # all by 5 ms, but nothing is at c before 9.
    assert bound_ms(three, "broadcast", 20 * MB) == pytest.approx(15)
    assert bound_ms(three, "broadcast", 4 * MB) == pytest.approx(9, abs=0.01)


def test_trunks_of_a_conduit_count_with_its_rate_in_each_direction():
    trunks = {
        "ab": Trunk(("a", "b"), Link(1e9, MS), conduit="duct"),
        "ac": Trunk(("a", "c"), Link(1e9, MS), conduit="duct"),
        "bc": Link(1e12, MS),
    }
    star = graph("abc", trunks, conduits=(Conduit("duct", 0.5e9),))
    assert bound_ms(star, "broadcast", 20 * MB) == pytest.approx(41)
    # Now b is reached back along the conduit, and c forth.
    turned = {**trunks, "ab": Trunk(("b", "a"), Link(1e9, MS), conduit="duct")}
    both = graph("abc", turned, conduits=(Conduit("duct", 0.5e9),))
    assert bound_ms(both, "broadcast", 20 * MB) == pytest.approx(21)


def test_a_cut_may_go_through_places_without_ranks():
    trunks = (
        Trunk(("a", "w"), Link(9e9, MS)), Trunk(("w", "x"), Link(1e9, MS)),
        Trunk(("x", "b"), Link(9e9, MS)),
    )  # fmt: skip
    sites = tuple(Site(name, (Node(1, PORT),), PORT) for name in "ab")
    line = Topology("line", sites, trunks, waypoints=(Waypoint("w"), Waypoint("x")))
    assert bound_ms(line, "broadcast", 20 * MB) == pytest.approx(23)


def test_nodes_are_parts_over_the_sum_of_their_nics():
    nic, nvlink = Link(1e9, MS), Link(1e18, 0.0)
    one = Topology("one", (Site("a", (Node(8, nvlink, 2),) * 3, nic),))
    # 2 (3 - 1) S over six NICs, and 1 ms.
    assert bound_ms(one, "all_reduce", 12 * MB) == pytest.approx(4 * 12 / 6 + 1)


def test_the_thin_waist_of_a_large_graph_is_found():
    names = "abcdefghijkl"
    fat, thin = Link(1e12, MS), Link(1e9, MS)
    trunks = {a + b: fat for half in (names[:6], names[6:]) for a, b in pairwise(half)}
    waist = graph(names, {**trunks, "fg": thin})
    assert bound_ms(waist, "all_reduce", 100 * MB) == pytest.approx(101)
