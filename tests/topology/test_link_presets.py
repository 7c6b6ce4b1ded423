"""The presets of links: what follows from their files is what the worked cases expect."""

import sys
from pathlib import Path

import pytest

from emul.links.limits import connection_limit
from emul.links.loss import cubic_rate_bytes_per_s, go_back_n_efficiency, packets_in_flight
from emul.links.transport import streams_to_fill, window_rate_bytes_per_s
from emul.reading.toml_table import TomlTable
from emul.topology.library import link_preset, link_preset_names
from emul.topology.toml.link_tables import SOURCE, from_preset, link_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORKED = tomllib.loads((Path(__file__).parent.parent / "links/link_examples.toml").read_text())
PRESETS = {preset["name"]: preset for preset in WORKED["preset"]}

DIGITS = 1e-9


def preset_link(name):
    return link_of(from_preset(TomlTable({"preset": name}, "test", ""), is_trunk=True))


def test_every_worked_preset_is_there():
    assert set(link_preset_names()) == set(PRESETS)
    assert len(PRESETS) == 14


@pytest.mark.parametrize("name", link_preset_names())
def test_every_number_of_a_preset_has_a_source(name):
    numbers = dict(link_preset(name))
    sources = numbers.pop("sources")
    assert sources.keys() == numbers.keys()
    assert all(SOURCE.match(text) for text in sources.values())


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_has_the_parameters_of_its_case(preset):
    link = preset_link(preset["name"])
    transport, jitter = link.transport, link.jitter
    assert link.latency_s * 1e6 == pytest.approx(preset["delay_us"], rel=DIGITS)
    assert link.overhead_s * 1e6 == pytest.approx(preset["overhead_us"])
    assert link.waves == preset["waves"]
    assert (transport.window_bytes, transport.streams) == (preset["window_B"], preset["streams"])
    assert transport.loss == preset["loss"]
    # A case without loss needs no recovery; that of InfiniBand tells a library its transport.
    named = "gbn" if preset["name"] == "ib_ndr_fabric" else preset["recovery"]
    assert transport.recovery == named
    assert transport.rto_s == preset["rto_s"]
    assert transport.gap_s * 1e6 == pytest.approx(preset["gap_us"])
    assert jitter.median_s * 1e6 == pytest.approx(preset["jitter_p50_us"])
    assert jitter.p99_over_p50 == preset["jitter_p99_over_p50"]
    oversubscription = link_preset(preset["name"]).get("oversubscription", 1.0)
    assert oversubscription == preset["oversubscription"]


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_what_follows_from_a_preset_is_what_its_case_expects(preset):
    link = preset_link(preset["name"])
    transport, wave = link.transport, link.rate_bytes_per_s / link.waves
    window = {"window_bytes": transport.window_bytes, "rtt_s": link.rtt_s}
    path = {"rtt_s": link.rtt_s, "loss": transport.loss}
    in_flight = packets_in_flight(wave, rtt_s=link.rtt_s, mtu_bytes=transport.mtu_bytes)
    derived = {
        "payload_Bps": lambda: wave,
        "rtt_s": lambda: link.rtt_s,
        "bdp_B": lambda: wave * link.rtt_s,
        "window_rate_Bps": lambda: window_rate_bytes_per_s(
            wave, streams=transport.streams, **window
        ),
        "streams_to_fill": lambda: streams_to_fill(wave, **window),
        "gbn_efficiency": lambda: go_back_n_efficiency(transport.loss, in_flight),
        "cubic_rate_per_stream_Bps": lambda: cubic_rate_bytes_per_s(
            transport.mtu_bytes, limit_bytes_per_s=wave, **path
        ),
    }
    assert preset["expected"].keys() <= derived.keys()
    for name, value in preset["expected"].items():
        assert derived[name]() == pytest.approx(value, rel=DIGITS), name


def test_one_connection_over_the_metro_gets_what_its_windows_allow():
    link = preset_link("metro_dwdm_16km")
    limit = connection_limit(link, rate_bytes_per_s=link.rate_bytes_per_s, rtt_s=link.rtt_s)
    assert limit.term == "window"
    expected = PRESETS["metro_dwdm_16km"]["expected"]["window_rate_Bps"]
    assert limit.bytes_per_s == pytest.approx(expected, rel=1e-3)  # less what is lost
