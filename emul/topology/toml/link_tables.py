"""From the table of a link to the link: its keys, one table over another, and the numbers.

The keys come first: their units, ranges and defaults. Then `over` puts a table on top of another: a
trunk on the defaults, or a table on the preset of links that it names. Keys that say the same thing
in another way displace each other: a delay may be given as such or as a distance, a distance in
kilometres or miles, a rate as such or by its line, nodes by their number or one by one. A table
that names a preset of links starts from that preset, and from nothing else. At last `link_of` reads
the table.
"""

from __future__ import annotations

import math
import re
from typing import Any

from emul.errors import ArgumentError, TopologyError
from emul.links import RECOVERIES, Jitter, Link, OtherTraffic, Transport, one_way_delay_s
from emul.links.delay import (
    AMPLIFIER_S,
    GLASS_GROUP_INDEX,
    TRANSPONDER_PAIR_S,
    equipment_s,
    store_and_forward_s,
)
from emul.links.equipment import SWITCHES, Switch
from emul.links.framing import FRAMINGS
from emul.links.transport import TCP_INITIAL_WINDOW_BYTES
from emul.reading.complaints import Complaints
from emul.reading.toml_table import TomlTable
from emul.reading.values import Range
from emul.topology.library import link_preset, link_preset_names

__all__ = [
    "BYTES_PER_GBIT",
    "CHANGE_KEYS",
    "CHOICES",
    "COUNTS",
    "DEFAULTS",
    "LINE_KEYS",
    "LINK_KEYS",
    "NUMBERS",
    "PATH_KEYS",
    "STATUSES",
    "TRUNK_KEYS",
    "Content",
    "efficiency",
    "fitted_switches",
    "frame_bytes",
    "from_preset",
    "link_of",
    "number",
    "over",
    "oversubscribed_bytes_per_s",
    "rate_bytes_per_s",
    "sight_km",
    "wave_bytes_per_s",
]

Content = dict[str, Any]

MICROSECONDS = Range(0, 1e8, "us")
BYTES = Range(0, 1e15, "B")
BOXES = Range(0, 10_000, "")

NUMBERS = {
    "rate_gbit_per_s": Range(0, 1e6, "Gbit/s", closed=False),
    "line_gbit_per_s": Range(0, 1e6, "Gbit/s", closed=False),
    "efficiency": Range(0, 1, "", closed=False),
    "oversubscription": Range(1, 1e6, ""),
    "latency_us": MICROSECONDS,
    "km": Range(0, 1e5, "km"),
    "miles": Range(0, 6e4, "miles"),
    "route_factor": Range(1, 10, ""),
    "dispersion_compensation": Range(0, 1, ""),
    "group_index": Range(1, 2, ""),
    "amplifier_us": MICROSECONDS,
    "transponder_pair_us": MICROSECONDS,
    "hop_us": MICROSECONDS,
    "frame_bytes": Range(0, 1e6, "B", closed=False),
    "error_correction_us": MICROSECONDS,
    "macsec_us": MICROSECONDS,
    "equipment_us": MICROSECONDS,
    "overhead_us": MICROSECONDS,
    "window_bytes": BYTES,
    "window_chunk_bytes": BYTES,
    "turnaround_us": MICROSECONDS,
    "gap_us": MICROSECONDS,
    "loss": Range(0, 1, "", below=True),
    "mtu_bytes": Range(0, 1e6, "B", closed=False),
    "rto_s": Range(0, 1e5, "s"),
    "initial_window_bytes": Range(0, 1e15, "B", closed=False),
    "jitter_p50_us": MICROSECONDS,
    "jitter_p99_over_p50": Range(1, 1e6, ""),
    "load": Range(0, 1, "", below=True),
    "queue_bytes": BYTES,
    "buffer_bytes": Range(0, 1e15, "B", closed=False),
    "burst_bytes": BYTES,
}
COUNTS = {
    "waves": Range(1, 10_000, "waves"),
    "amplifiers": BOXES,
    "transponder_pairs": BOXES,
    "hops": BOXES,
    "store_and_forward_hops": BOXES,
    "streams": Range(1, 1_000_000, "streams"),
    "retries": Range(0, 1_000, "retries"),
}
CHOICES = {"framing": tuple(FRAMINGS), "recovery": RECOVERIES}
FLAGS = ("slow_start", "lossless")

