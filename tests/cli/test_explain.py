"""``emul explain``: tables that add up as they are printed, files, and interrupts."""

import csv
import json
import re

import jsonschema
import pytest
from command import run_here
from told_progress import told_progress

import emul
from emul import World
from emul.cli import explain as module
from emul.insight import collective
from emul.units import parse_size

SMALL = ["--sites", "2,2", "-b", "64K", "-e", "64K"]
COLUMNS = ("effect", "share", "part", "alone")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tables_of(out):
    """The lines of each table as dictionaries of cells, by the size above it."""
    tables, rows = {}, []
    for line in out.splitlines():
        if match := re.match(r"([\d.]+ (?:B|[KMG]iB)): .* by .*, bound ", line):
            rows = tables.setdefault(match[1], [])
        elif re.match(r" *\w+ +-?\d+\.\d\d +-?\d+\.\d ", line):
            rows.append(dict(zip(COLUMNS, line.split(), strict=False)))
    return tables


def units(text):
    """A printed number without its point, so that sums are exact."""
    return int(text.replace(".", ""))


def test_shares_add_up_as_they_are_printed():
    status, out, err = run_here("explain", "-b", "1K", "-e", "1M", "-f", "1024")
    assert (status, err) == (0, "")
    tables = tables_of(out)
    assert list(tables) == ["1 KiB", "1 MiB"]
    for size, rows in tables.items():
        *parts, whole = rows
        assert whole["effect"] == "sum"
        for column in ("share", "part"):
            assert sum(units(row[column]) for row in parts) == units(whole[column]), (size, column)
        found = emul.explain(World("three-campus"), "all_reduce", parse_size(size[:-2]) // 4)
        assert whole["share"] == f"{found.time_ps / 1e6:.2f}"
        assert [row["effect"] for row in parts] == [each.name for each in found.shares]
        for row, each in zip(parts, found.shares, strict=True):
            assert abs(units(row["share"]) * 10_000 - each.share_ps) < 10_000
            alone = "-" if each.alone_ps is None else f"{each.alone_ps / 1e6:.2f}"
            assert row["alone"] == alone
    assert found.words() == out.splitlines()[-len(found.words()) :]


@pytest.mark.parametrize("columns", [80, 100])
def test_it_fits_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("emul.cli.terminal.on_terminal", lambda: True)
    status, out, _ = run_here("explain", "-b", "1K", "-e", "32M", "-f", "32768")
    assert status == 0
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in out.splitlines()]
    assert max(map(len, lines)) <= columns
    assert "left out to fit" not in out
    assert any(line.rstrip().endswith("the part of the rate that others take") for line in lines)


def test_options_are_those_of_perf(folder):
    asked = ["all_gather", "--topology", "three-campus-dark-fibre", "-b", "1M", "-e", "1M", "-d",
             "bf16", "--algorithm", "ring", "--stack", "gloo", "--no-jitter",
             "--seed", "3"]  # fmt: skip
    status, out, err = run_here("explain", *asked, "--json", "explain.json")
    assert (status, err) == (0, "")
    run_here("perf", *asked, "--no-data", "--json", "perf.json")
    (row,) = json.loads((folder / "perf.json").read_text())["rows"]
    document = json.loads((folder / "explain.json").read_text())
    (size,) = document["sizes"]
    assert size["time_ps"] == round(row["modelled_s"] * 1e12)
    assert (document["collective"], document["dtype"]) == ("all_gather", "bfloat16")
    assert (size["algorithm"], document["stack"], document["seed"]) == ("ring", "gloo", 3)
    assert "jitter" not in [each["effect"] for each in document["rows"]]
    assert out.startswith("all_gather of bfloat16 over 24 ranks of three-campus-dark-fibre")


def test_plans_are_chosen_again_when_asked():
    asked = ["-b", "1M", "-e", "1M", "--no-gap", "--no-loss", "--slice", "0"]
    kept, again = (run_here("explain", *asked, "--plan", plan)[1] for plan in ("kept", "AGAIN"))
    assert "the plan is kept" in kept
    assert "Plan: kept, packed, in the 16 times worked out" in kept
    assert "the plan is chosen again under each subset of effects" in again
    assert "Plan: chosen again, packed, " in again
    assert tables_of(kept) != tables_of(again)


def test_a_plan_that_is_named_is_not_chosen_again():
    status, out, _ = run_here("explain", *SMALL, "--algorithm", "ring", "--plan", "again")
    assert status == 0
    assert "the plan is kept" in out
    assert "Plan: kept, ring, in the " in out
    assert "chosen again" not in out


