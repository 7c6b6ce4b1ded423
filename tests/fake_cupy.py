"""The part of CuPy that emul calls, over NumPy and the kernels compiled for the CPU.

It is no kinder than CuPy 13 and 14, under the same names:

* Work is carried out later, by a thread of each stream: in order within a stream, in no order
  between two (but the default one and those that block on it). An event is done when that is done.
* What a GPU cannot do is a fault, found when the work is carried out. It is raised by a later
  call, and by all that follow.
* A copy that is no plain one is a kernel: it needs elements at multiples of their size, and a
  compiler for its first time (``driver.compiled`` lists those).
* A capturing stream takes launches and copies on the device, of kernels that were loaded before.
* Each thread has a current device, and a current stream on each device.
* Memory comes in multiples of 512 bytes and goes back to the arena of the stream that was current;
  there it is handed out again first. An array without bytes has no address.

Stricter than CuPy: nothing is allocated or fetched while capturing; every kernel is taken to have
the most registers that its bounds allow, and addresses must be of memory of the device.

What it cannot show: how long anything takes on a GPU, what two kernels do to each other that run
at once, what the memory order of a GPU allows, how memory is fragmented, and what a compiler makes
of a kernel.
"""

import ctypes
import itertools
import math
import operator
import re
import threading
import time
from collections import deque
from functools import partial
from types import SimpleNamespace

import numpy as np
import nvrtc
from capsules import DL_BFLOAT, DL_CUDA, DL_MANAGED, FromCapsule, bfloat16_of, tensor_in
from fake_memory import CUDARuntimeError, Gpu, Memory, OutOfMemoryError
from host_device import HostDevice, compiled
from paced_device import Clock
from ptx import EVERY, in_ptx

MANAGED_BYTES = 1 << 34

BEGINS_AFTER_S = 2e-4
"""So long a stream that had nothing to do takes to begin."""

FIRST_LAUNCH_S = 1e-3
"""So long the first launch of a graph takes, which brings it to the device."""

MOST_THREADS, REGISTERS, MOST_REGISTERS = 1024, 1 << 16, 255
"""Of a block; of a multiprocessor; of a thread."""

INVALID_VALUE, INVALID_DEVICE, INVALID_HANDLE, NOT_READY = 1, 101, 400, 600
ILLEGAL_ADDRESS, OUT_OF_RESOURCES, MISALIGNED, CAPTURING, INVALIDATED = 700, 701, 716, 900, 901


class Work:
    """Something queued: what comes ``before`` it, and when it was done."""

    def __init__(self, stream, act, before):
        self.stream, self.act, self.before = stream, act, before
        self.ended = threading.Event()
        self.at_s = None

    @property
    def done(self):
        return self.at_s is not None

    def run(self):
        for each in self.before:
            each.ended.wait()
        gpu = self.stream.gpu
        if gpu.fault is None:
            try:
                self.act()
                self.at_s = time.perf_counter()
            except Exception as error:  # a mistake of a test too, or all would wait for ever
                gpu.fault = getattr(error, "status", repr(error))
        self.before = ()
        self.ended.set()


class Driver:
    """The machine: its GPUs, and what is current in each thread."""

    def __init__(self, gpus, room, ptx):
        self.ptx = ptx
        self.here = threading.local()
        self.lock = threading.RLock()
        self.by_pointer = {}
        self.compiled = []
        self.gpus = [Gpu(self, number, room) for number in range(gpus)]
        for gpu in self.gpus:
            gpu.null = Stream(null=True, gpu=gpu)

    @property
    def number(self):
        return getattr(self.here, "number", 0)

    @property
    def gpu(self):
        return self.gpus[self.number]

    def stream(self, gpu=None):
        """The current stream of this thread, on the current device or another."""
        gpu = gpu or self.gpu
        return getattr(self.here, f"stream{gpu.number}", gpu.null)

    def make_current(self, stream):
        setattr(self.here, f"stream{stream.gpu.number}", stream)

    def compile(self, what):
        """Count a kernel of CuPy's own that is compiled when it is first needed."""
        if what not in self.compiled:
            self.compiled.append(what)


driver = None


