"""The numbers of a link with their sources, and the warnings for a reader who trusts them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from emul.links import Link, glass_s_per_km
from emul.links.changes import BUSIEST_HOUR
from emul.links.delay import store_and_forward_s
from emul.links.equipment import SWITCHES
from emul.links.framing import FRAMINGS
from emul.links.limits import usual_limit
from emul.links.transport import (
    ASSUMED_WINDOW_BYTES,
    streams_to_fill,
    window_rate_bytes_per_s,
)
from emul.reading.toml_table import TomlTable
from emul.topology.library import link_preset
from emul.topology.toml.link_tables import (
    COUNTS,
    DEFAULTS,
    NUMBERS,
    TRUNK_KEYS,
    efficiency,
    fitted_switches,
    frame_bytes,
    from_preset,
    link_of,
    number,
    oversubscribed_bytes_per_s,
    sight_km,
    wave_bytes_per_s,
)
from emul.topology.toml.reader import LinkOrigin
from emul.units import format_bytes, format_rate

__all__ = ["Figure", "figures_of", "notes_of", "preset_table"]

UNSPOKEN = {
    "group_index": "published: standard fibre at 1550 nm (mapyourtech.com, 5-microsecond-rule)",
    "amplifier_us": "published: 0.1 to 0.15 us (mapyourtech.com, optical-fiber-latency)",
    "transponder_pair_us": "assumed: a 400ZR pair; sweep 2 to 20",
    "mtu_bytes": "assumed: the payload of RoCEv2",
}
"""Where numbers come from that are used though the table does not give them."""

WINDOW_SOURCE = (
    "slots of NCCL and of the ideal stack (NCCL_BUFFSIZE, NVIDIA/nccl 2.30.7, src/init.cc), "
    "tcp_wmem over sockets of NCCL (Linux net/ipv4/tcp.c); gloo and Open MPI take none (default)"
)

MOST_PLACES = 3
"""Links of which a note is true that it names; of more it says how many."""

HARDLY = 0.99
"""A connection that gets this part of the rate is not worth a note."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a link: its value in ``unit``, and how it is known.

    ``status`` is ``measured``, ``published``, ``assumed``, ``given`` (without a source) or
    ``derived``; ``source`` says where it is from, or the formula.
    """

    name: str
    value: float | str
    unit: str
    status: str
    source: str


def preset_table(name: str) -> LinkOrigin:
    """Return the preset of links called ``name`` as if a trunk were nothing else."""
    table = from_preset(TomlTable(link_preset(name), f"preset {name}", ""), is_trunk=True)
    return LinkOrigin(name, table, link_of(table))


def figures_of(found: LinkOrigin) -> tuple[Figure, ...]:
    """Return the figures of a link: from its table, and then those that follow."""
    derived = [*_rate(found)]
    if sight_km(found.table) is not None:
        derived += _delay(found)
    said = (*_said(found.table), *_unspoken(found.table), *_window(found))
    return (*said, *derived, *_behaviour(found.link))


def _said(table: TomlTable) -> Iterator[Figure]:
    for key in TRUNK_KEYS:
        value = table.content.get(key)
        if key in ("preset", "sources", "switches") or value is None:
            continue
        status, source = _source(table, key)
        if key in NUMBERS or key in COUNTS:
            unit = NUMBERS[key].unit if key in NUMBERS else ""
            yield Figure(key, float(value), unit, status, source)
        else:
            yield Figure(key, _short(value), "", status, source)
    for name in table.content.get("switches", []):
        switch = SWITCHES[name]
        yield Figure(f"switch {name}", switch.latency_s, "s", switch.status, switch.source)


def _short(value: object) -> str:
    """Return in a few words a value that is no number."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"{len(value)} rows"
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {each if isinstance(each, (int, float, str)) else 'rows'}"
            for key, each in value.items()
        )
    return str(value)


def _source(table: TomlTable, key: str) -> tuple[str, str]:
    text = table.content.get("sources", {}).get(key)
    if text is None:
        return "given", ""
    status, _, source = text.partition(": ")
    return status, source


