"""Floats as bytes on the wire, and back: the specification of every wire format.

The formats with their sources are in emul.plans.encoding. A chunk of float32 is encoded from its
first element on: the values of all elements, then the scales of all blocks.

* int8: the scale is the largest magnitude of the block over 127, in float32 with the last 8 of its
  24 bits cut off; so 127 times the scale is exact, and no value is beyond it. Values are the
  quotients, rounded to the nearest, ties to even. A block whose scale would not be a normal number
  (largest magnitude below 127 x 2^-126) is sent as zeros.
* fp8, fp4: the scale is 2^(floor(log2 m) - e), m being the largest magnitude and 2^e the largest
  power of two of the element (8 in E4M3, 2 in E2M1), and no less than 2^-127. Values are the
  quotients, clamped to the largest number of the element, rounded to the nearest, ties to even.
  Source: OCP Microscaling Formats (MX) Specification, version 1.0, section 6.3.
* A block with a NaN or an infinity arrives as NaN, all of it: no scale says how large it is.
* bfloat16 and float16 round to the nearest, ties to even, and overflow to infinity. A NaN arrives
  as the quiet one. float32 is the identity.

What has been decoded once is encoded without any further error: every format finds the same values
again, whatever was in the block.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from emul.arrays import Int64Array, UInt8Array
from emul.plans import WireFormat

__all__ = ["as_carried", "decoded", "encoded"]

Floats = npt.NDArray[np.float32]

CAST: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float16": np.dtype(np.float16),
}

ELEMENTS: dict[str, np.dtype[Any]] = {
    "fp8": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp4": np.dtype(ml_dtypes.float4_e2m1fn),
}

LARGEST = {"fp8": (8, 448.0), "fp4": (2, 6.0)}
"""Of an element: the exponent of its largest power of two, and its largest number."""

LARGEST_INT8 = np.float32(127)

LEAST_SCALE = np.float32(2.0**-126)
"""The least normal number of float32."""

BITS_CUT_OFF = 8

LEAST_EXPONENT = -127
NAN_SCALE = 255
"""Of E8M0."""


def as_carried(values: Floats, wire: WireFormat) -> Floats:
    """Return ``values`` (count,), a chunk, as they arrive."""
    return decoded(encoded(values, wire), len(values), wire)


def encoded(values: Floats, wire: WireFormat) -> UInt8Array:
    """Return the bytes of ``values`` (count,), a chunk: (wire.nbytes(count),)."""
    scales: npt.NDArray[Any]
    with np.errstate(all="ignore"):
        if wire.name in CAST:
            return values.astype(CAST[wire.name]).view(np.uint8)
        blocks = _in_blocks(values, wire)
        largest = np.abs(blocks).max(axis=1, initial=0)
        if wire.name == "int8":
            scales, codes = _int8(blocks, largest)
        else:
            scales, codes = _microscaled(blocks, largest, wire)
        codes = codes.ravel()[: len(values)]
        if wire.bits == 4:
            codes = _paired(codes)
        return np.concatenate([codes, scales.view(np.uint8)])


def decoded(data: UInt8Array, count: int, wire: WireFormat) -> Floats:
    """Return the ``count`` elements of a chunk from its bytes."""
    if wire.name in CAST:
        cast: Floats = data.view(CAST[wire.name]).astype(np.float32)
        return cast if wire.name == "float32" else np.where(np.isnan(cast), np.float32("nan"), cast)
    codes, scales = np.split(data, [-(-count * wire.bits // 8)])
    block: Int64Array = np.arange(count) // wire.block
    if wire.name == "int8":
        floats: Floats = codes.view(np.int8) * scales.view(np.float32)[block]
        return floats
    if wire.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=1).ravel()[:count]
    elements = codes.view(ELEMENTS[wire.name]).astype(np.float32)
    shifted = np.ldexp(elements, scales[block].astype(np.int32) + LEAST_EXPONENT)
    shifted[scales[block] == NAN_SCALE] = np.nan
    return shifted


def _in_blocks(values: Floats, wire: WireFormat) -> Floats:
    """Return ``values`` as (blocks, block), the last one filled up with zeros."""
    return np.pad(values, (0, -len(values) % wire.block)).reshape(-1, wire.block)


def _int8(blocks: Floats, largest: Floats) -> tuple[Floats, UInt8Array]:
    """Return the scale of each block, and the values."""
    scales = largest / LARGEST_INT8
    scales = (scales.view(np.int32) >> BITS_CUT_OFF << BITS_CUT_OFF).view(np.float32)
    scales[largest < LARGEST_INT8 * LEAST_SCALE] = 0
    sent = np.isfinite(largest) & (scales > 0)
    scales[~np.isfinite(largest)] = np.nan
    quotients = np.where(sent[:, None], blocks, 0) / np.where(sent, scales, 1)[:, None]
    return scales, np.rint(quotients).astype(np.int8).view(np.uint8)


def _microscaled(
    blocks: Floats, largest: Floats, wire: WireFormat
) -> tuple[UInt8Array, UInt8Array]:
    """Return the scale of each block as E8M0, and the values as elements of the format."""
    power, most = LARGEST[wire.name]
    finite = np.isfinite(largest)
    exponent = np.frexp(np.where(finite, largest, 0))[1] - 1 - power
    exponent = np.where(largest == 0, LEAST_EXPONENT, np.maximum(exponent, LEAST_EXPONENT))
    scales = np.where(finite, exponent - LEAST_EXPONENT, NAN_SCALE).astype(np.uint8)
    quotients = np.ldexp(np.where(finite[:, None], blocks, 0), -exponent[:, None])
    clamped = np.clip(quotients, np.float32(-most), np.float32(most))
    return scales, clamped.astype(ELEMENTS[wire.name]).view(np.uint8)


def _paired(codes: UInt8Array) -> UInt8Array:
    """Return codes of 4 bits two to a byte, the first in its lower half."""
    even = np.pad(codes, (0, len(codes) % 2)).reshape(-1, 2)
    paired: UInt8Array = even[:, 0] | even[:, 1] * np.uint8(16)
    return paired