class Stream:
    pointers = itertools.count(0x1000, 16)

    def __init__(self, null=False, non_blocking=False, gpu=None):
        self.gpu = gpu or driver.gpu
        self.driver = self.gpu.driver
        self.ptr = 0 if null else next(Stream.pointers)
        self.null, self.blocks = null, not (null or non_blocking)
        self.captured, self.invalid, self.before = None, False, []
        self.works, self.last, self.running = deque(), None, False
        self.gpu.streams.append(self)
        self.driver.by_pointer[self.ptr, self.gpu.number] = self

    def __enter__(self):
        self.before.append(self.driver.stream(self.gpu))
        self.driver.make_current(self)
        return self

    def __exit__(self, *_):
        self.driver.make_current(self.before.pop())

    def queue(self, act):
        """Queue ``act`` on it, or capture it; return the work."""
        self.gpu.check()
        if self.gpu is not self.driver.gpu:
            raise CUDARuntimeError(INVALID_HANDLE)
        if self.captured is not None:
            self.captured.append(act)
            return None
        return self.put(act)

    def put(self, act, *more):
        with self.driver.lock:
            before = [*more]
            if self.null:
                before += [s.last for s in self.gpu.streams if s.blocks]
            elif self.blocks:
                before.append(self.gpu.null.last)
            self.last = work = Work(self, act, [each for each in before if each is not None])
            self.works.append(work)
            if not self.running:
                self.running = True
                threading.Thread(target=self.run, daemon=True).start()
        return work

    def run(self):
        time.sleep(BEGINS_AFTER_S)
        while True:
            with self.driver.lock:
                if not self.works:
                    self.running = False
                    return
                work = self.works.popleft()
            work.run()

    def drain(self):
        last = self.last
        if last is not None:
            last.ended.wait()

    def refuse(self, error):
        """Raise ``error`` where it captures, which ends that."""
        if self.captured is not None:
            self.invalid = True
            raise error

    def begin_capture(self, mode=None):
        if self.null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self.captured, self.invalid = [], False

    def end_capture(self):
        if self.captured is None:
            raise RuntimeError("cannot end capture: not capturing")
        acts, self.captured = self.captured, None
        if self.invalid:
            raise CUDARuntimeError(INVALIDATED)
        return Graph(self.gpu, acts)

    def synchronize(self):
        self.refuse(CUDARuntimeError(CAPTURING))
        self.drain()
        self.gpu.check()

    def wait_event(self, event):
        self.put(lambda: None, *([event.work] if event.work else []))


class Graph:
    def __init__(self, gpu, acts):
        self.gpu, self.acts, self.there = gpu, acts, False

    def launch(self, stream=None):
        stream = stream or self.gpu.driver.stream()
        if not self.there:
            time.sleep(FIRST_LAUNCH_S)
            self.there = True
        for act in self.acts:
            stream.queue(act)


class Event:
    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.gpu, self.timed = driver.gpu, not disable_timing
        self.work, self.in_capture = None, False

    def record(self, stream=None):
        stream = stream or driver.stream()
        if stream.gpu is not self.gpu:
            raise CUDARuntimeError(INVALID_HANDLE)
        self.in_capture = stream.captured is not None
        self.work = stream.queue(lambda: None)

    def synchronize(self):
        if self.in_capture:
            raise CUDARuntimeError(CAPTURING)
        if self.work is not None:
            self.work.ended.wait()
        self.gpu.check()

    @property
    def done(self):
        return self.work is None or self.work.done


def get_elapsed_time(begin, end):
    if not (begin.timed and end.timed and begin.work and end.work):
        raise CUDARuntimeError(INVALID_HANDLE)
    if not (begin.done and end.done):
        raise CUDARuntimeError(NOT_READY)
    return (end.work.at_s - begin.work.at_s) * 1e3


def _napping_ns():
    """The clock of a kernel that waits: others have the processor meanwhile."""
    time.sleep(5e-5)
    return time.monotonic_ns()


def _clock_of(entry):
    return _napping_ns if entry == "emul_wait" else time.monotonic_ns


