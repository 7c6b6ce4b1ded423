"""Graphs of sites: which path is taken, how files say it, and what is refused."""

import itertools

import pytest
from graphs import MS, PS_PER_S, arrivals_ps, graph

from emul import Link, TopologyError, Trunk
from emul.links import Jitter, OtherTraffic, Transport
from emul.links.in_a_row import in_a_row
from emul.report.topologies import path_lines
from emul.topology import Conduit, Network, PathVia, read_topology
from emul.topology.min_cuts import min_cuts
from emul.topology.toml.reader import parse_document
from emul.topology.tour import tour_of

LINK = "rate_gbit_per_s = 8\nlatency_us = 1000\n"
HEAD = f"[defaults.node_link]\n{LINK}[defaults.site_link]\n{LINK}[defaults.trunk]\n{LINK}"


def file_of(*tables):
    return parse_document(HEAD + "\n".join(tables), name="x", where="x.toml").topology


def site(name, more="nodes = [1]"):
    return f'[[site]]\nname = "{name}"\n{more}'


def trunk(a, b, more=""):
    return f'[[trunk]]\nbetween = ["{a}", "{b}"]\n{more}'


def sites(names):
    return [site(name) for name in names]


def path(topology, a, b):
    names = [each.name for each in topology.sites]
    return "".join(Network.of(topology).site_paths[names.index(a), names.index(b)].names)


def test_the_quickest_path_is_taken_then_that_of_fewest_trunks_then_by_name():
    link = lambda ms: Link(1e9, ms * MS)  # noqa: E731
    quick = graph("abcd", {"ab": link(1), "bd": link(4), "ac": link(2), "cd": link(2)})
    assert (path(quick, "a", "d"), path(quick, "d", "a")) == ("acd", "dca")
    few = graph(
        "abcde", {"ab": link(1), "bc": link(1), "ce": link(2), "ad": link(3), "de": link(1)}
    )
    assert path(few, "a", "e") == "ade"
    for names in itertools.permutations("abcd"):
        tied = graph(names, {"ac": link(1), "ab": link(1), "cd": link(1), "bd": link(1)})
        assert (path(tied, "a", "d"), path(tied, "d", "a")) == ("abd", "dba")
        assert (path(tied, "b", "c"), path(tied, "c", "b")) == ("bac", "cab")


def test_standing_queues_and_passages_count_as_delay():
    queue = OtherTraffic(queue_bytes=3e6)  # 3 ms at 1 GB/s
    trunks = {
        "ab": Link(1e9, MS, others=queue), "bd": Link(1e9, MS), "ac": Link(1e9, 2 * MS),
        "cd": Link(1e9, 2 * MS),
    }  # fmt: skip
    assert path(graph("abcd", trunks), "a", "d") == "acd"
    topology = file_of(
        site("a"), site("d"), site("b", "nodes = [1]\ntransit_us = 600"), *sites("ce"),
        trunk("a", "b"), trunk("b", "d"), trunk("a", "c"), trunk("c", "e", "latency_us = 600"),
        trunk("e", "d", "latency_us = 600"),
    )  # fmt: skip
    assert path(topology, "a", "d") == "aced"
    assert topology.sites[1].transit_s == pytest.approx(600e-6)


def test_a_trunk_is_the_path_of_its_ends_unless_the_file_says_otherwise():
    mesh = [*sites("abc"), trunk("a", "b"), trunk("b", "c"), trunk("a", "c", "latency_us = 9000")]
    assert path(file_of(*mesh), "a", "c") == "ac"
    via = '[[path]]\nbetween = ["c", "a"]\nvia = ["b"]'
    assert path(file_of(*mesh, via), "a", "c") == "abc"


def test_the_quickest_way_leads_from_each_place_to_the_next_that_is_named():
    ring = [*sites("abcdef"), *(trunk(a, b) for a, b in itertools.pairwise("abcdefa"))]
    assert path(file_of(*ring), "a", "c") == "abc"
    around = file_of(*ring, '[[path]]\nbetween = ["a", "c"]\nvia = ["e"]')
    assert path(around, "a", "c") == "afedc"


