"""``emul tune``: tables and words, files, costs, interrupts, and a search that goes on."""

import csv
import json
import re

import jsonschema
import pytest
from command import run_here
from told_progress import told_progress

from emul import World
from emul.cli import searching as module
from emul.insight.collective_tuning import CollectiveProblem
from emul.topology import read_document

SMALL = ["--sites", "2,2", "-b", "64K", "-e", "64K", "--upgrades", "rate", "--no-pairs"]
COST = '[cost]\ncurrency = "EUR"\nper_gbit_per_s = 100\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def campuses(folder):
    (folder / "campuses.toml").write_text(f'preset = "three-campus"\n{COST}')
    return ["--topology", "campuses.toml", "-b", "1M", "-e", "1M", "--upgrades", "rate"]


def document_of(folder, name="out.json"):
    return json.loads((folder / name).read_text())


def test_tables_words_and_json_say_the_same(folder, campuses):
    status, out, err = run_here("tune", *campuses, "--json", "out.json", "--csv", "out.csv")
    assert (status, err) == (0, "")
    document = document_of(folder)
    rows = document["rows"]
    assert [row["kind"] for row in rows] == ["today", "settings"] + 6 * ["upgrade"] + 12 * ["pair"]
    assert rows[0]["modelled_s"] == World("three-campus").predict("all_reduce", 1 << 18).time_s
    best = rows[1]["modelled_s"]
    for row in rows[1:]:
        assert row["saves_s"] == pytest.approx(best - row["modelled_s"], abs=1e-15)
        assert row["saves"] == pytest.approx(row["saves_s"] / best)
        if row["cost_per_month"]:
            assert row["saves_s_per_1000"] == pytest.approx(
                1000 * row["saves_s"] / row["cost_per_month"]
            )
    assert document["words"] == out.splitlines()[-len(document["words"]) :]
    told = [row for row in rows[2:8] if row["saves"] >= 0.01]
    for row in told:
        cost = f"{row['cost_per_month']:.2f}".removesuffix(".00")
        micro = (f"{row[key] * 1e6:.2f}" for key in ("modelled_s", "saves_s"))
        cells = [re.escape(row["name"]), *micro, f"{100 * row['saves']:.1f}", f"{cost} EUR"]
        assert re.search(" +".join(cells), out)
    assert "One upgrade" in out
    assert "Two upgrades" in out
    assert "The frontier: nothing is quicker for as little" in out
    lines = list(csv.DictReader((folder / "out.csv").read_text().splitlines()))
    assert [line["name"] for line in lines] == [row["name"] for row in rows]
    schema = json.loads(run_here("schema", "tune")[1])
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    document["rows"][0]["changes"] = "many"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_the_upgrade_that_is_written_is_read_by_other_commands(folder, campuses):
    asked = [*campuses, "--no-pairs", "--json", "out.json", "--write", "tuned.toml",
             "--write-plan", "best.xml"]  # fmt: skip
    status, out, err = run_here("tune", *asked, "--budget", "1500")
    assert (status, err) == (0, "")
    rows = document_of(folder)["rows"]
    within = [row for row in rows if row["kind"] == "upgrade"]
    assert 0 < len(within) < 6
    assert all(row["cost_per_month"] <= 1500 for row in within)
    most = max(within, key=lambda row: row["saves_s"])
    assert f"tuned.toml: {most['name']}\n" in out
    assert f"campuses.toml, by emul tune: {most['name']}." in (folder / "tuned.toml").read_text()
    before, after = (read_document(folder / name) for name in ("campuses.toml", "tuned.toml"))
    (change,) = most["changes"]
    for old, new in zip(before.topology.trunks, after.topology.trunks, strict=True):
        times = change["by"] if list(old.sites) == change["place"] else 1
        assert new.link.rate_bytes_per_s == pytest.approx(times * old.link.rate_bytes_per_s)
    assert after.costs == before.costs
    size = ["--clock", "virtual", "-n", "1", "-w", "0", "-b", "1M", "-e", "1M", "--json", "p.json"]
    assert run_here("perf", "--topology", "tuned.toml", *size)[0] == 0
    assert document_of(folder, "p.json")["rows"][0]["modelled_s"] >= most["modelled_s"]
    assert run_here("perf", "--algorithm", "best.xml", "--topology", "campuses.toml", *size)[0] == 0
    (row,) = document_of(folder, "p.json")["rows"]
    assert row["modelled_s"] == rows[1]["modelled_s"]
    assert row["wrong"] == 0


def test_without_an_upgrade_that_is_worth_it_the_file_is_as_it_was(folder):
    asked = ["--topology", "three-campus", "-b", "8", "-e", "8", "--upgrades", "rate",
             "--no-pairs", "--write", "tuned.toml"]  # fmt: skip
    status, out, _ = run_here("tune", *asked)
    assert status == 0
    assert "tuned.toml: no upgrade saves a hundredth\n" in out
    assert "Money: no cost is known" in out
    assert read_document(folder / "tuned.toml").topology.trunks == (
        World("three-campus").topology.trunks
    )


