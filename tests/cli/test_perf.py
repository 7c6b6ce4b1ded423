import json
import os
import re
import signal
import subprocess
import time

import pytest
from click.testing import CliRunner
from command import MAIN, SMALL, emul
from strategies import CASES

from emul.cli.main import main
from emul.ops import CpuOps, NumpyOps
from emul.plans import COLLECTIVES

KEYS = {
    "collective", "topology", "algorithm", "backend", "clock", "seed", "world_size", "size_bytes",
    "count", "dtype", "redop", "modelled_s", "wall_s", "lag_s", "bound_s", "algbw_GBps",
    "busbw_GBps", "wrong", "binding",
}  # fmt: skip


def lines_of(output):
    """The lines of the table that are neither head, foot nor words."""
    return [line.split() for line in output.splitlines() if re.match(r" +\d", line)]


def rows_of(path):
    document = json.loads(path.read_text())
    assert set(document) - {"interrupted"} == {
        "schema", "environment", "rows", "lag", "closing", "overflow", "words",
    }  # fmt: skip
    return document["rows"]


def test_the_table_reads_like_that_of_nccl_tests(tmp_path):
    result = emul("perf", "-b", "1K", "-e", "4K", *SMALL)
    assert result.returncode == 0
    assert result.stderr == ""
    heads = [line for line in result.stdout.splitlines() if line.startswith("#")]
    assert re.search(r"size +count +type +redop +root +time +algbw +busbw", "\n".join(heads))
    assert "# Out of bounds values : 0 OK" in heads
    lines = lines_of(result.stdout)
    assert [line[:5] for line in lines] == [
        [str(size), str(size // 4), "float", "sum", "-1"] for size in (1024, 2048, 4096)
    ]
    assert all(line[-1] == "0" for line in lines)
    words = result.stdout.splitlines()[-3:]
    assert words[0].startswith("One campus: the same 24 ranks in one place would need ")
    assert re.match("Binding: trunk .* takes .* of the .* at 4 KiB: .* under way", words[1])
    assert re.match("Auto: .* is the quickest at 4 KiB, .*; the others would take: .*", words[2])


def test_json_holds_one_object_per_line(tmp_path):
    path = tmp_path / "out.json"
    result = emul("perf", "-b", "8", "-e", "64K", "-f", "16", "--json", str(path), *SMALL)
    assert result.returncode == 0
    rows = rows_of(path)
    assert [row["size_bytes"] for row in rows] == [8, 128, 2048, 32768]
    for row, line in zip(rows, lines_of(result.stdout), strict=True):
        assert set(row) >= KEYS
        assert row["wrong"] == 0
        assert row["wall_s"] >= row["modelled_s"] >= row["bound_s"] > 0
        assert row["lag_s"] == pytest.approx(row["wall_s"] - row["modelled_s"], abs=1e-9)
        assert row["algbw_GBps"] == pytest.approx(row["size_bytes"] / row["modelled_s"] / 1e9)
        assert row["busbw_GBps"] == pytest.approx(row["algbw_GBps"] * 2 * 23 / 24)
        assert float(line[5]) == pytest.approx(row["modelled_s"] * 1e6, abs=0.006)


FACTORS = {  # busbw / algbw, elements of the vector per count
    "reduce_scatter": (23 / 24, 24),
    "all_gather": (23 / 24, 24),
    "broadcast": (1, 1),
    "reduce": (1, 1),
    "all_to_all": (23 / 24, 24),
    "gather": (23 / 24, 24),
    "scatter": (23 / 24, 24),
    "send_recv": (1, 1),
}


@pytest.mark.covering(1)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_every_collective_and_algorithm_is_right(tmp_path, collective, algorithm):
    path = tmp_path / "out.json"
    arguments = [collective, "-b", "96", "-e", "9600", "-f", "10", "--algorithm", algorithm]
    arguments += ["--clock", "virtual", "-r", "3", "--json", str(path)]
    result = CliRunner().invoke(main, ["perf", *arguments, *SMALL])
    assert result.exit_code == 0, result.output
    factor, counted = FACTORS.get(collective, (2 * 23 / 24, 1))
    for row in rows_of(path):
        assert (row["wrong"], row["lag_s"], row["algorithm"]) == (0, None, algorithm)
        assert row["count"] * counted * 4 == row["size_bytes"]
        assert row["busbw_GBps"] == pytest.approx(row["algbw_GBps"] * factor)
        assert row["root"] == (3 if COLLECTIVES[collective].rooted else -1)


@pytest.mark.covering(1)
@pytest.mark.parametrize(
    "dtype", ["float64", "half", "bfloat16", "int8", "int32", "int64", "uint8"]
)
@pytest.mark.parametrize("op", ["sum", "prod", "min", "max", "avg"])
def test_every_dtype_and_op_is_right(dtype, op):
    result = CliRunner().invoke(
        main, ["perf", "-b", "4K", "-e", "4K", "-d", dtype, "-o", op, "--clock", "virtual", *SMALL]
    )
    assert result.exit_code == 0
    assert "Out of bounds values : 0 OK" in result.stdout


def test_sizes_that_cut_up_alike_are_run_once(tmp_path):
    path = tmp_path / "out.json"
    emul("perf", "all_gather", "-b", "8", "-e", "256", "--json", str(path), *SMALL)
    assert [row["size_bytes"] for row in rows_of(path)] == [96, 192]


def test_a_fixed_step_between_sizes(tmp_path):
    path = tmp_path / "out.json"
    emul("perf", "-b", "1000", "-e", "3000", "-i", "1000", "--json", str(path), *SMALL)
    assert [row["size_bytes"] for row in rows_of(path)] == [1000, 2000, 3000]


def test_nothing_is_checked_with_c_0(tmp_path):
    path = tmp_path / "out.json"
    result = emul("perf", "-b", "8", "-e", "8", "-c", "0", "--json", str(path), *SMALL)
    assert result.returncode == 0
    assert lines_of(result.stdout)[0][-1] == "N/A"
    assert rows_of(path)[0]["wrong"] is None


def test_nccl_json_is_what_its_parsers_expect(tmp_path):
    path = tmp_path / "nccl.json"
    result = emul("perf", "-b", "1K", "-e", "2K", "--nccl-json", str(path), *SMALL)
    assert result.returncode == 0
    document = json.loads(path.read_text())
    assert document["version"] == 3
    assert document["config"]["minimum_bytes"] == 1024
    assert document["config"]["step_factor"] == 2
    assert document["out_of_bounds"] == {"count": 0, "okay": True}
    first = document["results"][0]
    assert (first["size"], first["count"], first["type"], first["redop"]) == (
        1024,
        256,
        "float",
        "sum",
    )
    assert set(first["out_of_place"]) == {"time", "alg_bw", "bus_bw", "nwrong"}
    assert first["out_of_place"]["time"] > 100  # microseconds


BACKENDS = {"cpu": CpuOps, "numpy": NumpyOps}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wrong_element_fails_the_command(monkeypatch, backend):
    ops = BACKENDS[backend]
    right = ops.perform

    def wrong_in_one_element(self, program, buffers, reduction, root):
        output = right(self, program, buffers, reduction, root)
        output[5, 3] += 1
        return output

    monkeypatch.setattr(ops, "perform", wrong_in_one_element)
    arguments = ["perf", "-b", "1K", "-e", "1K", "--backend", backend, *SMALL]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert lines_of(result.stdout)[0][-1] == "1"
    assert "Out of bounds values : 1 FAILED" in result.stdout


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_only_an_earlier_run_has_written_is_wrong(monkeypatch, backend):
    ops = BACKENDS[backend]
    right, calls = ops.perform, []

    def lazy_at_last(self, program, buffers, reduction, root):
        calls.append(program)
        if len(calls) < 3:
            return right(self, program, buffers, reduction, root)
        return buffers.output()

    monkeypatch.setattr(ops, "perform", lazy_at_last)
    arguments = ["perf", "broadcast", "-b", "64", "-e", "64", "-n", "1", "-w", "1"]
    assert CliRunner().invoke(main, [*arguments, "--backend", backend]).exit_code == 1
    assert len(calls) >= 3


def test_a_file_of_ones_own_and_a_world_of_one(tmp_path):
    lonely = tmp_path / "lonely.toml"
    link = "{ rate_gbit_per_s = 1, latency_us = 1 }"
    lonely.write_text(f'[[site]]\nname = "a"\nnodes = [1]\nnode_link = {link}\nsite_link = {link}')
    path = tmp_path / "out.json"
    result = emul(
        "perf", "-b", "8", "-e", "8", "--topology", str(lonely), "--json", str(path), *SMALL
    )
    assert result.returncode == 0
    (row,) = rows_of(path)
    assert (row["world_size"], row["modelled_s"], row["binding"]) == (1, 0.0, "none")
    assert row["algbw_GBps"] is None
    assert result.stdout.splitlines()[-2] == "Binding: nothing; nothing is sent."


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["all_reduced"], "unknown collective 'all_reduced': needed one of all_reduce"),
        (["-d", "float7"], "unknown dtype 'float7': needed one of double"),
        (["-o", "xor"], "unknown op 'xor': needed one of sum"),
        (["--algorithm", "rings"], "unknown algorithm 'rings': needed one of auto, ring"),
        (["--algorithm", "bruck", "reduce"], "'bruck' does not do reduce: needed one of ring"),
        (["--topology", "moon"], "unknown topology 'moon': needed one of one-campus"),
        (["--topology", "moon.toml"], "moon.toml: cannot be read"),
        (["--backend", "abacus"], "unknown backend 'abacus': needed one of auto"),
        (["--clock", "sundial"], "unknown clock 'sundial': needed one of virtual, wall"),
        (["-b", "12Q"], "size '12Q': needed a number of bytes"),
        (["-b", "-5"], "size '-5': needed a number of bytes"),
        (["-b", "1G", "-e", "1M"], "-b 1073741824 is above -e 1048576: needed the smaller"),
        (["-b", "9", "-e", "8"], "-b 9 is above -e 8: needed the smaller"),
        (["-b", "0"], "-b 0: needed at least 1 byte"),
        (["-i", "0"], "-i 0: needed at least 1 byte"),
        (["-f", "1"], "1 is not in the range x>=2"),
        (["-n", "0"], "0 is not in the range x>=1"),
        (["-n", "few"], "'few' is not a valid integer"),
        (["broadcast", "-r", "24"], "root 24: needed a rank from 0 to 23"),
        (["--dilation", "nan"], "dilation nan: needed a finite number above 0"),
        (["--dilation", "-1"], "dilation -1.0: needed"),
        (["--dilation", "some"], "'some' is not a number, and not auto"),
        (["--strict", "-1"], "-1.0 is not in the range x>=0"),
        (["--frobnicate"], "No such option"),
        (["-b", "100T", "-e", "100T"], "24 ranks with 109951162777600 bytes each: .* needed"),
        (["--json", "no/such/folder/x.json"], "cannot be written: needed a file name in a folder"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint, tmp_path):
    result = emul("perf", *arguments, cwd=tmp_path)
    assert result.returncode == 2
    assert re.search(complaint, result.stderr), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_unknown_commands_are_one_line_and_status_2():
    result = emul("prof")
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1)


