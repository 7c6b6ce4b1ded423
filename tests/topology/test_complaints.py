"""All that is wrong with a file is said at once, within bounds, and nothing twice."""

import pytest

from emul import StackError, TopologyError
from emul.stacks.profile import read_stack
from emul.topology import read_topology
from emul.topology.toml.reader import parse_document

MOST_CHARACTERS = 12 * 700
LINK = "rate_gbit_per_s = 8\nlatency_us = 1\n"
HEAD = """[defaults]
node_link = { rate_gbit_per_s = 8, latency_us = 1 }
site_link = { rate_gbit_per_s = 8, latency_us = 1 }
"""


def site(name, more="nodes = [1]"):
    return f"[[site]]\nname = {name!r}\n{more}\n"


def trunk(a, b, more=LINK):
    return f"[[trunk]]\nbetween = [{a!r}, {b!r}]\n{more}\n"


def complaint(text):
    with pytest.raises(TopologyError) as refused:
        parse_document(HEAD + text, name="x", where="x.toml")
    said = str(refused.value)
    assert "\n" not in said
    assert len(said) < MOST_CHARACTERS
    parts = said.split("; ")
    assert len(set(parts)) == len(parts)
    return said


def test_all_that_is_wrong_is_said_at_once():
    said = complaint(
        site("a", "nodes = [1]\nheight = 3\nwidth = 4")
        + site("b", "nodes = [0]")
        + trunk("a", "b", "rate_gbit_per_s = -1\nlatency_us = 'x'\nwaves = 0\nrecovery = 'no'")
        + trunk("a", "c", "rate_gbit_per_s = 8\nlatency_us = 1\nslow_start = 3")
    )
    for part in (
        "unknown key 'site[0].height', 'site[0].width'",
        "site[1].nodes[0] = 0",
        "trunk[0].rate_gbit_per_s = -1",
        "trunk[0].latency_us = 'x'",
        "trunk[0].waves = 0",
        "trunk[0].recovery = 'no'",
        "trunk[1].slow_start = 3",
    ):
        assert said.count(part) == 1, part
    assert said.count("x.toml") == 1


def test_all_that_is_wrong_with_sites_and_trunks_is_said_at_once():
    said = complaint(
        site("a") + site("a") + site("b") + trunk("b", "b") + trunk("b", "z") + trunk("a", "b") * 2
    )
    for part in (
        "site 'a' is given twice",
        "trunk b - b: needed two different sites of a, a, b",
        "trunk b - z: needed two different sites",
        "trunk a - b is given twice",
    ):
        assert part in said


@pytest.mark.parametrize(
    "text",
    [
        "".join(site(f"s{i}") for i in range(300)),
        "".join(site("n" * 150 + str(i)) for i in range(60)) + trunk("q", "r"),
        "".join(f"k{i} = 1\n" for i in range(5000)),
        f"{'k' * 40_000} = 1\n",
        site("a", f"nodes = {[0] * 20_000}"),
        site("n" * 40_000),
        site("a", f"nodes = '{'x' * 40_000}'"),
        site("a") * 900 + trunk("a", "b", "rate_gbit_per_s = 0") * 900,
        f"name = '{'n' * 40_000}'\n",
        f"preset = '{'n' * 40_000}'\n",
    ],
)
def test_a_complaint_is_bounded(text):
    top, rest = (text, "") if not text.startswith("[[") else ("", text)
    with pytest.raises(TopologyError) as refused:
        parse_document(top + HEAD + rest, name="x", where="x.toml")
    assert len(str(refused.value)) < MOST_CHARACTERS


HUGE = "0x" + "f" * 5000


@pytest.mark.parametrize(
    "value",
    [HUGE, f"[{HUGE}]", f"[1, {HUGE}]", f"{{ a = {HUGE} }}", "0b1" + "0" * 20_000, "1" * 5000],
)
@pytest.mark.parametrize("key", ["nodes", "uplink_gbit_per_s", "name", "site_link", "what"])
def test_huge_integers_are_refused_in_one_line(key, value):
    given = "\n".join(["ranks_per_node = 1", *([f"{key} = {value}"] if key != "name" else [])])
    called = value if key == "name" else "'a'"
    complaint(f"[[site]]\nname = {called}\n{given}\n")


@pytest.mark.parametrize("key", ["eager_bytes", "slots", "handshake", "name", "constants"])
def test_huge_integers_in_a_stack_are_refused_in_one_line(key, tmp_path):
    (tmp_path / "s.toml").write_text(f"{key} = {HUGE}\n")
    with pytest.raises(StackError, match=r"s\.toml: .*needed"):
        read_stack(tmp_path / "s.toml")


def test_all_that_is_wrong_with_a_stack_is_said_at_once(tmp_path):
    (tmp_path / "s.toml").write_text("eager_bytes = -1\nhandshake = 'wave'\nslots = 0\nspeed = 1\n")
    with pytest.raises(StackError) as refused:
        read_stack(tmp_path / "s.toml")
    for part in ("unknown key 'speed'", "eager_bytes = -1", "handshake = 'wave'", "slots = 0"):
        assert str(refused.value).count(part) == 1


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    (tmp_path / "t.toml").write_text(HEAD + site("a"), encoding="utf-8-sig")
    assert read_topology(tmp_path / "t.toml").world_size == 1
    (tmp_path / "s.toml").write_text("slots = 3\n", encoding="utf-8-sig")
    assert read_stack(tmp_path / "s.toml").slots == 3


def test_parts_that_nothing_joins_are_named():
    said = complaint(site("a") + site("b"))
    assert said.endswith(
        "no trunk joins a / b: needed one connected graph; add a [[trunk]] from one part to the "
        "next, such as between = ['a', 'b']"
    )
