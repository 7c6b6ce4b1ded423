"""The arithmetic on a GPU: which kernels, with which tables, on which device.

Nothing here imports a GPU library but the one module that speaks to one (``cupy_device``), and
that only when it is asked for; all the rest runs on any Device, also on one that the tests make of
the same sources and a C++ compiler.
"""

from emul.ops.cuda.device import Device, DeviceArray, Kernel, Launch
from emul.ops.cuda.gpu_ops import GpuOps, Launches
from emul.ops.cuda.kernel_sources import NVRTC_OPTIONS, KernelSource

__all__ = [
    "NVRTC_OPTIONS",
    "Device",
    "DeviceArray",
    "GpuOps",
    "Kernel",
    "KernelSource",
    "Launch",
    "Launches",
]