DEFAULTS = {
    "efficiency": 1.0,
    "route_factor": 1.0,
    "group_index": GLASS_GROUP_INDEX,
    "amplifier_us": AMPLIFIER_S * 1e6,
    "transponder_pair_us": TRANSPONDER_PAIR_S * 1e6,
    "mtu_bytes": 4096.0,
    "initial_window_bytes": float(TCP_INITIAL_WINDOW_BYTES),
    "jitter_p99_over_p50": 1.0,
}
"""Of the numbers that are not 0 when they are not given."""

LINE_KEYS = ("line_gbit_per_s", "efficiency", "framing")
PATH_KEYS = (
    "km",
    "miles",
    "route_factor",
    "dispersion_compensation",
    "group_index",
    "amplifiers",
    "amplifier_us",
    "transponder_pairs",
    "transponder_pair_us",
    "hops",
    "hop_us",
    "store_and_forward_hops",
    "frame_bytes",
    "switches",
    "error_correction_us",
    "macsec_us",
    "equipment_us",
)
LINK_KEYS = (
    "rate_gbit_per_s",
    *LINE_KEYS,
    "waves",
    "overhead_us",
    "latency_us",
    *PATH_KEYS,
    "window_bytes",
    "streams",
    "window_chunk_bytes",
    "turnaround_us",
    "gap_us",
    "loss",
    "recovery",
    "mtu_bytes",
    "rto_s",
    "retries",
    "slow_start",
    "initial_window_bytes",
    "jitter_p50_us",
    "jitter_p99_over_p50",
    "load",
    "queue_bytes",
    "buffer_bytes",
    "lossless",
    "burst_bytes",
    "preset",
    "sources",
)
CHANGE_KEYS = ("trace", "repeat_s", "diurnal", "outages")
TRUNK_KEYS = (*LINK_KEYS, "oversubscription", *CHANGE_KEYS)

DISTANCES = ("km", "miles")
EFFICIENCIES = ("efficiency", "framing")
NODES = ("nodes", "ranks_per_node", "node")

KM_PER_MILE = 1.609344
"""The international mile, exact by definition."""

BYTES_PER_GBIT = 1e9 / 8

MOST_SWITCHES = 1_000

STATUSES = ("measured", "published", "assumed")
SOURCE = re.compile(rf"({'|'.join(STATUSES)}): \S")


def over(general: Content, own: Content) -> Content:
    """Return ``own`` over ``general``, without the keys that ``own`` displaces.

    Of the ``sources`` in ``general``, the sources of the numbers that are left are kept.
    """
    displaced = _displaced(general, own)
    kept = {key: value for key, value in general.items() if key not in displaced}
    merged = {**kept, **own}
    sources, own_sources = kept.get("sources"), own.get("sources", {})
    if isinstance(sources, dict) and isinstance(own_sources, dict):
        left = {key: text for key, text in sources.items() if key in kept and key not in own}
        merged["sources"] = {**left, **own_sources}
    return merged


def _displaced(general: Content, own: Content) -> set[str]:
    """Return the keys of ``general`` that keys of ``own`` replace."""
    if "preset" in own:
        return set(general)
    displaced: set[str] = set()
    if "latency_us" in own:
        displaced.update(PATH_KEYS)
    if own.keys() & PATH_KEYS:
        displaced.add("latency_us")
    if "rate_gbit_per_s" in own and "rate_gbit_per_s" not in general:
        displaced.update(LINE_KEYS, ["waves"])
    if own.keys() & LINE_KEYS and "rate_gbit_per_s" in general:
        displaced.update(["rate_gbit_per_s", "waves"])
    for forms in (DISTANCES, EFFICIENCIES, NODES):
        if own.keys() & forms:
            displaced.update(forms)
    return displaced


def number(table: TomlTable, key: str) -> float:
    """Return the number at ``key`` of a link's table, or its default."""
    return table.number(key, NUMBERS[key], DEFAULTS.get(key, 0.0))


def _count(table: TomlTable, key: str, default: int = 0) -> int:
    return table.integer(key, COUNTS[key], default)


def from_preset(table: TomlTable, *, is_trunk: bool = False) -> TomlTable:
    """Return a link's table over the preset that it names, if any; keys and sources are known."""
    table.check_keys(TRUNK_KEYS if is_trunk else LINK_KEYS)
    if "preset" in table.content:
        name = table.choice("preset", link_preset_names(), "")
        own = {key: value for key, value in table.content.items() if key != "preset"}
        table = TomlTable(over(link_preset(name), own), table.where, table.path)
    _check_sources(table)
    return table


