"""A method of one's own: a function in a Python file, named as ``mine.py:my_method``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emul.errors import ArgumentError, shown
from emul.plans import load_user_function
from emul.programs import Act
from emul.reading.checks import flag, whole
from emul.training.seat import Seat

__all__ = ["UserMethod"]

NEEDED = "a function of a seat that yields acts"

ATTRIBUTES = {"period": 1, "carries": False, "keeps_shards": True, "evenly": False}
"""Of a method, that count (see Job), with their defaults."""


class UserMethod:
    """The method that ``FILE.py:NAME`` means; the file is executed.

    Attributes of the function that count are those of a method (see Job). Raises PlanError, with
    file and line, for all that is wrong with the file, and for errors in the function;
    ArgumentError for an attribute of a wrong kind.
    """

    def __init__(self, name: str) -> None:
        """Load the function."""
        self.name = name
        self._function = load_user_function(name, NEEDED)
        for key, default in ATTRIBUTES.items():
            value = getattr(self._function.__wrapped__, key, default)
            where = f"{key} of {name}"
            kept: Any = flag(value, where) if isinstance(default, bool) else whole(value, where, 1)
            setattr(self, key, kept)

    def __call__(self, seat: Seat) -> Iterable[Act]:
        """Return the acts of the rank at a seat."""
        acts = self._function(seat)
        if not isinstance(acts, Iterable):
            raise ArgumentError(f"{self.name} returned {shown(acts)}: needed acts")
        return acts

    def __repr__(self) -> str:
        """Return the name."""
        return f"<method {self.name}>"
