"""Benchmarks; their figures are kept in bench/results, what they are held against in baselines."""

from __future__ import annotations

import os
import platform
from typing import Any

__all__ = ["machine", "machine_class"]

LAPTOP_CORES = 16
"""At most so many cores are called a laptop; an assumption, which --machine-class overrules."""


def machine() -> dict[str, Any]:
    """Return what figures depend on: system, processor, Python and NumPy."""
    import numpy as np

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def machine_class() -> str:
    """Return whose ratios are alike: the array library and the kind of machine.

    ``cupy-h200`` and the like where emul can compute on a GPU, else ``numpy-laptop`` or
    ``numpy-server``. All backends that work on NumPy arrays are measured in one run, so they
    belong to one class.
    """
    from emul.ops import BACKENDS

    if "cupy" in BACKENDS:
        gpu = _gpu()
        if gpu:
            return f"cupy-{gpu}"
    return "numpy-laptop" if (os.cpu_count() or 1) <= LAPTOP_CORES else "numpy-server"


def _gpu() -> str | None:
    """Return the model of the first GPU, as ``h200`` of "NVIDIA H200"; None without one."""
    try:
        import cupy

        name: str = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    except Exception:
        return None
    return "-".join(name.removeprefix("NVIDIA").split()).lower()