def _check_sources(table: TomlTable) -> None:
    sources = table.table("sources")
    sources.check_keys(key for key in table.content if key not in ("preset", "sources"))
    for key in sources.content:
        if not SOURCE.match(sources.text(key)):
            raise sources.refusal(
                key, sources.content[key], f"{', '.join(STATUSES)}, then ': ' and the source"
            )


def link_of(table: TomlTable, nics_bytes_per_s: float | None = None) -> Link:
    """Return the link that a table of `from_preset` describes.

    ``nics_bytes_per_s`` is the sum of the NICs at the smaller end of a trunk, which its
    oversubscription divides; without it an oversubscription changes nothing.
    """
    try:
        return _link_of(table, nics_bytes_per_s)
    except TopologyError as error:
        _raise_all(table, error)
        raise


def _raise_all(table: TomlTable, first: TopologyError) -> None:
    """Raise all that is wrong with the values of a link's table, of which ``first`` is told."""
    complaints = Complaints(table.where, TopologyError)
    complaints.add(first)
    for key in table.content:
        with complaints.noted():
            if key in NUMBERS:
                number(table, key)
            elif key in COUNTS:
                _count(table, key)
            elif key in CHOICES:
                table.choice(key, CHOICES[key], "")
            elif key in FLAGS:
                table.flag(key)
    complaints.raise_any()


def _link_of(table: TomlTable, nics_bytes_per_s: float | None) -> Link:
    rate = rate_bytes_per_s(table, nics_bytes_per_s)
    latency_s = _latency_s(table, wave_bytes_per_s(table, rate))
    try:
        link = Link(
            rate_bytes_per_s=rate,
            latency_s=latency_s,
            overhead_s=number(table, "overhead_us") / 1e6,
            transport=_transport(table),
            jitter=Jitter(
                number(table, "jitter_p50_us") / 1e6, number(table, "jitter_p99_over_p50")
            ),
            others=_others(table),
            waves=_count(table, "waves", 1),
        )
    except ArgumentError as error:
        raise table.converted_key(error) from None
    if link.short_of_headroom and not link.latency_s:
        raise table.refusal(
            "buffer_bytes",
            link.others.buffer_bytes,
            f"at least {link.headroom_bytes:g} B on a lossless link without delay",
        )
    return link


def _transport(table: TomlTable) -> Transport:
    return Transport(
        window_bytes=number(table, "window_bytes"),
        streams=_count(table, "streams", 1),
        chunk_bytes=number(table, "window_chunk_bytes"),
        turnaround_s=number(table, "turnaround_us") / 1e6,
        gap_s=number(table, "gap_us") / 1e6,
        loss=number(table, "loss"),
        recovery=table.choice("recovery", CHOICES["recovery"], "none"),
        mtu_bytes=number(table, "mtu_bytes"),
        rto_s=number(table, "rto_s"),
        retries=_count(table, "retries", 7),
        slow_start=table.flag("slow_start"),
        initial_window_bytes=number(table, "initial_window_bytes"),
        framing=_framing(table),
    )


def _framing(table: TomlTable) -> str:
    if "framing" not in table.content:
        return ""
    return table.choice("framing", CHOICES["framing"], "")


def _others(table: TomlTable) -> OtherTraffic:
    return OtherTraffic(
        load=number(table, "load"),
        queue_bytes=number(table, "queue_bytes"),
        buffer_bytes=table.number("buffer_bytes", NUMBERS["buffer_bytes"], math.inf),
        lossless=table.flag("lossless"),
        burst_bytes=number(table, "burst_bytes"),
    )


def efficiency(table: TomlTable) -> float:
    """Return the part of the line that carries payload."""
    if "framing" not in table.content:
        return number(table, "efficiency")
    if "efficiency" in table.content:
        raise table.refusal("framing", table.content["framing"], "either framing or efficiency")
    return FRAMINGS[_framing(table)].efficiency


def oversubscribed_bytes_per_s(table: TomlTable, nics_bytes_per_s: float | None) -> float:
    """Return the rate after oversubscription, or infinity when there is none."""
    if nics_bytes_per_s is None or "oversubscription" not in table.content:
        return math.inf
    return nics_bytes_per_s / number(table, "oversubscription")


