"""Every argument of the Python face, with whatever may come: the right result, or an EmulError."""

import warnings
from decimal import Decimal
from fractions import Fraction
from types import NoneType

import numpy as np
import pytest
from gpus import SMALL

from emul import EmulError, NoData, Slicing, World

N = SMALL.world_size
X = np.arange(N * 2 * N, dtype=np.float32).reshape(N, 2 * N)


class Own(np.ndarray):
    """Of NumPy, with more to it."""


class Strange:
    """Calls itself an array of some library, and is none."""

    dtype, shape, ndim = "float32", (N, 2), 2

    def __dlpack__(self, **asked):
        raise RuntimeError("no memory")

    def __dlpack_device__(self):
        raise RuntimeError("no device")


class Unhashable:
    __hash__ = None

    def __call__(self, n):
        return []


BAD = {
    "None": None, "NaN": float("nan"), "inf": float("inf"), "-inf": -float("inf"), "-1": -1,
    "0": 0, "1": 1, "2**70": 2**70, "-2**70": -(2**70), "10**5000": 10**5000, "1e300": 1e300,
    "0.5": 0.5, "True": True, "np.True_": np.True_, "'x'": "x", "empty text": "",
    "a NUL": "a\0b", "a long text": "y" * 5000, "a NUL and .xml": "\0.xml", ".toml": "\0.toml",
    "bytes": b"sum", "list": [1, 2], "ragged": [[1], [1, 2]], "strings": ["a"] * N, "empty": [],
    "[None]": [None] * N, "[2**70]": [2**70] * N, "[NaN]": [float("nan")] * N, "dict": {"a": 1},
    "set": {1, 2}, "complex": 1j, "Decimal": Decimal(2), "Fraction": Fraction(1, 2),
    "array": np.arange(N), "array of floats": np.ones(N),
    "masked": np.ma.masked_array([1] * N, [0] * N),
    "masked constant": np.ma.masked, "masked rows": np.ma.masked_array(X, X > 3),
    "objects": np.array([1, "a", None], object), "object rows": X.astype(object),
    "0-d": np.array(3), "0-d float": np.array(3.5), "0-d object": np.array(None),
    "np.int64": np.int64(2), "np.uint64": np.uint64(2**63), "np.float64": np.float64(2),
    "np.nan": np.float64("nan"), "datetimes": X.astype("datetime64[s]"), "bools": X > 3,
    "complex rows": X.astype(complex), "texts": X.astype(str), "swapped": X.astype(">f4"),
    "structured": np.zeros((N, 2), [("a", "f4"), ("b", "i4")]), "subclass": X.view(Own),
    "transposed": X.T, "read-only": np.broadcast_to(X[0], X.shape), "3-d": X.reshape(N, 2, N),
    "no rows": np.zeros((0, 4)), "no columns": np.zeros((N, 0)), "strange": Strange(),
    "class": np.ndarray, "function": lambda n: [[1]], "raises no plan": lambda n: None,
    "object": object(), "unhashable": Unhashable(), "generator": (i for i in range(3)),
    "range": range(N), "slice": slice(3), "ellipsis": ..., "Slicing": Slicing(), "SMALL": SMALL,
    "world": World, "NoData": NoData(4 * N, "int8"),
}  # fmt: skip

VERBS = {
    "all_reduce": ("x", "op", "algorithm", "out", "nbytes", "async_op"),
    "reduce_scatter": ("x", "op", "counts", "algorithm", "out", "nbytes", "async_op"),
    "all_gather": ("x", "counts", "algorithm", "out", "nbytes", "async_op"),
    "broadcast": ("x", "root", "algorithm", "out", "nbytes", "async_op"),
    "reduce": ("x", "op", "root", "algorithm", "out", "nbytes", "async_op"),
    "all_to_all": ("x", "counts", "algorithm", "out", "nbytes", "async_op"),
    "gather": ("x", "root", "counts", "algorithm", "out", "nbytes", "async_op"),
    "scatter": ("x", "root", "counts", "algorithm", "out", "nbytes", "async_op"),
    "send_recv": ("x", "shift", "algorithm", "out", "nbytes", "async_op"),
    "barrier": ("algorithm", "async_op"),
}
PREDICTED = ("collective", "count", "dtype", "algorithm", "root", "shift", "collapse")
WORLD = ("topology", "backend", "clock", "dilation", "strict", "realtime", "seed", "slicing",
         "start_s", "stack")  # fmt: skip


