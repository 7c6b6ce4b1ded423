"""Benchmarks: suites with their baselines, and programs by ``python -m bench CASE``."""

from __future__ import annotations

import os
import platform
import re
from functools import cache
from typing import Any

__all__ = ["gpu_class", "machine", "machine_class", "processor"]

MAKERS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}


@cache
def processor() -> str:
    """Return maker, family and model of the processor; if it has none, its name.

    On x86-64 the name is one that a hypervisor chose, family and model are its own.
    """
    try:
        from cpuinfo import get_cpu_info
    except ImportError:
        return platform.machine()
    info = get_cpu_info()
    maker = MAKERS.get(info.get("vendor_id_raw", ""))
    if maker and "family" in info and "model" in info:
        return f"{maker} {info['family']} {info['model']}"
    return str(info.get("brand_raw") or platform.machine())


def machine() -> dict[str, Any]:
    """Return the machine that figures depend on: system, processor, Python and NumPy."""
    import numpy as np

    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def machine_class() -> str:
    """Return whose ratios are alike: ``numpy-2-cores-intel-6-207``, say.

    Those of two processors are not, by up to twice (emul/ARCHITECTURE.md). All backends that work
    on NumPy arrays are measured in one run, so they belong to one class. Runs of bench.gpu are of a
    ``gpu_class``.
    """
    name = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    return f"numpy-{os.cpu_count() or 1}-cores-{name}"


def gpu_class(name: str) -> str:
    """Return the class of machines with the GPU called ``name``: ``cupy-h200`` of "NVIDIA H200"."""
    return "-".join(["cupy", *name.removeprefix("NVIDIA").split()]).lower()
