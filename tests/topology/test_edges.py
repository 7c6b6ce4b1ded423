"""Files at the edge of what is allowed, and figures of several waves."""

import math

import pytest

from emul import Link, Node, Site, TopologyError, World
from emul.reading.bounded_text import read_text
from emul.reading.toml_table import TomlTable
from emul.topology import figures_of, read_topology
from emul.topology.toml.link_tables import from_preset, link_of
from emul.topology.toml.reader import MOST_RANKS, LinkOrigin

LINKS = """
[defaults]
node_link = { rate_gbit_per_s = 8, latency_us = 1 }
site_link = { rate_gbit_per_s = 8, latency_us = 1 }
trunk = { rate_gbit_per_s = 8, latency_us = 1 }
"""


def topology(tmp_path, *sites):
    path = tmp_path / "t.toml"
    tables = "".join(f'[[site]]\nname = "s{i}"\n{site}\n' for i, site in enumerate(sites))
    trunks = "".join(
        f'[[trunk]]\nbetween = ["s{a}", "s{b}"]\n' for b in range(len(sites)) for a in range(b)
    )
    path.write_text(LINKS + tables + trunks)
    return read_topology(path)


def test_a_million_ranks_are_allowed_and_not_one_more(tmp_path):
    most = f"nodes = {MOST_RANKS // 8 - 1}\nranks_per_node = 8"
    found = topology(tmp_path, most, "nodes = [7, 1]")
    assert found.world_size == MOST_RANKS == 1_000_000
    with pytest.raises(TopologyError, match="1000001 ranks: needed at most 1000000"):
        topology(tmp_path, most, "nodes = [8, 1]")


def test_nodes_and_their_ranks_are_told_apart(tmp_path):
    found = topology(tmp_path, "nodes = 2\nranks_per_node = 3")
    assert found.ranks_by_node == [[3, 3]]


@pytest.mark.parametrize(
    ("given", "up", "down"),
    [
        ("uplink_gbit_per_s = 8\ndownlink_gbit_per_s = 16", 1e9, 2e9),
        ("uplink_gbit_per_s = 8", 1e9, 1e9),
        ("downlink_gbit_per_s = 16", float("inf"), 2e9),
    ],
)
def test_ways_into_a_site_are_those_out_of_it_unless_they_are_given(tmp_path, given, up, down):
    site = topology(tmp_path, f"nodes = [1]\n{given}\nuplink_burst_bytes = 5", "nodes = [1]").sites[
        0
    ]
    assert (site.uplink_bytes_per_s, site.into_bytes_per_s) == (up, down)
    assert site.uplink_burst_bytes == 5


def test_own_links_of_nodes_are_their_own_only(tmp_path):
    nodes = """
[[site.node]]
ranks = 1
[[site.node]]
ranks = 2
link = { latency_us = 7 }
[[site.node]]
ranks = 3
"""
    found = topology(tmp_path, nodes)
    latencies = [round(node.link.latency_s * 1e6) for node in found.sites[0].nodes]
    assert (found.ranks_by_node, latencies) == ([[1, 2, 3]], [1, 7, 1])


def test_a_file_may_have_the_most_bytes(tmp_path):
    path = tmp_path / "x"
    path.write_text("12345")
    assert read_text(path, "five bytes", 5) == "12345"
    with pytest.raises(TopologyError, match="5 bytes: needed at most 4"):
        read_text(path, "five bytes", 4)


def test_a_wave_is_a_part_of_the_rate():
    table = from_preset(
        TomlTable(
            {
                "line_gbit_per_s": 8,
                "waves": 4,
                "latency_us": 1000,
                "window_bytes": 1e6,
                "streams": 2,
            },
            "file.toml",
            "trunk[0]",
        ),
        is_trunk=True,
    )
    values = {
        each.name: each.value for each in figures_of(LinkOrigin("a - b", table, link_of(table)))
    }
    assert (values["rate"], values["rate of a wave"]) == (4e9, 1e9)
    # A wave has 2 MB under way in 2 ms, which two windows hold; two streams get 1 GB/s of 4.
    assert values["streams that fill a wave"] == 2
    assert values["window rate"] == pytest.approx(1e9)
    assert values["one connection gets"] == pytest.approx(1e9)


def test_coordinates_of_sites_are_both_there_or_none(tmp_path):
    here = "nodes = [1]\nlatitude_deg = 48.1\nlongitude_deg = -11.5"
    placed, free = topology(tmp_path, here, "nodes = [1]").sites
    assert (placed.latitude_deg, placed.longitude_deg) == (48.1, -11.5)
    assert (free.latitude_deg, free.longitude_deg) == (None, None)
    with pytest.raises(TopologyError, match="site 's0' has no longitude_deg: needed both"):
        topology(tmp_path, "nodes = [1]\nlatitude_deg = 48.1")


@pytest.mark.parametrize("key", ["latitude_deg = 90.1", "longitude_deg = -181"])
def test_coordinates_lie_on_the_globe(tmp_path, key):
    with pytest.raises(TopologyError, match=r"needed .* degrees"):
        topology(tmp_path, f"nodes = [1]\n{key}")


@pytest.mark.parametrize(("latitude", "longitude"), [(91.0, 0.0), (0.0, -180.5), (math.nan, 0.0)])
def test_a_site_of_a_program_lies_on_the_globe_too(latitude, longitude):
    link = Link(1e9, 0.0)
    with pytest.raises(TopologyError, match=r"needed a number from -(90|180) to"):
        Site("a", (Node(1, link),), link, latitude_deg=latitude, longitude_deg=longitude)


def test_coordinates_change_no_time(tmp_path):
    placed = topology(tmp_path, "nodes = [2]\nlatitude_deg = 1\nlongitude_deg = 2", "nodes = [2]")
    free = topology(tmp_path, "nodes = [2]", "nodes = [2]")
    times = [
        World(each).predict("all_reduce", 1000, dtype="float32").total_ps for each in (placed, free)
    ]
    assert times[0] == times[1]