def tried(work):
    """What comes of it: a result, or None for an EmulError; another error ends the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return work()
        except EmulError as caught:
            error = caught
    said = str(error)
    assert said
    assert len(said) < 700, said
    assert "\n" not in said
    assert isinstance(error, ValueError | TypeError | OverflowError | RuntimeError | OSError)
    return None


def held(world, verb, arguments):
    """Try a verb; its input is as it was, and a result is one."""
    x = arguments.get("x")
    before = np.array(x, subok=False) if isinstance(x, np.ndarray) else None
    given = [arguments.pop("x")] if "x" in arguments else []
    run = tried(lambda: getattr(world, verb)(*given, **arguments))
    if run is not None and arguments.get("async_op"):
        run = tried(run.wait)
    if before is not None and arguments.get("out") is not x:
        assert np.asarray(x).tobytes() == before.tobytes() or x.dtype == object
    if run is not None:
        assert run.time_s >= 0
        given_data = verb != "barrier" and not isinstance(x, NoData)
        assert isinstance(run.output, np.ndarray) == given_data
        assert type(run.output) in (np.ndarray, NoneType) or run.output is arguments.get("out")


@pytest.fixture(scope="module", params=["cpu", "numpy"])
def world(request):
    return World(SMALL, backend=request.param)


@pytest.mark.parametrize("verb", VERBS)
def test_verbs(world, verb):
    group = world.group(range(3))
    usual = {"x": X[0] if verb == "scatter" else X, "algorithm": "direct"}
    if verb == "barrier":
        del usual["x"]
    for argument in VERBS[verb]:
        for value in BAD.values():
            held(world, verb, usual | {argument: value})
    for value in BAD.values():
        held(group, verb, usual | ({"async_op": value} if verb == "barrier" else {"x": value}))


@pytest.mark.parametrize("argument", PREDICTED)
def test_predictions(world, argument):
    for collective in ("all_reduce", "all_to_all", "broadcast", "send_recv", "gather"):
        for value in BAD.values():
            usual = {"collective": collective, "count": 2 * N, "algorithm": "direct"}
            prediction = tried(lambda given=usual | {argument: value}: world.predict(**given))
            assert prediction is None or prediction.total_ps >= 0


@pytest.mark.parametrize("argument", WORLD)
@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_worlds(argument, clock):
    for value in BAD.values():
        usual = {"topology": SMALL, "clock": clock, "dilation": 1e-6}
        made = tried(lambda given=usual | {argument: value}: World(**given))
        if made is not None and not (argument == "dilation" and clock == "wall" and value == 1e300):
            tried(lambda made=made: made.all_reduce(X, algorithm="direct"))


def test_groups_and_compute(world):
    for value in BAD.values():
        tried(lambda value=value: world.group(value))
        tried(lambda value=value: World(SMALL).compute(value))
        tried(lambda value=value: World(SMALL).compute(1e-6, value))


@pytest.mark.parametrize("name", ["slice_bytes", "slots"])
def test_slicings(name):
    for value in BAD.values():
        slicing = tried(lambda value=value: Slicing(**{name: value}))
        if slicing is not None:
            world = World(SMALL, slicing=slicing)
            tried(lambda world=world: world.predict("all_reduce", 1000, algorithm="direct"))


# What is taken, and what it means


def test_numbers_of_other_libraries_are_numbers(world):
    usual = world.predict("broadcast", 7, root=2).time_s
    for number in (np.int8, np.uint64, np.array):
        assert world.predict("broadcast", number(7), root=number(2)).time_s == usual
        assert np.array_equal(world.broadcast(X, root=number(2)).output, np.tile(X[2], (N, 1)))
        assert np.array_equal(world.send_recv(X, shift=number(1)).output, np.roll(X, 1, axis=0))
    assert World(SMALL, seed=np.int64(7)).seed == 7


@pytest.mark.parametrize("seed", ["x", float("nan"), -1, 1.5, True, None, [1]])
def test_a_seed_is_a_whole_number_from_0_on(seed):
    with pytest.raises(EmulError, match=r"^seed .*: needed a whole number, 0 or more$"):
        World(SMALL, seed=seed)


def test_a_masked_array_is_refused_in_words(world):
    masked = np.ma.masked_array(X, X > 3)
    for arguments in ({"x": masked}, {"x": X, "out": masked}):
        with pytest.raises(EmulError, match="is a masked array: needed one without a mask"):
            world.all_reduce(**arguments)
    assert masked.mask.sum() == (X > 3).sum()


def test_shifts_are_those_of_send_recv():
    world, group = World(SMALL), World(SMALL).group([0, 2, 3])
    for shift in (0, 1, 2, -1, N, N + 2, 2**70):
        run = world.send_recv(X, shift=shift)
        prediction = world.predict("send_recv", X.shape[1], shift=shift)
        assert prediction.time_s == run.time_s
        assert np.array_equal(run.output, np.roll(X, shift, axis=0))
        handle = world.send_recv(X, shift=shift, async_op=True)
        assert np.array_equal(handle.wait().output, run.output)
        prediction = group.predict("send_recv", X.shape[1], shift=shift)
        assert prediction.time_s == group.send_recv(X[:3], shift=shift).prediction.time_s
    assert world.predict("send_recv", 1000).time_s > 0
    to_the_next = world.predict("send_recv", 1000, shift=1).time_s
    assert world.predict("send_recv", 1000).time_s == to_the_next
    with pytest.raises(EmulError, match="root 2 of send_recv: needed shift=2, for it has no root"):
        world.predict("send_recv", 1000, root=2)
    with pytest.raises(EmulError, match="shift 2 of all_reduce: only send_recv has one"):
        world.predict("all_reduce", 1000, shift=2)
