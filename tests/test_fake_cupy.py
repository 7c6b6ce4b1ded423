"""What stands in for CuPy is no kinder than CuPy: each way in which it once was, and a real one's.

They are named in ``KINDER``; a test has the name of its entry.
"""

import sys
import threading
import time
from contextlib import contextmanager

import fake_cupy
import ml_dtypes
import numpy as np
import pytest
from fake_cupy import FakeCupy
from gpus import Tensor
from host_device import COMPILER, WITHOUT_COMPILER

from emul.ops.cuda import NVRTC_OPTIONS, KernelSource

ROWS = np.arange(24, dtype=np.float32).reshape(4, 6)
MISALIGNED, CAPTURING, INVALID_VALUE = 716, 900, 1
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

KINDER = {
    "arguments": "took any text and options",
    "alignment": "copied elements that no GPU can load",
    "set_while_capturing": "recorded what CuPy refuses",
    "threads": "had one current stream for all threads",
    "events": "was done at once",
    "faults": "raised errors at the call, and forgot them",
    "streams": "kept the order of the calls between streams",
    "bfloat16": "always knew it",
    "dlpack": "took an attribute of a class of the tests",
    "first_launch": "cost nothing",
    "limits": "launched any blocks, and kernels that nobody had loaded",
    "compiles": "had all copies compiled",
    "devices": "had one device, and no other to confuse it with",
    "pool": "gave out bytes, from one place",
}


@pytest.fixture
def cupy():
    return FakeCupy(gpus=2)


@contextmanager
def held(stream):
    """Keep ``stream`` from going on for a while."""
    gate = threading.Event()
    stream.queue(lambda: gate.wait(2))
    try:
        yield
    finally:
        gate.set()


def uploaded(cupy, array, stream=None):
    there = cupy.empty(array.shape, array.dtype)
    there.set(array, stream=stream or cupy.cuda.get_current_stream())
    return there


def status_of(act):
    with pytest.raises(fake_cupy.CUDARuntimeError) as error:
        act()
    return error.value.status


def misaligned(cupy):
    """Two rows of float32 that begin two bytes off."""
    there = uploaded(cupy, np.zeros(64, np.uint8))
    view = np.ndarray((2, 3), np.float32, there.there, offset=2, strides=(16, 4))
    return type(there)(there.gpu, view, there.owner)


def kernel_of(cupy, name, **more):
    if COMPILER is None:
        pytest.skip(WITHOUT_COMPILER)
    source = KernelSource(name, **more)
    return cupy.RawModule(code=source.text, options=NVRTC_OPTIONS).get_function(source.entry)


def test_every_way_has_a_test():
    assert len(KINDER) == 14
    assert all(f"test_{name}" in globals() for name in KINDER)


@pytest.mark.parametrize("wrong", [{"code": b"text"}, {"options": list(NVRTC_OPTIONS)}])
def test_arguments(cupy, wrong):
    with pytest.raises(AssertionError):
        cupy.RawModule(**{"code": "text", "options": NVRTC_OPTIONS, **wrong})


@pytest.mark.parametrize("act", ["copy", "into", "fetch", "fill"])
def test_alignment(cupy, act):
    view, whole = misaligned(cupy), cupy.empty((2, 3), np.float32)
    if act == "fetch":
        assert status_of(lambda: cupy.asnumpy(view)) == MISALIGNED
        return
    if act == "fill":
        view[:, 1:] = 0
    else:
        cupy.copyto(*((whole, view) if act == "copy" else (view, whole)))
    assert status_of(cupy.cuda.get_current_stream().synchronize) == MISALIGNED


def test_alignment_does_not_matter_where_memory_is_copied_plainly(cupy):
    row = misaligned(cupy)[0]
    cupy.copyto(row, uploaded(cupy, ROWS[0, :3]))
    assert np.array_equal(cupy.asnumpy(row), ROWS[0, :3])


def test_set_while_capturing(cupy):
    there = uploaded(cupy, ROWS)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        for act in (
            lambda: there.set(ROWS, stream=stream),
            there.get,
            stream.synchronize,
            lambda: cupy.empty((3,), np.int8),
        ):
            stream.begin_capture()
            with pytest.raises(RuntimeError):
                act()
            with pytest.raises(RuntimeError):
                stream.end_capture()  # what was captured is of no use
    with pytest.raises(RuntimeError, match="default"):
        cupy.cuda.get_current_stream().begin_capture()


def test_threads(cupy):
    found = []
    with cupy.cuda.Stream() as stream, cupy.cuda.Device(1):

        def look():
            found.append((cupy.cuda.get_current_stream(), cupy.cuda.runtime.getDevice()))

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        look()
    assert found[0][0].ptr == 0
    assert found[0][1:] == (0,)
    assert found[1][0].gpu.number == 1
    assert found[0][0] is not stream


