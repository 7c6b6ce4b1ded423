"""From the keys of a link's table to the link: every form, and every refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import TopologyError
from emul.links import Jitter, OtherTraffic, Transport
from emul.reading.toml_table import TomlTable
from emul.topology import read_topology
from emul.topology.toml.link_tables import COUNTS, NUMBERS, from_preset, link_of

GLASS_S_PER_KM = 1.4682 / 299792.458


def link(nics=None, **content):
    content = {"rate_gbit_per_s": 8, "latency_us": 1, **content}
    content = {key: value for key, value in content.items() if value is not None}
    table = from_preset(TomlTable(content, "file.toml", "trunk[1]"), is_trunk=True)
    return link_of(table, nics)


def line(**content):
    return link(rate_gbit_per_s=None, **content)


def path(**content):
    return link(latency_us=None, **content).latency_s


def test_every_part_of_a_link_has_keys_in_their_units():
    found = link(
        waves=4, overhead_us=3, window_bytes=4096, streams=2, window_chunk_bytes=512,
        turnaround_us=5, gap_us=6, loss=0.25, recovery="cubic", mtu_bytes=1448, rto_s=0.2,
        retries=3, slow_start=True, jitter_p50_us=7, jitter_p99_over_p50=4, load=0.5,
        queue_bytes=100, buffer_bytes=1000, lossless=True,
    )  # fmt: skip
    assert found.rate_bytes_per_s == 1e9
    assert (found.waves, found.overhead_s) == (4, 3e-6)
    assert found.transport == Transport(
        4096, 2, 512, 5e-6, 6e-6, 0.25, "cubic", 1448, 0.2, 3, slow_start=True
    )
    assert found.jitter == Jitter(7e-6, 4)
    assert found.others == OtherTraffic(0.5, 100, 1000, lossless=True)


@pytest.mark.parametrize(
    ("framing", "part"),
    [("roce-v2", 4096 / 4178), ("tcp", 1448 / 1538), ("tcp-jumbo", 8948 / 9038)],
)
def test_a_rate_is_derived_from_a_line(framing, part):
    assert line(line_gbit_per_s=100).rate_bytes_per_s == 12.5e9
    assert line(line_gbit_per_s=100, waves=3, efficiency=0.5).rate_bytes_per_s == 18.75e9
    found = line(line_gbit_per_s=100, waves=2, framing=framing)
    assert found.rate_bytes_per_s == pytest.approx(25e9 * part, rel=1e-12)


def test_an_oversubscription_holds_where_it_is_the_smaller_rate():
    assert line(oversubscription=4, nics=8e9).rate_bytes_per_s == 2e9
    assert link(oversubscription=4, nics=8e9).rate_bytes_per_s == 1e9
    assert link(oversubscription=16, nics=8e9).rate_bytes_per_s == 0.5e9
    assert link(oversubscription=16).rate_bytes_per_s == 1e9


def test_a_trunk_is_oversubscribed_by_the_smaller_of_its_sites(tmp_path):
    file = tmp_path / "two.toml"
    file.write_text(
        "[defaults]\nnode_link = { rate_gbit_per_s = 1, latency_us = 1 }\n"
        "site_link = { rate_gbit_per_s = 80, latency_us = 1 }\n"
        '[[site]]\nname = "a"\nnodes = [4]\nuplink_gbit_per_s = 8\n'
        '[[site]]\nname = "b"\nnodes = [1, 2]\n'
        '[[trunk]]\nbetween = ["a", "b"]\nlatency_us = 1\noversubscription = 10\n'
    )
    topology = read_topology(file)
    assert topology.trunks[0].link.rate_bytes_per_s == 3e9
    assert [site.uplink_bytes_per_s for site in topology.sites] == [1e9, float("inf")]
    file.write_text(file.read_text().replace("uplink_gbit_per_s = 8", "uplink_gbit_per_s = 0"))
    with pytest.raises(TopologyError, match=r"site\[0\].uplink_gbit_per_s = 0: needed a number"):
        read_topology(file)


@pytest.mark.parametrize(
    ("boxes", "extra_us"),
    [
        ({}, 0),
        ({"amplifiers": 2}, 0.3),
        ({"amplifiers": 2, "amplifier_us": 0.1}, 0.2),
        ({"transponder_pairs": 2}, 16),
        ({"transponder_pairs": 2, "transponder_pair_us": 30}, 60),
        ({"hops": 3, "hop_us": 2}, 6),
        ({"hops": 1, "store_and_forward_hops": 2, "hop_us": 2, "mtu_bytes": 1000}, 8),
        ({"store_and_forward_hops": 2, "frame_bytes": 5000}, 10),
        ({"store_and_forward_hops": 2, "frame_bytes": 5000, "waves": 2}, 20),
        ({"error_correction_us": 30, "macsec_us": 2, "equipment_us": 5}, 37),
        ({"switches": ["trident2", "tomahawk", "switchx", "ndr", "trident-plus"]}, 2.605),
        ({"switches": ["deep-buffer"], "mtu_bytes": 1000}, 8),
    ],
)
def test_a_delay_is_derived_from_glass_and_boxes(boxes, extra_us):
    assert path(km=10, route_factor=2, **boxes) == pytest.approx(
        20 * GLASS_S_PER_KM + extra_us * 1e-6, rel=1e-12
    )


def test_hollow_core_is_a_group_index():
    assert path(km=10, group_index=1.013) == pytest.approx(10.13 / 299792.458, rel=1e-12)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"line_gbit_per_s": 4}, "rate_gbit_per_s = 8: needed either rate_gbit_per_s or line_gbit"),
        ({"rate_gbit_per_s": None}, " has no 'rate_gbit_per_s': needed a number .* or line_gbit"),
        ({"rate_gbit_per_s": None, "efficiency": 1}, " has no 'line_gbit_per_s'"),
        ({"rate_gbit_per_s": None, "line_gbit_per_s": 1, "efficiency": 1, "framing": "tcp"},
         ".framing = 'tcp': needed either framing or efficiency"),
        ({"rate_gbit_per_s": None, "line_gbit_per_s": 1, "framing": "atm"},
         ".framing = 'atm': needed one of ib, roce-v2, tcp"),
        ({"hops": 1}, ".latency_us = 1: needed either latency_us or hops"),
        ({"latency_us": None, "km": 1, "store_and_forward_hops": 1}, " has no 'mtu_bytes': needed"),
        ({"latency_us": None, "km": 1, "switches": "ndr"}, ".switches = 'ndr': needed a list"),
        ({"latency_us": None, "km": 1, "switches": ["ndr", "x"]},
         r".switches\[1\] = 'x': needed one of switchx"),
        ({"latency_us": None, "km": 1, "switches": [["ndr"]]}, r".switches\[0\] = \['ndr'\]"),
        ({"loss": 0.1}, r"trunk\[1\]\.loss = 0.1 with recovery 'none': needed one of gbn"),
        ({"loss": 1, "recovery": "sr"}, ".loss = 1: needed a number from 0 to below 1"),
        ({"loss": 0.3, "recovery": "bbr"}, ".loss = 0.3 with recovery 'bbr': needed at most 0.2"),
        ({"recovery": "vegas"}, ".recovery = 'vegas': needed one of none, gbn"),
        ({"recovery": 3}, ".recovery = 3: needed one of none, gbn"),
        ({"recovery": ["sr"]}, r".recovery = \['sr'\]: needed one of none, gbn"),
        ({"slow_start": True}, ".slow_start with recovery 'none': needed one of reno"),
        ({"slow_start": 1}, ".slow_start = 1: needed true or false"),
        ({"streams": 1.5}, ".streams = 1.5: needed a whole number from 1"),
        ({"lossless": True, "buffer_bytes": 100, "latency_us": 0},
         ".buffer_bytes = 100.0: needed at least 18432 B on a lossless link without delay"),
        ({"preset": "metro"}, ".preset = 'metro': needed one of aging_metro_100g"),
        ({"preset": ["x"]}, r".preset = \['x'\]: needed one of aging_metro_100g"),
        ({"sources": 3}, ".sources = 3: needed a table"),
        ({"sources": {"loss": "measured: x"}}, "unknown key 'trunk.1..sources.loss': needed one"),
        ({"sources": {"latency_us": "heard: x"}},
         ".sources.latency_us = 'heard: x': needed measured, published, assumed, then"),
        ({"sources": {"latency_us": "measured"}}, ".latency_us = 'measured': needed measured, pub"),
        ({"sources": {"latency_us": "measured: "}}, ".latency_us = 'measured: ': needed"),
        ({"sources": {"latency_us": 3}}, ".sources.latency_us = 3: needed a string"),
        ({"mtu": 3}, "unknown key 'trunk.1..mtu'"),
        ({"overhead_us": 10**400}, ".overhead_us = 1000.*: needed a number from 0 to"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_link_is_named(content, complaint):
    with pytest.raises(TopologyError, match=complaint) as caught:
        link(**content)
    assert str(caught.value).startswith("file.toml: ")
    assert "trunk[1]" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("key", [*NUMBERS, *COUNTS])
@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), True, "1", [1], 1e300])
def test_a_number_that_is_none_is_refused_with_its_key(key, bad):
    allowed = {**NUMBERS, **COUNTS}[key]
    content = {"km": 1, "latency_us": None, "amplifiers": 1, "recovery": "sr", key: bad}
    if key == "latency_us":
        content.update(km=None, amplifiers=None)
    if key in ("line_gbit_per_s", "efficiency"):
        content = {"rate_gbit_per_s": None, "line_gbit_per_s": 1, **content}
    if key == "miles":
        content["km"] = None
    if key == "frame_bytes":
        content["store_and_forward_hops"] = 1
    with pytest.raises(
        TopologyError, match=rf"trunk\[1\]\.{key} = .*: needed a .*number"
    ) as caught:
        link(nics=1e9, **content)
    assert f"to {'below ' if allowed.below else ''}{allowed.high:g} {allowed.unit}".strip() in str(
        caught.value
    )


def test_oversubscription_and_changes_are_for_trunks_only():
    for key in ("oversubscription", "trace", "outages"):
        with pytest.raises(TopologyError, match=f"unknown key 'site_link.{key}'"):
            from_preset(TomlTable({key: 1}, "file.toml", "site_link"))


def test_an_aging_preset_serves_inside_a_site_too():
    table = from_preset(TomlTable({"preset": "aging_metro_10g"}, "file.toml", "site_link"))
    assert link_of(table).waves == 8


rates = st.floats(1e-3, 1e3)


@given(line_rate=rates, waves=st.integers(1, 100), part=st.floats(0.01, 1))
def test_more_waves_or_more_payload_never_carry_less(line_rate, waves, part):
    base = line(line_gbit_per_s=line_rate, waves=waves, efficiency=part).rate_bytes_per_s
    more = line(line_gbit_per_s=line_rate, waves=waves + 1, efficiency=part).rate_bytes_per_s
    clean = line(line_gbit_per_s=line_rate, waves=waves).rate_bytes_per_s
    assert base < more
    assert base <= clean
    assert base == pytest.approx(line_rate * waves * part * 1e9 / 8, rel=1e-12)


counts = st.integers(0, 50)


@given(km=st.floats(0, 1e4), amplifiers=counts, pairs=counts, hops=counts, stored=counts)
def test_boxes_add_up(km, amplifiers, pairs, hops, stored):
    found = path(
        km=km, amplifiers=amplifiers, transponder_pairs=pairs, hops=hops, hop_us=2,
        store_and_forward_hops=stored, frame_bytes=1000,
    )  # fmt: skip
    boxes_us = amplifiers * 0.15 + pairs * 8 + (hops + stored) * 2 + stored
    assert found == pytest.approx(km * GLASS_S_PER_KM + boxes_us * 1e-6, rel=1e-9, abs=1e-15)
