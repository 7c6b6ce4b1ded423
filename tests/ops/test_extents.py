"""Which bytes arrays take, by arithmetic, against sets of bytes; and ``out`` that shares memory."""

from itertools import product

import numpy as np
import pytest
from gpus import SMALL, OnDevice, StandIn, Tensor, found
from host_device import COMPILER, WITHOUT_COMPILER
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples

from emul import ArgumentError, EmulError, World
from emul.ops.arrays import HOST
from emul.ops.cuda import choice
from emul.ops.extents import Extent, in_rows, shares_within

RANKS = SMALL.world_size
BYTES = 1 << 14


STEPS = st.integers(-70, 70)


@st.composite
def views(draw, most_dims=2, steps=STEPS):
    """Any view of some memory, of elements that need not be apart."""
    dtype = np.dtype(draw(st.sampled_from(["u1", "u2", "u4", "u8"])))
    shape = tuple(draw(st.lists(st.integers(0, 9), min_size=1, max_size=most_dims)))
    strides = tuple(draw(steps) for _ in shape)
    ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    low = BYTES // 2 + draw(st.integers(-200, 200)) - sum(end for end in ends if end < 0)
    return Extent(low, shape, strides, dtype.itemsize)


def elements_of(extent):
    """The bytes of each element."""
    found = []
    for index in product(*map(range, extent.shape)):
        first = extent.address + sum(i * s for i, s in zip(index, extent.strides, strict=True))
        found.append(range(first, first + extent.itemsize))
    return found


def as_array(extent, memory):
    dtype = f"u{extent.itemsize}"
    return np.ndarray(extent.shape, dtype, memory, extent.address, extent.strides)


@examples(400)
@given(views())
def test_elements_that_share_a_byte_are_found(extent):
    elements = elements_of(extent)
    taken = set().union(*elements)
    assert shares_within(as_array(extent, np.zeros(BYTES, np.uint8))) == (
        len(taken) < len(elements) * extent.itemsize
    )


@examples(300)
@given(views(most_dims=3), views(most_dims=3))
def test_arrays_that_share_a_byte_are_found(one, other):
    shared = set().union(*elements_of(one)) & set().union(*elements_of(other))
    assert one.meets(other) == other.meets(one) == bool(shared)


@examples(200)
@given(views(most_dims=4, steps=st.sampled_from([-96, -24, 0, 4, 8, 24, 48, 96])))
def test_rows_are_a_view_or_nothing(extent):
    memory = np.arange(BYTES, dtype=np.uint8)
    array = as_array(extent, memory)
    rows = in_rows(array)
    if rows is None:
        assert array.ndim > 2
        return
    assert np.array_equal(rows, array.reshape(len(array), int(np.prod(array.shape[1:]))))
    rows[...] = 0
    assert not array.any()


def test_as_many_ranks_as_there_may_be_take_no_time():
    rows = np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 20, 1 << 22), (12, 8))
    assert shares_within(rows)
    assert not shares_within(np.lib.stride_tricks.as_strided(rows, strides=(1 << 26, 8)))


# out= of whole calls


def strided(shape, strides, low=0, count=4000):
    memory = np.zeros(count, np.float32)[low:]
    return np.lib.stride_tricks.as_strided(memory, shape, [4 * s for s in strides])


SHARING = {
    "all rows in one memory": lambda n, c: strided((n, c), (0, 1)),
    "all columns in one memory": lambda n, c: strided((n, c), (c, 0)),
    "a sliding window": lambda n, c: strided((n, c), (1, 1)),
    "a window that slides by all but one": lambda n, c: strided((n, c), (c - 1, 1)),
    "a window that slides backwards": lambda n, c: strided((n, c), (-1, 1), 100),
    "rows woven so that they meet": lambda n, c: strided((n, c), (3, 2)),
}
SOUND = {
    "rows in their order": lambda n, c: strided((n, c), (c, 1)),
    "rows backwards": lambda n, c: strided((n, c), (-c, 1), c * (n - 1)),
    "columns backwards": lambda n, c: strided((n, c), (c, -1), c - 1),
    "columns first": lambda n, c: strided((n, c), (1, n)),
    "every second element": lambda n, c: strided((n, c), (2 * c, 2)),
    "rows woven into each other": lambda n, c: strided((n, c), (1, n + 3)),
}
SENT = {"all_reduce": (1, 1), "reduce_scatter": (RANKS, 1), "all_gather": (1, RANKS),
        "broadcast": (1, 1), "all_to_all": (RANKS, RANKS), "send_recv": (1, 1)}  # fmt: skip