def rate_bytes_per_s(table: TomlTable, nics_bytes_per_s: float | None) -> float:
    """Return the payload rate of all waves together: the smallest that the table gives."""
    left = oversubscribed_bytes_per_s(table, nics_bytes_per_s)
    line = [key for key in LINE_KEYS if key in table.content]
    if "rate_gbit_per_s" in table.content:
        if line:
            raise table.refusal(
                "rate_gbit_per_s",
                table.content["rate_gbit_per_s"],
                f"either rate_gbit_per_s or {line[0]}",
            )
        return min(number(table, "rate_gbit_per_s") * BYTES_PER_GBIT, left)
    if line:
        rate = table.number("line_gbit_per_s", NUMBERS["line_gbit_per_s"]) * BYTES_PER_GBIT
        return min(rate * _count(table, "waves", 1) * efficiency(table), left)
    if left < math.inf:
        return left
    raise table.missing(
        "rate_gbit_per_s", f"{NUMBERS['rate_gbit_per_s']}, or line_gbit_per_s to derive it from"
    )


def wave_bytes_per_s(table: TomlTable, rate_bytes_per_s: float) -> float:
    """Return the bytes per second at which a packet goes onto one wave."""
    if "line_gbit_per_s" in table.content:
        return number(table, "line_gbit_per_s") * BYTES_PER_GBIT
    return rate_bytes_per_s / _count(table, "waves", 1)


def sight_km(table: TomlTable) -> float | None:
    """Return the line of sight in kilometres, if a distance is given."""
    if "km" in table.content and "miles" in table.content:
        raise table.refusal("miles", table.content["miles"], "either miles or km")
    if "miles" in table.content:
        return number(table, "miles") * KM_PER_MILE
    return number(table, "km") if "km" in table.content else None


def fitted_switches(table: TomlTable) -> list[Switch]:
    """Return the switches along the path that are given by their generation."""
    names = table.content.get("switches", [])
    if not isinstance(names, list) or len(names) > MOST_SWITCHES:
        raise table.refusal("switches", names, f"a list of at most {MOST_SWITCHES} names")
    for i, name in enumerate(names):
        if not isinstance(name, str) or name not in SWITCHES:
            raise table.refusal(f"switches[{i}]", name, f"one of {', '.join(SWITCHES)}")
    return [SWITCHES[name] for name in names]


def frame_bytes(table: TomlTable) -> float:
    """Return the bytes that a box takes in before it sends on the first of them."""
    if "frame_bytes" in table.content:
        return number(table, "frame_bytes")
    return table.number("mtu_bytes", NUMBERS["mtu_bytes"])


def _latency_s(table: TomlTable, wave_bytes_per_s: float) -> float:
    given = [key for key in PATH_KEYS if key in table.content]
    if "latency_us" in table.content:
        if given:
            raise table.refusal(
                "latency_us", table.content["latency_us"], f"either latency_us or {given[0]}"
            )
        return number(table, "latency_us") / 1e6
    km = sight_km(table)
    if km is None:
        raise table.missing(
            "latency_us", f"{NUMBERS['latency_us']}, or km or miles to derive it from"
        )
    return one_way_delay_s(
        km,
        route_factor=number(table, "route_factor"),
        dispersion_compensation=number(table, "dispersion_compensation"),
        equipment_s=_equipment_s(table, wave_bytes_per_s),
        group_index=number(table, "group_index"),
    )


def _equipment_s(table: TomlTable, wave_bytes_per_s: float) -> float:
    switches = fitted_switches(table)
    storing = _count(table, "store_and_forward_hops")
    stored = storing + sum(switch.stores for switch in switches)
    packet_s = store_and_forward_s(frame_bytes(table), wave_bytes_per_s) if stored else 0.0
    boxes_s = equipment_s(
        amplifiers=_count(table, "amplifiers"),
        amplifier_s=number(table, "amplifier_us") / 1e6,
        transponder_pairs=_count(table, "transponder_pairs"),
        transponder_pair_s=number(table, "transponder_pair_us") / 1e6,
        hops=_count(table, "hops"),
        hop_s=number(table, "hop_us") / 1e6,
        store_and_forward_hops=storing,
        packet_s=packet_s,
        error_correction_s=number(table, "error_correction_us") / 1e6,
        macsec_s=number(table, "macsec_us") / 1e6,
    )
    fitted_s = sum(switch.latency_s + switch.stores * packet_s for switch in switches)
    return boxes_s + fitted_s + number(table, "equipment_us") / 1e6