def test_events(cupy):
    stream, event = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event()
    later = cupy.cuda.Event()
    with held(stream):
        event.record(stream)
        assert not event.done
    began = time.monotonic()
    stream.queue(lambda: time.sleep(0.05))
    later.record(stream)
    later.synchronize()
    assert time.monotonic() - began >= 0.05
    assert event.done
    assert later.done
    assert cupy.cuda.get_elapsed_time(event, later) >= 50
    with pytest.raises(RuntimeError):
        cupy.cuda.get_elapsed_time(event, cupy.cuda.Event(disable_timing=True))


def test_faults(cupy):
    stream, event = cupy.cuda.get_current_stream(), cupy.cuda.Event()
    view, whole, ran = misaligned(cupy), cupy.empty((2, 3), np.float32), []
    with held(stream):
        cupy.copyto(whole, view)  # says nothing yet
        stream.queue(lambda: ran.append(1))
        event.record()
    stream.drain()
    assert not event.done
    assert not ran
    for act in (stream.synchronize, event.synchronize, whole.get, event.record):
        assert status_of(act) == MISALIGNED
    assert status_of(lambda: cupy.copyto(whole, whole)) == MISALIGNED
    assert status_of(lambda: cupy.empty((1,), np.int8)) == MISALIGNED
    with cupy.cuda.Device(1):
        assert np.array_equal(uploaded(cupy, ROWS).get(), ROWS)


def test_streams(cupy):
    one, other = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    there = uploaded(cupy, ROWS * 0)
    cupy.cuda.get_current_stream().synchronize()
    event = cupy.cuda.Event()
    with held(one):
        there.set(ROWS, stream=one)
        event.record(one)
        with other:
            assert not there.get().any()  # nobody has waited
            other.wait_event(event)
        assert not there.get().any()  # nor does the default stream
    with other:
        assert np.array_equal(there.get(), ROWS)


def test_streams_that_block_wait_for_the_default_one(cupy):
    null, blocking = cupy.cuda.get_current_stream(), cupy.cuda.Stream()
    there = uploaded(cupy, ROWS * 0)
    null.queue(lambda: time.sleep(0.05))
    there.set(ROWS, stream=null)
    with blocking:
        assert np.array_equal(there.get(), ROWS)


def test_bfloat16(cupy, monkeypatch):
    there = uploaded(cupy, ROWS.astype(BFLOAT16))
    assert cupy.from_dlpack(there).dtype == BFLOAT16
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(NotImplementedError):
        cupy.from_dlpack(there)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cupy.empty((3,), BFLOAT16)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="Unsupported dtype"):
        FakeCupy(version="13.6.0").empty((3,), BFLOAT16)


class Producer(Tensor):
    """Keeps what it is asked for; ``capsule`` is what it gives if not that of its memory."""

    def __init__(self, memory, capsule=None, versions=True):
        super().__init__(memory)
        self.asked, self.capsule, self.versions = [], capsule, versions

    def __dlpack__(self, **asked):
        self.asked.append(asked)
        if not self.versions and "max_version" in asked:
            raise TypeError("unexpected keyword")
        return self.memory.__dlpack__(**asked) if self.capsule is None else self.capsule


def test_dlpack(cupy):
    there = uploaded(cupy, ROWS)
    for tensor in (Producer(there), Producer(there, versions=False)):
        view = cupy.from_dlpack(tensor)
        assert np.array_equal(view.get(), ROWS)
        assert view.data.ptr == there.data.ptr
        assert tensor.asked[-1]["stream"] == 1
    assert tensor.asked[0]["max_version"] == (1, 0)
    with cupy.cuda.Stream() as stream:
        tensor = Producer(there)
        cupy.from_dlpack(tensor)
        assert tensor.asked[0]["stream"] == stream.ptr
    for wrong in (ROWS, Producer(there, capsule=object()), Producer(there, ROWS.__dlpack__())):
        with pytest.raises((BufferError, ValueError)):
            cupy.from_dlpack(wrong)
    with pytest.raises(TypeError):
        cupy.from_dlpack(object())
    with pytest.raises(ValueError, match="ambiguous"):
        there.__dlpack__(stream=0)
    with pytest.raises(TypeError, match="Implicit"):
        np.asarray(there)


def test_dlpack_is_ordered_behind_the_other_library(cupy):
    producing = cupy.cuda.Stream(non_blocking=True)
    there = uploaded(cupy, ROWS * 0)
    cupy.cuda.get_current_stream().synchronize()
    with producing:
        producing.queue(lambda: time.sleep(0.03))
        there.set(ROWS, stream=producing)

        class Theirs(Tensor):
            def __dlpack__(self, **asked):
                with producing:
                    return self.memory.__dlpack__(**asked)

    with cupy.cuda.Stream(non_blocking=True):
        assert np.array_equal(cupy.from_dlpack(Theirs(there)).get(), ROWS)


