"""Calls with ``nbytes``: the time of a large array, and the arithmetic on a small one."""

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from bits import drawn, same
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import CASES, count_for, link, one_site, real_topologies, topologies
from two_sites import TRUNK, two_sites

from emul import (
    ArgumentError,
    DTypeError,
    EmulError,
    Link,
    NoData,
    OutageError,
    PlanError,
    ShapeError,
    Slicing,
    World,
)
from emul.links import Transport
from emul.links.changes import Changes, Outages
from emul.ops import DTYPES, NumpyOps
from emul.plans import COLLECTIVES, Send
from emul.plans.encoding import WIRES
from emul.wall.clock import REHEARSALS

TAKE_WIRE = ("all_reduce", "reduce_scatter", "all_gather")
TAKEN = ("float32", "bfloat16", "float16")
STACKS = ("ideal", "nccl", "gloo", "openmpi")
N = 6
SMALL = one_site(N, link(latency_us=20.0))


def rows(verb, n, blocks, dtype, seed=1):
    """An input of the verb with about ``blocks`` elements for each rank, or for each block."""
    count = count_for(verb, n, blocks)
    return drawn(np.dtype(DTYPES[dtype]), (count,) if verb == "scatter" else (n, count), seed)


def told(world, run):
    """All that a run and its World tell of time."""
    moments, prediction = run.moments, run.prediction
    return (
        run.operation.time_ps,
        prediction.total_ps,
        prediction.bound_ps,
        prediction.nbytes,
        prediction.algorithm,
        prediction.critical_path.segments,
        *(each.tolist() for each in (moments.issued_ps, moments.started_ps, moments.done_ps)),
        world.history,
        world.ranks_now_s.tolist(),
        world.transfers.tolist(),
    )


def called(world, verb, algorithm, late, x, **how):
    """What is told of a call, and of one in flight after it; and their runs. The refusal if any."""
    try:
        if late is not None:
            world.compute(1e-3, late)
        run = getattr(world, verb)(x, algorithm=algorithm, **how)
        again = getattr(world, verb)(x, algorithm=algorithm, async_op=True, **how).wait()
    except EmulError as error:
        return str(error), ()
    return [told(world, each) for each in (run, again)], (run, again)


@settings(max_examples=40)
@given(
    topologies() | real_topologies(),
    st.sampled_from(CASES) | st.sampled_from([(verb, "auto") for verb in COLLECTIVES]),
    st.sampled_from(STACKS),
    st.integers(0, 40),
    st.integers(0, 5000),
    st.sampled_from(sorted(DTYPES)),
    st.data(),
)
def test_a_call_takes_the_time_of_its_bytes_and_computes_what_is_there(
    topology, case, stack, blocks, large, dtype, data
):
    verb, algorithm = case
    slicing = data.draw(st.sampled_from([None, Slicing(), Slicing(64, 2)]))
    late = data.draw(st.sampled_from([None, [0], range(topology.world_size)]))
    n = topology.world_size
    encodes = verb in TAKE_WIRE and dtype in TAKEN
    how = {"wire": data.draw(st.sampled_from([None, *WIRES]))} if encodes else {}
    x, count = rows(verb, n, blocks, dtype), count_for(verb, n, large)
    worlds = [World(topology, stack=stack, slicing=slicing, seed=3) for _ in range(2)]
    nbytes = count * np.dtype(DTYPES[dtype]).itemsize
    times, runs = called(worlds[0], verb, algorithm, late, x, nbytes=nbytes, **how)
    expected, _ = called(worlds[1], verb, algorithm, late, NoData(count, dtype), **how)
    assert times == expected
    for run in runs:
        by_itself = getattr(World(topology), verb)(x, algorithm=run.prediction.plan, **how)
        reduction = "sum" if COLLECTIVES[verb].reduces else None
        assert same(run.output, by_itself.output, reduction)


