"""The keys of a link's table: their units, ranges and defaults, and which say the same."""

from __future__ import annotations

from emul.links import RECOVERIES
from emul.links.delay import AMPLIFIER_S, GLASS_GROUP_INDEX, TRANSPONDER_PAIR_S
from emul.links.framing import FRAMINGS
from emul.links.transport import TCP_INITIAL_WINDOW_BYTES
from emul.reading.values import Range

__all__ = [
    "CHANGE_KEYS",
    "CHOICES",
    "COUNTS",
    "DEFAULTS",
    "FLAGS",
    "LINE_KEYS",
    "LINK_KEYS",
    "NUMBERS",
    "PATH_KEYS",
    "TRUNK_KEYS",
]

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
