"""One validator for the values of all files: the same ranges, and errors that name the place."""

import math
from pathlib import Path

import pytest

from emul.errors import MeasurementError, StackError
from emul.reading import values
from emul.reading.json_text import JsonText
from emul.reading.place import Place
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range

CELL = Place(Path("a/log.csv"), 3, "size")
KEY = Place("stack mine", key="slots", error_class=StackError)
PARTS = Range(0, 1, "of the rate", closed=False, below=True)


def test_a_place_names_file_line_and_column_or_a_key():
    assert str(CELL.refusal("x", "a number")) == (
        "a/log.csv, line 3, column size: 'x': needed a number"
    )
    assert str(KEY.refusal(0, "more")) == "stack mine: slots = 0: needed more"
    assert str(CELL.at(2).of("end").refusal(1, "2")) == (
        "a/log.csv, line 3, column 2: end = 1: needed 2"
    )
    assert CELL.file_name == "log.csv"


def test_the_error_is_of_the_class_of_the_place():
    assert isinstance(CELL.complaint("late"), MeasurementError)
    assert isinstance(KEY.refusal(1, "2"), StackError)
    assert isinstance(KEY.at(1).of("x").complaint("late"), StackError)


def test_a_long_value_is_cut_in_the_error():
    assert len(str(CELL.refusal("x" * 10_000, "less"))) < 150
    assert len(str(KEY.refusal(["x" * 10_000], "less"))) < 300
    assert "integer of 40001 bits" in str(KEY.refusal(1 << 40_000, "less"))


@pytest.mark.parametrize("wrong", [0, 0.0, 1, 1.0, -1, True, "0.5", None, [], math.nan, 10**400])
def test_documents_and_tables_refuse_the_same_numbers(wrong):
    with pytest.raises(StackError, match=r"^stack mine: slots = .* above 0 to below 1 of the rate"):
        values.real(wrong, PARTS, KEY)
    table = TomlTable({"part": wrong}, "f.toml", "trunk[0]", StackError)
    with pytest.raises(StackError, match=r"^f\.toml: trunk\[0\]\.part = "):
        table.number("part", PARTS)


def test_cells_keys_and_json_take_a_number_at_the_edge_of_its_range():
    edge = Range(0, 2, "s")
    assert values.real(2, edge, KEY) == values.amount("2.0", edge, CELL, "up to 2") == 2.0
    assert values.whole(2, edge, KEY) == values.count("2", CELL, "s", 0, 2) == 2
    text = '{"part": 2}'
    document = JsonText(text, Path("a.json"), {"part": 2}, {(): 0})
    assert document.number("part", least=2) == 2.0
    with pytest.raises(MeasurementError, match=r"^a\.json, line 1, column 10: part = '2': needed"):
        document.number("part", least=3)
    for outside in ("2.5", "-1", "1e400", "nan", "2 s"):
        with pytest.raises(MeasurementError, match=r"line 3, column size"):
            values.amount(outside, edge, CELL, "up to 2")
