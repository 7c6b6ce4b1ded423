"""Traces of Mahimahi: the milliseconds at which one packet may pass (mm-link(1))."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emul.arrays import Int64Array
from emul.errors import TopologyError
from emul.links import State
from emul.reading.bounded_text import BYTE_ORDER_MARK, MOST_TRACE_BYTES, read_bytes
from emul.topology.formats.traces import MOST_STATES

__all__ = ["MAHIMAHI_PACKET_BYTES", "mahimahi_states"]


MAHIMAHI_PACKET_BYTES = 1500
"""Bytes that one line of a Mahimahi trace lets through (mm-link(1))."""

LONGEST_STAMP = 12
"""Digits of milliseconds: 31 years."""

TOO_LONG = re.compile(rb"[0-9]{%d}" % (LONGEST_STAMP + 1))
STAMPS_AND_SPACE = b"0123456789 \t\r\n"
PARSED_AT_ONCE = 1 << 20


def mahimahi_states(
    path: Path, bin_ms: float, rate_bytes_per_s: float
) -> tuple[tuple[State, ...], float]:
    """Return the states of a Mahimahi trace, and the seconds after which it repeats.

    In each bin of ``bin_ms``, which holds its end and not its start, the rate is the mean of its
    packets; so a whole period carries as many bytes as the trace. A bin as quick as the one before
    belongs to it. Raises TopologyError when a bin carries more than ``rate_bytes_per_s``.
    """
    stamps = _stamps(path)
    period_ms = int(stamps[-1])
    bins = int(_bins(stamps[-1:], bin_ms)[0])
    if bins > MOST_STATES:
        raise TopologyError(
            f"{path}: {bins} bins of {bin_ms:g} ms: needed at most {MOST_STATES}, with a longer "
            "bin_ms"
        )
    packets = np.bincount(_bins(stamps, bin_ms) - 1, minlength=bins)
    from_ms = np.arange(bins) * bin_ms
    rates = packets * MAHIMAHI_PACKET_BYTES / (np.minimum(bin_ms, period_ms - from_ms) / 1e3)
    at = int(rates.argmax())
    if rates[at] > rate_bytes_per_s * (1 + 1e-9):
        raise TopologyError(
            f"{path}: {rates[at] * 8 / 1e9:.4g} Gbit/s from {from_ms[at]:g} ms on: needed at most "
            f"the {rate_bytes_per_s * 8 / 1e9:.4g} Gbit/s of the link, or a longer bin_ms"
        )
    factors = np.minimum(1.0, rates / rate_bytes_per_s)
    changed = np.flatnonzero(np.append(True, factors[1:] != factors[:-1]))
    pairs = zip((from_ms[changed] / 1e3).tolist(), factors[changed].tolist(), strict=True)
    return tuple(State(from_s, factor) for from_s, factor in pairs), period_ms / 1e3


def _bins(until_ms: Int64Array, bin_ms: float) -> Int64Array:
    """Return how many bins there are until each of ``until_ms``, one at least.

    A part of a bin below a billionth, which a division of floats may leave, is none.
    """
    bins: Int64Array = np.maximum(1, np.ceil(until_ms / bin_ms - 1e-9)).astype(np.int64)
    return bins


def _stamps(path: Path) -> Int64Array:
    """Return the milliseconds of all packets, which rise and do not end at 0."""
    content = read_bytes(path, "a Mahimahi trace", MOST_TRACE_BYTES)
    stamps = np.zeros(0, dtype=np.int64)
    if parts := list(_parsed(path, content.removeprefix(BYTE_ORDER_MARK))):
        stamps = np.concatenate(parts)
    back = np.flatnonzero(stamps[1:] < stamps[:-1])
    if len(back):
        i = int(back[0])
        raise TopologyError(
            f"{path}: stamp {i + 2} goes back from {stamps[i]} to {stamps[i + 1]} ms: needed times "
            "that rise"
        )
    if not len(stamps) or not stamps[-1]:
        raise TopologyError(f"{path}: no stamp above 0 ms: needed at least one")
    return stamps


def _parsed(path: Path, content: bytes) -> Iterator[Int64Array]:
    """Yield the stamps of ``content`` in parts; raises TopologyError for other text."""
    first, number = 0, 0
    while first < len(content):
        end = re.compile(rb"\s|\Z").search(content, first + PARSED_AT_ONCE)
        last = end.end() if end else len(content)
        part = content[first:last]
        if part.translate(None, STAMPS_AND_SPACE) or TOO_LONG.search(part):
            raise _no_stamp(path, part, number)
        stamps = np.fromstring(part.decode("ascii"), dtype=np.int64, sep=" ")
        number += len(stamps)
        yield stamps
        first = last


def _no_stamp(path: Path, part: bytes, before: int) -> TopologyError:
    """Return the error about the first word of ``part`` that is no stamp."""
    words = part.decode("utf-8", "replace").split()
    good = re.compile(rf"[0-9]{{1,{LONGEST_STAMP}}}", re.ASCII)
    at = next(i for i, word in enumerate(words) if not good.fullmatch(word))
    return TopologyError(
        f"{path}: stamp {before + at + 1} = {words[at][:200]!r}: needed whole milliseconds, at "
        f"most {LONGEST_STAMP} digits"
    )
