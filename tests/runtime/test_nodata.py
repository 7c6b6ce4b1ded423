"""Collectives that take a shape in the place of an array: everything but the data is the same."""

import pickle
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from random_programs import COLLECTIVE_ACTS, Program, Tiny
from strategies import CASES, count_for, link, one_site, real_topologies, topologies

from emul import ArgumentError, DTypeError, EmulError, NoData, ShapeError, Slicing, World
from emul.ops import DTYPES
from emul.ops.shapes import given_shape
from emul.plans import COLLECTIVES

STACKS = ("ideal", "nccl", "gloo", "openmpi")
VERBS = [*COLLECTIVES]
N = 6
SMALL = one_site(N, link(latency_us=20.0))


def data_of(verb, n, count, dtype):
    """The array that NoData of ``count`` stands for."""
    return np.zeros(count if verb == "scatter" else (n, count), DTYPES[dtype])


class Struct:
    """As jax.ShapeDtypeStruct is: a shape and an element type, and no array interface."""

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, np.dtype(dtype)


class TorchDtype:
    """As torch.float32 is: not a type of NumPy, but it says its name."""

    def __init__(self, name):
        self.name = name

    def __str__(self):
        return f"torch.{self.name}"


class Meta:
    """As a torch tensor on the meta device is: it speaks every protocol, and holds nothing."""

    device = SimpleNamespace(type="meta")

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, TorchDtype(dtype)

    def __dlpack__(self):
        raise BufferError("no memory")

    def __getitem__(self, at):
        raise NotImplementedError


def facts(world, run):
    """All that a run tells of its time."""
    moments = run.moments
    return (
        run.operation.time_ps,
        run.binding,
        run.prediction,
        *(each.tolist() for each in (moments.issued_ps, moments.started_ps, moments.done_ps)),
        moments.straggler_of.tolist(),
        world.history,
        world.ranks_now_s.tolist(),
        world.transfers.tolist(),
    )


def without_identity(told):
    """The same with the prediction as its figures: the objects are of two worlds."""
    prediction = told[2]
    path = prediction.critical_path.segments
    return (*told[:2], prediction.total_ps, prediction.bound_ps, path, *told[3:])


@examples(40)
@given(
    topologies() | real_topologies(),
    st.sampled_from(CASES),
    st.sampled_from(STACKS),
    st.integers(0, 300),
    st.sampled_from(sorted(DTYPES)),
    st.data(),
)
def test_no_data_takes_the_time_of_data(topology, case, stack, blocks, dtype, data):
    verb, algorithm = case
    slicing = data.draw(st.sampled_from([None, Slicing(), Slicing(64, 2)]))
    late = data.draw(st.sampled_from([None, [0], range(topology.world_size)]))
    told = []
    for without in (False, True):
        world = World(topology, stack=stack, slicing=slicing, seed=3)
        n = world.size
        count = count_for(verb, n, blocks)
        x = NoData(count, dtype) if without else data_of(verb, n, count, dtype)
        try:
            if late is not None:
                world.compute(1e-3, late)
            run = getattr(world, verb)(x, algorithm=algorithm)
            again = getattr(world, verb)(x, algorithm=algorithm, async_op=True).wait()
            told.append([without_identity(facts(world, each)) for each in (run, again)])
        except EmulError as error:
            told.append(str(error))
        else:
            assert (run.output is None) == without
    assert told[0] == told[1]


class WithoutData(Program):
    """The same program, of whose calls none has data."""

    def given(self, n, count):
        return NoData(count, "uint8")


@pytest.mark.parametrize("number", range(12))
def test_random_programs_go_alike_without_data(number):
    with_data = Program(number, Tiny(number), COLLECTIVE_ACTS)
    without = WithoutData(number, Tiny(number), COLLECTIVE_ACTS)
    assert without.moments() == with_data.moments()
    assert without.clocks() == with_data.clocks()
    assert without.world.history == with_data.world.history


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("of", [Struct, Meta])
def test_shapes_of_other_libraries_are_those_of_their_arrays(verb, of):
    worlds = World(SMALL), World(SMALL)
    x = data_of(verb, N, 4 * N, "float32")
    same = of(x.shape, "float32")
    runs = [getattr(world, verb)(each) for world, each in zip(worlds, (x, same), strict=True)]
    assert runs[0].time_s == runs[1].time_s
    assert runs[1].output is None
    assert worlds[0].history == worlds[1].history
    assert runs[1].prediction.shape.output_shape == runs[0].output.shape


