"""The column and the words about whole numbers that their type cannot hold."""

import json

import pytest
from click.testing import CliRunner

from emul.cli.main import main
from emul.ops.exact import ExactData

QUICK = ("-b", "96", "-e", "192", "-n", "1", "-w", "0", "--clock", "virtual")


def perf(*arguments):
    result = CliRunner().invoke(main, ["perf", *arguments])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    return [line for line in lines if line.startswith(("#", " "))], lines


def test_the_column_is_there_where_whole_numbers_are_added_up(tmp_path):
    path = tmp_path / "rows.json"
    table, words = perf("-d", "int8", "--json", str(path), *QUICK)
    assert any(line.endswith("#wrong  overflowed") for line in table)
    assert [line.split()[-2:] for line in table if line.startswith(" ")] == [["0", "0"]] * 2
    assert words[-1].startswith(
        "Overflow: none in this table, but only values from -5 to 5 are sure to fit: beyond, int8 "
        "cannot hold the sum of 24 ranks"
    )
    assert [row["overflowed"] for row in json.loads(path.read_text())["rows"]] == [0, 0]


@pytest.mark.parametrize("backend", ["cpu", "numpy"])
@pytest.mark.parametrize(("collective", "copies"), [("all_reduce", 24), ("reduce_scatter", 1)])
def test_elements_that_wrapped_are_counted(monkeypatch, backend, collective, copies):
    def fill(self, x):
        x[...] = 1
        x[..., :48] = 100

    monkeypatch.setattr(ExactData, "fill", fill)
    monkeypatch.setattr(ExactData, "wrong", lambda self, output: 0)
    table, words = perf(collective, "-d", "int8", "-c", "2", "--backend", backend, *QUICK)
    counted = [line.split()[-1] for line in table if line.startswith(" ")]
    assert counted == [str(2 * 48 * copies)] * 2  # in both checked runs
    total = 4 * 48 * copies
    assert words[-1].startswith(f"Overflow: {total} elements: int8 cannot hold the sum of 24 ranks")
    assert "all_gather codes and scales" in words[-1]


@pytest.mark.parametrize(
    ("arguments", "column", "word"),
    [
        (("-d", "int32", "-o", "avg", "--no-data"), False, True),
        (("-d", "int64", "-c", "0"), False, True),
        (("-d", "int8", "-o", "max"), False, False),
        (("-d", "float"), False, False),
        (("broadcast", "-d", "int8"), False, False),
        (("reduce", "-d", "uint8", "-o", "prod"), True, True),
    ],
)
def test_other_types_and_operators_have_neither(arguments, column, word):
    table, words = perf(*arguments, *QUICK)
    assert any("overflowed" in line for line in table) == column
    assert words[-1].startswith("Overflow: ") == word
    assert ("none in this table" in words[-1]) == column
