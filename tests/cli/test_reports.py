"""``--report`` of perf, validate and calibrate, as a user gives it."""

import re
from pathlib import Path

import pytest
from command import SMALL, run_here

from emul.cli.sweep import Sweep

FIDELITY = Path(__file__).parents[1] / "fidelity"
PERF = ["perf", "-b", "64", "-e", "1K", "-f", "4", *SMALL, "--algorithm", "hierarchical"]
CSV = "kind,size_bytes,time_s\n" + "".join(
    f"message,{1 << k},{10e-6 + (1 << k) / 1e9}\n" for k in range(8, 24)
)


def text_of(path):
    """Return the text of a page, without elements."""
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    return re.sub(r"<[^>]*>", " ", page)


def test_perf_writes_a_page_beside_its_table(tmp_path):
    path = tmp_path / "out.html"
    status, out, err = run_here(*PERF, "--report", str(path))
    assert (status, err) == (0, "")
    text = text_of(path)
    assert "How long does all_reduce of 64 B to 1 KiB take over 24 ranks at 3 sites" in text
    assert "2 times the rate of each trunk" in text
    assert "all ranks at one site" in text
    assert "others leave a quarter" in text
    assert f"emul perf -b 64 -e 1K -f 4 -n 1 -w 0 --algorithm hierarchical --report {path}" in text
    assert "Interrupted" not in text
    assert "out.html" not in out


def test_an_interrupt_among_the_sizes_leaves_a_page_of_those_that_are_done(tmp_path, monkeypatch):
    rows, done = Sweep.row, []

    def row(self, count, advance):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(count)
        return rows(self, count, advance)

    monkeypatch.setattr(Sweep, "row", row)
    path = tmp_path / "out.html"
    status, _, err = run_here(*PERF, "--report", str(path))
    assert status == 130
    assert "interrupted after 2 of 3 sizes" in err
    text = text_of(path)
    assert "Interrupted after 2 sizes: the larger ones are missing" in text
    assert "What a change would bring" not in text


def test_an_interrupt_among_the_changes_leaves_a_page_of_those_that_are_done(tmp_path, monkeypatch):
    every = Sweep.alternatives

    def alternatives(self, count):
        for number, each in enumerate(every(self, count)):
            if number == 2:
                raise KeyboardInterrupt
            yield each

    monkeypatch.setattr(Sweep, "alternatives", alternatives)
    path = tmp_path / "out.html"
    status, out, _ = run_here(*PERF, "--report", str(path))
    assert status == 130
    assert "Out of bounds values : 0 OK" in out
    text = text_of(path)
    assert "Interrupted after 2 changes: the others are missing." in text
    assert "2 times the rate of each trunk" in text
    assert "no packet lost" not in text


@pytest.mark.parametrize("what", ["input", "folder"])
def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path, what):
    topology = tmp_path / "campuses.toml"
    topology.write_text('preset = "three-campus"\n')
    path = topology if what == "input" else tmp_path
    status, out, err = run_here(*PERF, "--topology", str(topology), "--report", str(path))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert topology.read_text() == 'preset = "three-campus"\n'


def test_validate_writes_a_page(tmp_path):
    lines = (FIDELITY / "collectives.csv").read_text().splitlines()[:4]
    (tmp_path / "some.csv").write_text("\n".join(lines) + "\n")
    path = tmp_path / "out.html"
    links = ["--links", str(FIDELITY / "links.csv")]
    status, _, _ = run_here("validate", str(tmp_path / "some.csv"), *links, "--report", str(path))
    assert status == 0
    text = text_of(path)
    assert "How far can predictions be trusted, by 3 measured collectives?" in text
    assert "stack gloo" in text


def test_calibrate_writes_a_page(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    path = tmp_path / "out.html"
    status, _, err = run_here("calibrate", str(tmp_path / "a.csv"), "--report", str(path))
    assert (status, err) == (0, "")
    text = text_of(path)
    assert "by 16 measurements in 1 file" in text
    assert "latency and overhead cannot be told apart" in text
