"""Sentences that explain a number, held against what was computed."""

import json
import re
from dataclasses import replace
from itertools import product

import pytest
from command import run_here

from emul import World
from emul.cli.perf import _too_late
from emul.report import closing_words
from emul.report.plans import plan_sheet
from emul.timing import UNLIMITED, Slicing
from emul.topology import read_topology


def between(tmp_path, *, window=0.0, loss=0.0):
    """Two sites of two ranks, 20 ms and 8 Gbit/s apart."""
    link = "{ rate_gbit_per_s = 100, latency_us = 1 }"
    path = tmp_path / "two.toml"
    path.write_text(
        f"""
        [defaults]
        node_link = {link}
        site_link = {link}
        [[site]]
        name = "a"
        nodes = [2]
        [[site]]
        name = "b"
        nodes = [2]
        [[trunk]]
        between = ["a", "b"]
        rate_gbit_per_s = 8
        latency_us = 20000
        window_bytes = {window}
        loss = {loss}
        recovery = "{"sr" if loss else "none"}"
        """
    )
    return read_topology(path)


CONDITIONS = list(product((0, 4 << 20, 1 << 40), (0, 1e-4, 1e-15), (1, 8, UNLIMITED)))


@pytest.mark.parametrize(("window", "loss", "slots"), CONDITIONS)
def test_each_remedy_that_is_named_lowers_the_bound_and_no_other(tmp_path, window, loss, slots):
    topology, slicing = between(tmp_path, window=window, loss=loss), Slicing(512 << 10, slots)

    def prediction(topology, slicing):
        world = World(topology, slicing=slicing)
        return world, world.predict("broadcast", 1 << 24, algorithm="direct")

    world, found = prediction(topology, slicing)
    said = next(
        (each for each in closing_words(world, found, found) if each.startswith("Bound: ")), None
    )
    assert (said is None) == (found.window_bound_s <= 1.01 * found.bound_s)
    if said is None:
        return
    large = between(tmp_path, window=1 << 40 if window else 0, loss=loss)
    others = {
        "larger windows": prediction(large, slicing)[1].window_bound_s,
        "no losses": prediction(topology.without(["loss"]), slicing)[1].window_bound_s,
        "more slots": prediction(topology, Slicing(512 << 10, UNLIMITED))[1].window_bound_s,
        "more connections": found.bound_s,
    }
    told = {
        name: float(times) for times, name in re.findall(r"(\S+) times less with ([\w ]+)", said)
    }
    assert told == {
        name: pytest.approx(found.window_bound_s / other_s, rel=5e-3)
        for name, other_s in others.items()
        if other_s < found.window_bound_s * (1 - 1e-6)
    }
    assert "more connections" in told


def told(world, start, algorithm="ring"):
    """The closing line of an all_reduce of 64 MiB that begins so, or None."""
    found = world.predict("all_reduce", 1 << 26, algorithm=algorithm)
    return next((e for e in closing_words(world, found, None) if e.startswith(start)), None)


@pytest.mark.parametrize(
    ("stack", "window", "remedy"),
    [("nccl", 0, "larger windows"), ("nccl over RDMA", 0, "more slots"),
     ("nccl", 1 << 20, "larger windows"),
     ("openmpi", 1 << 20, "larger windows"), ("gloo", 1 << 20, "larger windows")],
)  # fmt: skip
def test_it_is_the_slots_of_a_stack_or_the_window_that_binds(tmp_path, stack, window, remedy):
    """Open MPI and Gloo have no slots, nor has NCCL over sockets, where nothing tells otherwise."""
    name, _, rdma = stack.partition(" over ")
    options = {"NCCL_NET": "IB"} if rdma else {}
    world = World(between(tmp_path, window=window), stack=name, stack_options=options)
    said = told(world, "Bound: ")
    assert [name for _, name in re.findall(r"(\S+) times less with ([\w ]+)", said)] == [
        remedy,
        "more connections",
    ]


def test_open_mpi_and_gloo_without_windows_have_no_bound_of_their_own(tmp_path):
    for stack in ("openmpi", "gloo"):
        assert told(World(between(tmp_path), stack=stack), "Bound: ") is None


def test_as_what_a_stack_sends_is_told_and_what_is_assumed_of_a_node(tmp_path):
    apart = tmp_path / "apart.toml"
    between(tmp_path)
    apart.write_text((tmp_path / "two.toml").read_text().replace("nodes = [2]", "nodes = [1, 1]"))
    for stack, name, ring in (
        ("nccl", "nccl Simple", "ring,loops=16"),  # a loop: 4 ranks, 2 channels, 2 MiB
        ("openmpi", "openmpi", "ring"),
        ("gloo", "gloo", "ring"),
    ):
        shared, own = (
            told(World(each, stack=stack), "Stack: ")
            for each in (read_topology(tmp_path / "two.toml"), read_topology(apart))
        )
        net = " Between nodes by sockets (assumed: no link tells; NCCL_NET does)."
        assert own == f"Stack: as {name} sends {ring} at 256 MiB.{net * (stack == 'nccl')}"
        assert (" Inside a node: assumed: " in shared) == (stack == "openmpi")
    assert told(World(read_topology(apart)), "Stack: ") is None


@pytest.mark.parametrize("collective", ["broadcast", "gather", "all_reduce"])
def test_the_busiest_rank_is_one_rank(tmp_path, collective):
    """The root of a broadcast sends, and others receive: nobody does both."""
    from emul.plans import build_plan

    topology = between(tmp_path)
    plan = build_plan(collective, "direct", (2, 2))
    (said,) = (line for line in plan_sheet(plan, topology, 0) if "node links of a" in line)
    if collective == "all_reduce":
        assert "the busiest rank sends " in said
    else:
        assert re.search(r": a rank sends at most \S+ buffers, another receives \S+$", said)


def test_a_late_call_names_the_blame_that_was_measured(tmp_path):
    path = tmp_path / "out.json"
    run_here("perf", "-b", "8", "-e", "8", "-n", "1", "-w", "0", "--json", str(path))
    row = json.loads(path.read_text())["rows"][0]
    from emul.report import PerfRow

    late = replace(PerfRow(**row), lag_max_s=1.0, enough_dilation=0.5)
    for blame, why in (
        ("waiting", "waits ended late"),
        ("program", "emul itself was at something else"),
        ("arithmetic", "it is modelled to take no time"),
    ):
        assert f"; {why}: " in _too_late([replace(late, blame=blame)], 0.1)
    found = _too_late([replace(late, blame="arithmetic", enough_dilation=7.01)], 0.1)
    assert "; --dilation 7.1 would have been enough for the arithmetic" in found
    sooner = replace(late, blame="arithmetic", enough_dilation=3.0)
    slower = replace(sooner, enough_dilation=7.01)
    assert "--dilation 7.1 would" in _too_late([sooner, slower], 0.1)
    assert _too_late([late], 1.0) is None
