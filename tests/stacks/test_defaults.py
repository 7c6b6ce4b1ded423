"""A trunk without its defaults takes the time of one that has them written, in any stack."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

import emul
from emul import World
from emul.topology import link_preset_names, read_document
from emul.topology.toml.link_tables import COUNTS, FLAGS, NUMBERS

PAGE = Path(emul.__file__).parent / "topology" / "README.md"
STACKS = ("ideal", "gloo", "openmpi", "nccl", "nccl@2.28", "nccl@2.31")
KEY = re.compile(r"^\| `(\w+)`.*\| ([^|]*) \|$", re.MULTILINE)
LINKS = {
    "plain": "rate_gbit_per_s = 10\nlatency_us = 2000",
    "line": "line_gbit_per_s = 10\nkm = 200\namplifiers = 2\ntransponder_pairs = 1",
    **{name: f'preset = "{name}"' for name in link_preset_names()},
}
OF_PATHS = {
    "route_factor", "group_index", "amplifier_us", "transponder_pair_us", "hop_us", "amplifiers",
    "dispersion_compensation", "transponder_pairs", "hops", "store_and_forward_hops",
    "error_correction_us", "macsec_us", "equipment_us",
}  # fmt: skip
"""Keys that say a latency in parts, in place of ``latency_us``."""


def defaults():
    """The values that the page of the keys has for keys that are not given, as in a file."""
    listed = {key: text.split(":")[0].strip() for key, text in KEY.findall(PAGE.read_text())}
    known = {**NUMBERS, **COUNTS, **dict.fromkeys(FLAGS)}
    return {
        key: text for key, text in listed.items()
        if key in known and re.fullmatch(r"[0-9.e+]+|false", text)
    }  # fmt: skip


DEFAULTS = defaults()


def topology(folder, link, more):
    """Two sites of two nodes, joined by a trunk with these keys over those of ``link``."""
    near = "{ rate_gbit_per_s = 100, latency_us = 3 }"
    sites = "".join(
        f'[[site]]\nname = "{name}"\nnodes = 2\nranks_per_node = 1\n'
        f"site_link = {near}\nnode_link = {near}\n"
        for name in "ab"
    )
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    file = folder / "made.toml"
    file.write_text(f'{sites}[[trunk]]\nbetween = ["a", "b"]\n{link}\n{lines}')
    return read_document(file).topology


def given_in(link):
    """The keys that a link has, its own or those of its preset."""
    text = LINKS[link]
    if "preset" in text:
        preset = Path(emul.__file__).parent / "links" / "presets" / f"{link}.toml"
        text = preset.read_text()
    return set(re.findall(r"^(\w+) = ", text, re.MULTILINE))


def left_out(link):
    """The defaults that a link of LINKS can be given: of keys that it lacks and that fit."""
    has = given_in(link)
    other = OF_PATHS if "latency_us" in has else set()
    if "line_gbit_per_s" not in has or "framing" in has:
        other = other | {"efficiency"}
    return sorted(set(DEFAULTS) - has - other)


def test_the_page_says_a_default_of_most_numbers():
    assert DEFAULTS["streams"] == "1"
    assert DEFAULTS["mtu_bytes"] == "4096"
    assert DEFAULTS["slow_start"] == "false"
    assert len(DEFAULTS) >= 25


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trunks")


def times(folder, stack, link, keys, collective, nbytes):
    """The times over ``link``, and over it with the defaults of ``keys`` written out."""
    count = max(4, nbytes - nbytes % 4)
    return [
        World(topology(folder, LINKS[link], more), stack=stack)
        .predict(collective, count, dtype="uint8")
        .timeline.total_ps
        for more in ({}, {key: DEFAULTS[key] for key in keys})
    ]


@pytest.mark.covering(1)
@pytest.mark.parametrize("link", sorted(LINKS))
@pytest.mark.parametrize("stack", STACKS)
def test_all_defaults_at_once_change_no_time(folder, stack, link):
    bare, written = times(folder, stack, link, left_out(link), "all_reduce", 1 << 22)
    assert bare == written


@examples(30)
@given(
    st.sampled_from(STACKS), st.sampled_from(sorted(LINKS)), st.data(),
    st.sampled_from(["all_gather", "broadcast", "send_recv"]), st.integers(1, 1 << 24),
)  # fmt: skip
def test_some_defaults_change_no_time(folder, stack, link, data, collective, nbytes):
    keys = data.draw(st.lists(st.sampled_from(left_out(link)), min_size=1, unique=True))
    bare, written = times(folder, stack, link, keys, collective, nbytes)
    assert bare == written
