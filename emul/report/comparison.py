"""Algorithms side by side: a table for each size that fits 80 columns, and the quickest of each."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import groupby
from math import isfinite
from typing import Any, ClassVar

from emul.report.documents import document
from emul.report.markdown import escaped, markdown_row
from emul.units import counted, format_bytes

__all__ = [
    "Compared",
    "ComparedRow",
    "ComparisonResult",
    "Excluded",
    "comparison_document",
    "comparison_head",
    "comparison_markdown",
    "comparison_table",
    "comparison_title",
    "comparison_words",
    "curves_of",
]

HEADINGS = ("algorithm", "proven", "time us", "x bound", "crossing B", "error")
GAP = "  "
NARROWEST_NAME = 12
MOST_CURVES = 8
NONE = "-"


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One algorithm at one size: a line of the table, and an object of the JSON.

    ``proven``: every output chunk holds every contribution exactly once. Where it does not, all
    that follows is None. ``times_bound``: modelled time over the time that no algorithm can beat;
    None where that is 0. ``cross_site_bytes``: over all boundaries between sites together.
    ``max_relative_to_magnitudes`` and ``max_ulp`` (see emul.RoundingError) are those of the
    algorithm on random numbers; None where nothing is reduced, in the JSON also for infinity.
    """

    size_bytes: int
    algorithm: str
    proven: bool
    modelled_s: float | None = None
    bound_s: float | None = None
    times_bound: float | None = None
    cross_site_bytes: int | None = None
    max_relative_to_magnitudes: float | None = None
    max_ulp: float | None = None


