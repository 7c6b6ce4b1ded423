"""The constraint of which a bound is the time: each kind by hand, and slopes of its trunks."""

from dataclasses import replace
from itertools import pairwise

import pytest
from bound_fuzz import drawn_call, drawn_graph
from strategies import root_of, sites_of_one

from emul import ArgumentError, EmulError, Link, Node, Site, Topology, Trunk, World
from emul.topology.bound_reason import KINDS, trunks_across
from emul.topology.bound_slopes import PER_BYTES_PER_S, trunk_slopes

MS, MB = 1e-3, 10**6
GB = 1e9
NIC = Link(1e12, 0.0)


def bounded(topology, collective="all_reduce", nbytes=MB, **how):
    world = World(topology, slicing=None)
    return world.predict(collective, nbytes, dtype="uint8", algorithm="direct", **how).bounded


def sites(rates, nic=NIC, latency_s=0.0):
    """Sites of a rank, with a trunk for each rate by its two numbers."""
    names = sorted({name for pair in rates for name in pair})
    trunks = tuple(Trunk(pair, Link(rate, latency_s)) for pair, rate in rates.items())
    return Topology("t", tuple(Site(name, (Node(1, nic),), nic) for name in names), trunks)


def test_the_trunks_of_a_cut_cannot_carry_the_vector():
    # a is joined by 1 and 2 GB/s: 1 MB takes 1/3 ms; b by 1 and 4, c by 2 and 4.
    topology = sites({("a", "b"): GB, ("a", "c"): 2 * GB, ("b", "c"): 4 * GB})
    found = bounded(topology).reason()
    assert (found.kind, found.nbytes) == ("cut", MB)
    assert found.places in (("a",), ("b", "c"))
    assert found.seconds == pytest.approx(MS / 3)
    assert found.trunks == (("a - b", 1.0), ("a - c", 1.0))
    assert found.words == ("a - b and a - c together cannot carry 976.6 KiB in less than 333.3 us")


def test_trunks_across_a_cut_have_one_end_on_either_side():
    topology = sites({("a", "b"): GB, ("a", "c"): 2 * GB, ("b", "c"): 4 * GB})
    assert trunks_across(topology, ("a", "b")) == (("a - c", 1.0), ("b - c", 1.0))


def test_slopes_of_a_cut_are_those_of_a_sum_of_rates():
    topology = sites({("a", "b"): GB, ("a", "c"): 2 * GB, ("b", "c"): 4 * GB})
    first, second = trunk_slopes(bounded(topology))
    slope = MB / (3 * GB) ** 2 * PER_BYTES_PER_S  # of S / (r + s) by either rate
    for each in (first, second):
        assert each.price == 1.0
        assert each.falls_s_per_100_mbit_more == pytest.approx(slope, rel=2e-3)
        assert each.rises_s_per_100_mbit_less == pytest.approx(slope, rel=2e-3)


def test_slopes_are_of_the_rate_that_others_leave():
    half = sites({("a", "b"): 2 * GB})
    loaded = replace(half.trunks[0].link, others=replace(half.trunks[0].link.others, load=0.5))
    topology = replace(half, trunks=(replace(half.trunks[0], link=loaded),))
    (only,) = trunk_slopes(bounded(topology, "broadcast"))
    assert only.rises_s_per_100_mbit_less == pytest.approx(MB / GB**2 * PER_BYTES_PER_S, rel=2e-3)


def test_at_a_kink_more_brings_nothing_and_less_costs():
    # Two cuts with the same rate: around a and around c.
    topology = sites({("a", "b"): GB, ("b", "c"): GB})
    for each in trunk_slopes(bounded(topology, "broadcast")):
        assert each.falls_s_per_100_mbit_more == 0
        assert each.rises_s_per_100_mbit_less == pytest.approx(MB / GB**2 * PER_BYTES_PER_S,
                                                               rel=2e-3)  # fmt: skip


