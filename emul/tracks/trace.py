"""The model of a trace: tracks in a tree, and slices, marks and counts on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Args", "Count", "Event", "Mark", "Slice", "Trace", "Track"]

Args = Mapping[str, int | float | str | bool]
"""Facts of an event by name, as viewers show them beside it."""


@dataclass(frozen=True, slots=True)
class Track:
    """A line of a trace, below the track ``parent`` or at the top.

    ``unit``: of a track of counts, which has no slices. ``number`` is above 0.
    """

    number: int
    name: str
    parent: int | None = None
    unit: str | None = None


class Slice(NamedTuple):
    """A stretch of time on a track. Slices of one track do not overlap, but may touch.

    Slices with the same ``flow`` are joined by arrows in the order of time: from one that
    ``begins`` it to one that ``ends`` it, through those that do neither; 0 for none.
    """

    track: int
    start_ps: int
    end_ps: int
    name: str
    args: Args
    flow: int = 0
    begins: bool = False
    ends: bool = False


class Mark(NamedTuple):
    """A moment on a track."""

    track: int
    at_ps: int
    name: str
    args: Args


class Count(NamedTuple):
    """The value of a track of counts from a moment on."""

    track: int
    at_ps: int
    value: float


Event = Slice | Mark | Count


@dataclass(frozen=True, slots=True)
class Trace:
    """Tracks, each behind its parent, and the maker of their events.

    Events of one track come in the order of time. They are made as they are written, so a trace is
    never there as a whole. ``facts``: of the trace as a whole.
    """

    tracks: tuple[Track, ...]
    events: Callable[[], Iterator[Event]]
    facts: Args = field(default_factory=dict)
