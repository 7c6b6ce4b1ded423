"""The table of costs: read, overlaid, and refused."""

import pytest

from emul import TopologyError
from emul.topology import load_document, read_document
from emul.topology.costs import Costs, UnitCosts
from emul.topology.toml.cost_tables import read_costs

SITES = ("north", "east", "south")
TABLE = """
[cost]
currency = "EUR"
per_gbit_per_s = 300
per_new_trunk = 5e3

[[cost.trunk]]
between = ["south", "east"]
per_gbit_per_s = 450.5
per_lower_delay = 0
"""
READ = Costs(
    "EUR",
    UnitCosts(per_gbit_per_s=300.0, per_new_trunk=5000.0),
    ((frozenset(("east", "south")), UnitCosts(450.5, per_lower_delay=0.0)),),
)


def test_costs_are_read_from_a_topology_and_from_a_file_of_their_own(tmp_path):
    (tmp_path / "t.toml").write_text(f'preset = "three-campus"\n{TABLE}')
    assert read_document(tmp_path / "t.toml").costs == READ
    (tmp_path / "c.toml").write_text(TABLE)
    assert read_costs(tmp_path / "c.toml", SITES) == READ
    assert load_document("three-campus").costs is None


def test_a_trunk_has_its_own_costs_and_otherwise_those_of_all():
    assert READ.between("east", "south") == UnitCosts(450.5, None, 5000.0, 0.0)
    assert READ.between("north", "south") == READ.general
    every = UnitCosts(1.0, 2.0, 3.0, 4.0)
    some = Costs("", every, ((frozenset("ab"), UnitCosts()), (frozenset("bc"), UnitCosts(5.0))))
    assert some.between("b", "a") == every
    assert some.between("b", "c") == UnitCosts(5.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[cost]\nper_wave = -1", r"cost.per_wave = -1: needed a number from 0 to 1e\+12 a month"),
        ('[cost]\nper_wave = "9"', "cost.per_wave"),
        ("[cost]\nper_waves = 9", "unknown key 'cost.per_waves'"),
        ('[cost]\ncurrency = "EUR"', "cost has no cost: needed some of per_gbit_per_s, per_wave"),
        ("cost = 3", "cost = 3: needed a table"),
        ("", "has no 'cost': needed a table"),
        ("[coast]\nper_wave = 1", "unknown key 'coast'"),
        ('[[cost.trunk]]\nbetween = ["east"]\nper_wave = 1',
         "needed two different sites of north, east, south"),
        ('[[cost.trunk]]\nbetween = ["east", "west"]\nper_wave = 1', "needed two different sites"),
        ("[[cost.trunk]]\nper_wave = 1", "needed two different sites"),
        ('[[cost.trunk]]\nbetween = ["east", "south"]', "has no cost"),
        ('[[cost.trunk]]\nbetween = ["east", "south"]\nper_wave = 1\n'
         '[[cost.trunk]]\nbetween = ["south", "east"]\nper_wave = 1', "each two sites once"),
    ],
)  # fmt: skip
def test_costs_that_cannot_be_used_are_refused(tmp_path, text, complaint):
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(TopologyError, match=complaint):
        read_costs(path, SITES)


def test_a_topology_with_wrong_costs_is_refused_with_its_other_faults(tmp_path):
    path = tmp_path / "t.toml"
    path.write_text('preset = "three-campus"\n[cost]\nper_wave = -1\n[[trunk]]\nbetween = ["x"]\n')
    with pytest.raises(TopologyError, match=r"between.*cost\.per_wave"):
        read_document(path)