WORLDS = {backend: World(SMALL, backend=backend) for backend in ("numpy", "cpu")}
WAYS = ["numpy", "cpu", "dlpack", "stand-in"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """A World, and what makes NumPy's arrays those of a caller."""
    if request.param == "stand-in":
        if COMPILER is None:
            pytest.skip(WITHOUT_COMPILER)
        device = StandIn()
        monkeypatch.setattr(choice, "find_gpu", lambda: found(device))
        return World(SMALL), lambda array: array.view(OnDevice)
    backend = "cpu" if request.param == "dlpack" else request.param
    kind = Tensor if request.param == "dlpack" else np.asarray
    return World(SMALL, backend=backend), kind


@pytest.mark.parametrize("collective", SENT)
@pytest.mark.parametrize("name", SHARING)
def test_out_whose_elements_share_memory_is_refused(way, collective, name):
    world, put = way
    sent, received = SENT[collective]
    x = np.arange(RANKS * 5 * sent, dtype=np.float32).reshape(RANKS, -1)
    out = SHARING[name](RANKS, 5 * received)
    before, kept = x.copy(), out.copy()
    with pytest.raises(ArgumentError, match=r"elements of out, of shape .* share memory: needed"):
        getattr(world, collective)(put(x), out=put(out))
    assert np.array_equal(x, before)
    assert np.array_equal(out, kept)


@pytest.mark.covering(2)
@pytest.mark.parametrize("collective", SENT)
@pytest.mark.parametrize("name", SOUND)
def test_out_of_any_other_strides_is_written(way, collective, name):
    world, put = way
    sent, received = SENT[collective]
    x = np.arange(RANKS * 5 * sent, dtype=np.float32).reshape(RANKS, -1)
    out = SOUND[name](RANKS, 5 * received)
    getattr(world, collective)(put(x), out=put(out))
    assert np.array_equal(out, getattr(World(SMALL), collective)(x).output)


@pytest.mark.parametrize("sharing", [name for name in SHARING if "columns" not in name])
def test_an_input_whose_rows_share_memory_is_no_place_for_the_output(way, sharing):
    world, put = way
    memory = SHARING[sharing](RANKS, 5)
    memory[...] = 1
    expected = memory.sum(axis=0)
    x = put(memory)
    assert np.array_equal(np.asarray(on_host(world.all_reduce(x).output))[2], expected)
    with pytest.raises(ArgumentError, match="share memory"):
        world.all_reduce(x, out=x)
    assert (memory == 1).all()


def on_host(array):
    return array.memory if isinstance(array, Tensor) else array


@examples(300)
@given(st.integers(0, 40), st.integers(0, 12), st.integers(1, 3), st.integers(1, 3), st.data())
def test_out_beside_the_input_is_right_or_refused(low, apart, x_step, out_step, data):
    """Both in one memory, at any distance, in strides of any kind."""
    backend = data.draw(st.sampled_from(["numpy", "cpu"]))
    memory = np.zeros(600, np.float32)
    length = 5 * max(x_step, out_step) + apart
    views = []
    for first, step in ((0, x_step), (low, out_step)):
        strides = [4 * length, 4 * step]
        views.append(np.lib.stride_tricks.as_strided(memory[first:], (RANKS, 5), strides))
    x, out = views
    x[...] = np.arange(RANKS * 5).reshape(x.shape)
    before, expected = memory.copy(), x.sum(axis=0)
    bytes_of = [
        set().union(*elements_of(Extent.of(each, 4 * first)))
        for each, first in zip(views, (0, low), strict=True)
    ]
    try:
        WORLDS[backend].all_reduce(x, out=out)
    except EmulError:
        assert bytes_of[0] & bytes_of[1]
        assert np.array_equal(memory, before)
    else:
        assert not bytes_of[0] & bytes_of[1]
        assert (out == expected).all()


def test_arrays_of_the_host_are_told_apart_by_element():
    memory = np.zeros((4, 10))
    assert not HOST.overlap(memory[:, ::2], memory[:, 1::2])
    assert HOST.overlap(memory[:, ::2], memory[:, 4:6])
