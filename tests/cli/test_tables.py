"""All tables and words on terminals of 80, 100 and 140 columns, and the files beside them."""

import csv
import io
import json
import os
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from command import SMALL, run_here
from rich.cells import cell_len
from rich.console import Console

from emul import World
from emul.cli.sweep import Sweep
from emul.cli.terminal import wrapped
from emul.report import PerfResult
from emul.report.documents import perf_document, rows_csv
from emul.report.perf_row import PerfRow, modelled_row
from emul.report.schemas import CONTENTS, schema_of
from emul.report.text_table import TextTable
from emul.validation import Predictor

FIDELITY = Path(__file__).parent.parent / "fidelity" / "namespaces"
VIRTUAL = ["--topology", "far.toml", "--clock", "virtual", *SMALL]
FAR = """
site = [{ name = "a", nodes = [2] }, { name = "b", nodes = [2] }]
trunk = [{ between = ["a", "b"], rate_gbit_per_s = 8, latency_us = 20000 }]
[defaults]
node_link = { rate_gbit_per_s = 100, latency_us = 1 }
site_link = { rate_gbit_per_s = 100, latency_us = 1 }
"""


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_small_topology(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("far.toml").write_text(FAR)


WIDTHS = ["80", "100", "140"]


@pytest.fixture(params=WIDTHS)
def terminal(request, monkeypatch):
    """A terminal of that many columns."""
    monkeypatch.setattr("emul.cli.terminal.on_terminal", lambda: True)
    for name, value in (("COLUMNS", request.param), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    return int(request.param)


def plain(printed):
    """The lines that were printed, without the marks of bold type."""
    return [re.sub(r"\x1b\[\d*m", "", line).rstrip() for line in printed.splitlines()]


def measured(folder):
    """A file of a few measured rows, and the arguments of validate."""
    head, *rows = (FIDELITY / "collectives.csv").read_text().splitlines(keepends=True)
    (folder / "measured.csv").write_text(head + "".join(rows[::60]))
    return ["validate", str(folder / "measured.csv"), "--links", str(FIDELITY / "links.csv")]


LONG = '[[site]]\nname = "{}"\nnodes = [1, 1]\nnode_link = {}\nsite_link = {}\n'


def of_long_names(path):
    """A topology of three sites with names that are long, wide, and meant for a terminal."""
    link = "{ rate_gbit_per_s = 10, latency_us = 5 }"
    names = ["north" * 20, "環" * 30, "\\u001b[31mred [bold]" + "x" * 40]
    sites = "".join(LONG.format(name, link, link) for name in names)
    trunks = "".join(
        f'[[trunk]]\nbetween = ["{a}", "{b}"]\nrate_gbit_per_s = 1\nlatency_us = {at}00\n'
        for at, (a, b) in enumerate([names[:2], names[1:], names[::2]], start=1)
    )
    path.write_text(sites + trunks)
    return str(path)


def test_no_table_of_a_terminal_is_too_wide(terminal, tmp_path):
    own = of_long_names(tmp_path / "long.toml")
    for command in (
        ["topology", "list"],
        ["topology", "show", "three-campus"],
        ["topology", "show", "three-campus", "--sources"],
        ["topology", "show", own],
        ["stack", "list"],
        ["stack", "show", "nccl"],
        ["stack", "show", "openmpi"],
        ["plan", "list"],
        ["perf", "-b", "1K", "-e", "4K", *VIRTUAL],
        ["perf", "-b", "1K", "-e", "4K", *VIRTUAL, "--topology", own, "-d", "int8"],
        ["perf", "-b", "1K", "-e", "1K", *VIRTUAL, "--stack", "gloo"],
        measured(tmp_path),
    ):
        status, printed, _ = run_here(*command)
        assert status == 0
        lines = plain(printed)
        assert all(cell_len(line) <= terminal for line in lines), command
        assert all(line.isprintable() for line in lines), command
        assert len(lines) > 5


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140])
def test_no_number_of_a_table_is_broken_and_what_gave_way_is_named(width):
    """Whatever the width, a cell that is no prose stands in one line, or is named as left out."""
    headings = ("name", "size", "time", "place", "remark")
    table = TextTable(*headings, right=("size", "time"), prose=["remark"],
                      give_way=["place", "size"])  # fmt: skip
    rows = [
        (f"trunk_{n}", (f"{n} GB/s (8 Gbit/s)", f"{n} GB/s"), f"{n}.25 ms", f"place_{n:020}",
         "of many words " * n + "\x1b[2J" + "q" * 25)
        for n in range(1, 6)
    ]  # fmt: skip
    for row in rows:
        table.row(*row)
    fitted, left_out = table.fitted(width)
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(fitted)
    lines = console.export_text().splitlines()
    assert all(cell_len(line.rstrip()) <= width and line.isprintable() for line in lines)
    assert left_out == [name for name in headings if name in left_out]
    for name, (long, short), time, place, _ in rows:
        (line,) = [line for line in lines if name in line]
        assert time in line
        assert ("size" in left_out) != (short in line or long in line)
        assert ("place" in left_out) != (place in line)
    assert sum(line.count("q") for line in lines) == 5 * 25  # folded, not cut off
    assert width < 140 or not left_out


