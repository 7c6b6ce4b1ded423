"""The Device of CuPy, on what stands in for CuPy where there is no GPU, and on a real one."""

import inspect
import sys
import threading
import time
import types
import warnings

import fake_cupy
import ml_dtypes
import numpy as np
import pytest
from fake_cupy import FakeCupy
from gpus import SMALL, Tensor, found, needs_compiler
from ptx import BUILDS, in_each
from test_world import call

from emul import BackendError, CapacityError, DTypeError, World
from emul.memory import ALWAYS_THERE_BYTES
from emul.ops.buffers import Buffers
from emul.ops.cuda import GpuOps, KernelSource, choice, cupy_device
from emul.ops.cuda.choice import find_gpu, probe
from emul.ops.cuda.cupy_device import CupyDevice
from emul.ops.cuda.device_arrays import DeviceArrays
from emul.ops.cuda.device_ops import DeviceOps
from emul.ops.cuda.pacing import START, Pace, Reckoning, tick_ns
from emul.plans import COLLECTIVES, Program, Shape, build_plan

RANKS = SMALL.world_size
ROWS = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.fixture(params=[*in_each([()], [()]), pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request):
    if request.param in BUILDS:
        needs_compiler()
        yield CupyDevice(FakeCupy(ptx=request.param == "PTX"), 0)
        return
    found = find_gpu()
    if found.device is None:
        pytest.skip(found.reason)
    with found.device.current():
        yield found.device


def test_arrays_go_there_and_come_back(device):
    array = device.upload(ROWS)
    assert device.is_array(array)
    assert not device.is_array(ROWS)
    assert np.array_equal(device.download(array), ROWS)
    assert device.pointer(array[1:]) == device.pointer(array) + 20
    copied = device.empty(ROWS.shape, ROWS.dtype)
    assert device.pointer(copied) % 16 == 0
    device.copy(copied[:, ::2], array[:, ::2])
    assert np.array_equal(device.download(copied)[:, ::2], ROWS[:, ::2])
    arrays = DeviceArrays(device)
    assert arrays.overlap(array[1:], array[:2])
    assert not arrays.overlap(array, copied)


def test_a_kernel_runs_on_it(device):
    probe(device)
    least, median = tick_ns(device)
    assert 0 < least <= median


def test_a_probe_that_computes_wrongly_is_not_believed(device, monkeypatch):
    plain = device.launch
    monkeypatch.setattr(device, "launch", lambda *launch: None)
    with pytest.raises(RuntimeError, match="does not add up"):
        probe(device)
    monkeypatch.setattr(device, "launch", plain)
    probe(device)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_subnormal_numbers_are_kept(device, dtype):
    """CuPy asks for zeros in their place, after all that it is given."""
    rows = np.full((2, 40), 1e-40).astype(dtype)
    shape = Shape(COLLECTIVES["all_reduce"], 2, 40)
    program = Program.of(build_plan("all_reduce", "ring", (2,)), shape, rows.itemsize)
    given = Buffers(
        shape.collective, 2, device.upload(rows), None, None, arrays=DeviceArrays(device)
    )
    for reduction, expected in (("sum", rows + rows), ("min", rows)):
        reduced = GpuOps(device, stepwise=True).perform(program, given, reduction, 0)
        assert device.download(reduced).tobytes() == expected.tobytes()


def test_what_is_captured_runs_when_it_is_replayed(device):
    array, target = device.upload(ROWS), device.upload(ROWS * 0)
    replay = device.captured(lambda: device.copy(target, array))
    assert not device.download(target).any()
    replay()
    assert np.array_equal(device.download(target), ROWS)
    device.write(array, ROWS + 1)
    replay()
    assert np.array_equal(device.download(target), ROWS + 1)


def test_a_pace_is_kept(device):
    due_ns, began_ns = np.array([2_000_000, 5_000_000]), time.monotonic_ns()
    late_ns = Pace(device, [(), ()]).run(due_ns, began_ns)
    assert time.monotonic_ns() - began_ns >= 5_000_000
    assert (late_ns >= 0).all()


def test_kernels_are_compiled_once(device):
    source = KernelSource("copy", "int8")
    assert device.kernel(source) is device.kernel(source)


def test_time_is_that_of_the_device(device):
    array = device.upload(ROWS)
    assert 0 < device.elapsed_s(lambda: device.copy(array, array)) < 10


def test_facts_name_the_device(device):
    facts = device.facts()
    assert facts["device"] == device.name
    assert facts["multiprocessors"] == str(device.multiprocessors)
    assert all(isinstance(each, str) for each in facts.values())


def test_no_room_is_said_with_what_was_needed(device):
    with pytest.raises(CapacityError, match=r"TiB could not be allocated .* fewer ranks"):
        device.empty((1 << 42,), np.dtype(np.uint8))
    assert device.free_bytes() > 0


def test_an_element_type_that_cupy_does_not_know_is_refused(monkeypatch):
    device = CupyDevice(FakeCupy(), 0)

    def empty(shape, dtype):
        raise ValueError("Unsupported dtype bfloat16")

    monkeypatch.setattr(device.cupy, "empty", empty)
    with pytest.raises(DTypeError, match=r"has no arrays of bfloat16 .*: needed CuPy 14"):
        device.empty((3,), np.dtype(ml_dtypes.bfloat16))


def test_free_bytes_keep_to_the_limit_of_the_pool():
    cupy = FakeCupy(room=1000)
    device = CupyDevice(cupy, 0)
    assert device.free_bytes() == 1000
    pool = {"free_bytes": lambda: 50, "used_bytes": lambda: 30, "get_limit": lambda: 200}
    cupy.get_default_memory_pool = lambda: type(
        "Pool", (), {k: staticmethod(v) for k, v in pool.items()}
    )
    assert device.free_bytes() == 170


def test_work_goes_to_the_current_stream():
    needs_compiler()
    device = CupyDevice(FakeCupy(), 0)
    array, queued = device.upload(ROWS), []
    stream = fake_cupy.Stream(non_blocking=True)
    stream.queue = lambda work: queued.append(work)
    replay = device.captured(lambda: device.copy(array, array))
    with stream:
        device.copy(array, array)
        device.write(array, ROWS)
        device.launch(device.kernel(KernelSource("tick")), 1, 1, (np.uint64(0), np.int32(0)))
        replay()
    assert len(queued) == 4


def test_an_old_cupy_is_refused(monkeypatch):
    from emul.ops.cuda.cupy_device import import_cupy

    old = FakeCupy()
    old.__version__ = "12.3.0"
    monkeypatch.setitem(sys.modules, "cupy", old)
    with pytest.raises(ImportError, match=r"CuPy 12\.3\.0: needed 13 or newer"):
        import_cupy()


def test_what_was_uploaded_is_there_on_every_stream():
    """Tables are kept, and used by calls on other streams, of other threads."""
    device, gate = CupyDevice(FakeCupy(), 0), threading.Event()
    one, other = (fake_cupy.Stream(non_blocking=True) for _ in range(2))
    one.queue(lambda: gate.wait(2))
    threading.Timer(0.02, gate.set).start()
    with one:
        array = device.upload(ROWS)
    with other:
        assert np.array_equal(device.download(array), ROWS)


def test_tables_are_held_until_a_call_is_done(monkeypatch):
    """Another thread may drop them, and what it allocates then takes their place."""
    needs_compiler()
    device = CupyDevice(FakeCupy(), 0)
    ops, host = DeviceOps(device), np.ones((RANKS, 9), np.float32)
    world, sizes = World(SMALL, backend=ops), []
    one, other = (fake_cupy.Stream(non_blocking=True) for _ in range(2))
    plain, empty = device.synchronize, device.empty
    monkeypatch.setattr(device, "empty", lambda *of: (sizes.append(of), empty(*of))[1])
    x = device.upload(host)
    with one:
        world.all_reduce(x, algorithm="ring")
        plain()

    def synchronize():
        ops._fused._tapes.cache_clear()
        with one:
            taken = [empty(*of) for of in sizes]
            for each in taken:
                each[...] = 0
            plain()
        gate.set()
        plain()

    monkeypatch.setattr(device, "synchronize", synchronize)
    gate = threading.Event()
    with other:
        other.queue(lambda: gate.wait(2))
        output = world.all_reduce(x, algorithm="ring").output
        assert np.array_equal(output.get(), host * RANKS)


@pytest.mark.parametrize("clock", [{}, {"clock": "wall", "dilation": 1e-6}])
def test_calls_go_to_the_gpu_of_their_world(clock):
    """Whichever is current, and also where a call fails and its input is put back."""
    needs_compiler()
    cupy = FakeCupy(gpus=2)
    device, host = CupyDevice(cupy, 1), np.arange(RANKS * 8, dtype=np.float32).reshape(RANKS, 8)
    ops = DeviceOps(device)
    world, expected = World(SMALL, backend=ops, **clock), np.tile(host.sum(axis=0), (RANKS, 1))
    x = ops.arrays.from_host(host)
    assert x.device.id == 1
    run = world.all_reduce(x, algorithm="ring")
    assert np.array_equal(run.output.get(), expected)
    assert run.output.device.id == 1
    assert run.error == World(SMALL).all_reduce(host, algorithm="ring").error
    assert np.array_equal(world.all_reduce(Tensor(x)).output.memory.get(), expected)
    wide = ops.arrays.from_host(np.repeat(host, 2, axis=1))
    assert np.array_equal(world.all_reduce(wide[:, ::2]).output.get(), expected)
    assert world.all_reduce(x, out=x).output is x
    assert np.array_equal(x.get(), expected)
    assert cupy.cuda.runtime.getDevice() == 0
    with pytest.raises(DTypeError, match="on GPU 0: needed one on GPU 1"):
        world.all_reduce(CupyDevice(cupy, 0).upload(host))


def test_an_input_of_another_gpu_is_put_back(monkeypatch):
    needs_compiler()
    ops, host = DeviceOps(CupyDevice(FakeCupy(gpus=2), 1)), np.ones((RANKS, 16), np.float32)
    x = ops.arrays.from_host(host)[:, ::2]

    def fail(*_):
        raise KeyboardInterrupt

    world = World(SMALL, backend=ops, clock="wall", dilation=1e-6)
    monkeypatch.setattr("emul.ops.cuda.pacing._await", fail)
    with pytest.raises(KeyboardInterrupt):
        world.all_reduce(x, algorithm="ring", out=x)
    assert np.array_equal(x.get(), host[:, ::2])


def test_free_memory_is_that_of_the_gpu_of_the_world():
    cupy = FakeCupy(gpus=2, room=ALWAYS_THERE_BYTES)
    arrays = DeviceArrays(CupyDevice(cupy, 1))
    arrays.check_fits(ALWAYS_THERE_BYTES, "one")
    with cupy.cuda.Device(1):
        filled = cupy.empty((ALWAYS_THERE_BYTES,), np.uint8)
    with pytest.raises(CapacityError, match="0 B free on NVIDIA Stand-in 1"):
        arrays.check_fits(ALWAYS_THERE_BYTES, "another")
    assert filled.device.id == 1


def test_a_pace_waits_for_a_device_that_is_not_done_yet():
    """It looks at first, then it sleeps; nothing is done because it was asked for."""
    needs_compiler()
    device = CupyDevice(FakeCupy(), 0)
    reckoning, looks = Reckoning(device), []
    reckoning.renew()
    pace = Pace(device, [()], reckoning=reckoning)
    plain = fake_cupy.Event.done
    stream = fake_cupy.driver.stream()
    stream.queue(lambda: time.sleep(0.05))
    with pytest.MonkeyPatch.context() as patched:
        look = property(lambda self: (looks.append(1), plain.fget(self))[1])
        patched.setattr(fake_cupy.Event, "done", look)
        began = time.monotonic()
        late_ns = pace.run(np.array([1_000_000]), time.monotonic_ns())
    assert time.monotonic() - began >= 0.05
    assert late_ns[0] >= 40_000_000
    assert len(looks) > 1


def test_a_fault_is_raised_and_not_waited_for():
    needs_compiler()
    device = CupyDevice(FakeCupy(), 0)
    pace, array = Pace(device, [()]), device.upload(ROWS)
    off = np.ndarray((2, 3), np.float32, array.there.view(np.uint8), offset=2, strides=(16, 4))
    off = type(array)(array.gpu, off, array.owner)
    device.copy(device.empty((2, 3), np.dtype(np.float32)), off)
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="716"):
        pace.run(np.array([2_000_000]), time.monotonic_ns())
    assert time.monotonic() - began < 2


