"""Traces: what happened when, on tracks, in the files that viewers of traces open.

One model (``trace``), and two forms of it (``chrome``, ``perfetto``). The room knows no collective.
"""

from emul.tracks.lanes import lanes
from emul.tracks.trace import Args, Count, Event, Mark, Slice, Trace, Track
from emul.tracks.writing import FORMS, check_form, write_trace

__all__ = [
    "FORMS",
    "Args",
    "Count",
    "Event",
    "Mark",
    "Slice",
    "Trace",
    "Track",
    "check_form",
    "lanes",
    "write_trace",
]
