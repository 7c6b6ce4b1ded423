"""Traces in Perfetto's own form, protobuf: descriptors of tracks, then events.

A file is a ``Trace`` of ``TracePacket`` messages. The numbers of fields are those of the public
``.proto`` files of Perfetto: protos/perfetto/trace/trace_packet.proto,
track_event/{track_event,track_descriptor,counter_descriptor,debug_annotation}.proto. Messages are
encoded as "Encoding" of protobuf.dev says: a field is a key, number and wire type, and a value.

Perfetto counts whole nanoseconds. Begin and end are rounded down, which keeps their order and no
slice across another; the picoseconds of a slice stand in its arguments.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache

from emul.tracks.trace import Args, Count, Event, Mark, Slice, Trace, Track

__all__ = ["perfetto_protobuf"]

VARINT, FIXED64, LENGTH = 0, 1, 2
"""Wire types."""

PS_PER_NS = 1000
SEQUENCE = 1
MOST_EVENTS_OF_A_PIECE = 4096
ONE_BYTE = [bytes([value]) for value in range(128)]
"""Numbers that need no more."""

# TracePacket
TIMESTAMP, SEQUENCE_ID, TRACK_EVENT, TRACK_DESCRIPTOR = 8, 10, 11, 60
PACKET_OF_TRACE = 1
# TrackDescriptor
UUID, NAME, PARENT, COUNTER, DESCRIPTION, CHILD_ORDERING, SIBLING_RANK = 1, 2, 5, 8, 14, 11, 12
UNIT_NAME = 6  # CounterDescriptor
EXPLICIT = 3  # TrackDescriptor.ChildTracksOrdering
# TrackEvent
DEBUG, KIND, TRACK, EVENT_NAME, DOUBLE_VALUE, FLOWS, LAST_FLOWS = 4, 9, 11, 23, 44, 47, 48
BEGIN, END, INSTANT, COUNTED = 1, 2, 3, 4  # TrackEvent.Type
# DebugAnnotation
BOOL_VALUE, INT_VALUE, DOUBLE_OF_ARG, TEXT_VALUE, ARG_NAME = 2, 4, 5, 6, 10


def perfetto_protobuf(trace: Trace) -> Iterator[bytes]:
    """Yield the file of ``trace``, piece by piece."""
    yield b"".join(_descriptor(order, track, trace) for order, track in enumerate(trace.tracks))
    pieces = []
    for event in trace.events():
        pieces.append(_event(event))
        if len(pieces) > MOST_EVENTS_OF_A_PIECE:
            yield b"".join(pieces)
            pieces = []
    yield b"".join(pieces)


def _descriptor(order: int, track: Track, trace: Trace) -> bytes:
    found = _number(UUID, track.number) + _text(NAME, track.name) + _number(SIBLING_RANK, order)
    found += _number(CHILD_ORDERING, EXPLICIT)
    if track.parent is not None:
        found += _number(PARENT, track.parent)
    if track.unit is not None:
        found += _bytes(COUNTER, _text(UNIT_NAME, track.unit))
    if order == 0 and trace.facts:
        facts = ", ".join(f"{name}: {value}" for name, value in trace.facts.items())
        found += _text(DESCRIPTION, facts)
    return _packet(_bytes(TRACK_DESCRIPTOR, found))


def _event(event: Event) -> bytes:
    if isinstance(event, Count):
        value = _double(DOUBLE_VALUE, event.value)
        return _at(event.at_ps, event.track, COUNTED, value)
    if isinstance(event, Mark):
        return _at(event.at_ps, event.track, INSTANT, _named(event.name, event.args))
    return _slice(event)


def _slice(event: Slice) -> bytes:
    begun = _named(event.name, event.args)
    if event.flow:
        begun += _fixed64(LAST_FLOWS if event.ends else FLOWS, event.flow)
    return _at(event.start_ps, event.track, BEGIN, begun) + _at(event.end_ps, event.track, END, b"")


def _at(ps: int, track: int, kind: int, rest: bytes) -> bytes:
    """Return the packet of an event at a moment."""
    event = _number(KIND, kind) + _number(TRACK, track) + rest
    return _packet(_number(TIMESTAMP, ps // PS_PER_NS) + _bytes(TRACK_EVENT, event))


def _named(name: str, args: Args) -> bytes:
    return _text(EVENT_NAME, name) + b"".join(
        _bytes(DEBUG, _arg_name(arg) + _value(value)) for arg, value in args.items()
    )


@lru_cache(maxsize=256)
def _arg_name(name: str) -> bytes:
    return _text(ARG_NAME, name)


def _value(value: int | float | str | bool) -> bytes:
    if isinstance(value, bool):
        return _number(BOOL_VALUE, value)
    if isinstance(value, int):
        return _number(INT_VALUE, value)
    return _double(DOUBLE_OF_ARG, value) if isinstance(value, float) else _text(TEXT_VALUE, value)


def _packet(fields: bytes) -> bytes:
    return _bytes(PACKET_OF_TRACE, fields + _number(SEQUENCE_ID, SEQUENCE))


def _varint(value: int) -> bytes:
    """Return a number in groups of seven bits, the lowest first.

    >>> _varint(300).hex()
    'ac02'
    """
    if 0 <= value < len(ONE_BYTE):
        return ONE_BYTE[value]
    if value < 0:
        value += 1 << 64
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


@lru_cache(maxsize=256)
def _key(field: int, wire: int) -> bytes:
    return _varint(field << 3 | wire)


def _number(field: int, value: int) -> bytes:
    return _key(field, VARINT) + _varint(value)


def _fixed64(field: int, value: int) -> bytes:
    return _key(field, FIXED64) + struct.pack("<Q", value)


def _double(field: int, value: float) -> bytes:
    return _key(field, FIXED64) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, LENGTH) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    """Return text; bytes of a file name that are no UTF-8 become question marks."""
    return _bytes(field, value.encode("utf-8", "replace"))
