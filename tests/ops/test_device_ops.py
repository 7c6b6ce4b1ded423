"""Whole calls on a device: on one that the CPU stands in for, and on a GPU where there is one."""

import threading

import numpy as np
import pytest
from gpus import (
    SMALL,
    FakeGpu,
    FoundGpu,
    OnDevice,
    StandIn,
    Tensor,
    found,
    imported,
    needs_compiler,
    real_gpu,
)
from ptx import BUILDS, in_each
from strategies import CASES
from test_world import call, input_for

from emul import ArgumentError, BackendError, CapacityError, DTypeError, World
from emul.ops import best_backend, ops_for
from emul.ops.cuda import choice
from emul.ops.cuda.device_ops import CAPTURED_AT_MOST
from emul.plans import COLLECTIVES

ON_A_GPU = pytest.param("cupy", marks=pytest.mark.gpu)
RANKS = SMALL.world_size
CLOCKS = {"virtual": {}, "wall": {"clock": "wall", "dilation": 1e-6}}


@pytest.fixture(params=[*in_each([()], []), "fake-cupy", ON_A_GPU])
def gpu(request, monkeypatch):
    """A GPU that ``auto`` finds: a stand-in that is built in one way or another, or a real one."""
    if request.param != "cupy":
        needs_compiler()
        build = BUILDS.get(request.param)
        gpu = FakeGpu() if request.param == "fake-cupy" else StandIn(build=build)
        device = gpu if isinstance(gpu, StandIn) else gpu.device
        monkeypatch.setattr(choice, "find_gpu", lambda: found(device))
        return gpu
    device = real_gpu()
    if device is None:
        pytest.skip(choice.find_gpu().reason)
    return device


@pytest.fixture(params=CLOCKS)
def clock(request):
    return CLOCKS[request.param]


def on_host(gpu, array):
    return gpu.download(array)


def ones_and_more(dtype=np.float32, count=53):
    return np.random.default_rng(0).integers(-9, 9, (RANKS, count)).astype(dtype)


@pytest.mark.covering(2)
@pytest.mark.parametrize(("collective", "algorithm"), CASES)
def test_calls_give_the_bits_of_numpy(gpu, clock, collective, algorithm):
    world, numpy = World(SMALL, **clock), World(SMALL, backend="numpy")
    host = input_for(world, collective, 5)
    expected = call(numpy, collective, host, 3, algorithm=algorithm)
    x = gpu.asarray(host)
    run = call(world, collective, x, 3, algorithm=algorithm)
    assert gpu.is_array(run.output)
    assert on_host(gpu, run.output).tobytes() == expected.output.tobytes()
    assert on_host(gpu, x).tobytes() == host.tobytes()
    assert run.time_s == expected.time_s
    if COLLECTIVES[collective].reduces:
        assert run.error == expected.error


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_out_is_written_and_returned(gpu, clock, collective):
    world = World(SMALL, **clock)
    host = input_for(world, collective, 5)
    expected = call(World(SMALL), collective, host, 1).output
    x, out = gpu.asarray(host), gpu.asarray(np.full(expected.shape, np.nan, np.float32))
    assert call(world, collective, x, 1, out=out).output is out
    assert np.array_equal(on_host(gpu, out), expected)


@pytest.mark.parametrize("algorithm", ["ring", "direct:one_shot", "hierarchical", "bruck"])
def test_in_place_gives_the_same_every_time(gpu, clock, algorithm):
    world, host = World(SMALL, **clock), ones_and_more()
    x = gpu.asarray(host)
    for times in range(1, 4):
        expected = host.astype(np.float64).sum(axis=0) * float(RANKS) ** (times - 1)
        assert world.all_reduce(x, algorithm=algorithm, out=x).output is x
        assert np.array_equal(on_host(gpu, x)[4], expected.astype(np.float32))


def test_strided_rows_are_used_as_they_lie(gpu, clock):
    world, host = World(SMALL, **clock), ones_and_more(count=40)
    wide, out = (
        gpu.asarray(np.repeat(host, 2, axis=1)),
        gpu.asarray(np.zeros((RANKS, 82), np.float32)),
    )
    for _ in range(2):
        world.all_reduce(wide[:, ::2], out=out[:, 1:81:2], algorithm="ring")
        assert np.array_equal(on_host(gpu, out)[:, 1:81:2], np.tile(host.sum(axis=0), (RANKS, 1)))
        assert not on_host(gpu, out)[:, ::2].any()


