"""Training steps across campuses: models, hardware and the descriptions that others wrote."""

from emul.training.hardware import Hardware, StateBytes, state_bytes
from emul.training.layer import Layer
from emul.training.model import Model
from emul.training.readers import ExecutionTrace, Workload, read_execution_trace, read_workload

__all__ = [
    "ExecutionTrace",
    "Hardware",
    "Layer",
    "Model",
    "StateBytes",
    "Workload",
    "read_execution_trace",
    "read_workload",
    "state_bytes",
]
