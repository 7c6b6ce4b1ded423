"""Profiles of stacks: those that come with emul, and one's own in TOML."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from strategies import link, one_site

from emul import ArgumentError, World
from emul.cli.main import main
from emul.errors import StackError
from emul.plans import COLLECTIVES
from emul.report import closing_words
from emul.stacks import IDEAL, NO_CONSTANTS, Choice, Constants, Stack
from emul.stacks.profile import load_stack, stack_names
from emul.topology import Node, Site, Topology, read_topology

OWN = """
name = "mine"
description = "of the fourth floor"
handshake = "rendezvous"
eager_bytes = 1000
control_bytes = 32
in_order = true

[constants]
call_us = 7
message_us = 3
control_us = 2
completion_us = 5
byte_ns = 0.5

[[choice]]
collective = "all_reduce"
algorithm = "direct"
ranks = 4
below_bytes = 4096

[[choice]]
collective = "all_reduce"
algorithm = "ring"

[sources]
constants = "assumed: none were measured"
"""

TOPOLOGY = """
[defaults.node_link]
rate_gbit_per_s = 8
latency_us = 1

[defaults.site_link]
rate_gbit_per_s = 8
latency_us = 10

[[site]]
name = "a"
nodes = 4
ranks_per_node = 1
"""


@pytest.fixture
def own(tmp_path):
    """A function that writes a profile and returns its path."""

    def write(text):
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return write


def test_the_names_are_those_of_the_libraries():
    versions = ("nccl@2.28", "nccl@2.30", "nccl@2.31")
    assert stack_names() == ("gloo", "ideal", "nccl", *versions, "openmpi")


@pytest.mark.parametrize("name", stack_names())
def test_a_stack_that_comes_with_emul_can_be_used(name):
    stack = load_stack(name)
    assert stack.name == name
    assert stack.description
    world = World(one_site(4, link()), stack=name)
    run = world.all_reduce(np.ones((4, 1000), np.float32))
    assert (run.output == 4).all()
    assert run.time_s >= run.bound_s


@pytest.mark.parametrize("name", sorted({*stack_names()} - {"ideal"}))
def test_every_number_of_a_library_has_a_source(name):
    stack = load_stack(name)
    usual = replace(IDEAL, name=name)
    for number in ("eager_bytes", "handshake", "slice_bytes", "tuner", "constants", "choices"):
        if getattr(stack, number) != getattr(usual, number):
            assert number.rstrip("s") in {source.rstrip("s") for source in stack.sources}, number


@pytest.mark.parametrize("name", stack_names())
@pytest.mark.parametrize("collective", COLLECTIVES)
def test_what_a_library_chooses_can_be_built(name, collective):
    world = World(one_site(4, link()), stack=name)
    for count in (4, 40_000):
        assert world.predict(collective, count).time_s >= 0


def test_nccl_is_its_buffer_and_its_tuner():
    stack = load_stack("nccl")
    assert (stack.slice_bytes, stack.slots, stack.tuner) == (512 << 10, 8, "nccl")
    assert (stack.wire_factor, stack.constants, dict(stack.hop_overhead_s)) == (1, NO_CONSTANTS, {})


def test_a_profile_of_ones_own_is_read_as_it_stands(own):
    stack = load_stack(own(OWN))
    choices = (Choice("direct", 4, 4096), Choice("ring"))
    assert stack == Stack(
        "mine",
        "of the fourth floor",
        eager_bytes=1000,
        handshake="rendezvous",
        control_bytes=32,
        constants=Constants(7e-6, 3e-6, 2e-6, 5e-6, 0.5e-9),
        choices={"all_reduce": choices},
        sources={"constants": "assumed: none were measured"},
    )


def test_an_empty_profile_is_ideal_but_for_its_name(own):
    assert load_stack(own("")) == replace(IDEAL, name="mine", description="", in_order=False)


def test_a_profile_of_ones_own_works_through_the_world(own):
    world = World(one_site(4, link()), stack=own(OWN))
    assert world.stack.name == "mine"
    below, at = (world.predict("all_reduce", count).plan.algorithm for count in (1023, 1024))
    assert (below, at) == ("direct", "ring")
    # eager: 7 + 3 us, 4 bytes at 12.5 GB/s, 5 us on the way, 5 us + 4 x 0.5 ns to take it
    time_ps = world.predict("broadcast", 1, algorithm="direct").timeline.total_ps
    one = World(one_site(2, link()), stack=own(OWN)).predict("broadcast", 1, algorithm="direct")
    assert one.timeline.total_ps == 10_000_000 + 320 + 5_000_000 + 5_002_000
    assert time_ps > one.timeline.total_ps


def test_a_profile_of_ones_own_works_on_the_command_line(own, tmp_path):
    topology, rows = tmp_path / "a.toml", tmp_path / "rows.json"
    topology.write_text(TOPOLOGY)
    profile = own(OWN)
    arguments = f"--stack {profile} --topology {topology} --clock virtual --json {rows}"
    sizes = "-b 2K -e 8K -f 4 -n 1 -w 0"
    result = CliRunner().invoke(main, ["perf", *arguments.split(), *sizes.split()])
    assert result.exit_code == 0, result.output
    world, found = World(read_topology(topology), stack=profile), json.loads(rows.read_text())
    assert [row["algorithm"] for row in found["rows"]] == ["direct", "ring"]
    for row in found["rows"]:
        assert row["modelled_s"] == world.predict("all_reduce", row["count"]).time_s
        assert row["wrong"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed = 1", "unknown key 'speed': needed one of name, description, handshake, "),
        ("constants = { call_s = 1 }", "unknown key 'constants.call_s': needed one of call_us, "),
        ("[[choice]]\nsize = 1", "unknown key 'choice[0].size': needed one of collective, "),
        ("slots = ", "not TOML: Invalid value"),
        ("name = 3", "name = 3: needed a string that is not empty"),
        ("slice_bytes = -1", "slice_bytes = -1: needed a whole number from 0 to 1e+15 B"),
        ("slice_bytes = 1.5", "slice_bytes = 1.5: needed a whole number from 0 to 1e+15 B"),
        ("slots = 0", "slots = 0: needed a whole number from 1 to 1e+06 slots"),
        ("control_bytes = 0", "control_bytes = 0: needed a whole number from 1 to 1e+06 B"),
        ('eager_bytes = "big"', "eager_bytes = 'big': needed a number from 0 to 1e+15 B"),
        ("eager_bytes = nan", "eager_bytes = nan: needed a number from 0 to 1e+15 B"),
        ("in_order = 1", "in_order = 1: needed true or false"),
        ('handshake = "wave"', "handshake = 'wave': needed one of none, rendezvous, notice"),
        ('tuner = "mine"', "tuner = 'mine': needed one of none, nccl"),
        ("constants = 3", "constants = 3: needed a table"),
        ("constants.call_us = -1", "constants.call_us = -1: needed a number from 0 to 1e+09 us"),
        (
            "constants.byte_ns = true",
            "constants.byte_ns = True: needed a number from 0 to 1e+06 ns",
        ),
        ("choice = 3", "choice = 3: needed an array of tables, [[choice]]"),
        ('[[choice]]\ncollective = "reduce"', "choice[0] has no 'algorithm': needed a string"),
        ('[[choice]]\nalgorithm = "ring"', "choice[0] has no 'collective': needed a string"),
        (
            '[[choice]]\nalgorithm = "ring"\ncollective = "all_reduz"',
            "choice[0].collective = 'all_reduz': needed one of all_reduce, ",
        ),
        (
            '[[choice]]\nalgorithm = "ring"\ncollective = "reduce"\nranks = 0',
            "choice[0].ranks = 0: needed a number from 1 to 1e+06 ranks",
        ),
        (
            '[[choice]]\nalgorithm = "ring"\ncollective = "reduce"\nbelow_bytes = 0',
            "choice[0].below_bytes = 0: needed a number from above 0 to 1e+15 B",
        ),
        ("sources.slots = 3", "sources.slots = 3: needed a string that is not empty"),
        (
            'sources.slots = "I think"',
            "sources.slots = 'I think': needed a text that begins with measured: , published: , ",
        ),
    ],
)
def test_what_no_library_does_is_refused_with_file_key_value_and_need(own, text, message):
    path = own(text)
    with pytest.raises(StackError) as refused:
        World(one_site(2, link()), stack=path)
    assert str(refused.value).startswith(f"{path}: {message}")


def test_a_missing_profile_is_refused(tmp_path):
    path = tmp_path / "none.toml"
    with pytest.raises(StackError) as refused:
        load_stack(str(path))
    assert str(refused.value).startswith(f"{path}: cannot be read")


@pytest.mark.parametrize(
    ("name", "asked"), [("ncl", "; did you mean nccl?"), ("", ""), ("x.xml", "")]
)
def test_an_unknown_stack_is_refused_with_the_known_ones(name, asked):
    known = f"needed one of {', '.join(stack_names())}, a file ending in .toml"
    with pytest.raises(ArgumentError) as refused:
        World(one_site(2, link()), stack=name)
    assert str(refused.value) == f"unknown stack {name!r}: {known}{asked}"


@pytest.mark.parametrize(("ranks", "said"), [((1, 1, 1), False), ((2, 1), True), ((3,), True)])
@pytest.mark.parametrize("name", ["openmpi", "gloo"])
def test_how_ranks_of_a_node_send_is_named_where_it_is_assumed(name, ranks, said):
    place = Site("a", tuple(Node(each, link()) for each in ranks), link())
    world = World(Topology("t", (place,)), stack=name)
    prediction = world.predict("all_reduce", 1000)
    (line,) = (each for each in closing_words(world, prediction, None) if "Stack: " in each)
    # Open MPI takes shared memory inside a node, of which the constants are not those of TCP
    assert ("Inside a node: assumed: " in line) == (said and name == "openmpi")
