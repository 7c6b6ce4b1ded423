"""When things happen: the scheduler, its timeline, and the clock that callers wait on."""

from emul.compiled import not_compiled

try:
    from emul.timing.dependencies import dependencies
    from emul.timing.pacer import margin_ns, may_be_realtime, now_ns, wait_until
    from emul.timing.scheduler import CAUSES, schedule
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

from emul.timing.acts import Act, Compute, Flown, Issue, Join, Moments, Part, Wait
from emul.timing.collapse import time_excerpt
from emul.timing.critical import CriticalPath, Segment, critical_path
from emul.timing.deadlines import step_deadlines_ps
from emul.timing.floor import busiest_link_ps
from emul.timing.timeline import Timeline, check_carried, time_plan, total_ps
from emul.timing.traffic import (
    NCCL_SLICING,
    UNLIMITED,
    Slicing,
    most_in_flight,
    transfers_in,
)

__all__ = [
    "CAUSES",
    "NCCL_SLICING",
    "UNLIMITED",
    "Act",
    "Compute",
    "CriticalPath",
    "Flown",
    "Issue",
    "Join",
    "Moments",
    "Part",
    "Segment",
    "Slicing",
    "Timeline",
    "Wait",
    "busiest_link_ps",
    "check_carried",
    "critical_path",
    "dependencies",
    "margin_ns",
    "may_be_realtime",
    "most_in_flight",
    "now_ns",
    "schedule",
    "step_deadlines_ps",
    "time_excerpt",
    "time_plan",
    "total_ps",
    "transfers_in",
    "wait_until",
]
