"""The output of ping, of Linux (iputils) and of macOS and BSD."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

from emul.measured.measurement import LATENCY, Log, Measurement
from emul.measured.refusals import Place
from emul.measured.texts import lines_of, number, positive

__all__ = ["is_ping", "read_ping"]

FIRST = re.compile(r"PING6?[ (]")
PACKET = re.compile(r"icmp_seq[= ]\d+.*\btime[=<](\S+)\s*(\S*)")
COUNTS = re.compile(r"\b(\d{1,18}) packets transmitted, (\d{1,18})(?: packets)? received")
TIMES = re.compile(r"(?:rtt|round-trip) min/avg/max(?:/(?:mdev|stddev))? = (\S+) (\S+)")
DUPLICATE = "(DUP!)"

FEWEST_PACKETS = 3
"""Of which a median is better than the average of all."""


def is_ping(lines: list[str]) -> bool:
    """Say whether ``lines`` are those of a ping."""
    return any(FIRST.match(line) for line in lines)


def read_ping(text: str, path: Path) -> Log:
    """Return the one-way latency that a ping tells, which is half the round trip.

    The round trip is the median of the packets where there are lines for them, else the average of
    the closing line.
    """
    lines = lines_of(text)
    packets_s: list[float] = []
    counts: tuple[int, int] | None = None
    average_s, count_line = 0.0, 0
    for line_number, line in enumerate(lines, start=1):
        place = Place(path, line_number)
        packet, said = PACKET.search(line), COUNTS.search(line)
        if packet and DUPLICATE not in line:
            packets_s.append(_round_trip_s(packet[1], packet[2], place.at("time")))
        elif said:
            counts, count_line = (int(said[1]), int(said[2])), line_number
        elif TIMES.search(line):
            average_s = _average_s(line, place)
    if counts is None:
        raise Place(path, len(lines)).complaint(
            "the output ends early: needed the closing line 'packets transmitted'"
        )
    if not average_s:
        raise Place(path, count_line).complaint(
            f"{counts[1]} of {counts[0]} packets came back, and no times: needed round trips, in "
            "the closing line 'min/avg/max'"
        )
    return _log(path, packets_s, average_s, counts)


def _round_trip_s(value: str, unit: str, place: Place) -> float:
    if unit != "ms":
        raise place.refusal(f"{value} {unit}", "a round trip in ms")
    return positive(value, place, "ms") / 1e3


def _average_s(line: str, place: Place) -> float:
    match = TIMES.search(line)
    values, unit = (match[1], match[2]) if match else ("", "")
    if unit.rstrip(",") != "ms":
        raise place.refusal(unit, "round trips in ms")
    parts = values.split("/")
    if len(parts) < 3:
        raise place.refusal(values, "min/avg/max")
    for part in parts:
        number(part, place, "a number of ms")
    return positive(parts[1], place.at("avg"), "ms") / 1e3


def _log(path: Path, packets_s: list[float], average_s: float, counts: tuple[int, int]) -> Log:
    """Return the latency with what was made of the packets."""
    rtt_s, samples, what = average_s, tuple[float, ...](), "the average"
    if len(packets_s) >= FEWEST_PACKETS:
        rtt_s, what = median(packets_s), f"the median of {len(packets_s)} packets"
        samples = tuple(packet_s / 2 for packet_s in packets_s)
    lost = counts[0] - counts[1]
    notes = [f"{path.name}: latency is half of {what}, {rtt_s * 1e3:.6g} ms"]
    if lost > 0:
        notes.append(f"{path.name}: {lost} of {counts[0]} packets were lost")
    measured = Measurement(
        LATENCY, rtt_s / 2, path.name, samples=samples, how="ICMP, half of a round trip"
    )
    return Log(path, "ping", (measured,), notes=tuple(notes))
