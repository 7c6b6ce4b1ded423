"""Pictures by Matplotlib, read as SVG: curves, bars and cells, and text that is text."""

import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from strategies import sites_of_one

import emul
from emul import ArgumentError, FileError, Link, MissingLibraryError, World
from emul.report.plot.figure import check_picture
from emul.timing.occupancy import busy_links, united

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = ("$x_1$", "_hidden", "<script>", "a & b", "\x1b[31m", "北京", "100%", "")


def read(path):
    """The texts of an SVG, and its groups by id."""
    root = ET.parse(path).getroot()
    texts = ["".join(each.itertext()) for each in root.iter(f"{SVG}text")]
    return texts, {each.get("id"): each for each in root.iter(f"{SVG}g") if each.get("id")}


def curves(path):
    """The points of each drawn curve, in the units of the picture."""
    found = {}
    for name, group in read(path)[1].items():
        if re.fullmatch(r"line2d_\d+", name):
            for each in group.iter(f"{SVG}path"):
                if "clip-path" in each.attrib:
                    found[name] = re.findall(r"[ML] ([\d.]+) ([\d.]+)", each.get("d"))
    return found


@pytest.mark.parametrize(
    ("form", "begins"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("PNG", b"\x89")]
)
def test_the_ending_says_the_form(form, begins, tmp_path):
    path = tmp_path / f"a.{form}"
    emul.plot_times(path, {"ring": {8: 1e-3, 1024: 2e-3}})
    assert path.read_bytes().startswith(begins)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_curves_bounds_and_points_are_where_the_numbers_are(tmp_path):
    path = tmp_path / "a.svg"
    emul.plot_times(
        path,
        {"one": {10: 1e-3, 1000: 1e-1, 100: 1e-2}, "two": {10: 1e-2, 100: 1e-2}},
        bound={10: 1e-4, 100: 1e-4, 1000: 1e-4},
        measured={"measured": {10: 1e-3}},
        heading="a heading",
    )
    texts, _ = read(path)
    assert {"one", "two", "bound", "measured", "a heading", "size", "time", "10 ms"} <= set(texts)
    first = next(points for points in curves(path).values() if len(points) == 3)
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in first]
    assert x1 - x0 == pytest.approx(x2 - x1)  # a factor of ten each
    assert y1 - y0 == pytest.approx(y2 - y1)
    assert y2 < y0  # the axis goes up


def test_names_are_text_and_none_is_hidden(tmp_path):
    path = tmp_path / "a.svg"
    emul.plot_times(path, {name: {8: 1e-3, 64: 2e-3} for name in HOSTILE}, heading="$a$\n_b")
    texts, _ = read(path)
    for name in HOSTILE:
        assert name.replace("\x1b", "\\x1b") in texts or not name
    assert {"$a$", "_b"} <= set(texts)
    emul.plot_times(tmp_path / "a.png", {name: {8: 1e-3} for name in HOSTILE})  # without a warning


def test_times_of_zero_have_no_place_on_the_axes(tmp_path):
    with pytest.raises(ArgumentError, match="no size takes any time"):
        emul.plot_times(tmp_path / "a.png", {"none": {8: 0.0}})
    emul.plot_times(tmp_path / "a.svg", {"some": {8: 0.0, 16: 1e-3}})
    assert list(tmp_path.iterdir()) == [tmp_path / "a.svg"]


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingLibraryError, match=r"plot_times needs .*pip install '\.\[plot\]'"):
        emul.plot_times(tmp_path / "a.png", {"ring": {8: 1.0}})
    with pytest.raises(MissingLibraryError, match="--plot needs Matplotlib"):
        check_picture(tmp_path / "a.png")


