"""All that is wrong with a file in one message, within bounds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emul.errors import EmulError, one_of_many

__all__ = ["Complaints"]

ENOUGH = 100
"""Complaints after which the rest of a file is not looked at."""


class Complaints:
    """Errors that were noted in place of being raised, about the file called ``where``."""

    def __init__(self, where: str, error_class: type[EmulError]) -> None:
        """Begin without any; only errors of ``error_class`` are noted."""
        self.where = where
        self.error_class = error_class
        self._errors: list[str] = []

    def __bool__(self) -> bool:
        """Say whether there are any."""
        return bool(self._errors)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note an error that is raised within, and go on; with enough of them, raise all."""
        try:
            yield
        except self.error_class as error:
            self.add(error)
            if len(self._errors) >= ENOUGH:
                self.raise_any()

    def add(self, error: EmulError) -> None:
        """Note ``error``."""
        self._errors.append(str(error).removeprefix(f"{self.where}: "))

    def raise_any(self) -> None:
        """Raise one error that says all that was noted, each once, if there is any."""
        if self._errors:
            raise self.error_class(f"{self.where}: {one_of_many(self._errors)}")
