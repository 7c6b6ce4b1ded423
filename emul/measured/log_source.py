"""The lines of a file as a reader sees them, and which of them it has left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from emul.reading.place import Place

__all__ = ["LogSource"]

MOST_RANGES = 8
"""Ranges of line numbers that one note names; of further ones only the number is told."""


@dataclass
class LogSource:
    """The lines of a file without the prefix that they share; line ``i`` has number ``i + 1``.

    A line that belongs to somebody else is empty here, so that the numbers of lines are right.
    """

    path: Path
    lines: Sequence[str]
    prefix: str = ""
    left_out: list[tuple[int, str]] = field(default_factory=list)

    def numbered(self) -> Iterator[tuple[Place, str]]:
        """Yield every line with its place."""
        for number, line in enumerate(self.lines, start=1):
            yield Place(self.path, number), line

    @property
    def end(self) -> Place:
        """The place of the last line."""
        return Place(self.path, len(self.lines))

    def leave_out(self, number: int, why: str) -> None:
        """Remember that a line is not read, and why."""
        self.left_out.append((number, why))

    def notes(self) -> tuple[str, ...]:
        """Return in sentences which prefixes and which lines were left out."""
        name = self.path.name
        taken = [f"{name}: the prefix {self.prefix!r} of the lines is taken off"]
        return (*(taken if self.prefix else []), *_left_out_notes(name, self.left_out))


def _left_out_notes(name: str, left_out: Iterable[tuple[int, str]]) -> Iterator[str]:
    by_reason: dict[str, set[int]] = {}
    for number, why in left_out:
        by_reason.setdefault(why, set()).add(number)
    for why, numbers in by_reason.items():
        some = "line" if len(numbers) == 1 else f"{len(numbers)} lines:"
        yield f"{name}: left out {some} {_ranges(sorted(numbers))} ({why})"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers in words: 3, 5 to 7."""
    runs = [
        [number for _, number in run]
        for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    words = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    more = len(words) - MOST_RANGES
    return ", ".join(words[:MOST_RANGES]) + (f" and {more} further ranges" if more > 0 else "")
