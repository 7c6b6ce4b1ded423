"""Timelines as notebooks show them: a few facts, and the busiest links over time."""

from __future__ import annotations

from emul.drawing import Bars, Element, Fact, gantt, sheet
from emul.drawing.scales import even_ticks
from emul.timing.occupancy import busy_links, leaves_out_rounds, united
from emul.timing.transfer_times import TransferTimes
from emul.units import format_bytes, format_time

__all__ = ["timeline_picture", "timeline_sheet"]

MOST_LINKS = 16
MOST_TRUNKS = 6
"""Directions of trunks in the table."""

PIXELS = 510
"""Of a row; bars closer to one another than one of them are drawn as one."""

LEFT_OUT = "Equal rounds were left out of this timeline, so it has no bars."


def timeline_sheet(timeline: TransferTimes) -> str:
    """Return the HTML of ``timeline``."""
    picture, note = timeline_picture(timeline)
    return sheet("Timeline", _facts(timeline), *picture, note=note)


def timeline_picture(timeline: TransferTimes) -> tuple[list[Element], str]:
    """Return the bars of ``timeline``, none where there cannot be any, and a note about them."""
    if leaves_out_rounds(timeline):
        return [], LEFT_OUT
    links, left_out = busy_links(timeline, MOST_LINKS)
    total_ps = timeline.total_ps
    if not links or not total_ps:
        return [], ""
    rows = []
    for link in links:
        spans = united(link.busy_ps, total_ps // PIXELS) / total_ps
        rows.append(Bars(link.name, [(a, b) for a, b in spans.tolist()], link.is_trunk))
    total_s = timeline.total_s
    ticks = [(s / total_s, format_time(s) if s else "0") for s in even_ticks(0.0, total_s)]
    said = f"When {len(rows)} links are in use, of {format_time(total_s)}."
    return [gantt(rows, ticks, said)], f"and {left_out} less busy ports" if left_out else ""


def _facts(timeline: TransferTimes) -> list[Fact]:
    facts = [
        ("transfers", f"{timeline.sent:,}"),
        ("modelled time", format_time(timeline.total_s)),
        ("bytes between sites", format_bytes(timeline.cross_site_bytes)),
    ]
    network = timeline.network
    carried = network.crossed_by(timeline.trunk_bytes)
    links = [link for link in network.trunk_links if carried[link]]
    busiest, used = sorted(links, key=lambda link: -carried[link]), len(links)
    for link in busiest[:MOST_TRUNKS]:
        facts.append((network.place(link), format_bytes(int(carried[link]))))
    if used > MOST_TRUNKS:
        facts.append(("less on", f"{used - MOST_TRUNKS} more directions of trunks"))
    return facts