def test_places_without_ranks_conduits_and_nics_are_read():
    topology = file_of(
        site("a", "nodes = 2\nranks_per_node = 8\nnics = 4"), site("b"),
        site("w", "nodes = 0\ntransit_us = 5"),
        trunk("a", "w", 'conduit = "duct"'), trunk("w", "b", 'conduit = "duct"'),
        '[[conduit]]\nname = "duct"\nrate_gbit_per_s = 4\noutages = { schedule = [[1, 2]] }',
    )  # fmt: skip
    assert [place.name for place in topology.places] == ["a", "b", "w"]
    assert (topology.waypoints[0].transit_s, topology.world_size) == (pytest.approx(5e-6), 17)
    (duct,) = topology.conduits
    assert (duct.rate_bytes_per_s, duct.changes.outages.schedule) == (5e8, ((1.0, 2.0),))
    assert topology.sites[0].nodes[0].nic_of == (0, 0, 1, 1, 2, 2, 3, 3)
    assert (topology.sites[0].nics, topology.sites[1].nics) == (8, 1)
    unlike = file_of(
        site("a", "nics = 1\n[[site.node]]\nranks = 4\n[[site.node]]\nranks = 4\nnics = 2")
    )
    assert [node.nics for node in unlike.sites[0].nodes] == [1, 2]


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ([*sites("abcd"), trunk("a", "b"), trunk("c", "d")],
         "no trunk joins a, b / c, d: needed one connected graph; add a [[trunk]]"),
        ([*sites("abcde")], "no trunk joins a / b / c / and 2 more parts"),
        ([*sites("ab"), trunk("a", "b", 'conduit = "x"')],
         "trunk a - b in conduit 'x': needed a [[conduit]] of that name"),
        ([*sites("ab"), trunk("a", "b"), '[[path]]\nbetween = ["a", "b"]\nvia = ["z"]'],
         "path a - b via z: needed some of a, b"),
        ([*sites("ab"), trunk("a", "b"), '[[path]]\nbetween = ["a", "b"]'],
         "path[0] has no 'via': needed the names of the sites to pass"),
        ([*sites("ab"), trunk("a", "b"), '[[path]]\nbetween = ["a", "b"]\nvia = []'],
         "path[0].via = []"),
        ([*sites("abc"), trunk("a", "b"), trunk("b", "c"),
          '[[path]]\nbetween = ["a", "b"]\nvia = ["c"]'],
         "path between 'a' and 'b' via c goes a - b - c - b: needed a path that comes to no place"),
        ([site("a", "nodes = [2]\nnics = 3")], "nics = 3: needed at most 2"),
        ([site("a", "nodes = 0\nnics = 1"), site("b")], "unknown key 'site[0].nics'"),
        ([*sites("a"), '[[conduit]]\nname = "x"\nlatency_us = 1'],
         "unknown key 'conduit[0].latency_us'"),
        ([*sites("abc"), trunk("a", "b", "recovery = 'cubic'"),
          trunk("b", "c", "recovery = 'gbn'")],
         "a path over trunk a - b and trunk b - c has trunks of unlike recovery"),
        ([*sites("abc"), trunk("a", "b", "burst_bytes = 5"), trunk("b", "c")],
         "of which trunk a - b has burst_bytes = 5: needed no token bucket"),
        ([*sites("abc"), trunk("a", "b", "waves = 9999"), trunk("b", "c", "waves = 9998")],
         "path a - b - c over trunks of 9999, 9998 waves"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused(tables, complaint):
    with pytest.raises(TopologyError) as refused:
        file_of(*tables)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith("x.toml: ")


def test_a_path_has_the_sum_of_delays_and_the_least_of_everything_else():
    first = Link(
        4e9, MS, 1e-6, Transport(4e6, 2, 100.0, 1e-6, 3e-6, 0.1, "cubic", 1448.0, 0.2, 7, True),
        Jitter(MS, 2.0), OtherTraffic(load=0.5, queue_bytes=4e6), waves=2,
    )  # fmt: skip
    second = Link(6e9, 2 * MS, 3e-6, Transport(1e6, 4, loss=0.1, recovery="cubic", rto_s=0.3))
    link = in_a_row([first, second], ["x", "y"], 5e-6)
    assert (link.rate_bytes_per_s, link.overhead_s) == (2e9, 3e-6)
    assert link.latency_s == pytest.approx(3 * MS + 5e-6)
    assert link.queue_s == pytest.approx(MS)
    transport = link.transport
    assert (transport.window_bytes, transport.streams) == (4e6 / 4, 4)
    assert transport.loss == pytest.approx(0.19)
    assert (transport.mtu_bytes, transport.rto_s, transport.slow_start) == (1448.0, 0.3, True)
    # Of the waves of 1 GB/s a stream has one; a whole number of them, no less than that, is the
    # rate of 2 GB/s.
    assert link.waves == 2
    none = in_a_row([Link(1e9, 0.0, waves=4), Link(2e9, 0.0)], ["x", "y"])
    assert (none.transport.window_bytes, none.waves) == (0.0, 4)


def test_a_tour_goes_round_and_does_not_depend_on_the_order():
    def far(a, b):
        steps = abs(ord(a) - ord(b))
        return min(steps, 6 - steps)

    distances = {pair: far(*pair) for pair in itertools.combinations("abcdef", 2)}
    for names in itertools.islice(itertools.permutations("abcdef"), 0, 720, 7):
        assert "".join(tour_of(names, distances)) == "abcdef"


def test_a_group_of_sites_keeps_paths_over_sites_that_are_not_in_it():
    link = Link(1e9, MS)
    chain = graph("abcd", {"ab": link, "bc": link, "cd": link}, paths_via=())
    some = chain.of_ranks([0, 2])
    assert [each.name for each in some.waypoints] == ["b"]
    assert some.paths_via == (PathVia(("a", "c"), ("b",)),)
    assert Network.of(some).latency_ps(0, 1) == 2 * 10**9


def test_effects_that_are_left_out_change_no_path():
    slow, fast = Link(1e9, 5 * MS), Link(1e9, MS)
    square = graph("abcd", {"ab": fast, "bd": fast, "ac": slow, "cd": slow})
    assert path(square.without(["latency"]), "a", "d") == "abd"
    assert path(square.without(["latency"]), "b", "c") == "bac"


def test_the_least_capacity_parts_a_graph():
    # Two triangles of fat trunks that a thin one joins.
    edges = [
        (0, 1, 9.0),
        (1, 2, 9.0),
        (0, 2, 9.0),
        (2, 3, 1.0),
        (3, 4, 9.0),
        (4, 5, 9.0),
        (3, 5, 9.0),
    ]
    parts = {frozenset(part) for part in min_cuts(6, edges)}
    assert {frozenset({0, 1, 2}), frozenset({3, 4, 5})} & parts
    assert min_cuts(101, [(at, at + 1, 1.0) for at in range(100)]) == []


def test_a_file_says_the_same_in_any_order_of_its_sites(tmp_path):
    ring = [trunk(a, b) for a, b in itertools.pairwise("abcdefa")]
    for at, names in enumerate(("abcdef", "fbdace", "cadbfe")):
        file = tmp_path / f"{at}.toml"
        file.write_text(HEAD + "\n".join([*sites(names), *ring]))
        assert "".join(each.name for each in read_topology(file).sites) == "abcdef"


def test_the_rate_of_a_path_is_that_of_its_conduits_too():
    # Both trunks of the path go through the conduit, so its bytes load it twice.
    fibre = Conduit("f", 1e8)
    ab, bc = (Trunk(tuple(pair), Link(1e9, MS), conduit="f") for pair in ("ab", "bc"))
    topology = graph("abc", {"ab": ab, "bc": bc}, conduits=(fibre,))
    (line,) = path_lines(topology)
    assert line == "path a - b - c: 2 ms one way, 0.05 GB/s (0.4 Gbit/s)"
    assert arrivals_ps(topology, [(0, 2, 10**6)]) == [22 * PS_PER_S // 1000]
