"""``emul calibrate`` as a user runs it."""

import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest
from command import emul, printed_by
from measured import logs

from emul.topology import read_topology

SIZES = [8 << k for k in range(28)]
ONE_SITE = """\
[[site]]
name = "hall"
nodes = 8
ranks_per_node = 1
node_link = {{ rate_gbit_per_s = {rate}, latency_us = {latency} }}
site_link = {{ rate_gbit_per_s = {rate}, latency_us = {latency} }}
"""


def nccl_log(n, *, base_s=20e-6, step_s=7e-6, rate=12e9, hosts=None, seed=0):
    """A log of a ring all-reduce with 1 % of noise, as nccl-tests prints it."""
    draws = np.random.default_rng([seed, n])
    times = [
        (
            size,
            *(
                (base_s + 2 * (n - 1) * (step_s + size / n / rate))
                * math.exp(0.01 * draws.normal())
                for _ in range(2)
            ),
        )
        for size in SIZES
    ]
    return logs.nccl_log("all_reduce", hosts or [1] * n, times)


def parameters(path):
    document = json.loads(path.read_text())
    return {each["name"]: each for each in document["parameters"]}


def calibrated(folder, *arguments):
    result = emul("calibrate", *arguments, "--json", "found.json", "--out", "out.toml", cwd=folder)
    assert result.returncode == 0, result.stderr
    return result.stdout, parameters(folder / "found.json")


def test_logs_and_a_ping_give_every_parameter_and_a_topology(tmp_path):
    for n in (2, 8, 32):
        (tmp_path / f"{n}.log").write_text(nccl_log(n))
    (tmp_path / "ping.txt").write_text(
        logs.ping_log([0.0101, 0.0100, 0.0099, 0.0102, 0.0098, 0.0100])
    )
    out, found = calibrated(tmp_path, "2.log", "8.log", "32.log", "ping.txt")
    # the truths are those that the logs were made of; the ping takes twice 5 us
    assert found["base_us"]["value"] == pytest.approx(20, rel=0.02)
    assert found["latency_us"]["value"] == pytest.approx(5, rel=0.02)
    step = found["latency_us"]["value"] + found["overhead_us"]["value"]
    assert step == pytest.approx(7, rel=0.02)
    assert found["rate_gbit_per_s"]["value"] == pytest.approx(96, rel=0.02)
    for each in found.values():
        assert each["low"] < each["value"] < each["high"]
        assert each["status"] == "measured"
        assert each["name"] in out
    assert "warning" not in out
    assert "latency is half of the median of 6 packets, 0.01 ms" in out
    link = read_topology(tmp_path / "out.toml").sites[0].link
    assert link.latency_s * 1e6 == pytest.approx(found["latency_us"]["value"])
    assert "Each call takes" in (tmp_path / "out.toml").read_text()


def test_what_one_log_cannot_tell_is_said_in_words(tmp_path):
    (tmp_path / "a.log").write_text(nccl_log(8))
    out, found = calibrated(tmp_path, "a.log")
    assert "warning: latency and overhead cannot be told apart" in out
    assert found["overhead_us"]["status"] == "assumed"
    assert found["latency_us"]["value"] == pytest.approx(7 + 20 / 14, rel=0.02)
    assert "base_us" not in found
    text = (tmp_path / "out.toml").read_text()
    assert "# Warning: latency and overhead cannot be told apart" in text
    assert 'overhead_us = "assumed: in latency_us"' in text
    held = "measured: a.log (all_reduce over 8 ranks); the overhead of a message included"
    assert held in text


def test_the_topology_is_accepted_shown_and_used(tmp_path):
    (tmp_path / "a.log").write_text(nccl_log(8, hosts=[4, 4]))
    calibrated(tmp_path, "a.log")
    check = emul("topology", "check", "out.toml", cwd=tmp_path)
    assert check.stdout == "out.toml: good: 8 ranks at 1 sites, 0 trunks\n"
    shown = emul("topology", "show", "--sources", "out.toml", cwd=tmp_path).stdout
    assert re.search(r"latency_us .* measured +a\.log \(all_reduce over 8 ranks\); the ov", shown)
    perf = ["--clock", "virtual", "-n", "1", "-w", "0", "-b", "1M", "-e", "1M"]
    assert emul("perf", "--topology", "out.toml", *perf, cwd=tmp_path).returncode == 0


