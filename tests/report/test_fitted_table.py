"""The table that fits: in any width, each line fits and each cell is the figure of the row."""

import re
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from rich.cells import cell_len

from emul import World
from emul.report.fitted_table import COLUMNS, FittedTable, ShortNames
from emul.report.markdown import MarkdownTable, escaped, markdown_sentence
from emul.report.perf_row import modelled_row
from emul.report.table import WideTable, times_us
from emul.wall.lag import CallTimes, Lag

WORLD = World("three-campus", clock="wall")
ONE_SITE = World("one-campus", clock="wall")
VIRTUAL = World("three-campus")
HEADS = {each.key: f"{each.heading} {each.unit}".strip() for each in COLUMNS}
ODD = "\x1b[31m", "\u202e", "\n", "|", "<b>", "[red]", "é", "環", "&", "`", "*", "\\", ":"


def row_in(world):
    prediction = world.predict("all_reduce", 1000, algorithm="ring")
    return modelled_row(world, prediction, np.dtype("float32"), redop="sum", root=0, seed=0)


ROWS = {world: row_in(world) for world in (WORLD, ONE_SITE, VIRTUAL)}

names = st.one_of(
    st.sampled_from(["ring", "halving_doubling:far_first", "hierarchical:one_shot", "a.xml"]),
    st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=9)), min_size=1, max_size=9).map(
        "".join
    ),
)
seconds = st.floats(0, 1e7).map(lambda value: round(value, 9))
rows = st.fixed_dictionaries(
    {
        "size_bytes": st.integers(0, 1 << 62),
        "modelled_s": seconds,
        "bound_s": seconds,
        "lag_s": st.floats(0, 10).map(lambda value: round(value, 9)),
        "busbw_GBps": st.one_of(st.none(), st.floats(0, 1e12)),
        "slowest_trunk_GBps": st.one_of(st.none(), st.floats(0, 1e12)),
        "wrong": st.one_of(st.none(), st.integers(0, 10**9)),
        "overflowed": st.one_of(st.none(), st.integers(0, 10**15)),
        "binding": st.sampled_from(["share", "window", "latency", "overhead"]),
        "algorithm": names,
    }
)


def cells_by_heading(table, line):
    """The cells of a line by the keys of their columns, found by the places of the columns."""
    cells, start = {}, 0
    for key, width in table._widths.items():
        part = ""
        while cell_len(part) < width and start + len(part) < len(line):
            part = line[start : start + len(part) + 1]
        cells[key] = part.strip()
        start += len(part) + 2
    return cells


def agrees(cell, value, *, digits):
    """Whether ``cell`` is ``value``, rounded to as many digits as the cell shows."""
    if value is None:
        return cell in ("-", "N/A")
    if "e" in cell:
        return float(cell) == pytest.approx(value, rel=0.5)
    shown = len(cell.partition(".")[2])
    error = abs(float(cell) - value) - abs(value) * 1e-12
    return shown <= digits and error <= 0.5000001 * 10**-shown


@examples(60)
@given(
    st.sampled_from([WORLD, ONE_SITE, VIRTUAL]),
    st.integers(80, 180),
    st.lists(rows, min_size=1, max_size=4),
    st.sampled_from(["auto", "ring", "x.xml"]),
    st.booleans(),
    st.booleans(),
)
def test_no_line_is_too_long_and_each_cell_is_the_figure_of_the_row(
    world, width, changes, algorithm, counts, runs
):
    made = [replace(ROWS[world], wall_s=each["modelled_s"] + each["lag_s"], **each)
            for each in changes]  # fmt: skip
    largest = max(made, key=lambda row: row.modelled_s)
    table = FittedTable(
        world, "all_reduce", algorithm, width=width, counts_overflow=counts, runs=runs,
        most_bytes=max(row.size_bytes for row in made), most_s=largest.modelled_s,
    )  # fmt: skip
    for row in made:
        line = table.line(row)
        assert cell_len(line) <= width
        assert line.isprintable()
        found = cells_by_heading(table, line)
        assert {"size", "time"} <= set(found)
        expected = {
            "size": (row.size_bytes, 0),
            "time": (row.modelled_s * 1e6, 2),
            "times_bound": (row.modelled_s / row.bound_s if row.bound_s else None, 2),
            "busbw": (row.busbw_GBps, 4),
            "trunk": (row.slowest_trunk_GBps, 4),
            "bound": (row.bound_s * 1e6, 2),
            "wrong": (row.wrong, 0),
            "overflowed": (row.overflowed, 0),
            "measured": (row.wall_s * 1e6, 2),
        }
        for key, (value, digits) in expected.items():
            assert key not in found or agrees(found[key], value, digits=digits), (key, line)
        assert found.get("binding", row.binding[:7]) == row.binding[:7]
        if {"measured", "lag"} <= set(found) and "e" not in found["lag"] + found["measured"]:
            exact = Decimal(found["measured"]) - Decimal(found["time"])
            assert agrees(found["lag"], float(exact), digits=2), line
    heads = table.headings()
    assert all(cell_len(head) <= width for head in heads)