@dataclass(frozen=True, slots=True)
class Excluded:
    """An algorithm that is not compared, at one size, and the reason."""

    algorithm: str
    size_bytes: int
    reason: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The lines of all tables, and the request that they answer.

    ``subjects``: the algorithms that were asked about, the others being those they are held
    against. ``error_elements``: random elements of each rank that errors are measured on, 0 where
    none are; ``error_bound``: the largest error of any order of reduction, None where there is
    none. ``excluded``: the algorithms that are not compared.
    """

    collective: str
    topology: str
    description: str
    world_size: int
    dtype: str
    redop: str
    root: int
    subjects: tuple[str, ...]
    error_elements: int
    error_bound: float | None
    rows: tuple[ComparedRow, ...] = ()
    excluded: tuple[Excluded, ...] = ()

    @property
    def sizes(self) -> list[int]:
        """The sizes, in their order."""
        return list(dict.fromkeys(row.size_bytes for row in self.rows))

    def at(self, size_bytes: int) -> list[ComparedRow]:
        """Return the lines of one size: the quickest first, those without a time last."""
        rows = [row for row in self.rows if row.size_bytes == size_bytes]
        return sorted(rows, key=lambda row: (row.modelled_s is None, row.modelled_s or 0.0))


def comparison_title(compared: Compared) -> str:
    """Return the words above a picture."""
    return f"{compared.collective} over {counted(compared.world_size, 'rank')}, {compared.topology}"


def comparison_head(compared: Compared) -> list[str]:
    """Return the lines above the tables."""
    op = "" if compared.redop == "none" else f" ({compared.redop})"
    ranks = "rank" if compared.world_size == 1 else f"{compared.world_size} ranks"
    said = f" ({compared.description})" if compared.description.startswith("assumed") else ""
    return [
        f"{compared.collective}{op} of {compared.dtype} over the {ranks} of {compared.topology}"
        f"{said}; times are modelled"
    ]


def comparison_table(compared: Compared, size_bytes: int, width: int) -> Iterator[str]:
    """Yield the lines of one size, in ``width`` columns; long names are folded."""
    yield ""
    yield _named(size_bytes)
    cells = [HEADINGS, *(_cells(row) for row in compared.at(size_bytes))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(HEADINGS))]
    others = sum(widths[1:]) + len(GAP) * (len(widths) - 1)
    widths[0] = min(widths[0], max(NARROWEST_NAME, width - others))
    for row in cells:
        first, *more = textwrap.wrap(row[0], widths[0]) or [""]
        numbers = (cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))
        yield GAP.join([first.ljust(widths[0]), *numbers])
        yield from more


def _cells(row: ComparedRow) -> tuple[str, ...]:
    if row.modelled_s is None:
        return (row.algorithm, "yes" if row.proven else "no", NONE, NONE, NONE, NONE)
    return (
        row.algorithm,
        "yes" if row.proven else "no",
        f"{row.modelled_s * 1e6:.2f}",
        NONE if row.times_bound is None else f"{row.times_bound:.2f}",
        str(row.cross_site_bytes),
        NONE if row.max_relative_to_magnitudes is None else f"{row.max_relative_to_magnitudes:.1e}",
    )


def comparison_words(compared: Compared) -> list[str]:
    """Return the sentences under the tables."""
    words = [*_quickest(compared), *_of_subject(compared), *_errors(compared)]
    return words + [f"Not compared: {each}" for each in _excluded(compared.excluded)]


def _quickest(compared: Compared) -> Iterator[str]:
    """Yield which algorithm is quickest at each size."""
    best = [(size, compared.at(size)[0]) for size in compared.sizes]
    timed = [(size, row.algorithm) for size, row in best if row.modelled_s is not None]
    if not timed:
        return
    spans = []
    for algorithm, group in groupby(timed, key=lambda each: each[1]):
        sizes = [size for size, _ in group]
        at = " and ".join(map(format_bytes, sizes)) if len(sizes) < 3 else (
            f"{format_bytes(sizes[0])} to {format_bytes(sizes[-1])}"
        )  # fmt: skip
        spans.append(f"{algorithm} at {at}")
    yield f"Quickest: {'; '.join(spans)}."


def _of_subject(compared: Compared) -> Iterator[str]:
    """Yield how the one algorithm that was asked about compares with the quickest."""
    if len(compared.subjects) != 1:
        return
    (subject,) = compared.subjects
    parts = []
    for size in compared.sizes:
        rows = [row for row in compared.at(size) if row.modelled_s]
        mine = next((row for row in rows if row.algorithm == subject), None)
        if mine is None or mine.modelled_s is None or rows[0].modelled_s is None:
            continue
        ratio = mine.modelled_s / rows[0].modelled_s
        if rows[0] is not mine:
            parts.append(f"{ratio:.2f} times as long at {format_bytes(size)}")
    if parts:
        yield f"{subject} beside the quickest: {', '.join(parts)}."


def _errors(compared: Compared) -> Iterator[str]:
    """Yield how errors are measured, and their bound."""
    if not compared.error_elements:
        return
    said = (
        f"Error: the largest |error| over the sum of magnitudes, of {compared.error_elements} "
        "random elements of each rank"
    )
    if compared.error_bound is None:
        yield f"{said}."
    else:
        yield f"{said}; no order of reduction is beyond {compared.error_bound:.1e}."


def _excluded(excluded: Iterable[Excluded]) -> list[str]:
    """Return each algorithm that is not compared with its reason, and the sizes it is about."""
    sizes: dict[tuple[str, str], list[str]] = {}
    for each in excluded:
        sizes.setdefault((each.algorithm, each.reason), []).append(format_bytes(each.size_bytes))
    return [f"{name} ({', '.join(at)}): {why}" for (name, why), at in sizes.items()]


@dataclass(frozen=True, slots=True)
class CompareContents(Compared):
    """The lines of all tables of emul compare, and the words under them.

    ``subjects``: the algorithms that were asked about. ``error_elements``: random elements of each
    rank that errors are measured on, 0 where none are; ``error_bound``: the largest error of any
    order of reduction, null where there is none. ``excluded``: algorithms that are not compared.
    """

    SCHEMA: ClassVar[str] = "emul-compare-1"

    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComparisonResult:
    """A comparison for the files: all of it, or the sizes before it was ``interrupted``."""

    compared: Compared
    interrupted: bool = False


def comparison_document(version: str, result: ComparisonResult) -> dict[str, Any]:
    """Return the JSON of ``emul compare``: all that is printed, and the words."""
    compared = result.compared
    given = {each.name: getattr(compared, each.name) for each in fields(compared)}
    given["rows"] = tuple(map(_finite, compared.rows))
    contents = CompareContents(**given, words=tuple(comparison_words(compared)))
    return document(version, contents, interrupted=result.interrupted)


def _finite(row: ComparedRow) -> ComparedRow:
    """Return the row without infinities, which JSON cannot say."""
    errors = (row.max_relative_to_magnitudes, row.max_ulp)
    if all(each is None or isfinite(each) for each in errors):
        return row
    return replace(row, max_relative_to_magnitudes=None, max_ulp=None)


def curves_of(compared: Compared) -> tuple[dict[str, dict[int, float]], dict[int, float]]:
    """Return the modelled seconds of algorithms by size, and the least that are possible.

    Of more than eight, those that were asked about and those that come nearest to the first place.
    """
    places: dict[str, int] = {}
    for size in compared.sizes:
        for place, row in enumerate(compared.at(size)):
            asked = -1 if row.algorithm in compared.subjects else place
            places[row.algorithm] = min(asked, places.get(row.algorithm, asked))
    drawn = set(sorted(places, key=lambda name: places[name])[:MOST_CURVES])
    curves: dict[str, dict[int, float]] = {}
    bound: dict[int, float] = {}
    for row in compared.rows:
        if row.modelled_s is not None and row.bound_s is not None and row.algorithm in drawn:
            curves.setdefault(row.algorithm, {})[row.size_bytes] = row.modelled_s
            bound[row.size_bytes] = min(row.bound_s, bound.get(row.size_bytes, row.bound_s))
    return curves, bound


def comparison_markdown(compared: Compared, size_bytes: int) -> Iterator[str]:
    """Yield the table of one size in Markdown; names are text there, never markup."""
    yield from ("", f"**{_named(size_bytes)}**", "")
    yield markdown_row(HEADINGS)
    yield markdown_row([":---", *["---:"] * (len(HEADINGS) - 1)])
    for row in compared.at(size_bytes):
        name, *numbers = _cells(row)
        yield markdown_row([escaped(name), *numbers])


def _named(size_bytes: int) -> str:
    named = format_bytes(size_bytes)
    return named if named.endswith(" B") else f"{named} ({size_bytes} B)"
