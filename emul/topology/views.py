"""Topologies as notebooks show them: a few facts and a small map."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from emul.drawing import Element, Fact, Line, sheet, small_map
from emul.drawing.positions import Positions
from emul.links import Link
from emul.units import counted, format_rate, format_time

__all__ = ["topology_html"]

MOST_SITES = 40
"""On the map; of more, the table alone."""

MOST_NAMED = 8
"""Sites in the table."""

Sites = Sequence[tuple[str, int]]
"""Names and ranks."""

Trunks = Sequence[tuple[tuple[int, int], Link]]
"""The numbers of two sites, and the link between them."""


def topology_html(name: str, sites: Sites, trunks: Trunks, positions: Positions) -> str:
    """Return the HTML of a topology."""
    facts: list[Fact] = [("ranks", f"{sum(n for _, n in sites):,}"), ("sites", _named(sites))]
    if trunks:
        rates = [link.available_bytes_per_s for _, link in trunks]
        delays = [link.latency_s for _, link in trunks]
        facts.append(("trunks", f"{len(trunks):,}"))
        facts.append(("rate of a trunk", _from_to(min(rates), max(rates), format_rate)))
        facts.append(("delay of a trunk", _from_to(min(delays), max(delays), format_time)))
    if len(sites) == 1 or len(sites) > MOST_SITES:
        return sheet(f"Topology {name}", facts)
    drawn = _map(sites, trunks, positions)
    return sheet(f"Topology {name}", facts, drawn, note=positions.said)


def _named(sites: Sites) -> str:
    names = [f"{name} {ranks:,}" for name, ranks in sites[:MOST_NAMED]]
    more = f" and {len(sites) - MOST_NAMED} more" if len(sites) > MOST_NAMED else ""
    return f"{len(sites):,}: {', '.join(names)}{more}"


def _from_to(low: float, high: float, words: Callable[[float], str]) -> str:
    return words(low) if low == high else f"{words(low)} to {words(high)}"


def _map(sites: Sites, trunks: Trunks, positions: Positions) -> Element:
    widths = _widths([link.available_bytes_per_s for _, link in trunks])
    lines = [
        Line(ends, width, _about(link)) for (ends, link), width in zip(trunks, widths, strict=True)
    ]
    names = [(name, counted(ranks, "rank") if ranks else "no ranks") for name, ranks in sites]
    return small_map(names, positions, lines, f"A map of {len(names)} sites.")


def _about(link: Link) -> str:
    return f"{link.available_bytes_per_s / 1e9:.3g} GB/s, {format_time(link.latency_s)}"


def _widths(rates: Sequence[float]) -> list[float]:
    """Return the widths of lines from 0 to 1, by the logarithms of their rates."""
    logs = [math.log(rate) for rate in rates]
    low, span = min(logs), max(logs) - min(logs)
    return [(each - low) / span if span else 0.5 for each in logs]