def test_time_and_sum_by_hand():
    """A message of 2 GB at 1 GB/s with 10 us of latency, and three numbers of each rank."""
    world = World(one_site(2, Link(1e9, 10e-6)), slicing=None)
    x = np.array([[1, 2, 3], [10, 20, 30]], np.float32)
    run = world.broadcast(x, algorithm="direct", nbytes=2e9)
    assert run.operation.time_ps == 2_000_010_000_000
    assert run.output.tolist() == [[1, 2, 3]] * 2
    assert world.all_reduce(x, nbytes=4e9).output.tolist() == [[11, 22, 33]] * 2


@pytest.mark.parametrize("nbytes", [8_000, 8e3, np.int64(8000), np.float64(8e3)])
def test_bytes_are_whole_numbers_of_any_kind(nbytes):
    world = World(SMALL)
    assert world.all_reduce(np.ones((N, 2), np.float32), nbytes=nbytes).prediction.nbytes == 8000


def test_auto_chooses_for_the_bytes():
    """Its order of reduction is that of the large array: other bits than those of the small one."""
    world, x = World("three-campus"), np.random.default_rng(5).normal(size=(24, 24))
    small, large = world.all_reduce(x), world.all_reduce(x, nbytes=1 << 30)
    by_size = world.predict("all_reduce", 1 << 27, dtype="float64")
    assert large.prediction.algorithm == by_size.algorithm != small.prediction.algorithm
    assert large.prediction.considered == by_size.considered
    again = world.all_reduce(x, algorithm=by_size.plan)
    assert same(large.output, again.output, "sum")
    assert not same(large.output, small.output, "sum")


def test_the_input_itself_and_a_buffer_are_written_into():
    x = np.arange(12, dtype=np.float32).reshape(N, 2)
    expected = np.tile(x.sum(axis=0), (N, 1))
    out = np.zeros_like(x)
    runs = [World(SMALL).all_reduce(x, out=each, nbytes=1 << 24) for each in (out, x)]
    assert runs[0].output is out
    assert runs[1].output is x
    assert (out == expected).all()
    assert (x == expected).all()
    assert runs[0].time_s == runs[1].time_s == World(SMALL).predict("all_reduce", 1 << 22).time_s


def test_buffers_of_several_dimensions_keep_them():
    x = np.arange(N * N * 2, dtype=np.float32).reshape(N, N, 2)
    run = World(SMALL).reduce_scatter(x, nbytes=N << 20)
    assert run.output.shape == (N, 1, 2)
    assert (run.output[:, 0] == x.sum(axis=0)).all()
    assert run.time_s == World(SMALL).predict("reduce_scatter", N << 18).time_s


def test_groups_and_axes_take_bytes():
    x = np.arange(48, dtype=np.float32).reshape(24, 2)
    worlds = World("three-campus"), World("three-campus")
    groups = [world.group([0, 8, 16]) for world in worlds]
    run = groups[0].all_reduce(x[[0, 8, 16]], nbytes=4 << 20)
    assert run.time_s == groups[1].all_reduce(NoData(1 << 20, "float32")).time_s
    assert (run.output == x[[0, 8, 16]].sum(axis=0)).all()
    axes = [world.mesh(replicate=3, shard=8).along("replicate") for world in worlds]
    runs = axes[0].all_reduce(x, nbytes=4 << 20)
    assert worlds[1].ranks_now_s.tolist() != worlds[0].ranks_now_s.tolist()
    axes[1].all_reduce(NoData(1 << 20, "float32"))
    assert worlds[1].ranks_now_s.tolist() == worlds[0].ranks_now_s.tolist()
    assert [each.output[0].tolist() for each in runs] == [
        x[[first, first + 8, first + 16]].sum(axis=0).tolist() for first in range(8)
    ]


