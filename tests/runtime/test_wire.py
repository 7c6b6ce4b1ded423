"""Wire formats of collectives: bytes, times, errors and refusals, through every door."""

import pickle

import ml_dtypes
import numpy as np
import pytest
from two_sites import two_sites

import emul
from emul import NoData, World
from emul.errors import ArgumentError, BackendError, DTypeError
from emul.ops import CpuOps, relative_rms
from emul.plans import WIRES, algorithms_for

PLACE = "three-campus"
BLOCKS = ["int8", "fp8", "fp4"]
EACH_MIB = 1 << 20


def normal(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def test_one_message_takes_the_time_of_its_bytes_by_hand():
    """300 elements are 300 bytes and two scales of 4; 308 bytes at 1e8 bytes/s, 1 us, 3 ms."""
    world = World(two_sites(1), slicing=None)
    found = world.predict("all_gather", 300, algorithm="direct", wire="int8")
    assert found.timeline.nbytes.tolist() == [308, 308]
    assert found.total_ps == 1_000_000 + 3_080_000 + 3_000_000_000
    assert found.nbytes == 2 * 300 * 4  # the vector itself


@pytest.mark.parametrize("wire", sorted(WIRES))
@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter", "all_gather"])
def test_a_call_takes_the_time_that_is_predicted(collective, wire):
    count = 24 * 700 if collective != "all_gather" else 700
    predicted = World(PLACE).predict(collective, count, wire=wire)
    shape = NoData(count, "float32")
    for x in (shape, normal((24, count))) if wire == "fp4" else (shape,):
        run = getattr(World(PLACE), collective)(x, wire=wire)
        assert run.time_s == predicted.time_s
        assert run.prediction.algorithm == predicted.algorithm
    assert not predicted.below_bound


@pytest.mark.parametrize("algorithm", algorithms_for("all_reduce"))
def test_no_time_is_below_its_bound(algorithm):
    world = World(PLACE)
    for wire in WIRES:
        for count in (1, 31, 24 * 33, 1 << 18):
            found = world.predict("all_reduce", count, algorithm=algorithm, wire=wire)
            assert not found.below_bound, (wire, count)


def test_the_bound_counts_bytes_on_the_wire():
    """Latency apart, the bound goes with the bytes: 1/4 of float32 plus a scale of 4 per 256."""
    world = World(PLACE)
    count = 1 << 28
    whole = world.predict("all_reduce", count, algorithm="hierarchical", collapse=True)
    short = world.predict("all_reduce", count, algorithm="hierarchical", collapse=True, wire="int8")
    assert short.bound_s / whole.bound_s == pytest.approx((1 + 4 / 256) / 4, rel=1e-3)


@pytest.mark.parametrize("wire", BLOCKS)
@pytest.mark.parametrize("count", [24 * 1000, 24 * 1003, 24 * 5])
def test_ranks_alike_are_timed_once_with_the_same_time(wire, count):
    world = World(PLACE)
    for collective in ("all_reduce", "reduce_scatter"):
        how = {"algorithm": "hierarchical", "wire": wire}
        full = world.predict(collective, count, **how)
        few = world.predict(collective, count, collapse=True, **how)
        assert few.total_ps == full.total_ps
        assert isinstance(few.of, emul.plans.SymmetricPlan)


def test_vector_forms_have_wire_formats():
    counts = np.arange(24) * 11 % 50
    x = normal((24, int(counts.sum())))
    run = World(PLACE).reduce_scatter(x, counts=counts, wire="fp8")
    assert 0.001 < run.error.wire_rms < 0.2
    assert run.output[0, counts[0] :].tolist() == [0] * (49 - counts[0])
    gathered = World(PLACE).all_gather(normal((24, 49)), counts=counts, wire="fp8")
    assert 0.001 < gathered.error.wire_rms < 0.1
    assert gathered.error.max_relative > 0


def test_int8_costs_about_one_per_cent_and_saves_time_on_three_campuses():
    """Of normal values, the largest of 256 is about 2.8; with rounding to 1/127 of it, an error of
    2.8 / 127 / sqrt(12) = 0.64 %, once for each contribution and once for each sum: 0.9 %.

    ``packed`` encodes sums of a site on the way to the others too, so three times or four.
    """
    x = np.random.default_rng(0).standard_normal((24, EACH_MIB), np.float32)
    world = World(PLACE)
    whole, direct = world.all_reduce(x), world.all_reduce(x, wire="int8", algorithm="direct")
    packed = world.all_reduce(x, wire="int8")
    plain = World(PLACE).all_reduce(x, algorithm="direct").output
    assert (direct.output == direct.output[0]).all()
    assert (packed.output == packed.output[0]).all()
    assert 0.0085 < relative_rms(direct.output[0], plain[0]) < 0.0105
    assert 0.0085 < relative_rms(packed.output[0], whole.output[0]) < 0.016
    assert packed.prediction.time_s < whole.prediction.time_s / 3


@pytest.mark.parametrize("wire", sorted(WIRES))
@pytest.mark.parametrize("backend", ["cpu", "numpy"])
def test_the_error_is_that_of_the_same_plan_in_float32(backend, wire):
    x = normal((24, 500), seed=3)
    world = World(PLACE, backend=backend)
    for algorithm in ("ring", "direct"):
        run = world.all_reduce(x, wire=wire, algorithm=algorithm)
        plain = world.all_reduce(x, algorithm=algorithm).output
        off = np.square(run.output.astype(np.float64) - plain).sum()
        expected = np.sqrt(off / np.square(plain.astype(np.float64)).sum())
        assert run.error.wire_rms == pytest.approx(expected, rel=1e-12)
        assert (run.error.wire_rms == 0) == (wire == "float32")


def test_the_error_of_short_floats_is_against_float32():
    x = normal((24, 500), dtype=ml_dtypes.bfloat16)
    run = World(PLACE).all_reduce(x, wire="bfloat16", algorithm="direct")
    plain = World(PLACE).all_reduce(x.astype(np.float32), algorithm="direct").output
    assert run.output.dtype == ml_dtypes.bfloat16
    assert run.error.wire_rms == relative_rms(run.output, plain) > 0


def test_an_error_is_none_without_data_and_without_a_wire_format():
    assert World(PLACE).all_reduce(NoData(10, "float32"), wire="int8").error is None
    assert World(PLACE).all_reduce(normal((24, 10))).error.wire_rms is None


def test_an_error_in_place_is_refused_and_one_of_a_pickled_run_kept():
    x = normal((24, 10))
    run = World(PLACE).all_reduce(x, wire="int8")
    assert run.error.wire_rms > 0
    copy = pickle.loads(pickle.dumps(run))
    assert copy.error == run.error
    with pytest.raises(ArgumentError, match="in place"):
        _ = World(PLACE).all_reduce(x, out=x, wire="int8").error


def test_relative_rms_by_hand():
    assert relative_rms(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == 0
    assert relative_rms(np.array([3.0, 5.0]), np.array([3.0, 4.0])) == 0.2
    assert relative_rms(np.array([1e-30]), np.zeros(1)) == np.inf
    assert relative_rms(np.array([np.nan, 3]), np.array([np.nan, 4])) == 0.25
    assert relative_rms(np.array([np.nan]), np.array([4.0])) == np.inf
    least = np.array([2.0**-149], np.float32)
    assert relative_rms(2 * least, least) == 1.0


def test_groups_axes_and_handles_have_wire_formats():
    x = normal((24, 6 * 64))
    world = World(PLACE)
    group = world.group([0, 8, 16])
    assert 0 < group.all_reduce(x[:3], wire="fp8").error.wire_rms < 0.1
    handle = world.all_reduce(x, wire="fp4", async_op=True)
    assert same(handle.wait().output, World(PLACE).all_reduce(x, wire="fp4").output)
    along = World(PLACE).mesh(replicate=3, shard=8).along("replicate")
    for wire in (None, "int8"):
        (run, *_) = along.all_reduce(x, wire=wire)
        assert run.prepared.program.nbytes.sum() == run.prediction.timeline.nbytes.sum()
    assert 0 < run.error.wire_rms < 0.02


def same(a, b):
    return a.tobytes() == b.tobytes()


def test_many_ranks_along_an_axis_have_wire_formats():
    """Of 3 x 8 ranks, few that stand for all take the time of all."""
    names, steady = {"replicate": 3, "shard": 8}, World(PLACE).topology.without(["jitter", "loss"])
    for axis in names:
        ends_s = World(steady).mesh(**names).along(axis).ends_s("all_reduce", 4800, wire="int8")
        plain_s = World(steady).mesh(**names).along(axis).ends_s("all_reduce", 4800)
        handle = World(steady).collapse(**names).along(axis)
        run = handle.all_reduce(NoData(4800, "float32"), wire="int8")
        assert run.done_s.tolist() == pytest.approx(ends_s.tolist(), rel=1e-12)
        assert ends_s.max() < plain_s.max()


def test_repeated_calls_have_the_same_bits():
    x = normal((24, 3000))
    for algorithm in ("packed", "ring"):
        outputs = [World(PLACE).all_reduce(x, wire="fp4", algorithm=algorithm).output for _ in "ab"]
        assert same(*outputs)


@pytest.mark.parametrize("clock", ["wall", "virtual"])
def test_calls_on_both_clocks_have_the_same_bits(clock):
    x = normal((24, 300))
    run = World(PLACE, clock=clock).all_reduce(x, wire="int8")
    assert same(run.output, World(PLACE, backend="numpy").all_reduce(x, wire="int8").output)


def test_one_rank_alone_keeps_its_values():
    link = emul.Link(1e9, 0.0)
    alone = emul.Topology("alone", (emul.Site("a", (emul.Node(1, link),), link),), ())
    x = normal((1, 100))
    assert same(World(alone).all_reduce(x, wire="fp4").output, x)


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ({"wire": "int7"}, ArgumentError, "unknown wire 'int7'.*fp4; did you mean int8"),
        ({"wire": "int8", "op": "max"}, ArgumentError, "wire int8 with op max: needed sum or avg"),
        ({"wire": "int8", "op": "prod"}, ArgumentError, "op prod"),
    ],
)
def test_calls_that_have_no_wire_format_are_refused(how, error, said):
    for x in (normal((24, 10)), NoData(10, "float32")):
        with pytest.raises(error, match=said):
            World(PLACE).all_reduce(x, **how)


def test_elements_and_collectives_without_wire_formats_are_refused():
    world = World(PLACE)
    for dtype in ("float64", "int32", "uint8"):
        with pytest.raises(DTypeError, match=f"wire fp8 of elements of {dtype}: needed"):
            world.all_reduce(NoData(10, dtype), wire="fp8")
    with pytest.raises(ArgumentError, match="wire int8 of broadcast: needed one of all_reduce"):
        world.predict("broadcast", 10, wire="int8")
    with pytest.raises(DTypeError, match="elements of int8"):
        world.predict("all_reduce", 10, dtype="int8", wire="int8")


class OldOps(CpuOps):
    name = "old"
    takes_wire = False


def test_backends_that_know_no_wire_format_are_refused():
    world = World(PLACE, backend=OldOps())
    with pytest.raises(BackendError, match="wire int8 on the backend old: needed backend='cpu'"):
        world.all_reduce(normal((24, 10)), wire="int8")
    assert world.all_reduce(normal((24, 10))).output.shape == (24, 10)
