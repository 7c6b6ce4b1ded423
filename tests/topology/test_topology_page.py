"""The page of the keys says what the reader does."""

import re
from importlib.resources import files

import pytest

from emul.topology import read_topology
from emul.topology.toml.link_tables import (
    CHANGE_KEYS,
    CHOICES,
    COUNTS,
    DEFAULTS,
    NUMBERS,
    TRUNK_KEYS,
)

PAGE = files("emul.topology").joinpath("README.md").read_text()
ROWS = {
    re.match(r"\| `(\w+)`", line)[1]: [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.splitlines()
    if re.match(r"\| `\w+`", line)
}


def test_the_page_has_every_key():
    assert set(TRUNK_KEYS) <= ROWS.keys()
    assert set(CHANGE_KEYS) <= ROWS.keys()


@pytest.mark.parametrize("key", [*NUMBERS, *COUNTS])
def test_the_page_says_unit_and_range(key):
    allowed = {**NUMBERS, **COUNTS}[key]
    _, unit, said, _ = ROWS[key]
    above = "above " if not allowed.closed else ""
    below = "below " if allowed.below else ""
    assert said == f"{above}{allowed.low:g} to {below}{allowed.high:g}"
    if key in NUMBERS:
        assert unit == allowed.unit


@pytest.mark.parametrize("key", sorted(DEFAULTS))
def test_the_page_says_the_defaults(key):
    assert float(ROWS[key][3]) == pytest.approx(DEFAULTS[key])


@pytest.mark.parametrize("key", sorted(CHOICES))
def test_the_page_names_the_choices(key):
    assert all(f"`{name}`" in ROWS[key][0] for name in CHOICES[key])


def test_the_example_of_the_page_can_be_used(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "page.toml"
    path.write_text(text)
    topology = read_topology(path)
    assert topology.world_size == 14
    assert topology.sites[0].uplink_bytes_per_s == 200e9
    assert topology.trunks[0].km == 31