def test_what_goes_wrong_while_capturing_is_what_is_raised():
    device = CupyDevice(FakeCupy(), 0)

    def queue():
        device.copy(array, array)
        device.download(array)

    array = device.upload(ROWS)
    with pytest.raises(RuntimeError, match="captures"):
        device.captured(queue)
    assert fake_cupy.driver.stream().null


def test_a_kernel_is_loaded_before_it_is_captured_also_without_assertions():
    needs_compiler()
    module = types.ModuleType("optimized")
    exec(compile(inspect.getsource(cupy_device), "optimized", "exec", optimize=2), vars(module))
    device, tick = module.CupyDevice(FakeCupy(), 0), KernelSource("tick")
    moved = device.upload(np.zeros(4, np.int64))
    arguments = (np.uint64(device.pointer(moved)), np.int32(4))
    device.captured(lambda: device.launch(device.kernel(tick), 1, 1, arguments))()
    assert (device.download(moved) > 0).all()


def test_a_kernel_that_cupy_does_not_load_is_refused(monkeypatch):
    needs_compiler()
    monkeypatch.setattr(fake_cupy.Kernel, "num_regs", 0)
    with pytest.raises(BackendError, match="emul_tick was not loaded"):
        CupyDevice(FakeCupy(), 0).kernel(KernelSource("tick"))