def test_an_interrupt_keeps_what_is_done(tmp_path):
    path = tmp_path / "out.json"
    # A shell that runs the tests in the background makes all its children ignore interrupts.
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    process = subprocess.Popen(
        [*MAIN[:-1], heeds + MAIN[-1], "perf", "-b", "64", "-e", "64M", "-f", "1048576",
         "--dilation", "40", *SMALL, "--json", str(path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    seen = []
    for line in process.stdout:
        seen.append(line)
        if re.match(r" +64 ", line):
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint == "emul perf: interrupted after 1 of 2 sizes\n"
    assert [row["size_bytes"] for row in rows_of(path)] == [64]
    assert json.loads(path.read_text())["interrupted"] is True


def test_lag_is_told_below_the_table_and_in_json(tmp_path):
    path = tmp_path / "out.json"
    arguments = ["perf", "-b", "8", "-e", "16", "-n", "3", "-w", "0", "--algorithm", "ring"]
    result = CliRunner().invoke(main, [*arguments, "--dilation", "2", "--json", str(path)])
    assert result.exit_code == 0
    assert re.search(r"^# backend \S+  clock wall  dilation 2  ", result.stdout, re.MULTILINE)
    assert re.search(r"^# Lag of timed calls   : median .* at most ", result.stdout, re.MULTILINE)
    for row in rows_of(path):
        assert row["dilation"] == 2
        assert 0 <= row["lag_s"] <= row["lag_p99_s"] <= row["lag_max_s"]
        assert 0 <= row["behind_share"] <= 1
        assert row["blame"] in ("arithmetic", "program", "waiting", "none")
        assert row["enough_dilation"] > 0
    virtual = CliRunner().invoke(main, [*arguments, "--clock", "virtual"])
    assert "# Lag" not in virtual.stdout


def test_strict_fails_where_a_call_lags_and_shows_the_table_all_the_same(tmp_path):
    path = tmp_path / "out.json"
    arguments = ["perf", "-b", "8", "-e", "16", "--algorithm", "ring", "--json", str(path), *SMALL]
    assert CliRunner().invoke(main, [*arguments, "--strict", "30"]).exit_code == 0
    failed = emul(*arguments, "--strict", "0")
    assert failed.returncode == 1
    assert [row["size_bytes"] for row in rows_of(path)] == [8, 16]
    (line,) = failed.stderr.splitlines()
    assert re.match(
        r"emul perf: all_reduce of \d+ B ended up to .* behind its modelled moment: needed at "
        r"most 0 ns \(--strict\); ",
        line,
    )


def test_a_dilation_is_found_by_a_rehearsal(tmp_path, monkeypatch):
    """50 ms of arithmetic are far more than the modelled time."""
    right = NumpyOps.perform

    def slowly(self, *arguments):
        time.sleep(0.05)
        return right(self, *arguments)

    monkeypatch.setattr(NumpyOps, "perform", slowly)
    path = tmp_path / "out.json"
    arguments = ["-b", "8", "-e", "8", "-n", "1", "-w", "0", "-c", "0", "--backend", "numpy"]
    result = CliRunner().invoke(
        main, ["perf", *arguments, "--dilation", "auto", "--json", str(path)]
    )
    assert result.exit_code == 0, result.output
    (row,) = rows_of(path)
    assert row["dilation"] >= 0.05 / row["modelled_s"]
    assert f"clock wall  dilation {row['dilation']:g}  " in result.output


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "out.json"
    path.write_text("precious")
    assert emul("perf", "-b", "nonsense", "--json", str(path)).returncode == 2
    assert path.read_text() == "precious"
    assert emul("perf", "-b", "8", "-e", "8", "--json", str(path), *SMALL).returncode == 0
    assert len(rows_of(path)) == 1
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_closed_pipe_is_no_traceback():
    process = subprocess.Popen(
        [*MAIN, "perf", "-b", "8", "-e", "1M"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 1
    assert complaint == ""


def test_progress_is_shown_on_a_terminal_and_goes_away(tmp_path):
    import pty

    parent, child = pty.openpty()
    arguments = ["perf", "-b", "8", "-e", "8", "--dilation", "100", "-n", "2", "-w", "1"]
    with subprocess.Popen(
        [*MAIN, *arguments], stdout=subprocess.PIPE, stderr=child, text=True
    ) as process:
        table = process.stdout.read()
    os.close(child)
    shown = os.read(parent, 1 << 16).decode()
    os.close(parent)
    assert "size 1 of 1: timing 1/2" in shown
    assert "size 1 of 1" not in table


def test_effects_can_be_turned_off_one_by_one(tmp_path):
    """Over the slowest trunk of two ranks, a broadcast of 12 MiB is 24 slices of 512 KiB."""
    where, path = tmp_path / "two.toml", tmp_path / "out.json"
    where.write_text(
        """
        [defaults]
        node_link = { rate_gbit_per_s = 1000, latency_us = 1 }
        site_link = { rate_gbit_per_s = 1000, latency_us = 1 }
        [[site]]
        name = "a"
        nodes = [1]
        [[site]]
        name = "b"
        nodes = [1]
        [[trunk]]
        between = ["a", "b"]
        rate_gbit_per_s = 8
        latency_us = 10000
        overhead_us = 50
        """
    )
    slice_s, overhead_s, latency_s = (512 << 10) / 1e9, 50e-6, 0.01
    expected = {
        # after 8 slices a sender waits for word of the first of them, twice
        (): overhead_s + 2 * (slice_s + 2 * latency_s) + 8 * slice_s + latency_s,
        ("--no-window",): overhead_s + 24 * slice_s + latency_s,
        ("--zero-latency",): overhead_s + 24 * slice_s,
    }
    for flags, time_s in expected.items():
        arguments = ["broadcast", "-b", "12M", "-e", "12M", "--topology", str(where), *flags]
        arguments += ["--algorithm", "direct", "--clock", "virtual", "--json", str(path), *SMALL]
        result = emul("perf", *arguments)
        (row,) = rows_of(path)
        assert row["modelled_s"] == pytest.approx(time_s, rel=1e-9)
        assert row["modelled_s"] >= row["bound_s"]
        assert ("any number in flight" in result.stdout) == ("--no-window" in flags)
        off = [flag.replace("--zero-", "").replace("--no-", "") for flag in flags]
        assert row["topology"] == "two" + "".join(f" without {effect}" for effect in off)
