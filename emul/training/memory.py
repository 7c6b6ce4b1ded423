"""Whether the state of a rank fits its hardware, by the way in which a method shards it."""

from __future__ import annotations

from emul.training.hardware import state_bytes
from emul.training.methods import FSDP, HSDP, LocalSteps, ZeRO
from emul.training.protocols import AnyJob

__all__ = ["memory_warning"]


def memory_warning(job: AnyJob) -> str:
    """Return a sentence where parameters, gradients and optimizer do not fit; else nothing.

    Nothing either without hardware. The stage of ZeRO is 1; a method of one's own shards nothing.
    """
    if job.hardware_read is None:
        return ""
    parameters, gradients, optimizer = _ways(job)
    needed = state_bytes(
        job.model_read.parameters / job.placement.ways,
        parameters_over=parameters,
        gradients_over=gradients,
        optimizer_over=optimizer,
    )
    return job.hardware_read.memory_warning(needed)


def _ways(job: AnyJob) -> tuple[int, int, int]:
    """Return over how many ranks parameters, gradients and optimizer state are sharded."""
    placement, method = job.placement, job.method
    inside, everywhere = placement.size("shard"), placement.size("replicate", "shard")
    if isinstance(method, LocalSteps):
        return inside, inside, inside
    if isinstance(method, HSDP):
        return inside, inside, inside
    if isinstance(method, FSDP):
        over = inside if method.keeps_shards else everywhere
        return over, over, over
    return (1, 1, everywhere) if isinstance(method, ZeRO) else (1, 1, 1)
