"""bench.gpu from end to end at tiny sizes, on the CPU in place of a GPU; figures do not matter."""

import json
import time

import numpy as np
import nvrtc
import pytest
from fake_cupy import FakeCupy
from gpus import FoundGpu, StandIn
from host_device import COMPILER, WITHOUT_COMPILER

pytest.importorskip("pytest_benchmark")

from bench import compare, gpu_class
from bench.baseline import read_run
from bench.gpu import bits, checks, command, memory, variants
from bench.gpu.record import Figure, Section, at_least, at_most, recorded
from bench.gpu.report import table
from bench.gpu.setting import FIRST, FULL, LOOKED_AT, STRETCH, TINY, Job, Setting
from emul.ops import DTYPES
from emul.ops.cuda.cupy_device import CupyDevice
from emul.ops.cuda.kernel_sources import NVRTC_OPTIONS

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """What a dry run of everything writes, with the tests and the sanitizer made up."""
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
        assert command.main(["--dry-run", "--out", str(folder)]) == 0
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
        "reductions of any bits, as NumPy has them": "all",
        "reductions of subnormal numbers, as NumPy has them": "all",
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
        "the host has 2 ms of waits back, late by": "<= 200",
        "host CPU while it replays, of one core": "<= 0.005",
        "a step of 24 x 1 KiB, captured, no delay": "<= 10",
        "compute-sanitizer memcheck": "nothing found",
        "compute-sanitizer initcheck": "nothing found",
    }


def test_device_and_versions_stand_beside_the_figures(document):
    environment = document["environment"]
    assert environment["device"]["device"] == "NVIDIA Stand-in"
    assert environment["device"]["compute capability"] == "9.0"
    assert {"numpy", "emul"} <= set(environment["packages"])
    assert set(document["missed"]) == {
        name for name, each in figures(document).items() if each["reached"] is False
    }


def test_the_table_has_a_line_for_each_figure(out, document):
    text = (out / "gpu.txt").read_text()
    assert all(name in text for name in figures(document))
    assert text.count("\n") == 1 + len(figures(document))


def test_a_run_can_be_compared_with_a_baseline(out, tmp_path, capsys):
    baseline = tmp_path / "cupy-stand-in.json"
    run = str(out / "run.json")
    assert compare.main([run, "--update", "--baseline", str(baseline)]) == 0
    assert compare.main([run, "--confirm", "0", "--baseline", str(baseline)]) == 0
    assert "11 compared: 11 ok" in capsys.readouterr().out
    assert read_run(out / "run.json").machine_class == "cupy-stand-in"


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
    sections = [Section("bad", lambda: 1 / 0)]
    assert command.measure_sections(Setting(StandIn(), TINY), tmp_path, sections) == 1
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


def names(first=False, only=None):
    sections = command.sections(Setting(StandIn(), FULL), None)
    return [section.name for section in command.chosen(sections, first, only)]


def test_a_first_look_takes_no_tests_and_no_sanitizer():
    assert names(first=True) == [
        *("smoke", "subnormals", "copy"),
        *(f"fused {dtype}" for dtype in ("float32", "float16", "bfloat16", "int8", "float64")),
        *("fused ranks", "tick", "waits", "small", "return path", "emulated", "step by step"),
        *("torch", "variants blocks", "variants texts"),
    ]
    assert set(names()) - set(names(first=True)) == {
        "tests", "ring", "host", "memcheck", "initcheck", "other collectives",
        "long rows"
    }  # fmt: skip


def test_what_sections_say_that_they_need_is_less_than_there_is():
    for scale, first in ((FIRST, True), (FULL, False)):
        sections = command.chosen(command.sections(Setting(StandIn(), scale), None), first, None)
        assert sum(section.needs_s for section in sections) < scale.limit_s


def test_sections_are_chosen_by_name_in_the_order_in_which_they_run():
    assert names(only="waits,fused int8, copy") == ["copy", "fused int8", "waits"]
    assert names(only="variants") == ["variants blocks", "variants texts"]
    assert names(only="fused") == [name for name in names() if name.startswith("fused ")]


@pytest.mark.parametrize("only", ["fuse", "", "copy,wait", "fused float"])
def test_a_section_that_is_not_there_is_refused(tmp_path, capsys, only):
    assert command.main(["--dry-run", "--out", str(tmp_path / "new"), "--only", only]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"bench.gpu: --only {only.split(',')[-1]!r}: no such section: needed")
    assert "smoke, subnormals, copy" in told
    assert not (tmp_path / "new").exists()


class Flushing(StandIn):
    """A device on which subnormal numbers of float32 come out as zeros."""

    def download(self, array):
        got = super().download(array)
        if got.dtype == np.float32:
            got[np.abs(got) < np.finfo(np.float32).smallest_normal] = 0
        return got


