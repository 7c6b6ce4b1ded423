"""How the elements of a message go on the wire: as they are, cast, or in blocks with scales.

=========  ====  =====  ===========  ============  ============================================
format     bits  block  scale bytes  bits in all   values
=========  ====  =====  ===========  ============  ============================================
float32    32    none   0            32            as they are
bfloat16   16    none   0            16            to the nearest, ties to even
float16    16    none   0            16            to the nearest, ties to even
int8       8     256    4            8.125         -127 to 127 times a float32 scale
fp8        8     32     1            8.25          E4M3 times a power of two: MXFP8
fp4        4     32     1            4.25          E2M1 times a power of two: MXFP4
=========  ====  =====  ===========  ============  ============================================

A message is encoded chunk by chunk, each from its first element on: a chunk of n elements has
n x bits / 8 bytes of values, rounded up to a byte, and a scale for each block, of which the last
may be short. A chunk without elements has no byte.

Sources. fp8 and fp4: OCP Microscaling Formats (MX) Specification, version 1.0: blocks of 32, a
scale of 8 bits (E8M0), elements E4M3 and E2M1. int8: scales of blocks, worked out from the values
at hand, as in EQuARX (arXiv 2506.17615) and ZeRO++ (arXiv 2306.10209); its block of 256 elements
and its scale of 32 bits are assumed here: 1.6 % on top of the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from emul import naming
from emul.arrays import Int64Array
from emul.errors import unknown_name
from emul.naming import canonical
from emul.reading.checks import whole

__all__ = ["WIRES", "Encoded", "Encoding", "WireFormat", "wire_bytes", "wire_named"]


@dataclass(frozen=True, slots=True)
class WireFormat:
    """A format of elements on the wire: ``bits`` of each, and ``scale_bytes`` for each ``block``.

    A block is a number of elements; 0 where elements have no scale.
    """

    name: str
    bits: int
    block: int = 0
    scale_bytes: int = 0

    def nbytes(self, count: int) -> int:
        """Return the bytes of a chunk of ``count`` elements."""
        scales = -(-count // self.block) if self.block else 0
        return -(-count * self.bits // 8) + scales * self.scale_bytes

    def nbytes_of_each(self, counts: Int64Array) -> Int64Array:
        """Return the bytes of chunks of so many elements, in the shape of ``counts``."""
        nbytes: Int64Array = -(-counts * self.bits // 8)
        return nbytes - (-counts // self.block) * self.scale_bytes if self.block else nbytes

    @property
    def element_bytes(self) -> Fraction:
        """The bytes of an element with its part of a scale: no chunk has fewer for each."""
        scale = Fraction(self.scale_bytes, self.block) if self.block else Fraction(0)
        return Fraction(self.bits, 8) + scale

    def __str__(self) -> str:
        """Return the name."""
        return self.name


WIRES: Mapping[str, WireFormat] = MappingProxyType(
    {
        each.name: each
        for each in (
            WireFormat("float32", 32),
            WireFormat("bfloat16", 16),
            WireFormat("float16", 16),
            WireFormat("int8", 8, block=256, scale_bytes=4),
            WireFormat("fp8", 8, block=32, scale_bytes=1),
            WireFormat("fp4", 4, block=32, scale_bytes=1),
        )
    }
)
"""The wire formats by name."""


def wire_named(name: object) -> WireFormat:
    """Return the wire format called ``name``, for example ``int8`` or ``bf16``.

    Raises ArgumentError when there is none.
    """
    known = canonical(name, WIRES, naming.WIRES) if isinstance(name, str) else ""
    if known not in WIRES:
        raise unknown_name("wire", name, WIRES)
    return WIRES[known]


def wire_bytes(count: int, wire: str) -> int:
    """Return the bytes of a chunk of ``count`` elements in the format ``wire``, with its scales.

    Raises ArgumentError for an unknown format, or a count below 0.

    >>> wire_bytes(1000, "float32"), wire_bytes(1000, "int8"), wire_bytes(1000, "fp4")
    (4000, 1016, 532)
    """
    return wire_named(wire).nbytes(whole(count, "count", least=0))


@dataclass(frozen=True, slots=True)
class Encoding:
    """The elements of a call: ``itemsize`` bytes of each in memory, and the format on the ``wire``.

    Without a wire format, elements go as they lie in memory.
    """

    itemsize: int
    wire: WireFormat | None = None

    @classmethod
    def of(cls, given: Encoded) -> Encoding:
        """Return ``given``, or the encoding of elements of so many bytes that go as they are."""
        return cls(given) if isinstance(given, int) else given

    def nbytes(self, count: int) -> int:
        """Return the bytes on the wire of a chunk of ``count`` elements."""
        return count * self.itemsize if self.wire is None else self.wire.nbytes(count)

    def nbytes_of_each(self, counts: Int64Array) -> Int64Array:
        """Return the bytes on the wire of chunks of so many elements, in that shape."""
        return counts * self.itemsize if self.wire is None else self.wire.nbytes_of_each(counts)

    def least_nbytes(self, count: int) -> int:
        """Return bytes that no cut of ``count`` elements into chunks goes below."""
        if self.wire is None:
            return count * self.itemsize
        return int(count * self.wire.element_bytes)

    def least_nbytes_of_each(self, counts: Int64Array) -> Int64Array:
        """Return the same for each of ``counts``, in that shape."""
        if self.wire is None:
            return counts * self.itemsize
        each = self.wire.element_bytes
        return counts * each.numerator // each.denominator


Encoded = Encoding | int
"""An encoding, or the bytes of an element that goes on the wire as it is."""
