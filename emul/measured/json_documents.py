"""The JSON documents of a file: one, several behind each other, a list, or a stream of events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from emul.errors import EmulError, MeasurementError
from emul.reading.json_text import JsonText, members_of, place_in
from emul.reading.place import Place

__all__ = ["START", "documents_of"]

START = re.compile(r"(?:\{\s*(?:\"|$)|\[\s*(?:\{|$))")
"""The beginning of a document, also behind a prefix."""
DOCUMENT = re.compile(r"^[ \t]*(?=\{|\[\s*[{\]])", re.MULTILINE)
BEHIND = re.compile(r"[ \t\r\n,]*(?=\{)")
STRING_OR_NOT_FINITE = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<bad>NaN|-?Infinity)', re.DOTALL)


class _RepeatedKeyError(ValueError):
    """A key comes twice in one object."""


def documents_of(text: str, path: Path) -> tuple[list[JsonText], list[int]]:
    """Return the documents that follow each other in ``text``, and the lines that are of none.

    A list of objects is taken as that many documents, and the events of `iperf3 --json-stream` as
    the document that they make. Raises MeasurementError for a document that is cut, that holds
    NaN or infinity, or a key twice in one object.
    """
    found: list[JsonText] = []
    between: list[tuple[int, int]] = []
    position = 0
    while match := BEHIND.match(text, position) or DOCUMENT.search(text, position):
        between.append((position, match.end()))
        content, position = _parsed(text, path, match.end())
        found += _split(text, path, content, match.end())
    between.append((position, len(text)))
    return _joined(found), list(_lines_between(text, between))


def _parsed(text: str, path: Path, start: int) -> tuple[Any, int]:
    """Return the value at ``start`` and where it ends."""

    def refuse_not_finite(name: str) -> None:
        """Refuse NaN and infinities; all before the first of them has been found to be JSON."""
        for found in STRING_OR_NOT_FINITE.finditer(text, start):
            if found["bad"]:
                raise place_in(text, path, found.start()).refusal(name, "a finite number")

    decoder = json.JSONDecoder(
        parse_constant=refuse_not_finite, object_pairs_hook=_object_of_single_keys
    )
    try:
        return decoder.raw_decode(text, start)
    except MeasurementError:
        raise
    except json.JSONDecodeError as error:
        cut = " (the file ends early)" if not text[error.pos :].strip() else ""
        place = place_in(text, path, error.pos)
        raise place.complaint(f"not JSON: {error.msg}{cut}") from None
    except _RepeatedKeyError:
        raise _repeated_key(text, path, start) from None
    except (RecursionError, ValueError) as error:
        raise Place(path).complaint(f"not JSON: {error}") from None


def _object_of_single_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _RepeatedKeyError
    return found


def _repeated_key(text: str, path: Path, start: int) -> EmulError:
    """Return the error for the first key that comes twice in one object."""
    waiting = [start]
    while waiting:
        seen: dict[str | int, int] = {}
        inside: list[int] = []
        for key, position in members_of(text, waiting.pop()):
            if key in seen:
                first = place_in(text, path, seen[key])
                return place_in(text, path, position).complaint(
                    f"the key {key!r} comes twice in one object, first in line {first.line}, and "
                    "which of both counts is not said: needed each key once (iperf 3.7 to 3.10 "
                    "write both ways of --bidir so; a run for each way tells them apart)"
                )
            seen[key] = position
            inside.append(position)
        waiting += reversed(inside)
    return Place(path).complaint("a key comes twice in one object: needed each key once")


def _lines_between(text: str, between: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield the numbers of lines with text between documents."""
    number, last = 1, 0
    for first, end in between:
        number, last = number + text.count("\n", last, first), first
        if text[first:end].strip(" \t\r\n,"):
            for i, line in enumerate(text[first:end].split("\n")):
                if line.strip(" \t\r,"):
                    yield number + i


def _split(text: str, path: Path, content: Any, start: int) -> Iterator[JsonText]:
    """Yield a document, or the documents of a list."""
    if isinstance(content, list):
        for (_, position), each in zip(members_of(text, start), content, strict=True):
            yield JsonText(text, path, each, {(): position})
    else:
        yield JsonText(text, path, content, {(): start})


def _joined(found: Sequence[JsonText]) -> list[JsonText]:
    """Return the documents, with the events of a stream put together."""
    documents: list[JsonText] = []
    for each in found:
        event = each.get("event")
        if event is None or each.get("data") is None:
            documents.append(each)
            continue
        start = each.position(("data",))
        if event == "start" or not documents:
            documents.append(JsonText(each.text, each.path, {"intervals": []}, {(): start}))
        _add_event(documents[-1], str(event), each.get("data"), start)
    return documents


def _add_event(document: JsonText, event: str, data: Any, start: int) -> None:
    """Put an event of a stream into the document that the stream makes."""
    if event == "interval":
        intervals = document.content.setdefault("intervals", [])
        document.origins[("intervals", len(intervals))] = start
        intervals.append(data)
    else:
        document.content[event] = data
        document.origins[(event,)] = start
