"""``emul calibrate`` says what it took, what was measured and what was not: on all ways out."""

import json
import math
import re
import sys

import numpy as np
import pytest
from command import emul
from measured import logs

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SIZES = [1 << k for k in range(10, 31, 4)]
STEPS = 6
"""Of a ring all-reduce over 4 ranks."""


def log(*halves, sizes=SIZES):
    """A log of 4 ranks; ``halves`` are latency and rate, out of place and in place."""
    times = [(s, *(STEPS * (lat + s / 4 / rate) for lat, rate in halves)) for s in sizes]
    return logs.nccl_log("all_reduce", [4], times)


def run(folder, *arguments):
    result = emul("calibrate", *arguments, "--json", "o.json", "--out", "o.toml", cwd=folder)
    return result, " ".join(result.stdout.split())


def written(folder):
    text = (folder / "o.toml").read_text()
    document = json.loads((folder / "o.json").read_text())
    return text, tomllib.loads(text), document


SLOW_HALF = ((10e-6, 10e9), (10e-6, 2e9))


@pytest.mark.parametrize(("half", "rate"), [("out-of-place", 80), ("in-place", 16)])
def test_halves_that_differ_are_refused_and_each_alone_is_right(half, rate, tmp_path):
    (tmp_path / "a.log").write_text(log(*SLOW_HALF))
    (tmp_path / "o.toml").write_text("as it was")
    refused, _ = run(tmp_path, "a.log")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1
    assert f"--half {half}" in refused.stderr
    assert (tmp_path / "o.toml").read_text() == "as it was"
    result, out = run(tmp_path, "a.log", "--half", half)
    assert result.returncode == 0
    text, topology, document = written(tmp_path)
    link = topology["defaults"]["node_link"]
    assert link["rate_gbit_per_s"] == pytest.approx(rate, rel=0.01)
    assert link["latency_us"] == pytest.approx(10, rel=0.01)
    place = half.replace("-", " ")
    (taken,) = document["files"][0]["taken"]
    assert (taken["places"], taken["measurements"]) == ([place], len(SIZES))
    other = "in place" if place == "out of place" else "out of place"
    for said in (out, text):
        assert place in said
        assert other not in said


def test_files_of_one_name_are_told_apart_and_one_file_is_not_taken_twice(tmp_path):
    for folder, rate in (("north", 10e9), ("south", 2e9)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.log").write_text(log((10e-6, rate), (10e-6, rate)))
    result, _ = run(tmp_path, "north/a.log", "south/a.log")
    assert "north/a.log and south/a.log differ, though both are all_reduce" in result.stderr
    result, _ = run(tmp_path, "north/a.log", "north/a.log")
    assert (result.returncode, "given 2 times: needed once" in result.stderr) == (2, True)


def test_a_half_that_is_not_there_is_refused(tmp_path):
    table = "collective,world_size,size_bytes,time_s\nall_reduce,4,{},{}\nall_reduce,4,{},{}\n"
    (tmp_path / "a.csv").write_text(table.format(8, 6e-5, 1 << 30, 0.16))
    assert run(tmp_path, "a.csv", "--half", "in-place")[0].returncode == 0
    result, _ = run(tmp_path, "a.csv", "--half", "both")
    assert "'both' is not one of 'out-of-place', 'in-place'" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"), [([], "assumed"), (["--algorithm", "ring"], "as --algorithm says")]
)
def test_what_was_taken_stands_in_the_table_the_json_and_the_topology(options, said, tmp_path):
    (tmp_path / "a.log").write_text(log((10e-6, 10e9), (10e-6, 10e9)))
    (tmp_path / "p.txt").write_text(logs.ping_log([0.018] * 6))
    _, out = run(tmp_path, "a.log", "p.txt", *options)
    text, topology, document = written(tmp_path)
    words = f"all_reduce over 4 ranks, ring ({said}), out of place and in place"
    assert f"a.log: nccl-tests, {2 * len(SIZES)} measurements: {words}" in out
    assert f"# By emul calibrate from a.log (nccl-tests): {words}." in text
    (taken,) = document["files"][0]["taken"]
    assert (taken["kind"], taken["ranks"], taken["algorithm"]) == ("all_reduce", 4, "ring")
    assert taken["algorithm_from"] == said
    # the protocol of a ping, and that it is one way of two
    assert "p.txt: ping, 1 measurement: latency, ICMP" in out
    assert "ICMP" in document["files"][1]["taken"][0]["how"]
    for each in document["parameters"]:
        if each["status"] == "measured" and "a.log" in each["source"]:
            assert "a.log (all_reduce over 4 ranks)" in each["source"]
    sources = topology["defaults"]["node_link"]["sources"]
    assert "p.txt (latency, ICMP" in sources["latency_us"]


