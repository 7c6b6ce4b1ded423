"""Timelines as notebooks show them: a few facts, and the busiest links over time."""

from __future__ import annotations

import numpy as np

from emul.drawing import Bars, Element, Fact, gantt, sheet
from emul.timing.lanes import busy_links, merged
from emul.timing.occupancy import leaves_out_rounds
from emul.timing.transfer_times import TransferTimes
from emul.units import PS_PER_S, format_bytes, format_time

__all__ = ["timeline_picture", "timeline_sheet"]

MOST_LINKS = 16
MOST_TRUNKS = 6
"""Directions of trunks in the table."""

PIXELS = 510
"""Of a row; bars closer to one another than one of them are drawn as one."""

TICKS = 5
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
        spans = merged(link.busy_ps, total_ps // PIXELS) / total_ps
        rows.append(Bars(link.name, [(a, b) for a, b in spans.tolist()], link.is_trunk))
    step = _round_step(total_ps / TICKS)
    moments = [ps for ps in np.arange(0, total_ps + 1, step).tolist() if ps <= total_ps]
    ticks = [(ps / total_ps, format_time(ps / PS_PER_S) if ps else "0") for ps in moments]
    said = f"When {len(rows)} links are in use, of {format_time(total_ps / PS_PER_S)}."
    return [gantt(rows, ticks, said)], f"and {left_out} less busy ports" if left_out else ""


def _facts(timeline: TransferTimes) -> list[Fact]:
    facts = [
        ("transfers", f"{timeline.sent:,}"),
        ("modelled time", format_time(timeline.total_s)),
        ("bytes between sites", format_bytes(timeline.cross_site_bytes)),
    ]
    carried, network = timeline.trunk_bytes, timeline.network
    busiest = np.argsort(-carried, axis=None, kind="stable")
    used = int((carried > 0).sum())
    for pair in busiest[: min(used, MOST_TRUNKS)].tolist():
        a, b = divmod(pair, network.n_sites)
        place = network.place(network.trunk_link(a, b))
        facts.append((place, format_bytes(int(carried[a, b]))))
    if used > MOST_TRUNKS:
        facts.append(("less on", f"{used - MOST_TRUNKS} more directions of trunks"))
    return facts


def _round_step(ps: float) -> int:
    """Return 1, 2 or 5 times a power of ten, the next one from ``ps`` on."""
    power = 10 ** int(np.floor(np.log10(max(ps, 1))))
    return next(int(power * each) for each in (1, 2, 5, 10) if power * each >= ps)
