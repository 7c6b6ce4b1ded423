"""When things happen: the scheduler and its timeline."""

from emul.errors import not_compiled

try:
    from emul.timing.engine.dependencies import dependencies
    from emul.timing.engine.scheduler import CAUSES, schedule
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

from emul.timing.critical import CriticalPath, Segment, critical_path
from emul.timing.floor import busiest_link_ps
from emul.timing.generated import generated_total_ps
from emul.timing.joint.rank_ops import (
    Compute,
    Footprint,
    Issue,
    Join,
    Moments,
    Outcome,
    RankOp,
    Wait,
)
from emul.timing.symmetry import Assumed, time_excerpt
from emul.timing.timeline import Timeline, check_carried, time_plan
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
    "Assumed",
    "Compute",
    "CriticalPath",
    "Footprint",
    "Issue",
    "Join",
    "Moments",
    "Outcome",
    "RankOp",
    "Segment",
    "Slicing",
    "Timeline",
    "Wait",
    "busiest_link_ps",
    "check_carried",
    "critical_path",
    "dependencies",
    "generated_total_ps",
    "most_in_flight",
    "schedule",
    "time_excerpt",
    "time_plan",
    "transfers_in",
]