@pytest.mark.parametrize("async_op", [False, True])
def test_the_wall_clock_waits_for_the_time_of_the_bytes(async_op):
    wall, virtual = World(SMALL, clock="wall", dilation=40), World(SMALL)
    x = np.ones((N, 6), np.float32)
    result = wall.all_reduce(x, nbytes=4 << 20, async_op=async_op)
    run = result.wait() if async_op else result
    assert run.time_s == virtual.all_reduce(NoData(1 << 20, "float32")).time_s
    assert run.wall_s >= 40 * run.time_s > 0.02
    assert (run.output == N).all()


class Stepping(NumpyOps):
    """A backend that can wait step by step, and tells how often it was asked to."""

    def __init__(self):
        super().__init__(1)
        self.asked = 0

    def perform_on_time(self, program, buffers, reduction, root, *, due_ns, started_ns):
        self.asked += 1
        assert len(due_ns) == len(program.first_of_step) - 1
        output = self.perform(program, buffers, reduction, root)
        return output, np.zeros(len(due_ns), np.int64)


@pytest.mark.parametrize(
    ("how", "in_steps"), [({"nbytes": 4 << 10}, False), ({"nbytes": 4}, True), ({}, True)]
)
@pytest.mark.parametrize("dilation", [1e-3, "auto"])
def test_devices_wait_step_by_step_only_where_their_steps_are_timed(how, in_steps, dilation):
    """A ring of rows with one element lacks transfers that it has when all ranks have a chunk."""
    ops = Stepping()
    world = World(SMALL, backend=ops, clock="wall", dilation=dilation)
    run = world.all_reduce(np.ones((N, 1), np.float32), algorithm="ring", **how)
    assert (run.output == N).all()
    assert (run.step_lag_s is not None) == in_steps
    rehearsals = REHEARSALS if dilation == "auto" else 0
    assert ops.asked == (1 + rehearsals if in_steps else 0)


@pytest.mark.parametrize(
    ("verb", "how", "error", "said"),
    [
        ("all_reduce", {"nbytes": 10}, ShapeError, "10 bytes per rank: needed a multiple of 4, "),
        ("all_reduce", {"nbytes": 1.5}, ArgumentError, "nbytes 1.5: needed a whole number, 0 or"),
        ("all_reduce", {"nbytes": -4}, ArgumentError, "nbytes -4: needed a whole number, 0 or"),
        ("all_reduce", {"nbytes": "4"}, ArgumentError, "nbytes '4': needed a whole number"),
        ("all_reduce", {"nbytes": True}, ArgumentError, "nbytes True: needed a whole number"),
        ("all_reduce", {"nbytes": np.inf}, ArgumentError, "nbytes inf: needed a whole number"),
        ("all_reduce", {"nbytes": 1 << 62}, ShapeError, "64 bits"),
        ("all_reduce", {"nbytes": 4, "op": "mean"}, ArgumentError, "op 'mean'"),
        ("reduce_scatter", {"nbytes": 28}, ShapeError, "7 elements per rank: .*multiple of"),
        ("all_to_all", {"nbytes": 28}, ShapeError, "7 elements per rank: .*multiple of"),
        ("reduce_scatter", {"nbytes": 24, "counts": [1] * N}, ArgumentError, "nbytes with counts"),
    ],
)
def test_wrong_bytes_are_refused_and_nothing_is_touched(verb, how, error, said):
    world, x = World(SMALL), np.arange(N * N, dtype=np.float32).reshape(N, N)
    before = x.copy()
    with pytest.raises(error, match=said) as caught:
        getattr(world, verb)(x, **how)
    assert "\n" not in str(caught.value)
    assert (world.history, world.now_s) == ((), 0)
    assert (x == before).all()


def test_an_array_that_does_not_fit_is_refused_with_bytes_too():
    with pytest.raises(ShapeError, match="7 elements per rank"):
        World(SMALL).reduce_scatter(np.ones((N, 7), np.float32), nbytes=24)
    with pytest.raises(DTypeError, match="complex64"):
        World(SMALL).all_reduce(np.ones((N, 7), np.complex64), nbytes=24)


