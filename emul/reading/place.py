"""What is refused of the files that people bring, and how it is said: file, line, column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emul.errors import MeasurementError

__all__ = ["Place"]

LONGEST_VALUE = 80
"""Characters of a refused value that are shown."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: its line, counted from 1, and the name or number of its column."""

    path: Path
    line: int = 0
    column: str = ""

    def __str__(self) -> str:
        """Say the place as far as it is known."""
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.path}{line}{column}"

    def at(self, column: str | int) -> Place:
        """Return the place in the same line at ``column``."""
        return Place(self.path, self.line, str(column))

    def refusal(self, came: object, needed: str) -> MeasurementError:
        """Return the error for a value that cannot be used."""
        said = repr(came)
        if len(said) > LONGEST_VALUE:
            said = f"{said[:LONGEST_VALUE]} ..."
        return MeasurementError(f"{self}: {said}: needed {needed}")

    def complaint(self, what: str) -> MeasurementError:
        """Return the error for what is wrong in words."""
        return MeasurementError(f"{self}: {what}")
