"""The file of an upgraded topology is read back as that topology."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from emul import TopologyError, World
from emul.insight.upgraded_file import upgraded_text
from emul.insight.upgrades import Change, pairs_of, upgrades_of
from emul.topology import load, preset_names, read_document
from emul.topology.library import preset_text
from emul.topology.toml.reader import parse_document

CHAIN = """
[defaults.trunk]
rate_gbit_per_s = 10
window_bytes = 1e6

[[site]]
name = "a"
nodes = [1, 2]
uplink_gbit_per_s = 8
downlink_gbit_per_s = 4
node_link = { rate_gbit_per_s = 100, latency_us = 1 }
site_link = { rate_gbit_per_s = 50, latency_us = 2 }

[[site]]
name = "b"
node_link = { rate_gbit_per_s = 100, latency_us = 1 }
site_link = { rate_gbit_per_s = 50, latency_us = 2 }
node = [{ ranks = 2, nics = 1 }, { ranks = 1 }]

[[site]]
name = "way"
nodes = 0
transit_us = 3

[[conduit]]
name = "duct"
rate_gbit_per_s = 12

[[trunk]]
between = ["a", "way"]
latency_us = 50
conduit = "duct"
trace = { file = "states.csv" }
repeat_s = 10

[[trunk]]
between = ["way", "b"]
line_gbit_per_s = 25
waves = 2
framing = "tcp"
km = 30
store_and_forward_hops = 2
frame_bytes = 1500
sources = { km = "measured: the map", line_gbit_per_s = "assumed: x" }

[cost]
currency = "EUR"
per_wave = 10

[[cost.trunk]]
between = ["a", "way"]
per_wave = 7
"""


def alike(found, wanted):
    """Whether two topologies have equal numbers, but for the rounding of units."""
    if isinstance(found, float):
        return found == pytest.approx(wanted, rel=1e-9)
    if isinstance(found, tuple):
        return len(found) == len(wanted) and all(map(alike, found, wanted))
    if hasattr(found, "__dataclass_fields__"):
        return all(alike(getattr(found, each), getattr(wanted, each))
                   for each in found.__dataclass_fields__)  # fmt: skip
    return found == wanted


def without_sight(topology, pairs):
    """The topology without the line of sight of trunks whose delay was set."""
    trunks = tuple(
        replace(each, km=None) if frozenset(each.sites) in pairs else each
        for each in topology.trunks
    )
    return replace(topology, trunks=trunks)


def check(document_text, topology, upgrade, folder):
    target = folder / "sub" / "tuned.toml"
    target.parent.mkdir(exist_ok=True)
    text = upgraded_text(document_text, topology, upgrade.changes, name=topology.name,
                         folder=folder, target=target.parent, remarks=["by\nhand"])  # fmt: skip
    assert text.startswith("# by hand\n")
    target.write_text(text)
    document = read_document(target)
    changed = {frozenset(each.place) for each in upgrade.changes}
    found = without_sight(document.topology, changed)
    assert alike(found, without_sight(upgrade.topology, changed)), upgrade.words
    return document


def test_every_upgrade_of_a_file_is_read_back(tmp_path):
    (tmp_path / "states.csv").write_text("from_s,rate_factor\n0,1\n5,0.5\n")
    source = tmp_path / "chain.toml"
    source.write_text(CHAIN)
    document = read_document(source)
    single = upgrades_of(document.topology, document.costs)
    kinds = {each.changes[0].kind for each in single}
    assert kinds == {"rate", "wave", "delay", "trunk", "window", "uplink", "conduit"}
    for upgrade in [*single, *pairs_of(document.topology, single)]:
        assert check(CHAIN, document.topology, upgrade, tmp_path).costs == document.costs


@pytest.mark.parametrize("name", [each for each in preset_names() if each != "one-campus"])
def test_upgrades_of_presets_are_read_back(name, tmp_path):
    topology = load(name)
    for upgrade in upgrades_of(topology):
        check(preset_text(name), topology, upgrade, tmp_path)


def test_sources_stay_with_the_numbers_that_stay(tmp_path):
    (tmp_path / "states.csv").write_text("from_s,rate_factor\n0,1\n")
    (tmp_path / "chain.toml").write_text(CHAIN)
    (tmp_path / "sub").mkdir()
    topology = read_document(tmp_path / "chain.toml").topology
    text = upgraded_text(CHAIN, topology, [Change("rate", ("way", "b"), 2)], name="chain",
                         folder=tmp_path, target=tmp_path / "sub")  # fmt: skip
    table = text.split("[[trunk]]")[2]
    assert "latency_us" in table  # a packet would be stored for less time at the higher rate
    assert "measured: the map" not in table
    assert 'framing = "tcp"' in table
    assert 'line_gbit_per_s = "assumed: an upgrade, by emul tune"' in table
    assert "line_gbit_per_s = 50.0" in table
    assert 'trace = { file = "../states.csv" }' in text


def test_the_written_file_takes_the_time_that_was_told(tmp_path):
    topology = load("three-campus")
    change = Change("wave", ("east", "south"), 1)
    text = upgraded_text(preset_text("three-campus"), topology, [change], name="three-campus",
                         folder=Path(), target=tmp_path)  # fmt: skip
    (tmp_path / "t.toml").write_text(text)
    times = {
        World(each).predict("all_reduce", 1 << 18).time_s
        for each in (str(tmp_path / "t.toml"), change.applied(topology))
    }
    assert len(times) == 1


def test_a_rate_beyond_that_of_the_nics_at_its_ends_cannot_be_said():
    text = re.sub(r"\[defaults.trunk\]", "[defaults.trunk]\noversubscription = 2", CHAIN)
    text = text.replace('trace = { file = "states.csv" }\nrepeat_s = 10\n', "")
    topology = parse_document(text, name="chain", where="chain").topology
    with pytest.raises(TopologyError, match="cannot be said in keys: needed rates below"):
        upgraded_text(text, topology, [Change("rate", ("a", "way"), 100)], name="chain",
                      folder=Path(), target=Path())  # fmt: skip
