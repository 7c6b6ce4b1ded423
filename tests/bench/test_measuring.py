"""Ratios, comparisons within a run, verdicts on counts; and that a planted slow-down shows."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pytest_benchmark")

import bench
from bench import conftest, instructions
from bench.baseline import BadInput
from bench.figures import add_comparisons
from bench.fixed import by_events, in_order
from bench.measuring import INTERPRETER, Ratio, cpu_s, roof
from bench.worlds import WORKERS

ROOT = Path(__file__).parent.parent.parent


def test_ratio_is_of_the_quickest_and_of_neighbours():
    ratio = Ratio([2.0, 3.0, 8.0], [1.0, 1.0, 2.0, 2.0])
    assert ratio.least == 2.0
    assert ratio.paired == 2.0  # of 2 / 1, 3 / 1.5 and 8 / 2


def test_ratio_of_a_machine_that_slows_down_stays():
    assert Ratio([2.0, 4.0, 8.0], [1.0, 1.0, 3.0, 5.0]).paired == 2.0


@pytest.mark.parametrize("calibration", [by_events(10), in_order(10), INTERPRETER, roof(1 << 20)])
def test_calibrations_take_time_every_time(calibration):
    assert calibration.seconds() > 0
    assert calibration.seconds() > 0


def test_processor_time_has_that_of_children_in_it():
    before = cpu_s()
    subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True)
    assert cpu_s() - before > 0.005


@pytest.mark.parametrize(
    ("found", "name"),
    [
        ({"vendor_id_raw": "AuthenticAMD", "family": 25, "model": 17}, "amd-25-17"),
        ({"brand_raw": "Apple M2 Pro"}, "apple-m2-pro"),
        ({"vendor_id_raw": "GenuineIntel", "brand_raw": "Some (R) CPU @ 2.1"}, "some-r-cpu-2-1"),
    ],
)
def test_a_machine_is_of_the_class_of_its_processor(monkeypatch, found, name):
    monkeypatch.setattr("cpuinfo.get_cpu_info", lambda: found)
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    bench.processor.cache_clear()
    try:
        assert bench.machine_class() == f"numpy-12-cores-{name}"
    finally:
        bench.processor.cache_clear()


def test_comparisons_are_between_those_that_do_the_same():
    def of(**info):
        return {"extra_info": info}

    numpy = of(task="sum", by="numpy", ratio=2.0)
    textbook = of(task="sum", by="textbook", ratio=8.0)
    rings = [
        of(engine="heap", ratio=1.0, seconds=seconds, done={"transfers": transfers})
        for transfers, seconds in ((1000, 3.0), (10, 0.01), (100, 0.2))
    ]
    add_comparisons([numpy, textbook, *rings, of(ratio=1.0)])
    assert numpy["extra_info"]["times_as_fast_as"] == {"textbook": 4.0}
    assert textbook["extra_info"]["times_as_fast_as"] == {"numpy": 0.25}
    growth = [ring["extra_info"].get("growth_per_decade") for ring in rings]
    assert growth == [pytest.approx(1.5), None, pytest.approx(2.0)]


def test_a_planted_slow_down_takes_the_part_that_it_says(monkeypatch):
    now_s = 0.0

    def clock() -> float:
        nonlocal now_s
        now_s += 0.25  # what a look at the clock takes
        return now_s

    def work() -> str:
        nonlocal now_s
        now_s += 16.0
        return "done"

    monkeypatch.setattr(conftest, "PLANT", "test_ring:3")
    monkeypatch.setattr(conftest, "cpu_s", clock)
    assert conftest.planted(work, "bench/test_x.py::test_other") is work
    slower = conftest.planted(work, "bench/test_x.py::test_ring[heap-100]")
    assert slower() == "done"
    assert now_s == pytest.approx(3 * 16, abs=1)


HERE = {"python": "3.11"}
COUNTS = {"schema": instructions.SCHEMA, "build": HERE, "counts": {"a": 1000, "b": 1000}}


def test_counts_are_too_many_beyond_the_tolerance():
    found = instructions.verdicts({"a": 1009, "b": 1011}, COUNTS, HERE, 0.01)
    assert found == [("a", 1000, 1009, False), ("b", 1000, 1011, True)]
    assert instructions.compared(found[:1]) == 0
    assert instructions.compared(found) == 1


@pytest.mark.parametrize(
    ("before", "counts", "expected"),
    [
        ({"counts": {"a": 1}}, {"a": 1}, "none of instruction counts"),
        ({**COUNTS, "build": {"python": "3.12"}}, {"a": 1}, "of another python"),
        (COUNTS, {"c": 1}, "c is not in the baseline"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(before, counts, expected):
    with pytest.raises(BadInput, match=expected):
        instructions.verdicts(counts, before, HERE, 0.01)


def test_counts_are_skipped_without_valgrind(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert instructions.main([]) == 0
    assert capsys.readouterr().out == "skipped: valgrind is not installed\n"


@pytest.mark.parametrize("name", instructions.WORKLOADS)
def test_workloads_that_are_counted_do_their_work(name):
    """Each asserts its own result, every time that it is done."""
    instructions.WORKLOADS[name]()()


def test_the_suites_run_also_where_xdist_is_in_charge():
    """Benchmarks are not timed then, but checked."""
    chosen = ["bench/test_collectives.py", "-k", "1-kib-ring"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *chosen, "-n", "1", "-p", "no:cacheprovider"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(WORKERS)} passed" in done.stdout
