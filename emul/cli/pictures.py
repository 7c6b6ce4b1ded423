"""Pictures and traces that commands write: their forms are checked before the work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emul.report import PerfResult
    from emul.runtime.prediction import Prediction

__all__ = [
    "check_largest",
    "check_plot",
    "check_plot_timeline",
    "check_trace",
    "draw_perf",
    "draw_timeline",
    "trace_largest",
]


def check_plot(path: Path) -> None:
    """Raise an EmulError where ``--plot`` cannot draw."""
    from emul.report.plot import check_picture

    check_picture(path)


def check_plot_timeline(path: Path) -> None:
    """Raise an EmulError where ``--plot-timeline`` cannot draw."""
    from emul.report.plot import check_picture

    check_picture(path, "--plot-timeline")


def check_trace(path: Path) -> None:
    """Raise FileError for a name that ends in no form of traces."""
    from emul.tracks import check_form

    check_form(path)


def check_largest(asked: Mapping[str, Any], predict: Callable[[], Prediction]) -> None:
    """Raise an EmulError where the largest size, by ``predict``, has no trace or no picture."""
    if not any(asked[f"{name}_path"] for name in ("trace", "plot", "plot_timeline")):
        return
    from emul.errors import ArgumentError
    from emul.timing.occupancy import check_all_rounds
    from emul.timing.traced import check_traceable

    largest = predict()
    if asked["trace_path"]:
        check_traceable(len(largest.timeline))
    if asked["plot_timeline_path"]:
        check_all_rounds(largest.timeline)
    if not largest.total_ps and (asked["plot_path"] or asked["plot_timeline_path"]):
        raise ArgumentError("a picture of no time at all: needed more than one rank")


def draw_perf(path: Path, result: PerfResult) -> None:
    """Draw time over size."""
    from emul.report.plot import plot_perf

    plot_perf(path, result)


def draw_timeline(path: Path, result: PerfResult) -> None:
    """Draw the timeline of the largest size that is done."""
    from emul.report.plot import plot_timeline
    from emul.units import format_bytes, format_time

    found = result.largest
    heading = f"{found.of}, {format_bytes(found.nbytes)} in {format_time(found.time_s)}"
    plot_timeline(path, found.timeline, heading=heading)


def trace_largest(path: Path, result: PerfResult) -> None:
    """Write the trace of the largest size that is done."""
    result.largest.to_perfetto(path)
