"""Benchmarks; their figures are kept in bench/results, what they are held against in baselines."""

from __future__ import annotations

import os
import platform
from typing import Any

__all__ = ["gpu_class", "machine", "machine_class"]

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
    """Return whose ratios are alike: ``numpy-laptop`` or ``numpy-server``.

    All backends that work on NumPy arrays are measured in one run, so they belong to one class.
    Runs of bench.gpu are of a ``gpu_class``.
    """
    return "numpy-laptop" if (os.cpu_count() or 1) <= LAPTOP_CORES else "numpy-server"


def gpu_class(name: str) -> str:
    """Return the class of machines with the GPU called ``name``: ``cupy-h200`` of "NVIDIA H200"."""
    return "-".join(["cupy", *name.removeprefix("NVIDIA").split()]).lower()