def perf_json(folder, topology, *arguments):
    (folder / "made.toml").write_text(topology)
    result = emul("perf", "--topology", "made.toml", "--clock", "virtual", "--algorithm", "ring",
                  "-n", "1", "-w", "0", "-c", "0", "-b", "512", "-e", "16M", *arguments,
                  "--nccl-json", "made.json", cwd=folder)  # fmt: skip
    assert result.returncode == 0, result.stderr


FAST, USUAL, FAR = (2000, 0.7), (80, 20), (1, 5000)
"""Gbit/s and us: a hop inside a node, one inside a hall, one over 1000 km."""


@pytest.mark.parametrize(
    ("collective", "link", "slice_bytes"),
    [
        ("all_reduce", FAST, "512K"),
        ("all_reduce", USUAL, "0"),
        ("all_reduce", FAR, "512K"),
        ("all_gather", USUAL, "0"),
        ("reduce_scatter", USUAL, "512K"),
        ("broadcast", FAR, "512K"),
    ],
)
def test_what_emul_models_is_calibrated_back(collective, link, slice_bytes, tmp_path):
    rate, latency = link
    made = ONE_SITE.format(rate=rate, latency=latency)
    perf_json(tmp_path, made, collective, "--no-window", "--slice", slice_bytes)
    _, found = calibrated(tmp_path, "made.json")
    assert found["latency_us"]["value"] == pytest.approx(latency, rel=0.02)
    assert found["rate_gbit_per_s"]["value"] == pytest.approx(rate, rel=0.02)


INNER = """\
[defaults.node_link]
rate_gbit_per_s = 400
latency_us = 1
[defaults.site_link]
rate_gbit_per_s = 100
latency_us = 6
[defaults.trunk]
rate_gbit_per_s = 8
latency_us = 300
"""


def test_a_trunk_is_calibrated_back_beside_the_links_of_a_base(tmp_path):
    names = ("north", "east", "south")
    sites = "".join(f'[[site]]\nname = "{name}"\nnodes = [2, 2]\n' for name in names)
    pairs = [("north", "east"), ("east", "south"), ("south", "north")]
    trunks = "".join(f'[[trunk]]\nbetween = ["{a}", "{b}"]\n' for a, b in pairs)
    perf_json(tmp_path, INNER + sites + trunks, "all_reduce")
    out, found = calibrated(tmp_path, "made.json", "--base", "made.toml")
    assert "trunk link:" in out
    assert found["latency_us"]["value"] == pytest.approx(300, rel=0.02)
    assert found["rate_gbit_per_s"]["value"] == pytest.approx(8, rel=0.02)
    topology = read_topology(tmp_path / "out.toml")
    assert [site.name for site in topology.sites] == ["north", "east", "south"]
    assert topology.sites[0].link == read_topology(tmp_path / "made.toml").sites[0].link
    assert "as in made.toml, inside north" in (tmp_path / "out.toml").read_text()


def test_ping_and_iperf_of_a_trunk(tmp_path):
    (tmp_path / "ping.txt").write_text(logs.ping_log([12.1, 12.0, 12.2, 12.1]))
    (tmp_path / "iperf.json").write_text(logs.iperf_log([0.2e9, 0.9e9, 0.98e9, 0.97e9, 0.98e9]))
    out, found = calibrated(tmp_path, "ping.txt", "iperf.json", "--sites", "a=4,b=4")
    assert found["latency_us"]["value"] == pytest.approx(12.1e3 / 2)
    assert found["rate_gbit_per_s"]["value"] == pytest.approx(0.98)
    assert "after 2 of the ramp" in out
    topology = read_topology(tmp_path / "out.toml")
    assert topology.world_size == 8
    assert topology.trunks[0].link.latency_s == pytest.approx(6.05e-3)