class Kernel:
    def __init__(self, text, entry, folder):
        library = compiled(text, entry, folder)
        self.loaded = False
        self.launcher = getattr(library, f"launch_{entry}")
        self.launcher.argtypes = [ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p]
        self.clock = Clock(_clock_of(entry))
        if "emul_host_clock" in text:
            pointer = ctypes.c_void_p.in_dll(library, "emul_host_clock")
            pointer.value = ctypes.cast(self.clock, ctypes.c_void_p).value
        self.max_threads_per_block, self.registers = _bounds(text, entry)

    @property
    def num_regs(self):
        self.loaded = True
        return self.registers

    def __call__(self, grid, block, args, *, shared_mem=0):
        stream = driver.stream()
        if stream.captured is not None and not self.loaded:
            stream.refuse(CUDARuntimeError(CAPTURING))
        self.loaded = True
        self.check(grid, block)
        if not all(isinstance(each, np.generic) for each in args):
            raise TypeError(f"arguments {args}: needed scalars of NumPy, whose size is plain")
        values = [np.array(each) for each in args]
        addresses = [int(each) for each in args if type(each) is np.uint64]
        pointers = np.array([each.__array_interface__["data"][0] for each in values], np.uint64)

        def act(gpu=stream.gpu, values=values, pointers=pointers):
            if not all(each == 0 or gpu.holds(each) for each in addresses):
                raise CUDARuntimeError(ILLEGAL_ADDRESS)
            self.launcher(0, grid[0], block[0], pointers.ctypes.data)

        stream.queue(act)

    def check(self, grid, block):
        sizes = [[operator.index(each) for each in given] for given in (grid, block)]
        (x, *rest), threads = sizes[0], math.prod(sizes[1])
        if not (0 < x < 1 << 31 and all(0 < each < 1 << 16 for each in rest) and threads > 0):
            raise CUDARuntimeError(INVALID_VALUE)
        if threads > min(MOST_THREADS, self.max_threads_per_block):
            raise CUDARuntimeError(INVALID_VALUE)
        if threads * self.registers > REGISTERS:
            raise CUDARuntimeError(OUT_OF_RESOURCES)


