"""bench.gpu from end to end at tiny sizes, on the CPU in place of a GPU; figures do not matter."""

import json
import time

import numpy as np
import pytest
from gpus import FoundGpu, StandIn
from host_device import COMPILER, WITHOUT_COMPILER

pytest.importorskip("pytest_benchmark")

from bench import compare, gpu_class
from bench.baseline import read_run
from bench.gpu import __main__ as command
from bench.gpu import checks, memory
from bench.gpu.record import Figure, Section, at_least, at_most, recorded
from bench.gpu.report import table
from bench.gpu.setting import Job, Scale, Setting

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)

TINY = Scale(
    ranks=4,
    row_bytes=1 << 12,
    repeats=2,
    waits=40,
    waits_of_a_graph=20,
    longest_wait_ns=200_000,
    paced_bytes=(1 << 10, 64 << 10),
    paced_calls=2,
    long_call_s=0.05,
)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What a run writes, with the tests and the sanitizer made up."""
    folder, plain = tmp_path_factory.mktemp("gpu"), (checks.run, checks.shutil.which)

    def run(asked, limit_s):
        assert 0 < limit_s <= TINY.tests_s
        for part in asked:
            if part.startswith("--junitxml="):
                counts = 'tests="7" failures="0" errors="0" skipped="2"'
                (folder / "tests.xml").write_text(f"<testsuites><testsuite {counts}/></testsuites>")
        return 0, "7 passed"

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checks.gpu_tests, "__defaults__", (run,))
        patched.setattr(checks.sanitizer, "__defaults__", (run,))
        patched.setattr(checks.shutil, "which", lambda name: name)
        assert command.measure(StandIn(), folder, TINY) == 0
    assert plain == (checks.run, checks.shutil.which)
    return folder


@pytest.fixture(scope="module")
def document(out):
    return json.loads((out / "gpu.json").read_text())


def figures(document):
    return {each["name"]: each for part in document["sections"] for each in part["figures"]}


def test_every_section_is_gone_through(document):
    assert document["failed"] == []
    assert [part["error"] for part in document["sections"]] == [None] * len(document["sections"])
    assert all(part["figures"] for part in document["sections"])


def test_whatever_is_asked_of_a_gpu_has_its_figure(document):
    asked = {name: each["asked"] for name, each in figures(document).items() if each["asked"]}
    assert asked == {
        "tests on the GPU that passed": "all",
        "fused all_reduce, float32, of copy bandwidth": ">= 0.9",
        "fused all_reduce, float16, of copy bandwidth": ">= 0.8",
        "fused all_reduce, bfloat16, of copy bandwidth": ">= 0.8",
        "step-by-step all_reduce, float32, of copy bandwidth in its bytes": ">= 0.75",
        "times as fast as a ring of array calls": ">= 2",
        "times as fast as torch.stack().sum(0) and broadcast": ">= 3",
        "wait error, median": "<= 2",
        "wait error, 99th percentile": "<= 5",
        "farthest off, of 1 ms or more": "<= 0.01",
        "host CPU while it replays, of one core": "<= 0.005",
        "a step of 24 x 1 KiB, captured, no delay": "<= 10",
        "compute-sanitizer memcheck": "nothing found",
        "compute-sanitizer racecheck": "nothing found",
    }


def test_device_and_versions_stand_beside_the_figures(document):
    environment = document["environment"]
    assert environment["device"] == {"device": "host"}
    assert {"numpy", "emul"} <= set(environment["packages"])
    assert set(document["missed"]) == {
        name for name, each in figures(document).items() if each["reached"] is False
    }


def test_the_table_has_a_line_for_each_figure(out, document):
    text = (out / "gpu.txt").read_text()
    assert all(name in text for name in figures(document))
    assert text.count("\n") == 1 + len(figures(document))


def test_a_run_can_be_compared_with_a_baseline(out, tmp_path, capsys):
    baseline = tmp_path / "cupy-host.json"
    run = str(out / "run.json")
    assert compare.main([run, "--update", "--baseline", str(baseline)]) == 0
    assert compare.main([run, "--confirm", "0", "--baseline", str(baseline)]) == 0
    assert "7 compared: 7 ok" in capsys.readouterr().out
    assert read_run(out / "run.json").machine_class == "cupy-host"


def test_the_class_of_a_gpu():
    assert gpu_class("NVIDIA H200") == "cupy-h200"
    assert gpu_class("NVIDIA H100 80GB HBM3") == "cupy-h100-80gb-hbm3"


def test_a_section_that_fails_stops_no_other():
    def fail():
        raise ValueError("no such kernel")

    sections = [
        Section("bad", fail),
        Section("good", lambda: [at_least("speed", 0.5, "", 0.9)]),
        Section("long", list, needs_s=1e6),
    ]
    bad, good, long = recorded(sections, time.monotonic() + 60)
    assert "ValueError: no such kernel" in bad.error
    assert good.figures[0].reached is False
    assert long.error.startswith("not begun: ")
    text = table([bad, good, long])
    assert "failed: ValueError: no such kernel" in text
    assert "missed" in text


def test_a_failed_section_makes_the_exit_status_1(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "sections", lambda *_: [Section("bad", lambda: 1 / 0)])
    assert command.measure(StandIn(), tmp_path, TINY) == 1
    assert json.loads((tmp_path / "gpu.json").read_text())["failed"] == ["bad"]


def test_without_a_gpu_it_says_why_and_ends(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "find_gpu", lambda: FoundGpu(None, "no driver"))
    assert command.main(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "bench.gpu: no driver: needed an NVIDIA GPU\n"


@pytest.mark.parametrize("kernel", ["fused", "reduce"])
def test_work_that_is_wrong_is_not_timed(kernel):
    def mutate(text):
        last = "row.length ? low + per_tile : row.length"
        return text.replace(last, f"{last} - 1")

    device = StandIn(mutate=mutate if kernel == "reduce" else None)
    if kernel == "fused":
        device.captured = lambda queue: lambda: None  # replays nothing
    job = Job(
        Setting(device, TINY),
        "all_reduce",
        "ring",
        (4,),
        row_bytes=1 << 12,
        dtype="float32",
        stepwise=kernel == "reduce",
    )
    with pytest.raises(AssertionError, match="elements are wrong"):
        job.check()


def test_the_ring_of_array_calls_reduces():
    work = np.arange(5 * 13, dtype=np.float64).reshape(5, 13)
    expected = np.tile(work.sum(axis=0), (5, 1))
    memory.array_ring(work)
    assert np.array_equal(work, expected)


def test_tests_that_fail_on_the_gpu_are_told(tmp_path):
    counts = 'tests="5" failures="1" errors="0" skipped="1"'

    def run(asked, limit_s):
        (tmp_path / "tests.xml").write_text(f"<testsuite {counts}/>")
        return 1, "1 failed\nlast line"

    (figure,) = checks.gpu_tests(Setting(StandIn(), TINY), tmp_path, run)
    assert (figure.value, figure.reached) == (3, False)
    assert figure.about["said"].endswith("last line")


@pytest.mark.parametrize(
    ("status", "verdict", "reached"),
    [(0, "nothing found", True), (86, "errors", False), (1, "tests failed", False),
     (None, "did not end in time", None)],
)  # fmt: skip
def test_what_the_sanitizer_says_is_told(monkeypatch, status, verdict, reached):
    monkeypatch.setattr(checks.shutil, "which", lambda name: name)
    setting = Setting(StandIn(), TINY)
    (figure,) = checks.sanitizer(setting, "memcheck", lambda asked, limit_s: (status, "said"))
    assert (figure.value, figure.reached) == (verdict, reached)


def test_no_sanitizer_is_no_failure(monkeypatch):
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    (figure,) = checks.sanitizer(Setting(StandIn(), TINY), "memcheck")
    assert figure.about == {"skipped": "is not installed"}


def test_commands_that_take_too_long_are_stopped():
    command_line = [checks.sys.executable, "-c", "import time; print('on'); time.sleep(60)"]
    status, said = checks.run(command_line, 1.0)
    assert (status, said.strip()) == (None, "on")


def test_bounds_count_as_reached():
    assert at_most("x", 2.0, "us", 2.0).reached
    assert not at_most("x", 2.1, "us", 2.0).reached
    assert at_least("x", 0.9, "", 0.9).reached
    assert Figure("x", 1.0).reached is None
