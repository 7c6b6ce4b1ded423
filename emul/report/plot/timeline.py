"""A timeline as bars: when each trunk and each port is in use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emul.errors import ArgumentError
from emul.report.plot.figure import (
    COLORS,
    axis_name,
    check_picture,
    new_figure,
    save,
    title,
    words,
)
from emul.timing import Timeline
from emul.timing.occupancy import BusyLink, busy_links, united
from emul.units import PS_PER_S, format_time

__all__ = ["plot_timeline"]

MOST_LINKS = 60
WIDTH = 9.0
LINK_HEIGHT = 0.19
"""Inches."""

PIXELS = 1200
"""Bars closer to one another than one of so many parts of the time are drawn as one."""


def plot_timeline(path: str | Path, timeline: Timeline, *, heading: str = "") -> None:
    """Draw when the trunks and ports of ``timeline`` are in use into the file at ``path``.

    All directions of trunks that carry anything, then the busiest ports; of more than 60, the
    picture says how many are left out. ``heading``: a line above it. Raises ArgumentError for a
    timeline in which nothing takes time, or equal rounds were left out, MissingLibraryError without
    Matplotlib, and FileError where the file cannot be written.
    """
    path = Path(path)
    check_picture(path, "plot_timeline")
    if not timeline.total_ps:
        raise ArgumentError("plot_timeline: nothing takes any time: needed transfers between ranks")
    links, left_out = busy_links(timeline, MOST_LINKS)
    figure = new_figure(WIDTH, 1.2 + LINK_HEIGHT * len(links))
    axes = figure.subplots()
    for row, link in enumerate(links):
        _bars(axes, row, link, timeline.total_ps)
    axes.set(xlim=(0, timeline.total_s), ylim=(len(links) - 0.4, -0.6))
    axes.set_yticks(range(len(links)), [""] * len(links))
    for label, link in zip(axes.get_yticklabels(), links, strict=True):
        label.set(text=words(link.name), fontsize="x-small", parse_math=False)
    _label(axes, links)
    axes.xaxis.set_major_formatter(lambda value, _: format_time(value) if value else "0")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=True, axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axis_name(axes.xaxis, "modelled time since the start")
    more = f"\nand {left_out} less busy ports" if left_out else ""
    title(axes, heading or f"{timeline.sent} transfers in {format_time(timeline.total_s)}")
    if more:
        axes.text(1, 1, more.strip(), ha="right", va="bottom", transform=axes.transAxes, fontsize=8)
    save(path, figure)


def _label(axes: Any, links: list[BusyLink]) -> None:
    """Write the names of links beside their rows."""
    axes.yaxis.set_major_formatter(lambda row, _: words(links[round(row)].name))
    for label in axes.get_yticklabels():
        label.set_parse_math(False)


def _bars(axes: Any, row: int, link: BusyLink, total_ps: int) -> None:
    busy = united(link.busy_ps, total_ps // PIXELS)
    spans = np.stack([busy[:, 0], busy[:, 1] - busy[:, 0]], axis=1) / PS_PER_S
    color = COLORS[1] if link.is_trunk else COLORS[0]
    axes.broken_barh(spans.tolist(), (row - 0.36, 0.72), facecolors=color, linewidth=0)