def test_the_description_parts_what_was_measured_from_what_was_not(tmp_path):
    (tmp_path / "p.txt").write_text(logs.ping_log([4.0, 5.0, 6.0, 9.0, 4.5]))
    result, out = run(tmp_path, "p.txt")
    text, topology, document = written(tmp_path)
    assert result.returncode == 0
    assert (
        "of site links latency_us measured; overhead_us, rate_gbit_per_s assumed"
        in (topology["description"])
    )
    link = topology["defaults"]["site_link"]
    for name in ("latency_us", "overhead_us", "rate_gbit_per_s"):
        status = next(e["status"] for e in document["parameters"] if e["name"] == name)
        assert link["sources"][name].startswith(f"{status}: ")
    latency = document["parameters"][0]
    assert (latency["low"], latency["value"], latency["high"]) == (2000, 2500, 4500)
    assert latency["confidence"] == pytest.approx(1 - 2 / 2**5)
    assert "93.8 % from 2000 to 4500 us" in link["sources"]["latency_us"]
    assert "93.8 % from 2000 to 4500" in out
    assert "1 measurement for 1 parameter, so nothing is left to check the fit by" in out
    # what the file noted, and that loss is not calibrated, go with the numbers
    assert "# Note: p.txt: latency is half of the median of 5 packets, 5 ms." in text
    assert "# Loss, windows and delays that vary are not calibrated" in text


def test_nothing_measured_of_the_link_is_status_1_and_no_topology(tmp_path):
    """A base of a second hides steps of microseconds and messages of bytes."""
    lines = ["collective,world_size,size_bytes,time_s"]
    draws = np.random.default_rng(5)
    for ranks in (2, 4, 8):
        for size in (8, 64, 512):
            lines.append(f"all_reduce,{ranks},{size},{math.exp(0.05 * draws.normal())}")
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "o.toml").write_text("as it was")
    result, out = run(tmp_path, "a.csv", "--slice", "0")
    assert result.returncode == 1
    assert "nothing of the site link was measured" in out
    assert "o.toml: not written" in out
    assert (tmp_path / "o.toml").read_text() == "as it was"
    document = json.loads((tmp_path / "o.json").read_text())
    of_link = [each for each in document["parameters"] if each["name"] != "base_us"]
    assert {each["status"] for each in of_link} == {"assumed"}


def test_a_base_within_the_bounds_is_taken_and_one_beyond_them_is_not(tmp_path):
    """Sizes of the bandwidth regime: the latency is at most what the data allow."""
    draws = np.random.default_rng(1)
    times = [
        (s, *(STEPS * (1e-6 + s / 4 / 1e10) * math.exp(0.01 * draws.normal()) for _ in range(2)))
        for s in (1 << 28, 1 << 29, 1 << 30, 1 << 31)
    ]
    (tmp_path / "a.log").write_text(logs.nccl_log("all_reduce", [1] * 4, times))
    site = '[[site]]\nname = "s"\nnodes = 4\nranks_per_node = 1\n'
    fast, tcp = "rate_gbit_per_s = 80", 'recovery = "cubic"'
    node = f"{site}node_link = {{ {fast}, latency_us = 1 }}\n"
    for latency_us, kept in ((3.0, True), (1e6, False)):
        (tmp_path / "base.toml").write_text(
            f"{node}site_link = {{ {fast}, latency_us = {latency_us}, loss = 0.001, {tcp} }}\n"
        )
        result, out = run(tmp_path, "a.log", "--base", "base.toml")
        assert result.returncode == 0, result.stderr
        _, topology, _ = written(tmp_path)
        link = topology["defaults"]["site_link"]
        most = re.search(r"together they are at most ([\d.]+) (us|ms)", out)
        most_us = float(most[1]) * {"us": 1, "ms": 1e3}[most[2]]
        assert link["latency_us"] == (latency_us if kept else pytest.approx(most_us, rel=1e-3))
        assert ("no more than the data allow" in link["sources"]["latency_us"]) == (not kept)
        assert "loss, recovery of the site link in base.toml: left out" in out
