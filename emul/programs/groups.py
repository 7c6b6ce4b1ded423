"""The group of ranks that an act names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from emul.errors import ArgumentError, shown
from emul.reading.brief import brief
from emul.reading.checks import whole

__all__ = ["MOST_RANKS", "WORLD", "RankGroup", "check_name"]

MOST_RANKS = 1 << 20
"""Of a world: three times the largest that people plan."""

LONGEST_NAME = 200


def check_name(name: object, what: str) -> None:
    """Refuse a name that is no text, or too long: ArgumentError."""
    if not isinstance(name, str) or len(name) > LONGEST_NAME:
        raise ArgumentError(f"{what} {shown(name)}: needed at most {LONGEST_NAME} characters")


@dataclass(frozen=True, slots=True)
class RankGroup:
    """The ranks of a communicator, each once, kept in rising order; None for all of the world.

    ``name`` tells communicators over the same ranks apart: equal ones are one communicator, whose
    operations run one after the other, and others run side by side. Raises ArgumentError for no
    rank, for one twice or below 0.

    >>> RankGroup([8, 0, 16]).ranks
    (0, 8, 16)
    """

    ranks: tuple[int, ...] | None = None
    name: str = ""
    _hash: int = field(default=0, init=False, repr=False, compare=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Check the ranks and put them in order."""
        check_name(self.name, "name of a group")
        if self.ranks is not None:
            object.__setattr__(self, "ranks", _rising(self.ranks))
        object.__setattr__(self, "_hash", hash((self.ranks, self.name)))

    def __hash__(self) -> int:
        """Return the number that was made once: a group may have many ranks, and many acts."""
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields: texts have other hashes in another process."""
        return RankGroup, (self.ranks, self.name)

    def __str__(self) -> str:
        """Name the group as errors do."""
        name = f" {self.name!r}" if self.name else ""
        if self.ranks is None:
            return f"the world{name}"
        few = ", ".join(map(str, self.ranks[:8]))
        more = f" and {len(self.ranks) - 8} more" if len(self.ranks) > 8 else ""
        return f"group{name} of ranks {few}{more}"


WORLD = RankGroup()
"""All ranks of the world, on its own communicator."""


def _rising(ranks: Iterable[int]) -> tuple[int, ...]:
    if isinstance(ranks, str | bytes):
        raise ArgumentError(f"ranks {shown(ranks)}: needed whole numbers, each once")
    try:
        given = tuple(ranks)
    except TypeError:
        raise ArgumentError(f"ranks {shown(ranks)}: needed whole numbers, each once") from None
    found = tuple(sorted(whole(rank, "ranks with", 0, MOST_RANKS) for rank in given))
    if not found or len(set(found)) < len(found):
        raise ArgumentError(f"ranks {shown(list(found))}: needed at least one, each once")
    return found
