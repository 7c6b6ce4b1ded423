"""Whether this machine has a GPU that computes, found out by letting it; the reason where not."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from emul.errors import BackendError
from emul.ops.cuda.cupy_device import CupyDevice, import_cupy
from emul.ops.cuda.device import Device
from emul.ops.cuda.device_ops import ComputingDevice, DeviceOps
from emul.ops.cuda.kernel_sources import KernelSource
from emul.ops.cuda.pacing import tick_ns

__all__ = ["FoundGpu", "find_gpu", "ops_on", "probe"]

DRIVER = "libcuda.so.1"
INSTALL = "pip install '.[cuda13]' (or cuda12, by what nvidia-smi shows)"
HEADERS = "where there is only the driver, pip install 'cupy-cuda13x[ctk]' brings CUDA's headers"

PROBED = 1000


@dataclass(frozen=True, slots=True)
class FoundGpu:
    """The outcome of the search: a ``device`` that computed, or None and the ``reason`` why not."""

    device: CupyDevice | None
    reason: str


def find_gpu() -> FoundGpu:
    """Return the GPU that is current in CuPy, once a kernel has run on it; found out once."""
    cupy = sys.modules.get("cupy")
    return _found(0 if cupy is None else _current(cupy))


@cache
def _found(number: int) -> FoundGpu:
    """Look for GPU ``number``. A warning on the way is no error under any filter.

    Python keeps the outcome: an error then would hide the GPU from all that follows.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        return _looked_for(number)


def _looked_for(number: int) -> FoundGpu:
    steps: tuple[tuple[str, Callable[[], Any]], ...] = (
        ("the NVIDIA driver is not there", lambda: ctypes.CDLL(DRIVER)),
        (f"CuPy cannot be imported; {INSTALL}; {HEADERS}", import_cupy),
        ("CUDA finds no GPU", lambda: _device(number)),
    )
    found: Any = None
    for what, look in steps:
        try:
            found = look()
        except Exception as error:  # whatever a driver or a library of a GPU comes up with
            return FoundGpu(None, f"{what} ({_line(error)})")
    try:
        with found.current():
            probe(found)
            tick_ns(found)
    except Exception as error:
        return FoundGpu(None, f"a kernel did not run on {found.name}; {HEADERS} ({_line(error)})")
    return FoundGpu(found, f"a kernel ran on {found.name}")


@cache
def ops_on(device: ComputingDevice) -> DeviceOps:
    """Return the backend on ``device``, always the same."""
    return DeviceOps(device)


def probe(device: Device) -> None:
    """Let ``device`` add up two rows; raises BackendError when the sum is wrong."""
    rows = np.arange(2 * PROBED, dtype=np.float32).reshape(2, PROBED)
    expected = rows.sum(axis=0)
    work = device.upload(rows)
    nbytes = rows[0].nbytes
    table = np.array([[0, nbytes * 4, 0, PROBED, 0]], dtype=np.int64)
    row = device.upload(table)
    address, at = np.uint64(device.pointer(work)), np.uint64(device.pointer(row))
    arguments = (address, address, address, at, np.int64(1), np.int64(1), np.int64(1))
    device.launch(device.kernel(KernelSource("reduce")), 1, 256, arguments)
    found = device.download(work)
    if not np.array_equal(found[0], expected) or not np.array_equal(found[1], rows[1]):
        raise BackendError(f"{device.name} does not add up: needed a GPU that computes")


def _device(number: int) -> CupyDevice:
    return CupyDevice(import_cupy(), number)


def _current(cupy: Any) -> int:
    try:
        return int(cupy.cuda.runtime.getDevice())
    except Exception:  # there is none
        return 0


def _line(error: Exception) -> str:
    """Return the text of ``error``, in one line that is not too long."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 200 else f"{said[:200]} ..."