def test_vector_forms_are_filled_up_with_zeros(gpu, clock):
    world, counts = World(SMALL, **clock), np.arange(RANKS)
    host = ones_and_more(count=int(counts.sum()))
    expected = World(SMALL).reduce_scatter(host, counts=counts)
    run = world.reduce_scatter(gpu.asarray(host), counts=counts)
    assert np.array_equal(on_host(gpu, run.output), expected.output)
    assert run.error == expected.error


OFF = {
    "begins off": (2, (64, 4)),
    "rows off": (0, (66, 4)),
    "elements off": (0, (64, 6)),
    "backwards off": (64, (64, -6)),
}


@pytest.mark.parametrize("how", OFF)
def test_arrays_that_a_gpu_cannot_load_are_refused(gpu, clock, how):
    world, offset = World(SMALL, **clock), OFF[how][0]
    memory, x = gpu.asarray(np.zeros(512, np.uint8)), gpu.asarray(ones_and_more(count=8))
    off = gpu.view(memory, (RANKS, 8), np.float32, offset, OFF[how][1])
    said = rf"of float32 begins {offset % 4} bytes behind a multiple of 4, with strides .*: needed"
    for given in (off, Tensor(off))[: 1 + (how == "begins off")]:  # DLPack has no such strides
        with pytest.raises(DTypeError, match=f"input {said}"):
            world.all_reduce(given)
        with pytest.raises(DTypeError, match=f"out {said}"):
            world.all_reduce(x, out=given)
    assert not on_host(gpu, memory).any()


def test_arrays_whose_elements_lie_apart_or_backwards_are_taken(gpu, clock):
    """By multiples of their size; a stride that nobody goes by may be any."""
    world, host = World(SMALL, **clock), ones_and_more(count=8)
    memory = np.zeros(2048, np.uint8)
    views = [(512, (32, -4)), (512, (-32, 4)), (0, (4, 4 * RANKS)), (4, (68, 8))]
    for offset, strides in views:
        np.ndarray(host.shape, np.float32, memory, offset, strides)[...] = host
        x = gpu.view(gpu.asarray(memory), host.shape, np.float32, offset, strides)
        output = on_host(gpu, world.all_reduce(x, algorithm="ring").output)
        assert np.array_equal(output, np.tile(host.sum(axis=0), (RANKS, 1)))
    one = gpu.view(gpu.asarray(memory), (RANKS, 1), np.float32, 0, (32, 3))
    none = gpu.view(gpu.asarray(memory), (RANKS, 0), np.float32, 1, (32, 3))
    assert world.all_reduce(one).output.shape == (RANKS, 1)
    assert world.all_reduce(none).output.shape == (RANKS, 0)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_small_counts(gpu, clock, count):
    host = ones_and_more(count=count)
    run = World(SMALL, **clock).all_reduce(gpu.asarray(host), op="max")
    expected = np.tile(host.max(axis=0, initial=-np.inf), (RANKS, 1))
    assert np.array_equal(on_host(gpu, run.output), expected)


def test_dlpack_goes_in_and_comes_out_without_a_copy(gpu, clock):
    host, world = ones_and_more(), World(SMALL, **clock)
    x, out = Tensor(gpu.asarray(host)), Tensor(gpu.asarray(host * 0))
    run = world.all_reduce(x)
    assert isinstance(run.output, Tensor)
    assert np.array_equal(on_host(gpu, run.output.memory), np.tile(host.sum(axis=0), (RANKS, 1)))
    assert world.all_reduce(x, out=out).output is out
    assert np.array_equal(on_host(gpu, out.memory), on_host(gpu, run.output.memory))
    assert world.all_reduce(x, out=x).output is x
    assert np.array_equal(on_host(gpu, x.memory), on_host(gpu, out.memory))