def test_jax_says_shapes():
    jax = pytest.importorskip("jax")
    world = World(SMALL)
    struct = jax.ShapeDtypeStruct((N, 2 * N, 5), jax.numpy.bfloat16)
    run = world.reduce_scatter(struct)
    assert run.output is None
    assert run.prediction.nbytes == 2 * N * 5 * 2
    assert world.all_reduce(jax.numpy.ones((N, 3))).output is not None
    with pytest.raises(DTypeError, match="an input of bool"):
        world.all_reduce(jax.ShapeDtypeStruct((N, 3), bool))


def test_torch_says_shapes():
    torch = pytest.importorskip("torch")
    world = World(SMALL)
    run = world.all_reduce(torch.empty((N, 100), dtype=torch.bfloat16, device="meta"))
    assert run.output is None
    assert run.prediction.nbytes == 200
    assert world.all_reduce(torch.ones(N, 3)).output is not None


def test_arrays_are_no_shapes():
    sparse = type("coo_matrix", (), {"__add__": None, "shape": (N, 3), "dtype": np.dtype("f4")})()
    of_slots = type("ShapeDtypeStruct", (), {"__slots__": ("shape", "dtype")})
    for each in (np.ones(3), np.float32(1), np.float32, np.dtype("f4"), sparse, of_slots, None, 3):
        assert given_shape(each) is None
    with pytest.raises(DTypeError, match="coo_matrix: needed a NumPy array"):
        World(SMALL).all_reduce(sparse)


@pytest.mark.parametrize(
    ("x", "more", "error", "said"),
    [
        (lambda: NoData(-1, "float32"), {}, ArgumentError, "count -1: needed a whole number"),
        (lambda: NoData(1.5, "float32"), {}, ArgumentError, "count 1.5: needed a whole number"),
        (lambda: NoData(6, "float3"), {}, ArgumentError, "dtype 'float3'"),
        (lambda: NoData(6, np.float32), {}, ArgumentError, "dtype <class"),
        (lambda: NoData(7, "int8"), {"verb": "all_to_all"}, ShapeError, "multiple of the world"),
        (lambda: NoData(1 << 59, "int8"), {}, ShapeError, "64 bits"),
        (lambda: Struct((5, 6), "f4"), {}, ShapeError, r"needed \(6, count\)"),
        (lambda: Struct((6,), "f4"), {}, ShapeError, r"needed \(6, count\)"),
        (lambda: Struct((6, None), "f4"), {}, ShapeError, "a whole number for each dimension"),
        (lambda: Struct((6, 6), "c8"), {}, DTypeError, "an input of complex64: needed one of"),
        (lambda: Meta((6, 6), "bool"), {}, DTypeError, "an input of torch.bool"),
        (lambda: Struct((6, 6), "f4"), {"verb": "scatter"}, ShapeError, "the buffer of the root"),
        (lambda: Struct((6, 5, 3), "f4"), {"verb": "all_to_all"}, ShapeError, "multiple of"),
        (lambda: NoData(6, "int8"), {"out": np.zeros(3)}, ArgumentError, "out of type numpy"),
        (lambda: NoData(6, "int8"), {"out": NoData(6, "int8")}, ArgumentError, "needed no out"),
        (lambda: np.ones((6, 6)), {"out": NoData(6, "int8")}, DTypeError, "out of type emul"),
        (lambda: NoData(5, "int8"), {"verb": "gather", "counts": [6] * 6}, ShapeError, "longest"),
        (lambda: NoData(6, "int8"), {"op": "mean"}, ArgumentError, "op 'mean'"),
    ],
)
def test_wrong_shapes_are_refused_as_arrays_are(x, more, error, said):
    world = World(SMALL)
    more = dict(more)
    verb = more.pop("verb", "all_reduce")
    with pytest.raises(error, match=said):
        getattr(world, verb)(x(), **more)
    assert world.history == ()
    assert world.now_s == 0


