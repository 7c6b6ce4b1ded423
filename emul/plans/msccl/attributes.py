"""The attributes of an element of a plan, read one by one."""

from __future__ import annotations

import re
from typing import NoReturn, Protocol

from emul.errors import unknown_name
from emul.plans.msccl.notes import IgnoredParts

__all__ = ["LONGEST_NAME", "MOST_CHUNKS", "Attributes", "ReadingState"]

MOST_CHUNKS = 1 << 20

LONGEST_NAME = 40
"""Characters of a name of others that are shown."""

WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}\Z")


class ReadingState(Protocol):
    """A reader on its way through a file: its position, the parts it ignored, its refusals."""

    passed_over: IgnoredParts

    @property
    def line(self) -> int:
        """The line the reader is at."""

    def refuse(self, complaint: str) -> NoReturn:
        """Raise PlanError about that line."""


class Attributes:
    """The attributes of an element, each asked for once."""

    def __init__(self, reader: ReadingState, element: str, given: dict[str, str]) -> None:
        """Take the attributes ``given`` of an ``element`` that ``reader`` is at."""
        self.reader = reader
        self.element = element
        self.given = given
        self.asked: set[str] = set()

    def raw(self, name: str, default: str | None = None) -> str:
        """Return an attribute as it stands."""
        self.asked.add(name)
        value = self.given.get(name, default)
        if value is None:
            self.reader.refuse(f"<{self.element}> without {name}=: needed one")
        return value

    def number(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Return an attribute as a whole number from ``least`` to ``most``."""
        value = self.raw(name, None if default is None else str(default))
        if not WHOLE_NUMBER.match(value) or not least <= int(value) <= most:
            self.reader.refuse(
                f"{name}={value[:30]!r}: needed a whole number from {least} to {most}"
            )
        return int(value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return an attribute as a list of whole numbers from 0 on; empty where there is none."""
        listed = self.raw(name, "").split()
        if not all(WHOLE_NUMBER.match(each) and 0 <= int(each) <= MOST_CHUNKS for each in listed):
            self.reader.refuse(f"{name}={self.raw(name)[:30]!r}: needed whole numbers from 0 on")
        return tuple(map(int, listed))

    def one_of(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """Return an attribute that is one of ``known`` names."""
        value = self.raw(name, default)
        if value not in known:
            self.reader.refuse(str(unknown_name(name, value[:30], known)))
        return value

    def note_unused(self) -> None:
        """Note the attributes that nobody asked for: the runtimes pass over them."""
        for name in self.given:
            if name not in self.asked:
                what = f"{name[:LONGEST_NAME]}= of <{self.element}>"
                self.reader.passed_over.add(what, self.reader.line)
