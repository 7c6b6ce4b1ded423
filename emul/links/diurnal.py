"""The rate of a link by the hour of the day."""

from __future__ import annotations

import math

from emul.reading.checks import fraction, not_negative, positive

__all__ = [
    "MAHIMAHI_PACKET_BYTES",
    "diurnal_rate_bytes_per_s",
]

MAHIMAHI_PACKET_BYTES = 1500
"""Bytes that one line of a Mahimahi trace lets through (mm-link(1))."""

BUSIEST_HOUR = 14.0
"""Hour of the day of most other traffic; assumed."""


def diurnal_rate_bytes_per_s(
    rate_bytes_per_s: float,
    hour: float,
    *,
    least_load: float,
    most_load: float,
    busiest_hour: float = BUSIEST_HOUR,
) -> float:
    """Return C (1 - b), the rate beside other traffic at an hour of the day.

    b = b0 + (b1 - b0) (1 + cos(2 pi (h - h1) / 24)) / 2 between the least and the most load,
    which are fractions of the rate; the shape is assumed.

    >>> round(diurnal_rate_bytes_per_s(100.0, 14, least_load=0.1, most_load=0.6), 9)
    40.0
    """
    positive("bytes per second", rate_bytes_per_s=rate_bytes_per_s)
    fraction(least_load=least_load, most_load=most_load)
    not_negative("hours", hour=hour, busiest_hour=busiest_hour)
    swing = (1 + math.cos(2 * math.pi * (hour - busiest_hour) / 24)) / 2
    return rate_bytes_per_s * (1 - least_load - (most_load - least_load) * swing)
