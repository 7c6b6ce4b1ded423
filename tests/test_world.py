import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpreter import expected_output
from nightly import examples
from strategies import CASES, cases, topologies, width_for

import emul
from emul import ArgumentError, DTypeError, ShapeError, TopologyError, World
from emul.plans import COLLECTIVES, Shape


@pytest.fixture
def world():
    return World("three-campus")


ALL_REDUCE = [algorithm for name, algorithm in CASES if name == "all_reduce"]


def call(world, collective, x, root, **arguments):
    if COLLECTIVES[collective].rooted:
        arguments["root"] = root
    if collective == "send_recv":
        arguments["shift"] = root
    return getattr(world, collective)(x, **arguments)


def input_for(world, collective, blocks, dtype=np.float32):
    width = width_for(collective, world.size, blocks)
    shape = Shape(COLLECTIVES[collective], world.size, width).input_shape
    return np.random.default_rng(blocks).integers(-9, 9, shape).astype(dtype)


@examples(60)
@given(
    topologies(),
    cases,
    st.integers(0, 40),
    st.sampled_from([np.float64, np.float32, np.int32, np.int64]),
    st.data(),
)
def test_every_collective_gives_the_exact_result(topology, case, blocks, dtype, data):
    world, (collective, algorithm) = World(topology), case
    root = data.draw(st.integers(0, world.size - 1))
    x = input_for(world, collective, blocks, dtype)
    before = x.copy()
    run = call(world, collective, x, root, algorithm=algorithm)
    assert np.array_equal(run.output, expected_output(collective, before, root, world.size))
    assert run.output.dtype == dtype
    assert np.array_equal(x, before)
    assert run.time_s >= run.bound_s >= 0


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_out_is_written_and_returned(world, collective):
    x = input_for(world, collective, 5)
    expected = expected_output(collective, x, 1, world.size)
    out = np.full(expected.shape, np.nan, np.float32)
    run = call(world, collective, x, 1, out=out)
    assert run.output is out
    assert np.array_equal(out, expected)


@pytest.mark.parametrize(
    ("collective", "algorithm"), [case for case in CASES if case[0] in ("all_reduce", "broadcast")]
)
def test_in_place_gives_the_same(world, collective, algorithm):
    x = input_for(world, collective, 7)
    expected = call(world, collective, x, 3, algorithm=algorithm).output.copy()
    run = call(world, collective, x, 3, algorithm=algorithm, out=x)
    assert run.output is x
    assert np.array_equal(x, expected)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_strided_buffers_are_used_as_they_are(world, collective):
    x = np.repeat(input_for(world, collective, 5), 2, axis=-1)[..., ::2]
    expected = expected_output(collective, x, 1, world.size)
    out = np.zeros((*expected.shape[:-1], 2 * expected.shape[-1]), np.float32)[..., 1::2]
    assert np.array_equal(call(world, collective, x, 1, out=out).output, expected)


@pytest.mark.parametrize("op", ["sum", "prod", "min", "max", "avg"])
def test_ops_mean_what_they_say(world, op):
    x = np.where(np.random.default_rng(0).random((24, 50)) < 0.5, 1.0, 2.0)
    expected = {"sum": np.sum, "prod": np.prod, "min": np.min, "max": np.max, "avg": np.mean}[op]
    assert np.array_equal(world.all_reduce(x, op=op).output[7], expected(x, axis=0))


def test_bfloat16_goes_in_and_comes_out(world):
    x = np.ones((24, 10), ml_dtypes.bfloat16)
    output = world.all_reduce(x).output
    assert output.dtype == ml_dtypes.bfloat16
    assert (output == 24).all()


@pytest.mark.parametrize("algorithm", ALL_REDUCE)
def test_prediction_and_run_tell_the_same_time(world, algorithm):
    run = world.all_reduce(np.ones((24, 1000), np.float16), algorithm=algorithm)
    prediction = world.predict("all_reduce", 1000, dtype="float16", algorithm=algorithm)
    assert run.time_s == prediction.time_s
    assert run.bound_s == prediction.bound_s
    assert run.timeline.done_ps.tobytes() == prediction.timeline.done_ps.tobytes()


