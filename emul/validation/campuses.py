"""The topology of a measured row: campuses, the ranks of each, and their links."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from statistics import median

from emul.links import Link, Transport
from emul.links.link import Jitter, OtherTraffic
from emul.links.loss import cubic_window_segments
from emul.reading.place import Place
from emul.topology import Node, Site, Topology, Trunk
from emul.validation.columns import LinkMeasurements, MeasuredLinks, MeasuredRow

__all__ = ["Campuses", "campus_of_ranks", "campuses_of"]

CAMPUSES = 3
"""Where the links do not say how many there are."""

IP_AND_TCP_BYTES = 52
"""Of each packet: IPv4 20, TCP 20 and the timestamp option 12 (RFC 791, 9293, 7323)."""

ETHERNET_MTU = 1500

ETHERNET_BYTES = 14
"""Of each frame, without preamble and checksum, which a delay line does not see (IEEE 802.3)."""

BUCKET_PACKETS = 2.2
BUCKET_S = 100e-6
"""Size of a token bucket: this number of packets, or its rate times this if that is more
(as the links of the files were shaped)."""

USABLE_OF_BUFFER = 0.62
"""Part of a socket buffer that can be in flight (measured on these links, kernel TCP)."""

LEAST_RTO_S = 0.2
"""TCP_RTO_MIN of Linux, which comes on top of the round trip (net/ipv4/tcp_input.c)."""

JITTER_P99_OVER_P50 = 3.2
"""As far spread as a delay that is anywhere from 0 to ``jitter_us``, which is assumed."""

INITIAL_SEGMENTS = 10
CONFIRMED = 0.9
"""A configured rate holds if a stream reached this part of it, slow start included."""

ONE_FOR_ALL = "uplink"
UNSHAPED = "none"
BY_TURNS = ("cyclic", "interleaved", "roundrobin", "round_robin", "rr", "spread", "alternate")
IN_BLOCKS = ("block", "contiguous", "packed")
LAN_BYTES_PER_S = 1.25e9
"""Rate of hosts where nothing was measured: assumed, far above the links."""


@dataclass(frozen=True, slots=True)
class Campuses:
    """A topology, the rank of it that each rank of the row is, and the assumptions."""

    topology: Topology
    rank: tuple[int, ...]
    notes: tuple[str, ...]


def campus_of_ranks(placement: str, ranks: int, campuses: int, place: Place) -> list[int]:
    """Return the campus of each rank.

    ``placement``: block, a word for ranks dealt in turn, or the campuses' numbers in rank order.
    """
    word = placement.lower()
    if word in IN_BLOCKS:
        return [rank * campuses // ranks for rank in range(ranks)]
    if word in BY_TURNS:
        return [rank % campuses for rank in range(ranks)]
    numbers = [int(each) for each in _numbers_of(word)]
    if len(numbers) == ranks and max(numbers) < campuses and not any(map(str.isalpha, word)):
        return numbers
    raise place.at("placement").refusal(
        placement,
        f"{', '.join(IN_BLOCKS + BY_TURNS)}, or {ranks} campus numbers below {campuses}, "
        "with commas between them where one has two digits",
    )


def _numbers_of(word: str) -> list[str]:
    """Return the numbers in ``word``: between separators, or without any, each digit."""
    apart = re.findall(r"[0-9]+", word)
    return apart if len(apart) > 1 else list("".join(apart))


def campuses_of(row: MeasuredRow, table: MeasuredLinks, flight_bytes: float) -> Campuses:
    """Return where the ranks of ``row`` live, joined as ``table`` says.

    ``flight_bytes``: the most that a connection has to send at a time.
    """
    known = table.links.get(row.link)
    ends = [end for pair in (known.rtt_s if known else ()) for end in pair]
    named = max(map(int, _numbers_of(row.placement)), default=0)
    number = max(ends, default=max(CAMPUSES - 1, named)) + 1
    campus = campus_of_ranks(row.placement, row.ranks, number, row.place)
    used = sorted(set(campus))
    order = sorted(range(row.ranks), key=lambda rank: (campus[rank], rank))
    rank = [0] * row.ranks
    for place, each in enumerate(order):
        rank[each] = place
    lan = _lan(row, table)
    sites = tuple(_site(c, campus.count(c), lan, row, known) for c in used)
    trunks = tuple(
        Trunk((_name(a), _name(b)), _trunk(row, table, a, b, lan, flight_bytes))
        for i, a in enumerate(used)
        for b in used[i + 1 :]
    )
    return Campuses(Topology("measured", sites, trunks), tuple(rank), _notes(row, known))


def _name(campus: int) -> str:
    return f"campus {campus}"


def _notes(row: MeasuredRow, known: LinkMeasurements | None) -> tuple[str, ...]:
    if known is not None and known.rtt_s:
        return ()
    return (f"link {row.link}: no ping among the links; its delay and rate are as configured",)


def payload_bytes_per_s(row: MeasuredRow, known: LinkMeasurements | None) -> float:
    """Return the payload rate of the shaped links; the best goodput where nothing shapes them."""
    seen = max(known.goodput.values(), default=0.0) if known else 0.0
    if not row.rate_bytes_per_s or row.shape == UNSHAPED:
        return seen or LAN_BYTES_PER_S
    configured = _configured(row)
    if row.loss or _window_bytes(row, known) < CONFIRMED * configured * _median_rtt_s(row, known):
        return configured  # one stream cannot show it
    return seen if 0 < seen < CONFIRMED * configured else configured


def _configured(row: MeasuredRow) -> float:
    framed = (row.mtu_bytes - IP_AND_TCP_BYTES) / (row.mtu_bytes + ETHERNET_BYTES)
    return row.rate_bytes_per_s * framed


def _median_rtt_s(row: MeasuredRow, known: LinkMeasurements | None) -> float:
    return median(known.rtt_s.values()) if known and known.rtt_s else 2 * row.delay_s


def _window_bytes(row: MeasuredRow, known: LinkMeasurements | None) -> float:
    """Return the bytes that socket buffers let be in flight, infinity where none are given.

    Where the buffers bound a measured stream, the stream tells the bytes.
    """
    usable = row.buffer_bytes * USABLE_OF_BUFFER or math.inf
    rtt_s, configured = _median_rtt_s(row, known), _configured(row)
    seen = max(known.goodput.values(), default=0.0) if known else 0.0
    if row.loss or not seen or usable >= configured * rtt_s or seen >= CONFIRMED * configured:
        return usable
    return seen * rtt_s


def _lan(row: MeasuredRow, table: MeasuredLinks) -> Link:
    """Return the link inside a campus, and of each rank to the trunks.

    Between network namespaces no wire is in the way, so its rate is that of the hosts.
    """
    known = table.links.get(row.link)
    inside = known.inside_goodput if known else None
    rate = inside or max(table.fastest, LAN_BYTES_PER_S / 3, 2 * row.rate_bytes_per_s)
    return Link(rate, table.inside_rtt_s(row.link) / 2, host_bytes_per_s=rate)


def _burst_bytes(row: MeasuredRow) -> float:
    return max(BUCKET_PACKETS * row.mtu_bytes, BUCKET_S * row.rate_bytes_per_s)


def _site(
    campus: int, ranks: int, lan: Link, row: MeasuredRow, known: LinkMeasurements | None
) -> Site:
    nodes = tuple(Node(1, lan) for _ in range(ranks))
    if row.shape != ONE_FOR_ALL or not row.rate_bytes_per_s:
        return Site(_name(campus), nodes, lan)
    rate = payload_bytes_per_s(row, known)
    return Site(_name(campus), nodes, lan, rate, math.inf, _burst_bytes(row))


def _trunk(
    row: MeasuredRow, table: MeasuredLinks, a: int, b: int, lan: Link, flight_bytes: float
) -> Link:
    known = table.links.get(row.link)
    rtt_s = _rtt_s(row, table, a, b)
    rate, burst = payload_bytes_per_s(row, known), 0.0
    if row.rate_bytes_per_s and row.shape == ONE_FOR_ALL:
        rate = max(lan.rate_bytes_per_s, rate)
    elif row.rate_bytes_per_s and row.shape != UNSHAPED:
        burst = _burst_bytes(row)
    middle_s = min(row.jitter_s / 2, rtt_s / 2)  # which a ping has seen already
    return Link(
        rate,
        rtt_s / 2 - middle_s,
        jitter=Jitter(middle_s, JITTER_P99_OVER_P50),
        transport=_transport(row, known, rtt_s, flight_bytes),
        others=OtherTraffic(burst_bytes=burst),
    )


def _rtt_s(row: MeasuredRow, table: MeasuredLinks, a: int, b: int) -> float:
    """Return the measured round trip, else the configured one and the part of the hosts."""
    known = table.links.get(row.link)
    pairs = known.rtt_s if known else {}
    found = pairs.get((a, b), pairs.get((b, a)))
    if found is not None:
        return found
    if pairs:
        return median(pairs.values())
    return 2 * row.delay_s + 2 * table.inside_rtt_s(row.link)


def _transport(
    row: MeasuredRow, known: LinkMeasurements | None, rtt_s: float, flight_bytes: float
) -> Transport:
    """Return how TCP sends over the links of ``row``.

    Windows come from socket buffers and, with losses, from CUBIC's mean window; a
    lost packet comes again a round trip later. A connection that was idle begins anew: its window,
    which was the message or the bytes that the path holds, is halved for each timer that has passed
    (RFC 2861; tcp_cwnd_restart of Linux).
    """
    segment = row.mtu_bytes - IP_AND_TCP_BYTES
    window = _window_bytes(row, known)
    if row.loss and row.congestion_control != "bbr":
        window = min(window, segment * cubic_window_segments(rtt_s, row.loss))
    window = 0.0 if math.isinf(window) else window
    framing = "tcp-jumbo" if row.mtu_bytes > ETHERNET_MTU else "tcp"
    if row.loss:
        return Transport(
            window,
            loss=row.loss,
            recovery="sr",
            mtu_bytes=segment,
            rto_s=2 * rtt_s + LEAST_RTO_S,
            framing=framing,
        )
    rto_s = LEAST_RTO_S + rtt_s
    if not (row.restarts_after_idle and row.idle_s > rto_s):
        return Transport(window, mtu_bytes=segment, framing=framing)
    halvings = min(60, int(row.idle_s / rto_s))
    before = min(payload_bytes_per_s(row, known) * rtt_s, 2 * flight_bytes, window or math.inf)
    left = before / 2**halvings
    return Transport(
        window,
        recovery="cubic",
        framing=framing,
        mtu_bytes=segment,
        rto_s=rto_s,
        slow_start=True,
        initial_window_bytes=max(INITIAL_SEGMENTS * segment, left),
    )
