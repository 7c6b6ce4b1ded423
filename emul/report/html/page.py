"""A page to hand on: a question, its answer, and sections of a few known kinds.

Each command makes a Page out of its results; one renderer draws all of them
(emul.report.html.renderer).
"""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from emul.drawing.markup import Element

__all__ = [
    "Assumption",
    "Assumptions",
    "Column",
    "Figure",
    "Origin",
    "Page",
    "Section",
    "Table",
    "Words",
    "table",
]


@dataclass(frozen=True, slots=True)
class Origin:
    """How a page came to be: the command, or a sentence where there was none; versions; the moment.

    Of two pages of one input and one machine, nothing but ``made`` may differ, and the figures of a
    clock.
    """

    command: str
    versions: Mapping[str, str]
    made: str

    @classmethod
    def of(cls, version: str, command: Sequence[str], moment: datetime) -> Origin:
        """Return the origin of a page of ``emul``; ``command`` has the words of the command line.

        Those are quoted as a shell needs them.
        """
        versions = {
            "emul": version,
            "Python": platform.python_version(),
            "NumPy": np.__version__,
        }
        said = shlex.join(["emul", *command[1:]])
        return cls(said, versions, f"{moment.astimezone():%Y-%m-%d %H:%M %Z}")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; numbers stand at the right."""

    name: str
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text. Each row has a cell for each column; ``note`` stands below."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse rows that are longer or shorter than the head."""
        assert all(len(row) == len(self.columns) for row in self.rows), self.title


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing, an ``svg`` element.

    ``says`` describes it in sentences for readers who cannot see it, ``caption`` says how to read
    it. ``numbers`` is the table behind it, which a reader may open.
    """

    title: str
    drawing: Element
    says: str
    caption: str
    numbers: Table | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """Sentences, each a paragraph."""

    title: str
    sentences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assumption:
    """A number that the answer rests on, its status (measured, assumed, ...) and its source."""

    name: str
    value: str
    status: str
    source: str


@dataclass(frozen=True, slots=True)
class Assumptions:
    """The numbers that the answer rests on, by place, and sentences about all of them."""

    title: str
    remarks: tuple[str, ...]
    by_place: tuple[tuple[str, tuple[Assumption, ...]], ...]


Section = Figure | Table | Words | Assumptions


@dataclass(frozen=True, slots=True)
class Page:
    """A question and its answer in one sentence, and all that it rests on.

    ``interrupted`` says how much was done before an interrupt, empty where all was.
    """

    question: str
    answer: str
    sections: tuple[Section, ...]
    origin: Origin
    interrupted: str = ""


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    texts: Iterable[str] = (),
    note: str = "",
) -> Table:
    """Return a table whose columns are of numbers, but for those named in ``texts``."""
    words = set(texts)
    assert words <= set(columns), words
    heads = tuple(Column(name, name not in words) for name in columns)
    return Table(title, heads, tuple(tuple(row) for row in rows), note)
