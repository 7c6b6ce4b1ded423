"""Lines, words and files of ``emul perf``; every figure is worked out by hand."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from emul import Link, Node, Site, Topology, World
from emul.cli.main import main
from emul.ops.exact import ExactData
from emul.plans import ALGORITHMS
from emul.report.closing import closing_of
from emul.report.perf_row import modelled_row, perf_row
from emul.report.table import WideTable
from emul.report.words import closing_words
from emul.units import format_time
from emul.wall.lag import CallTimes, Lag

# Ranks 0 and 1 at a, rank 2 at b: 10 GB/s of ports, a trunk of 1 GB/s and 1 ms.
TOPOLOGY = """
[defaults.node_link]
rate_gbit_per_s = 80
latency_us = 0
[defaults.site_link]
rate_gbit_per_s = 80
latency_us = 0
[defaults.trunk]
rate_gbit_per_s = 8
latency_us = 1000
[[site]]
name = "a"
nodes = [1, 1]
[[site]]
name = "b"
nodes = [1]
[[trunk]]
between = ["a", "b"]
"""
SIZE = 1_000_000
ONE = ["-b", "1000000", "-e", "1000000", "-n", "3", "-w", "0", "-c", "0", "--slice", "0"]


@pytest.fixture
def perf(tmp_path):
    """A function that runs ``emul perf`` in this process: its result, and the rows of its JSON."""
    path, written = tmp_path / "t.toml", tmp_path / "rows.json"
    path.write_text(TOPOLOGY)

    def run(*arguments, size=ONE, clock="virtual"):
        asked = ["perf", *arguments, *size, "--topology", str(path), "--clock", clock]
        result = CliRunner().invoke(main, [*asked, "--json", str(written)])
        assert not result.exception or isinstance(result.exception, SystemExit), result.output
        return result, json.loads(written.read_text())["rows"]

    return run


@pytest.mark.parametrize("root", [0, 2])
def test_a_broadcast_over_one_trunk(perf, root):
    _, (row,) = perf("broadcast", "--algorithm", "direct", "-r", str(root))
    # From b both copies cross the trunk, 2 MB; from a one does, behind the one to its neighbour.
    copies = 2 if root == 2 else 1
    started_s = 0.0 if root == 2 else 1e-4
    assert row["modelled_s"] == pytest.approx(started_s + copies * 1e-3 + 1e-3, rel=1e-6)
    assert row["cross_site_bytes"] == copies * SIZE
    assert row["algbw_GBps"] == pytest.approx(SIZE / row["modelled_s"] / 1e9)
    assert row["busbw_GBps"] == pytest.approx(row["algbw_GBps"])
    assert row["slowest_trunk_GBps"] == pytest.approx(copies * SIZE / row["modelled_s"] / 1e9)
    assert (row["size_bytes"], row["count"], row["root"], row["redop"]) == (
        SIZE, SIZE // 4, root, "none",
    )  # fmt: skip


def test_a_sum_has_the_factor_of_its_collective(perf):
    _, (row,) = perf("all_reduce", "--algorithm", "ring", "-d", "uint8")
    assert row["busbw_GBps"] == pytest.approx(4 / 3 * row["algbw_GBps"])
    assert (row["count"], row["root"], row["redop"]) == (SIZE, -1, "sum")


def test_the_count_of_blocks_is_that_of_one_rank(perf):
    _, (row,) = perf("all_gather", "--algorithm", "ring", "-d", "uint8")
    assert (row["size_bytes"], row["count"]) == (999_999, 333_333)
    assert row["busbw_GBps"] == pytest.approx(2 / 3 * row["algbw_GBps"])


def cells(result):
    return [line.split() for line in result.output.splitlines() if re.match(r" +\d", line)]


def test_the_table_has_microseconds_and_gigabytes(perf):
    result, (row,) = perf("broadcast", "--algorithm", "direct", "-r", "2")
    (line,) = cells(result)
    size, count, kind, redop, root, us, algbw, busbw, crossing, trunk, bound = line[:11]
    assert (size, count, kind, redop, root) == ("1000000", "250000", "float", "none", "2")
    assert float(us) == pytest.approx(3000, rel=1e-4)
    assert (float(algbw), float(busbw)) == pytest.approx((0.3333, 0.3333), abs=1e-4)
    assert (crossing, float(trunk)) == ("2000000", pytest.approx(0.6667, abs=1e-4))
    assert float(bound) == pytest.approx(row["bound_s"] * 1e6, rel=1e-3)


def test_the_foot_averages_what_has_a_bandwidth_and_adds_up_what_is_wrong(perf, monkeypatch):
    monkeypatch.setattr(ExactData, "wrong", lambda self, output: len(output))
    sizes = ["-b", "1000", "-e", "4000", "-n", "1", "-w", "0", "-c", "2", "--slice", "0"]
    result, rows = perf("broadcast", "--algorithm", "direct", size=sizes)
    assert result.exit_code == 1
    assert [row["wrong"] for row in rows] == [6, 6, 6]
    assert "Out of bounds values" in result.output
    assert re.search(r"Out of bounds values +: 18 FAILED", result.output)
    average = np.mean([row["busbw_GBps"] for row in rows])
    assert re.search(rf"Avg bus bandwidth +: {average:g}\b", result.output)


def test_one_wrong_element_fails(perf, monkeypatch):
    monkeypatch.setattr(ExactData, "wrong", lambda self, output: 1)
    sizes = ["-b", "1000", "-e", "1000", "-n", "1", "-w", "0", "-c", "1"]
    result, _ = perf("broadcast", size=sizes)
    assert result.exit_code == 1
    assert re.search(r"Out of bounds values +: 1 FAILED", result.output)


def test_sizes_go_to_the_last_by_factors_or_by_steps(perf):
    few = ["-n", "1", "-w", "0", "-c", "0", "-d", "uint8"]
    _, rows = perf("broadcast", size=["-b", "8", "-e", "32", *few])
    assert [row["size_bytes"] for row in rows] == [8, 16, 32]
    _, rows = perf("broadcast", size=["-b", "8", "-e", "32", "-f", "4", *few])
    assert [row["size_bytes"] for row in rows] == [8, 32]
    _, rows = perf("broadcast", size=["-b", "8", "-e", "24", "-i", "8", *few])
    assert [row["size_bytes"] for row in rows] == [8, 16, 24]
    _, rows = perf("broadcast", size=["-b", "8", "-e", "8", *few])
    assert [row["size_bytes"] for row in rows] == [8]
    _, rows = perf("all_gather", size=["-b", "1", "-e", "2", *few])
    assert [row["count"] for row in rows] == [1]


def test_timed_calls_are_as_many_as_asked(perf, monkeypatch):
    from emul.ops import CpuOps

    calls = []
    perform = CpuOps.perform
    monkeypatch.setattr(
        CpuOps, "perform", lambda self, *rest: calls.append(0) or perform(self, *rest)
    )
    size = ["-b", "100", "-e", "100", "-n", "3", "-w", "2", "-c", "1", "--backend", "cpu"]
    perf("broadcast", "--algorithm", "direct", size=size)
    assert len(calls) == 6


def test_poison_is_found_where_nothing_was_written(perf, monkeypatch):
    """What checks sees only what its own run has written: buffers are poisoned before."""
    from emul.ops import CpuOps

    perform, calls = CpuOps.perform, []

    def lazy(self, program, buffers, reduction, root):
        calls.append(0)
        return perform(self, program, buffers, reduction, root) if len(calls) == 1 else buffers.out

    monkeypatch.setattr(CpuOps, "perform", lazy)
    size = ["-b", "100", "-e", "100", "-n", "1", "-w", "0", "-c", "1", "--backend", "cpu"]
    result, (row,) = perf("broadcast", "--algorithm", "direct", size=size)
    assert row["wrong"] > 0
    assert result.exit_code == 1


def test_nccl_json_has_microseconds_and_says_what_is_wrong(perf, tmp_path, monkeypatch):
    path = tmp_path / "nccl.json"
    perf("broadcast", "--algorithm", "direct", "-r", "2", "--nccl-json", str(path))
    document = json.loads(path.read_text())
    (result,) = document["results"]
    assert result["out_of_place"]["time"] == pytest.approx(3000, rel=1e-6)
    assert (result["size"], result["count"], result["type"]) == (SIZE, SIZE // 4, "float")
    assert document["out_of_bounds"] == {"count": 0, "okay": True}
    monkeypatch.setattr(ExactData, "wrong", lambda self, output: 2)
    size = ["-b", "100", "-e", "100", "-n", "1", "-w", "0", "-c", "1"]
    perf("broadcast", "--nccl-json", str(path), size=size)
    assert json.loads(path.read_text())["out_of_bounds"] == {"count": 2, "okay": False}


def test_the_quickest_is_not_among_the_others(perf):
    result, (row,) = perf("broadcast")
    (line,) = [each for each in result.output.splitlines() if each.startswith("Auto: ")]
    picked, others = re.match(
        r"Auto: (\S+) is the quickest .*; the others would take: (.*)", line
    ).groups()
    assert picked == row["algorithm"]
    assert picked not in [each.split()[0] for each in others.split(", ")]


def test_windows_of_one_connection_are_told_beside_the_links(perf):
    # Over the links 1 MB takes 1 ms, and 1 ms more. Of rank 2's two connections each has 8 slots of
    # 10 kB: 160 kB go at once, and each 2 ms as much again, so the other 840 kB take 10.5 ms.
    size = [*ONE[:-1], "10000"]
    result, (row,) = perf("broadcast", "--algorithm", "direct", "-r", "2", size=size)
    (line,) = [each for each in result.output.splitlines() if each.startswith("Bound: ")]
    by_links, by_window = re.findall(r"([\d.]+) ms", line)[:2]
    assert float(by_links) == pytest.approx(row["bound_s"] * 1e3, rel=1e-3)
    assert float(by_window) == pytest.approx(row["window_bound_s"] * 1e3, rel=1e-3)
    assert row["bound_s"] == pytest.approx(2e-3, rel=1e-6)
    assert row["window_bound_s"] == pytest.approx(11.5e-3, rel=1e-6)


def test_on_the_wall_clock_lags_are_of_all_timed_calls(perf):
    size = ["-b", "100", "-e", "100", "-n", "5", "-w", "0", "-c", "0"]
    result, (row,) = perf("broadcast", size=size, clock="wall")
    assert 0 <= row["lag_s"] <= row["lag_p99_s"] <= row["lag_max_s"]
    assert row["wall_s"] >= row["modelled_s"]
    assert "Lag of timed calls" in result.output


def test_the_middle_call_stands_for_all(tmp_path):
    """Calls of 10, 20 and 90 ms that were due after 8, 15 and 30 ms: 2, 5 and 60 ms behind."""
    (tmp_path / "topology.toml").write_text(TOPOLOGY)
    world = World(tmp_path / "topology.toml")
    run = world.broadcast(np.zeros((3, 4), dtype=np.float32))
    ms = 1_000_000
    runs = [
        replace(run, dilation=1.0, call_times=CallTimes(0, ms, due * ms, ms, ended * ms, due / 1e3))
        for ended, due in ((90, 30), (10, 8), (20, 15))
    ]
    row = perf_row(world, runs, redop="sum", root=0, seed=0, wrong=None)
    assert row.wall_s == pytest.approx(0.020)
    assert row.lag_s == pytest.approx(0.005)
    assert row.lag_p99_s == row.lag_max_s == pytest.approx(0.060)
    assert row.behind_share == pytest.approx(67 / 120)


def test_on_one_campus_it_is_the_quickest_and_no_bad_algorithm(perf):
    """Direct would send the vector twice through a port of 10 GB/s, in 0.2 ms; others do better."""
    port = Link(1e10, 0.0)
    one = World(Topology("one", (Site("one", (Node(1, port),) * 3, port),)), slicing=None)
    names = [name for name in ALGORITHMS if "broadcast" in ALGORITHMS[name].collectives]
    times = {name: one.predict("broadcast", SIZE // 4, algorithm=name).time_s for name in names}
    quickest = min(times, key=times.__getitem__)
    assert times["direct"] == pytest.approx(200e-6)
    assert 100e-6 <= times[quickest] < 150e-6
    result, (row,) = perf("broadcast", "--algorithm", "direct")
    (line,) = [each for each in result.output.splitlines() if each.startswith("One campus: ")]
    there, ratio = re.search(
        rf"would need (.*) for .* with {quickest}; .*, ([\d.]+) times as long", line
    ).groups()
    assert there == format_time(times[quickest])
    assert float(ratio) == pytest.approx(row["modelled_s"] / times[quickest], rel=1e-2)
    assert row["modelled_s"] > 1e-3  # on the trunk alone


def test_what_is_quicker_over_the_sites_is_not_compared(tmp_path):
    """An algorithm that is slower in one place is not the best that there is."""
    (tmp_path / "topology.toml").write_text(TOPOLOGY)
    world = World(tmp_path / "topology.toml")
    prediction = world.predict("broadcast", SIZE)
    slower = replace(prediction, timeline=world.predict("broadcast", 9 * SIZE).timeline)
    assert closing_of(world, prediction, slower).one_campus is None
    assert closing_of(world, prediction, prediction).one_campus.times == 1.0


def test_the_average_is_of_lines_that_have_a_bandwidth(tmp_path):
    (tmp_path / "topology.toml").write_text(TOPOLOGY)
    world = World(tmp_path / "topology.toml")
    prediction = world.predict("broadcast", 1 << 20)
    row = modelled_row(world, prediction, np.dtype("float32"), redop="sum", root=0, seed=0)
    rows = [replace(row, busbw_GBps=busbw) for busbw in (1.0, None, 4.0)]
    lag = Lag.of([CallTimes.at_once(0, 1, 1e-9)], 1.0)
    foot = WideTable(world, "broadcast", "auto").foot(rows, lag)
    (average,) = [each for each in foot if "Avg bus bandwidth" in each]
    assert re.search(r"Avg bus bandwidth +: 2\.5$", average)


@pytest.mark.parametrize(("ranks", "said"), [([0], "the one rank is"), ([0, 1], "all 2 ranks are")])
def test_ranks_at_one_site_are_in_one_place_already(ranks, said):
    world = World(World("one-campus").topology.of_ranks(ranks))
    found = world.predict("all_reduce", 16)
    assert closing_words(world, found, found)[0] == f"One campus: {said} in one place already."
