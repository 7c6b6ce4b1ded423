"""Draws the picture of the README: ``python docs/pictures/draw.py`` writes demo.svg beside it.

The time of an all-reduce over its size, by the model, for the same 24 ranks in three topologies.
The text and the lines follow the reader's choice of dark or light.
"""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

import emul
from emul.units import format_time

PICTURE = Path(__file__).with_name("demo.svg")
CURVES = (
    ("three-campus", "three campuses, ageing trunks", "#d1495b"),
    ("three-campus-dark-fibre", "three campuses, dark fibre", "#2e86ab"),
    ("one-campus", "one campus", "#4a7c59"),
)
SIZES = [8 << doubling for doubling in range(23)]
LABELLED = {8: "8 B", 1 << 10: "1 KiB", 1 << 15: "32 KiB", 1 << 20: "1 MiB", 32 << 20: "32 MiB"}
TIMES_S = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)

WIDTH, HEIGHT = 840, 360
LEFT, RIGHT, TOP, BOTTOM = 80, 320, 36, 44
LINE = 18

STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.ground { fill: #ffffff }
.grid { stroke: #d0d7de; stroke-width: 1 }
.curve { fill: none; stroke-width: 2.5; stroke-linejoin: round }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117 }
  .grid { stroke: #3d444d }
}
"""


def across(nbytes: float) -> float:
    """Return the place of a size."""
    share = math.log(nbytes / SIZES[0]) / math.log(SIZES[-1] / SIZES[0])
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def down(time_s: float) -> float:
    """Return the place of a time."""
    share = math.log(time_s / TIMES_S[0]) / math.log(TIMES_S[-1] / TIMES_S[0])
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def grid() -> list[str]:
    """Return the lines and the labels of both axes."""
    lines = []
    for time_s in TIMES_S:
        y = f"{down(time_s):.1f}"
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        label = format_time(time_s)
        lines.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{label}</text>')
    for nbytes, label in LABELLED.items():
        x, bottom = f"{across(nbytes):.1f}", HEIGHT - BOTTOM
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>')
        lines.append(f'<text x="{x}" y="{bottom + 20}" text-anchor="middle">{label}</text>')
    return lines


def curve(times_s: list[float], colour: str) -> str:
    """Return the line of one topology."""
    points = [
        f"{across(nbytes):.1f},{down(time_s):.1f}"
        for nbytes, time_s in zip(SIZES, times_s, strict=True)
    ]
    return f'<polyline class="curve" stroke="{colour}" points="{" ".join(points)}"/>'


def labels(ends: list[tuple[str, str, float]]) -> list[str]:
    """Return the name and the last time of each line, from the top, none over another."""
    x, y, lines = across(SIZES[-1]), 0.0, []
    for label, colour, time_s in sorted(ends, key=lambda each: -each[2]):
        y = max(down(time_s), y + LINE)
        dot = f'<tspan fill="{colour}">&#9679;</tspan>'
        told = f"{dot} {escape(label)}: {format_time(time_s)}"
        lines += [
            f'<circle cx="{x:.1f}" cy="{down(time_s):.1f}" r="4" fill="{colour}"/>',
            f'<text x="{x + 12:.1f}" y="{y:.1f}" dy="4">{told}</text>',
        ]
    return lines


def picture() -> str:
    """Return the picture as SVG."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'width="{WIDTH}" height="{HEIGHT}">'
    )
    title = "Time of an all-reduce over 24 ranks, by the size of the vector"
    ground = f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
    lines = [head, f"<title>{title}</title>", f"<style>{STYLE}</style>", ground, *grid()]
    ends = []
    for topology, label, colour in CURVES:
        world = emul.World(topology)
        times_s = [world.predict("all_reduce", nbytes // 4).time_s for nbytes in SIZES]
        lines.append(curve(times_s, colour))
        ends.append((label, colour, times_s[-1]))
    lines += labels(ends)
    lines.append(f'<text x="{LEFT}" y="22" font-weight="bold">{title}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