def test_the_json_says_everything_and_is_as_its_schema_says(folder):
    status, out, _ = run_here("explain", "broadcast", *SMALL, "-r", "3", "--json", "out.json")
    assert status == 0
    document = json.loads((folder / "out.json").read_text())
    assert document["schema"] == "emul-explain-1"
    assert (document["root"], document["world_size"]) == (3, 4)
    (size,) = document["sizes"]
    assert sum(row["share_ps"] for row in document["rows"]) == size["time_ps"]
    assert sum(row["share"] for row in document["rows"]) == pytest.approx(1)
    assert sum(part["duration_ps"] for part in size["chain"]) == size["time_ps"]
    assert all(line in out.splitlines() for line in size["words"])
    reason = size["bounded_by"]
    assert reason["seconds"] * 1e12 == pytest.approx(size["bound_ps"], abs=20)
    assert f"Bound: {reason['words']}." in size["words"]
    assert [each["trunk"] for each in reason["slopes"]] == ["site-0 - site-1"]
    schema = json.loads(run_here("schema", "explain")[1])
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    document["rows"][0]["share_ps"] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_csv_has_the_lines_of_the_json(folder):
    assert run_here("explain", *SMALL, "--json", "out.json", "--csv", "out.csv")[0] == 0
    rows = json.loads((folder / "out.json").read_text())["rows"]
    lines = list(csv.DictReader((folder / "out.csv").read_text().splitlines()))
    assert [line["effect"] for line in lines] == [row["effect"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert int(line["share_ps"]) == row["share_ps"]
        assert line["alone_ps"] == ("" if row["alone_ps"] is None else str(row["alone_ps"]))


def test_a_page_can_be_handed_on(folder):
    assert run_here("explain", *SMALL, "--report", "out.html")[0] == 0
    text = re.sub(r"<[^>]*>", " ", (folder / "out.html").read_text())
    assert "Why does all_reduce of 64 KiB take" in text
    assert "Was it the distance?" in text
    assert "The binding chain at 64 KiB" in text
    assert "emul explain --sites 2,2 -b 64K -e 64K --report out.html" in text
    assert "Interrupted" not in text


def test_an_interrupt_keeps_the_sizes_that_are_done(folder, monkeypatch):
    explained, calls = collective.explain_request, []

    def stops_at_the_third(*given):
        calls.append(given)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return explained(*given)

    monkeypatch.setattr(collective, "explain_request", stops_at_the_third)
    asked = ["explain", "--sites", "2,2", "-b", "1K", "-e", "16K", "-f", "2",
             "--json", "out.json", "--report", "out.html"]  # fmt: skip
    status, out, err = run_here(*asked)
    assert (status, err) == (130, "emul explain: interrupted after 2 of 5 sizes\n")
    assert list(tables_of(out)) == ["1 KiB", "2 KiB"]
    document = json.loads((folder / "out.json").read_text())
    assert document["interrupted"]
    assert [each["size_bytes"] for each in document["sizes"]] == [1024, 2048]
    assert "Interrupted after 2 sizes" in (folder / "out.html").read_text()
    (folder / "out.json").unlink()
    calls[:] = [0, 0]
    status, out, err = run_here(*asked)
    assert (status, out, err) == (130, "", "emul explain: interrupted after 0 of 5 sizes\n")
    assert not (folder / "out.json").exists()


def test_progress_is_told_on_a_terminal(monkeypatch):
    told = told_progress(module, monkeypatch)
    run_here("explain", *SMALL, "--no-gap", "--no-loss", "--no-jitter", "--slice", "0")
    assert told[0] == "size 1 of 1: time 2 of 8"
    assert told[-1] == "size 1 of 1: time 8 of 8"
    assert len(told) == 7


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--plan", "once"], "--plan 'once': needed one of kept, again"),
        (["--algorithm", "rings"], "unknown algorithm 'rings'"),
        (["-b", "4K", "-e", "1K"], "-b 4096 is above -e 1024"),
        (["-o", "plus"], "unknown op 'plus'"),
        (["-d", "floats"], "unknown dtype 'floats'"),
        (["--ranks", "2", "--sites", "2"], "--ranks and --sites: needed one of them"),
        (["broadcast", "-r", "24"], "root 24"),
        (["--topology", "gone.toml"], "gone.toml"),
        (["--json", "no/such.json"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint):
    status, out, err = run_here("explain", *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1


def test_nothing_is_sent_by_one_rank():
    status, out, err = run_here("explain", "--ranks", "1", "-b", "1K", "-e", "1K")
    assert (status, err) == (0, "")
    assert out.endswith("Why: no time passes in all_reduce of 1 KiB.\n")
    assert tables_of(out)["1 KiB"][-1] == {"effect": "sum", "share": "0.00", "part": "0.0"}
