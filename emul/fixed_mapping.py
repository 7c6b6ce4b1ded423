"""A mapping that nobody can change, which has a hash and can be pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

__all__ = ["FixedMapping"]

Value = TypeVar("Value")


LONGEST = 140
"""Characters of all names and values that are shown."""


class FixedMapping(Mapping[str, Value], Generic[Value]):
    """Values by name; equal to every mapping of the same names and values.

    >>> FixedMapping({"a": 1}) == {"a": 1}, len({FixedMapping({"a": 1}), FixedMapping({"a": 1})})
    (True, 1)
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value] | None = None) -> None:
        """Copy ``values``."""
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> Value:
        """Return the value called ``name``."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._values)

    def __hash__(self) -> int:
        """Return a hash that does not depend on the order; every value needs one."""
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        """Say the names and values, or of very many how many there are."""
        said = repr(self._values)
        if len(said) > LONGEST:
            return f"FixedMapping({{...}}, {len(self._values)} values)"
        return f"FixedMapping({said})"