def _unspoken(table: TomlTable) -> Iterator[Figure]:
    """Yield the defaults that the link is made of."""
    content = table.content
    used = {
        "group_index": sight_km(table) is not None,
        "amplifier_us": _boxes_given(table, "amplifiers"),
        "transponder_pair_us": _boxes_given(table, "transponder_pairs"),
        "mtu_bytes": number(table, "loss"),
    }
    for key, counts in used.items():
        if counts and key not in content:
            status, _, source = UNSPOKEN[key].partition(": ")
            yield Figure(key, DEFAULTS[key], NUMBERS[key].unit, status, f"{source} (default)")
    if "diurnal" in content and "busiest_hour" not in content["diurnal"]:
        yield Figure("busiest_hour", BUSIEST_HOUR, "hours", "assumed", "(default)")


def _window(found: LinkOrigin) -> Iterator[Figure]:
    """Yield the window of a trunk that states none, as libraries and the ideal stack take it."""
    if found.nics_bytes_per_s is not None and not found.link.transport.window_bytes:
        yield Figure("window of a stream", ASSUMED_WINDOW_BYTES, "B", "assumed", WINDOW_SOURCE)


def _boxes_given(table: TomlTable, key: str) -> int:
    """Return how many boxes of a kind the table counts."""
    return table.integer(key, COUNTS[key], 0)


def _rate(found: LinkOrigin) -> Iterator[Figure]:
    table, link = found.table, found.link
    if "framing" in table.content:
        framing = FRAMINGS[table.content["framing"]]
        yield Figure("efficiency", efficiency(table), "", "derived", framing.source)
    formula = "line x waves x efficiency / 8"
    if "rate_gbit_per_s" in table.content:
        formula = "rate_gbit_per_s / 8"
    left = oversubscribed_bytes_per_s(table, found.nics_bytes_per_s)
    if left == link.rate_bytes_per_s:
        formula = "NICs of the smaller site / oversubscription"
    yield Figure("rate", link.rate_bytes_per_s, "B/s", "derived", formula)
    if link.waves > 1:
        wave = link.rate_bytes_per_s / link.waves
        yield Figure("rate of a wave", wave, "B/s", "derived", "rate / waves")
    if link.available_bytes_per_s != link.rate_bytes_per_s:
        why = "rate x (1 - load)"
        if link.short_of_headroom and link.others.load == 0:
            why = "buffer / round trip, for the buffer is short of the headroom"
        yield Figure("rate for transfers", link.available_bytes_per_s, "B/s", "derived", why)


def _delay(found: LinkOrigin) -> Iterator[Figure]:
    """Yield the parts of the one-way delay that are there, in the order of the path."""
    table, wave = found.table, wave_bytes_per_s(found.table, found.link.rate_bytes_per_s)
    route_km = (sight_km(table) or 0.0) * number(table, "route_factor")
    glass_s = route_km * glass_s_per_km(number(table, "group_index"))
    stored = _boxes_given(table, "store_and_forward_hops")
    stored += sum(switch.stores for switch in fitted_switches(table))
    packet_s = store_and_forward_s(frame_bytes(table), wave) if stored else 0.0
    hops = _boxes_given(table, "hops") + _boxes_given(table, "store_and_forward_hops")
    parts = (
        ("glass", glass_s, "distance x route_factor x group_index / c"),
        (
            "compensating fibre",
            glass_s * number(table, "dispersion_compensation"),
            "glass x dispersion_compensation",
        ),
        ("amplifiers in all", _boxes(table, "amplifiers", "amplifier_us"), "number x each"),
        (
            "transponders in all",
            _boxes(table, "transponder_pairs", "transponder_pair_us"),
            "pairs x each",
        ),
        ("hops in all", hops * number(table, "hop_us") / 1e6, "number x hop_us"),
        ("switches in all", sum(s.latency_s for s in fitted_switches(table)), "sum of each"),
        ("packets stored", stored * packet_s, "boxes that store x frame / line rate of a wave"),
    )
    for name, value, formula in parts:
        if value:
            yield Figure(name, value, "s", "derived", formula)
    yield Figure("one-way delay", found.link.latency_s, "s", "derived", "glass and boxes together")


