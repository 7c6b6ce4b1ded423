"""``emul compare``: algorithms side by side, by figures that are worked out another way."""

import csv
import json
import math
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from command import run_here

from emul import PlanError, World
from emul.cli.comparing import Contest
from emul.plans import algorithms_for
from emul.report.comparison import (
    Compared,
    ComparedRow,
    ComparisonResult,
    comparison_document,
    comparison_table,
    curves_of,
)
from emul.topology import topology_of_sites

MINE = """
from emul import Send, algorithm

def star(n):
    for rank in range(1, n):
        yield [Send(rank, 0, chunk, reduce=True) for chunk in range(n)]
    yield [Send(0, rank, chunk) for rank in range(1, n) for chunk in range(n)]

@algorithm("all_gather", chunks=lambda n: 2 * n)
def to_all(n, chunks):
    yield [Send(r, to, c) for r in range(n) for to in range(n) if to != r
           for c in range(2 * r, 2 * r + 2)]

def wrong(n):
    yield [Send(1, 0, 0, reduce=True)]

def on_two(n):
    assert n == 2, "two ranks"
    return star(n)
"""
ONE_SIZE = ["-b", "4K", "-e", "4K"]


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """The folder of the user, with a file of Python."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(out):
    """The lines of the tables as lists of cells, by the size above them."""
    tables, size = {}, None
    for line in out.splitlines():
        if match := re.match(r"[\d.]+ (?:B|[KMG]iB \((\d+) B\))$", line):
            size = match[1] or line.split()[0]
        elif size and re.search(r" {2,}(yes|no) ", line):
            tables.setdefault(int(size), []).append(line.split())
    return tables


def test_an_algorithm_of_ones_own_stands_beside_all_others():
    status, out, err = run_here("compare", "mine.py:star", "--sites", "3,2", *ONE_SIZE)
    assert (status, err) == (0, "")
    (rows,) = rows_of(out).values()
    assert sorted(row[0] for row in rows) == sorted(["mine.py:star", *algorithms_for("all_reduce")])
    times = [float(row[2]) for row in rows]
    assert times == sorted(times)
    world = World(topology_of_sites([(3,), (2,)]))
    x = np.random.default_rng(0).normal(size=(5, 16380)).astype(np.float32)
    for name, proven, time, bound, crossing, error in rows:
        run = world.all_reduce(x, algorithm=name)
        predicted = world.predict("all_reduce", 1024, algorithm=name)
        assert proven == "yes"
        assert time == f"{predicted.time_s * 1e6:.2f}"
        assert bound == f"{predicted.time_s / predicted.bound_s:.2f}"
        assert int(crossing) == predicted.timeline.trunk_bytes.sum()
        assert error == f"{run.error.max_relative_to_magnitudes:.1e}"
    assert f"Quickest: {rows[0][0]} at 4 KiB." in out
    beside = next(float(row[2]) for row in rows if row[0] == "mine.py:star") / times[0]
    assert f"mine.py:star beside the quickest: {beside:.2f} times as long at 4 KiB." in out
    assert "no order of reduction is beyond 2.4e-07" in out  # 4 u, of 5 terms


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_tables_fit_the_terminal(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    name = "hierarchical:node=direct,site=ring:bidirectional,trunk=direct:one_shot"
    status, out, _ = run_here("compare", "ring", name, "-e", "1G", "-f", "4096", "--ranks", "4")
    assert status == 0
    tables = [line for line in out.splitlines() if re.search(r" (yes|proven) |^[a-z:=,_]+$", line)]
    assert len(tables) >= 6
    assert max(map(len, tables)) <= columns


def test_algorithms_of_a_collective_are_compared_by_names_and_files():
    status, out, _ = run_here("compare", "all_gather", "bruck", "mine.py:to_all", "--ranks", "3",
                              "-b", "24", "-e", "2400", "-f", "10")  # fmt: skip
    assert status == 0
    tables = rows_of(out)
    assert list(tables) == [24, 240, 2400]
    assert all(sorted(row[0] for row in rows) == ["bruck", "mine.py:to_all"]
               for rows in tables.values())  # fmt: skip
    assert all(row[-1] == "-" for rows in tables.values() for row in rows)
    assert "Error" not in out
    own = run_here("compare", "mine.py:to_all", "--against", "bruck", "--ranks", "3", "-b", "24",
                   "-e", "2400", "-f", "10")[1]  # fmt: skip
    assert rows_of(own) == tables


def test_commas_within_the_name_of_a_hierarchy_stay_there(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    against = "hierarchical:site=direct,trunk=ring,ring,hierarchical:pieces=2"
    status, out, _ = run_here("compare", "direct", "--against", against, "--against", "bruck",
                              "--sites", "2,2", *ONE_SIZE)  # fmt: skip
    assert status == 0
    assert {row[0] for row in rows_of(out)[4096]} == {
        "direct", "ring", "bruck", "hierarchical:site=direct,trunk=ring", "hierarchical:pieces=2",
    }  # fmt: skip


def test_what_cannot_be_compared_is_listed_with_the_reason():
    status, out, _ = run_here("compare", "all_to_all", "pairwise", "--against", "all,ring",
                              "--ranks", "4", *ONE_SIZE)  # fmt: skip
    assert status == 0
    assert {row[0] for row in rows_of(out)[4096]} == {"pairwise", "direct", "bruck", "packed"}
    assert "Not compared: ring (4 KiB): algorithm 'ring' does not do all_to_all: needed one" in out
    status, out, _ = run_here("compare", "ring", "--against", "mine.py:wrong,mine.py:on_two",
                              "--ranks", "4", *ONE_SIZE)  # fmt: skip
    assert status == 0
    unproven = [row[:3] for row in rows_of(out)[4096]][1:]
    assert unproven == [[f"mine.py:{name}", "no", "-"] for name in ("wrong", "on_two")]
    assert "Not compared: mine.py:wrong (4 KiB): wrong all_reduce over 4 ranks: after the" in out
    assert "Not compared: mine.py:on_two (4 KiB): mine.py, line 18: AssertionError: two ran" in out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["mine.py:wrong"],
            "wrong all_reduce over 24 ranks: after the last step, rank 0 chunk 0",
        ),
        (["mine.py:on_two"], "mine.py, line 18: AssertionError: two ranks"),
        (["mine.py:stra"], "did you mean mine.py:star?"),
        (["gone.py:star"], "gone.py: cannot be read (No such file or directory)"),
        (["rings"], "unknown algorithm 'rings'"),
        (["ring", "--against", "rings"], "unknown algorithm 'rings': needed one of all, ring"),
        (["ring", "--against", "mine.py:stra"], "did you mean mine.py:star?"),
        (["all_gather"], "Missing argument 'ALGORITHM' of all_gather"),
        (["gather", "ring"], "'ring' does not do gather"),
        (["mine.py:to_all", "mine.py:star"], "needed algorithms for one collective, of one root"),
        (["all_reduce", "mine.py:to_all"], "to_all does all_gather, as it says: needed a func"),
        (["ring", "--ranks", "2", "--sites", "2"], "--ranks and --sites: needed one of them"),
        (["ring", "--ranks", "2", "--topology", "one-campus"], "--topology and --ranks: needed"),
        (["ring", "--sites", "6,,2"], "needed the ranks of each site, as 6,2, or of each"),
        (["ring", "--sites", "6,0"], "needed 1 to 1000000 ranks"),
        (["ring", "--sites", "999999,2"], "needed 1 to 1000000 ranks"),
        (["ring", "--sites", ",".join(["1"] * 65)], "65 sites: needed 1 to 64, or a TOML file"),
        (["ring", "-o", "plus"], "unknown op 'plus'"),
        (["ring", "-d", "floats"], "unknown dtype 'floats'"),
        (["ring", "-b", "4K", "-e", "1K"], "-b 4096 is above -e 1024"),
        (["broadcast", "direct", "-r", "24"], "root 24"),
        (["mine.py:star", "--json", "mine.py"], "--json mine.py: read by the command too"),
        (["ring", "--json", "no/such.json"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_status_2(arguments, complaint, mine):
    status, out, err = run_here("compare", *arguments)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.count("\n") == 1
    assert (mine / "mine.py").read_text() == MINE


def test_the_json_says_everything(mine):
    status, out, _ = run_here("compare", "mine.py:star", "--against", "ring,mine.py:wrong",
                              "--ranks", "4", *ONE_SIZE, "--json", "out.json")  # fmt: skip
    document = json.loads((mine / "out.json").read_text())
    assert status == 0
    assert document["schema"] == "emul-compare-1"
    assert (document["collective"], document["world_size"]) == ("all_reduce", 4)
    assert "interrupted" not in document
    rows = {row["algorithm"]: row for row in document["rows"]}
    cells = {row[0]: row for row in rows_of(out)[4096]}
    assert rows.keys() == cells.keys()
    for name, row in rows.items():
        assert row["size_bytes"] == 4096
        assert ("yes" if row["proven"] else "no") == cells[name][1]
        if row["proven"]:
            assert f"{row['modelled_s'] * 1e6:.2f}" == cells[name][2]
            assert row["max_ulp"] > 0
    assert [each["algorithm"] for each in document["excluded"]] == ["mine.py:wrong"]
    assert all(line in out.splitlines() for line in document["words"])


def test_the_json_is_as_its_schema_says(mine):
    arguments = ["compare", "ring", "--against", "mine.py:wrong", "--ranks", "3", *ONE_SIZE]
    assert run_here(*arguments, "--json", "out.json")[0] == 0
    schema = json.loads(run_here("schema", "compare")[1])
    document = json.loads((mine / "out.json").read_text())
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    document["rows"][0]["proven"] = "yes"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)


def test_csv_has_the_lines_of_the_json(mine):
    arguments = ["compare", "ring", "--against", "mine.py:wrong", "--ranks", "3", *ONE_SIZE]
    assert run_here(*arguments, "--json", "out.json", "--csv", "out.csv")[0] == 0
    rows = json.loads((mine / "out.json").read_text())["rows"]
    lines = list(csv.DictReader((mine / "out.csv").read_text().splitlines()))
    assert len(lines) == len(rows) == 2
    for line, row in zip(lines, rows, strict=True):
        assert line.keys() == row.keys()
        assert line["algorithm"] == row["algorithm"]
        assert line["proven"] == str(row["proven"]).lower()
        assert line["modelled_s"] == ("" if row["modelled_s"] is None else str(row["modelled_s"]))


def test_times_are_drawn_over_sizes(mine):
    arguments = ["compare", "ring", "--against", "mine.py:wrong,bruck", "--ranks", "3"]
    status, _, err = run_here(*arguments, "--json", "out.json", "--plot", "out.svg")
    assert (status, err) == (0, "")
    assert "<svg" in (mine / "out.svg").read_text()
    document = json.loads((mine / "out.json").read_text())
    rows = tuple(ComparedRow(**row) for row in document["rows"])
    compared = Compared("all_reduce", "", "", 3, "float32", "sum", -1, ("ring",), 8, None, rows)
    curves, bound = curves_of(compared)
    assert list(curves) == ["ring", "bruck"]
    times = {row.size_bytes: row.modelled_s for row in rows if row.algorithm == "bruck"}
    assert curves["bruck"] == times
    assert all(bound[size] <= time for size, time in times.items())
    many = tuple(ComparedRow(8, f"a{i}", True, 20.0 - i, 1.0) for i in range(12))
    drawn, _ = curves_of(replace(compared, rows=many, subjects=("a0",)))
    assert list(drawn) == ["a0", *(f"a{i}" for i in range(5, 12))]
    refused = run_here(*arguments, "--plot", "out.txt")
    assert refused[:2] == (2, "")


def test_names_are_text_in_markdown(mine):
    (mine / "a|b_<i>.py").write_text(MINE)
    status, out, _ = run_here("compare", "a|b_<i>.py:star", "--against", "ring", "--ranks", "3",
                              "-b", "4K", "-e", "8K", "-f", "2", "--markdown")  # fmt: skip
    assert status == 0
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 * 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {7}
    assert sum(line.startswith(r"| a\|b\_\<i\>.py:star | yes |") for line in lines) == 2
    assert "- **Quickest:** " in out


def test_names_take_any_spelling():
    status, out, err = run_here("compare", "All-Gather", "Ring", "--against", "bruck", "-d", "fp16",
                                "--ranks", "3", *ONE_SIZE)  # fmt: skip
    assert status == 0, err
    assert out.startswith("all_gather of float16 over the 3 ranks of one site of 3 ranks")


def test_an_infinite_error_can_be_written():
    rows = (ComparedRow(8, "ring", True, 1.0, 0.5, 2.0, 4, math.inf, math.inf),)
    compared = Compared("all_reduce", "two", "", 2, "float16", "sum", -1, ("ring",), 8, None, rows)
    (row,) = comparison_document("1", ComparisonResult(compared))["rows"]
    assert (row["max_relative_to_magnitudes"], row["max_ulp"]) == (None, None)
    assert "inf" in list(comparison_table(compared, 8, 80))[-1]


def test_an_interrupt_prints_and_writes_what_was_done(mine, monkeypatch):
    compare, calls = Contest.compare, []

    def stops_at_the_third(self, count):
        calls.append(count)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return compare(self, count)

    monkeypatch.setattr(Contest, "compare", stops_at_the_third)
    arguments = ["compare", "ring", "direct", "--ranks", "4", "--json", "out.json"]
    status, out, err = run_here(*arguments)
    assert status == 130
    assert list(rows_of(out)) == [8192, 524288]
    assert "Quickest: " in out
    assert err == "emul compare: interrupted after 2 of 3 sizes\n"
    document = json.loads((mine / "out.json").read_text())
    assert document["interrupted"]
    assert len(document["rows"]) == 4
    (mine / "out.json").unlink()
    calls[:] = [0, 0]
    status, out, err = run_here(*arguments)
    assert (status, out) == (130, "")
    assert not (mine / "out.json").exists()


def test_a_size_that_is_interrupted_leaves_nothing(monkeypatch):
    contest = Contest(World(topology_of_sites([(2,)])), "all_reduce", ("ring",), ("direct",),
                      "float32", "sum", 0)  # fmt: skip
    contest.compare(8)

    def interrupted(self, algorithm):
        if algorithm == "direct":
            raise KeyboardInterrupt

    monkeypatch.setattr(Contest, "_error", interrupted)
    with pytest.raises(KeyboardInterrupt):
        contest.compare(16)
    assert [row.size_bytes for row in contest.compared.rows] == [32, 32]


def test_a_subject_that_is_wrong_is_an_error_of_its_own():
    contest = Contest(World(topology_of_sites([(2,)])), "all_reduce", (lambda n: [[]],), (),
                      "float32", "sum", 0)  # fmt: skip
    with pytest.raises(PlanError, match="lacks the contribution of rank 1"):
        contest.compare(8)
