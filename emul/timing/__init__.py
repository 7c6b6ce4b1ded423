"""When things happen: the scheduler and its timeline."""

from emul.errors import not_compiled

try:
    from emul.timing.engine.causes import CAUSES
    from emul.timing.engine.dependencies import dependencies
    from emul.timing.schedule import schedule
except ModuleNotFoundError as error:
    raise not_compiled(error) from error

from emul.timing.critical import CriticalPath, Segment, critical_path
from emul.timing.effects.drawn_delays import MessageCounts, network_draws
from emul.timing.floor import busiest_link_ps
from emul.timing.generated import generated_total_ps
from emul.timing.joint.rank_ops import (
    NOT_YET_PS,
    Arrive,
    Attach,
    Compute,
    Failure,
    Footprint,
    Hold,
    Issue,
    Moments,
    Outcome,
    RankOp,
    Release,
    Wait,
)
from emul.timing.operation_path import OTHERS, OperationPath, path_to_end
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
    "NOT_YET_PS",
    "OTHERS",
    "UNLIMITED",
    "Arrive",
    "Assumed",
    "Attach",
    "Compute",
    "CriticalPath",
    "Failure",
    "Footprint",
    "Hold",
    "Issue",
    "MessageCounts",
    "Moments",
    "OperationPath",
    "Outcome",
    "RankOp",
    "Release",
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
    "network_draws",
    "path_to_end",
    "schedule",
    "time_excerpt",
    "time_plan",
    "transfers_in",
]
