"""Reading one table of a TOML file: every refusal names file, key, value and what was needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emul.errors import EmulError, TopologyError, listed

__all__ = ["Range", "Table"]


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers a key may take, in ``unit``.

    ``low`` itself is among them only when ``closed``, ``high`` itself unless ``below``.
    """

    low: float
    high: float
    unit: str
    closed: bool = True
    below: bool = False

    def __contains__(self, value: float) -> bool:
        """Say whether ``value`` is finite and in range."""
        # A whole number may be too large for a float: compare before asking whether it is finite.
        if not self.low <= value <= self.high or (self.below and value == self.high):
            return False
        return value != self.low or self.closed

    def __str__(self) -> str:
        """Say the range in words, with its unit."""
        above = f"{self.low:g}" if self.closed else f"above {self.low:g}"
        high = f"below {self.high:g}" if self.below else f"{self.high:g}"
        return f"a number from {above} to {high} {self.unit}".rstrip()


LONGEST_NAME = 200
"""Characters of a name, where that of a file is the default."""

LONGEST_VALUE = 200
"""Characters of a refused value that are shown."""


def _said(value: object) -> str:
    """Return a value as a refusal shows it: the beginning of what is very long."""
    if isinstance(value, (str, list)):
        value = value[:LONGEST_VALUE]
    try:
        said = repr(value)
    except ValueError:  # Python refuses to write out integers of very many digits
        bits = value.bit_length() if isinstance(value, int) else 0
        return f"an integer of {bits} bits" if bits else "a value with a very large integer"
    return said if len(said) <= LONGEST_VALUE else f"{said[:LONGEST_VALUE]} ..."


def _whole(allowed: Range) -> str:
    return f"a whole {str(allowed).removeprefix('a ')}"


class Table:
    """A table of a TOML document that remembers where it stands and what was read from it."""

    def __init__(
        self,
        content: object,
        where: str,
        path: str,
        error_class: type[EmulError] = TopologyError,
    ) -> None:
        """Wrap ``content``, found at ``path`` of the file called ``where``.

        What cannot be used raises an ``error_class``.
        """
        self.where = where
        self.path = path
        self.error_class = error_class
        if not isinstance(content, dict):
            raise self.refusal("", content, "a table")
        self.content: dict[str, Any] = content

    def refusal(self, key: str, came: object, needed: str) -> EmulError:
        """Return the error for a value that cannot be used."""
        at = f"{self.path}.{key[:LONGEST_VALUE]}".strip(".") if key else self.path
        return self.error_class(
            f"{self.where}: {at or 'the file'} = {_said(came)}: needed {needed}"
        )

    def converted(self, error: Exception) -> EmulError:
        """Return what the constructor of what this table says has refused, with file and place."""
        return self.error_class(f"{self.where}: {self.path}: {error}")

    def converted_key(self, error: Exception) -> EmulError:
        """Return the same for an error that begins with a key of this table."""
        return self.error_class(f"{self.where}: {self.path}.{error}")

    def missing(self, key: str, needed: str) -> EmulError:
        """Return the error for a key that is not there."""
        at = self.path or "the file"
        return self.error_class(f"{self.where}: {at} has no {key!r}: needed {needed}")

    def check_keys(self, known: Iterable[str]) -> None:
        """Refuse keys that mean nothing here, so that a misspelt one is not passed over."""
        known = tuple(known)
        unknown = [f"{self.path}.{key}".strip(".") for key in self.content if key not in known]
        if unknown:
            said = listed(map(repr, unknown))
            raise self.error_class(
                f"{self.where}: unknown key {said}: needed one of {', '.join(known)}"
            )

    def number(self, key: str, allowed: Range, default: float | None = None) -> float:
        """Return the number at ``key``, which must lie in ``allowed``."""
        if key not in self.content:
            if default is None:
                raise self.missing(key, str(allowed))
            return default
        return self.real(key, self.content[key], allowed)

    def real(self, key: str, value: object, allowed: Range) -> float:
        """Return ``value`` if it is a number in ``allowed``."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.refusal(key, value, str(allowed))
        if value not in allowed:
            raise self.refusal(key, value, str(allowed))
        return float(value)

    def integer(self, key: str, allowed: Range, default: int | None = None) -> int:
        """Return the whole number at ``key``, which must lie in ``allowed``."""
        if key not in self.content:
            if default is None:
                raise self.missing(key, _whole(allowed))
            return default
        return self.whole(key, self.content[key], allowed)

    def whole(self, key: str, value: object, allowed: Range) -> int:
        """Return ``value`` if it is a whole number in ``allowed``."""
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            raise self.refusal(key, value, _whole(allowed))
        return value

    def text(self, key: str, default: str | None = None) -> str:
        """Return the string at ``key``."""
        if key not in self.content and default is not None:
            return default
        value = self.content.get(key)
        if value is None:
            raise self.missing(key, "a string")
        if not isinstance(value, str) or (not value and default is None):
            raise self.refusal(key, value, "a string that is not empty")
        return value

    def name(self, key: str, default: str | None = None) -> str:
        """Return the string at ``key``, which is printed wherever this is named."""
        value = self.text(key, default)
        if len(value) > LONGEST_NAME:
            raise self.refusal(key, value, f"a name of at most {LONGEST_NAME} characters")
        return value

    def choice(self, key: str, known: Iterable[str], default: str) -> str:
        """Return the string at ``key``, which must be one of ``known``."""
        value, known = self.content.get(key, default), tuple(known)
        if value not in known:
            raise self.refusal(key, value, f"one of {', '.join(known)}")
        return str(value)

    def flag(self, key: str) -> bool:
        """Return the truth at ``key``, false when there is none."""
        value = self.content.get(key, False)
        if not isinstance(value, bool):
            raise self.refusal(key, value, "true or false")
        return value

    def rows(self, key: str, value: object, most: int, needed: str) -> list[list[object]]:
        """Return ``value``, found at ``key``, if it is a list of 1 to ``most`` lists."""
        if not isinstance(value, list) or not value:
            raise self.refusal(key, value, needed)
        if len(value) > most:
            raise self.refusal(key, f"{len(value)} rows", f"at most {most}")
        for i, row in enumerate(value):
            if not isinstance(row, list):
                raise self.refusal(f"{key}[{i}]", row, needed)
        return value

    def table(self, key: str) -> Table:
        """Return the table at ``key``, empty when there is none."""
        path = f"{self.path}.{key}".strip(".")
        return Table(self.content.get(key, {}), self.where, path, self.error_class)

    def tables(self, key: str, most: int) -> list[Table]:
        """Return the array of tables at ``key``, refusing more than ``most``."""
        value = self.content.get(key, [])
        if not isinstance(value, list):
            raise self.refusal(key, value, f"an array of tables, [[{key}]]")
        if len(value) > most:
            raise self.error_class(f"{self.where}: {len(value)} x [[{key}]]: needed at most {most}")
        prefix = f"{self.path}.{key}".strip(".")
        return [
            Table(item, self.where, f"{prefix}[{i}]", self.error_class)
            for i, item in enumerate(value)
        ]
