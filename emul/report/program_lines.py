"""Why a program takes as long as it does: sentences, and a table of places and terms below them."""

from __future__ import annotations

from emul.runtime.program_path import ProgramPath
from emul.units import PS_PER_S, format_time

__all__ = ["program_lines"]

HEAD = ("place", "term", "time", "share")


def program_lines(path: ProgramPath) -> list[str]:
    """Return the lines about the path of a program: its words, and then all that it consists of.

    The table has a line for each place and term, the longest first; they add up to the time.

    >>> import emul
    >>> world = emul.World("three-campus")
    >>> world.compute(0.25)
    >>> program_lines(world.critical_path())[:2]
    ['Path: 250 ms from the beginning to now.', 'Compute: 250 ms (100 %): 250 ms of rank 0.']
    """
    spent: dict[tuple[str, str], int] = {}
    for part in path.parts:
        key = part.place, part.term
        spent[key] = spent.get(key, 0) + part.duration_ps
    cells = [
        (place, term, format_time(ps / PS_PER_S), f"{100 * ps / path.total_ps:.1f} %")
        for (place, term), ps in sorted(spent.items(), key=lambda item: -item[1])
    ]
    return [*path.words(), *(["", *_aligned([HEAD, *cells])] if cells else [])]


def _aligned(rows: list[tuple[str, str, str, str]]) -> list[str]:
    """Return rows as lines, the names to the left and the numbers to the right."""
    wide = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return [
        f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}" for a, b, c, d in rows
    ]
