"""Draws the picture of docs/howto/loss-over-hours.md: ``python docs/pictures/loss.py``.

The program is the one of the page, for six hours in place of one: loss.svg is written beside this
file. The text and the lines follow the reader's choice of dark or light.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from html import escape
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import emul

PICTURE = Path(__file__).with_name("loss.svg")
PAGE = Path(__file__).parents[1] / "howto" / "loss-over-hours.md"
BLOCK = re.compile(r'^```python(?: title="(?P<name>[\w.]+)")?\n(?P<text>.*?)^```$', re.S | re.M)
TITLE = "Loss over hours: 8 x 10\N{SUPERSCRIPT NINE} parameters by the clock, 900 by the arithmetic"

HOURS = 6
GOAL = 0.1
"""Nats above the entropy of the language; the picture says when each method comes so far."""

COLOURS = {"DDP": "#d1495b", "DiLoCo": "#2e86ab", "DiLoCo, fp4": "#4a7c59"}
LOSSES = (1, 0.5, 0.2, 0.1, 0.05, 0.02)

WIDTH, HEIGHT = 840, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 62, 52
LINE = 18

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.small { font-size: 11px }
.ground { fill: #ffffff }
.grid { stroke: #d0d7de; stroke-width: 1 }
.goal { stroke: #8c959f; stroke-width: 1.5; stroke-dasharray: 5 4 }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117 }
  .grid { stroke: #3d444d }
}
"""

Points = list[tuple[float, float]]
"""Hours, and the loss there."""


def program() -> dict[str, Any]:
    """Return the names of the page, after its blocks were carried out."""
    names: dict[str, Any] = {"__name__": "page"}
    with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        sys.path.insert(0, folder)
        try:
            for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
                if block["name"]:
                    Path(folder, block["name"]).write_text(block["text"], encoding="utf-8")
                else:
                    exec(compile(block["text"], str(PAGE), "exec"), names)
        finally:
            sys.path.remove(folder)
            for name in ("tiny", "methods"):
                sys.modules.pop(name, None)
    return names


def curves(hours: float) -> dict[str, tuple[int, Points]]:
    """Return the steps of each method in some hours, and its points."""
    page, found = program(), {}
    for name, (every, method, wire) in page["trainings"].items():
        world = emul.World(page["campuses"], slicing=None)
        training = method(world, page["compute_s"], nbytes=page["nbytes"], wire=wire)
        points = page["curve"](world, training, hours)
        found[name] = every * len(points), points
    return found


def across(hours: float) -> float:
    """Return the place of a moment."""
    return LEFT + hours / HOURS * (WIDTH - LEFT - RIGHT)


def down(loss: float) -> float:
    """Return the place of a loss."""
    share = math.log(loss / LOSSES[-1]) / math.log(LOSSES[0] / LOSSES[-1])
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def text(x: float, y: float, words: str, more: str = "") -> str:
    """Return words at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}"{more}>{escape(words)}</text>'


MIDDLE, BEHIND = ' text-anchor="middle"', ' text-anchor="end"'


def grid() -> Iterator[str]:
    """Yield both axes, and the line of the goal."""
    right, bottom = across(HOURS), HEIGHT - BOTTOM
    for loss in LOSSES:
        y = f"{down(loss):.1f}"
        kind = "goal" if loss == GOAL else "grid"
        yield f'<line class="{kind}" x1="{LEFT}" x2="{right:.1f}" y1="{y}" y2="{y}"/>'
        yield text(LEFT - 8, down(loss) + 4, f"{loss:g}", BEHIND)
    for hours in range(HOURS + 1):
        x = f"{across(hours):.1f}"
        yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>'
        yield text(across(hours), bottom + 18, str(hours), MIDDLE)
    yield text(across(HOURS / 2), bottom + 36, "hours, by the clock of the World", MIDDLE)
    yield text(LEFT, TOP - 12, "loss, nats above the entropy of the language", ' class="small"')


def line(points: Points, colour: str) -> str:
    """Return the line of a method, from where it comes into the picture."""
    seen = [(hours, loss) for hours, loss in points if loss <= LOSSES[0]]
    places = " ".join(f"{across(hours):.1f},{down(loss):.1f}" for hours, loss in seen)
    return f'<polyline class="curve" stroke="{colour}" points="{places}"/>'


def labels(ends: dict[str, tuple[int, Points]]) -> Iterator[str]:
    """Yield the name of each line, its steps, and when it comes to the goal; none over another."""
    x, y = across(HOURS), 0.0
    for name, (steps, points) in sorted(ends.items(), key=lambda each: -each[1][1][-1][1]):
        (ended, last), colour = points[-1], COLOURS[name]
        first = next((hours for hours, loss in points if loss <= GOAL), None)
        when = "not yet" if first is None else f"after {first:.2f} hours"
        y = max(down(last), y + LINE)
        yield f'<circle cx="{across(ended):.1f}" cy="{down(last):.1f}" r="4" fill="{colour}"/>'
        dot = f'<tspan fill="{colour}">&#9679;</tspan>'
        told = f"{dot} {escape(name)}: {steps:,} steps, {last:.3f}"
        yield f'<text x="{x + 12:.1f}" y="{y:.1f}" dy="4">{told}</text>'
        y += LINE
        yield text(x + 25, y + 4, f"{GOAL:g} nats: {when}", ' class="small"')


def picture() -> str:
    """Return the picture as SVG."""
    found = curves(HOURS)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'width="{WIDTH}" height="{HEIGHT}">'
    )
    ground = f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    lines = [head, f"<title>{TITLE}</title>", f"<style>{STYLE}</style>", ground, *grid()]
    lines += [line(points, COLOURS[name]) for name, (_, points) in found.items()]
    lines += [*labels(found), text(LEFT, 26, TITLE, ' font-weight="bold"')]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
