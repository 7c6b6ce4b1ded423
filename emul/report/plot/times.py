"""Time over size, several algorithms side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emul.errors import ArgumentError
from emul.report.plot.figure import (
    COLORS,
    axis_name,
    check_picture,
    legend,
    new_figure,
    save,
    title,
)
from emul.units import format_bytes, format_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Times", "plot_times"]

Times = Mapping[int, float]
"""Seconds by size in bytes."""

STYLES = ("-", "--", "-.", ":")
MOST_TICKS = 9
SIZE = (8.0, 5.0)
"""Inches."""


def plot_times(
    path: str | Path,
    curves: Mapping[str, Times],
    *,
    bound: Times | None = None,
    measured: Mapping[str, Times] | None = None,
    heading: str = "",
) -> None:
    """Draw time over size into the file at ``path``, on two logarithmic axes.

    Parameters
    ----------
    path
        Its ending says the form: ``.png``, ``.svg`` or ``.pdf``.
    curves
        The modelled seconds by size in bytes, of each algorithm by name, in the order of the key.
    bound
        The seconds that no algorithm can beat.
    measured
        Seconds that were measured, drawn as points.
    heading
        A line above the picture.

    Raises ArgumentError where nothing is above 0, for a logarithmic axis has no 0,
    MissingLibraryError without Matplotlib, and FileError where the file cannot be written.

    """
    path = Path(path)
    check_picture(path, "plot_times")
    above = {name: _above_zero(times) for name, times in curves.items()}
    if not any(above.values()):
        raise ArgumentError("plot_times: no size takes any time: needed a size and a time above 0")
    figure = new_figure(*SIZE)
    axes = figure.subplots()
    keys = _curves(axes, above)
    if bound and _above_zero(bound):
        keys["bound"] = _line(axes, _above_zero(bound), color="black", linestyle=(0, (1, 2)))
    for number, (name, times) in enumerate((measured or {}).items()):
        points = _above_zero(times)
        style: Any = {"linestyle": "none", "marker": "x+12"[number % 4], "color": "black"}
        keys[name] = axes.plot(list(points), list(points.values()), **style)[0]
    _axes(axes, sorted({size for times in above.values() for size in times}))
    title(axes, heading)
    names = list(keys)
    legend(axes, [keys[name] for name in names], names, loc="upper left")
    save(path, figure)


def _above_zero(times: Times) -> dict[int, float]:
    return {size: s for size, s in sorted(times.items()) if size > 0 and s > 0}


def _curves(axes: Axes, curves: Mapping[str, Times]) -> dict[str, Any]:
    """Draw the curves, each with a colour and a pattern of its own; return them by name."""
    found = {}
    for number, (name, times) in enumerate(curves.items()):
        turn, color = divmod(number, len(COLORS))
        style: Any = {"color": COLORS[color], "linestyle": STYLES[turn % len(STYLES)]}
        if number == 0 and len(curves) > 1:
            style |= {"linewidth": 6.0, "alpha": 0.35}  # a band, on which others can be seen
        found[name] = _line(axes, times, **style)
    return found


def _line(axes: Axes, times: Times, **style: Any) -> Any:
    marker = "o" if len(times) == 1 else ""
    return axes.plot(list(times), list(times.values()), marker=marker, markersize=4, **style)[0]


def _axes(axes: Axes, sizes: list[int]) -> None:
    """Let both axes be logarithmic, with sizes and times as people say them."""
    axes.set(xscale="log", yscale="log")
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    every = -(-len(sizes) // MOST_TICKS)
    shown = sizes[::-1][::every][::-1]
    axes.set_xticks(shown, [format_bytes(size) for size in shown], minor=False)
    axes.xaxis.set_minor_locator(_no_ticks())
    axes.yaxis.set_major_formatter(lambda value, _: format_time(value))
    low, high = axes.get_ylim()
    if high / low < 30:
        axes.yaxis.set_minor_formatter(lambda value, _: format_time(value))
        axes.tick_params(axis="y", which="minor", labelsize="small")
    axis_name(axes.xaxis, "size")
    axis_name(axes.yaxis, "time")


def _no_ticks() -> Any:
    from matplotlib.ticker import NullLocator

    return NullLocator()
