"""The graph of a topology in characters: its places, and a line for each trunk."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from emul.drawing.positions import positions_of
from emul.topology import Topology

__all__ = ["FEWEST_PLACES", "MOST_PLACES", "graph_lines"]

FEWEST_PLACES, MOST_PLACES = 3, 20
"""Of fewer places there is nothing to see; more of them do not fit."""

WIDTH, HEIGHT = 64, 15
LONGEST_NAME = 18
DOT = "·"

Cell = tuple[int, int]
"""Column and row."""


def graph_lines(topology: Topology) -> list[str]:
    """Return the picture of ``topology`` line by line; none where it has too few places, or many.

    Places lie as on the map of a report; trunks are dotted lines.
    """
    if not FEWEST_PLACES <= len(topology.places) <= MOST_PLACES:
        return []
    names = [_cells_of(place.name) for place in topology.places]
    margin = max(map(len, names)) / 2
    points = positions_of(topology).within(margin, 0, WIDTH - 1 - margin, HEIGHT - 1)
    cells = [(round(x), round(y)) for x, y in points]
    number = {place.name: at for at, place in enumerate(topology.places)}
    drawn = [[" "] * WIDTH for _ in range(HEIGHT)]
    for trunk in topology.trunks:
        for column, row in _line(*(cells[number[name]] for name in trunk.sites)):
            drawn[row][column] = DOT
    for name, (column, row) in zip(names, cells, strict=True):
        first = min(max(0, column - len(name) // 2), WIDTH - len(name))
        drawn[row][first : first + len(name)] = name
    lines = [line.rstrip() for line in map("".join, drawn)]
    told = [at for at, line in enumerate(lines) if line]
    return lines[told[0] : told[-1] + 1]


def _cells_of(name: str) -> list[str]:
    """Return a name cell by cell, cut where it is long: wide characters take two of a terminal."""
    cells: list[str] = []
    for character in name:
        wide = unicodedata.east_asian_width(character) in "WF"
        shown = character if character.isprintable() else "?"
        if unicodedata.combining(character) and cells:
            continue
        cells += [shown, ""] if wide else [shown]
    if len(cells) <= LONGEST_NAME:
        return cells
    cut = LONGEST_NAME - 2 - (cells[LONGEST_NAME - 2] == "")  # no half of a wide character
    return [*cells[:cut], "…"]


def _line(a: Cell, b: Cell) -> Iterator[Cell]:
    """Yield every second cell of the line between two cells."""
    steps = max(abs(b[0] - a[0]), abs(b[1] - a[1]), 1)
    for step in range(0, steps + 1, 2 if steps > HEIGHT else 1):
        part = step / steps
        yield round(a[0] + part * (b[0] - a[0])), round(a[1] + part * (b[1] - a[1]))
