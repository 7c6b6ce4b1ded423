"""What is called a regression, on runs and baselines made up here; nothing is timed."""

import json

import pytest

pytest.importorskip("pytest_benchmark")

from bench import compare
from bench.baseline import BadInput, Found, baseline_of, read_baseline, read_run

NAMES = [f"bench/test_x.py::test_{letter}" for letter in "abcd"]


def info(ratio, calibration, calibration_s=0.1):
    return {
        "seconds": ratio * calibration_s,
        "calibration_s": calibration_s,
        "calibration": calibration,
    }


def run_file(path, ratios, *, machine_class="numpy-2-cores-x", calibration="roof"):
    """Write a run as pytest-benchmark does, in what is read of it."""
    document = {
        "machine_info": {"emul": {"machine_class": machine_class, "cores": 2}},
        "benchmarks": [
            {"fullname": name, "extra_info": info(ratio, calibration)}
            for name, ratio in ratios.items()
        ],
    }
    path.write_text(json.dumps(document))
    return path


def ratios(**changed):
    """Return a ratio for each benchmark, those of ``changed`` times their factor."""
    return {name: 2.0 * changed.get(name[-1], 1.0) for name in NAMES}


@pytest.fixture
def baseline(tmp_path):
    """Return the file of a baseline by three runs: a strays by 12 %, d by 40 %, b and c not."""
    path = tmp_path / "baseline.json"
    factors = [{"a": 0.88, "d": 0.6}, {}, {"a": 1.06, "d": 1.4}]
    runs = [run_file(tmp_path / f"{i}.json", ratios(**each)) for i, each in enumerate(factors)]
    assert main(*runs, "--update", baseline=path) == 0
    return path


def main(*arguments, baseline):
    return compare.main([*map(str, arguments), "--baseline", str(baseline)])


def judge(tmp_path, baseline, *arguments, **changed):
    run = run_file(tmp_path / "run.json", ratios(**changed))
    return main(run, "--confirm", "0", *arguments, baseline=baseline)


def test_baseline_takes_medians_and_tolerances_by_spread(baseline):
    found = read_baseline(baseline).benchmarks
    assert {each.ratio for each in found.values()} == {2.0}
    assert [found[name].spread for name in NAMES] == [0.12, 0.0, 0.0, 0.4]
    # One and a half times the spread, 15 % at least, and so little that 30 % is found.
    assert [found[name].tolerance for name in NAMES] == [0.18, 0.15, 0.15, 0.2]


def test_compare_is_content_when_nothing_changed(tmp_path, baseline, capsys):
    assert judge(tmp_path, baseline) == 0
    assert "4 compared: 4 ok, 0 slower, 0 faster" in capsys.readouterr().out


def test_compare_is_content_within_the_tolerance(tmp_path, baseline):
    assert judge(tmp_path, baseline, a=1.08, b=1.07, c=0.95, d=1.19) == 0


@pytest.mark.parametrize("name", "abcd")
def test_compare_fails_when_one_is_30_percent_slower(tmp_path, baseline, name, capsys):
    assert judge(tmp_path, baseline, **{name: 1.3}) == 1
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "  slower" in row]
    assert f"test_{name}" in line
    assert "+30.0%" in line


def test_compare_says_what_became_faster_and_is_content(tmp_path, baseline, capsys):
    assert judge(tmp_path, baseline, b=0.5) == 0
    assert "1 faster" in capsys.readouterr().out


def test_compare_takes_a_tolerance_for_all(tmp_path, baseline):
    assert judge(tmp_path, baseline, "--tolerance", "0.4", b=1.3) == 0
    assert judge(tmp_path, baseline, "--tolerance", "0.01", b=1.02) == 1


def test_compare_says_what_was_not_run(tmp_path, baseline, capsys):
    run = run_file(tmp_path / "part.json", {NAMES[0]: 2.0})
    assert main(run, baseline=baseline) == 0
    assert "3 of the baseline were not run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("again", "status", "times"),
    [
        ([1.31, 1.28], 1, 2),
        ([1.05, 1.5], 1, 2),
        ([1.05, 1.05], 0, 2),
    ],
)
def test_a_suspect_is_measured_again_until_it_is_none(
    tmp_path, baseline, monkeypatch, again, status, times
):
    asked, paused = [], []

    def measure(arguments, path):
        asked.append(arguments)
        return read_run(run_file(path, {NAMES[1]: 2 * again[len(asked) - 1]}))

    monkeypatch.setattr(compare, "measure", measure)
    monkeypatch.setattr(compare.time, "sleep", paused.append)
    run = run_file(tmp_path / "run.json", ratios(b=1.3))
    assert main(run, "--confirm", "2", baseline=baseline) == status
    assert asked == [[NAMES[1]]] * times
    assert paused == [compare.PAUSE_S] * times


def test_nothing_is_measured_again_when_nothing_is_suspect(tmp_path, baseline, monkeypatch):
    monkeypatch.setattr(compare, "measure", None)
    run = run_file(tmp_path / "run.json", ratios(b=0.5))
    assert main(run, baseline=baseline) == 0


