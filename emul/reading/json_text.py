"""JSON that others wrote, with the place of every value in its text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emul.errors import EmulError
from emul.reading import values
from emul.reading.place import Place
from emul.reading.values import LEAST, MEASURED, MOST, MOST_BYTES, Range

__all__ = ["JsonText", "members_of", "place_in"]

KeyPath = tuple[str | int, ...]

PLAIN = json.JSONDecoder()
SPACE = re.compile(r"[ \t\r\n]*")

LARGEST = 1e300
"""Numbers of a larger amount count as infinite."""

LONGEST_VALUE = 60
"""Characters of a refused value that are shown."""


class JsonText:
    """A parsed document that finds the line and column of a value that it refuses.

    ``origins`` are the positions in the text of values that steps lead to: of the document itself,
    and of its parts where they stand in several documents of a stream.
    """

    def __init__(self, text: str, path: Path, content: Any, origins: dict[KeyPath, int]) -> None:
        """Take ``content``, which stands at ``origins`` in ``text``."""
        self.text = text
        self.path = path
        self.content = content
        self.origins = origins

    def place(self, steps: KeyPath) -> Place:
        """Return the place of the value that ``steps``, keys and indices, lead to.

        Where a step leads nowhere, the place of the value that should have held it is returned.
        """
        return place_in(self.text, self.path, self.position(steps))

    def position(self, steps: KeyPath) -> int:
        """Return where in the text the value begins that ``steps`` lead to."""
        known = max((each for each in self.origins if steps[: len(each)] == each), key=len)
        position = self.origins[known]
        for step in steps[len(known) :]:
            inside = next((at for key, at in members_of(self.text, position) if key == step), None)
            if inside is None:
                break
            position = inside
        return position

    def refusal(self, steps: KeyPath, came: object, needed: str) -> EmulError:
        """Return the error for the value that ``steps`` lead to."""
        return JsonValue(self, steps).refusal(came, needed)

    def get(self, *steps: str | int) -> Any:
        """Return the value that ``steps`` lead to, None where they lead nowhere."""
        value = self.content
        for step in steps:
            if isinstance(step, str):
                value = value.get(step) if isinstance(value, dict) else None
            else:
                value = value[step] if isinstance(value, list) and step < len(value) else None
        return value

    def items(self, *steps: str | int) -> list[Any]:
        """Return the list that ``steps`` lead to."""
        value = self.get(*steps)
        if not isinstance(value, list):
            raise self.refusal(steps, value, "a list")
        return value

    def number(self, *steps: str | int, least: float = -math.inf) -> float:
        """Return the finite number that ``steps`` lead to, at least ``least``."""
        at_least = "" if least == -math.inf else f", {least:g} or more"
        allowed = Range(max(least, -LARGEST), LARGEST, "")
        place = JsonValue(self, steps)
        return values.real(self.get(*steps), allowed, place, f"a finite number{at_least}")

    def positive(self, *steps: str | int) -> float:
        """Return the number above 0 that ``steps`` lead to."""
        value, place = self.number(*steps), JsonValue(self, steps)
        needed = f"a number above 0, from {LEAST:g} to {MOST:g}"
        return values.within(value, MEASURED, place, value, needed)

    def whole(self, *steps: str | int, least: int = 0) -> int:
        """Return the whole number that ``steps`` lead to, at least ``least``."""
        value = self.number(*steps, least=least)
        if value != int(value) or value > MOST_BYTES:
            raise self.refusal(steps, value, f"a whole number to {MOST_BYTES}")
        return int(value)


@dataclass(frozen=True, slots=True)
class JsonValue:
    """A value of a document; its line and column are looked for when it has to be refused."""

    document: JsonText
    steps: KeyPath

    def refusal(self, came: object, needed: str) -> EmulError:
        """Return the error for this value."""
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)
        place = self.document.place(self.steps).of(name.lstrip(".") or "the document")
        return place.refusal(str(came)[:LONGEST_VALUE], needed)


def members_of(text: str, position: int) -> Iterator[tuple[str | int, int]]:
    """Yield each key, or index, of the value at ``position``, and where its value begins."""
    closing = {"{": "}", "[": "]"}.get(text[position])
    here, index = _skip(text, position + 1), 0
    while closing and text[here] != closing:
        key: str | int = index
        if closing == "}":
            key, here = PLAIN.raw_decode(text, here)
            here = _skip(text, _skip(text, here) + 1)
        yield key, here
        _, here = PLAIN.raw_decode(text, here)
        here, index = _skip(text, here), index + 1
        if text[here] == ",":
            here = _skip(text, here + 1)


def _skip(text: str, position: int) -> int:
    match = SPACE.match(text, position)
    return match.end() if match else position


def place_in(text: str, path: Path, position: int) -> Place:
    """Return the place of a position in the text of a file."""
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return Place(path, line, str(column))