def test_every_name_stays_reachable_and_no_two_are_alike():
    table = FittedTable(WORLD, "all_reduce", "auto", width=80, most_bytes=1 << 25, most_s=0.07)
    full = ["hierarchical:nodes", "hierarchical:pieces", "hierarchical:one_shot",
            "halving_doubling", "halving_doubling:far_first",
            "x" * 90, "x" * 91, "環" * 50]  # fmt: skip
    shown = [table.line(replace(ROWS[WORLD], algorithm=name)) for name in full]
    cells = [cells_by_heading(table, line)["algorithm"] for line in shown]
    assert len(set(cells)) == len(full)
    by_key = {**dict(zip(cells, cells, strict=True)), **table.key()}
    assert [by_key[cell] for cell in cells] == full
    foot = table.foot([ROWS[WORLD]], Lag.of([CallTimes.at_once(0, 1, 1e-9)], 1.0))
    assert f"# {cells[5]:<20} : {'x' * 90}" in foot


@given(st.lists(names, max_size=40), st.integers(8, 30))
@examples(60)
def test_short_names_are_short_and_different(many, width):
    short = ShortNames(width)
    found = {name: short.short(name) for name in many}
    assert all(cell_len(each) <= width for each in found.values())
    assert all(short.short(name) == each for name, each in found.items())
    whole = {}
    for name, each in found.items():
        assert whole.setdefault(each, name) == name or escapes(name) == escapes(whole[each])


def escapes(name):
    from emul.reading.printable import printable

    return printable(name)


@pytest.mark.parametrize(
    ("width", "gone"),
    [(80, {"trunk", "bound", "lag"}), (100, {"bound", "lag"}), (140, set())],
)
def test_columns_give_way_from_the_least_important(width, gone):
    table = FittedTable(WORLD, "all_reduce", "auto", width=width, most_bytes=1 << 25, most_s=0.07)
    kept = {each.key for each in COLUMNS} - {"overflowed"} - gone
    assert set(table._widths) == kept


def test_columns_that_say_nothing_are_not_there():
    about = {"width": 200, "most_bytes": 8, "most_s": 0.07}
    assert "trunk" not in FittedTable(ONE_SITE, "all_reduce", "ring", **about)._widths
    virtual = FittedTable(VIRTUAL, "all_reduce", "ring", **about)._widths
    assert not {"measured", "lag"} & set(virtual)
    assert "wrong" in virtual
    assert "wrong" not in FittedTable(VIRTUAL, "all_reduce", "ring", **about, runs=False)._widths


@examples(60)
@given(seconds, st.floats(0, 10), st.sampled_from([1.0, 2.5]))
def test_measured_is_modelled_and_lag_in_the_digits_that_are_printed(modelled, lag, dilation):
    row = replace(ROWS[WORLD], modelled_s=modelled, dilation=dilation, lag_s=lag,
                  wall_s=modelled * dilation + lag)  # fmt: skip
    shown = times_us(row, 9, 8)
    if any("e" in each for each in shown):
        return
    time, measured, printed_lag = map(Decimal, shown)
    shown_digits = [-each.as_tuple().exponent for each in (time, measured)]
    assert shown_digits[0] == shown_digits[1]
    if dilation == 1:
        digits = -printed_lag.as_tuple().exponent
        assert abs(measured - time - printed_lag) <= Decimal(10) ** -digits * (digits < 2) / 2
    assert abs(float(printed_lag) - lag * 1e6) <= 1.01 * 10 ** printed_lag.as_tuple().exponent + (
        1.01 * 10 ** time.as_tuple().exponent
    )


def test_with_a_dilation_and_on_the_virtual_clock_the_foot_says_how_times_belong_together():
    row = replace(ROWS[WORLD], wall_s=2.0, lag_s=0.5, dilation=2.5)
    lag = Lag.of([CallTimes.at_once(0, 1, 1e-9)], 2.5)
    foot = "\n".join(WideTable(WORLD, "all_reduce", "ring").foot([row], lag))
    assert "2.5 x modelled time + lag, but for rounding" in foot
    nobody = Lag.of([CallTimes.at_once(0, 1, 1e-9)], 1.0)
    nobody = replace(nobody, arrivals=0)
    foot = "\n".join(WideTable(VIRTUAL, "all_reduce", "ring").foot([row], nobody))
    assert "computing alone, for nobody waits" in foot
    fitted = FittedTable(VIRTUAL, "all_reduce", "ring", width=80, most_bytes=8, most_s=1.0)
    assert "computing" not in "\n".join(fitted.foot([row], nobody))


def unescaped(text):
    return re.sub(r"\\([\\`*_{}\[\]<>|~#&!$.:@])", r"\1", text)


@examples(60)
@given(names, rows)
def test_markdown_has_one_cell_for_each_heading_and_no_markup_of_names(name, change):
    table = MarkdownTable(WORLD, "all_reduce", "auto")
    row = replace(ROWS[WORLD], wall_s=1.0, **{**change, "algorithm": name})
    _, head, sides = table.headings()
    line = table.line(row)
    assert "\n" not in line
    cells = re.split(r"(?<!\\)(?:\\\\)*\|", line)
    assert len(cells) == len(head.split("|")) == len(sides.split("|"))
    at = [each.strip() for each in head.split("|")].index("algorithm")
    assert unescaped(cells[at].strip()) == escapes(name).strip()
    assert not re.search(r"(?<!\\)(?:\\\\)*[<*_`]", cells[at])


def test_markdown_of_words_is_a_list_with_bold_labels():
    assert markdown_sentence("Binding: trunk a -> b") == r"- **Binding:** trunk a -\> b"
    assert escaped("see www.x.y or http://x") == r"see www\.x.y or http\://x"
    head = MarkdownTable(WORLD, "all_reduce", "auto").head("1", "iters 1")
    assert head[-2].startswith("| size (B) | time (us) | x bound |")
    assert not any(line.startswith("#") for line in head)