def cells(lines):
    return [line.split() for line in lines if re.match(r" *\d", line)]


def test_the_table_on_a_terminal_says_what_the_json_says(terminal, tmp_path):
    path = tmp_path / "rows.json"
    arguments = ["perf", "-b", "1K", "-e", "1M", "-f", "32", *VIRTUAL]
    _, printed, _ = run_here(*arguments, "--json", str(path))
    document, lines = json.loads(path.read_text()), plain(printed)
    end = lines.index("", 6)
    for row, cell in zip(document["rows"], cells(lines[:end]), strict=True):
        assert int(cell[0]) == row["size_bytes"]
        assert float(cell[1]) == pytest.approx(row["modelled_s"] * 1e6, abs=0.006)
        assert float(cell[2]) == pytest.approx(row["modelled_s"] / row["bound_s"], abs=0.006)
        assert float(cell[3]) == pytest.approx(row["busbw_GBps"], abs=6e-5)
        assert row["binding"] in cell
        assert row["algorithm"] in cell
        assert cell[-1] == "0"
    # The words are set off, wrapped with an indent, and those of the JSON but for the list of auto.
    said = lines[end + 1 :]
    assert re.sub(r"\s+", " ", " ".join(said)).startswith(document["words"][0])
    assert all(line.startswith("  ") or re.match(r"[A-Z][\w ]*: ", line) for line in said)
    assert "\x1b[1mOne campus:\x1b[0m " in printed


def test_auto_names_the_next_best_and_counts_the_others(terminal):
    _, printed, _ = run_here("perf", "-b", "1K", "-e", "1K", *VIRTUAL)
    said = " ".join(line.strip() for line in plain(printed))
    _, wide, _ = run_here("perf", "-b", "1K", "-e", "1K", "--wide", *VIRTUAL)
    every = re.search(r"the others would take: (.*?)\.(?: \d+ more|$)", wide, re.M)[1].split(", ")
    named, more = re.search(r"next best: (.*); --wide lists (\d+) more\.", said).groups()
    assert named.split(", ") == every[:3]
    assert int(more) == len(every) - 3


def test_algorithms_that_an_excerpt_cannot_time_are_counted(terminal):
    arguments = ["perf", "--topology", "three-campus-300k", "--no-data", "--clock", "virtual",
                 "-b", "1M", "-e", "1M"]  # fmt: skip
    said = [" ".join(plain(run_here(*arguments, *more)[1])) for more in ([], ["--wide"])]
    number = int(re.search(r"Not timed: (\d+) others, which +--wide +names", said[0])[1])
    assert len(re.search(r"Not timed: (.*?)\.", said[1])[1].split(", ")) == number > 3


