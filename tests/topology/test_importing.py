"""Topologies that others wrote: the numbers of small files, worked out by hand."""

import math
from dataclasses import replace

import pytest
from command import emul

from emul import Link, Node, TopologyError
from emul.topology import load
from emul.topology.formats.graphml_text import graphml_text
from emul.topology.formats.infragraph import infragraph_text
from emul.topology.importing import Lacking, imported_text
from emul.topology.toml.reader import parse_document

ASTRA = """# three dimensions
topology: [ Switch, FullyConnected, Ring ]
npus_count: [ 8, 4, 3 ]  # NPUs
bandwidth: [ 400.0, 50.0, 12.5 ]  # GB/s
latency: [ 500.0, 2500.0, 1000000.0 ]  # ns
"""
DUMP = """<system version="1"><cpu numaid="0">
<pci><gpu dev="0" sm="90"><nvlink target="x" count="10"/><nvlink target="y" count="8"/></gpu></pci>
<pci><gpu dev="1" sm="90" rank="1"><nvlink target="x" count="18"/></gpu></pci>
<nic><net name="mlx5_0" speed="400000"/><net name="bond0" speed="1000"/></nic>
</cpu></system>"""
ZOO = """graph [
  node [ id 0 label "Berlin" Latitude 52.0 Longitude 13.0 ]
  node [ id 1 label "Leipzig" Latitude 51.0 Longitude 13.0 ]
  node [ id 2 label "Munich" ]
  node [ id 3 label "Island" ]
  edge [ source 0 target 1 LinkSpeedRaw 10000000000.0 ]
  edge [ source 1 target 2 LinkLabel "DWDM" ]
]
"""


def imported(tmp_path, name, text, **lacking):
    path = tmp_path / name
    path.write_text(text)
    nodes = lacking.pop("nodes", 1)
    written = imported_text(path, Lacking(**lacking), nodes=nodes)
    return parse_document(written, name="x", where="x.toml"), written


def test_dimensions_of_astra_sim_are_node_site_and_trunks(tmp_path):
    document, text = imported(tmp_path, "net.yml", ASTRA)
    topology = document.topology
    assert [site.ranks for site in topology.sites] == [32, 32, 32]
    assert len(topology.trunks) == 3
    gib = float(1 << 30)
    site = topology.sites[0]
    # Two hops over a switch; GB of 2^30 bytes; a trunk has the links of all 32 NPUs.
    assert site.nodes[0].link.rate_bytes_per_s == pytest.approx(400 * gib, rel=1e-8)
    assert site.nodes[0].link.latency_s == pytest.approx(1e-6)
    assert (site.link.rate_bytes_per_s, site.link.latency_s) == (
        pytest.approx(50 * gib, rel=1e-8), pytest.approx(2.5e-6),
    )  # fmt: skip
    trunk = topology.trunks[0].link
    assert trunk.rate_bytes_per_s == pytest.approx(32 * 12.5 * gib, rel=1e-8)
    assert trunk.latency_s == pytest.approx(1e-3)
    assert "GB of 2^30 B" in text


def test_a_switch_between_sites_is_a_place_without_ranks(tmp_path):
    document, _ = imported(tmp_path, "net.yaml", ASTRA.replace("Ring ]", "Switch ]"))
    assert [place.name for place in document.topology.waypoints] == ["switch"]
    assert len(document.topology.trunks) == 3


def test_one_dimension_is_one_node(tmp_path):
    text = "topology: [ Ring ]\nnpus_count: [ 8 ]\nbandwidth: [ 100 ]\nlatency: [ 500 ]\n"
    document, text = imported(tmp_path, "net.yml", text)
    assert document.topology.ranks_by_node == [[8]]
    assert "# node is a Ring in the file" in text


def test_a_dump_of_nccl_is_a_node_with_its_nics(tmp_path):
    document, text = imported(tmp_path, "dump.xml", DUMP, nodes=3)
    (site,) = document.topology.sites
    assert (site.ranks, len(site.nodes), site.nics) == (6, 3, 3)
    assert site.nodes[0].link.rate_bytes_per_s == pytest.approx(18 * 20.6e9)
    assert site.link.rate_bytes_per_s == 50e9
    assert "left out, for they are slower: bond0" in text


