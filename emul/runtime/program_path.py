"""Why a program takes as long as it does: a chain through compute, operations and links."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from emul.reading.brief import brief, one_line
from emul.timing import OTHERS, terms
from emul.units import PS_PER_S, counted, format_time

__all__ = ["COMPUTE", "NOT_KEPT", "PathPart", "PathRow", "ProgramPath"]

Key = TypeVar("Key")

COMPUTE = "compute"
"""The term of compute."""

NOT_KEPT = "not kept"
"""The term of an operation whose transfers are no longer there."""

MEANINGS = {
    COMPUTE: "computing",
    **terms.MEANINGS,
    OTHERS: "in front of a link in use by other operations",
    NOT_KEPT: "in operations whose transfers are no longer kept",
}
"""The meaning of each term, in the order in which they are told."""

NAMED = 3
"""Ranks, links and operations that a sentence names; the rest is summed up."""


@dataclass(frozen=True, slots=True)
class PathPart:
    """A stretch of a row, from ``from_ps`` to ``to_ps`` since the birth of the World.

    ``place``: the part of the network, or the rank that computes. ``term``: ``compute``; one of the
    terms of emul.Segment; ``others``, in front of a link that another operation uses; or ``not
    kept``. ``src``, ``dst``: the ranks of the transfer; -1 for none.
    """

    from_ps: int
    to_ps: int
    place: str
    term: str
    src: int = -1
    dst: int = -1

    __repr__ = brief

    @property
    def duration_ps(self) -> int:
        """Its picoseconds."""
        return self.to_ps - self.from_ps


@dataclass(frozen=True, slots=True)
class PathRow:
    """Compute of a rank, or an operation, on the path from ``from_ps`` to ``to_ps``.

    Both count from the birth of the World. ``rank``: at whose end it stands; ``from_rank``: at
    whose start, the same for compute. ``operation``: the collective, or ``send``, with its
    ``number`` in ``World.history`` and its ``communicator``. ``parts``: the latest first, without a
    gap; in those of an operation are the links that held it up.
    """

    from_ps: int
    to_ps: int
    kind: Literal["compute", "operation"]
    rank: int
    from_rank: int
    parts: tuple[PathPart, ...]
    operation: str = ""
    number: int | None = None
    communicator: int | None = None

    __repr__ = brief

    @property
    def duration_ps(self) -> int:
        """Its picoseconds."""
        return self.to_ps - self.from_ps

    def clipped(self, since_ps: int) -> PathRow:
        """Return the same without all that was before ``since_ps``."""
        if self.from_ps >= since_ps:
            return self
        parts = (
            replace(part, from_ps=max(part.from_ps, since_ps))
            for part in self.parts
            if part.to_ps > since_ps
        )
        return replace(self, from_ps=since_ps, parts=tuple(parts))


@dataclass(frozen=True, slots=True)
class ProgramPath:
    """The rows that follow one another without a gap from ``to_ps`` back to ``from_ps``.

    ``since``, ``until``: the places in the program, in words.

    >>> import numpy as np, emul
    >>> world = emul.World("three-campus")
    >>> world.compute(0.25, ranks=[3])
    >>> run = world.all_reduce(np.ones((world.size, 6), np.float32))
    >>> path = world.critical_path()
    >>> [(row.kind, row.rank, row.from_rank) for row in path.rows][-1]
    ('compute', 3, 3)
    >>> sum(path.by_place_ps().values()) == path.total_ps == round(world.now_s * 1e12)
    True
    """

    rows: tuple[PathRow, ...]
    from_ps: int
    to_ps: int
    since: str
    until: str

    @property
    def total_ps(self) -> int:
        """The picoseconds that the path takes: the sum of all rows, and of all parts."""
        return self.to_ps - self.from_ps

    @property
    def time_s(self) -> float:
        """The same in seconds."""
        return self.total_ps / PS_PER_S

    @property
    def parts(self) -> Iterator[PathPart]:
        """The parts of all rows, the latest first."""
        return (part for row in self.rows for part in row.parts)

    @property
    def binding(self) -> str:
        """The largest cause: ``compute``, or a part of the network and the term there."""
        return next(iter(self._spent_ps(_cause)), "nothing")

    def by_kind_ps(self) -> dict[str, int]:
        """Return the picoseconds of compute and of operations; they sum to the total."""
        return _sums((row.kind, row.duration_ps) for row in self.rows)

    def by_place_ps(self) -> dict[str, int]:
        """Return the picoseconds at each link, and of the compute of each rank.

        The place with most of them comes first; they sum to the total.
        """
        return self._spent_ps(lambda part: part.place)

    def by_term_ps(self) -> dict[str, int]:
        """Return the picoseconds by term; they sum to the total."""
        return self._spent_ps(lambda part: part.term)

    def by_communicator_ps(self) -> dict[int | None, int]:
        """Return the picoseconds by communicator, None for compute; they sum to the total."""
        return _sums((row.communicator, row.duration_ps) for row in self.rows)

    def words(self) -> list[str]:
        """Return sentences: how long, which computes, which operations and links, what binds."""
        if not self.total_ps:
            return [f"Path: no time passes from {self.since} to {self.until}."]
        lines = [f"Path: {self._time(self.total_ps)} from {self.since} to {self.until}."]
        computing = _sums((r.rank, r.duration_ps) for r in self.rows if r.kind == "compute")
        if computing:
            ranks = self._named({f"rank {rank}": ps for rank, ps in computing.items()})
            lines.append(f"Compute: {self._share(sum(computing.values()))}: {ranks}.")
        return [*lines, *self._operations(), self._binding()]

    def _operations(self) -> Iterator[str]:
        passed = [row for row in self.rows if row.kind == "operation"]
        if not passed:
            return
        spent = _sums((row.operation, row.duration_ps) for row in passed)
        visits = counted(len(passed), "operation")
        yield (
            f"Communication: {self._share(sum(spent.values()))} in {visits}: {self._named(spent)}."
        )
        places = list(self._spent_ps(lambda part: part.place, links=True).items())
        for place, ps in places[:NAMED]:
            terms = _sums((p.term, p.duration_ps) for p in self.parts if p.place == place)
            told = ((MEANINGS[term], terms[term]) for term in MEANINGS if term in terms)
            meanings = ", ".join(f"{self._time(spent)} {meaning}" for meaning, spent in told)
            yield f"At {place}: {self._share(ps)}: {meanings}."
        if rest := places[NAMED:]:
            elsewhere = self._share(sum(ps for _, ps in rest))
            yield f"At {counted(len(rest), 'other place')}: {elsewhere}."

    def _binding(self) -> str:
        spent = self._spent_ps(lambda part: (_cause(part), _meaning(part)))
        ((_, meaning), ps), *_ = spent.items()
        return f"Binding: {meaning}, {self._time(ps)} of the {self._time(self.total_ps)}."

    def _named(self, spent: dict[str, int]) -> str:
        """Return the largest of ``spent`` with their times, and the sum of the others."""
        items = list(spent.items())
        named = [f"{self._time(ps)} of {name}" for name, ps in items[:NAMED]]
        if rest := items[NAMED:]:
            named.append(f"{self._time(sum(ps for _, ps in rest))} of {len(rest)} others")
        return ", ".join(named)

    def _share(self, ps: int) -> str:
        return f"{self._time(ps)} ({100 * ps / self.total_ps:.3g} %)"

    def _time(self, ps: int) -> str:
        return format_time(ps / PS_PER_S)

    def _spent_ps(self, key: Callable[[PathPart], Key], *, links: bool = False) -> dict[Key, int]:
        """Return the picoseconds by key, the most first; with ``links``, not those of compute."""
        return _sums(
            (key(part), part.duration_ps)
            for part in self.parts
            if not (links and part.term == COMPUTE)
        )

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Names and values of a small table about it."""
        facts = [
            ("from", self.since),
            ("to", self.until),
            ("time", self._time(self.total_ps)),
            ("binds", self.binding),
        ]
        return facts + [(place, self._share(ps)) for place, ps in self._top_places()]

    def _top_places(self) -> list[tuple[str, int]]:
        return list(self.by_place_ps().items())[: 2 * NAMED]

    def __repr__(self) -> str:
        """Say in one line how long it is, and the largest cause."""
        rows, spent = counted(len(self.rows), "row"), self._time(self.total_ps)
        return one_line(f"<ProgramPath: {rows}, {spent}; binding {self.binding}>")

    def _repr_html_(self) -> str:
        """Return a small table, for notebooks."""
        from emul.drawing import sheet

        return sheet("Path of the program", self.facts)


def _cause(part: PathPart) -> str:
    return COMPUTE if part.term == COMPUTE else f"{part.place}, {part.term}"


def _meaning(part: PathPart) -> str:
    return COMPUTE if part.term == COMPUTE else f"{part.place}, {MEANINGS[part.term]}"


def _sums(items: Iterator[tuple[Key, int]]) -> dict[Key, int]:
    """Return the sum for each key, the largest first."""
    spent: dict[Key, int] = {}
    for key, ps in items:
        spent[key] = spent.get(key, 0) + ps
    return dict(sorted(spent.items(), key=lambda item: -item[1]))
