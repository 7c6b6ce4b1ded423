"""Colours of pages: text can be read, and kinds are told apart, by colour-blind readers too.

Contrast is that of WCAG 2.1: 4.5 for text, 3 for lines and areas. Colour blindness is simulated
with the matrices of G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, IEEE TVCG 15 (2009) 1291, in
full severity; distances are those of CIE L*a*b* (1976).
"""

import re
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest

CSS = files("emul.report.html").joinpath("page.css").read_text()
BLOCKS = dict(
    zip(
        ("light", "dark", "print"),
        [dict(re.findall(r"--(\w[\w-]*): (#\w{6})", each)) for each in CSS.split(":root")[1:]],
        strict=True,
    )
)
TEXTS = [("ink", "paper"), ("soft", "paper"), ("accent", "paper"), ("ink", "band"),
         ("alarm", "paper"), ("alarm", "alarm-band"), ("soft", "band")]  # fmt: skip
KINDS = [f"c{number}" for number in range(1, 10)]
USES = [f"u{number}" for number in range(1, 6)]
TOLD_APART = 8.0
"""Of L*a*b*: three to four times a difference that is just seen."""

SEEN = {
    "everybody": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    """Return linear light of a colour, red, green and blue from 0 to 1."""
    parts = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one, other):
    lights = sorted(float(TO_XYZ[1] @ linear(each)) for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def lab(light):
    x, y, z = np.cbrt(TO_XYZ @ np.clip(light, 0, 1) / TO_XYZ.sum(axis=1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_contrast_of_black_on_white_is_known():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", BLOCKS)
@pytest.mark.parametrize(("text", "ground"), TEXTS)
def test_text_can_be_read(scheme, text, ground):
    colors = BLOCKS[scheme]
    assert contrast(colors[text], colors[ground]) >= 4.5


@pytest.mark.parametrize("scheme", BLOCKS)
@pytest.mark.parametrize("name", [*KINDS, *USES])
def test_lines_and_areas_can_be_seen(scheme, name):
    colors = BLOCKS[scheme]
    assert contrast(colors[name], colors["paper"]) >= 3


@pytest.mark.parametrize("scheme", BLOCKS)
@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("names", [KINDS, USES], ids=["kinds", "uses"])
def test_kinds_are_told_apart(scheme, eyes, names):
    seen = {name: lab(SEEN[eyes] @ linear(BLOCKS[scheme][name])) for name in names}
    apart = {
        pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]]))
        for pair in combinations(names, 2)
    }
    nearest = min(apart, key=apart.get)
    assert apart[nearest] >= TOLD_APART, (nearest, apart[nearest])
