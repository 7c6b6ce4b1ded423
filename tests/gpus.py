"""GPUs for tests: one that the CPU stands in for, and a real one where there is one.

Both come with what a test needs to make arrays on them; a body that uses only that runs on both.
"""

import importlib
import warnings
from contextlib import nullcontext

import numpy as np
import pytest
from fake_cupy import FakeCupy
from host_device import COMPILER, WITHOUT_COMPILER
from paced_device import PacedDevice
from same_bits import Host

from emul import Link, Node, Site, Topology, Trunk
from emul.errors import CapacityError
from emul.ops.cuda.choice import FoundGpu, find_gpu
from emul.ops.cuda.cupy_device import CupyDevice
from emul.ops.cuda.device_arrays import DeviceArrays

CUDA = 2
"""DLDeviceType of dlpack.h."""

LINK = Link(12.5e9, 5e-6, 1e-6)
SITES = ("a", "b")
SMALL = Topology(
    "small", tuple(Site(name, (Node(3, LINK),), LINK) for name in SITES), (Trunk(SITES, LINK),)
)
"""Six ranks, so that plans of all algorithms are proven and timed in an instant."""


class OnDevice(np.ndarray):
    """An array of the stand-in: no NumPy array to anyone who asks."""

    def __dlpack_device__(self):
        return CUDA, getattr(self, "gpu", 0)


class StandIn(PacedDevice):
    """The CPU as GPU number 0; ``room`` bytes can be allocated at once."""

    number = 0
    room = 1 << 34

    def is_array(self, value):
        return isinstance(value, OnDevice) and value.__dlpack_device__() == (CUDA, self.number)

    def empty(self, shape, dtype):
        needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if needed > self.room:
            raise CapacityError(f"{self.name}: {needed} bytes could not be allocated")
        assert self.capturing is None, "allocated while capturing"
        memory = np.full(needed + 16, 0xA5, np.uint8).view(OnDevice)
        first = -super().pointer(memory) % 16
        return memory[first : first + needed].view(dtype).reshape(shape)

    def upload(self, table):
        assert not isinstance(table, OnDevice)
        array = self.empty(table.shape, table.dtype)
        array[...] = table
        return array

    def download(self, array):
        assert self.is_array(array)
        assert is_loadable(array)
        return np.array(array, subok=False)

    def copy(self, target, source):
        assert is_loadable(target)
        assert is_loadable(source)
        super().copy(target, source)

    def pointer(self, array):
        assert self.is_array(array)
        return super().pointer(array)

    def from_dlpack(self, array):
        return array.memory

    def free_bytes(self):
        return self.room

    def current(self):
        return nullcontext()

    def synchronize(self):
        self.mark().synchronize()

    def facts(self):
        return {"device": self.name}

    def asarray(self, array):
        return self.upload(np.asarray(array))

    def view(self, memory, shape, dtype, offset, strides):
        return np.ndarray(shape, dtype, memory, offset=offset, strides=strides).view(OnDevice)


def is_loadable(array):
    """Whether a GPU can load each element of ``array``: each at a multiple of its size."""
    steps = [s for n, s in zip(array.shape, array.strides, strict=True) if n > 1]
    places = [array.__array_interface__["data"][0], *steps]
    return not array.size or not any(each % array.itemsize for each in places)


class RealGpu:
    """A CupyDevice, with what tests need beside it."""

    def __init__(self, device):
        self.device = device

    def __getattr__(self, name):
        return getattr(self.device, name)

    def asarray(self, array):
        return self.device.upload(np.asarray(array))

    def view(self, memory, shape, dtype, offset, strides):
        return self.cupy.ndarray(shape, dtype, memory.data + offset, strides)


class FakeGpu(RealGpu):
    """The same with what stands in for CuPy, which carries out work later."""

    def __init__(self, number=0, **more):
        super().__init__(CupyDevice(FakeCupy(**more), number))

    def view(self, memory, shape, dtype, offset, strides):
        there = np.ndarray(shape, dtype, memory.there, offset=offset, strides=strides)
        return type(memory)(memory.gpu, there, memory.owner)


class OnGpu(Host):
    """What ``same_bits`` checks there."""

    def __init__(self, gpu):
        self.gpu = gpu
        self.more = {"arrays": DeviceArrays(gpu)}

    def put(self, array):
        return self.gpu.asarray(array)

    def view(self, memory, shape, dtype, offset, strides):
        return self.gpu.view(memory, shape, dtype, offset, strides)

    def got(self, array):
        return np.ascontiguousarray(self.gpu.download(array))


def real_gpu():
    """The GPU of this machine, or None."""
    device = find_gpu().device
    return None if device is None else RealGpu(device)


def needs_compiler():
    """Skip a test of something that stands in for a GPU: a real one needs no C++ compiler."""
    if COMPILER is None:
        pytest.skip(WITHOUT_COMPILER)


def imported(name):
    """A module, or a skip without it; what it warns of on the way is no failure."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(f"needs {name} ({error})")


def found(device):
    """What ``find_gpu`` returns once it has found ``device``."""
    return FoundGpu(device, f"a kernel ran on {device.name}")


class Tensor:
    """An array of some library that speaks DLPack; ``memory`` is NumPy's or a device's."""

    def __init__(self, memory):
        self.memory = memory

    @property
    def shape(self):
        return self.memory.shape

    @property
    def dtype(self):
        return self.memory.dtype

    def __dlpack__(self, **asked):
        return self.memory.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.memory.__dlpack_device__()

    def __array_namespace__(self):
        return Library


class Library:
    """The namespace of Tensor."""

    from_dlpack = Tensor
