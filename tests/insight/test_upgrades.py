"""Upgrades of a topology: each number that changes, by hand, and its cost."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
from strategies import sites_of_one

from emul import ArgumentError, Link, Site, Topology, Trunk, World
from emul.insight.upgrades import KINDS, Change, pair_of, pairs_of, upgrades_of
from emul.links import Transport
from emul.topology import Conduit, Node, Waypoint
from emul.topology.costs import Costs, UnitCosts

MS = 1e-3
NIC = Link(1e12, 0.0)
GBIT = 1e9 / 8


def pair(link, km=None):
    topology = sites_of_one(lambda a, b: link, 2, nic=NIC)
    return replace(topology, trunks=tuple(replace(each, km=km) for each in topology.trunks))


def by_words(found):
    return {each.words: each for each in found}


def changed_link(topology, kind, words=""):
    (one,) = (each for each in upgrades_of(topology, None, [kind]) if words in each.words)
    return one.topology.trunks[0].link


def test_a_rate_is_two_or_four_times_and_a_wave_more_is_one_more_of_them():
    link = Link(3e9, 5 * MS, waves=3)
    assert changed_link(pair(link), "rate", "2 times") == replace(link, rate_bytes_per_s=6e9)
    assert changed_link(pair(link), "rate", "4 times") == replace(link, rate_bytes_per_s=12e9)
    more = changed_link(pair(link), "wave")
    assert (more.rate_bytes_per_s, more.waves) == (4e9, 4)


def test_a_delay_is_that_of_the_light_or_a_tenth():
    link = Link(1e9, 5 * MS)
    assert changed_link(pair(link), "delay").latency_s == 0.5 * MS
    # 100 km of glass: 1.4682 / 299792.458 km/s.
    assert changed_link(pair(link, km=100), "delay").latency_s == pytest.approx(
        100 * 1.4682 / 299792.458
    )
    assert upgrades_of(pair(link, km=1021), None, ["delay"]) == []  # it is no longer than that
    assert upgrades_of(pair(Link(1e9, 0.0)), None, ["delay"]) == []


def test_windows_are_deeper_on_all_trunks_that_have_one():
    windowed = replace(Link(1e9, MS), transport=Transport(window_bytes=1000.0))
    topology = sites_of_one(lambda a, b: windowed if a else Link(1e9, MS), 3, nic=NIC)
    (found,) = upgrades_of(topology, Costs(), ["window"])
    assert sorted(each.link.transport.window_bytes for each in found.topology.trunks) == [
        0.0, 0.0, 4000.0,
    ]  # fmt: skip
    assert found.cost_per_month == 0.0
    assert upgrades_of(pair(Link(1e9, MS)), None, ["window"]) == []


def test_uplinks_and_conduits_that_are_limited_are_raised():
    topology = pair(Link(1e9, MS))
    sites = (replace(topology.sites[0], uplink_bytes_per_s=5e8), topology.sites[1])
    trunks = (replace(topology.trunks[0], conduit="duct"),)
    conduits = (Conduit("duct", 7e8), Conduit("wide"))
    limited = replace(topology, sites=sites, trunks=trunks, conduits=conduits)
    costs = Costs("", UnitCosts(per_gbit_per_s=10.0))
    uplink, conduit = upgrades_of(limited, costs, ["uplink", "conduit"])
    site = uplink.topology.sites[0]
    assert (site.uplink_bytes_per_s, site.downlink_bytes_per_s) == (1e9, 1e9)
    assert uplink.cost_per_month == pytest.approx(5e8 / GBIT * 10)
    assert [each.rate_bytes_per_s for each in conduit.topology.conduits] == [1.4e9, math.inf]
    assert conduit.cost_per_month == pytest.approx(7e8 / GBIT * 10)


def chain():
    """a - b - c - d with c a waypoint; b's trunks have unlike rates."""
    ends = [Site(name, (Node(1, NIC),), NIC) for name in "abd"]
    trunks = (
        Trunk(("a", "b"), Link(4e9, 1 * MS)),
        Trunk(("b", "c"), Link(1e9, 2 * MS)),
        Trunk(("c", "d"), Link(2e9, 3 * MS)),
    )
    return Topology("chain", tuple(ends), trunks, waypoints=(Waypoint("c", 0.5 * MS),))