def _boxes(table: TomlTable, count: str, each_us: str) -> float:
    return _boxes_given(table, count) * number(table, each_us) / 1e6


def _behaviour(link: Link) -> Iterator[Figure]:
    transport = link.transport
    wave = link.rate_bytes_per_s / link.waves
    if link.queue_s:
        yield Figure("standing queue", link.queue_s, "s", "derived", "queue / rate")
    yield Figure("RTT", link.rtt_s, "s", "derived", "2 x (one-way delay + standing queue)")
    yield Figure("BDP", link.bdp_bytes, "B", "derived", "rate x RTT")
    if transport.window_bytes:
        by_window = window_rate_bytes_per_s(
            link.rate_bytes_per_s,
            window_bytes=transport.window_bytes,
            rtt_s=link.rtt_s,
            streams=transport.streams,
            chunk_bytes=transport.chunk_bytes,
            turnaround_s=transport.turnaround_s,
        )
        yield Figure("window rate", by_window, "B/s", "derived", "streams x window / RTT")
        fill = streams_to_fill(wave, window_bytes=transport.window_bytes, rtt_s=link.rtt_s)
        formula = "rate of a wave x RTT / window"
        yield Figure("streams that fill a wave", float(fill), "", "derived", formula)
    limit = _limit_bytes_per_s(link)
    yield Figure(
        "one connection gets", limit[0], "B/s", "derived", f"min of share, window, loss: {limit[1]}"
    )
    if link.others.lossless:
        yield Figure(
            "headroom", link.headroom_bytes, "B", "derived", "rate x round trip + 2 packets"
        )


def _limit_bytes_per_s(link: Link) -> tuple[float, str]:
    """Return the rate of a connection that is alone, and the term that sets it."""
    limit = usual_limit(link)
    return min(link.available_bytes_per_s, limit.bytes_per_s), limit.term


def notes_of(links: Iterable[LinkOrigin]) -> tuple[str, ...]:
    """Return warnings about links for their readers: one sentence for all of which it is true."""
    places: dict[str, list[str]] = {}
    for each in links:
        for said in _notes(each):
            places.setdefault(said, []).append(each.place)
    return tuple(f"{_in_words(where)}: {said}" for said, where in places.items())


def _in_words(places: Sequence[str]) -> str:
    """Return the first places by name, and the number of the others."""
    if len(places) > MOST_PLACES:
        return f"{', '.join(places[:MOST_PLACES])} and {len(places) - MOST_PLACES} more"
    *first, last = places
    return f"{', '.join(first)} and {last}" if first else last


def _notes(found: LinkOrigin) -> Iterator[str]:
    """Yield what is to be said of a link, without its name."""
    link = found.link
    if link.short_of_headroom:
        loses = link.transport.recovery == "gbn" and link.transport.loss > 0
        then = "loses" if loses else f"capped at {format_rate(link.available_bytes_per_s)}"
        yield (
            f"buffer of {format_bytes(link.others.buffer_bytes)} is short of the "
            f"{format_bytes(link.headroom_bytes)} of headroom at this length: {then}"
        )
    left = oversubscribed_bytes_per_s(found.table, found.nics_bytes_per_s)
    if left == link.rate_bytes_per_s and left < math.inf:
        yield (
            f"{number(found.table, 'oversubscription'):g}:1 of the NICs sets the rate: "
            f"{format_rate(left)}"
        )
    gets, term = _limit_bytes_per_s(link)
    streams = link.transport.streams
    waves = link.available_bytes_per_s * streams / max(link.waves, streams)
    if term in ("window", "loss") and gets < HARDLY * waves:
        yield (
            f"one connection gets {format_rate(gets)} of the {format_rate(waves)} of its "
            f"waves, set by its {term}"
        )
    if found.nics_bytes_per_s is not None and not link.transport.window_bytes and link.rtt_s:
        windowed = link.transport.streams * ASSUMED_WINDOW_BYTES / link.rtt_s
        if windowed < HARDLY * waves:
            yield (
                f"window of {format_bytes(ASSUMED_WINDOW_BYTES)} assumed for each stream, "
                f"which holds {link.transport.streams} to {format_rate(windowed)} of the "
                f"{format_rate(waves)}"
            )
