"""Lower bounds over small topologies, each worked out by hand."""

import math

import numpy as np
import pytest

from emul import Link, Node, Site, Topology, Trunk
from emul.links import OtherTraffic, Transport
from emul.links.changes import Changes, State
from emul.topology.bound import lower_bound_ps
from emul.topology.connection_limit import SiteConnections

PS = 10**12
FABRIC = Link(1e12, 0.0)


def alone(names, *, uplink=math.inf, downlink=None):
    """Sites of one rank each, whose ports are much faster than what is between them."""
    return tuple(Site(name, (Node(1, FABRIC),), FABRIC, uplink, downlink) for name in names)


def bound_s(topology, collective, nbytes=0, root=0, transfers=1, **more):
    return lower_bound_ps(topology, collective, nbytes, root, transfers, **more) / PS


def pair(link, changes=None, **site):
    more = {} if changes is None else {"changes": changes}
    return Topology("pair", alone("ab", **site), (Trunk(("a", "b"), link, **more),))


def about(seconds):
    return pytest.approx(seconds, abs=2e-12, rel=1e-9)


def test_a_way_costs_its_overhead_latency_queue_and_bytes():
    link = Link(1e9, 1e-3, 1e-4, others=OtherTraffic(load=0.5, queue_bytes=1e6))
    assert bound_s(pair(link), "broadcast", 10**6) == about(1e-4 + 1e-3 + 1e-3 + 2e-3)
    late = Changes((State(0.0, 0.5, 2e-3), State(1.0, 0.8, 3e-3)))
    slower = bound_s(pair(Link(1e9, 1e-3), late), "broadcast", 10**6)
    assert slower == about(1e-3 + 2e-3 + 1e-3 / 0.8)


def test_roundings_of_each_transfer_may_make_it_faster():
    pair_of = pair(Link(1e9, 0.0))
    exact = 10**6
    for transfers in (1, 2, 3, 4):
        found = lower_bound_ps(pair_of, "broadcast", 1000, 0, transfers)
        assert exact - 2 - (transfers + 1) // 2 <= found <= exact - (transfers + 1) // 2
    assert lower_bound_ps(pair_of, "broadcast", 1000, 0, 0) == 0


@pytest.mark.parametrize(
    ("collective", "root", "out", "into"),
    [("broadcast", 0, 1, 0), ("broadcast", 1, 0, 1), ("reduce", 0, 0, 1), ("reduce", 1, 1, 0),
     ("all_reduce", 0, 1, 1), ("gather", 1, 0.5, 0), ("scatter", 1, 0, 0.5)],
)  # fmt: skip
def test_uplinks_hold_what_leaves_and_downlinks_what_enters(collective, root, out, into):
    # Site a sends at 1 GB/s and receives at 4; b is not limited.
    a = Site("a", (Node(1, FABRIC),), FABRIC, 1e9, 4e9)
    (b,) = alone("b")
    world = Topology("t", (a, b), (Trunk(("a", "b"), Link(1e11, 0.0)),))
    nbytes = 10**6
    least = max(out * nbytes / 1e9, into * nbytes / 4e9)
    assert bound_s(world, collective, nbytes, root) == about(least)


def test_both_directions_of_all_trunks_carry_what_all_parts_need():
    # Three sites, trunks of 1 GB/s: 4 transfers of each element over 6 directions; each site's own
    # cut is S over 2.
    trunks = tuple(Trunk(pair, Link(1e9, 0.0)) for pair in (("a", "b"), ("b", "c"), ("a", "c")))
    world = Topology("t", alone("abc"), trunks)
    assert bound_s(world, "all_reduce", 6 * 10**6) == about(4 * 6e6 / 6e9)
    limited = Topology("t", alone("abc", uplink=0.5e9), trunks)
    assert bound_s(limited, "all_reduce", 6 * 10**6) == about(4 * 6e6 / 1.5e9)


def test_trunks_between_two_others_carry_nothing_for_a_site():
    fat, thin = Link(9e9, 0.0), Link(1e9, 0.0)
    trunks = (Trunk(("a", "b"), thin), Trunk(("a", "c"), thin), Trunk(("b", "c"), fat))
    world = Topology("t", alone("abc"), trunks)
    assert bound_s(world, "all_reduce", 10**6) == about(1e6 / 2e9)


