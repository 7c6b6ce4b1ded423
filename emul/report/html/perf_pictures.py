"""The pictures of ``emul perf``: the map, time over size, and the timeline of what binds."""

from __future__ import annotations

from collections.abc import Sequence

from emul.drawing.positions import positions_of
from emul.drawing.scales import binary_ticks, decimal_ticks
from emul.report.closing import ALIKE_BOUNDS
from emul.report.html.busy_times import BusyTimes, busy_chart
from emul.report.html.cells import microseconds, share
from emul.report.html.chart import ChartAxis, Series, chart
from emul.report.html.page import Figure, Table, Words, table
from emul.report.html.site_map import MapTrunk, site_map
from emul.report.perf_row import PerfRow
from emul.runtime.prediction import Prediction
from emul.runtime.trunk_use import TrunkUse, trunk_uses
from emul.timing.occupancy import busiest_of, busy_intervals, leaves_out_rounds
from emul.units import PS_PER_S, counted, format_bytes, format_rate, format_time

__all__ = ["binding_figure", "map_figure", "sizes_figure"]

MOST_SAID = 12
"""Trunks that the description of a map names."""


def map_figure(prediction: Prediction) -> Figure:
    """Return the map of the sites of ``prediction``, of which there are two at least."""
    topology = prediction.bounded.topology
    positions, uses = positions_of(topology), trunk_uses(prediction)
    by_ends = {(use.sender, use.receiver): use for use in uses}
    trunks = [
        MapTrunk((a, b), max(use.use, by_ends[b, a].use), f"{_said(use)}; {_said(by_ends[b, a])}")
        for (a, b), use in by_ends.items()
        if a < b
    ]
    sites = [(site.name, counted(site.ranks, "rank")) for site in topology.sites]
    sites += [(place.name, "no ranks") for place in topology.waypoints]
    busiest = sorted(uses, key=lambda use: -use.use)
    said = "; ".join(_said(use) for use in busiest[:MOST_SAID])
    more = f"; and {len(uses) - MOST_SAID} more" if len(uses) > MOST_SAID else ""
    return Figure(
        f"Sites and trunks at {format_bytes(prediction.nbytes)}",
        site_map(sites, positions, trunks),
        f"{len(sites)} sites. {said}{more}.",
        f"Use: bytes over the trunk, divided by its rate and the modelled time. {positions.said}",
        _uses_table(busiest),
    )


def _said(use: TrunkUse) -> str:
    return f"{use.place} {share(use.use)}"


def _uses_table(uses: Sequence[TrunkUse]) -> Table:
    rows = [
        (use.place, f"{use.nbytes:,}", format_rate(use.rate_bytes_per_s), share(use.use))
        for use in uses
    ]
    columns = ("trunk", "bytes", "rate beside others", "use")
    return table("Both directions of each trunk", columns, rows, texts=("trunk",))


def sizes_figure(rows: Sequence[PerfRow]) -> Figure:
    """Return time over size, with the bounds, and the measured time where there is one."""
    series = [Series("modelled", _points(rows, "modelled_s"), "curve", 1)]
    series.append(Series("bound by the links", _points(rows, "bound_s"), "dashed", 8))
    if any(row.window_bound_s > row.bound_s * (1 + ALIKE_BOUNDS) for row in rows):
        points = _points(rows, "window_bound_s")
        series.append(Series("bound with these connections", points, "dotted", 9))
    dilation = rows[0].dilation
    measured = tuple(
        (row.size_bytes, row.wall_s / dilation)
        for row in rows
        if row.wall_s is not None and row.lag_s is not None
    )
    stretched = "" if dilation == 1 else f", divided by the dilation of {dilation:g}"
    if measured:
        series.append(Series(f"measured{stretched}", measured, "crosses", 2))
    first, last = rows[0], rows[-1]
    ends = [
        f"{format_time(row.modelled_s)} at {format_bytes(row.size_bytes)}, where the bound is "
        f"{format_time(row.bound_s)}"
        for row in ([first] if first is last else [first, last])
    ]
    said = f"Modelled: {'; '.join(ends)}."
    return Figure(
        "Time over size",
        chart(
            ChartAxis("size of the whole vector", format_bytes, binary_ticks),
            ChartAxis("time", format_time, decimal_ticks),
            [each for each in series if each.points],
        ),
        said,
        "Both axes are logarithmic. No algorithm is faster than the bound on these links; the "
        "table of all sizes has the numbers.",
    )


def _points(rows: Sequence[PerfRow], name: str) -> tuple[tuple[float, float], ...]:
    """Return the points of a column that lie on a logarithmic axis."""
    values = [(float(row.size_bytes), float(getattr(row, name))) for row in rows]
    return tuple((size, seconds) for size, seconds in values if seconds > 0)


def binding_figure(prediction: Prediction) -> Figure | Words:
    """Return when the place that binds is busy, in both directions, or why that is not drawn."""
    timeline, place = prediction.timeline, prediction.critical_path.binding_place
    title, links = f"Busy times: {place}", busiest_of(timeline, place)
    if not links:
        return Words(title, ("Most of the time is spent there, and not on a link.",))
    if leaves_out_rounds(timeline):
        left_out = "Equal rounds were timed once, so that not all busy times are there to be drawn."
        return Words(title, (left_out,))
    total_ps = prediction.total_ps
    lanes, rows = [], []
    for color, link in zip((1, 6), links, strict=True):
        busy = busy_intervals(timeline, link)
        busy_ps = int((busy[:, 1] - busy[:, 0]).sum())
        part = busy_ps / total_ps
        name = timeline.network.link_name(link)
        lanes.append(BusyTimes(f"busy {share(part)} of the time: {name}", busy, color))
        rows.append((name, f"{len(busy):,}", microseconds(busy_ps / PS_PER_S), share(part)))
    columns = ("link", "busy times", "busy in all (us)", "part of the time")
    whole = format_time(total_ps / PS_PER_S)
    return Figure(
        title,
        busy_chart(lanes, total_ps),
        "; ".join(lane.name for lane in lanes) + f", which is {whole}.",
        "Busy: from when a transfer takes the link until its last byte has left it. The height is "
        "the part of that moment that is busy.",
        table("Busy times", columns, rows, texts=("link",)),
    )
