"""Recorded traces: rows of a CSV file, and the packets of Mahimahi."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from emul.errors import TopologyError
from emul.links import State
from emul.links.traces import MAHIMAHI_PACKET_BYTES
from emul.topology.texts import read_text

__all__ = ["MOST_STATES", "mahimahi_states", "recorded_rows"]

MOST_STATES = 20_000
"""Of one trace. A day by minutes has 1440, a minute by milliseconds 60 000: take bins of 10."""

MOST_TRACE_BYTES = 4 << 20
LONGEST_STAMP = 12
"""Digits of milliseconds: 31 years."""

COLUMNS = ("from_s", "rate_factor", "extra_delay_us", "loss", "up")
TRUTH = {"1": True, "true": True, "0": False, "false": False}


def recorded_rows(path: Path) -> Iterator[tuple[str, list[object]]]:
    """Yield the rows of a CSV file, each with its line, in the order of a trace's rows.

    The first line names the columns: from_s, rate_factor, and optionally extra_delay_us, loss
    (empty: that of the link) and up (1 or 0, true or false).
    """
    lines = read_text(path, "a CSV file", MOST_TRACE_BYTES).splitlines()
    if len(lines) > MOST_STATES + 1:
        raise TopologyError(f"{path}: {len(lines)} lines: needed at most {MOST_STATES + 1}")
    try:
        named, *rows = list(csv.reader(lines)) or [[]]
    except csv.Error as error:
        raise TopologyError(f"{path}: not CSV: {error}") from None
    names = [name.strip() for name in named]
    known = set(names) <= set(COLUMNS) and len(set(names)) == len(names)
    if not known or not set(COLUMNS[:2]) <= set(names):
        raise TopologyError(
            f"{path}: line 1 = {','.join(names)[:200]!r}: needed the columns from_s, rate_factor "
            "and, of extra_delay_us, loss and up, those that are there"
        )
    if not rows:
        raise TopologyError(f"{path}: no line after the first: needed at least one")
    for line, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise TopologyError(
                f"{path}: line {line} has {len(row)} fields: needed {len(names)}, as in line 1"
            )
        cells = dict(zip(names, row, strict=True))
        yield (
            f"line {line}",
            [_cell(path, line, name, cells.get(name, "").strip()) for name in COLUMNS],
        )


def _cell(path: Path, line: int, name: str, text: str) -> object:
    if not text and name not in COLUMNS[:2]:
        return {"extra_delay_us": 0.0, "loss": None, "up": True}[name]
    try:
        return TRUTH[text.lower()] if name == "up" else float(text)
    except (KeyError, ValueError):
        needed = "1, 0, true or false" if name == "up" else "a number"
        raise TopologyError(
            f"{path}: line {line}: {name} = {text[:200]!r}: needed {needed}"
        ) from None


def mahimahi_states(
    path: Path, bin_ms: float, rate_bytes_per_s: float
) -> tuple[tuple[State, ...], float]:
    """Return the states of a Mahimahi trace, and the seconds after which it repeats.

    Each line is a stamp in milliseconds at which one packet may pass (mm-link(1)). In each bin of
    ``bin_ms``, which holds its end and not its start, the rate is the mean of its packets; so a
    whole period carries as many bytes as the trace. A bin as quick as the one before belongs to
    it. Raises TopologyError when a bin carries more than ``rate_bytes_per_s``.
    """
    stamps = _stamps(path)
    period_ms = stamps[-1]
    bins = _bins(period_ms, bin_ms)
    if bins > MOST_STATES:
        raise TopologyError(
            f"{path}: {bins} bins of {bin_ms:g} ms: needed at most {MOST_STATES}, with a longer "
            "bin_ms"
        )
    packets = Counter(_bins(stamp, bin_ms) - 1 for stamp in stamps)
    states: list[State] = []
    for i in range(bins):
        lasting_ms = min(bin_ms, period_ms - i * bin_ms)
        rate = packets[i] * MAHIMAHI_PACKET_BYTES / (lasting_ms / 1e3)
        if rate > rate_bytes_per_s * (1 + 1e-9):
            raise TopologyError(
                f"{path}: {rate * 8 / 1e9:.4g} Gbit/s from {i * bin_ms:g} ms on: needed at most "
                f"the {rate_bytes_per_s * 8 / 1e9:.4g} Gbit/s of the link, or a longer bin_ms"
            )
        factor = min(1.0, rate / rate_bytes_per_s)
        if not states or states[-1].rate_factor != factor:
            states.append(State(i * bin_ms / 1e3, factor))
    return tuple(states), period_ms / 1e3


def _bins(until_ms: int, bin_ms: float) -> int:
    """Return how many bins there are until ``until_ms``, one at least.

    What is left of a division of floats, less than a billionth of a bin, is none.
    """
    return max(1, math.ceil(until_ms / bin_ms - 1e-9))


def _stamps(path: Path) -> list[int]:
    """Return the milliseconds of all packets, which rise and do not end at 0."""
    stamps: list[int] = []
    lines = read_text(path, "a Mahimahi trace", MOST_TRACE_BYTES).split()
    before = 0
    for i, text in enumerate(lines, 1):
        if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_STAMP):
            raise TopologyError(
                f"{path}: stamp {i} = {text[:200]!r}: needed whole milliseconds, at most "
                f"{LONGEST_STAMP} digits"
            )
        now = int(text)
        if now < before:
            raise TopologyError(
                f"{path}: stamp {i} goes back from {before} to {now} ms: needed times that rise"
            )
        stamps.append(now)
        before = now
    if not before:
        raise TopologyError(f"{path}: no stamp above 0 ms: needed at least one")
    return stamps
