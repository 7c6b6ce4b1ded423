"""When things happen: the scheduler, its timeline, and the clock that callers wait on."""

try:
    from emul.timing.dependencies import dependencies
    from emul.timing.pacer import now_ns, wait_until
    from emul.timing.scheduler import CAUSES, schedule
except ModuleNotFoundError as error:
    raise ImportError(
        f"{error.name} is not compiled: Python found emul's source folder before the installed "
        "package; leave that folder, or run: pip install -e ."
    ) from error

from emul.timing.critical import CriticalPath, Segment, critical_path
from emul.timing.timeline import Timeline, time_plan
from emul.timing.traffic import NCCL_SLICING, Slicing

__all__ = [
    "CAUSES",
    "NCCL_SLICING",
    "CriticalPath",
    "Segment",
    "Slicing",
    "Timeline",
    "critical_path",
    "dependencies",
    "now_ns",
    "schedule",
    "time_plan",
    "wait_until",
]