def test_a_wan_has_delays_by_coordinates_and_asks_for_what_it_lacks(tmp_path):
    pytest.importorskip("networkx")
    for lacking, complaint in (
        ({}, "has no ranks: needed --ranks NAME=RANKS,... of some of Berlin, Leipzig"),
        ({"ranks": {"Bonn": 8}}, "has no place Bonn: needed --ranks"),
        (
            {"ranks": {"Berlin": 8}},
            "no rate of Leipzig - Munich: needed --rate GBIT_PER_S for these",
        ),
        ({"ranks": {"Berlin": 8}}, "and no delay of Leipzig - Munich: needed --latency US"),
    ):
        with pytest.raises(TopologyError) as refused:
            imported(tmp_path, "zoo.gml", ZOO, **lacking)
        assert complaint in str(refused.value)
    given = {"rate_gbit_per_s": 100.0, "latency_us": 900.0, "route_factor": 2.0}
    document, text = imported(tmp_path, "zoo.gml", ZOO, ranks={"Berlin": 12, "Munich": 8}, **given)
    topology = document.topology
    assert topology.ranks_by_node == [[8, 4], [8]]
    assert [place.name for place in topology.waypoints] == ["Leipzig"]
    berlin, munich = topology.trunks
    # One degree along a meridian.
    assert berlin.km == pytest.approx(math.pi * 6371 / 180, abs=1e-3)
    assert berlin.link.rate_bytes_per_s == 1.25e9
    assert (munich.link.rate_bytes_per_s, munich.link.latency_s) == (12.5e9, pytest.approx(900e-6))
    assert 'rate_gbit_per_s = "assumed: --rate"' in text
    assert "left out, for no trunk leads there: Island" in text


def test_graphs_are_written_and_read_back(tmp_path):
    pytest.importorskip("networkx")
    before = load("three-campus")
    document, _ = imported(tmp_path, "campuses.graphml", graphml_text(before))
    after = document.topology
    assert [site.ranks for site in after.sites] == [site.ranks for site in before.sites]
    found = {frozenset(trunk.sites): trunk.link for trunk in after.trunks}
    assert set(found) == {frozenset(trunk.sites) for trunk in before.trunks}
    for trunk in before.trunks:
        link = found[frozenset(trunk.sites)]
        assert link.latency_s == pytest.approx(trunk.link.latency_s, rel=1e-12)
        assert link.rate_bytes_per_s == pytest.approx(trunk.link.rate_bytes_per_s, rel=1e-12)


def test_infragraph_is_written_and_read_back(tmp_path):
    before = load("three-campus")
    unlike = replace(before.sites[0], nodes=(*before.sites[0].nodes, Node(4, Link(1e9, 0.0), 2)))
    before = replace(before, sites=(unlike, *before.sites[1:]))
    text = infragraph_text(before)
    document, written = imported(tmp_path, "campuses.json", text)
    after = document.topology
    assert after.ranks_by_node == before.ranks_by_node
    assert [node.nics for node in after.sites[0].nodes] == [4, 4, 2]
    assert [trunk.sites for trunk in after.trunks] == [trunk.sites for trunk in before.trunks]
    for (name, link), (_, was) in zip(after.links(), before.links(), strict=True):
        assert link.rate_bytes_per_s == pytest.approx(was.rate_bytes_per_s, rel=1e-12), name
        assert link.latency_s == pytest.approx(was.latency_s, rel=1e-12), name
    assert 'link north - east"' in written


def test_infragraphs_own_library_takes_the_file():
    infragraph = pytest.importorskip("infragraph")
    found = infragraph.Infrastructure()
    found.deserialize(infragraph_text(load("three-campus")))
    assert (found.name, len(found.instances)) == ("three-campus", 6)


def test_links_without_figures_are_asked_for(tmp_path):
    text = infragraph_text(load("three-campus")).replace('"bandwidth"', '"colour"')
    with pytest.raises(TopologyError, match=r"link .* has no bandwidth: needed --rate GBIT"):
        imported(tmp_path, "c.json", text)
    document, written = imported(tmp_path, "c.json", text, rate_gbit_per_s=8.0)
    assert {trunk.link.rate_bytes_per_s for trunk in document.topology.trunks} == {1e9}
    assert "assumed: --rate" in written


