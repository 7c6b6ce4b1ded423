"""Where ranks live, what the rings between them go over, and the file that says it all."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import ArgumentError
from emul.links import Link
from emul.measured import (
    Calibration,
    Log,
    Measurement,
    Quantity,
    Ring,
    SiteLayout,
    base_link,
    calibrate,
    layout_of,
    parameters_of,
    topology_text,
)
from emul.topology import load_document
from emul.topology.toml.reader import parse_document, read_document

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def logs(path, n, hosts=()):
    return [Log(path, "x", (Measurement("all_reduce", 1.0, "x", 8, n),), hosts)]


def test_ranks_live_at_one_site_on_the_hosts_of_the_log(tmp_path):
    assert layout_of(logs(tmp_path, 6, (4, 2)), {}).sites == (("site", (4, 2)),)


def test_without_hosts_every_rank_has_a_node_of_its_own(tmp_path):
    assert layout_of(logs(tmp_path, 3), {}).sites == (("site", (1, 1, 1)),)
    assert layout_of([Log(tmp_path, "ping", ())], {}).sites == (("site", (1, 1)),)


def test_sites_take_the_hosts_in_their_order(tmp_path):
    layout = layout_of(logs(tmp_path, 8, (2, 2, 4)), {"a": 4, "b": 4})
    assert layout.sites == (("a", (2, 2)), ("b", (4,)))


def test_sites_that_part_a_host_have_a_node_for_each_rank(tmp_path):
    layout = layout_of(logs(tmp_path, 4, (4,)), {"a": 1, "b": 3})
    assert layout.sites == (("a", (1,)), ("b", (1, 1, 1)))


def test_a_base_of_as_many_ranks_says_where_they_live(tmp_path):
    base = load_document("three-campus").topology
    its_own = tuple((site.name, (4, 4)) for site in base.sites)
    assert [site.name for site in base.sites] == ["north", "east", "south"]
    assert layout_of(logs(tmp_path, 24), {}, base).sites == its_own
    assert layout_of([Log(tmp_path, "ping", ())], {}, base).sites == its_own
    assert layout_of(logs(tmp_path, 24), {"north": 8, "east": 8, "south": 8}, base).sites == its_own
    # what is said or listed counts more, and a base of other ranks says nothing
    assert len(layout_of(logs(tmp_path, 24), {"a": 20, "b": 4}, base).sites) == 2
    assert layout_of(logs(tmp_path, 24, (2,) * 12), {}, base).sites[0] == ("north", (2,) * 4)
    assert layout_of(logs(tmp_path, 3), {}, base).sites == (("site", (1, 1, 1)),)


def test_sites_must_have_as_many_ranks_as_the_largest_log(tmp_path):
    both = [*logs(tmp_path, 4), *logs(tmp_path, 8)]
    assert layout_of(both, {"a": 8}).sites == (("a", (1,) * 8),)
    with pytest.raises(ArgumentError, match="of 6 ranks: needed 8"):
        layout_of(both, {"a": 4, "b": 2})


THREE = SiteLayout((("a", (2, 1)), ("b", (1,))))


def test_the_ring_goes_over_the_links_between_neighbours(tmp_path):
    assert THREE.ring == ["node", "site", "trunk", "trunk"]
    assert THREE.binding_link == "trunk"
    assert SiteLayout((("a", (2, 2)),)).ring == ["node", "site", "node", "site"]
    assert SiteLayout((("a", (2, 2)),)).binding_link == "site"
    assert SiteLayout((("a", (4,)),)).binding_link == "node"


def test_links_that_no_hop_goes_over_are_refused(tmp_path):
    one_host = SiteLayout((("a", (4,)),))
    with pytest.raises(ArgumentError, match=r"--link trunk: .* needed one of node"):
        one_host.check("trunk", logs(tmp_path, 4))
    one_host.check("node", logs(tmp_path, 4))
    one_host.check("trunk", [Log(tmp_path, "ping", ())])  # no ring, so it may be any link


def test_hops_of_several_classes_are_said(tmp_path):
    (said,) = THREE.warnings("trunk", logs(tmp_path, 4))
    assert said.startswith("only 2 of the 4 hops of a ring over these ranks are trunk links")
    assert SiteLayout((("a", (1, 1)),)).warnings("site", logs(tmp_path, 2)) == []


FAST, SLOW = Link(1e9, 2e-6, 1e-6), Link(1e8, 5e-6)


@given(
    hops=st.lists(st.sampled_from([None, FAST, SLOW]), min_size=2, max_size=12),
    passes=st.sampled_from([1, 2]),
    nbytes=st.integers(0, 1 << 20),
)
def test_the_slowest_way_is_the_window_with_most_measured_hops(hops, passes, nbytes):
    n, steps = len(hops), passes * (len(hops) - 1)
    way = Ring(tuple(hops)).slowest_path(steps)
    if None not in hops:
        assert way.others == ()
        return
    windows = [[hops[(i + j) % n] for j in range(steps)] for i in range(n)]
    most = max(window.count(None) for window in windows)
    others = sum(number for number, _ in way.others)
    assert steps - others == most
    window = next(each for each in windows if each.count(None) == most)
    known = [hop for hop in window if hop]
    seconds = sum(hop.overhead_s + hop.latency_s + nbytes / hop.rate_bytes_per_s for hop in known)
    assert way.others_s(nbytes) * max(1, steps - 1) == pytest.approx(seconds)


def test_a_trunk_is_found_among_hops_that_are_known():
    """The time of the ring is summed up hop by hop: two of four are trunk hops, of six steps."""
    known = {"node": Link(1e12, 1e-6), "site": Link(1e11, 4e-6, 2e-6)}
    trunk = Link(1e9, 3e-3)

    def seconds(nbytes):
        ring = [known["node"], known["site"], trunk, trunk]
        ways = [[ring[(first + j) % 4] for j in range(6)] for first in range(4)]
        piece = nbytes / 4
        return max(
            sum(hop.overhead_s + hop.latency_s + piece / hop.rate_bytes_per_s for hop in way)
            for way in ways
        )

    sizes = [4 << k for k in range(0, 20, 2)]  # too small to keep the port of a trunk busy
    measured = [Measurement("all_reduce", seconds(s), "x", s, 4) for s in sizes]
    measured.append(Measurement("stream", 1.0, "y", 1e9, spread=0.001))
    ring = THREE.ring_over("trunk", {**known, "trunk": trunk})
    found = calibrate(measured, ring=ring, slice_bytes=0)
    assert found.latency_s.value == pytest.approx(3e-3, rel=1e-3)
    alike = calibrate(measured, slice_bytes=0)
    assert alike.latency_s.value < 0.8 * 3e-3


def calibration(**quantities):
    names = ("base_s", "latency_s", "overhead_s", "rate_bytes_per_s")
    found = dict.fromkeys(names) | quantities
    return Calibration(**found, warnings=(), measurements=9, typical_error=0.01, worst_error=0.1,
                       slice_bytes=0)  # fmt: skip


MEASURED = calibration(
    base_s=Quantity(2e-5, 1e-5, 3e-5, ("a.log",)),
    latency_s=Quantity(5e-6, 4e-6, 6e-6, ("ping.txt", "a.log")),
    overhead_s=Quantity(2e-6, 1e-6, 3e-6, ("a.log",), "the base included"),
    rate_bytes_per_s=Quantity(1.25e9, 1.2e9, 1.3e9, ("a.log",)),
)


def test_parameters_are_named_and_counted_as_in_a_topology_file():
    said = {
        each.name: (each.value, each.unit, each.low, each.high, each.status)
        for each in parameters_of(MEASURED, FAST, "")
    }
    assert said == {
        "base_us": (20, "us", 10, 30, "measured"),
        "latency_us": (5, "us", 4, 6, "measured"),
        "overhead_us": (2, "us", 1, 3, "measured"),
        "rate_gbit_per_s": (10, "Gbit/s", 9.6, 10.4, "measured"),
    }


def test_what_was_not_measured_is_assumed():
    said = parameters_of(calibration(), FAST, "as in x")
    assert [(each.value, each.status) for each in said] == [
        (pytest.approx(2), "assumed"),
        (pytest.approx(1), "assumed"),
        (pytest.approx(8), "assumed"),
    ]
    assert {each.source for each in said} == {"not measured; as in x"}
    # an overhead that is in the latency is not assumed once more
    held = Quantity(5e-6, 4e-6, 6e-6, ("a.log",), "the overhead of a message included")
    overhead = parameters_of(calibration(latency_s=held), FAST, "")[1]
    assert (overhead.value, overhead.source) == (0, "in latency_us")
    # a ping says nothing of the overhead
    pinged = parameters_of(calibration(latency_s=MEASURED.latency_s), FAST, "as in x")[1]
    assert (pinged.value, pinged.source) == (pytest.approx(1), "not measured; as in x")


def test_an_interval_that_is_not_known_is_left_out():
    unknown = calibration(latency_s=Quantity(5e-6, math.nan, math.nan, ("a",)))
    latency = parameters_of(unknown, FAST, "")[0]
    assert (latency.low, latency.high) == (None, None)
    assert latency.source_line == "measured: a"


def test_what_is_nothing_beside_its_interval_is_0():
    base = calibration(base_s=Quantity(1e-12, 0.0, 1e-6, ("a",)))
    assert parameters_of(base, FAST, "")[0].value == 0


def written(layout, link, base=None, calibrated=MEASURED, remarks=(), folder=None):
    document = load_document(base) if base else None
    parameters = parameters_of(calibrated, base_link(document, link), "")
    return topology_text(layout, link, parameters, base=document, base_name=base or "",
                         base_folder=folder, remarks=remarks)  # fmt: skip


@pytest.mark.parametrize("link", ["node", "site", "trunk"])
def test_the_file_is_read_as_what_was_measured(link, tmp_path):
    topology = parse_document(written(THREE, link), name="x", where="x").topology
    assert topology.ranks_by_node == [[2, 1], [1]]
    (trunk,) = topology.trunks
    site = topology.sites[0]
    links = {"node": site.nodes[0].link, "site": site.link, "trunk": trunk.link}
    assert links[link].latency_s == pytest.approx(5e-6)
    assert links[link].overhead_s == pytest.approx(2e-6)
    assert links[link].rate_bytes_per_s == pytest.approx(1.25e9)
    for other in set(links) - {link}:
        assert links[other].rate_bytes_per_s > links[link].rate_bytes_per_s
        assert links[other].latency_s != links[link].latency_s


def test_every_number_says_where_it_is_from():
    tables = tomllib.loads(written(THREE, "trunk"))["defaults"]
    trunk = tables["trunk"]["sources"]
    assert trunk["latency_us"] == "measured: ping.txt, a.log; 95 % from 4 to 6 us"
    assert trunk["overhead_us"].startswith("measured: a.log; the base included; 95 %")
    for table in tables.values():
        assert set(table["sources"]) == set(table) - {"sources"}
    assumed = [*tables["node_link"]["sources"].values(), *tables["site_link"]["sources"].values()]
    assert {text.partition(":")[0] for text in assumed} == {"assumed"}


def test_other_links_are_those_of_the_base():
    base = load_document("three-campus-dark-fibre").topology
    text = written(THREE, "site", "three-campus-dark-fibre")
    topology = parse_document(text, name="x", where="x").topology
    assert topology.sites[0].nodes[0].link == base.sites[0].nodes[0].link
    assert topology.trunks[0].link == base.trunks[0].link
    assert topology.trunks[0].changes == base.trunks[0].changes


def test_a_rate_that_was_not_measured_is_that_of_the_base():
    found = calibration(latency_s=MEASURED.latency_s)
    document = parse_document(
        written(THREE, "site", "one-campus", found), name="x", where="x"
    ).topology
    base = load_document("one-campus").topology.sites[0].link
    assert document.sites[0].link.rate_bytes_per_s == pytest.approx(base.rate_bytes_per_s, rel=1e-5)
    assert document.sites[0].link.latency_s == pytest.approx(5e-6)


def test_a_base_without_trunks_leaves_them_assumed():
    text = written(THREE, "site", "one-campus")
    assert tomllib.loads(text)["defaults"]["trunk"]["sources"]["latency_us"].startswith("assumed")


def test_the_trace_of_a_base_is_found_from_anywhere(tmp_path):
    (tmp_path / "up.csv").write_text("from_s,rate_factor\n0,1\n60,0.5\n")
    base = tmp_path / "base.toml"
    base.write_text(
        'preset = "three-campus"\n[defaults.trunk]\ntrace = { file = "up.csv" }\nrepeat_s = 120\n'
    )
    text = written(THREE, "site", str(base), folder=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "out.toml").write_text(text)
    found = read_document(elsewhere / "out.toml").topology
    assert found.trunks[0].changes == read_document(base).topology.trunks[0].changes


def test_remarks_are_comments_whatever_is_in_them():
    text = written(THREE, "trunk", remarks=["a\nb\x07c", "[[site]]"])
    assert text.splitlines()[:2] == ["# a b c", "# [[site]]"]


@given(name=st.text(min_size=1, max_size=20), file=st.text(min_size=1, max_size=20))
def test_any_name_of_a_site_and_of_a_file_is_read_back(name, file):
    latency = Quantity(5e-6, 4e-6, 6e-6, (file,))
    text = written(SiteLayout(((name, (1, 1)),)), "site", calibrated=calibration(latency_s=latency))
    content = tomllib.loads(text)
    assert content["site"][0]["name"] == name
    said = content["defaults"]["site_link"]["sources"]["latency_us"]
    assert said.startswith((f"measured: {file};", f"measured: {file!r};"))
