"""Methods: what a training step does, as functions that yield the acts of a rank."""

from emul.training.methods.buckets import DDP, ZeRO
from emul.training.methods.local_steps import LocalSteps
from emul.training.methods.pipeline import Pipeline
from emul.training.methods.sharded import FSDP, HSDP

__all__ = ["DDP", "FSDP", "HSDP", "LocalSteps", "Pipeline", "ZeRO"]