def test_self_check_counts_the_runs_that_are_green(tmp_path, baseline, monkeypatch, capsys):
    factors = iter([1.0, 1.3, 1.05])

    def measure(arguments, path):
        return read_run(run_file(path, ratios(c=next(factors))))

    monkeypatch.setattr(compare, "measure", measure)
    options = ["--self-check", "3", "--confirm", "0", "--keep", tmp_path / "kept"]
    assert main(*options, baseline=baseline) == 1
    assert "2 of 3 runs green" in capsys.readouterr().out


def test_update_of_one_run_keeps_the_tolerances(tmp_path, baseline):
    run = run_file(tmp_path / "new.json", {NAMES[0]: 3.0, "bench/test_x.py::test_e": 1.0})
    assert main(run, "--update", baseline=baseline) == 0
    found = read_baseline(baseline).benchmarks
    assert (found[NAMES[0]].ratio, found[NAMES[0]].tolerance) == (3.0, 0.18)
    assert found["bench/test_x.py::test_e"].tolerance == 0.2
    assert found[NAMES[1]].ratio == 2.0


def refusals(tmp_path):
    """Return files that cannot be compared, and what must be said of each."""
    other = run_file(tmp_path / "gpu.json", ratios(), machine_class="cupy-h200")
    unknown = run_file(tmp_path / "unknown.json", {**ratios(), "bench/test_x.py::test_e": 1.0})
    text, plain = tmp_path / "text.json", tmp_path / "plain.json"
    text.write_text("ratio: 2")
    plain.write_text(json.dumps({"benchmarks": [{"fullname": "x"}]}))
    return {
        "is absent": (tmp_path / "absent.json", "No such file"),
        "is not JSON": (text, "not JSON"),
        "is no run": (plain, "no run of these suites"),
        "has nothing": (run_file(tmp_path / "empty.json", {}), "no benchmark in it"),
        "has no time": (run_file(tmp_path / "zero.json", {NAMES[0]: 0.0}), "seconds 0.0"),
        "is of other machines": (other, "machine class cupy-h200"),
        "has what the baseline has not": (unknown, "test_e: needed --update"),
        "has another calibration": (
            run_file(tmp_path / "heap.json", ratios(), calibration="heap"),
            "measured against 'heap'",
        ),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("is absent", "is not JSON", "is no run", "has nothing", "has no time"),
        *("is of other machines", "has what the baseline has not", "has another calibration"),
    ],
)
def test_compare_refuses_in_one_line_a_run_that(tmp_path, baseline, case, capsys):
    path, expected = refusals(tmp_path)[case]
    assert main(path, baseline=baseline) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("bench.compare: ")
    assert expected in line


def test_compare_refuses_a_baseline_that_is_none(tmp_path, capsys):
    run = run_file(tmp_path / "run.json", ratios())
    assert main(run, baseline=tmp_path / "absent.json") == 2
    assert "--update makes one" in capsys.readouterr().err
    assert main(run, baseline=run) == 2
    assert "no baseline" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a.json", "b.json"], ["a.json", "--self-check", "2"]])
def test_compare_wants_one_run_or_a_self_check(arguments, capsys):
    assert compare.main(arguments) == 2
    assert capsys.readouterr().err.startswith("bench.compare: needed")


def test_runs_of_different_calibrations_make_no_baseline(tmp_path):
    files = [run_file(tmp_path / f"{c}.json", ratios(), calibration=c) for c in ("a", "b")]
    with pytest.raises(BadInput, match="different calibrations"):
        baseline_of([read_run(path) for path in files])


def test_settled_leaves_what_was_not_measured_again(tmp_path, baseline):
    run = read_run(run_file(tmp_path / "run.json", ratios(b=1.3)))
    rows = compare.judged(run, read_baseline(baseline))
    settled = compare.settled(rows, [{NAMES[1]: Found(0.25, 0.1, "roof")}])
    assert [row.now for row in settled] == pytest.approx([2.0, 2.6, 2.0, 2.0])


@pytest.mark.parametrize(
    ("again", "verdict"),
    [
        ((2.0,), "slower"),  # one that is lucky hides no regression
        ((2.0, 2.0), "ok"),  # two that were not disturbed show that there is none
        ((2.0, 2.6, 2.6, 2.6, 2.6), "slower"),
        ((2.0, 2.0, 2.6, 2.6, 2.6, 2.6), "slower"),
        ((2.0, 2.0, 2.0, 2.6, 2.6, 2.6), "ok"),
    ],
)
def test_of_several_runs_that_counts_which_a_third_are_below(tmp_path, baseline, again, verdict):
    run = read_run(run_file(tmp_path / "run.json", ratios(b=1.3)))
    rows = compare.judged(run, read_baseline(baseline))
    more = [{NAMES[1]: Found(ratio / 10, 0.1, "roof")} for ratio in again]
    assert compare.settled(rows, more)[1].verdict == verdict


def test_a_processor_without_a_baseline_is_told_how_to_make_one(tmp_path, capsys):
    run = run_file(tmp_path / "run.json", ratios(), machine_class="numpy-3-cores-none")
    assert compare.main([str(run)]) == 2
    said = capsys.readouterr().err
    assert "numpy-3-cores-none.json: No such file" in said
    assert "--update makes one" in said


def test_committed_baselines_can_be_read_and_would_find_30_percent():
    committed = list(compare.BASELINES.glob("*.json"))
    assert committed
    for path in committed:
        baseline = read_baseline(path)
        assert path.stem == baseline.machine_class
        assert all(each.tolerance <= 0.2 for each in baseline.benchmarks.values())
