"""A place in a file that people bring, and the error about the value there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emul.errors import EmulError, MeasurementError

__all__ = ["LONGEST_VALUE", "Place"]

LONGEST_VALUE = 200
"""Characters of a refused value, and of its key, that are shown."""

LONGEST_CELL = 80
"""Characters of a refused value that are shown where it has no key."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: line, counted from 1, name or number of the column, and key.

    ``file`` is a path, or the name of a text that comes with emul. A key stands beside the value
    in an error. Errors are of the class ``error_class``.
    """

    file: Path | str
    line: int = 0
    column: str = ""
    key: str = ""
    error_class: type[EmulError] = MeasurementError

    def __str__(self) -> str:
        """Say file, line and column as far as they are known."""
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.file}{line}{column}"

    @property
    def file_name(self) -> str:
        """The name of the file without its folder."""
        return Path(self.file).name

    def at(self, column: str | int) -> Place:
        """Return the place in the same line at ``column``."""
        return Place(self.file, self.line, str(column), self.key, self.error_class)

    def of(self, key: str) -> Place:
        """Return the same place with the ``key`` of the value there."""
        return Place(self.file, self.line, self.column, key, self.error_class)

    def refusal(self, came: object, needed: str) -> EmulError:
        """Return the error for a value that cannot be used."""
        value = f"{self.key} = {_shown(came)}" if self.key else _shown(came, LONGEST_CELL)
        return self.complaint(f"{value}: needed {needed}")

    def complaint(self, words: str) -> EmulError:
        """Return the error that says ``words`` about this place."""
        return self.error_class(f"{self}: {words}")


def _shown(value: object, most: int = LONGEST_VALUE) -> str:
    """Return a value as an error shows it: at most its first ``most`` characters."""
    if isinstance(value, (str, list)):
        value = value[: most + 1]
    try:
        said = repr(value)
    except ValueError:  # Python refuses to write out integers of very many digits
        bits = value.bit_length() if isinstance(value, int) else 0
        return f"an integer of {bits} bits" if bits else "a value with a very large integer"
    return said if len(said) <= most else f"{said[:most]} ..."
