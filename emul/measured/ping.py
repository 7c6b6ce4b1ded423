"""The output of ping: of Linux (iputils, busybox), macOS, BSD and Windows, in any language.

The words differ between systems and languages, the numbers stand in one order: a packet has a
sequence number (none on Windows), a lifetime and a time in ms; the closing lines count packets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import median

from emul.errors import MeasurementError
from emul.measured.log_source import LogSource
from emul.measured.measurement import LATENCY, Hints, Log, Measurement
from emul.reading.place import Place
from emul.reading.values import number, positive

__all__ = ["ANCHORS", "RESULT", "is_ping", "read_ping"]

FIRST = re.compile(r"PING6?(?:\(| (?=\S+ \(|\S+: |\S+\())(?P<to>.*)|\bPinging (?P<of>.+)")
WINDOWS_STATISTICS = re.compile(r"=\s*(\d{1,9})\D+?=\s*(\d{1,9})\D+?=\s*(\d{1,9})\s*\(\d+\s?%")
STATISTICS = re.compile(r"^\s*--- (?P<to>\S+) .*---\s*$")
PACKET = re.compile(
    r"\b(?:icmp_)?seq[= ](\d+)\b.*?(?:\btime|\b(?:ttl|hlim)=\d+ \w+)([=<])(\S+)\s*(\S*)"
)
WINDOWS_PACKET = re.compile(
    r"(?:=\s?\d+ \w+ ?(?=.*TTL=)|Reply from .*time)([=<])\s?(\S*?)[^\d\w.,]{0,2}(?:ms|мс)"
    r"(?:\s+TTL=\d+|\s*$)"
)
COUNTS = re.compile(r"\b(\d{1,18}) \D+?, (\d{1,18}) [^,]+(?:, [^,]+)*?, [\d.]+ ?% ")
TIMES = re.compile(r"\bmin/avg/max(?:/\S+)? = (\S+) (\S+)")
PIECE = re.compile(r"^\s*\d+ bytes from \S+|seq[= ]\d+|\btime[=<]|\bttl=|[.\d] ?ms\b", re.I)
WINDOWS_TIMES = re.compile(r"=\s*\d+\D+?=\s*\d+\D+?=\s*(\d+)[^\d\w.,]{0,2}(?:ms|мс)\s*$")
ARROW = re.compile(r"-->\s*(\S+)")
IN_BRACKETS = re.compile(r"[(\[]([\da-fA-F]*[.:][\da-fA-F.:]*(?:%\w+)?)[)\]]")
FROM = re.compile(
    r"(?<![\w.:])(\d{1,3}(?:\.\d{1,3}){3}|[\da-fA-F]*:[\da-fA-F:]+(?:%\w+)?)(?=[\s:,)]|$)"
)
RESULT = PACKET
"""A part of every line of a packet, also behind text that is not known."""
NO_TIME = re.compile(r"unreachable|exceeded|timed? ?out|no answer|DUP!|redirect|Frag needed", re.I)

ANCHORS = (FIRST, STATISTICS, re.compile(r"\b\d+ bytes from "))
DUPLICATE = "(DUP!)"

FEWEST_PACKETS = 3
"""Of which a median is better than the average of all."""
ALIKE = 0.01
MOST_NAMED = 4
CUT = "lines of packets that are not complete"


def is_ping(source: LogSource) -> bool:
    """Say whether a ping printed the lines."""
    return any(
        FIRST.match(line.lstrip()) or STATISTICS.match(line) or _packet(line)
        for line in source.lines
    )


@dataclass
class Pings:
    """One ping: to whom, its packets, and its closing lines as far as they have come."""

    first: Place
    to: str = ""
    windows: bool = False
    named: bool = False
    packets_s: list[float] = field(default_factory=list)
    censored: int = 0
    sequence: list[int] = field(default_factory=list)
    counts: tuple[int, int] | None = None
    counts_at: Place | None = None
    average_s: float = 0.0


def read_ping(source: LogSource, hints: Hints) -> Log:
    """Return the one-way latency that a ping tells, which is half the round trip.

    The round trip is the median of the packets where there are lines for them, else the average of
    the closing line. A ping that was ended has whole lines of packets. Several pings to one
    address are a measurement each; pings to several are refused, for each has a link of its own.
    """
    pings = [each for each in _pings(source, hints.partial) if each.packets_s or each.counts]
    if not pings:
        raise source.end.complaint(
            "the output ends early: needed a packet with its time, or the closing lines"
        )
    addresses = list(dict.fromkeys(each.to for each in pings if each.to))
    if len(addresses) > 1:
        raise pings[1].first.complaint(
            f"pings to {len(addresses)} addresses, {', '.join(addresses[:MOST_NAMED])}: each is a "
            "link of its own: needed a file for each of them"
        )
    measured, notes = [], []
    for run, each in enumerate(pings, start=1):
        found, words = _measured(each, source)
        measured.append(replace(found, run=run if len(pings) > 1 else 0))
        notes += [f"{source.path.name}: {word}" for word in words]
    return Log(source.path, "ping", tuple(measured), notes=tuple(notes))


def _pings(source: LogSource, partial: bool) -> Iterator[Pings]:
    """Yield the pings of a file; without first lines they are told apart by who answers."""
    ping = Pings(Place(source.path, 1))
    for place, line in source.numbered():
        first = FIRST.match(line.lstrip())
        answers = FROM.search(line) if not ping.named and _packet(line) else None
        if first:
            yield ping
            windows = first["of"] is not None
            ping = Pings(place, _address(first["to"] or first["of"] or ""), windows, named=True)
        elif answers and answers[1].rstrip(":") != ping.to:
            if ping.to:
                yield ping
                ping = Pings(place)
            ping.to = answers[1].rstrip(":")
        try:
            _read_line(ping, line, place, source)
        except MeasurementError:
            if place.line < len(source.lines) and not partial:
                raise
            source.leave_out(place.line, CUT)
    yield ping


def _address(text: str) -> str:
    """Return the address in the first line of a ping: in brackets, or its first word."""
    found = ARROW.search(text) or IN_BRACKETS.search(text)
    return found[1] if found else text.split(" ")[0].rstrip(":,")


def _packet(line: str) -> re.Match[str] | None:
    return PACKET.search(line) or WINDOWS_PACKET.search(line)


def _read_line(ping: Pings, line: str, place: Place, source: LogSource) -> None:
    if packet := PACKET.search(line):
        if DUPLICATE not in line:
            ping.sequence.append(int(packet[1][:18]))
            _add_packet(ping, packet[2], packet[3], packet[4], place)
    elif windows := WINDOWS_PACKET.search(line):
        ping.windows = True
        _add_packet(ping, windows[1], windows[2], "ms", place)
    elif not _read_closing(ping, line, place) and PIECE.search(line) and not NO_TIME.search(line):
        source.leave_out(place.line, CUT)


def _read_closing(ping: Pings, line: str, place: Place) -> bool:
    """Read a closing line, and say whether it is one."""
    counts, totals = COUNTS.search(line), WINDOWS_STATISTICS.search(line)
    if counts:
        ping.counts, ping.counts_at = (int(counts[1]), int(counts[2])), place
    elif totals:
        ping.counts, ping.counts_at, ping.windows = (int(totals[1]), int(totals[2])), place, True
    elif TIMES.search(line):
        ping.average_s = _average_s(line, place)
    elif ping.windows and (times := WINDOWS_TIMES.search(line)):
        ping.average_s = float(times[1][:18]) / 1e3
    else:
        return False
    return True


def _add_packet(ping: Pings, sign: str, value: str, unit: str, place: Place) -> None:
    """Take the round trip of a packet; one that is told as less than a value is at most that."""
    if unit != "ms":
        raise place.at("time").refusal(f"{value} {unit}", "a round trip in ms")
    ping.packets_s.append(positive(value, place.at("time"), "ms") / 1e3)
    ping.censored += sign == "<"


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


def _measured(ping: Pings, source: LogSource) -> tuple[Measurement, list[str]]:
    """Return the latency, and how it follows from the packets."""
    packets_s = ping.packets_s
    rtt_s, samples, what = ping.average_s, tuple[float, ...](), "the average"
    if len(packets_s) >= FEWEST_PACKETS or (packets_s and not rtt_s):
        _check_censored(ping)
        rtt_s, what = median(packets_s), f"the median of {len(packets_s)} packets"
        samples = tuple(each / 2 for each in packets_s)
    if not rtt_s:
        sent, came = ping.counts or (0, 0)
        raise (ping.counts_at or ping.first).complaint(
            f"{came} of {sent} packets came back, and no times: needed round trips, in the closing "
            "line 'min/avg/max'"
        )
    notes = [f"latency is half of {what}, {rtt_s * 1e3:.6g} ms", *_doubts(ping)]
    how = "ICMP, half of a round trip"
    measured = Measurement(LATENCY, rtt_s / 2, source.path.name, how=how, samples=samples)
    return measured, notes


def _check_censored(ping: Pings) -> None:
    """Refuse a median of which nothing is known but that it is less than a value."""
    if 2 * ping.censored >= len(ping.packets_s):
        raise ping.first.complaint(
            f"{ping.censored} of {len(ping.packets_s)} round trips are less than the "
            f"{max(ping.packets_s) * 1e3:g} ms that this ping resolves: needed finer times"
        )


def _doubts(ping: Pings) -> Iterator[str]:
    """Yield in words the losses, and where lines and closing lines do not agree."""
    number = len(ping.packets_s)
    if ping.counts is None:
        missing = max(ping.sequence, default=0) - min(ping.sequence, default=0) + 1 - number
        gaps = f"; {missing} numbers of the sequence are missing" if missing > 0 else ""
        yield f"the closing lines are missing, as of a ping that was killed; all lines count{gaps}"
        return
    sent, came = ping.counts
    if sent > came:
        yield f"{sent - came} of {sent} packets were lost"
    if number and number != came:
        yield f"{came} packets came back by the closing lines, and {number} lines tell a time"
    mean_s = sum(ping.packets_s) / number if number else 0.0
    slack_s = ALIKE * mean_s + (1e-3 if ping.windows else 1e-6)
    if number == came and ping.average_s and abs(mean_s - ping.average_s) > slack_s:
        yield (
            f"the mean of the lines is {mean_s * 1e3:.6g} ms and by the closing line "
            f"{ping.average_s * 1e3:.6g} ms: a line may be damaged"
        )
    if ping.windows:
        yield "times are whole milliseconds, as ping of Windows prints them"
