"""Traces as Chrome's trace events in JSON.

The form is that of "Trace Event Format" (the document of Chromium's catapult): complete events
(``X``), instants (``i``), counters (``C``) and names (``M``); arrows by ``bind_id`` with
``flow_out`` and ``flow_in``. Times are microseconds with six decimals, which are picoseconds.

There are two levels of tracks only, processes and threads: a process for each track at the top, and
in it a thread for each track below, which is named by the way to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from emul.tracks.trace import Count, Event, Mark, Trace, Track

__all__ = ["chrome_json"]

PS_PER_US = 10**6
MOST_EVENTS_OF_A_PIECE = 4096


def chrome_json(trace: Trace) -> Iterator[bytes]:
    """Yield the file of ``trace``, piece by piece."""
    places = _Places(trace.tracks)
    facts = json.dumps(dict(trace.facts))
    yield f'{{"displayTimeUnit":"ns","otherData":{facts},"traceEvents":[\n'.encode()
    pieces, separator = list(places.names()), ""
    for event in trace.events():
        pieces.append(_event(event, places))
        if len(pieces) > MOST_EVENTS_OF_A_PIECE:
            yield (separator + ",\n".join(pieces)).encode()
            pieces, separator = [], ",\n"
    if pieces:
        yield (separator + ",\n".join(pieces)).encode()
    yield b"\n]}\n"


class _Places:
    """The process and the thread of each track."""

    def __init__(self, tracks: tuple[Track, ...]) -> None:
        self.tracks = tracks
        self.process: dict[int, int] = {}
        self.path: dict[int, str] = {}
        for track in tracks:
            above = track.parent
            self.process[track.number] = track.number if above is None else self.process[above]
            way = "" if above is None else self.path[above]
            if above is None or self.process[above] == above:
                way = ""
            self.path[track.number] = f"{way} {track.name}" if way else track.name

    def names(self) -> Iterator[str]:
        """Yield the events that name processes and threads, and keep them in this order."""
        for order, track in enumerate(self.tracks):
            if track.unit is not None:
                continue  # a counter is named by its events
            kind = "process" if track.parent is None else "thread"
            for what, args in (
                (f"{kind}_name", {"name": self.path[track.number]}),
                (f"{kind}_sort_index", {"sort_index": order}),
            ):
                yield _text({"ph": "M", "name": what, **self.at(track.number), "args": args})

    def at(self, track: int) -> dict[str, int]:
        """Return the numbers of a track's process and thread."""
        return {"pid": self.process[track], "tid": track}


def _event(event: Event, places: _Places) -> str:
    at = places.at(event.track)
    if isinstance(event, Count):
        name = places.path[event.track]
        count = {"ph": "C", "name": name, "pid": at["pid"], "args": {"value": event.value}}
        return _timed(count, event.at_ps)
    if isinstance(event, Mark):
        mark = {"ph": "i", "s": "t", "name": event.name, **at, "args": event.args}
        return _timed(mark, event.at_ps)
    found: dict[str, Any] = {"ph": "X", "name": event.name, **at, "args": event.args}
    if event.flow:
        found["bind_id"] = hex(event.flow)
        found |= {"flow_out": True} if not event.ends else {}
        found |= {"flow_in": True} if not event.begins else {}
    return _timed(found, event.start_ps, event.end_ps - event.start_ps)


def _timed(event: dict[str, Any], at_ps: int, duration_ps: int | None = None) -> str:
    """Return the text of an event with its times, which no float could hold."""
    times = f',"ts":{_us(at_ps)}'
    if duration_ps is not None:
        times += f',"dur":{_us(duration_ps)}'
    return f"{_text(event)[:-1]}{times}}}"


def _us(ps: int) -> str:
    """Return microseconds with all picoseconds.

    >>> _us(1_234_567)
    '1.234567'
    """
    return f"{ps // PS_PER_US}.{ps % PS_PER_US:06}"


def _text(event: dict[str, Any]) -> str:
    return json.dumps(event, separators=(",", ":"))
