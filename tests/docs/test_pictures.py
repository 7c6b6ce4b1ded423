"""Pictures of the pages say the times of the program."""

import re
import runpy

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
