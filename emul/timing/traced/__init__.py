"""The trace of collectives: from timelines to the tracks of emul.tracks."""

from emul.timing.traced.builder import MOST_TRANSFERS, check_traceable, trace_of, trace_of_many
from emul.timing.traced.columns import Traced
from emul.timing.traced.crossings import Crossings, Lines

__all__ = [
    "MOST_TRANSFERS",
    "Crossings",
    "Lines",
    "Traced",
    "check_traceable",
    "trace_of",
    "trace_of_many",
]