def test_torch_goes_in_and_comes_out(gpu, clock):
    if isinstance(gpu, (StandIn, FakeGpu)):
        pytest.skip("needs a GPU")
    torch = imported("torch")
    world = World(SMALL, **clock)
    for kind in (torch.float32, torch.bfloat16, torch.int64):
        x = torch.ones((RANKS, 1001), dtype=kind, device=f"cuda:{gpu.number}")
        run = world.all_reduce(x)
        assert isinstance(run.output, torch.Tensor)
        assert (run.output == RANKS).all()
        assert world.all_reduce(x, out=x).output is x
        assert (x == RANKS).all()


def test_auto_goes_by_where_arrays_lie(gpu):
    world, host = World(SMALL), ones_and_more()
    assert world.ops.name == "cpu"
    assert type(world.all_reduce(host).output) is np.ndarray
    assert gpu.is_array(world.all_reduce(gpu.asarray(host)).output)
    assert best_backend() == "cupy"
    assert ops_for("cupy").name == "cupy"


def test_arrays_of_the_host_are_refused_by_a_gpu(gpu):
    world, host = World(SMALL, backend="cupy"), ones_and_more()
    with pytest.raises(DTypeError, match=r"input of type numpy.ndarray: needed an array on GPU 0"):
        world.all_reduce(host)
    with pytest.raises(DTypeError, match=r"out of type numpy.ndarray: needed an array on GPU 0"):
        world.all_reduce(gpu.asarray(host), out=host)
    with pytest.raises(DTypeError, match="input of type list: needed an array on GPU 0"):
        world.all_reduce([1])
    assert world.barrier().time_s > 0


def test_an_array_of_another_gpu_is_refused(gpu):
    if not isinstance(gpu, StandIn):
        pytest.skip("needs two GPUs: see tests/ops/test_cupy_device.py")
    other = gpu.asarray(ones_and_more()).view(OnDevice)
    other.gpu = 1
    with pytest.raises(DTypeError, match="on GPU 1: needed one on GPU 0"):
        World(SMALL).all_reduce(Tensor(other))


def test_overlapping_buffers_are_refused(gpu, clock):
    x = gpu.asarray(ones_and_more(count=48))
    with pytest.raises(ArgumentError, match="out overlaps the input"):
        World(SMALL, **clock).all_reduce(x[:, :24], out=x[:, 12:36])


def test_steps_are_told_by_how_much_they_were_late(gpu):
    host = ones_and_more()
    run = World(SMALL, clock="wall").all_reduce(gpu.asarray(host), algorithm="ring")
    assert run.step_lag_s.shape == (2 * (RANKS - 1),)
    assert (run.step_lag_s >= 0).all()
    assert run.wall_s >= run.time_s
    assert run.lag_s >= 0
    assert " late>" in repr(run)
    virtual = World(SMALL).all_reduce(gpu.asarray(host), algorithm="ring")
    assert virtual.step_lag_s is None


def test_what_was_captured_is_replayed_for_the_same_places(gpu, monkeypatch):
    world, host = World(SMALL, clock="wall", dilation=1e-6), ones_and_more()
    world.engine.ops = choice.DeviceOps(gpu)
    world.engine.by_arrays = False
    captured, plain = [], gpu.captured
    device = gpu if isinstance(gpu, StandIn) else gpu.device
    monkeypatch.setattr(device, "captured", lambda queue: (captured.append(1), plain(queue))[1])
    arrays = [gpu.asarray(host + i) for i in range(CAPTURED_AT_MOST + 1)]
    out = gpu.asarray(host)
    for x, i in ((arrays[0], 0), (arrays[0], 0), (arrays[1], 1), (arrays[0], 0)):
        world.all_reduce(x, out=out, algorithm="ring")
        assert np.array_equal(on_host(gpu, out)[3], (host + i).sum(axis=0))
    assert len(captured) == 2
    world.all_reduce(arrays[0], out=out, op="max", algorithm="ring")
    assert len(captured) == 3
    for x in arrays:
        world.all_reduce(x, out=out, algorithm="ring")
    assert len(world.ops._captured) == CAPTURED_AT_MOST
    assert world.ops.forget()
    assert not world.ops.forget()


def test_captured_calls_hold_no_array_of_the_caller():
    gpu, host = StandIn(), ones_and_more()
    world = World(SMALL, backend=choice.DeviceOps(gpu), clock="wall", dilation=1e-6)
    x, out = gpu.asarray(host), gpu.asarray(host)
    world.all_reduce(x, out=out, algorithm="direct:one_shot")
    (pace,) = world.ops._captured.values()
    assert all(array is not x and array is not out for array in pace.held)


