"""A link fitted by the emulator, as a library sends: the library's constants are no part of it."""

import re

import pytest
from click.testing import CliRunner
from stacks.rooms import NVLINK

from emul import Link, Node, Site, Topology, World
from emul.cli.main import main
from emul.errors import MeasurementError
from emul.measured import Measurement
from emul.runtime.stack_fit import fit_by_stack
from emul.stacks.profile import load_stack
from emul.stacks.transport import with_options

SIZES = [1 << k for k in range(3, 30, 3)]
IB = with_options(load_stack("nccl"), {"NCCL_NET": "IB"})


def room(link):
    return Topology("room", (Site("a", (Node(2, NVLINK),) * 2, link),))


def times(link, collective="all_reduce", stack=IB):
    world = World(room(link), stack=stack)
    return [
        Measurement(
            collective,
            world.predict(collective, nbytes, dtype="uint8").time_s,
            "a.log",
            nbytes,
            world.size,
        )
        for nbytes in SIZES
    ]


def test_a_curve_over_protocols_gives_back_its_link():
    link = Link(25e9, 20e-6)
    rows = times(link)
    found = fit_by_stack(rows, IB, room, Link(49e9, 1e-6))
    calibration = found.calibration
    assert calibration.latency_s.value == pytest.approx(20e-6, rel=0.01)
    assert calibration.rate_bytes_per_s.value == pytest.approx(25e9, rel=0.01)
    assert calibration.overhead_s is None
    assert "beside the constants of the stack nccl" in calibration.latency_s.holds
    assert (found.stack.net, calibration.worst_error < 0.02) == ("IB", True)
    # Nothing of the library is counted twice: over the link that was found, the times are the same.
    again = Link(calibration.rate_bytes_per_s.value, calibration.latency_s.value)
    for row, other in zip(rows, times(again), strict=True):
        assert other.time_s == pytest.approx(row.time_s, rel=0.02)


def test_a_number_that_changes_no_time_is_not_measured():
    rows = [row for row in times(Link(49e9, 1e-3)) if row.size_bytes < 1000]
    found = fit_by_stack(rows, IB, room, Link(49e9, 1e-4)).calibration
    assert found.rate_bytes_per_s is None
    assert found.latency_s.value == pytest.approx(1e-3, rel=0.01)
    assert found.warnings[0].startswith("the rate of the link changes none of these times")


def test_sizes_that_do_not_fit_are_named():
    rows = times(Link(25e9, 20e-6))
    rows[0] = Measurement("all_reduce", 10 * rows[0].time_s, "a.log", SIZES[0], 4)
    found = fit_by_stack(rows, IB, room, Link(25e9, 20e-6)).calibration
    assert found.latency_s.value == pytest.approx(20e-6, rel=0.1)  # one in nine counts little
    (said,) = found.warnings
    assert re.search(r"does not fit 1 of 9 sizes, from 8 B to 8 B: .* 9\.\d+ times too quick", said)


def test_ranks_that_are_not_there_are_refused():
    row = Measurement("all_reduce", 1e-3, "a.log", 8, 16)
    with pytest.raises(MeasurementError, match="over 16 ranks: needed 4 ranks, as --sites"):
        fit_by_stack([row], IB, room, Link(1e9, 1e-6))


def csv_of(rows, path):
    lines = [f"{row.kind},{row.world_size},{row.size_bytes},{row.time_s}" for row in rows]
    path.write_text("\n".join(["collective,world_size,size_bytes,time_s", *lines]) + "\n")
    return path


def calibrated(*arguments):
    return CliRunner().invoke(main, ["calibrate", *map(str, arguments)])


def test_a_topology_fitted_by_a_stack_is_for_that_stack(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "base.toml"
    base.write_text(
        "[defaults.node_link]\nrate_gbit_per_s = 2968\nlatency_us = 0.5\noverhead_us = 2.9\n"
        "[defaults.site_link]\nrate_gbit_per_s = 392\nlatency_us = 3\n"
        '[[site]]\nname = "a"\nnodes = 2\nranks_per_node = 2\n'
    )
    rows = times(Link(25e9, 20e-6))
    out = tmp_path / "mine.toml"
    path = csv_of(rows, tmp_path / "curve.csv")
    result = calibrated(path, "--base", base, "--link", "site", "--stack", "nccl",
                        "--stack-option", "NCCL_NET=IB", "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    world = World(str(out), stack="nccl")
    assert (world.stack.net, world.stack.net_assumed) == ("IB", False)
    for row in rows:
        found_s = world.predict("all_reduce", int(row.size_bytes), dtype="uint8").time_s
        assert found_s == pytest.approx(row.time_s, rel=0.03)
    assert "emul perf --stack nccl, whose constants are no part" in out.read_text()
    for wrong in (["--algorithm", "ring", "--stack", "nccl"], ["--stack-option", "NCCL_NET=IB"]):
        assert calibrated(path, "--base", base, *wrong).exit_code == 2


def test_a_curve_of_another_form_gives_no_link(tmp_path):
    # Small messages ten times as quick as one ring by one protocol: no base and rate fit both.
    times_s = {8 << k: 20e-6 * 1.05**k if k < 16 else 2e-3 * 2 ** (k - 16) for k in range(30)}
    rows = [Measurement("all_reduce", each, "a", size, 16) for size, each in times_s.items()]
    out = tmp_path / "mine.toml"
    result = calibrated(csv_of(rows, tmp_path / "curve.csv"), "--out", out)
    assert result.exit_code == 1
    assert "the form is off by twice or more at" in result.output
    assert "--stack nccl" in result.output
    assert not out.exists()
