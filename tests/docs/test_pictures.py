"""Pictures of the pages say the times of the program."""

import re
import runpy

import numpy as np
import pytest

import emul
from docs.page import ROOT
from emul.units import format_time

PICTURE = (ROOT / "docs" / "pictures" / "demo.svg").read_text(encoding="utf-8")


def test_the_picture_tells_the_times_of_the_demo():
    told = re.findall(r": ([\d.]+ \w+)</text>", PICTURE)
    names = ("three-campus", "three-campus-dark-fibre", "one-campus")
    times = [emul.World(name).predict("all_reduce", 8 << 20).time_s for name in names]
    assert told == list(map(format_time, times))


def test_the_picture_of_clocks_is_drawn_of_the_program_of_today():
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures" / "clocks.py"))
    assert drawn["PICTURE"].read_text(encoding="utf-8") == drawn["picture"]()


def places(points):
    """The places of a line of a picture."""
    return [tuple(map(float, each.split(","))) for each in points.split()]


def test_the_picture_of_losses_is_that_of_the_page():
    """Its lines begin with the hour of the page; its text says the ends and the goals of lines."""
    drawn = runpy.run_path(str(ROOT / "docs" / "pictures" / "loss.py"))
    text = drawn["PICTURE"].read_text(encoding="utf-8")
    line = r'stroke="(#\w+)" points="([^"]+)"'
    lines = {colour: places(points) for colour, points in re.findall(line, text)}
    for name, points in drawn["program"]()["curves"].items():
        colour = drawn["COLOURS"][name]
        begun = places(re.search(line, drawn["line"](points, colour))[2])
        assert np.allclose(lines[colour][: len(begun)], begun, rtol=0, atol=0.3)
    label = r'fill="(#\w+)">&#9679;</tspan>[^<]*, ([\d.]+)</text>\n.*after ([\d.]+) h'
    told = re.findall(label, text)
    assert len(told) == len(lines) == len(drawn["COLOURS"])
    page = drawn["PAGE"].read_text(encoding="utf-8").replace("\n", " ")
    for colour, last, hours in told:
        reached = next(x for x, y in lines[colour] if y >= round(drawn["down"](drawn["GOAL"]), 1))
        assert reached == pytest.approx(drawn["across"](float(hours)), abs=0.5)
        assert lines[colour][-1][1] == pytest.approx(drawn["down"](float(last)), abs=2)
        assert f" {hours}" in page
        assert f" {last}" in page
