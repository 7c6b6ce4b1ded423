"""One command line for all programs of the benchmarks, and the results that pages quote."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("pytest_benchmark")

from bench import command
from emul.wall.clock import STRICT_S

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "bench" / "results"
QUOTING = ("CONTRIBUTING.md", "docs/trust.md", "emul/wall/clock.py")
PAGES = {page: (ROOT / page).read_text() for page in QUOTING}


@pytest.fixture
def case(monkeypatch):
    """Put a report called ``small`` into the table of cases."""
    monkeypatch.setitem(command.CASES, "small", "small")
    monkeypatch.setitem(command.REPORTS, "small", "small")
    module = SimpleNamespace(
        __doc__="Measures little.\n\nMore.",
        add_options=lambda parser: parser.add_argument("--times", type=int, default=1),
        measure=lambda options: {"figure": 2 * options.times},
    )
    usual = command.import_module
    monkeypatch.setattr(
        command, "import_module", lambda name: module if name == "small" else usual(name)
    )
    return module


def test_a_report_is_written_with_its_machine(case, tmp_path):
    path = tmp_path / "small.json"
    assert command.main(["small", "--times", "21", "--out", str(path)]) == 0
    document = json.loads(path.read_text())
    assert document == {"machine": json.loads(json.dumps(command.machine())), "figure": 42}


def test_a_report_is_written_nowhere_unless_asked(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(["small"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_a_sentence_and_a_status(case, capsys):
    def refuse(options):
        raise command.BadInput("needed\n  a figure")

    case.measure = refuse
    assert command.main(["small"]) == 2
    assert capsys.readouterr().err == "bench.small: needed a figure\n"


@pytest.mark.parametrize(("arguments", "status"), [([], 0), (["--help"], 0), (["absent"], 2)])
def test_all_cases_are_named_where_none_is(case, arguments, status, capsys):
    assert command.main(arguments) == status
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(command.CASES)
    assert lines[-1].endswith("  Measures little.")


@pytest.mark.parametrize("name", [*command.REPORTS, *command.PROGRAMS])
def test_every_case_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert ("--out FILE" in said) == (name in command.REPORTS)


def test_every_result_that_is_kept_is_quoted():
    for path in RESULTS.iterdir():
        assert any(f"bench/results/{path.name}" in text for text in PAGES.values()), path


def test_the_page_on_trust_quotes_the_waits_that_were_measured():
    found = json.loads((RESULTS / "waits.json").read_text())
    sentence = " ".join(PAGES["docs/trust.md"].split())
    quoted = re.search(
        r"ended ([\d.]+) us late in the median, 99 % of them within ([\d.]+) us, where "
        r"`time.sleep` is (\d+) to (\d+) us late; collectives of 1 ms took ([\d.]+) % too long, "
        r"of 5 ms ([\d.]+) %, .*? within ([\d.]+) % of the closed form",
        sentence,
    )
    medians = [row["median_ns"] for row in found["waits"]]
    asleep = [row["time_sleep"]["median_ns"] for row in found["waits"]]
    off = {row["seconds"]: row["off_median"] for row in found["collectives"]}
    assert [float(number) for number in quoted.groups()] == [
        round(sorted(medians)[len(medians) // 2] / 1e3, 2),
        round(max(row["p99_ns"] for row in found["waits"]) / 1e3),
        round(min(asleep) / 1e3),
        round(max(asleep) / 1e3),
        round(off[1e-3] * 100, 1),
        round(off[5e-3] * 100, 1),
        round(found["overlap"]["off_median"] * 100, 1),
    ]


def test_strict_worlds_allow_the_waits_that_were_measured():
    found = json.loads((RESULTS / "waits.json").read_text())
    assert max(row["p99_ns"] for row in found["waits"]) < STRICT_S * 1e9


def test_the_peers_that_were_measured_are_those_of_the_report():
    from bench.peers.report import ARITHMETIC, SCHEDULING

    found = json.loads((RESULTS / "peers.json").read_text())
    assert {row["peer"] for row in found["arithmetic"]["rows"]} == set(ARITHMETIC)
    assert {row["peer"] for row in found["scheduling"]["rows"]} == set(SCHEDULING)