def test_two_pairs_of_sites_have_only_the_trunks_across():
    fat, thin = Link(9e9, 0.0), Link(1e9, 0.0)
    pairs = {"ab": fat, "cd": fat, "ac": thin, "ad": thin, "bc": thin, "bd": thin}
    trunks = tuple(Trunk((one, other), link) for (one, other), link in pairs.items())
    world = Topology("t", alone("abcd"), trunks)
    # A pair lets out four times 1 GB/s, a site 9 + 1 + 1; 6 transfers over 44 GB/s.
    assert bound_s(world, "all_reduce", 10**6) == about(1e6 / 4e9)


def line(*delays_s):
    """Four sites in a line: the trunks along it are quick, all others take ten seconds."""
    names = "abcd"
    trunks = []
    for i in range(4):
        for j in range(i + 1, 4):
            delay_s = delays_s[i] if j == i + 1 else 10.0
            trunks.append(Trunk((names[i], names[j]), Link(1e12, delay_s)))
    return Topology("line", alone(names), tuple(trunks))


def test_news_travels_from_the_root_over_relays():
    world = line(1.0, 2.0, 4.0)
    assert bound_s(world, "all_reduce") == about(7)
    for root, far in ((0, 7), (1, 6), (2, 4), (3, 7)):
        for collective in ("broadcast", "reduce", "gather", "scatter"):
            assert bound_s(world, collective, root=root) == about(far)


def test_a_rank_that_shares_a_node_or_a_site_has_its_own_port():
    # Two nodes of two ranks: 1 GB/s inside, 0.5 GB/s of NIC each.
    inside, nic = Link(1e9, 0.0), Link(0.5e9, 0.0)
    world = Topology("t", (Site("a", (Node(2, inside), Node(2, inside)), nic),))
    nbytes = 3 * 10**6
    # A rank sends S over 1.5 GB/s; a node over its two NICs; in all 6 S over 6 GB/s.
    assert bound_s(world, "all_reduce", nbytes) == about(nbytes / 1e9)
    assert bound_s(world, "broadcast", nbytes, 3) == about(nbytes / 1e9)
    one = Topology("t", (Site("a", (Node(4, inside),), nic),))
    assert bound_s(one, "all_reduce", nbytes) == about(6 * nbytes / 4e9)


@pytest.mark.parametrize("root", range(7))
def test_the_root_of_a_scatter_is_found_among_unlike_nodes(root):
    # Ranks 0 and 1 share a node, 2 to 4 have one each, 5 and 6 are elsewhere; only that with the
    # root sends, six sevenths of all.
    inside, nic = Link(4e9, 0.0), Link(1e9, 0.0)
    a = Site("a", (Node(2, inside), Node(1, inside), Node(1, inside), Node(1, inside)), nic)
    b = Site("b", (Node(2, inside),), nic)
    world = Topology("t", (a, b), (Trunk(("a", "b"), Link(1e12, 0.0)),))
    nbytes = 7 * 10**6
    alone_ = root in (2, 3, 4)
    port = 6e6 / 1e9 if alone_ else max(6e6 / 5e9, 5e6 / 2e9)
    elsewhere = 5e6 / 2e9 if root in (5, 6) else 0.0  # into or out of the site of two
    assert bound_s(world, "scatter", nbytes, root) == about(max(port, elsewhere))


def test_one_connection_has_no_more_than_its_slots_each_round_trip():
    world = pair(Link(1e12, 1e-3))
    assert bound_s(world, "broadcast", 10**6) == about(1e-3 + 1e-6)
    # From one rank 4 MB at once, and when word of them is back, after 2 ms, the rest.
    slots = SiteConnections(slots_bytes=4e6)
    assert bound_s(world, "broadcast", 8 * 10**6, connection=slots) == about(2e-3 + 1e-3)
    assert bound_s(world, "broadcast", 8 * 10**6) == about(1e-3 + 8e-6)
    windowed = pair(Link(1e12, 1e-3, transport=Transport(window_bytes=2e6)))
    few = SiteConnections(slots_bytes=1e3)  # which do not count where there is a window
    assert bound_s(windowed, "broadcast", 8 * 10**6, connection=few) == about(1e-3 + 8e-3)


def test_unequal_blocks_cross_as_they_are():
    world = pair(Link(1e9, 1.0))
    counts = np.array([10**6, 3 * 10**6])
    found = lower_bound_ps(world, "all_gather", 0, 0, 1, counts) / PS
    assert found == about(1 + 3e-3)
    table = np.array([[0, 5 * 10**6], [2 * 10**6, 0]])
    assert lower_bound_ps(world, "all_to_all", 0, 0, 1, table) / PS == about(1 + 5e-3)