def test_other_endings_and_places_are_refused(tmp_path):
    for call in (
        lambda path: emul.plot_times(path, {"a": {1: 1.0}}),
        lambda path: emul.plot_timeline(path, World("three-campus").predict("reduce", 9).timeline),
        lambda path: emul.plot_heat_map(path, [[1]], [1], [1], row_name="", column_name=""),
    ):
        with pytest.raises(FileError, match="needed a name that ends in"):
            call(tmp_path / "a.txt")
        with pytest.raises(FileError, match="cannot be written"):
            call(tmp_path / "none" / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_timeline_has_a_row_for_each_link_in_use(tmp_path):
    topology = sites_of_one(lambda a, b: Link(5e8, 1e-3), 4)
    timeline = World(topology).predict("all_reduce", 600, algorithm="ring").timeline
    path = tmp_path / "a.svg"
    emul.plot_timeline(path, timeline, heading="$heading$")
    texts, groups = read(path)
    links, left_out = busy_links(timeline, 60)
    assert left_out == 0
    assert [text for text in texts if text.startswith(("rank", "trunk"))] == [
        link.name for link in links
    ]
    assert "$heading$" in texts
    rows = [name for name in groups if re.fullmatch(r"PolyCollection_\d+|FillBetween.*", name)]
    assert len(rows) == len(links)


def test_of_very_many_ports_the_busiest_are_drawn_and_the_others_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("emul.report.plot.timeline.MOST_LINKS", 8)
    timeline = World("three-campus").predict("all_to_all", 24, algorithm="direct").timeline
    emul.plot_timeline(tmp_path / "a.svg", timeline)
    texts, _ = read(tmp_path / "a.svg")
    left_out = busy_links(timeline, 8)[1]
    assert left_out == busy_links(timeline, 60)[1] + 52
    assert f"and {left_out} less busy ports" in texts
    assert sum(text.startswith(("rank", "trunk")) for text in texts) == 8


def test_a_timeline_in_which_nothing_happens_is_refused(tmp_path):
    timeline = World("one-campus").group([0]).predict("all_reduce", 8).timeline
    with pytest.raises(ArgumentError, match="nothing takes any time"):
        emul.plot_timeline(tmp_path / "a.png", timeline)


def test_busy_links_are_the_busiest_in_the_order_of_the_network():
    # One sends to two others, 1000 bytes each at 1 GB/s from a port, at 0.5 GB/s over the trunk.
    topology = sites_of_one(lambda a, b: Link(5e8, 0.0), 3, nic=Link(1e9, 0.0))
    timeline = World(topology).predict("scatter", 3000, dtype="uint8", algorithm="direct").timeline
    links, left_out = busy_links(timeline, 3)
    assert [link.name for link in links] == ["trunk s0 -> s1", "trunk s0 -> s2", "rank 0 sends"]
    assert left_out == 2
    port = links[2].busy_ps
    assert port.tolist() == [[0, 2_000_000]]


def test_intervals_with_short_gaps_are_one():
    busy = np.array([[0, 5], [7, 9], [20, 30]])
    assert united(busy).tolist() == busy.tolist()
    assert united(busy, 2).tolist() == [[0, 9], [20, 30]]
    assert united(busy, 11).tolist() == [[0, 30]]
    assert united(np.zeros((0, 2), np.int64), 5).tolist() == []


def heat(path, values, rows, columns, **more):
    names = {"row_name": "rows $r$", "column_name": "columns", **more}
    emul.plot_heat_map(path, values, rows, columns, **names)


def test_a_map_has_its_numbers_in_the_cells(tmp_path):
    path = tmp_path / "a.svg"
    heat(path, [[1e-3, 2e-3], [np.nan, 4e-3]], ["$a$", "_b"], [100, 400], heading="h")
    texts, _ = read(path)
    assert {"1 ms", "2 ms", "4 ms", "$a$", "_b", "100", "400", "rows $r$", "columns"} <= set(texts)
    heat(path, [[1, 2]], ["x"], ["1", "2"], shown=str)
    assert {"1.0", "2.0"} <= set(read(path)[0])


def test_a_map_of_very_many_cells_has_no_numbers_and_few_ticks(tmp_path):
    heat(tmp_path / "a.svg", np.arange(225.0).reshape(9, 25), range(9), range(25), shown=str)
    texts, _ = read(tmp_path / "a.svg")
    assert len(texts) < 40


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([[1.0]], r"shape \(1, 1\): needed \(2, 2\)"),
        ([[np.nan] * 2] * 2, "a finite number"),
    ],
)
def test_a_map_that_cannot_be_drawn_is_refused(values, why, tmp_path):
    with pytest.raises(ArgumentError, match=why):
        heat(tmp_path / "a.png", values, [1, 2], [1, 2])