class OneBitOff(StandIn):
    def download(self, array):
        got = super().download(array)
        if got.dtype == DTYPES["bfloat16"]:
            got.view(np.uint16)[-1, -1] ^= 1
        return got


def test_bits_that_are_not_those_of_numpy_are_told():
    (figure,) = bits.subnormals(Setting(Flushing(), TINY))
    assert (figure.value, figure.reached) == ("15 of 25", False)
    assert {each.split()[0] for each in figure.about["wrong"]} == {"float32"}
    (figure,) = bits.smoke(Setting(OneBitOff(), TINY))
    assert figure.reached is False
    assert figure.about["wrong"] == ["bfloat16 sum, fused", "bfloat16 sum, in steps"]


@pytest.mark.parametrize("count", [1, 5, STRETCH - 1, STRETCH, 3 * STRETCH + 17])
def test_the_device_doubles_the_data(count):
    setting, itemsize = Setting(StandIn(), TINY), 2
    job = Job(setting, "all_reduce", "ring", (1,), row_bytes=count * itemsize, dtype="float16")
    expected = np.empty((1, count), np.float16)
    job.data.fill(expected)
    assert np.array_equal(setting.device.download(job.x), expected)


@pytest.mark.parametrize("whole", [True, False])
def test_a_wrong_element_is_seen_wherever_is_looked(monkeypatch, whole):
    from dataclasses import replace

    from bench.gpu import setting as room

    monkeypatch.setattr(room, "LOOKED_AT", 64)
    job = Job(
        Setting(StandIn(), replace(TINY, whole=whole)),
        "reduce_scatter",
        "direct",
        (4,),
        row_bytes=1 << 14,
        dtype="float32",
    )
    job.check()
    seen = []
    for at in range(job.out.shape[1]):
        kept = job.out[3, at].copy()
        job.out[3, at] += 1
        seen.append(job.wrong(job.out))
        job.out[3, at] = kept
    count = len(seen)
    assert count == 1024
    middle = range(480, 544)
    looked_at = [whole or at < 64 or at in middle or at >= 960 for at in range(count)]
    assert seen == looked_at
    assert LOOKED_AT > 64


def test_variants_change_the_kernel_and_the_number_of_blocks():
    device = CupyDevice(FakeCupy(), 0)
    texts = []
    plain = device.cupy.RawModule

    class RawModule(plain):
        def __init__(self, *, code, options):
            texts.append(code)
            super().__init__(code=code, options=options)

    device.cupy.RawModule = RawModule
    found = variants.texts(Setting(device, TINY))
    assert [figure.about.get("skipped") for figure in found] == [None] * len(variants.CHANGES)
    fused = [text for text in texts if "emul_fused(" in text]
    assert len(set(fused)) == len(fused) == len(variants.CHANGES)
    for text, (_, new) in zip(fused, variants.CHANGES.values(), strict=True):
        assert new in text
    device.multiprocessors = 132
    assert [variants.Varied(device, blocks=n).multiprocessors for n in (3, 16, 64)] == [
        24,
        132,
        528,
    ]


@pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.WITHOUT)
@pytest.mark.parametrize("name", variants.CHANGES)
def test_variants_are_kernels_of_a_gpu(name):
    altered = variants.Altered("fused", change=variants.CHANGES[name])
    assert nvrtc.compiled(altered.text, nvrtc.as_cupy(NVRTC_OPTIONS)).code


def test_a_variant_that_does_not_compile_is_told(monkeypatch):
    monkeypatch.setattr(variants, "CHANGES", {"nonsense": ("EMUL_UNITS = 2", "EMUL_UNITS = two")})
    (figure,) = variants.texts(Setting(CupyDevice(FakeCupy(), 0), TINY))
    assert figure.value is None
    assert "two" in figure.about["skipped"]


def test_the_tests_share_the_gpu_and_forgive_warnings(tmp_path, monkeypatch):
    asked = []

    def run(command_line, limit_s):
        asked.append(command_line)
        return 0, "1 passed"

    setting = Setting(StandIn(), TINY)
    checks.gpu_tests(setting, tmp_path, run)
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    checks.gpu_tests(setting, tmp_path, run)
    monkeypatch.setattr(checks.shutil, "which", lambda name: name)
    checks.sanitizer(setting, "initcheck", run)
    plain = [checks.sys.executable, "-m", "pytest", "tests", "-m", "gpu", "-q"]
    plain += ["-p", "no:cacheprovider", "-W", "default"]
    report = f"--junitxml={tmp_path / 'tests.xml'}"
    assert asked[0][: len(plain)] == asked[1][: len(plain)] == plain
    assert "-n 8" in " ".join(asked[0])
    assert asked[1] == [*plain, report]
    watched = " ".join(asked[2])
    assert watched.startswith("compute-sanitizer --tool initcheck --error-exitcode 86")
    assert "--report-api-errors no" in watched
    assert "-m sanitized" in watched
