"""``emul perf --trace``, ``--plot`` and ``--plot-timeline``: of the largest size that is done."""

import re

import pytest
from command import run_here
from trace_files import read_chrome, read_perfetto

from emul import World

QUICK = ["perf", "--clock", "virtual", "-n", "1", "-w", "0", "-c", "0"]
RING = [*QUICK, "-b", "1K", "-e", "4K", "--algorithm", "ring"]


@pytest.mark.parametrize("name", ["a.json.gz", "a.pftrace"])
def test_the_trace_is_of_the_largest_size(name, tmp_path):
    path = tmp_path / name
    status, _, complaint = run_here(*RING, "--trace", str(path))
    assert (status, complaint) == (0, "")
    found = read_perfetto(path) if name.endswith("pftrace") else read_chrome(path)
    timeline = World("three-campus").predict("all_reduce", 1024, algorithm="ring").timeline
    assert sum(each.args["bytes"] for each in found.below("trunks")) == timeline.cross_site_bytes
    assert max(each.args["done_ps"] for each in found.slices if "src" in each.args) == (
        timeline.total_ps
    )


def test_pictures_are_of_the_forms_of_their_names(tmp_path):
    times, bars = tmp_path / "a.svg", tmp_path / "b.svg"
    status, _, complaint = run_here(
        *QUICK, "-b", "1K", "-e", "2K", "--plot", str(times), "--plot-timeline", str(bars)
    )
    assert (status, complaint) == (0, "")
    drawn = times.read_text()
    for word in ("bound", "all_reduce over 24 ranks of three-campus", "A curve ends where auto"):
        assert word in drawn
    assert "measured" not in drawn  # nobody waited, so it is no peer of modelled times
    assert "trunk north -&gt; east" in bars.read_text()
    assert "2 KiB" in bars.read_text()


def test_a_named_algorithm_has_one_curve_and_the_measured_times(tmp_path):
    path = tmp_path / "a.svg"
    wall = ["perf", "-n", "1", "-w", "0", "-c", "0", "-b", "1K", "-e", "1K"]
    topology = ["--algorithm", "hierarchical", "--plot", str(path)]
    assert run_here(*wall, *topology)[0] == 0
    drawn = path.read_text()
    assert "measured" in drawn
    assert "A curve ends" not in drawn


@pytest.mark.parametrize(
    ("option", "name", "why"),
    [
        ("--trace", "a.txt", "needed a name that ends in .json or .json.gz"),
        ("--plot", "a.json", "--plot .*needed a name that ends in .png, .svg or .pdf"),
        ("--plot-timeline", "a", "--plot-timeline .*needed a name that ends in"),
        ("--trace", "none/a.json", "cannot be written"),
    ],
)
def test_files_that_cannot_be_written_are_refused_before_the_work(option, name, why, tmp_path):

    status, printed, complaint = run_here(*RING, option, str(tmp_path / name))
    assert status == 2
    assert printed == ""
    assert re.search(why, complaint), complaint
    assert list(tmp_path.iterdir()) == []


def test_too_many_transfers_for_a_trace_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("emul.timing.traced.builder.MOST_TRANSFERS", 100)
    status, printed, complaint = run_here(*RING, "--trace", str(tmp_path / "a.json"))
    assert (status, printed) == (2, "")
    assert "needed at most 100" in complaint
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_sweep_writes_the_trace_of_the_size_that_is_done(tmp_path, monkeypatch):
    from emul.cli.sweep import Sweep

    row = Sweep.row

    def once(self, count, advance):
        if count > 256:
            raise KeyboardInterrupt
        return row(self, count, advance)

    monkeypatch.setattr(Sweep, "row", once)
    path = tmp_path / "a.json"
    status, _, _ = run_here(*RING, "--trace", str(path))
    assert status == 130
    timeline = World("three-campus").predict("all_reduce", 256, algorithm="ring").timeline
    found = read_chrome(path)
    assert sum(each.args["bytes"] for each in found.below("trunks")) == timeline.cross_site_bytes


def test_pictures_that_cannot_be_drawn_are_refused_before_the_work(tmp_path, monkeypatch):
    rounds = ["--topology", "three-campus-300k", "--no-data", "-b", "300M", "-e", "300M"]
    big = [*QUICK, *rounds, "--algorithm", "hierarchical"]
    # The trace can be written, for it says for how many each transfer stands.
    big += ["--trace", str(tmp_path / "a.json")]
    status, printed, complaint = run_here(*big, "--plot-timeline", str(tmp_path / "a.svg"))
    assert (status, printed) == (2, "")
    assert "equal rounds were left out" in complaint
    assert list(tmp_path.iterdir()) == []