def test_the_first_launch_of_a_graph_makes_no_step_late(monkeypatch):
    """What is due goes by the clock of the host, however long it takes until a device begins."""
    needs_compiler()
    monkeypatch.setattr(fake_cupy, "FIRST_LAUNCH_S", 0.15)
    ops, started = DeviceOps(CupyDevice(FakeCupy(), 0)), []
    x, out = (ops.arrays.from_host(np.ones((RANKS, 4), np.float32)) for _ in range(2))
    plain = ops.perform_on_time

    def perform(*given, due_ns, started_ns):
        started.append(started_ns)
        return plain(*given, due_ns=due_ns, started_ns=started_ns)

    monkeypatch.setattr(ops, "perform_on_time", perform)
    world = World(SMALL, backend=ops, clock="wall", dilation=1e-6)
    world.all_reduce(x, out=out, algorithm="direct:one_shot")
    (pace,) = ops._captured.values()
    began_ns = int(pace.table.get()[START])
    assert abs(began_ns - started[0]) < 100_000_000  # here both have one clock


def test_the_end_of_a_call_is_waited_for_by_the_host(monkeypatch):
    """The device is done before, by as much as the way back takes."""
    needs_compiler()
    monkeypatch.setattr("emul.ops.cuda.device_ops.RETURN_NS", 100_000_000)
    ops, ended_ns = DeviceOps(CupyDevice(FakeCupy(), 0)), []
    x = ops.arrays.from_host(np.ones((RANKS, 4), np.float32))
    modelled_s = World(SMALL, backend=ops).all_reduce(x, algorithm="direct:one_shot").time_s
    world = World(SMALL, backend=ops, clock="wall", dilation=0.25 / modelled_s)
    plain = ops.perform_on_time

    def perform(*given, due_ns, started_ns):
        result = plain(*given, due_ns=due_ns, started_ns=started_ns)
        ended_ns.append(time.monotonic_ns() - started_ns - int(due_ns[-1]))
        return result

    monkeypatch.setattr(ops, "perform_on_time", perform)
    run = world.all_reduce(x, algorithm="direct:one_shot")
    assert -150_000_000 < ended_ns[0] < 0
    assert run.step_lag_s[-1] == 0
    assert run.wall_s >= run.time_s * world.dilation


