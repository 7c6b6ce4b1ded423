"""Sections that measure something, each on its own: an error in one of them stops no other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Figure", "Section", "SectionRecord", "at_least", "at_most", "recorded"]

LINES_OF_A_TRACEBACK = 12


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; ``asked`` in words, and whether it was ``reached``, None where nothing was asked.

    ``about``: its raw numbers, and further facts for a reader.
    """

    name: str
    value: float | str | None
    unit: str = ""
    asked: str = ""
    reached: bool | None = None
    about: Mapping[str, Any] = field(default_factory=dict)


def at_least(name: str, value: float, unit: str, least: float, **about: Any) -> Figure:
    """Return a figure of which at least so much is asked."""
    return Figure(name, value, unit, f">= {least:g}", value >= least, about)


def at_most(name: str, value: float, unit: str, most: float, **about: Any) -> Figure:
    """Return a figure of which at most so much is asked."""
    return Figure(name, value, unit, f"<= {most:g}", value <= most, about)


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that are measured together, by ``measure`` in about ``needs_s``.

    A section is not begun when less time is left. ``first``: a section that tells most about
    a GPU that emul has not run on, and belongs to a first look.
    """

    name: str
    measure: Callable[[], Sequence[Figure]]
    needs_s: float = 5.0
    first: bool = False


@dataclass(frozen=True, slots=True)
class SectionRecord:
    """The outcome of a section: its figures, or the error that it met."""

    name: str
    seconds: float
    figures: Sequence[Figure]
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as an object of the JSON."""
        return asdict(self)


def recorded(sections: Sequence[Section], ends_at_s: float) -> Iterator[SectionRecord]:
    """Yield the outcome of each section, one after the other.

    ``ends_at_s``: of time.monotonic, when the whole must be through.
    """
    for section in sections:
        began = time.monotonic()
        left_s = ends_at_s - began
        if left_s < section.needs_s:
            said = f"not begun: {left_s:.0f} s were left, and it needs about {section.needs_s:g} s"
            yield SectionRecord(section.name, 0.0, (), said)
            continue
        figures: Sequence[Figure] = ()
        error = None
        try:
            figures = tuple(section.measure())
        except Exception:
            error = "\n".join(traceback.format_exc().splitlines()[-LINES_OF_A_TRACEBACK:])
        yield SectionRecord(section.name, time.monotonic() - began, figures, error)
