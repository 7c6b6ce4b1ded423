"""Values in a notebook: small tables and pictures, in which names are text."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import sites_of_one

from emul import Link, Node, Site, Topology, Trunk, World
from emul.drawing import Bars, Line, gantt, markup, sheet, small_map
from emul.drawing.positions import Positions
from emul.measured import Measurement, calibrate
from emul.plans import build_plan
from emul.validation import Summary

ALLOWED = {"div", "table", "tbody", "tr", "th", "td", "svg", "path", "text", "title", "circle"}


class Read(HTMLParser):
    """The elements of a snippet that hold text, and whether all are closed."""

    def __init__(self, snippet):
        super().__init__(convert_charrefs=True)
        self.open, self.texts, self.tags, self.attributes = [], [], [], []
        self.feed(snippet)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED, tag
        assert not any(name.startswith("on") for name, _ in attrs)
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes.append(dict(attrs))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1], data))

    def within(self, tag):
        return [text for at, text in self.texts if at == tag]

    @property
    def facts(self):
        return dict(zip(self.within("th"), self.within("td"), strict=True))


def of(value):
    return Read(value._repr_html_())


@pytest.fixture(scope="module")
def world():
    return World("three-campus")


@pytest.fixture(scope="module")
def run(world):
    return world.all_reduce(np.ones((24, 6000), np.float32), algorithm="ring")


def places(at):
    return Positions(np.array(at, dtype=np.float64), "", is_true=True)


def bars(read):
    """The bars of each row: (from, to) in pixels."""
    rows = [each["d"] for each in read.attributes if "z" in each.get("d", "")]
    return [
        [(float(x), float(x) + float(w)) for x, w in re.findall(r"M([\d.]+) [\d.]+h([\d.]+)v", d)]
        for d in rows
    ]


def test_a_timeline_is_a_table_and_bars_of_its_busiest_links(run):
    read = of(run.timeline)
    assert read.facts["transfers"] == f"{run.timeline.sent:,}"
    assert read.facts["trunk north -> east"] == read.facts["trunk south -> north"]
    names = [text for text in read.within("text") if "rank" in text or "trunk" in text]
    assert len(names) == 16
    assert names[:3] == ["trunk north -> east", "trunk east -> south", "trunk south -> north"]
    assert len(bars(read)) == 16
    left_out = 24 * 2 + 3 - 16  # of a ring, each rank sends and receives by one port or two
    assert f"and {left_out} less busy ports" in read.within("div")


def test_bars_are_as_long_as_links_are_busy():
    # 1000 bytes at 1 GB/s in 1 us, of 1001 us: a 1001st of the width between the names and the end.
    topology = sites_of_one(lambda a, b: Link(1e6, 0.0), 2, nic=Link(1e6, 0.0))
    timeline = World(topology).predict("send_recv", 250, algorithm="direct").timeline
    first, *_ = bars(of(timeline))
    assert first == [(190.0, 700.0)]
    late = sites_of_one(lambda a, b: Link(1e6, 1e-3), 2, nic=Link(1e6, 0.0))
    timeline = World(late).predict("send_recv", 250, algorithm="direct").timeline
    trunk, *_ = bars(of(timeline))
    assert trunk == [(190.0, 445.0)]  # half of the time it is under way


def test_a_prediction_and_a_run_say_time_bound_and_reason(world, run):
    facts = of(run).facts
    assert facts["modelled time"] in repr(run)
    assert facts["output"] == "(24, 6000) float32"
    assert "arithmetic" in facts
    waited = World("three-campus", clock="wall", dilation=1e-3).all_reduce(np.ones((24, 6)))
    assert {"measured", "lag"} <= set(of(waited).facts)
    assert facts["bound"].endswith("times the bound)")
    assert facts["binds"] == run.prediction.binding
    assert facts["longest at"].startswith(f"{run.prediction.critical_path.binding_place}, ")
    assert "auto timed" not in facts
    by_auto = of(world.predict("all_reduce", 6000)).facts
    assert by_auto["auto timed"].count("ms") >= 1
    assert not {"measured", "arithmetic"} & set(by_auto)


def test_a_run_with_others_in_flight_says_both_times():
    world = World("three-campus")
    x = np.ones((24, 6000), np.float32)
    handles = [world.all_reduce(x, async_op=True, algorithm="ring") for _ in range(2)]
    assert of(handles[1]).facts["state"] == "not waited for yet"
    runs = [each.wait() for each in handles]
    assert of(handles[1]).facts["state"] == "waited for"
    facts = of(runs[1]).facts
    alone = of(runs[1].prediction).facts["modelled time"]
    assert runs[1].time_s != runs[1].prediction.time_s
    assert facts["alone, all ranks at once"] == alone != facts["modelled time"]
    facts = of(world).facts
    assert facts["collectives"] == "2"
    assert facts["all_reduce 0"].endswith(" from its issue")


def test_worlds_groups_and_plans_say_who_and_how_many(world):
    assert of(world).facts["topology"] == "three-campus, 24 ranks"
    group = of(world.group(range(3, 24)))
    assert group.facts["ranks"] == ", ".join(map(str, range(3, 24)))
    plan = of(build_plan("all_reduce", "ring", [4, 4])).facts
    assert (plan["ranks"], plan["chunks"], plan["algorithm"]) == ("8", "8", "ring")


def test_a_topology_is_a_table_and_a_map(world):
    read = of(world.topology)
    assert read.facts["sites"] == "3: north 8, east 8, south 8"
    assert read.tags.count("circle") == 3
    assert {"north", "east", "south"} <= set(read.within("text"))
    assert len([each for each in read.attributes if "stroke-linecap" in each]) == 3
    one = of(World("one-campus").topology)
    assert "circle" not in one.tags


def test_calibrations_and_summaries_say_their_numbers():
    times = [(1 << k, 10e-6 + (1 << k) / 1e9) for k in range(8, 30)]
    found = of(calibrate([Measurement("message", s, "a.csv", n) for n, s in times]))
    assert found.facts["latency"].startswith("10 us (95% sure: ")
    assert found.facts["measurements"] == "22"
    assert any("cannot be told apart" in text for text in found.within("div"))
    summary = of(Summary.of([0.01, -0.02, 0.3]))
    assert summary.facts["median"] == "2.0%"
    assert summary.facts["within 10 %"] == "67%"


HOSTILE = "<script>alert(1)</script>&\"'\x1b[31m"


def test_hostile_names_are_text_everywhere():
    inside, far = Link(1e9, 0.0), Link(1e8, 1e-3)
    names = HOSTILE, f"{HOSTILE}b"
    sites = tuple(Site(name, (Node(1, inside),), inside) for name in names)
    topology = Topology(HOSTILE, sites, (Trunk(names, far),))
    world = World(topology)
    handle = world.all_reduce(np.ones((2, 10)), async_op=True)
    run = handle.wait()
    shown = HOSTILE.replace("\x1b", "\\x1b")
    for each in (world, topology, run, run.timeline, run.prediction, world.group([0, 1]), handle):
        read = of(each)
        assert "script" not in read.tags
        assert "\x1b" not in each._repr_html_()
    assert any(shown in text for text in of(topology).within("div"))
    assert any(text.startswith("<script>") for text in of(topology).within("text"))


@examples(40)
@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_in_a_sheet_is_text(title, value):
    read = Read(sheet(title, [("name", value)], note=title))
    assert set(read.tags) <= {"div", "table", "tbody", "tr", "th", "td"}


@examples(20)
@given(st.text(max_size=60), st.integers(2, 30))
def test_any_names_on_a_map_and_beside_bars_are_text(name, number):
    at = places([(i % 5, i) for i in range(number)])
    lines = [Line((i, i + 1), i / number, name) for i in range(number - 1)]
    drawn = markup([small_map([(name, name)] * number, at, lines, name)])
    assert Read(drawn).tags.count("circle") == number
    bars = markup([gantt([Bars(name, [(0.0, 0.5)], True)], [(0.0, name)], name)])
    assert set(Read(bars).tags) == {"svg", "path", "text"}


@pytest.mark.parametrize(("is_true", "right"), [(True, 30.0), (False, 90.0)])
def test_places_are_stretched_only_where_distances_mean_nothing(is_true, right):
    corners = Positions(np.array([[0.0, 0.0], [1.0, 1.0]]), "", is_true)
    (ax, ay), (bx, by) = corners.within(0.0, 0.0, 90.0, 30.0)
    assert (bx - ax, by - ay) == (right, 30.0)
    assert (ax + bx, ay + by) == (90.0, 30.0)  # in the middle


def test_places_fill_the_map_and_keep_their_shape():
    square = places([(0, 0), (10, 0), (10, 10), (0, 10)])
    read = Read(markup([small_map([("a", "")] * 4, square, [], "said")]))
    at = [(float(e["cx"]), float(e["cy"])) for e in read.attributes if "cx" in e]
    side = 230 - 2 * 34
    assert at[1][0] - at[0][0] == pytest.approx(side)
    assert at[2][1] - at[1][1] == pytest.approx(side)
    flat = Read(markup([small_map([("a", "")] * 2, places([(0, 3), (1, 3)]), [], "")]))
    at = [(float(e["cx"]), float(e["cy"])) for e in flat.attributes if "cx" in e]
    assert at == [(150.0, 115.0), (410.0, 115.0)]


def test_a_timeline_without_all_rounds_has_no_bars_and_says_so():
    inside = Link(1e10, 1e-6)
    site = Site("one", (Node(400, inside),), inside)
    found = World(Topology("ring", (site,), ())).predict(
        "all_reduce", 400_000, algorithm="ring", collapse=True
    )
    read = of(found)
    assert (found.timeline.transfers.multiplicity.rounds > 1).any()
    assert "svg" not in read.tags
    assert any("rounds were left out" in text for text in read.within("div"))


def test_a_sheet_is_small_for_any_timeline():
    found = World("three-campus").predict("all_to_all", 24 * 50_000, algorithm="direct")
    assert len(found._repr_html_()) < 60_000