def test_a_shape_says_its_size_itself():
    with pytest.raises(ArgumentError, match="needed no nbytes, for a shape says its size itself"):
        World(SMALL).all_reduce(NoData(6, "int8"), nbytes=6)


def aside(n):
    """Sums two chunks over two ranks, and lays one where the other was for a while."""
    yield [Send(1, 0, 1, reduce=True)]
    yield [Send(0, 1, 0, into=1)]
    yield [Send(1, 0, 0, reduce=True)]
    yield [Send(0, 1, 0, nchunks=2)]


def test_a_plan_for_which_the_small_array_cannot_be_cut_is_refused():
    """Of 3 elements, the first chunk has 2 and the second 1; of 4 both have 2."""
    world = World(one_site(2, link()))
    x = np.array([[1, 2, 3], [10, 20, 30]], np.float32)
    with pytest.raises(PlanError, match="needed a count for which both are of the same length"):
        world.all_reduce(x, algorithm=aside, out=x, nbytes=16)
    assert (world.history, x[0].tolist()) == ((), [1, 2, 3])
    run = world.all_reduce(x[:, :2].copy(), algorithm=aside, nbytes=16)
    assert run.output.tolist() == [[11, 22]] * 2


@pytest.mark.parametrize("backend", ["cpu", "numpy"])
@pytest.mark.parametrize("topology", [SMALL, "three-campus"])
def test_memory_is_that_of_what_is_there(topology, backend):
    """The second call finds plan, program and times: it allocates the small arrays alone."""
    world = World(topology, slicing=None, backend=backend)
    x = np.ones((world.size, 24), np.float32)
    world.all_reduce(x, algorithm="ring", nbytes=2 * 405e9)
    tracemalloc.start()
    run = world.all_reduce(x, algorithm="ring", nbytes=2 * 405e9)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.prediction.nbytes == 810 * 10**9
    assert run.time_s >= run.bound_s > 60
    assert most < 1 << 22
    assert (run.output == world.size).all()


def test_a_run_tells_its_size_its_error_and_pickles():
    world = World(SMALL)
    x = np.full((N, 2), 0.1, np.float32)
    run = world.all_reduce(x, algorithm="ring", nbytes=1 << 30)
    assert "output (6, 2) float32, timed for 1 GiB, modelled" in repr(run)
    assert "timed for" not in repr(world.all_reduce(x))
    assert "timed for" not in repr(world.all_reduce(x, nbytes=8))
    world.send(x[0], 0, 1, async_op=True)
    assert "timed for" not in repr(world.recv(0, 1))
    assert run.error == World(SMALL).all_reduce(x, algorithm="ring").error
    assert pickle.loads(pickle.dumps(run)).time_s == run.time_s


def test_the_error_of_a_wire_format_is_that_of_the_small_array():
    x = np.random.default_rng(3).normal(size=(N, 300)).astype(np.float32)
    small, large = (
        World(SMALL).all_reduce(x, algorithm="ring", wire="fp4", **how)
        for how in ({}, {"nbytes": 4e9})
    )
    assert large.error.wire_rms == small.error.wire_rms > 0
    alone = World(SMALL).predict("all_reduce", 10**9, algorithm="ring", wire="fp4")
    assert large.time_s == alone.time_s


def test_a_failure_leaves_the_input_as_it_was():
    """The trunk is down when the large array is half over; the small one is through before."""
    topology = two_sites(1, replace(TRUNK, transport=Transport(rto_s=1e-3, retries=2)))
    down = Changes(outages=Outages(schedule=((0.5, 1e6),)))
    world = World(replace(topology, trunks=(replace(topology.trunks[0], changes=down),)))
    x = np.array([[1.0], [2.0]])
    assert world.all_reduce(x, algorithm="ring").output.tolist() == [[3.0], [3.0]]
    with pytest.raises(OutageError):
        world.all_reduce(x, algorithm="ring", out=x, nbytes=4e9)
    assert x.tolist() == [[1.0], [2.0]]