def test_auto_takes_the_quickest_and_says_what_the_others_cost(world):
    prediction = world.predict("all_reduce", 1 << 20)
    named = {
        algorithm: world.predict("all_reduce", 1 << 20, algorithm=algorithm).time_s
        for algorithm in ALL_REDUCE
    }
    assert prediction.considered.items() <= named.items()
    assert prediction.considered.keys() | prediction.ruled_out.keys() == named.keys()
    assert all(least_s <= named[name] for name, least_s in prediction.ruled_out.items())
    assert prediction.time_s == min(named.values())
    assert named[prediction.plan.algorithm] == prediction.time_s
    assert not world.predict("all_reduce", 1, algorithm="ring").considered


def test_auto_changes_its_mind_with_the_size(world):
    small, large = (world.predict("all_reduce", count).plan.algorithm for count in (2, 1 << 22))
    assert small != large


def test_a_barrier_takes_as_long_as_the_farthest_news(world):
    run = world.barrier()
    assert run.time_s >= run.bound_s > 400e-6


def test_send_recv_goes_around_the_world(world):
    x = np.arange(24.0)[:, None]
    assert world.send_recv(x).output[:, 0].tolist() == [23, *range(23)]
    assert world.send_recv(x, shift=-2).output[:, 0].tolist() == [*range(2, 24), 0, 1]
    world.restart()
    assert world.send_recv(x, shift=0).time_s == 0


def test_two_clocks_one_model():
    x = np.ones((24, 100), np.float32)
    virtual = World("three-campus").all_reduce(x)
    wall = World("three-campus", clock="wall").all_reduce(x)
    assert virtual.time_s == wall.time_s
    assert virtual.output.tobytes() == wall.output.tobytes()
    assert virtual.lag_s is None
    assert wall.lag_s >= 0
    assert wall.wall_s >= wall.time_s
    assert wall.wall_s == pytest.approx(wall.time_s + wall.lag_s, abs=1e-9)


def test_dilation_stretches_the_wait_and_not_the_model():
    x = np.ones((24, 1), np.float32)
    plain = World("three-campus", clock="wall").all_reduce(x)
    slow = World("three-campus", clock="wall", dilation=7).all_reduce(x)
    assert slow.time_s == plain.time_s
    assert slow.wall_s >= 7 * slow.time_s


def test_the_virtual_clock_waits_for_nothing():
    long = World("three-campus", dilation=1e9)
    assert (
        long.all_reduce(np.ones((24, 1), np.float32)).wall_s
        < 1e6 * long.predict("all_reduce", 1).time_s
    )


def test_a_run_says_itself_in_one_line(world):
    said = repr(world.all_reduce(np.ones((24, 4), np.float32), algorithm="ring"))
    assert said.startswith("<Run ring all_reduce over 24 ranks: output (24, 4) float32, modelled")
    assert "\n" not in said
    assert ", arithmetic " in said  # nobody waits on the virtual clock
    waiting = World("three-campus", clock="wall")
    assert ", measured " in repr(waiting.all_reduce(np.ones((24, 4), np.float32)))
    assert repr(world) == (
        "<World three-campus: 24 ranks (north 8, east 8, south 8), virtual clock>"
    )


def test_bytes_per_trunk_are_told(world):
    timeline = world.all_reduce(np.ones((24, 24), np.float32), algorithm="ring").timeline
    # one ring hop per trunk: 2 (n - 1) / n S each
    assert timeline.trunk_bytes.tolist() == [[0, 184, 0], [0, 0, 184], [184, 0, 0]]
    assert timeline.cross_site_bytes == 3 * 184


def test_several_threads_may_share_a_world(world):
    x = input_for(world, "all_reduce", 3000)
    expected = expected_output("all_reduce", x, 0, 24)
    wrong = []

    def work():
        for algorithm in ALL_REDUCE:
            if not np.array_equal(world.all_reduce(x, algorithm=algorithm).output, expected):
                wrong.append(algorithm)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


