"""``emul info``, and ``emul perf`` on a GPU: on one that the CPU stands in for, and a real one."""

import json
import re

import numpy as np
import pytest
from click.testing import CliRunner
from command import emul
from gpus import StandIn, found, real_gpu
from host_device import COMPILER, WITHOUT_COMPILER

from emul.cli.main import main
from emul.ops.cuda import choice


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def gpu(request, monkeypatch):
    """A GPU that ``emul`` finds when it is called in this process."""
    if request.param == "stand-in":
        if COMPILER is None:
            pytest.skip(WITHOUT_COMPILER)
        device = StandIn()
        monkeypatch.setattr(choice, "find_gpu", lambda: found(device))
        return device
    device = real_gpu()
    if device is None:
        pytest.skip(choice.find_gpu().reason)
    return device


def invoke(*arguments):
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def lines_of(text):
    return dict(line.split("  ", 1) for line in text.splitlines())


def test_info_says_what_there_is():
    done = emul("info")
    assert done.returncode == 0
    said = {name: rest.strip() for name, rest in lines_of(done.stdout).items()}
    assert list(said)[:7] == [
        "emul", "Python", "NumPy", "backend auto", "backend cpu", "backend numpy", "backend cupy",
    ]  # fmt: skip
    assert said["NumPy"] == np.__version__
    assert said["cores"].isdigit()
    assert "baseline" in said["instruction set"]


def test_info_measures_how_exact_waits_are(monkeypatch):
    monkeypatch.setattr("emul.report.clock_words.TIMES", 2)
    lines = invoke("info", "--clock").splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == [
        "monotonic clock", "margin", "real-time priority",
    ]  # fmt: skip
    assert re.split("  +", lines[5].strip()) == [
        "wait", "median", "99 %", "at most", "time.sleep", "99 %", "times closer",
    ]  # fmt: skip
    assert [line.split()[:2] for line in lines[6:]] == [
        [str(number), unit]
        for unit, numbers in (("us", (20, 50, 100, 200, 500)), ("ms", (1, 2, 5, 10, 20)))
        for number in numbers
    ]


def test_info_keeps_the_reason_why_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(choice, "find_gpu", lambda: choice.FoundGpu(None, "the driver is asleep"))
    said = invoke("info")
    assert "backend cupy     not available: the driver is asleep\n" in said
    assert "backend auto     cpu\n" in said


def test_info_shows_the_gpu_and_its_clock(gpu):
    said = {name: rest.strip() for name, rest in lines_of(invoke("info")).items()}
    assert said["backend cupy"] == f"available: a kernel ran on {gpu.name}"
    assert said["device"] == gpu.name
    assert " ns at least, " in said["globaltimer"]


@pytest.mark.parametrize(("backend", "clock"), [("auto", "virtual"), ("cupy", "wall")])
def test_perf_runs_on_the_gpu_and_every_element_is_right(gpu, tmp_path, backend, clock):
    path, sizes = tmp_path / "rows.json", ["-b", "8", "-e", "4K", "-f", "64", "-n", "2", "-w", "1"]
    asked = [*sizes, "--backend", backend, "--clock", clock, "--json", str(path)]
    for collective in ("all_to_all", "scatter", "gather"):
        printed = invoke("perf", collective, *asked)
        assert f"# backend cupy  clock {clock}" in printed
        rows = json.loads(path.read_text())["rows"]
        assert [row["wrong"] for row in rows] == [0] * len(rows)
        assert {row["backend"] for row in rows} == {"cupy"}
        assert all((row["lag_s"] is None) == (clock == "virtual") for row in rows)


def test_perf_refuses_what_does_not_fit_on_the_gpu(monkeypatch):
    if COMPILER is None:
        pytest.skip(WITHOUT_COMPILER)
    device = StandIn()
    device.room = 20 << 20
    monkeypatch.setattr(choice, "find_gpu", lambda: found(device))
    with pytest.raises(MemoryError, match=r"needed, 20 MiB free on host: use a smaller size"):
        invoke("perf", "-b", "1M", "-e", "1M")


@pytest.mark.parametrize("backend", ["abacus", "cupy"])
def test_perf_without_that_backend_ends_with_one_line(backend):
    if backend == "cupy" and choice.find_gpu().device is not None:
        pytest.skip("this machine has a GPU")
    done = emul("perf", "--backend", backend, "-e", "8")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(("emul: unknown backend 'abacus'", "emul: backend cupy: "))
