import pytest
from counting import few_calls

from emul import Link, Node, Site, Topology, TopologyError, Trunk, World
from emul.topology import NodeRuns, load, preset_names, read_topology

GOOD = """
description = "two sites, unlike in everything"

[defaults.node_link]
rate_gbit_per_s = 1000
latency_us = 1
overhead_us = 2

[defaults.site_link]
rate_gbit_per_s = 100
latency_us = 5

[defaults.trunk]
rate_gbit_per_s = 10
latency_us = 100

[[site]]
name = "big"
nodes = [4, 4, 2]

[[site]]
name = "small"
site_link = { rate_gbit_per_s = 25 }

[[site.node]]
ranks = 1

[[site.node]]
ranks = 2
link = { latency_us = 9 }

[[trunk]]
between = ["big", "small"]
km = 20
route_factor = 2
equipment_us = 10
"""


def written(tmp_path, text):
    path = tmp_path / "campuses.toml"
    path.write_text(text)
    return path


def test_a_file_is_read_in_its_units(tmp_path):
    topology = read_topology(written(tmp_path, GOOD))
    assert (topology.name, topology.world_size) == ("campuses", 13)
    big, small = topology.sites
    assert [node.ranks for node in big.nodes] == [4, 4, 2]
    assert big.nodes[0].link == Link(125e9, 1e-6, 2e-6)
    assert big.link == Link(12.5e9, 5e-6)
    assert small.link == Link(3.125e9, 5e-6)
    assert [node.link.latency_s for node in small.nodes] == [1e-6, 9e-6]
    (trunk,) = topology.trunks
    assert trunk.km == 20
    assert trunk.link.latency_s == pytest.approx(20 * 2 * 1.4682 / 299792.458 + 10e-6, rel=1e-12)


def test_a_latency_displaces_an_inherited_distance(tmp_path):
    text = GOOD.replace("latency_us = 100", "km = 50").replace(
        "km = 20\nroute_factor = 2\nequipment_us = 10", "latency_us = 7"
    )
    (trunk,) = read_topology(written(tmp_path, text)).trunks
    assert trunk.link.latency_s == 7e-6


def test_miles_are_kilometres(tmp_path):
    text = GOOD.replace("km = 20", "miles = 10")
    (trunk,) = read_topology(written(tmp_path, text)).trunks
    assert trunk.km == 16.09344
    assert trunk.link.latency_s == pytest.approx(
        16.09344 * 2 * 1.4682 / 299792.458 + 10e-6, rel=1e-12
    )


def test_a_file_starts_from_a_preset_and_overrides(tmp_path):
    old = load("three-campus")
    text = """
    preset = "three-campus"
    description = "with a fourth hall, and a new trunk"

    [defaults.node_link]
    latency_us = 0.25

    [[site]]
    name = "north"
    nodes = [8]
    site_link = { rate_gbit_per_s = 49 }

    [[site]]
    name = "west"
    nodes = 1
    ranks_per_node = 2

    [[trunk]]
    between = ["south", "north"]
    rate_gbit_per_s = 9.9
    miles = 5
    """ + "".join(
        f'[[trunk]]\nbetween = ["west", "{other}"]\nrate_gbit_per_s = 1\nlatency_us = 300\n'
        for other in ("north", "east", "south")
    )
    new = read_topology(written(tmp_path, text))
    assert new.name == "campuses"
    assert [site.ranks for site in new.sites] == [8, 8, 8, 2]
    north, east, south, west = new.sites
    assert [len(site.nodes) for site in new.sites] == [1, 2, 2, 1]
    assert north.link == Link(49e9 / 8, old.sites[0].link.latency_s, old.sites[0].link.overhead_s)
    assert (east.link, south.link, west.link) == (old.sites[1].link,) * 3
    assert east.nodes[0].link.latency_s == 0.25e-6
    assert new.trunks[:2] == old.trunks[:2]
    turned = new.trunks[2]
    assert (turned.sites, turned.km) == (("south", "north"), 5 * 1.609344)
    assert turned.link.rate_bytes_per_s == 9.9e9 / 8
    assert turned.link.latency_s < old.trunks[2].link.latency_s
    assert {trunk.link.latency_s for trunk in new.trunks[3:]} == {300e-6}
    assert {trunk.link.overhead_s for trunk in new.trunks} == {30e-6}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('preset = "four-campus"', "preset = 'four-campus': needed one of one-campus, three-camp"),
        ("preset = 4", "preset = 4: needed a string"),
        ('preset = "three-campus"\ndefaults = 3', "defaults = 3: needed a table"),
        ('preset = "three-campus"\nsite = 3', r"site = 3: needed an array of tables, \[\[site\]\]"),
        ('preset = "three-campus"\nsite = [3]', r"site\[3\] = 3: needed a table"),
        ('preset = "three-campus"\nsite = [{name = 4}]', r"site\[3\]"),
        ('preset = "three-campus"\n[[trunk]]\nbetween = 4', r"trunk\[3\].between = 4: needed the"),
        ('preset = "three-campus"\n[[trunk]]\nbetween = [4, [5]]', r"trunk\[3\].between"),
    ],
)
def test_what_does_not_fit_a_preset_is_refused(tmp_path, text, complaint):
    with pytest.raises(TopologyError, match=complaint):
        read_topology(written(tmp_path, text))


