"""Arrays of other libraries on the backends of the host: in and out without a copy, or refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from gpus import SMALL, OnDevice, Tensor

from emul import ArgumentError, BackendError, DTypeError, World
from emul.errors import ShapeError
from emul.ops.arrays import HOST, gpu_of, in_kind_of

X = np.arange(12, dtype=np.float32).reshape(6, 2)


class ForeignArray:
    """Speaks DLPack and has no namespace to come back to."""

    def __init__(self, memory):
        self.memory = memory

    def __dlpack__(self, **asked):
        return self.memory.__dlpack__(**asked)

    def __dlpack_device__(self):
        return self.memory.__dlpack_device__()


class OfJax(ForeignArray):
    """Says that it is of a library whose arrays nobody writes into."""


OfJax.__module__ = "jaxlib._jax"


@pytest.fixture(params=["cpu", "numpy", "auto"])
def world(request):
    return World(SMALL, backend=request.param)


def test_what_speaks_dlpack_comes_out_as_it_went_in(world):
    run = world.all_reduce(Tensor(X.copy()))
    assert isinstance(run.output, Tensor)
    expected = np.broadcast_to(X.sum(axis=0), X.shape)
    assert np.array_equal(np.from_dlpack(run.output), expected)
    assert run.error.max_ulp == 0
    assert "output (6, 2) float32" in repr(run)


def test_it_is_used_where_it_lies(world):
    x, out = X.copy(), np.empty_like(X)
    given = Tensor(out)
    assert world.all_reduce(Tensor(x), out=given).output is given
    assert np.array_equal(out, np.broadcast_to(X.sum(axis=0), X.shape))
    in_place = Tensor(x)
    assert world.all_reduce(in_place, out=in_place).output is in_place
    assert np.array_equal(x, out)
    view = HOST.taken(Tensor(x), "input")
    assert np.shares_memory(view, x)


def test_without_a_way_back_numpy_comes_out(world):
    assert type(world.all_reduce(ForeignArray(X)).output) is np.ndarray


def test_a_library_that_refuses_the_result_gets_numpy():
    class Picky:
        def from_dlpack(self, array):
            raise BufferError("no such type")

    class Array:
        def __array_namespace__(self):
            return Picky()

    assert in_kind_of(Array(), X) is X


def test_arrays_that_nobody_may_write_into_are_refused_as_out(world):
    x = X.copy()
    with pytest.raises(ArgumentError, match="out is read-only"):
        world.all_reduce(X, out=OfJax(np.empty_like(X)))
    given = OfJax(x)
    with pytest.raises(ArgumentError, match="out is read-only"):
        world.all_reduce(given, out=given)
    assert np.array_equal(x, X)
    assert np.array_equal(world.all_reduce(OfJax(x)).output[0], X.sum(axis=0))


def test_an_out_of_numpy_that_is_read_only_is_refused_and_an_input_is_not(world):
    x, out = X.copy(), np.full_like(X, 7)
    x.flags.writeable = out.flags.writeable = False
    for given in (out, x):
        with pytest.raises(ArgumentError, match="out is read-only: needed a buffer to write into"):
            world.all_reduce(x, out=given)
    assert (out == 7).all()
    into = np.empty_like(X)
    assert np.array_equal(world.all_reduce(x, out=into).output[0], X.sum(axis=0))


def test_an_out_of_another_type_or_shape_is_refused(world):
    for dtype in ("float64", "int32", "float16"):
        with pytest.raises(DTypeError, match=f"out of {dtype}: needed float32, as the input"):
            world.all_reduce(X, out=np.empty(X.shape, dtype))
    with pytest.raises(ShapeError, match=r"out of shape \(6, 3\): needed \(6, 2\)"):
        world.all_reduce(X, out=np.empty((6, 3), np.float32))


def test_an_element_type_that_dlpack_does_not_know_is_refused(world):
    times = X.astype("datetime64[s]")
    with pytest.raises(DTypeError, match=r"gpus\.Tensor cannot be used through DLPack .*: needed"):
        world.all_reduce(Tensor(times))


@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_an_array_of_a_gpu_is_refused_by_backends_of_the_host(backend):
    world, on_gpu = World(SMALL, backend=backend), X.copy().view(OnDevice)
    ours = r"of type gpus\.Tensor, on a device \(2, 0 in DLPack\): needed an array in host memory"
    with pytest.raises(DTypeError, match=f"input {ours}"):
        world.all_reduce(Tensor(on_gpu))
    with pytest.raises(DTypeError, match=f"out {ours}"):
        world.all_reduce(X, out=Tensor(on_gpu))
    assert np.array_equal(on_gpu, X)


def test_a_gpu_that_is_not_there_is_said_with_the_reason(monkeypatch):
    from emul.ops.cuda import choice

    monkeypatch.setattr(choice, "find_gpu", lambda: choice.FoundGpu(None, "no driver"))
    with pytest.raises(BackendError, match="backend cupy: no driver: needed an NVIDIA GPU"):
        World(SMALL, backend="cupy")
    with pytest.raises(BackendError, match="backend cupy: no driver: needed an NVIDIA GPU"):
        World(SMALL).all_reduce(Tensor(X.copy().view(OnDevice)))


def test_which_gpu_an_array_lies_on():
    assert gpu_of(X) is None
    assert gpu_of([1]) is None
    assert gpu_of(Tensor(X.view(OnDevice))) == 0


@pytest.mark.parametrize(
    ("device", "number"),
    [((2, 1), 1), ((13, 0), 0), ((1, 0), None), ((3, 0), None), ((10, 0), None)],
)
def test_memory_of_a_gpu_is_its_own_and_what_it_manages(device, number):
    """By dlpack.h: CUDA, managed, the CPU's, the host's that CUDA has pinned, ROCm."""
    assert gpu_of(SimpleNamespace(__dlpack__=None, __dlpack_device__=lambda: device)) == number