def test_a_pipe_has_all_columns_and_one_line_for_each_sentence(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in many a CI, whose logs scripts read
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ["perf", "-b", "1K", "-e", "1K", *VIRTUAL]
    _, piped, _ = run_here(*arguments)
    heads = [line for line in piped.splitlines() if line.startswith("#")]
    assert re.search("size +count +type +redop +root +time +algbw", "\n".join(heads))
    assert "the others would take: " in piped.splitlines()[-1]
    assert "\x1b" not in piped
    monkeypatch.delenv("FORCE_COLOR")
    status, narrow, _ = run_here(*arguments, "--narrow")
    assert status == 0
    assert all(len(line) <= 80 for line in narrow.splitlines())
    assert "\x1b" not in narrow


def test_markdown_is_a_table_and_a_list():
    arguments = ["perf", "-b", "1K", "-e", "2K", "--markdown", *VIRTUAL]
    status, printed, _ = run_here(*arguments)
    assert status == 0
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert {line.count("|") for line in table} == {12}
    assert table[2].startswith("| 1024 | ")
    words = [line for line in printed.splitlines() if line.startswith("- **")]
    assert [re.match(r"- \*\*([\w ]+):\*\* ", line)[1] for line in words] == [
        "Out of bounds values", "Avg bus bandwidth", "Measured time",
        "One campus", "Binding", "Auto",
    ]  # fmt: skip


def test_the_csv_has_the_keys_and_the_values_of_the_json(tmp_path):
    rows_path, csv_path = tmp_path / "rows.json", tmp_path / "rows.csv"
    files = ["--json", str(rows_path), "--csv", str(csv_path)]
    run_here("perf", "-b", "1K", "-e", "4K", *files, *VIRTUAL)
    rows = json.loads(rows_path.read_text())["rows"]
    assert len(rows) == 3
    same_values(rows, csv_path)


def same_values(rows, path):
    """Whether a CSV has the keys and the values of rows of a JSON."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == len(rows)
    for row, line in zip(rows, found, strict=True):
        assert list(line) == list(row)
        for key, value in row.items():
            if isinstance(value, bool):
                assert line[key] == str(value).lower()
            elif isinstance(value, int | float):
                assert float(line[key]) == value
            elif isinstance(value, list):
                assert line[key] == "; ".join(value)
            else:
                assert line[key] == (value or "")


def test_no_cell_of_a_csv_is_a_formula_or_moves_a_cursor():
    world = World("three-campus")
    prediction = world.predict("all_reduce", 8, algorithm="ring")
    row = modelled_row(world, prediction, np.dtype("float32"), redop="sum", root=0, seed=0)
    for begun in "=+-@":
        name = f'{begun}HYPERLINK("x","y")\x1b[2J,\n'
        odd = replace(row, topology=name, passed_over={"ring": "=1+1"})
        (line,) = csv.DictReader(rows_csv([odd]).splitlines())
        assert line["topology"].startswith(f"'{begun}HYPERLINK")
        assert line["topology"].isprintable()
        assert line["passed_over"] == "ring: =1+1"
        assert line["root"] == "-1"


@cache
def validator(name):
    schema = schema_of(CONTENTS[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def valid(name, document):
    validator(name).validate(document)


SWEEPS = [
    ["-b", "1K", "-e", "64K", "-f", "64"],
    ["--clock", "wall", "-b", "8", "-e", "8"],
    ["-d", "int8", "--stack", "nccl", "-b", "1K", "-e", "1K"],
    ["--topology", "three-campus-300k", "--no-data", "-b", "1M", "-e", "1M"],
    ["broadcast", "-b", "8M", "-e", "8M", "--slots", "1"],
    ["--topology", "one-campus", "-c", "0", "-b", "8", "-e", "8", "--algorithm", "ring"],
]


@pytest.mark.parametrize("arguments", SWEEPS)
def test_documents_of_perf_are_valid_and_add_up(arguments, tmp_path):
    path = tmp_path / "out.json"
    status, printed, _ = run_here("perf", *VIRTUAL, *arguments, "--json", str(path))
    assert status == 0
    document = json.loads(path.read_text())
    valid("perf", document)
    assert document["schema"] == "emul-perf-2"
    assert printed.splitlines()[-len(document["words"]) :] == document["words"]
    last, closing = document["rows"][-1], document["closing"]
    assert closing["size_bytes"] == last["size_bytes"]
    assert closing["modelled_s"] == last["modelled_s"]
    spent = [sum(terms.values()) for terms in closing["binding"]["path_s"].values()]
    assert sum(spent) == pytest.approx(last["modelled_s"], rel=1e-9)
    binding = closing["binding"]
    assert sum(binding["spent_s"].values()) == pytest.approx(binding["modelled_s"], rel=1e-9)
    assert binding["place"] == last["binding_place"]
    assert spent == sorted(spent, reverse=True)
    if closing["one_campus"]:
        there = closing["one_campus"]
        assert there["modelled_s"] <= closing["modelled_s"]
        assert there["times"] == pytest.approx(closing["modelled_s"] / there["modelled_s"])
    if closing["choice"]:
        assert min(closing["choice"]["considered"].values()) == closing["modelled_s"]
    assert (document["overflow"] is not None) == ("int8" in arguments)
    assert (document["lag"] is not None) == ("wall" in arguments)
    bound = closing["connection_bound"]
    assert (bound is not None) == ("--slots" in arguments)
    assert bound is None or bound["remedies"]["more slots"] > 1


def test_a_document_that_lacks_a_key_or_has_one_more_is_not_valid(tmp_path):
    path = tmp_path / "out.json"
    run_here("perf", "-b", "8", "-e", "8", "--json", str(path), *VIRTUAL)
    text = path.read_text()
    valid("perf", json.loads(text))
    for change in (
        lambda each: each.update(more=1),
        lambda each: each.pop("closing"),
        lambda each: each["rows"][0].pop("size_bytes"),
        lambda each: each["rows"][0].update(wrong="none"),
        lambda each: each["closing"]["binding"].update(more=1),
        lambda each: each.update(interrupted=False),
        lambda each: each.update(schema="emul-perf-1"),
    ):
        document = json.loads(text)
        change(document)
        with pytest.raises(jsonschema.ValidationError):
            valid("perf", document)


@pytest.mark.parametrize("option", ["--json", "--csv"])
@pytest.mark.parametrize("done", [0, 1])
def test_after_an_interrupt_files_hold_what_was_done(tmp_path, monkeypatch, option, done):
    path, row, rows = tmp_path / "out", Sweep.row, []
    path.write_text("complete")

    def interrupted(self, count, advance):
        if len(rows) == done:
            raise KeyboardInterrupt
        rows.append(count)
        return row(self, count, advance)

    monkeypatch.setattr(Sweep, "row", interrupted)
    status, _, _ = run_here("perf", "-b", "8", "-e", "16", option, str(path), *VIRTUAL)
    assert status == 130
    if not done:
        assert path.read_text() == "complete"
    elif option == "--csv":
        assert len(list(csv.DictReader(path.read_text().splitlines()))) == 1
    else:
        document = json.loads(path.read_text())
        valid("perf", document)
        assert (document["interrupted"], len(document["rows"])) == (True, 1)
        assert (document["closing"], document["words"]) == (None, [])


@pytest.mark.parametrize("option", ["--csv", "--nccl-json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(option, tmp_path):
    status, printed, complaint = run_here("perf", option, str(tmp_path / "no" / "x"))
    assert (status, printed) == (2, "")
    assert "cannot be written" in complaint


def test_documents_of_validate_and_calibrate_are_valid(tmp_path, monkeypatch):
    path, arguments, table = tmp_path / "out.json", measured(tmp_path), tmp_path / "rows.csv"
    files = ["--json", str(path), "--csv", str(table)]
    assert run_here(*arguments, "--summary", *files)[0] == 0
    document = json.loads(path.read_text())
    valid("validate", document)
    same_values(document["rows"], table)
    predict, found = Predictor.predict, []

    def interrupted(self, row):
        if len(found) == 2:
            raise KeyboardInterrupt
        found.append(row)
        return predict(self, row)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    assert run_here(*arguments, "--summary", "--json", str(path))[0] == 130
    document = json.loads(path.read_text())
    valid("validate", document)
    assert (document["interrupted"], len(document["rows"])) == (True, 2)
    log = tmp_path / "log.csv"
    log.write_text("kind,size_bytes,time_s\nlatency,0,0.001\ngoodput,1000000,0.01\n")
    assert run_here("calibrate", str(log), *files)[0] == 0
    document = json.loads(path.read_text())
    valid("calibrate", document)
    same_values(document["parameters"], table)


@pytest.mark.parametrize("name", CONTENTS)
def test_the_schema_is_printed(name):
    status, printed, _ = run_here("schema", name)
    assert status == 0
    assert json.loads(printed) == schema_of(CONTENTS[name])
    assert name in run_here("schema")[1]


def test_every_key_of_a_row_is_in_the_schema():
    row = schema_of(CONTENTS["perf"])["$defs"]["PerfRow"]
    assert row["required"] == list(PerfRow.__dataclass_fields__)
    assert row["properties"]["wrong"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert row["additionalProperties"] is False


def test_a_document_is_made_without_a_terminal():
    """By the result alone, as a program would that has no command line."""
    world = World("one-campus")
    prediction = world.predict("all_reduce", 8, algorithm="ring")
    row = modelled_row(world, prediction, np.dtype("float32"), redop="sum", root=0, seed=0)
    nobody = replace_lag(world)
    result = PerfResult(world, [row], lambda at: prediction, None, None, [], nobody, [], {},
                        None, None, list, None, interrupted=True)  # fmt: skip
    document = perf_document("1", result)
    valid("perf", document)
    assert document["lag"] is None


def replace_lag(world):
    return Sweep(world, "all_reduce", "ring", "float32", "sum", 0, 1, 0, 0).lag


def test_lines_are_wrapped_between_words_and_no_unit_is_left_alone():
    line = "Binding: trunk a -> b takes 37.18 ms of the 40 ms at 4 MiB: 36 ms at 0.07 GB/s, " * 3
    for width in (20, 33, 50, 79, 80, 140):
        lines = wrapped(line, width)
        assert all(len(each) <= width for each in lines)
        assert all(each.startswith("  ") for each in lines[1:])
        assert " ".join(each.strip() for each in lines) == line.strip()
        assert not any(re.match(r" *(ms|MiB|GB/s)\b", each) for each in lines)
    assert (
        wrapped("x" * 50, 20) == ["x" * 18, *[]]
        or "".join(each.strip() for each in wrapped("x" * 50, 20)) == "x" * 50
    )
    assert wrapped("", 20) == [""]
    assert wrapped("# Lag : " + "a " * 20, 20)[1].startswith("#   a")
    assert os.linesep not in wrapped("a\x1b[2Jb", 20)[0]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("-e 9M -f 8", "the largest is 8 MiB; the next, 64 MiB, is beyond -e 9 MiB"),
        ("-e 2.5M -i 1M", "the largest is 2 MiB; the next, 3 MiB, is beyond -e 2.5 MiB"),
        ("-e 8M -f 8", ""),
    ],
)
def test_a_last_size_that_no_step_meets_is_told(steps, said):
    given = ["--no-data", "--clock", "virtual", "-b", "1M", *steps.split()]
    status, out, _ = run_here("perf", *given)
    assert status == 0
    assert f"\nSizes: {said}.\n" in out if said else "Sizes:" not in out
