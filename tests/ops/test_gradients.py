"""Buffers as frameworks have them: several dimensions, bfloat16, torch; views, never copies."""

import ml_dtypes
import numpy as np
import pytest
from gpus import SMALL, OnDevice, StandIn, Tensor, found, imported
from host_device import COMPILER, WITHOUT_COMPILER
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul import DTypeError, ShapeError, World
from emul.ops.bfloat16 import BFLOAT16, AsUint16, FromUint16
from emul.ops.cuda import choice

N = SMALL.world_size
ALONG = {
    "all_reduce": lambda a: (N, a),
    "broadcast": lambda a: (N, a),
    "send_recv": lambda a: (N, a),
    "all_to_all": lambda a: (N, a),
    "reduce": lambda a: (a,),
    "gather": lambda a: (N * a,),
    "all_gather": lambda a: (N, N * a),
    "reduce_scatter": lambda a: (N, a // N),
}
"""The first dimensions of the output for buffers with ``a`` rows; the others stay."""
WORLDS = {backend: World(SMALL, backend=backend) for backend in ("numpy", "cpu")}
CUT = ("reduce_scatter", "all_to_all")


@pytest.fixture(params=["numpy", "cpu", "stand-in"])
def way(request, monkeypatch):
    """A World, and what makes NumPy's arrays those of a caller."""
    if request.param != "stand-in":
        return World(SMALL, backend=request.param), np.asarray
    if COMPILER is None:
        pytest.skip(WITHOUT_COMPILER)
    monkeypatch.setattr(choice, "find_gpu", lambda: found(StandIn()))
    return World(SMALL), lambda array: array.view(OnDevice)


def drawn(shape, dtype=np.float32):
    return np.random.default_rng(0).integers(-9, 9, shape).astype(dtype)


@pytest.mark.covering(2)
@pytest.mark.parametrize("collective", ALONG)
@pytest.mark.parametrize("behind", [(3,), (2, 1, 5), (0,), (1,)])
def test_dimensions_behind_the_first_of_a_buffer_stay(way, collective, behind):
    world, put = way
    a = 2 * N if collective in CUT else 4
    x = drawn((N, a, *behind))
    flat = getattr(world, collective)(put(x.reshape(N, a * int(np.prod(behind)))))
    wanted = (*ALONG[collective](a), *behind)
    world.restart()
    run = getattr(world, collective)(put(x))
    assert run.output.shape == wanted
    assert np.asarray(run.output).tobytes() == np.asarray(flat.output).tobytes()
    assert run.time_s == flat.time_s
    out = put(np.full(wanted, 7, np.float32))
    assert getattr(world, collective)(put(x), out=out).output is out
    assert np.array_equal(np.asarray(out), np.asarray(run.output))
    with pytest.raises(ShapeError, match="out of shape"):
        getattr(world, collective)(put(x), out=put(np.zeros((*wanted, 1), np.float32)))


def test_gradients_are_reduced_in_place(way):
    world, put = way
    x = drawn((N, 3, 4, 5))
    expected = x.sum(axis=0)
    given = put(x)
    assert world.all_reduce(given, out=given).output is given
    assert (x == expected).all()


def test_rows_of_a_larger_buffer_are_viewed(way):
    world, put = way
    memory = np.zeros((N, 40), np.float32)
    x, out = memory[:, :12].reshape(N, 3, 4), memory[:, 20:32].reshape(N, 3, 4)
    assert np.shares_memory(x, memory)
    x[...] = drawn(x.shape)
    world.all_reduce(put(x), out=put(out))
    assert (out == x.sum(axis=0)).all()


@pytest.mark.parametrize(
    ("x", "complaint"),
    [
        (np.ones((7, 3, 2)), r"\(7, 3, 2\): needed \(6, count\), one row per rank.* stack those of "
         r"all to \(6, 7, 3, 2\)"),
        (np.ones(5), r"one process holds the buffers of all 6 ranks.* all to \(6, 5\)"),
        (np.ones(()), r"input of shape \(\): needed \(6, count\).* to \(6, 1\)"),
        (np.ones((N, 3, 4)).swapaxes(1, 2), r"\(6, 4, 3\) and strides .*: needed a buffer of each "
         "rank whose elements are evenly apart"),
    ],
)  # fmt: skip
def test_what_has_no_buffer_for_each_rank_is_told_what_is_needed(way, x, complaint):
    world, put = way
    with pytest.raises(ShapeError, match=complaint):
        world.all_reduce(put(x))


def test_blocks_are_cut_along_the_first_dimension(way):
    world, put = way
    with pytest.raises(ShapeError, match="needed a multiple of the world size 6 in the second"):
        world.reduce_scatter(put(drawn((N, 3, 2 * N))))
    with pytest.raises(ShapeError, match="with counts that ask for"):
        world.reduce_scatter(put(drawn((N, 3, 2))), counts=[1] * N)


class Brain(FromUint16):
    """Of a library that has bfloat16 in its DLPack."""

    dtype = "brain.bfloat16"

    def __array_namespace__(self):
        return BrainLibrary


class BrainLibrary:
    """Takes only what says that it is bfloat16."""

    @staticmethod
    def from_dlpack(array):
        return Brain(np.from_dlpack(AsUint16(array)).view(BFLOAT16))


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_bfloat16_of_another_library_is_viewed_and_comes_back(backend):
    world = World(SMALL, backend=backend)
    memory = drawn((N, 3, 4), ml_dtypes.bfloat16)
    expected = world.all_reduce(memory).output
    given = Brain(memory)
    run = world.all_reduce(given)
    assert isinstance(run.output, Brain)
    assert np.array_equal(run.output.array, expected.view(np.uint16))
    out = np.zeros_like(memory)
    world.all_reduce(given, out=Brain(out))
    assert out.tobytes() == expected.tobytes()
    world.all_reduce(given, out=given)
    assert memory.tobytes() == expected.tobytes()


def test_capsules_that_hold_something_else_are_refused():
    class Liar(Tensor):
        dtype = "brain.bfloat16"

    with pytest.raises(DTypeError, match=r"element type \(2, 32\) of DLPack: needed \(4, 16\)"):
        World(SMALL).all_reduce(Liar(drawn((N, 3))))


TORCH = ["bfloat16", "float16", "float32", "float64", "int8", "int32", "int64", "uint8"]


@pytest.mark.parametrize("dtype", TORCH)
@examples(6)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.sampled_from(["cpu", "numpy"]))
def test_gradients_of_torch_go_in_and_come_out(dtype, shape, backend):
    torch = imported("torch")
    world = WORLDS[backend]
    x = torch.randint(0, 5, (N, *shape)).to(getattr(torch, dtype))
    expected = x.sum(dim=0, dtype=x.dtype).expand(x.shape)
    run = world.all_reduce(x)
    assert isinstance(run.output, torch.Tensor)
    assert run.output.dtype == x.dtype
    assert torch.equal(run.output, expected)
    out = torch.zeros_like(x)
    assert world.all_reduce(x, out=out).output is out
    assert torch.equal(out, expected)
    assert world.all_reduce(x, out=x).output is x
    assert torch.equal(x, expected)


def test_what_torch_does_not_lend_is_refused():
    torch = imported("torch")
    kinds = ({"requires_grad": True}, {"device": "meta"}, {"dtype": torch.complex64},
             {"dtype": torch.bool})  # fmt: skip
    for kind in kinds:
        x = torch.ones(N, 2, **kind)
        with pytest.raises(DTypeError):
            World(SMALL).all_reduce(x)
