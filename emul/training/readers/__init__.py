"""Readers of workloads that other tools describe, layer by layer or event by event."""

from emul.training.readers.aicb import read_workload
from emul.training.readers.chakra import read_execution_trace
from emul.training.readers.events import CommEvent, ComputeEvent, ExecutionTrace
from emul.training.readers.workload import Communication, WorkLayer, Workload

__all__ = [
    "CommEvent",
    "Communication",
    "ComputeEvent",
    "ExecutionTrace",
    "WorkLayer",
    "Workload",
    "read_execution_trace",
    "read_workload",
]