def test_packed_rows_need_no_kernel_of_cupy():
    """Each takes half a second to be compiled, when a call first needs it."""
    needs_compiler()
    cupy = FakeCupy()
    for clock in ({}, {"clock": "wall", "dilation": 1e-6}):
        ops = DeviceOps(CupyDevice(cupy, 0))
        world, host = World(SMALL, backend=ops, **clock), np.ones((RANKS, 12), np.float32)
        x, out = ops.arrays.from_host(host), ops.arrays.from_host(host)
        for name in ("all_reduce", "broadcast", "all_to_all"):
            call(world, name, x, 1)
        world.all_reduce(x, out=out)
        world.all_reduce(x, out=x)
    assert cupy.driver.compiled == []


def test_a_warning_on_the_way_to_a_gpu_does_not_hide_it(monkeypatch):
    """As CuPy gives one at its import; where warnings are errors, that would be kept for ever."""
    needs_compiler()

    def import_cupy():
        warnings.warn("several packages of CuPy are installed", UserWarning, stacklevel=1)
        return FakeCupy()

    choice._found.cache_clear()
    monkeypatch.setattr(choice, "import_cupy", import_cupy)
    monkeypatch.setattr(choice, "DRIVER", None)
    try:
        with pytest.warns(UserWarning, match="several packages"):
            gpu = choice._found(0)
    finally:
        choice._found.cache_clear()
    assert gpu == found(gpu.device)


def test_a_machine_without_headers_is_told_where_they_are(monkeypatch):
    choice._found.cache_clear()
    monkeypatch.setattr(choice, "import_cupy", FakeCupy)
    monkeypatch.setattr(choice, "DRIVER", None)

    def probe(device):
        raise RuntimeError("Failed to find CUDA headers")

    monkeypatch.setattr(choice, "probe", probe)
    try:
        reason = choice._found(0).reason
    finally:
        choice._found.cache_clear()
    assert reason == (
        "a kernel did not run on NVIDIA Stand-in; where there is only the driver, pip install "
        "'cupy-cuda13x[ctk]' brings CUDA's headers (Failed to find CUDA headers)"
    )
