"""One table over another: what is kept, what is displaced."""

from hypothesis import given
from hypothesis import strategies as st

from emul.topology import load, read_topology
from emul.topology.toml.link_tables import LINE_KEYS, LINK_KEYS, PATH_KEYS, over
from emul.topology.toml.overlay import over_preset


def test_other_forms_of_the_same_displace_each_other():
    assert over({"km": 3, "route_factor": 2}, {"miles": 2}) == {"miles": 2, "route_factor": 2}
    assert over({"km": 3, "equipment_us": 1}, {"latency_us": 9}) == {"latency_us": 9}
    assert over({"latency_us": 9, "overhead_us": 1}, {"km": 3}) == {"km": 3, "overhead_us": 1}
    assert over({"nodes": 2, "ranks_per_node": 4, "name": "a"}, {"node": []}) == {
        "node": [],
        "name": "a",
    }


def test_forms_of_a_rate_displace_each_other_and_their_waves():
    line = {"line_gbit_per_s": 400, "framing": "tcp", "waves": 8, "loss": 0}
    assert over(line, {"rate_gbit_per_s": 9}) == {"rate_gbit_per_s": 9, "loss": 0}
    assert over(line, {"rate_gbit_per_s": 9, "waves": 2})["waves"] == 2
    assert over({"rate_gbit_per_s": 9, "waves": 8}, {"rate_gbit_per_s": 4})["waves"] == 8
    assert over({"rate_gbit_per_s": 9, "waves": 8}, {"line_gbit_per_s": 4}) == {
        "line_gbit_per_s": 4
    }
    assert over(line, {"efficiency": 0.9}).keys() == {
        "line_gbit_per_s",
        "efficiency",
        "waves",
        "loss",
    }


def test_a_preset_displaces_all_that_is_inherited():
    own = {"preset": "metro_dwdm_16km", "loss": 0.1}
    assert over({"km": 3, "overhead_us": 9, "sources": {"km": "assumed: x"}}, own) == own
    below = over(own, {"latency_us": 3})
    assert below == {"preset": "metro_dwdm_16km", "loss": 0.1, "latency_us": 3}


contents = st.dictionaries(
    st.sampled_from([key for key in LINK_KEYS if key not in ("preset", "sources")]),
    st.integers(1, 9),
    max_size=8,
)


def sourced(content):
    return {**content, "sources": {key: f"assumed: {value}" for key, value in content.items()}}


@given(general=contents, own=contents)
def test_an_overlay_keeps_what_is_said_and_the_sources_of_what_is_left(general, own):
    merged = over(sourced(general), sourced(own))
    sources = merged.pop("sources")
    assert merged == over(general, own)
    assert merged.items() >= own.items()
    assert {**general, **own}.items() >= merged.items()
    assert sources == {key: f"assumed: {value}" for key, value in merged.items()}
    assert over(merged, own) == merged


@given(general=contents, own=contents)
def test_no_two_forms_of_the_same_are_left(general, own):
    merged = over(general, own)
    if "latency_us" in own or own.keys() & set(PATH_KEYS):
        mixed = "latency_us" in own and own.keys() & set(PATH_KEYS)
        assert mixed or not ("latency_us" in merged and merged.keys() & set(PATH_KEYS))
    if "rate_gbit_per_s" in own and "rate_gbit_per_s" not in general:
        assert not merged.keys() & set(LINE_KEYS) - own.keys()


def test_a_site_is_overlaid_by_name_and_its_links_key_by_key():
    base = {"site": [{"name": "a", "nodes": [1], "site_link": {"rate_gbit_per_s": 1, "km": 2}}]}
    own = {"site": [{"name": "a", "site_link": {"latency_us": 3}}, {"name": "b", "nodes": [2]}]}
    assert over_preset(base, own)["site"] == [
        {"name": "a", "nodes": [1], "site_link": {"rate_gbit_per_s": 1, "latency_us": 3}},
        {"name": "b", "nodes": [2]},
    ]


def test_a_trunk_is_overlaid_whichever_way_it_is_named():
    base = {"trunk": [{"between": ["a", "b"], "km": 3, "rate_gbit_per_s": 9}]}
    own = {"trunk": [{"between": ["b", "a"], "miles": 1}]}
    assert over_preset(base, own)["trunk"] == [
        {"between": ["b", "a"], "miles": 1, "rate_gbit_per_s": 9}
    ]


def test_what_a_file_does_not_say_is_that_of_the_preset(tmp_path):
    path, old = tmp_path / "mine.toml", load("three-campus")
    path.write_text(
        'preset = "three-campus"\n[[site]]\nname = "east"\n[[site.node]]\nranks = 3\n'
        '[[trunk]]\nbetween = ["east", "north"]\noverhead_us = 1\n'
    )
    new = read_topology(path)
    assert [site.ranks for site in new.sites] == [8, 3, 8]
    assert new.sites[::2] == old.sites[::2]
    assert new.trunks[1:] == old.trunks[1:]
    changed, before = new.trunks[0], old.trunks[0]
    assert changed.link.overhead_s == 1e-6
    assert changed.link.rate_bytes_per_s == before.link.rate_bytes_per_s
    assert (changed.link.latency_s, changed.km) == (before.link.latency_s, before.km)
