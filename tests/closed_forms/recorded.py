"""The time of a message over a link whose rate was recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence

from emul.errors import ArgumentError
from emul.reading.checks import not_negative, positive
from emul.topology.formats.mahimahi import MAHIMAHI_PACKET_BYTES

__all__ = [
    "recorded_packets_time_s",
    "traced_transfer_time_s",
]


def traced_transfer_time_s(
    nbytes: float,
    trace: Sequence[tuple[float, float]],
    *,
    delay_s: float = 0.0,
    start_s: float = 0.0,
) -> float:
    """Return the seconds from ``start_s`` until ``nbytes`` have arrived over a changing link.

    ``trace`` is (from second, bytes per second) in order of time; each rate, which may be 0,
    holds until the next, the last for ever. Infinity when it stays 0 too early. Raises
    ArgumentError when the trace is empty, not in order, or begins after ``start_s``.

    >>> traced_transfer_time_s(10e9, [(0.0, 1e9), (4.0, 0.0), (6.0, 1e9)], delay_s=1e-3)
    12.001
    """
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", delay_s=delay_s, start_s=start_s)
    times_s = _ordered([time_s for time_s, _ in trace], "seconds")
    if times_s[0] > start_s:
        raise ArgumentError(f"trace from {times_s[0]} s: needed one from {start_s} s or before")
    rest = float(nbytes)
    for (from_s, rate), until_s in zip(trace, [*times_s[1:], math.inf], strict=True):
        not_negative("bytes per second", rate=rate)
        begin_s = max(from_s, start_s)
        carried = rate * max(0.0, until_s - begin_s) if rate else 0.0
        if rest <= carried:
            return begin_s - start_s + (rest / rate if rate else 0.0) + delay_s
        rest -= carried
    return math.inf


def _ordered(times: Sequence[float], unit: str) -> list[float]:
    """Return the times, which must be there, 0 or more, and must not go back."""
    if not times:
        raise ArgumentError(f"trace without entries: needed at least one, in {unit}")
    for before, after in zip([0.0, *times], times, strict=False):
        not_negative(unit, time=after)
        if after < before:
            raise ArgumentError(f"trace goes back from {before} to {after}: needed {unit} in order")
    return list(times)


def recorded_packets_time_s(
    nbytes: float,
    stamps_ms: Sequence[float],
    *,
    delay_s: float = 0.0,
    packet_bytes: int = MAHIMAHI_PACKET_BYTES,
) -> float:
    """Return the seconds until ``nbytes`` have arrived over a Mahimahi trace.

    Each stamp, in milliseconds, lets one packet through; the trace begins anew at its last
    stamp (mm-link(1)). Good to about 1 Gbit/s: 400G would take 33 000 stamps a millisecond.

    >>> round(recorded_packets_time_s(150_000, [1, 2, 3, 4, 5], delay_s=0.02), 3)
    0.12
    """
    not_negative("bytes", nbytes=nbytes)
    not_negative("seconds", delay_s=delay_s)
    positive("bytes", packet_bytes=packet_bytes)
    stamps_ms = _ordered(stamps_ms, "milliseconds")
    positive("milliseconds", last_stamp=stamps_ms[-1])
    packets = math.ceil(nbytes / packet_bytes)
    if packets == 0:
        return delay_s
    rounds, last = divmod(packets - 1, len(stamps_ms))
    return (rounds * stamps_ms[-1] + stamps_ms[last]) / 1000 + delay_s
