"""Pictures as files, by Matplotlib: times over sizes, timelines, sweeps, measured and predicted."""

from emul.report.plot.figure import check_picture
from emul.report.plot.heat_map import plot_heat_map
from emul.report.plot.perf import plot_perf
from emul.report.plot.timeline import plot_timeline
from emul.report.plot.times import plot_times
from emul.report.plot.validation import plot_validation

__all__ = [
    "check_picture",
    "plot_heat_map",
    "plot_perf",
    "plot_timeline",
    "plot_times",
    "plot_validation",
]
