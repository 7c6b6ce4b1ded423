"""What is read of measured collectives and their links, and what is refused of them."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul.errors import MeasurementError
from emul.validation import read_links, read_measured
from emul.validation.columns import NEEDED, OF_LINKS

FIDELITY = Path(__file__).parents[1] / "fidelity"
ROW = {
    "sw": "gloo", "coll": "allreduce", "algo": "default", "ranks": "3", "placement": "block",
    "delay_us": "5000", "rate_bps": "1e8", "shape": "uplink", "bytes": "1048576",
    "median_s": "0.13", "link": "L", "mtu": "9000", "cc": "cubic", "ssai": "1", "wmax": "67108864",
    "rmax": "1000000", "buf": "0", "loss": "0", "idle_s": "0", "skew_s": "never looked at",
}  # fmt: skip
LINK = {"link": "L", "kind": "ping_rtt_ms", "src": "0", "dst": "1", "value": "10.2"}


def write(path, rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue())
    return path


def measured(tmp_path, **changed):
    return read_measured(write(tmp_path / "m.csv", [ROW, {**ROW, **changed}]))[1]


def test_a_row_is_read_in_our_units(tmp_path):
    row = measured(tmp_path)
    assert (row.collective, row.ranks, row.nbytes) == ("all_reduce", 3, 1 << 20)
    assert (row.delay_s, row.rate_bytes_per_s, row.measured_s) == (5e-3, 1.25e7, 0.13)
    assert row.buffer_bytes == 1_000_000  # the smallest that is given
    assert row.place.line == 3


def test_columns_that_are_not_needed_may_be_missing_or_empty(tmp_path):
    needed = {name: ROW[name] for name in NEEDED}
    (row,) = read_measured(write(tmp_path / "m.csv", [needed]))
    assert (row.mtu_bytes, row.loss, row.buffer_bytes) == (1500, 0.0, 0.0)
    assert measured(tmp_path, wmax="", rmax="").buffer_bytes == 0


def test_the_order_is_that_of_the_file():
    rows = read_measured(FIDELITY / "collectives.csv")
    with (FIDELITY / "collectives.csv").open() as file:
        medians = [float(row["median_s"]) for row in csv.DictReader(file)]
    assert [row.measured_s for row in rows] == medians
    assert [row.place.line for row in rows] == list(range(2, len(rows) + 2))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"median_s": "nan"},
            "line 3, column median_s: 'nan': needed a number above 0, in seconds",
        ),
        ({"median_s": "0"}, "column median_s: '0': needed a number above 0"),
        ({"median_s": "130 ms"}, "without the unit 'ms'"),
        ({"median_s": "1e9"}, "column median_s"),
        ({"delay_us": "-1"}, "line 3, column delay_us: '-1': needed 0 to 1e\\+09 us"),
        ({"rate_bps": "inf"}, "column rate_bps: 'inf'"),
        ({"bytes": "10.5"}, "column bytes: '10.5': needed a whole number of bytes"),
        ({"bytes": "0"}, "column bytes"),
        ({"ranks": "1"}, "column ranks: '1': needed a whole number of ranks from 2"),
        ({"ranks": "1000000"}, "column ranks"),
        ({"coll": "allshuffle"}, "column coll: 'allshuffle': needed one of allreduce"),
        ({"loss": "1"}, "column loss: 1: needed a part below 1"),
        ({"link": ""}, "column link: '': needed a name"),
        ({"mtu": "9"}, "column mtu: '9': needed a whole number of bytes from 100"),
    ],
)
def test_what_is_wrong_in_a_cell_is_refused_with_its_place(tmp_path, changed, said):
    with pytest.raises(MeasurementError, match=said):
        measured(tmp_path, **changed)


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_column_is_named(tmp_path, name):
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(MeasurementError, match=f"m.csv, line 1: no column '{name}': needed sw"):
        read_measured(write(tmp_path / "m.csv", [row]))


@pytest.mark.parametrize("name", OF_LINKS)
def test_a_missing_column_of_the_links_is_named(tmp_path, name):
    row = {key: value for key, value in LINK.items() if key != name}
    with pytest.raises(MeasurementError, match=f"l.csv, line 1: no column '{name}'"):
        read_links(write(tmp_path / "l.csv", [row]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": "-3"}, "line 2, column value"),
        ({"kind": "pong"}, "column kind: 'pong': needed ping_rtt_ms"),
        ({"src": "north"}, "column src: 'north': needed the number of a campus"),
    ],
)
def test_what_is_wrong_with_a_link_is_refused(tmp_path, changed, said):
    with pytest.raises(MeasurementError, match=said):
        read_links(write(tmp_path / "l.csv", [{**LINK, **changed}]))


def test_links_are_read_in_our_units(tmp_path):
    lines = [
        LINK,
        {**LINK, "kind": "ping_rtt_ms_intra", "dst": "0", "value": "0.05"},
        {**LINK, "kind": "iperf3_goodput_bps_alone", "value": "8e6"},
        {**LINK, "kind": "iperf3_goodput_bps_ring", "value": "4e6"},
        {**LINK, "kind": "iperf3_goodput_bps_intra", "dst": "0", "value": "8e9"},
    ]
    table = read_links(write(tmp_path / "l.csv", lines))
    link = table.links["L"]
    assert link.rtt_s == {(0, 1): pytest.approx(0.0102)}
    assert link.goodput == {(0, 1): 1e6}  # the best of the two
    assert (link.inside_rtt_s, link.inside_goodput) == (pytest.approx(5e-5), 1e9)
    assert table.fastest == 1e6
    assert table.inside_rtt_s("another") == link.inside_rtt_s


def test_files_without_lines_or_with_torn_ones_are_refused(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(",".join(NEEDED) + "\n")
    with pytest.raises(MeasurementError, match="no line after that of the columns"):
        read_measured(path)
    whole = (FIDELITY / "collectives.csv").read_text()
    path.write_text(whole[: len(whole) - 80])
    with pytest.raises(MeasurementError, match=r"line 236: .* columns: needed 26, as in line 1"):
        read_measured(path)
    with pytest.raises(MeasurementError, match="cannot be read"):
        read_measured(tmp_path / "none.csv")


@given(st.text(max_size=200))
def test_no_text_does_anything_but_refuse(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    path.write_text(text, encoding="utf-8", newline="")
    for read in (read_measured, read_links):
        with pytest.raises(MeasurementError):
            read(path)
