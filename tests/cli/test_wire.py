"""``--wire``: the table, the words, the files and the refusals of commands."""

import csv
import json

import numpy as np
import pytest
from command import run_here

import emul
from emul import World

PERF = ("perf", "--clock", "virtual", "-b", "64K", "-e", "64K", "-n", "1", "-w", "0")


def row_of(path):
    (row,) = json.loads(path.read_text())["rows"]
    return row


def test_perf_tells_the_error_of_normal_values(tmp_path):
    path, table = tmp_path / "out.json", tmp_path / "out.csv"
    asked = (*PERF, "--wire", "FP8", "--algorithm", "direct", "--seed", "3")
    status, out, err = run_here(*asked, "--json", str(path), "--csv", str(table))
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert "  wire fp8  iters 1  warmup 0  check 1" in lines[0]
    assert "# Out of bounds values : N/A, for values are rounded to fp8 on the wire" in lines
    (line,) = [each for each in lines if each.startswith(" ")]
    assert line.split()[-1] == "N/A"
    row = row_of(path)
    generator = np.random.default_rng(3)
    x = np.stack([generator.standard_normal(1 << 14, np.float32) for _ in range(24)])
    run = World("three-campus", seed=3).all_reduce(x, wire="fp8", algorithm="direct")
    assert (row["wire"], row["wrong"]) == ("fp8", None)
    assert row["wire_rms"] == run.error.wire_rms
    assert row["modelled_s"] == run.time_s
    assert row["size_bytes"] == 1 << 16
    assert lines[-1] == (
        "Wire: fp8, 0.2578 times the bytes of float32 for values and scales; at 64 KiB it puts the "
        f"output off by {100 * run.error.wire_rms:.2g} % of that in float32 (root mean square, of "
        "normal values)."
    )
    (printed,) = csv.DictReader(table.read_text().splitlines())
    assert (printed["wire"], float(printed["wire_rms"])) == ("fp8", row["wire_rms"])


def test_the_page_of_perf_says_what_is_printed(tmp_path):
    path = tmp_path / "page.html"
    _, out, _ = run_here(*PERF, "--sites", "2,2", "--wire", "int8", "--report", str(path))
    assert out.splitlines()[-1].startswith("Wire: int8, 0.2539 times")
    assert out.splitlines()[-1] in path.read_text()


def test_perf_without_data_or_checks_tells_no_error(tmp_path):
    for more in (("--no-data",), ("-c", "0")):
        path = tmp_path / "out.json"
        status, out, _ = run_here(*PERF, "--wire", "bf16", *more, "--json", str(path))
        assert status == 0
        assert out.splitlines()[-1] == (
            "Wire: bfloat16, 0.5 times the bytes of float32 for values; its error is told of runs "
            "that are checked."
        )
        assert (row_of(path)["wire"], row_of(path)["wire_rms"]) == ("bfloat16", None)


def test_perf_without_a_wire_format_says_nothing_of_it(tmp_path):
    path = tmp_path / "out.json"
    _, out, _ = run_here(*PERF, "--json", str(path))
    assert "wire" not in out.lower()
    assert (row_of(path)["wire"], row_of(path)["wire_rms"]) == (None, None)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--wire", "int9"), "unknown wire 'int9': needed one of float32, "),
        (("--wire", "int8", "-o", "max"), "wire int8 with op max: needed sum or avg"),
        (("--wire", "int8", "-d", "int32"), "wire int8 of elements of int32: needed one of"),
        (("broadcast", "--wire", "int8"), "wire int8 of broadcast: needed one of all_reduce"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--no-data",)])
def test_perf_refuses_calls_without_wire_formats(asked, said, more):
    status, out, err = run_here(*PERF, *asked, *more)
    assert (status, out) == (2, "")
    assert err.startswith(f"emul: {said}")
    assert err.count("\n") == 1


def test_explain_shares_out_the_time_of_a_wire_format(tmp_path):
    path = tmp_path / "out.json"
    asked = ("explain", "-b", "64K", "-e", "64K", "--wire", "int8", "--json", str(path))
    status, out, err = run_here(*asked, "--no-jitter", "--no-loss")
    world = World(World("three-campus").topology.without(["jitter", "loss"]))
    assert (status, err) == (0, "")
    assert out.startswith("all_reduce of float32, int8 on the wire, over 24 ranks")
    document = json.loads(path.read_text())
    found = emul.explain(world, "all_reduce", 1 << 14, wire="int8")
    assert document["wire"] == "int8"
    assert [each["time_ps"] for each in document["sizes"]] == [found.time_ps]
    predicted = world.predict("all_reduce", 1 << 14, wire="int8")
    assert found.time_ps == predicted.total_ps == sum(each.share_ps for each in found.shares)
