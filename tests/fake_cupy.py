"""The part of CuPy that emul calls, over NumPy and the PTX of the kernels.

It is as strict as CuPy about what it is called with, and about what may be done while a stream is
captured. What it offers is what CuPy 13 and 14 offer under the same names.
"""

import ctypes
import operator
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import nvrtc
from host_device import HostDevice, compiled
from paced_device import Clock
from ptx import in_ptx

MANAGED_BYTES = 1 << 34


class OutOfMemoryError(MemoryError):
    pass


class ndarray(np.ndarray):  # noqa: N801 - the name in CuPy
    @property
    def data(self):
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])

    @property
    def device(self):
        return SimpleNamespace(id=0)

    def set(self, array, stream=None):
        assert type(array) is np.ndarray
        assert (self.shape, self.dtype) == (array.shape, array.dtype)
        assert self.flags.c_contiguous
        assert isinstance(stream, Stream)
        copied = array.copy()
        stream.queue(lambda: np.copyto(self, copied))

    def __dlpack_device__(self):
        return 2, 0


class Stream:
    current = None

    def __init__(self, null=False, non_blocking=False):
        self.null, self.captured, self.before = null, None, None

    def __enter__(self):
        self.before, Stream.current = Stream.current, self
        return self

    def __exit__(self, *_):
        Stream.current = self.before

    def queue(self, work):
        if self.captured is None:
            work()
        else:
            self.captured.append(work)

    def begin_capture(self, mode=None):
        assert not self.null, "cannot capture on the default (legacy) stream"
        self.captured = []

    def end_capture(self):
        works, self.captured = self.captured, None
        return Graph(works)

    def synchronize(self):
        assert self.captured is None, "not permitted while a stream is captured"


class Graph:
    def __init__(self, works):
        self.works = works

    def launch(self, stream=None):
        for work in self.works:
            (stream or Stream.current).queue(work)


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.timed, self.at_s = not disable_timing, None

    def record(self, stream=None):
        self.at_s = time.perf_counter()

    def synchronize(self):
        assert Stream.current.captured is None

    @property
    def done(self):
        return self.at_s is not None


class Kernel:
    num_regs = 16

    def __init__(self, text, entry, folder):
        library = compiled(text, entry, folder)
        self.launcher = getattr(library, f"launch_{entry}")
        self.launcher.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p]
        self.clock = Clock(time.monotonic_ns)
        if "emul_host_clock" in text:
            pointer = ctypes.c_void_p.in_dll(library, "emul_host_clock")
            pointer.value = ctypes.cast(self.clock, ctypes.c_void_p).value

    def __call__(self, grid, block, args, *, shared_mem=0):
        for size in (*grid, *block):
            assert 0 < operator.index(size) < 1 << 31
        assert all(isinstance(each, np.generic) for each in args)
        values = [np.array(each) for each in args]
        pointers = np.array([each.__array_interface__["data"][0] for each in values], np.uint64)
        address = pointers.ctypes.data

        def work(values=values, pointers=pointers):
            self.launcher(0, grid[0], block[0], address)

        Stream.current.queue(work)


class PtxKernel(Kernel):
    """The kernel that CuPy would launch, with its PTX carried out."""

    def __init__(self, text, entry, options):
        kernel, self.clock = in_ptx(text, entry, options), Clock(time.monotonic_ns)
        self.launcher = partial(kernel.launch, clock=self.clock)


class RawModule:
    """Compiles with the options that CuPy compiles with; as C++ where NVRTC is not there."""

    def __init__(self, *, code, options):
        assert isinstance(code, str)
        assert isinstance(options, tuple)
        self.code, self.options = code, options

    def get_function(self, name):
        if nvrtc.library() is None:
            return Kernel(self.code, name, HostDevice().folder)
        return PtxKernel(self.code, name, nvrtc.as_cupy(self.options, "compute_90"))


class Device:
    def __init__(self, number):
        self.id = number

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class FakeCupy:
    """What ``import cupy`` returns; ``room`` bytes are free."""

    __version__ = "14.2.0"
    ndarray = ndarray
    RawModule = RawModule

    def __init__(self, room=MANAGED_BYTES):
        self.room = room
        Stream.current = Stream(null=True)
        runtime = SimpleNamespace(
            getDeviceProperties=lambda number: {
                "name": b"NVIDIA Stand-in",
                "multiProcessorCount": 2,
                "major": 9,
                "minor": 0,
            },
            memGetInfo=lambda: (self.room, MANAGED_BYTES),
            driverGetVersion=lambda: 13020,
            runtimeGetVersion=lambda: 13000,
            getDevice=lambda: 0,
        )
        self.cuda = SimpleNamespace(
            Device=Device,
            Event=Event,
            Stream=Stream,
            get_current_stream=lambda: Stream.current,
            get_elapsed_time=lambda begin, end: (end.at_s - begin.at_s) * 1e3,
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=runtime,
        )

    def get_default_memory_pool(self):
        return SimpleNamespace(free_bytes=lambda: 0, used_bytes=lambda: 0, get_limit=lambda: 0)

    def empty(self, shape, dtype):
        assert Stream.current.captured is None, "allocated while a stream is captured"
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if nbytes > self.room:
            raise OutOfMemoryError(f"Out of memory allocating {nbytes} bytes")
        memory = np.empty(nbytes + 512, np.uint8)
        first = -memory.__array_interface__["data"][0] % 512
        return memory[first : first + nbytes].view(dtype).reshape(shape).view(ndarray)

    def asnumpy(self, array):
        assert isinstance(array, ndarray)
        Stream.current.synchronize()
        return np.array(array, subok=False)

    def copyto(self, target, source):
        Stream.current.queue(lambda: np.copyto(target, source))

    def from_dlpack(self, array):
        return array.memory
