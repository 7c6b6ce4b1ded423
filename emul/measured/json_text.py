"""JSON that others wrote, with the place of every value in its text."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

from emul.errors import MeasurementError
from emul.measured.refusals import Place
from emul.measured.texts import LEAST, MOST, MOST_BYTES

__all__ = ["JsonText"]

Steps = tuple[str | int, ...]

STRING_OR_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<bad>NaN|-?Infinity)', re.DOTALL)
DECODER = json.JSONDecoder()
SPACE = re.compile(r"[ \t\r\n]*")


class JsonText:
    """A parsed document that finds the line and column of what it has to refuse."""

    def __init__(self, text: str, path: Path) -> None:
        """Parse ``text``, the content of the file at ``path``."""
        self.text = text
        self.path = path
        try:
            self.content: Any = json.loads(text, parse_constant=self._refuse_not_finite)
        except MeasurementError:
            raise
        except json.JSONDecodeError as error:
            cut = " (the file ends early)" if not text[error.pos :].strip() else ""
            raise self._place(error.pos).complaint(f"not JSON: {error.msg}{cut}") from None
        except (RecursionError, ValueError) as error:
            raise Place(path).complaint(f"not JSON: {error}") from None

    def _refuse_not_finite(self, name: str) -> None:
        """Refuse NaN and infinities; all before the first of them has been found to be JSON."""
        for found in STRING_OR_NOT_FINITE.finditer(self.text):
            if found["bad"]:
                raise self._place(found.start()).refusal(name, "a finite number")

    def _place(self, position: int) -> Place:
        line = self.text.count("\n", 0, position) + 1
        column = position - self.text.rfind("\n", 0, position)
        return Place(self.path, line, str(column))

    def place(self, steps: Steps) -> Place:
        """Return the place of the value that ``steps``, keys and indices, lead to.

        Where a step leads nowhere, that is the place of what should have held it.
        """
        position = self._skip(0)
        for step in steps:
            inside = self._child(position, step)
            if inside is None:
                break
            position = inside
        return self._place(position)

    def _skip(self, position: int) -> int:
        match = SPACE.match(self.text, position)
        return match.end() if match else position

    def _child(self, position: int, step: str | int) -> int | None:
        """Return where the member or element ``step`` of the value at ``position`` begins."""
        closing = {"{": "}", "[": "]"}.get(self.text[position])
        here, index = self._skip(position + 1), 0
        while closing and self.text[here] != closing:
            key: str | int = index
            if closing == "}":
                key, here = DECODER.raw_decode(self.text, here)
                here = self._skip(self._skip(here) + 1)
            if key == step:
                return here
            _, here = DECODER.raw_decode(self.text, here)
            here, index = self._skip(here), index + 1
            if self.text[here] == ",":
                here = self._skip(here + 1)
        return None

    def refusal(self, steps: Steps, came: object, needed: str) -> MeasurementError:
        """Return the error for the value that ``steps`` lead to."""
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
        return self.place(steps).complaint(
            f"{name.lstrip('.') or 'the document'} = {str(came)[:60]!r}: needed {needed}"
        )

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
        value = self.get(*steps)
        finite = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not finite or not max(least, -1e300) <= value <= 1e300:
            at_least = "" if least == -math.inf else f", {least:g} or more"
            raise self.refusal(steps, value, f"a finite number{at_least}")
        return float(value)

    def positive(self, *steps: str | int) -> float:
        """Return the number above 0 that ``steps`` lead to."""
        value = self.number(*steps)
        if not LEAST <= value <= MOST:
            raise self.refusal(steps, value, f"a number above 0, from {LEAST:g} to {MOST:g}")
        return value

    def whole(self, *steps: str | int, least: int = 0) -> int:
        """Return the whole number that ``steps`` lead to, at least ``least``."""
        value = self.number(*steps, least=least)
        if value != int(value) or value > MOST_BYTES:
            raise self.refusal(steps, value, f"a whole number to {MOST_BYTES}")
        return int(value)
