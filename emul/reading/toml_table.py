"""One table of a TOML file: every error names file, key, value and the values that are allowed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emul.errors import EmulError, TopologyError, listed
from emul.reading import values
from emul.reading.place import LONGEST_VALUE, Place
from emul.reading.values import Range

__all__ = ["TomlTable"]


class TomlTable:
    """A table of a TOML document that remembers its place in the file."""

    def __init__(
        self,
        content: object,
        where: str,
        path: str,
        error_class: type[EmulError] = TopologyError,
    ) -> None:
        """Wrap ``content``, found at ``path`` of the file called ``where``.

        A value that cannot be used raises an ``error_class``.
        """
        self.where = where
        self.path = path
        self.error_class = error_class
        if not isinstance(content, dict):
            raise self.refusal("", content, "a table")
        self.content: dict[str, Any] = content

    def at(self, key: str) -> Place:
        """Return the place of ``key`` in this table, or of the table where it is empty."""
        full = f"{self.path}.{key[:LONGEST_VALUE]}".strip(".") if key else self.path
        return Place(self.where, key=full or "the file", error_class=self.error_class)

    def refusal(self, key: str, came: object, needed: str) -> EmulError:
        """Return the error for a value that cannot be used."""
        return self.at(key).refusal(came, needed)

    def converted(self, error: Exception) -> EmulError:
        """Return the error of a constructor, with file and place of this table."""
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
        return values.real(value, allowed, self.at(key))

    def integer(self, key: str, allowed: Range, default: int | None = None) -> int:
        """Return the whole number at ``key``, which must lie in ``allowed``."""
        if key not in self.content:
            if default is None:
                raise self.missing(key, allowed.whole)
            return default
        return self.whole(key, self.content[key], allowed)

    def whole(self, key: str, value: object, allowed: Range) -> int:
        """Return ``value`` if it is a whole number in ``allowed``."""
        return values.whole(value, allowed, self.at(key))

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
        """Return the string at ``key``, which stands in every report about this table."""
        return values.name(self.text(key, default), self.at(key))

    def choice(self, key: str, known: Iterable[str], default: str) -> str:
        """Return the string at ``key``, which must be one of ``known``."""
        return values.choice(self.content.get(key, default), known, self.at(key))

    def flag(self, key: str) -> bool:
        """Return the truth at ``key``, false when there is none."""
        return values.flag(self.content.get(key, False), self.at(key))

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

    def table(self, key: str) -> TomlTable:
        """Return the table at ``key``, empty when there is none."""
        path = f"{self.path}.{key}".strip(".")
        return TomlTable(self.content.get(key, {}), self.where, path, self.error_class)

    def tables(self, key: str, most: int) -> list[TomlTable]:
        """Return the array of tables at ``key``, refusing more than ``most``."""
        value = self.content.get(key, [])
        if not isinstance(value, list):
            raise self.refusal(key, value, f"an array of tables, [[{key}]]")
        if len(value) > most:
            raise self.error_class(f"{self.where}: {len(value)} x [[{key}]]: needed at most {most}")
        prefix = f"{self.path}.{key}".strip(".")
        return [
            TomlTable(item, self.where, f"{prefix}[{i}]", self.error_class)
            for i, item in enumerate(value)
        ]
