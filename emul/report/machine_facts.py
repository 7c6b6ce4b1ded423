"""This machine: versions, backends and why one is missing, processor, device."""

from __future__ import annotations

import platform

import numpy as np

from emul.ops import BACKENDS, CpuOps
from emul.ops.cpu.fused import INSTRUCTION_SETS
from emul.ops.cuda import choice
from emul.ops.cuda.pacing import tick_ns
from emul.ops.numpy_ops import usable_cores

__all__ = ["info_lines"]

Facts = list[tuple[str, str]]


def info_lines(version: str) -> list[str]:
    """Return the lines of ``emul info``; a GPU counts as there when a kernel ran on it."""
    gpu = choice.find_gpu()
    auto = "cpu" if gpu.device is None else "cupy for arrays of the GPU, cpu for the host's"
    backends = {
        "auto": auto,
        "cpu": "available: compiled, all steps of a plan in one pass",
        "numpy": "available: step by step, the specification of the others",
        "cupy": f"{'not ' if gpu.device is None else ''}available: {gpu.reason}",
    }
    facts: Facts = [
        ("emul", version),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
        *((f"backend {name}", backends[name]) for name in BACKENDS),
        ("instruction set", f"{CpuOps(1).instructions} (of {', '.join(INSTRUCTION_SETS)})"),
        ("cores", str(usable_cores())),
    ]
    if gpu.device is not None:
        facts += gpu.device.facts().items()
        with gpu.device.current():
            least, median = tick_ns(gpu.device)
        facts.append(("globaltimer", f"moves on by {least} ns at least, {median} ns in the median"))
    width = max(len(name) for name, _ in facts)
    return [f"{name:<{width}}  {said}" for name, said in facts]