def test_osu_needs_to_be_told_how_many_ranks(tmp_path):
    times = [(size, f"{7 * (9 + size / 8 / 1e3):.2f}") for size in SIZES[:20]]
    (tmp_path / "osu.txt").write_text(logs.osu_log("reduce_scatter", times))
    refused = emul("calibrate", "osu.txt", cwd=tmp_path)
    assert (refused.returncode, "needed --world-size" in refused.stderr) == (2, True)
    for told in ("8", "osu.txt=8"):
        _, found = calibrated(tmp_path, "osu.txt", "--world-size", told)
        assert found["latency_us"]["value"] == pytest.approx(9, rel=0.02)
        assert found["rate_gbit_per_s"]["value"] == pytest.approx(8, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'FILE...'"),
        (["none.log"], "none.log: cannot be read"),
        (["cut.log"], "cut.log, line "),
        (["good.log", "--sites", "a=3"], "needed 8, as many as took part"),
        (["good.log", "--sites", "a=4,a=4"], "needed NAME=RANKS"),
        (["good.log", "--sites", "a=x"], "needed NAME=RANKS"),
        (["good.log", "--sites", "8"], "needed NAME=RANKS"),
        (["good.log", "--sites", "a=" + "9" * 5000], "needed NAME=RANKS"),
        (["good.log", "--world-size", "9" * 5000], "needed 2 ranks or more"),
        (["good.log", "--world-size", "1"], "needed 2 ranks or more"),
        (["good.log", "--world-size", "other.log=4"], "needed one of good.log"),
        (["good.log", "--link", "trunk"], "no two of these ranks are joined by such a link"),
        (["good.log", "--link", "trunks"], "'trunks' is not one of"),
        (["good.log", "--algorithm", "tree"], "unknown algorithm 'tree'"),
        (["good.log", "--collective", "all"], "unknown collective 'all'"),
        (["good.log", "--base", "none.toml"], "none.toml: cannot be read"),
        (["good.log", "--slice", "x"], "'x': needed a number of bytes"),
        (["good.log", "--out", "no/such/folder.toml"], "cannot be written"),
        (["good.log", "--json", "no/such/folder.json"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint, tmp_path):
    good = nccl_log(8)
    (tmp_path / "good.log").write_text(good)
    (tmp_path / "cut.log").write_text(good[: len(good) // 2])
    result = emul("calibrate", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_refused_file_leaves_what_was_written_before(tmp_path):
    (tmp_path / "out.toml").write_text("as it was")
    (tmp_path / "bad.csv").write_text("collective,world_size,size_bytes\n")
    result = emul("calibrate", "bad.csv", "--out", "out.toml", cwd=tmp_path)
    assert "line 1: no column 'time_s'" in result.stderr
    assert (tmp_path / "out.toml").read_text() == "as it was"


def test_a_log_that_was_cut_is_refused_with_the_way_to_its_complete_rows(tmp_path):
    whole = nccl_log(4)
    (tmp_path / "whole.log").write_text(whole)
    (tmp_path / "cut.log").write_text(whole[: whole.index("# Out")])
    result = emul("calibrate", "cut.log", cwd=tmp_path)
    assert result.returncode == 2
    assert "--partial" in result.stderr
    printed, found = calibrated(tmp_path, "cut.log", "--partial")
    assert "note: cut.log: the run of line 3 lacks the closing lines" in " ".join(printed.split())
    _, expected = calibrated(tmp_path, "whole.log")
    name = "rate_gbit_per_s"
    assert found[name]["value"] == pytest.approx(expected[name]["value"])


def test_help_says_what_a_csv_has():
    said = " ".join(emul("calibrate", "--help").stdout.split())
    assert "columns collective, world_size, size_bytes (of the whole vector) and time_s" in said
    assert "kind is latency (one way), rtt" in said
    assert "pip install '.[calibrate]'" in said


def test_scipy_is_imported_only_when_calibrate_runs():
    script = "import sys, emul.cli.main; print([m for m in ('scipy', 'emul.measured') if m in sys.modules])"  # noqa: E501
    assert printed_by(script) == "[]\n"


def test_without_scipy_it_says_what_to_install(tmp_path):
    (tmp_path / "a.log").write_text(nccl_log(8))
    script = (
        "import sys; sys.modules['scipy'] = None\n"
        "sys.argv = ['emul', 'calibrate', 'a.log']\n"
        "from emul.cli.main import run; run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2
    assert done.stderr == (
        "emul: calibrating needs scipy, which is not installed: pip install '.[calibrate]'\n"
    )
