"""A sweep over two parameters as a map of colours, with the numbers in the cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emul.errors import ArgumentError
from emul.report.plot.figure import axis_name, check_picture, new_figure, save, title, words
from emul.units import format_time

__all__ = ["plot_heat_map"]

MOST_NUMBERS = 200
"""Cells with their number in them; of more, the colours tell it alone."""

MOST_CELLS = 250_000
DARK = 0.55
"""The part of the range above which a cell is so dark that its number is white."""


def plot_heat_map(
    path: str | Path,
    values: npt.ArrayLike,
    rows: Sequence[object],
    columns: Sequence[object],
    *,
    row_name: str,
    column_name: str,
    heading: str = "",
    shown: Callable[[float], str] = format_time,
) -> None:
    """Draw ``values`` (rows, columns) as a map of colours into the file at ``path``.

    Parameters
    ----------
    path
        Its ending says the form: ``.png``, ``.svg`` or ``.pdf``.
    values
        Seconds, or other finite numbers; NaN leaves a cell empty.
    rows, columns
        The values of the two parameters, as they are written beside the map.
    row_name, column_name
        The parameters with their units.
    heading
        A line above the map.
    shown
        Returns a number as it stands in its cell; ``str`` for plain numbers.

    Raises ArgumentError for values of another shape, for more than 250,000, and for none that is
    finite; MissingLibraryError without Matplotlib, and FileError where the file cannot be written.

    """
    path = Path(path)
    check_picture(path, "plot_heat_map")
    table = _table(values, len(rows), len(columns))
    figure = new_figure(2.5 + min(10, 0.75 * len(columns)), 1.8 + min(10, 0.42 * len(rows)))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(table), cmap="viridis_r", aspect="auto")
    axes.set_xticks(*_ticks(columns))
    axes.set_yticks(*_ticks(rows))
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    axis_name(axes.xaxis, column_name)
    axis_name(axes.yaxis, row_name)
    title(axes, heading)
    if table.size <= MOST_NUMBERS:
        low, high = float(np.nanmin(table)), float(np.nanmax(table))
        for (row, column), value in np.ndenumerate(table):
            if np.isfinite(value):
                dark = high > low and (value - low) / (high - low) > DARK
                axes.text(column, row, words(shown(float(value))), ha="center", va="center",
                          color="white" if dark else "black", fontsize="small",
                          parse_math=False)  # fmt: skip
    figure.colorbar(image, format=lambda value, _: words(shown(float(value))))
    save(path, figure)


def _table(values: npt.ArrayLike, rows: int, columns: int) -> npt.NDArray[np.float64]:
    table = np.asarray(values, dtype=np.float64)
    if table.shape != (rows, columns) or not table.size:
        raise ArgumentError(
            f"values of shape {table.shape}: needed ({rows}, {columns}), a number for each row and "
            "column, of which there is one at least"
        )
    if table.size > MOST_CELLS:
        raise ArgumentError(f"{table.size} values: needed at most {MOST_CELLS}, more than a screen")
    if not np.isfinite(table).any():
        raise ArgumentError("values: needed a finite number among them")
    return table


def _ticks(values: Sequence[object]) -> tuple[list[int], list[str]]:
    """Return the places and the words beside them, at most some twenty."""
    every = -(-len(values) // 20)
    places = list(range(0, len(values), every))
    return places, [words(str(values[place])) for place in places]