def test_settings_alone_are_searched_and_costs_may_be_in_a_file_of_their_own(folder):
    (folder / "cost.toml").write_text(COST)
    status, out, _ = run_here("tune", "broadcast", "--sites", "2,2", "-b", "64K", "-e", "128K",
                              "--upgrades", "none", "--cost", "cost.toml", "--any-root",
                              "--json", "out.json")  # fmt: skip
    assert status == 0
    document = document_of(folder)
    assert [row["kind"] for row in document["rows"]] == ["today", "settings"]
    assert document["sizes_bytes"] == [65536, 131072]
    assert len(document["rows"][0]["times_s"]) == 2
    assert "One upgrade" not in out
    assert "broadcast of 2 sizes, 64 KiB to 128 KiB, in all of float32 over 4 ranks" in out
    assert "the root" in out


def test_a_search_goes_on_where_it_was_interrupted(folder, monkeypatch):
    timed, calls = CollectiveProblem.timed, []

    def stops(self, topology, settings):
        calls.append(settings)
        if topology != self.planner.topology and len(calls) > 30:
            raise KeyboardInterrupt
        return timed(self, topology, settings)

    asked = ["tune", "--sites", "2,2", "-b", "64K", "-e", "64K", "--upgrades", "rate,delay",
             "--json", "out.json"]  # fmt: skip
    whole = run_here(*asked)
    complete = document_of(folder)
    with monkeypatch.context() as patched:
        patched.setattr(CollectiveProblem, "timed", stops)
        status, out, err = run_here(*asked, "--state", "s.jsonl")
    assert status == 130
    done = document_of(folder)["rows"]
    assert document_of(folder)["interrupted"]
    assert 2 <= len(done) < len(complete["rows"])
    assert err == f"emul tune: interrupted after {len(done)} cases; s.jsonl goes on from there\n"
    assert done == complete["rows"][: len(done)]
    assert "Settings: " in out
    assert run_here(*asked, "--resume", "s.jsonl") == whole
    with monkeypatch.context() as patched:
        patched.setattr(CollectiveProblem, "timed", lambda *_: pytest.fail("is solved twice"))
        assert run_here(*asked, "--state", "s.jsonl") == whole
    status, out, err = run_here(*asked, "--state", "s.jsonl", "--seed", "1")
    assert (status, out) == (2, "")
    assert "s.jsonl: holds the cases of other inputs" in err
    assert err.count("\n") == 1


def test_a_page_can_be_handed_on(folder, campuses):
    status, out, _ = run_here("tune", *campuses, "--no-pairs", "--report", "out.html")
    assert status == 0
    text = " ".join(re.sub(r"<[^>]*>", " ", (folder / "out.html").read_text()).split())
    assert "Which change would make all_reduce of 1 MiB quicker over 24 ranks at 3 sites" in text
    assert "The frontier: nothing is quicker for as little" in text
    upgrade = next(line for line in out.splitlines() if line.startswith("Upgrade: "))
    assert upgrade.removeprefix("Upgrade: ") in text
    assert "emul tune --topology campuses.toml -b 1M" in text
    assert "Interrupted" not in text


def test_an_interrupt_before_the_first_case_writes_nothing(folder, monkeypatch):
    def stops(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CollectiveProblem, "timed", stops)
    status, out, err = run_here("tune", *SMALL, "--json", "out.json")
    assert (status, out, err) == (130, "", "emul tune: interrupted after 0 cases\n")
    assert not (folder / "out.json").exists()


def test_progress_is_told_on_a_terminal(monkeypatch):
    told = told_progress(module, monkeypatch)
    run_here("tune", *SMALL)
    assert told[:2] == ["tune: as it is", "tune: best settings"]
    assert "tune: upgrade 1 of 2" in told
    assert told[-1].startswith("tune: upgrade 2 of 2: ")


@pytest.mark.parametrize("columns", [80, 100])
def test_it_fits_the_terminal(columns, campuses, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("emul.cli.terminal.on_terminal", lambda: True)
    status, out, _ = run_here("tune", *campuses, "--no-pairs")
    assert status == 0
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in out.splitlines()]
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--upgrades", "rates"], "unknown upgrade 'rates': needed one of rate, wave, trunk"),
        (["--budget", "100"], "--budget: needed costs: a table [cost]"),
        (["--budget", "-1"], "-1"),
        (["--cost", "gone.toml"], "gone.toml"),
        (["--sites", "2,2", "--write", "t.toml"], "--write: needed --topology"),
        (["--algorithm", "rings"], "unknown algorithm 'rings'"),
        (["-b", "4K", "-e", "1K"], "-b 4096 is above -e 1024"),
        (["--topology", "gone.toml"], "gone.toml"),
        (["--state", "no/such"], "cannot be written"),
        (["--json", "x", "--csv", "x"], "x: written by --json too: needed another file"),
        (["--state", "x", "--json", "y", "--write", "no/such"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint):
    status, out, err = run_here("tune", *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