def test_a_distance_is_given_once(tmp_path):
    text = GOOD.replace("km = 20", "km = 20\nmiles = 12")
    with pytest.raises(TopologyError, match="miles = 12: needed either miles or km"):
        read_topology(written(tmp_path, text))


def test_a_world_can_be_made_of_a_file(tmp_path):
    path = written(tmp_path, GOOD)
    assert World(path).size == World(str(path)).size == 13


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("rate_gbit_per_s = 10\n", "rate_gbit_per_s = -1\n",
         r"trunk\[0\].rate_gbit_per_s = -1: needed a number from above 0 to 1e\+06 Gbit/s"),
        ("rate_gbit_per_s = 10\n", "rate_gbit_per_s = nan\n", r"rate_gbit_per_s = nan: needed a"),
        ("rate_gbit_per_s = 10\n", "rate_gbit_per_s = inf\n", r"rate_gbit_per_s = inf: needed a"),
        ("rate_gbit_per_s = 10\n", "rate_gbit_per_s = true\n", "rate_gbit_per_s = True: needed"),
        ("rate_gbit_per_s = 10\n", 'rate_gbit_per_s = "10G"\n', "rate_gbit_per_s = '10G': needed"),
        ("rate_gbit_per_s = 10\n", "", r"trunk\[0\] has no 'rate_gbit_per_s': needed a number"),
        ("latency_us = 5", "latency_us = -5",
         r"site\[0\].site_link.latency_us = -5: needed a number from 0 to 1e\+08 us"),
        ("latency_us = 5", "latency_ms = 5",
         r"unknown key 'site\[0\].site_link.latency_ms': needed one of rate_gbit_per_s"),
        ("latency_us = 5\n", "", r"site_link has no 'latency_us': needed .* or km or miles to"),
        ("km = 20", "km = 20\nlatency_us = 3", "latency_us = 3: needed either latency_us or km"),
        ("km = 20", "km = -20", r"trunk\[0\].km = -20: needed a number from 0 to 100000 km"),
        ("route_factor = 2", "route_factor = 0.5", "route_factor = 0.5: needed a number from 1"),
        ("nodes = [4, 4, 2]", "nodes = [4, 0]", r"nodes\[1\] = 0: needed a whole number from 1"),
        ("nodes = [4, 4, 2]", "nodes = []", r"site\[0\]: site 'big' has no ranks: needed at least"),
        ("nodes = [4, 4, 2]", "", r"site\[0\] has no 'nodes': needed a number of nodes"),
        ("nodes = [4, 4, 2]", "nodes = 3", r"site\[0\] has no 'ranks_per_node': needed a whole"),
        ("nodes = [4, 4, 2]", "nodes = 3\nranks_per_node = 1.5", "ranks_per_node = 1.5: needed a"),
        ('name = "big"', 'name = ""', r"site\[0\].name = '': needed a string that is not empty"),
        ('name = "big"', "name = 3", r"site\[0\].name = 3: needed a string"),
        ('name = "big"\n', "", r"site\[0\] has no 'name': needed a string"),
        ('name = "small"', 'name = "big"', "site 'big' is given twice"),
        ('"big", "small"]', '"big", "tiny"]', "trunk big - tiny: needed two different sites"),
        ('"big", "small"]', '"big", "big"]', "trunk big - big: needed two different sites"),
        ('"big", "small"]', '"big"]', r"between = \['big'\]: needed the names of two sites"),
        ('"big", "small"]', '"big", 3]', "needed the names of two sites"),
        ('between = ["big", "small"]\n', "", r"trunk\[0\] has no 'between'"),
        ("ranks = 2", "rank = 2", r"unknown key 'site\[1\].node\[1\].rank': needed one of ranks"),
        ("[[trunk]]", "[[trunks]]", "unknown key 'trunks': needed one of name, description"),
        ("[defaults.trunk]", "[defaults.trunks]", "unknown key 'defaults.trunks'"),
        ('description = "', "description = ", "not TOML: .*line 2"),
        ("[[site]]\nname = \"big\"", "[site]\nname = \"big\"", "not TOML"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(tmp_path, old, new, complaint):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(TopologyError, match=complaint) as caught:
        read_topology(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_trunk_is_named(tmp_path):
    text = GOOD[: GOOD.index("[[trunk]]")]
    with pytest.raises(TopologyError, match=r"no trunk joins big / small: needed one connected"):
        read_topology(written(tmp_path, text))


def test_a_trunk_given_twice_is_refused(tmp_path):
    trunk = '[[trunk]]\nbetween = ["small", "big"]\n'
    with pytest.raises(TopologyError, match="trunk small - big is given twice"):
        read_topology(written(tmp_path, GOOD + trunk))


def test_no_site_is_refused(tmp_path):
    with pytest.raises(TopologyError, match="has no site: needed at least one"):
        read_topology(written(tmp_path, ""))


def test_what_is_no_text_file_is_refused(tmp_path):
    with pytest.raises(TopologyError, match=r"cannot be read .*: needed a TOML file"):
        read_topology(tmp_path / "none.toml")
    with pytest.raises(TopologyError, match="cannot be read"):
        read_topology(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = \xff\xfe")
    with pytest.raises(TopologyError, match="byte 4 is not UTF-8"):
        read_topology(binary)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a = " + "[" * 100_000, "not TOML"),
        ("[[site]]\n" * 55_000, "needed at most 1000"),
        (
            "[defaults]\nnode_link = { rate_gbit_per_s = 1, latency_us = 1 }\n"
            '[[site]]\nname = "a"\nnodes = 1000000\nranks_per_node = 1000000',
            "1000000000000 ranks: needed at most 1000000",
        ),
        ("# " + "x" * (5 << 20), "needed at most 524288"),
        ("x" * (20 << 20), "needed at most 524288"),
        ("a" + ".a" * 200_000 + " = 1", "not TOML: line 1 has a key of more than 8 parts"),
        ("a" + " . \"=\" .'b c'" * 30_000 + " = 1", "a key of more than 8 parts"),
        ("b = 1\n[a" + r'."\"a"' * 9 + "]", "line 2 has a key of more than 8 parts"),
        ('"\\' * 250_000, "not TOML"),
        ("a = " + "1" * 500_000, "not TOML"),
        ("a = {" + "b = {" * 100_000, "not TOML"),
        ("a" + (". a" + " " * 1000) * 500, "a key of more than 8 parts"),
        ("a." + "b" * 500_000, "not TOML"),
        ("[[site]]\nname = 'a'\n" + "[[site.node]]\n" * 35_000, "has no 'ranks'"),
        ("".join(f"x{i}" + ".a" * 7 + "=1\n" for i in range(20_000)), "unknown key 'x0'"),
    ],
)
def test_bombs_are_refused_at_once(tmp_path, text, complaint):
    path = written(tmp_path, text)
    with few_calls(), pytest.raises(TopologyError, match=complaint):
        read_topology(path)


def test_presets_are_what_they_say():
    everything = ("one-campus", "three-campus", "three-campus-300k", "three-campus-dark-fibre")
    assert preset_names() == everything
    three, dark, one = (load(n) for n in ("three-campus", "three-campus-dark-fibre", "one-campus"))
    assert [site.ranks for site in three.sites] == [8, 8, 8]
    assert all(16 <= trunk.km <= 24 for trunk in three.trunks)
    assert [t.km for t in three.trunks] == [t.km for t in dark.trunks]
    assert three.sites == dark.sites
    assert one.world_size == three.world_size == 24
    many = load("three-campus-300k")
    assert [site.ranks for site in many.sites] == [100_000] * 3
    assert [t.km for t in many.trunks] == [t.km for t in three.trunks]
    for old, new in zip(three.trunks, dark.trunks, strict=True):
        assert new.link.rate_bytes_per_s > 100 * old.link.rate_bytes_per_s
        assert new.link.latency_s < old.link.latency_s


def test_one_campus_is_three_campus_in_one_place():
    gathered = load("three-campus").in_one_place()
    (one,) = load("one-campus").sites
    assert gathered.sites[0].nodes == one.nodes
    assert gathered.sites[0].link == one.link


def test_the_ageing_trunks_have_the_delay_of_the_sheet():
    # 16 km x 2.0 route x 1.2 compensation x 4.897 us + 129.1 us of boxes
    (trunk, *_) = load("three-campus").trunks
    assert trunk.link.latency_s == pytest.approx(16 * 2.0 * 1.2 * 4.8974e-6 + 129.1e-6, rel=1e-4)


def test_gathering_sites_takes_the_slowest_fabric():
    quick, slow = Link(2e9, 1e-6, 0.0), Link(1e9, 2e-6, 3e-6)
    sites = (Site("a", (Node(1, quick),), quick), Site("b", (Node(2, slow),), slow))
    topology = Topology("t", sites, (Trunk(("a", "b"), quick),))
    (site,) = topology.in_one_place().sites
    assert site.link == slow
    assert [node.link for node in site.nodes] == [quick, slow]


def test_nodes_need_ranks():
    with pytest.raises(TopologyError, match="node with 0 ranks: needed at least 1"):
        Node(0, Link(1.0, 0.0))


def test_equal_nodes_in_a_row_are_kept_once():
    quick, slow = Node(2, Link(2e9, 0.0)), Node(3, Link(1e9, 0.0))
    nodes = NodeRuns.of([quick, quick, slow, slow, slow, quick])
    assert nodes.runs == ((quick, 2), (slow, 3), (quick, 1))
    assert list(nodes) == [nodes[i] for i in range(6)] == [quick] * 2 + [slow] * 3 + [quick]
    assert (len(nodes), nodes.ranks, nodes[-1], nodes[1:3]) == (6, 15, quick, (quick, slow))
    assert nodes.changed(lambda node: quick).runs == ((quick, 6),)
    with pytest.raises(IndexError):
        nodes[6]
    assert Site("a", tuple(nodes), slow.link) == Site("a", nodes, slow.link)