GOOD = np.ones((24, 48), np.float32)


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"x": np.ones((23, 4), np.float32)}, ShapeError, r"\(23, 4\): needed \(24, count\)"),
        ({"x": np.ones(24, np.float32)}, ShapeError, r"\(24,\): needed \(24, count\)"),
        ({"x": [[1.0]] * 24}, DTypeError, "input of type list: needed a NumPy array"),
        ({"x": np.ones((24, 4), np.complex64)}, DTypeError, "complex64: needed one of float64"),
        ({"x": np.ones((24, 4), ">f4")}, DTypeError, "byte order"),
        ({"op": "xor"}, ArgumentError, "unknown op 'xor': needed one of sum, prod, min, max, avg"),
        ({"algorithm": "rings"}, ArgumentError, "unknown algorithm 'rings'"),
        ({"out": np.ones((24, 47), np.float32)}, ShapeError, r"out of shape \(24, 47\): needed"),
        ({"out": np.ones((24, 48))}, DTypeError, "out of float64: needed float32"),
        ({"out": [1]}, DTypeError, "out of type list"),
        ({"out": GOOD[::-1]}, ArgumentError, "out overlaps the input"),
    ],
)
def test_bad_input_is_refused_and_left_as_it_was(world, arguments, error, complaint):
    before = GOOD.copy()
    with pytest.raises(error, match=complaint):
        world.all_reduce(**{"x": GOOD, **arguments})
    assert np.array_equal(GOOD, before)


def test_read_only_out_is_refused(world):
    out = np.ones((24, 48), np.float32)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="out is read-only"):
        world.all_reduce(GOOD, out=out)


def test_reduce_scatter_needs_a_block_for_each_rank(world):
    needed = "reduce_scatter: 47 elements per rank: needed 0 or more, a multiple of the world size"
    with pytest.raises(ShapeError, match=needed):
        world.reduce_scatter(GOOD[:, :47])
    with pytest.raises(ShapeError, match=needed):
        world.predict("reduce_scatter", 47)


@pytest.mark.parametrize("root", [-1, 24])
def test_a_root_that_is_no_rank_is_refused(world, root):
    with pytest.raises(ArgumentError, match=f"root {root}: needed a rank from 0 to 23"):
        world.broadcast(GOOD, root=root)


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"topology": "four-campus"}, TopologyError, "unknown topology 'four-campus': needed one"),
        ({"backend": "abacus"}, ArgumentError, "unknown backend 'abacus': needed one of auto"),
        ({"clock": "sundial"}, ArgumentError, "unknown clock 'sundial'"),
        ({"dilation": 0.0}, ArgumentError, "dilation 0.0: needed a finite number above 0"),
        ({"dilation": float("nan")}, ArgumentError, "dilation nan"),
        ({"dilation": float("inf")}, ArgumentError, "dilation inf"),
    ],
)
def test_a_world_that_cannot_be_is_refused(arguments, error, complaint):
    with pytest.raises(error, match=complaint):
        World(**arguments)


def test_predictions_refuse_what_they_cannot_answer(world):
    with pytest.raises(ArgumentError, match="unknown collective 'all_to_some'"):
        world.predict("all_to_some", 1)
    with pytest.raises(ArgumentError, match="unknown dtype 'float8'"):
        world.predict("all_reduce", 1, dtype="float8")
    with pytest.raises(ShapeError, match="all_reduce: -1 elements per rank: needed 0 or more"):
        world.predict("all_reduce", -1)


def test_every_error_is_an_emul_error_and_a_builtin():
    builtins = {
        "ArgumentError": ValueError,
        "ShapeError": ValueError,
        "DTypeError": TypeError,
        "TopologyError": ValueError,
        "PlanError": ValueError,
        "CapacityError": MemoryError,
        "TimeLimitError": OverflowError,
    }
    for name, builtin in builtins.items():
        assert issubclass(getattr(emul, name), (emul.EmulError, builtin))
        assert issubclass(getattr(emul, name), builtin)