def test_first_launch(cupy):
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        graph = stream.end_capture()
        took = []
        for _ in range(2):
            began = time.perf_counter()
            graph.launch()
            took.append(time.perf_counter() - began)
    assert took[0] >= fake_cupy.FIRST_LAUNCH_S


def test_limits(cupy):
    nothing = (np.uint64(0), np.int32(0))
    tick, reduce = kernel_of(cupy, "tick"), kernel_of(cupy, "reduce")
    none = (*[np.uint64(0)] * 4, *[np.int64(0)] * 3)
    reduce((1,), (256,), none)
    for kernel, grid, block, status in (
        (reduce, (1,), (257,), INVALID_VALUE),  # its bounds
        (tick, (1,), (1025,), INVALID_VALUE),
        (tick, (1,), (512,), 701),  # of 255 registers each
        (tick, (0,), (1,), INVALID_VALUE),
        (tick, (1, 1 << 16), (1,), INVALID_VALUE),
    ):
        arguments = nothing if kernel is tick else none
        launch = (grid, block, arguments)
        assert status_of(lambda kernel=kernel, launch=launch: kernel(*launch)) == status
    with pytest.raises(TypeError):
        tick((1,), (1,), (0, 0))
    unloaded = kernel_of(cupy, "tick")
    with cupy.cuda.Stream(non_blocking=True) as stream:
        stream.begin_capture()
        assert status_of(lambda: unloaded((1,), (1,), nothing)) == CAPTURING
    tick((1,), (1,), (np.uint64(np.zeros(1).ctypes.data), np.int32(1)))  # of the host
    assert status_of(cupy.cuda.get_current_stream().synchronize) == 700


def test_compiles(cupy):
    there, packed = uploaded(cupy, ROWS), cupy.empty((4, 3), np.float32)
    cupy.copyto(cupy.empty(ROWS.shape, ROWS.dtype), there)
    there[0] = 0
    there.get()
    assert cupy.driver.compiled == []
    for _ in range(2):
        cupy.copyto(packed, there[:, ::2])
    assert len(cupy.driver.compiled) == 1
    packed[:, 1:] = 0
    cupy.copyto(packed, uploaded(cupy, ROWS[:, :3].astype(np.float16)))
    assert len(cupy.driver.compiled) == 2


def test_devices(cupy):
    kernel = kernel_of(cupy, "tick")
    with cupy.cuda.Device(1):
        assert cupy.cuda.runtime.getDevice() == 1
        other, event = uploaded(cupy, ROWS), cupy.cuda.Event()
        stream = cupy.cuda.Stream()
    assert cupy.cuda.runtime.getDevice() == 0
    assert other.device.id == 1
    assert np.array_equal(other.get(), ROWS)
    with pytest.raises(ValueError, match="device"):
        cupy.copyto(other[:, ::2], other[:, 1::2])
    assert status_of(event.record) == 400
    with stream:
        assert cupy.cuda.get_current_stream() is not stream  # which is that of GPU 1
    assert status_of(lambda: other.set(ROWS, stream=stream)) == 400
    assert status_of(lambda: cupy.cuda.Device(2)) == 101
    kernel((1,), (1,), (np.uint64(other.data.ptr), np.int32(1)))
    assert status_of(cupy.cuda.get_current_stream().synchronize) == 700


def test_pool():
    cupy = FakeCupy(room=4096)
    pool, stream = cupy.get_default_memory_pool(), cupy.cuda.Stream()
    small = cupy.empty((1,), np.int8)
    assert pool.used_bytes() == 512
    assert cupy.cuda.runtime.memGetInfo()[0] == 4096 - 512
    assert cupy.empty((0, 3), np.int8).data.ptr == 0
    place = small.data.ptr
    del small
    assert (pool.used_bytes(), pool.free_bytes()) == (0, 512)
    with stream:
        assert cupy.empty((512,), np.int8).data.ptr != place  # of another arena
    assert cupy.empty((512,), np.int8).data.ptr == place
    cupy.empty((3585,), np.int8)  # for which the arenas are emptied
    with pytest.raises(MemoryError):
        cupy.empty((4097,), np.int8)
    pool.set_limit(1024)
    with pytest.raises(MemoryError):
        cupy.empty((1025,), np.int8)


def test_memory_goes_back_while_it_is_in_use():
    """Another stream may still be at it: whoever frees it has to wait first."""
    cupy = FakeCupy()
    one, other = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    with one:
        there = uploaded(cupy, ROWS)
        one.synchronize()
    into = cupy.empty(ROWS.shape, ROWS.dtype)
    with held(other), other:
        cupy.copyto(into, there)
        del there
        with one:
            uploaded(cupy, ROWS + 1)
            one.synchronize()
    other.synchronize()
    assert np.array_equal(into.get(), ROWS + 1)