def _bounds(text, entry):
    """The most threads of a block by the bounds of the kernel, and the most registers by them."""
    defined = dict(re.findall(r"#define (\w+) (\d+)", text))
    header = re.search(rf"__global__ void (\w*) ?{entry}\(", text)
    if not (header and header[1] == "EMUL_BOUNDS"):
        return MOST_THREADS, MOST_REGISTERS
    threads, blocks = int(defined["EMUL_THREADS"]), int(defined["EMUL_BLOCKS"])
    return threads, min(MOST_REGISTERS, REGISTERS // (threads * blocks) // 8 * 8)


class PtxKernel(Kernel):
    """The kernel that CuPy would launch, with its PTX carried out."""

    def __init__(self, text, entry, options):
        kernel, self.loaded = in_ptx(text, entry, options), False
        self.clock = Clock(_clock_of(entry))
        self.launcher = partial(kernel.launch, clock=self.clock)
        self.max_threads_per_block, self.registers = _bounds(text, entry)


class RawModule:
    """Compiles as C++, or with the options that CuPy compiles with to PTX that is carried out."""

    def __init__(self, *, code, options):
        assert isinstance(code, str)
        assert isinstance(options, tuple)
        self.code, self.options = code, options

    def get_function(self, name):
        if driver.ptx:
            return PtxKernel(self.code, name, nvrtc.as_cupy(self.options, "compute_90"))
        return Kernel(self.code, name, HostDevice().folder)


class Device:
    def __init__(self, number=None):
        self.id = driver.number if number is None else number
        if not 0 <= self.id < len(driver.gpus):
            raise CUDARuntimeError(INVALID_DEVICE)
        self.before = []

    def use(self):
        driver.here.number = self.id

    def __enter__(self):
        self.before.append(driver.number)
        self.use()
        return self

    def __exit__(self, *_):
        driver.here.number = self.before.pop()


class ndarray:  # noqa: N801 - the name in CuPy
    """An array of a device: nobody reads or writes it but by work that is queued."""

    def __init__(self, gpu, there, owner):
        self.gpu, self.there, self.owner = gpu, there, owner
        self.shape, self.strides, self.dtype = there.shape, there.strides, there.dtype
        self.ndim, self.size, self.nbytes = there.ndim, there.size, there.nbytes

    @property
    def data(self):
        whole = isinstance(self.owner, Memory) and not len(self.owner.block)
        return SimpleNamespace(ptr=0 if whole else self.there.__array_interface__["data"][0])

    @property
    def device(self):
        return Device(self.gpu.number)

    @property
    def flags(self):
        return self.there.flags

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed: use .get()")

    def __len__(self):
        return len(self.there)

    def __iter__(self):
        return (self[each] for each in range(len(self)))

    def __getitem__(self, which):
        return ndarray(self.gpu, self.there[which], self.owner)

    def __setitem__(self, which, value):
        into = self[which]
        if isinstance(value, ndarray):
            copyto(into, value)
        elif value == 0 and into.flags.c_contiguous:
            driver.stream().queue(partial(into.there.fill, 0))
        else:
            _elementwise(into, into, partial(into.there.fill, value))

    def __iadd__(self, other):
        _elementwise(self, other, partial(np.add, self.there, other.there, out=self.there))
        return self

    def view(self, dtype):
        return ndarray(self.gpu, self.there.view(dtype), self.owner)

    def reshape(self, *shape):
        view = self.there.reshape(*shape)
        assert not view.size or np.may_share_memory(view, self.there), "a copy, by a kernel"
        return ndarray(self.gpu, view, self.owner)

    def set(self, array, stream=None):
        if type(array) is not np.ndarray:
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != array.dtype:
            raise TypeError(f"{array.dtype} array cannot be set to {self.dtype} array")
        if self.shape != array.shape:
            raise ValueError(f"Shape mismatch: {self.shape} != {array.shape}")
        if not self.flags.c_contiguous:
            raise RuntimeError("Cannot set to non-contiguous array")
        stream = stream or driver.stream()
        stream.refuse(RuntimeError("set() of a stream that captures"))
        copied = array.copy()
        stream.queue(partial(np.copyto, self.there, copied))

    def get(self):
        stream = driver.stream(self.gpu)
        stream.refuse(RuntimeError("get() of a stream that captures"))
        with Device(self.gpu.number):
            if self.flags.c_contiguous:
                stream.queue(lambda: None)
            else:
                _elementwise(self, self, lambda: None)
            stream.synchronize()
        return np.array(self.there)

    def __dlpack_device__(self):
        return DL_CUDA, self.gpu.number

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A capsule, which is ordered behind what is queued here before the stream that asks."""
        if stream == 0:
            raise ValueError("stream 0 is ambiguous in DLPack: needed 1 for the default one")
        if stream not in (None, -1):
            asking = driver.by_pointer[0 if stream == 1 else stream, self.gpu.number]
            with self.device:
                ready = Event()
                ready.record()
            asking.wait_event(ready)
        plain = self.dtype.kind in "iufb"
        there = self.there if plain else self.there.view(np.uint16)
        capsule = there.__dlpack__(max_version=max_version)
        tensor = tensor_in(capsule)
        tensor.device, tensor.number = DL_CUDA, self.gpu.number
        tensor.code = tensor.code if plain else DL_BFLOAT
        return capsule


def _aligned(*arrays):
    """Whether a kernel can load each element of ``arrays``."""
    for each in arrays:
        steps = [s for n, s in zip(each.shape, each.strides, strict=True) if n > 1]
        if each.size and any(step % each.dtype.itemsize for step in [each.data.ptr, *steps]):
            return False
    return True


def _elementwise(target, source, act):
    """Queue a kernel of CuPy's own, compiled for types and dimensions.

    Nothing that is queued holds an array: its memory may go back while it is in use.
    """
    stream = driver.stream()
    if any(each.gpu is not stream.gpu for each in (target, source)):
        raise ValueError("Array device must be same as the current device")
    driver.compile(("copy", str(source.dtype), str(target.dtype), target.ndim))

    aligned = _aligned(target, source)

    def kernel():
        if not aligned:
            raise CUDARuntimeError(MISALIGNED)
        act()

    stream.queue(kernel)


def copyto(target, source):
    """By a plain copy of memory where both lie side by side, else by a kernel."""
    if not all(isinstance(each, ndarray) for each in (target, source)):
        raise TypeError("needed arrays of CuPy")
    if not np.can_cast(source.dtype, target.dtype, "same_kind"):
        raise TypeError(f"Cannot cast {source.dtype} to {target.dtype} in same_kind casting mode")

    act = partial(np.copyto, target.there, source.there)
    plain = source.flags.c_contiguous and target.flags.c_contiguous
    if plain and (target.dtype, target.shape) == (source.dtype, source.shape):
        driver.stream().queue(act)
    else:
        _elementwise(target, source, act)


def from_dlpack(array):
    """A view, ordered behind what the other library has queued; needs the whole protocol."""
    if not all(hasattr(array, name) for name in ("__dlpack__", "__dlpack_device__")):
        raise TypeError("Object does not support DLPack")
    kind, number = array.__dlpack_device__()
    if kind not in (DL_CUDA, DL_MANAGED):
        raise BufferError("CPU arrays cannot be directly imported to CuPy")
    with Device(int(number)):
        asking = driver.stream().ptr or 1
        try:
            capsule = array.__dlpack__(stream=asking, max_version=(1, 0))
        except TypeError:
            capsule = array.__dlpack__(stream=asking)
        held = FromCapsule(capsule)
        if tensor_in(capsule).device not in (DL_CUDA, DL_MANAGED):
            raise BufferError("the capsule is not of the GPU's memory")
        return ndarray(driver.gpu, held.array(), held)


class FakeCupy:
    """What ``import cupy`` returns, on a machine of ``gpus``; ``room`` bytes are free on each.

    ``ptx``: the PTX of kernels is carried out, which takes NVRTC, in place of their C++.
    """

    ndarray = ndarray
    RawModule = RawModule
    copyto = staticmethod(copyto)
    from_dlpack = staticmethod(from_dlpack)

    def __init__(self, room=MANAGED_BYTES, *, gpus=1, version="14.2.0", ptx=EVERY):
        global driver
        self.__version__ = version
        self.driver = driver = Driver(gpus, room, ptx)
        runtime = SimpleNamespace(
            getDeviceProperties=self.properties,
            memGetInfo=self.memory,
            driverGetVersion=lambda: 13020,
            runtimeGetVersion=lambda: 13000,
            getDevice=lambda: driver.number,
            CUDARuntimeError=CUDARuntimeError,
        )
        self.cuda = SimpleNamespace(
            Device=Device,
            Event=Event,
            Stream=Stream,
            get_current_stream=lambda: driver.stream(),
            get_elapsed_time=get_elapsed_time,
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            runtime=runtime,
        )

    def properties(self, number):
        if not 0 <= number < len(self.driver.gpus):
            raise CUDARuntimeError(INVALID_DEVICE)
        name = f"NVIDIA Stand-in {number}" if number else "NVIDIA Stand-in"
        return {"name": name.encode(), "multiProcessorCount": 2, "major": 9, "minor": 0}

    def memory(self):
        self.driver.gpu.check()
        return self.driver.gpu.room, MANAGED_BYTES

    def get_default_memory_pool(self):
        return self.driver.gpu.pool

    def empty(self, shape, dtype):
        dtype = np.dtype(dtype)
        if dtype.name == "bfloat16":
            error = ValueError("Unsupported dtype bfloat16")
            if int(self.__version__.split(".")[0]) < 14:
                raise error
            bfloat16_of(error)
        gpu = self.driver.gpu
        gpu.check()
        self.driver.stream().refuse(RuntimeError("allocated while a stream captures"))
        nbytes = math.prod(shape) * dtype.itemsize
        memory = Memory(gpu, nbytes)
        there = memory.block[:nbytes].view(dtype).reshape(shape)
        return ndarray(gpu, there, memory)

    def asnumpy(self, array):
        if not isinstance(array, ndarray):
            raise TypeError("needed an array of CuPy")
        return array.get()