def test_too_much_is_refused_before_it_is_allocated():
    gpu, host = StandIn(), ones_and_more(count=3 << 18)
    world = World(SMALL, backend=choice.DeviceOps(gpu))
    x = gpu.asarray(host)
    gpu.room = 17 << 20
    with pytest.raises(CapacityError, match=r"18 MiB needed, 17 MiB free on host: use a smaller"):
        world.all_reduce(x)
    gpu.room = 1 << 34
    assert np.array_equal(on_host(gpu, world.all_reduce(x).output)[0], host.sum(axis=0))


@pytest.mark.parametrize("clock", CLOCKS)
def test_an_allocation_that_fails_leaves_arrays_as_they_were(monkeypatch, clock):
    gpu, host = StandIn(), ones_and_more()
    world = World(SMALL, backend=choice.DeviceOps(gpu), **CLOCKS[clock])
    x, warm = gpu.asarray(host), gpu.asarray(host)
    world.all_reduce(warm, algorithm="ring")
    gpu.room = 64
    for out in (None, x):
        if out is None or clock == "wall":
            with pytest.raises(CapacityError, match="could not be allocated"):
                world.all_reduce(x, out=out, algorithm="direct:one_shot")
        assert np.array_equal(on_host(gpu, x), host)
    gpu.room = 1 << 34
    assert np.array_equal(on_host(gpu, world.all_reduce(x).output)[0], host.sum(axis=0))


def test_what_was_captured_makes_room_when_there_is_none():
    gpu, host = StandIn(), ones_and_more()
    ops = choice.DeviceOps(gpu)
    world = World(SMALL, backend=ops, clock="wall", dilation=1e-6)
    x, plain = gpu.asarray(host), gpu.empty
    world.all_reduce(x, algorithm="ring")

    def empty(shape, dtype):
        if ops._captured:
            raise CapacityError("no room while something is kept")
        return plain(shape, dtype)

    gpu.empty = empty
    run = world.all_reduce(x, algorithm="direct")
    assert np.array_equal(on_host(gpu, run.output)[0], host.sum(axis=0))


def test_a_call_that_fails_while_it_waits_leaves_its_input(gpu, monkeypatch):
    world, host = World(SMALL, clock="wall", dilation=1e-6), ones_and_more()
    x = gpu.asarray(host)

    def fail(*_):
        raise KeyboardInterrupt

    world.all_reduce(x, algorithm="ring", out=gpu.asarray(host))
    with monkeypatch.context() as patched:
        patched.setattr("emul.ops.cuda.pacing._await", fail)
        for algorithm in ("ring", "ring", "direct:one_shot", "direct:one_shot"):
            with pytest.raises(KeyboardInterrupt):
                world.all_reduce(x, algorithm=algorithm, out=x)
            assert np.array_equal(on_host(gpu, x), host)
    world.all_reduce(x, algorithm="ring", out=x)
    assert np.array_equal(on_host(gpu, x)[5], host.sum(axis=0))


def test_a_device_that_does_not_wait_is_an_error(gpu, monkeypatch):
    world, host = World(SMALL, clock="wall"), ones_and_more()
    x = gpu.asarray(host)
    monkeypatch.setattr("emul.ops.cuda.pacing.SPARE_NS", -(10**9))
    with pytest.raises(BackendError, match=r"step \d+ of 10: a wait was longer than the whole"):
        world.all_reduce(x, algorithm="ring", out=x)
    assert np.array_equal(on_host(gpu, x), host)


def test_several_threads_may_share_a_world(gpu):
    world, host = World(SMALL, clock="wall", dilation=1e-6), ones_and_more()
    wrong = []

    def work():
        x = gpu.asarray(host)
        for algorithm in ("ring", "direct", "hierarchical"):
            output = world.all_reduce(x, algorithm=algorithm).output
            if not np.array_equal(on_host(gpu, output)[2], host.sum(axis=0)):
                wrong.append(algorithm)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_a_gpu_auto_is_cpu(monkeypatch):
    monkeypatch.setattr(choice, "find_gpu", lambda: FoundGpu(None, "none"))
    assert best_backend() == "cpu"