def test_vector_forms_take_the_longest_row():
    counts, pairs = [1, 0, 4, 3, 2, 9], np.arange(N * N).reshape(N, N)
    for verb, count, given_counts in (
        ("all_gather", 9, counts),
        ("gather", 9, counts),
        ("reduce_scatter", 19, counts),
        ("scatter", 19, counts),
        ("all_to_all", int(pairs.sum(axis=1).max()), pairs),
    ):
        x = data_of(verb, N, count, "int32")
        runs = [
            getattr(World(SMALL), verb)(each, counts=given_counts)
            for each in (x, NoData(count, "int32"))
        ]
        assert runs[0].time_s == runs[1].time_s
        assert runs[0].prediction.shape == runs[1].prediction.shape


def test_a_type_goes_by_its_own_name():
    assert NoData(3, "bf16") == NoData(np.int64(3), "bfloat16")
    assert repr(NoData(3, "half")) == "NoData(count=3, dtype='float16')"


def test_a_run_without_data_has_no_error_and_pickles():
    run = World(SMALL).all_reduce(NoData(6, "float32"))
    for each in (run, pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(run))))):
        assert each.time_s == run.time_s
        assert each.output is each.error is None
    with_data = World(SMALL).all_reduce(np.ones((N, 6)))
    copy = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(with_data))))
    with pytest.raises(ArgumentError, match="left behind"):
        copy.error  # noqa: B018


def test_a_barrier_has_no_output():
    run = World(SMALL).barrier()
    assert run.output is None
    assert run.time_s == World(SMALL).predict("all_reduce", 1, dtype="uint8").time_s


def test_memory_does_not_grow_with_the_count():
    world = World("three-campus")
    world.all_reduce(NoData(24, "bfloat16"))
    tracemalloc.start()
    run = world.all_reduce(NoData(405_000_000_000, "bfloat16"), algorithm="ring")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.prediction.nbytes == 810 * 10**9
    assert run.time_s >= run.bound_s > 1000
    assert most < 1 << 30  # slices, of which there are no more than 10^6


class Untouched:
    """A backend that would tell if it were asked for anything."""

    name = "untouched"
    arrays = None

    def new_bytes(self, program, buffers, reduction, root):
        pytest.fail("asked")

    perform = new_bytes


@pytest.mark.parametrize("async_op", [False, True])
@pytest.mark.parametrize("clock", ["virtual", "wall"])
def test_no_arithmetic_is_done(clock, async_op):
    world = World(SMALL, backend=Untouched(), clock=clock, dilation=1)
    result = world.all_reduce(NoData(1 << 20, "float32"), async_op=async_op)
    run = result.wait() if async_op else result
    assert run.output is None
    assert world.engine.wall._worker.threads is None
    assert (run.lag is None) == (clock == "virtual")


def test_the_wall_clock_waits_for_the_moment():
    wall, virtual = World(SMALL, clock="wall", dilation=40), World(SMALL)
    runs = [world.all_reduce(NoData(1 << 20, "float32")) for world in (wall, virtual)]
    assert runs[0].time_s == runs[1].time_s
    assert runs[0].wall_s >= 40 * runs[0].time_s > 0.02
    assert wall.lag.arrivals == 1
    assert wall.history == virtual.history
    handle = wall.all_reduce(NoData(1 << 20, "float32"), async_op=True)
    assert not handle.done
    assert handle.wait().wall_s >= 40 * runs[0].time_s


def test_a_rehearsal_finds_no_dilation_above_one():
    world = World(SMALL, clock="wall", dilation="auto")
    world.all_reduce(NoData(1 << 22, "float32"))
    assert world.dilation == 1


def test_calls_without_data_are_in_flight_beside_others():
    told = []
    for without in (False, True):
        world = World(SMALL, clock="virtual")
        group = world.group([0, 2, 3])
        x = NoData(300, "float64") if without else np.ones((3, 300))
        handles = [group.all_reduce(x, async_op=True), world.all_reduce(np.ones((N, 600)))]
        handles[0].wait()
        assert (handles[1].output == N).all()
        told.append((world.history, world.ranks_now_s.tolist()))
    assert told[0] == told[1]