def test_in_a_ring_prices_prove_more_than_any_cut():
    # Of four sites in a ring an element takes 6 transfers, over 8 GB/s in all; no cut is as slow.
    ring = {("a", "b"): GB, ("b", "c"): GB, ("c", "d"): GB, ("a", "d"): GB}
    found = bounded(sites(ring)).reason()
    assert found.kind == "prices"
    assert found.seconds == pytest.approx(6 * MS / 8)
    assert dict(found.trunks) == {"a - b": 1.0, "a - d": 1.0, "b - c": 1.0, "c - d": 1.0}
    assert found.words == (
        "a - b, a - d, b - c and c - d, by their prices, cannot carry their part of any schedule "
        "in less than 750 us"
    )


def test_of_many_sites_few_slopes_are_worked_out():
    names = "abcdefghi"
    ring = dict.fromkeys(pairwise(names), GB) | {("a", "i"): GB}
    found = bounded(sites(ring))
    assert found.reason().kind == "prices"
    assert len(found.reason().trunks) == 9
    assert [each.trunk for each in trunk_slopes(found)] == ["a - b", "a - i"]


@pytest.mark.parametrize(
    ("kind", "topology", "collective", "words"),
    [
        ("latency", sites({("a", "b"): 1e15, ("b", "c"): 1e15}, latency_s=5 * MS), "broadcast",
         "news takes 10 ms to the farthest site"),
        ("rank", sites({("a", "b"): 1e12}, nic=Link(GB, 0.0)), "broadcast",
         "the ports of a rank of a cannot carry 976.6 KiB in less than 1 ms"),
        ("node", Topology("t", tuple(Site(name, (Node(4, NIC, 1),), Link(GB, 0.0))
                                     for name in "ab"), (Trunk(("a", "b"), NIC),)), "broadcast",
         "the NICs of a node of a cannot carry 976.6 KiB in less than 1 ms"),
        ("ways", Topology("t", (Site("a", (Node(2, NIC),), NIC, uplink_bytes_per_s=GB),
                                Site("b", (Node(2, NIC),), NIC)), (Trunk(("a", "b"), NIC),)),
         "broadcast", "the NICs, uplinks and downlinks beside a cannot carry 976.6 KiB in less "
                      "than 1 ms"),
        ("nodes", World("one-campus").topology, "all_reduce",
         "the NICs of all nodes together cannot carry 9.537 MiB, the least that is sent between "
         "them, in less than"),
    ],
)  # fmt: skip
def test_other_constraints_by_hand(kind, topology, collective, words):
    found = bounded(topology, collective).reason()
    assert found.kind == kind
    assert found.words.startswith(words)
    assert found.trunks == ()
    assert trunk_slopes(bounded(topology, collective)) == ()


@pytest.mark.parametrize("drawn", [None, drawn_graph])
def test_on_links_of_every_kind_the_reason_takes_the_time_of_the_bound(drawn):
    kinds = set()
    for number in range(40):
        call = drawn_call(number, drawn) if drawn else drawn_call(number)
        where = root_of(call.collective, call.root)
        try:
            found = call.world.predict(
                call.collective, call.count, dtype="uint8", algorithm=call.algorithm, **where
            )
        except (ArgumentError, EmulError):
            continue
        reason = found.bounded.reason()
        if not found.bound_ps:
            continue
        rounding = (found.bounded.transfers + 1) // 2 + 2
        assert reason.seconds * 1e12 == pytest.approx(found.bound_ps, rel=1e-8, abs=rounding)
        assert reason.kind in KINDS
        assert reason.words
        kinds.add(reason.kind)
    assert len(kinds) >= 3


def test_nothing_is_sent_without_a_reason():
    found = bounded(sites_of_one(lambda a, b: Link(GB, 0.0), 1, nic=NIC))
    assert found.reason() is None
    assert trunk_slopes(found) == ()
