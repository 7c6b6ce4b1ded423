from dataclasses import replace

from hypothesis import given
from reference import path, places
from strategies import topologies

from emul.topology import Network, load


@given(topologies())
def test_routes_are_those_of_the_topology(topology):
    network = Network.of(topology)
    assert network.site_of.tolist() == [place.site for place in places(topology)]
    assert network.node_of.tolist() == [place.node for place in places(topology)]
    for src in range(topology.world_size):
        for dst in range(topology.world_size):
            hops, latency, overhead = path(topology, src, dst)
            route = network.route(src, dst)
            assert [network.link_rate[link] for link in route] == [rate for _, rate in hops]
            assert (network.latency_ps(src, dst), network.overhead_ps(src, dst)) == (
                latency,
                overhead,
            )


@given(topologies())
def test_different_links_have_different_numbers(topology):
    network = Network.of(topology)
    names = {}
    for src in range(topology.world_size):
        for dst in range(topology.world_size):
            hops, _, _ = path(topology, src, dst)
            for (name, _), number in zip(hops, network.route(src, dst), strict=True):
                assert names.setdefault(number, name) == name
    assert len(set(names.values())) == len(names)


def test_places_have_names():
    network = Network.of(load("three-campus"))
    inside, fabric, across = (network.route(0, dst) for dst in (1, 4, 8))
    assert network.place(inside[0]) == "node links of north"
    assert network.place(fabric[1]) == "NICs of north"
    assert [network.place(link) for link in across] == [
        "NICs of north",
        "trunk north -> east",
        "NICs of east",
    ]


def test_picoseconds_are_rounded_to_the_nearest():
    network = Network.of(load("three-campus"))
    assert {network.latency_ps(0, 4), network.latency_ps(20, 16)} == {6_000_000}
    assert {network.overhead_ps(0, 1), network.overhead_ps(23, 20)} == {2_900_000}


def test_without_latency_only_latencies_change():
    old = load("three-campus")
    new = old.without(["latency"])
    assert [site.ranks for site in new.sites] == [site.ranks for site in old.sites]
    for (name, before), (same, after) in zip(old.links(), new.links(), strict=True):
        assert name == same
        assert after == replace(before, latency_s=0.0)
    assert new.without(["latency"]).trunks == new.trunks