def test_a_new_trunk_is_like_the_slowest_at_either_end_and_as_long_as_the_path():
    found = by_words(upgrades_of(chain(), None, ["trunk"]))
    links = {tuple(sorted(each.changes[0].place)): each.topology.trunks[-1].link
             for each in found.values()}  # fmt: skip
    new = {pair: (link.rate_bytes_per_s, link.latency_s) for pair, link in links.items()}
    # b - d passes c: 2 + 0.5 + 3 ms; a - d one more. At b and d, b - c is slowest; at a and d,
    # c - d is.
    assert new == {
        ("b", "d"): (1e9, pytest.approx(5.5 * MS)),
        ("a", "d"): (2e9, pytest.approx(6.5 * MS)),
    }
    assert "a new trunk b - d, like b - c, 5.5 ms long" in found
    assert upgrades_of(World("three-campus").topology, None, ["trunk"]) == []


def test_costs_are_by_gbit_or_by_wave():
    topology = pair(Link(GBIT * 10, MS, waves=2))
    cost = {
        each.words.split(" s0")[0]: each.cost_per_month
        for each in upgrades_of(
            topology, Costs("EUR", UnitCosts(per_gbit_per_s=3.0, per_wave=100.0)), ["rate", "wave"]
        )
    }
    assert cost == {
        "1 wave more on": 100.0,
        "2 times the rate of": pytest.approx(30.0),
        "4 times the rate of": pytest.approx(90.0),
    }
    by_wave = upgrades_of(topology, Costs("", UnitCosts(per_wave=100.0)), ["rate"])
    assert [each.cost_per_month for each in by_wave] == [200.0, 600.0]
    by_gbit = upgrades_of(topology, Costs("", UnitCosts(per_gbit_per_s=3.0)), ["wave"])
    assert [each.cost_per_month for each in by_gbit] == [pytest.approx(15.0)]
    unknown = upgrades_of(topology, Costs("", UnitCosts(per_new_trunk=1.0)), ["rate", "delay"])
    assert {each.cost_per_month for each in unknown} == {None}
    shorter = upgrades_of(topology, Costs("", UnitCosts(per_lower_delay=7.0)), ["delay"])
    assert [each.cost_per_month for each in shorter] == [7.0]


def test_a_new_trunk_costs_itself_and_its_rate():
    costs = Costs("", UnitCosts(per_gbit_per_s=2.0, per_new_trunk=50.0),
                  ((frozenset("ad"), UnitCosts(per_new_trunk=5.0)),))  # fmt: skip
    cost = {
        each.changes[0].place: each.cost_per_month
        for each in upgrades_of(chain(), costs, ["trunk"])
    }
    assert cost == {
        ("b", "d"): pytest.approx(50 + 2 * 1e9 / GBIT),
        ("a", "d"): pytest.approx(5 + 2 * 2e9 / GBIT),
    }
    alone = Costs("", UnitCosts(per_new_trunk=50.0))
    assert {each.cost_per_month for each in upgrades_of(chain(), alone, ["trunk"])} == {50.0}


def test_pairs_change_two_numbers():
    topology = World("three-campus").topology
    costs = Costs("", UnitCosts(per_wave=1.0, per_lower_delay=10.0))
    single = upgrades_of(topology, costs)
    both = list(pairs_of(topology, single))
    per_trunk = 3  # another rate, twice, and a wave, of which no two go together
    assert len(both) == math.comb(len(single), 2) - len(topology.trunks) * math.comb(per_trunk, 2)
    for first, second in combinations(single, 2):
        found = pair_of(topology, first, second)
        if found is None:
            assert first.changes[0].place == second.changes[0].place
            continue
        # The same in the other order, and the costs add up.
        assert found.topology.trunks == pair_of(topology, second, first).topology.trunks
        assert found.cost_per_month == first.cost_per_month + second.cost_per_month
        assert found.words == f"{first.words}, and {second.words}"
    unknown = upgrades_of(topology, Costs("", UnitCosts(per_wave=1.0)))
    assert any(each.cost_per_month is None for each in pairs_of(topology, unknown))


def test_kinds_are_some_of_those_that_there_are():
    topology = World("three-campus").topology
    assert {each.changes[0].kind for each in upgrades_of(topology)} == {
        "rate", "wave", "delay", "window",
    }  # fmt: skip
    assert upgrades_of(topology, None, []) == []
    with pytest.raises(ArgumentError, match=r"unknown upgrade 'rates': needed one of rate, wave"):
        upgrades_of(topology, None, ["rates"])
    assert set(KINDS) >= {"uplink", "conduit", "trunk"}
    assert Change("rate", ("b", "a"), 2).quantity == Change("wave", ("a", "b"), 1).quantity