def test_parallel_edges_are_one_trunk_and_an_attribute_may_have_the_delay(tmp_path):
    pytest.importorskip("networkx")
    text = """graph [ multigraph 1
      node [ id 0 label "a" ] node [ id 1 label "a" ]
      edge [ source 0 target 1 LinkSpeedRaw 1000000000.0 delay 3.0 ]
      edge [ source 0 target 1 LinkSpeedRaw 2000000000.0 delay 2.0 ] ]"""
    ranks = {"a 0": 1, "a 1": 1}
    document, written = imported(tmp_path, "two.gml", text, ranks=ranks, delay=("delay", "ms"))
    (trunk,) = document.topology.trunks
    assert (trunk.link.rate_bytes_per_s, trunk.link.latency_s) == (375e6, pytest.approx(2e-3))
    assert "2 edges are one trunk" in written


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("net.yml", "topology: [ Ring ]\n", "has no npus_count, bandwidth, latency"),
        ("net.yml", ASTRA.replace("Ring", "Torus"), "topology Switch, FullyConnected, Torus"),
        ("net.yml", ASTRA.replace("8, 4, 3", "8, 4"), "npus_count of 2 values: needed 3"),
        ("net.yml", ASTRA.replace("12.5", "fast"), "bandwidth 'fast': needed a number"),
        ("net.yml", ASTRA.replace("8, 4, 3", "8, 4.5, 3"), "npus_count '4.5'"),
        ("dump.xml", "<graphs/>", "begins with <graphs>: needed <system>"),
        ("dump.xml", "<system", "not XML"),
        ("dump.xml", "<!DOCTYPE system><system/>", "has a document type"),
        ("dump.xml", "<system><gpu sm='90'/></system>", "has no NIC"),
        ("dump.xml", "<system><net speed='1'/></system>", "has no GPU"),
        ("dump.xml", "<system><gpu sm='90'/><net speed='x'/></system>", "speed='x' of <net>"),
        ("dump.xml", "<system><gpu sm='90'/><net speed='9'/></system>", "sm 90 with 0 NVLinks"),
        ("a.json", "{", "not JSON"),
        ("a.json", "{}", "has no instances"),
        ("a.json", '{"instances": 3}', "instances: needed a list of tables"),
        ("a.json", '{"instances": []}', "no host with an xpu"),
        ("a.json", '{"instances": [{"name": "a", "device": "x"}]}', "of device 'x'"),
        ("a.json", '{"instances": [], "edges": [1]}', "an edge without ep1"),
        ("net.csv", "", "needed a file that ends in one of .graphml"),
    ],
)
def test_files_of_another_kind_are_refused(tmp_path, name, text, complaint):
    with pytest.raises(TopologyError) as refused:
        imported(tmp_path, name, text)
    assert complaint in str(refused.value)


def test_the_command_writes_a_file_that_the_others_take(tmp_path):
    (tmp_path / "net.yml").write_text(ASTRA)
    done = emul("topology", "import", "net.yml", "-o", "net.toml", cwd=tmp_path)
    assert done.stdout.startswith("net.toml: ")
    checked = emul("topology", "check", "net.toml", cwd=tmp_path)
    assert "good: 96 ranks at 3 sites, 3 trunks" in checked.stdout
    told = emul("topology", "import", "net.yml", cwd=tmp_path)
    assert told.stdout == (tmp_path / "net.toml").read_text()
    exported = emul("topology", "export", "net.toml", "net.graphml", cwd=tmp_path)
    assert exported.stdout.startswith("net.graphml: graphml")
    for wrong in (
        ("--ranks", "a"),
        ("--ranks", "a=0"),
        ("--delay", "x=h"),
        ("--delay", "ms"),
    ):
        refused = emul("topology", "import", "net.yml", *wrong, cwd=tmp_path)
        assert refused.returncode == 2
        assert f"{wrong[0]} {wrong[1]}" in refused.stderr
    refused = emul("topology", "import", "net.yml", "--ranks", "a=" + "9" * 5000, cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr) < 400) == (2, True)
    assert "needed NAME=RANKS" in refused.stderr
