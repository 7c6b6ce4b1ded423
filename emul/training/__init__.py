"""Training steps across campuses: models, hardware, methods, and the jobs that they make."""

from emul.training.error_feedback import ErrorFeedback
from emul.training.hardware import Hardware, StateBytes, state_bytes
from emul.training.inverse import Need, Needs
from emul.training.job import Job, Method, compare
from emul.training.layer import Layer
from emul.training.methods import DDP, FSDP, HSDP, LocalSteps, Pipeline, ZeRO
from emul.training.model import Model
from emul.training.readers import ExecutionTrace, Workload, read_execution_trace, read_workload
from emul.training.seat import Part, Seat
from emul.training.step_report import StepReport
from emul.training.tuning import tune

__all__ = [
    "DDP",
    "FSDP",
    "HSDP",
    "ErrorFeedback",
    "ExecutionTrace",
    "Hardware",
    "Job",
    "Layer",
    "LocalSteps",
    "Method",
    "Model",
    "Need",
    "Needs",
    "Part",
    "Pipeline",
    "Seat",
    "StateBytes",
    "StepReport",
    "Workload",
    "ZeRO",
    "compare",
    "read_execution_trace",
    "read_workload",
    "state_bytes",
    "tune",
]
