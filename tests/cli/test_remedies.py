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
        "larger windows": prediction(large, slicing)[1],
        "fewer losses": prediction(topology.without(["loss"]), slicing)[1],
        "more slots": prediction(topology, Slicing(512 << 10, UNLIMITED))[1],
    }
    for name, other in others.items():
        lower = other.window_bound_s < found.window_bound_s * (1 - 1e-9)
        assert (name in said) == lower, (name, said)
    assert " or more connections can lower the second" in said
    free = prediction(topology.without(["window", "loss"]), Slicing(512 << 10, UNLIMITED))[1]
    assert free.window_bound_s <= 1.01 * found.bound_s
    ratio = float(re.search(r"up to (\S+) times\.", said)[1])
    assert ratio == pytest.approx(found.window_bound_s / found.bound_s, rel=0.01)


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
    assert _too_late([late], 1.0) is None
