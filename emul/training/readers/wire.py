"""The wire format of protobuf, read without a library ("Encoding" of protobuf.dev).

A message is a row of fields: a key, number and wire type, and a value. Positions are those of the
whole file, so that an error says the byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from emul.errors import TrainingError
from emul.reading.place import LONGEST_VALUE

__all__ = ["FIXED32", "FIXED64", "LENGTH", "VARINT", "Wire", "WireField", "signed"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""Wire types; those of groups (3 and 4) are refused, as in every schema of today."""

MOST_VARINT_BITS = 70
"""Ten bytes of seven bits."""

LONGEST_TEXT = 1000
"""Characters of a name that are kept."""


@dataclass(frozen=True, slots=True)
class WireField:
    """One field of a message: its number, its wire type, and the byte at which it stands.

    ``value``: the number, or of a field with a length the byte at which it begins; ``end``: the
    byte behind it.
    """

    number: int
    kind: int
    at: int
    value: int
    end: int


class Wire:
    """The bytes of one file, whose parts are read by position; every error is a TrainingError."""

    def __init__(self, data: bytes, where: str) -> None:
        """Take the bytes of the file that ``where`` names."""
        self.data = data
        self.where = where

    def refusal(self, at: int, came: str, needed: str) -> TrainingError:
        """Return the error for something at byte ``at`` that cannot be used."""
        shown = came if len(came) <= LONGEST_VALUE else f"{came[:LONGEST_VALUE]} ..."
        return TrainingError(f"{self.where}, byte {at}: {shown}: needed {needed}")

    def varint(self, at: int, end: int) -> tuple[int, int]:
        """Return the number at ``at``, as an unsigned one of 64 bits, and the byte behind it."""
        found = shift = 0
        for here in range(at, min(end, len(self.data))):
            byte = self.data[here]
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found & 0xFFFF_FFFF_FFFF_FFFF, here + 1
            shift += 7
            if shift == MOST_VARINT_BITS:
                raise self.refusal(at, "more than ten bytes", "the last byte of a number")
        raise self.refusal(at, "the end", "a number")

    def part(self, at: int, end: int) -> tuple[int, int]:
        """Return where the part begins and ends whose length stands at ``at``."""
        size, begin = self.varint(at, end)
        if size > end - begin:
            raise self.refusal(at, f"{size} bytes", f"at most the {end - begin} bytes that follow")
        return begin, begin + size

    def fields(self, at: int, end: int) -> Iterator[WireField]:
        """Yield the fields of the message between two bytes."""
        while at < end:
            key, behind = self.varint(at, end)
            field = self._field(at, key >> 3, key & 7, behind, end)
            yield field
            at = field.end

    def _field(self, at: int, number: int, kind: int, behind: int, end: int) -> WireField:
        if number == 0:
            raise self.refusal(at, "field 0", "the number of a field")
        if kind == VARINT:
            value, after = self.varint(behind, end)
        elif kind == LENGTH:
            value, after = self.part(behind, end)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
            if size > end - behind:
                raise self.refusal(behind, "the end", f"a number of {size} bytes")
            value = int.from_bytes(self.data[behind : behind + size], "little")
            after = behind + size
        else:
            raise self.refusal(at, f"wire type {kind}", "a number, a part or a fixed number")
        return WireField(number, kind, at, value, after)

    def text(self, field: WireField) -> str:
        """Return the text of a field, whose bytes that are no UTF-8 become U+FFFD."""
        if field.kind != LENGTH:
            raise self.refusal(field.at, f"field {field.number} as a number", "a text")
        return self.data[field.value : field.end].decode("utf-8", "replace")[:LONGEST_TEXT]

    def message(self, field: WireField) -> Iterator[WireField]:
        """Yield the fields of the message that a field is."""
        if field.kind != LENGTH:
            raise self.refusal(field.at, f"field {field.number} as a number", "a message")
        return self.fields(field.value, field.end)

    def number(self, field: WireField) -> int:
        """Return the number that a field is, unsigned."""
        if field.kind == LENGTH:
            raise self.refusal(field.at, f"field {field.number} as a part", "a number")
        return field.value

    def numbers(self, field: WireField) -> Iterator[int]:
        """Yield the numbers of a repeated field, which may be packed."""
        if field.kind != LENGTH:
            yield field.value
            return
        at = field.value
        while at < field.end:
            value, at = self.varint(at, field.end)
            yield value


def signed(value: int, bits: int = 64) -> int:
    """Return an unsigned number as the signed one of the same bits.

    >>> signed(2**64 - 1), signed(7)
    (-1, 7)
    """
    return value - (1 << bits) if value >> (bits - 1) else value
