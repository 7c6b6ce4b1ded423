"""The Device of CuPy, on what stands in for CuPy where there is no GPU, and on a real one."""

import time

import fake_cupy
import ml_dtypes
import numpy as np
import pytest
from fake_cupy import FakeCupy
from host_device import COMPILER, WITHOUT_COMPILER

from emul import CapacityError, DTypeError
from emul.ops.buffers import Buffers
from emul.ops.cuda import GpuOps, Source
from emul.ops.cuda.arrays import DeviceArrays
from emul.ops.cuda.choice import find_gpu, probe
from emul.ops.cuda.cupy_device import CupyDevice
from emul.ops.cuda.pacing import Pace, tick_ns
from emul.plans import COLLECTIVES, Program, Shape, build_plan

pytestmark = pytest.mark.skipif(COMPILER is None, reason=WITHOUT_COMPILER)
ROWS = np.arange(20, dtype=np.float32).reshape(4, 5)


@pytest.fixture(params=["stand-in", pytest.param("cupy", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "stand-in":
        yield CupyDevice(FakeCupy(), 0)
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
    source = Source("copy", "int8")
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
    device = CupyDevice(FakeCupy(), 0)
    array, queued = device.upload(ROWS), []
    stream = fake_cupy.Stream(non_blocking=True)
    stream.queue = lambda work: queued.append(work)
    replay = device.captured(lambda: device.copy(array, array))
    with stream:
        device.copy(array, array)
        device.write(array, ROWS)
        device.launch(device.kernel(Source("tick")), 1, 1, (np.uint64(0), np.int32(0)))
        replay()
    assert len(queued) == 4


def test_an_old_cupy_is_refused(monkeypatch):
    from emul.ops.cuda.cupy_device import import_cupy

    old = FakeCupy()
    old.__version__ = "12.3.0"
    monkeypatch.setitem(__import__("sys").modules, "cupy", old)
    with pytest.raises(ImportError, match=r"CuPy 12\.3\.0: needed 13 or newer"):
        import_cupy()
