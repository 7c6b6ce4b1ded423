"""Pictures of pages: where points, parts, busy times and sites lie, worked out by hand."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import Link, Node, Site, Topology, Trunk
from emul.drawing.markup import markup
from emul.drawing.positions import positions_of
from emul.drawing.scales import LinearScale, LogScale, binary_ticks, decimal_ticks, even_ticks
from emul.report.html.busy_times import BusyTimes, busy_chart, busy_parts
from emul.report.html.chart import ChartAxis, Series, chart
from emul.report.html.shares import Part, adding_up, share_bar
from emul.report.html.site_map import MOST_TRUNKS, MapTrunk, site_map, use_class

LINK = Link(1e9, 1e-3)


def test_a_logarithmic_axis_has_decades_of_one_length():
    scale = LogScale(1.0, 1000.0, 0.0, 300.0)
    assert [scale.px(x) for x in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])
    assert LinearScale(0.0, 4.0, 100.0, 0.0).px(1.0) == pytest.approx(75)


@given(st.lists(st.floats(1e-12, 1e12), min_size=1, max_size=20))
def test_all_values_lie_on_their_axis(values):
    for kind in (LogScale, LinearScale):
        scale = kind.over(values, 10.0, 110.0)
        assert all(10 <= scale.px(value) <= 110 for value in values)
        if len(set(values)) > 1 and kind is LogScale and max(values) / min(values) > 1.01:
            assert scale.px(min(values)) < scale.px(max(values))


def test_values_that_have_no_logarithm_are_left_out():
    assert LogScale.over([0.0, -1.0, 10.0], 0.0, 100.0).px(10.0) == pytest.approx(50)


@given(st.floats(1e-9, 1e9), st.floats(1.001, 1e9))
def test_marks_of_an_axis_are_few_rising_and_round(low, factor):
    high = low * factor
    for ticks in (binary_ticks, decimal_ticks, even_ticks):
        found = [each for each in ticks(low, high) if low <= each <= high]
        assert found == sorted(set(found))
        assert len(found) <= 13
    for each in decimal_ticks(low, high):
        assert float(f"{each:.12g}") == each


def test_marks_by_hand():
    assert binary_ticks(8, 64) == [8, 16, 32, 64]
    assert decimal_ticks(0.5, 2000) == [1, 10, 100, 1000]
    assert decimal_ticks(1, 9) == [1, 2, 5]
    assert even_ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])


def drawn(svg, tag):
    """Return the attributes of the elements of a kind, in order."""
    found = re.findall(rf"<{tag} ([^>]*)>", markup([svg]))
    return [dict(re.findall(r'([\w-]+)="([^"]*)"', each)) for each in found]


def by_class(svg, tag, name):
    return [each for each in drawn(svg, tag) if name in each.get("class", "").split()]


SIZE = ChartAxis("size", str, binary_ticks)
TIME = ChartAxis("time", str, decimal_ticks)


def test_points_of_a_power_law_lie_on_a_line():
    points = tuple((2.0**k, 1e-6 * 2.0**k) for k in range(8))
    circles = drawn(chart(SIZE, TIME, [Series("t", points, "curve", 1)]), "circle")
    at = [(float(each["cx"]), float(each["cy"])) for each in circles]
    steps = np.diff(np.array(at), axis=0)
    assert len(at) == 8
    assert np.ptp(steps, axis=0) == pytest.approx([0, 0], abs=0.21)  # to a tenth of a pixel
    assert (steps[:, 0] > 0).all()
    assert (steps[:, 1] < 0).all()


def test_dots_that_fall_on_one_place_are_drawn_once():
    points = ((1.0, 1.0), (1.0, 1.0), (8.0, 8.0))
    (path,) = by_class(chart(SIZE, TIME, [Series("", points, "dots", 1)]), "path", "dots")
    assert path["d"].count("M") == 2


def test_equal_values_lie_on_the_diagonal_and_the_band_beside_it():
    same = Series("", ((1.0, 1.0), (100.0, 100.0)), "dots", 1)
    off = Series("", ((10.0, 20.0),), "dots", 1)
    svg = chart(TIME, TIME, [same, off], diagonal=1.0)
    line = next(each for each in by_class(svg, "path", "axis") if "L" in each["d"])
    (x0, y0), (x1, y1) = (map(float, each.split()) for each in line["d"][1:].split("L"))
    for path in by_class(svg, "path", "dots")[:1]:
        for x, y in re.findall(r"M([\d.]+) ([\d.]+)", path["d"]):
            along = (float(x) - x0) / (x1 - x0)
            assert float(y) == pytest.approx(y0 + along * (y1 - y0), abs=0.2)
    (band,) = by_class(svg, "path", "band")
    corners = [tuple(map(float, each.split())) for each in band["d"][1:-1].split(" L")]
    (dot,) = re.findall(r"M([\d.]+) ([\d.]+)", by_class(svg, "path", "dots")[1]["d"])
    x, y = map(float, dot)  # twice as high: on the upper edge, from corner 1 to corner 2
    (ax, ay), (bx, by) = corners[1:3]
    assert y == pytest.approx(ay + (x - ax) / (bx - ax) * (by - ay), abs=0.3)


def test_parts_of_a_bar_are_as_wide_as_they_are_large():
    parts = [Part("a", 1, "", "", 1), Part("b", 3, "", "", 2)]
    bars = [
        each for each in by_class(share_bar(parts, ("", "")), "rect", "part") if "width" in each
    ]
    a, b = bars[-2:]
    assert float(b["width"]) == pytest.approx(3 * float(a["width"]), abs=0.2)
    assert float(b["x"]) == pytest.approx(float(a["x"]) + float(a["width"]), abs=0.2)


@given(st.lists(st.integers(0, 10**15), min_size=1).filter(sum), st.integers(1, 10**6))
def test_shares_add_up_to_the_whole(values, whole):
    shares = adding_up(values, whole)
    assert sum(shares) == whole
    total = sum(values)
    assert all(abs(s - v * whole / total) < 1 + 1e-6 for s, v in zip(shares, values, strict=True))


def test_busy_parts_by_hand():
    busy = np.array([[0, 10], [15, 20], [30, 40]], dtype=np.int64)
    assert busy_parts(busy, 40, 4).tolist() == [1.0, 0.5, 0.0, 1.0]
    assert busy_parts(busy, 40, 1).tolist() == [25 / 40]
    assert busy_parts(np.zeros((0, 2), dtype=np.int64), 40, 2).tolist() == [0, 0]


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=40), st.integers(1, 60))
def test_busy_parts_hold_all_busy_time(gaps, bins):
    moments = np.cumsum(gaps[: len(gaps) // 2 * 2]).reshape(-1, 2)
    total = int(moments[-1, 1]) + 5
    parts = busy_parts(moments, total, bins)
    assert ((parts >= 0) & (parts <= 1)).all()
    busy = int((moments[:, 1] - moments[:, 0]).sum())
    assert parts.sum() * total / bins == pytest.approx(busy, abs=1e-3)


def test_a_lane_of_a_million_busy_times_stays_small():
    moments = np.arange(2_000_000, dtype=np.int64).reshape(-1, 2)
    assert len(markup([busy_chart([BusyTimes("x", moments, 1)], 2_000_000)])) < 20_000


def sites(names, **keywords):
    return tuple(Site(name, (Node(1, LINK),), LINK, **keywords) for name in names)


def with_trunks(places, km):
    names = [site.name for site in places]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    trunks = (Trunk(pair, LINK, length) for pair, length in zip(pairs, km, strict=True))
    return Topology("some", places, tuple(trunks))


def distances(at):
    return [float(math.dist(at[a], at[b])) for a, b in ((0, 1), (0, 2), (1, 2))]


def test_three_lengths_make_a_triangle():
    positions = positions_of(with_trunks(sites("abc"), (30.0, 40.0, 50.0)))
    assert distances(positions.at) == pytest.approx([30, 40, 50])
    assert positions.is_true
    assert "lengths of the trunks" in positions.said


@pytest.mark.parametrize("km", [(30.0, None, 50.0), (1.0, 1000.0, 1000.0), (1.0, 1.0, 100.0)])
def test_lengths_that_no_map_shows_put_sites_on_a_circle(km):
    positions = positions_of(with_trunks(sites("abc"), km))
    assert "say nothing of distances" in positions.said
    assert not positions.is_true
    assert distances(positions.at) == pytest.approx([math.sqrt(3)] * 3)


def test_coordinates_come_first_and_north_is_up():
    berlin, hamburg, munich = (
        sites(name, latitude_deg=lat, longitude_deg=lon)[0]
        for name, lat, lon in (("B", 52.5, 13.4), ("H", 53.6, 10.0), ("M", 48.1, 11.6))
    )
    at = positions_of(with_trunks((berlin, hamburg, munich), (1.0, 1.0, 1.0))).at
    assert at[1, 1] < at[0, 1] < at[2, 1]  # y goes down
    assert at[1, 0] < at[2, 0] < at[0, 0]
    km = 111.2 * np.linalg.norm(at[0] - at[2])
    assert km == pytest.approx(504, rel=0.01)  # by the great circle


def test_the_date_line_is_no_gap():
    places = sites("a", latitude_deg=0.0, longitude_deg=179.0)
    places += sites("b", latitude_deg=0.0, longitude_deg=-179.0)
    at = positions_of(with_trunks(places, (200.0,))).at
    assert at[1, 0] - at[0, 0] == pytest.approx(2)


def test_sites_of_which_one_has_no_coordinates_are_not_placed_by_them():
    places = (*sites("ab", latitude_deg=1.0, longitude_deg=2.0), *sites("c"))
    assert "coordinates" not in positions_of(with_trunks(places, (3.0, 4.0, 5.0))).said


def test_the_map_shows_sites_in_their_places_and_use_by_class_and_width():
    positions = positions_of(with_trunks(sites("abc"), (30.0, 40.0, 50.0)))
    trunks = [MapTrunk((0, 1), 0.0, "x"), MapTrunk((0, 2), 0.5, "y"), MapTrunk((1, 2), 0.97, "z")]
    svg = site_map([("a", "1"), ("b", "2"), ("c", "3")], positions, trunks)
    at = [(float(c["cx"]), float(c["cy"])) for c in by_class(svg, "circle", "node")]
    found = distances(at)
    assert [each / found[0] for each in found] == pytest.approx([1, 4 / 3, 5 / 3], rel=0.01)
    # The key has five lines of its own, before those of the map.
    lines = by_class(svg, "path", "edge")[5:]
    assert [each["class"] for each in lines] == ["edge u1 dotted", "edge u3", "edge u5"]
    widths = [float(each["stroke-width"]) for each in lines]
    assert widths == sorted(set(widths))
    labels = [text for text in re.findall(r">([\d.<%&;lt]+%)<", markup([svg])) if "to" not in text]
    assert labels == ["0%", "50.0%", "97.0%"]


def test_classes_of_use():
    assert [use_class(x) for x in (0, 0.19, 0.21, 0.59, 0.79, 0.81, 1.0, 1.3)] == [
        1, 1, 2, 3, 4, 5, 5, 5,
    ]  # fmt: skip


def test_a_map_of_very_many_trunks_stays_small():
    names = [f"site {number}" for number in range(60)]
    positions = positions_of(Topology("one", sites(["a"])))
    circle = type(positions)(np.random.default_rng(0).random((60, 2)), "", is_true=False)
    trunks = [MapTrunk((a, b), 0.5, "x") for a in range(60) for b in range(a)]
    svg = site_map([(name, "1 rank") for name in names], circle, trunks)
    assert len(by_class(svg, "path", "edge")) == 5 + MOST_TRUNKS
    assert len(markup([svg])) < 100_000
