"""Whole numbers that their type cannot hold: counted and told, on every backend, as Python counts.

Python's whole numbers have no end, so they say what is exact; what wraps is that modulo 2^bits.
"""

from fractions import Fraction
from functools import cache, reduce
from operator import add, mul

import numpy as np
import pytest
from gpus import OnDevice, StandIn
from host_device import COMPILER, WITHOUT_COMPILER
from hypothesis import given
from hypothesis import strategies as st
from nightly import examples
from strategies import link, one_site

from emul import World
from emul.ops import rounding_error
from emul.ops.cuda.device_ops import DeviceOps
from emul.ops.integers import safe_range

TYPES = ("int8", "int32", "int64", "uint8")
COMBINE = {"sum": add, "avg": add, "prod": mul, "min": min, "max": max}
REDUCING = ("all_reduce", "reduce_scatter", "reduce")
BACKENDS = ("numpy", "cpu", "gpu, fused", "gpu, in steps")


@cache
def gpu():
    return DeviceOps(StandIn())


@cache
def world_of(backend, ranks):
    topology = one_site(ranks, link())
    if not backend.startswith("gpu"):
        return World(topology, backend=backend)
    clock = {"clock": "wall", "dilation": 1e-6} if backend.endswith("steps") else {}
    return World(topology, backend=gpu(), **clock)


def wrapped(value, held):
    """What a type makes of a whole number."""
    return (value - held.min) % (held.max - held.min + 1) + held.min


def by_python(x, reduction):
    """Of each column: what comes out, what is exact, and whether that is outside the type."""
    held, found = np.iinfo(x.dtype), []
    for column in x.T.tolist():
        exact = reduce(COMBINE[reduction], column)
        result = wrapped(exact, held)
        outside = not held.min <= exact <= held.max
        if reduction == "avg":
            exact, result = Fraction(exact, len(column)), int(Fraction(result, len(column)))
        found.append((result, exact, outside))
    return found


@st.composite
def whole_numbers(draw, ranks, width):
    """Rows of values at the ends of the type, near what fits, or anything."""
    dtype = draw(st.sampled_from(TYPES))
    held = np.iinfo(dtype)
    low, high = safe_range(np.dtype(dtype), draw(st.sampled_from(["sum", "prod"])), ranks)
    near = [held.min, held.min + 1, -1, 0, 1, 2, low, high, high + 1, held.max - 1, held.max]
    value = st.one_of(
        st.sampled_from([each for each in near if held.min <= each <= held.max]),
        st.integers(max(held.min, low - 1), min(held.max, high + 1)),
        st.integers(held.min, held.max),
    )
    columns = st.lists(value, min_size=ranks, max_size=ranks)
    rows = draw(st.lists(columns, min_size=width, max_size=width))
    return np.array(rows, dtype).T.reshape(ranks, width)


@pytest.mark.parametrize("backend", BACKENDS)
@examples(60)
@given(
    st.sampled_from([1, 2, 3, 6, 9]),
    st.integers(0, 4),
    st.sampled_from(REDUCING),
    st.sampled_from(list(COMBINE)),
    st.data(),
)
def test_bits_count_and_error_are_those_of_python(backend, ranks, blocks, collective, op, data):
    if backend.startswith("gpu") and COMPILER is None:
        pytest.skip(WITHOUT_COMPILER)
    x = data.draw(whole_numbers(ranks, ranks * blocks))
    world, given = world_of(backend, ranks), x.copy()
    copies = ranks if collective == "all_reduce" else 1
    put = given.view(OnDevice) if backend.startswith("gpu") else given
    algorithm = data.draw(st.sampled_from(["ring", "direct", "auto"]))
    how = {} if collective == "reduce" else {"algorithm": algorithm}
    run = getattr(world, collective)(put, op=op, **how)
    results, exact, outside = zip(*by_python(x, op), strict=True) if blocks else ((), (), ())
    expected = np.array(results * copies, x.dtype)
    assert np.asarray(run.output).tobytes() == expected.tobytes()
    assert run.error.overflowed == sum(outside) * copies
    assert bool(run.error.advice) == any(outside)
    off = [abs(value - each) for value, each in zip(results, exact, strict=True)]
    relative = [Fraction(d) / abs(each) for d, each in zip(off, exact, strict=True) if each]
    told = (run.error.max_ulp, run.error.mean_ulp, run.error.max_relative, run.error.mean_relative)
    right = (max(off, default=0), mean(off), max(relative, default=0), mean(relative))
    assert told == pytest.approx([float(each) for each in right], rel=1e-9, abs=0)


def mean(values):
    return Fraction(sum(values), len(values)) if values else 0


@examples(60)
@given(whole_numbers(3, 8), st.sampled_from(list(COMBINE)), st.integers(-3, 3))
def test_a_wrong_element_is_an_error_whatever_overflowed(x, op, by):
    """Also of a backend that computes something else: the distance is from what is exact."""
    results, exact, outside = zip(*by_python(x, op), strict=True)
    values = [wrapped(result + by * (i % 3), np.iinfo(x.dtype)) for i, result in enumerate(results)]
    output = np.array([results, values], x.dtype)
    off = [abs(v - e) for row in output.tolist() for v, e in zip(row, exact, strict=True)]
    error = rounding_error(x, output, op)
    assert error.max_ulp == pytest.approx(float(max(off)), rel=1e-9, abs=0)
    assert error.mean_ulp == pytest.approx(float(mean(off)), rel=1e-9, abs=0)
    assert error.overflowed == 2 * sum(outside)


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_counts_of_blocks_are_of_elements_that_are_there(backend):
    world = world_of(backend, 3)
    x = np.full((3, 6), 100, np.int8)
    x[:, 0] = 1
    error = world.reduce_scatter(x, counts=[1, 0, 5]).error
    assert (error.overflowed, error.max_ulp) == (5, 256)


def test_partial_sums_that_come_back_are_right():
    x = np.array([[100], [100], [-100]], np.int8)
    run = world_of("cpu", 3).all_reduce(x, algorithm="ring")
    assert (run.output == 100).all()
    assert (run.error.overflowed, run.error.max_ulp, run.error.advice) == (0, 0, "")


def test_more_columns_than_are_looked_at_once():
    x = np.full((2, (1 << 16) + 7), 1, np.int8)
    x[:, -3:] = 127
    error = world_of("cpu", 2).all_reduce(x).error
    assert (error.overflowed, error.max_ulp, error.max_relative) == (6, 256, 256 / 254)


@pytest.mark.parametrize(
    ("dtype", "op", "ranks", "said"),
    [
        ("int8", "sum", 24, "24 of 48 elements: int8 cannot hold the sum of 24 ranks: it holds "
         "-128 to 127, and what lies outside wrapped; reduce in int32, or all_gather codes and "
         "scales and reduce what they stand for"),
        ("uint8", "avg", 2, "2 of 4 elements: uint8 cannot hold the sum of 2 ranks, which an "
         "average is divided from: it holds 0 to 255, and what lies outside wrapped; reduce in "
         "int32, or all_gather"),
        ("int32", "sum", 2, "reduce in int64, or"),
        ("int64", "sum", 2, "reduce in float64 (which rounds), or"),
        ("int8", "prod", 4, "the product of 4 ranks: it holds -128 to 127, and what lies outside "
         "wrapped; reduce in int32, or"),
        ("int8", "prod", 9, "reduce in float64 (which rounds), or"),
    ],
)  # fmt: skip
def test_the_way_out_is_told_in_words(dtype, op, ranks, said):
    x = np.full((ranks, 2), np.iinfo(dtype).max, dtype)
    x[:, 1] = 0
    error = world_of("cpu", ranks).all_reduce(x, op=op).error
    assert said in error.advice
    wider = said.split("reduce in ")[-1].split(" ")[0].rstrip(",")
    if wider in TYPES:  # the type that is named does hold it
        worst = np.full((ranks, 2), np.iinfo(dtype).min, dtype).astype(wider)
        assert world_of("cpu", ranks).all_reduce(worst, op=op).error.overflowed == 0


@examples(200)
@given(st.sampled_from(TYPES), st.sampled_from(["sum", "avg", "prod"]), st.integers(1, 400))
def test_values_in_the_safe_range_fit_and_those_beyond_do_not(dtype, op, ranks):
    held = np.iinfo(dtype)
    for end in safe_range(np.dtype(dtype), op, ranks):
        assert held.min <= reduce(COMBINE[op], [end] * ranks) <= held.max
    beyond = safe_range(np.dtype(dtype), op, ranks)[1] + 1
    assert reduce(COMBINE[op], [beyond] * ranks) > held.max


def test_floats_do_not_wrap():
    error = world_of("cpu", 2).all_reduce(np.full((2, 3), 60000, np.float16)).error
    assert (error.overflowed, error.max_ulp) == (0, np.inf)


@pytest.mark.parametrize("dtype", TYPES)
def test_products_at_the_end_of_the_type(dtype):
    """Powers of two just inside, at and past the end, of either sign; and zeros behind them."""
    bits = np.iinfo(dtype).bits
    least = -1 if np.iinfo(dtype).min else 1
    found = 0
    for first in range(bits - 1):
        for second in range(max(0, bits - 4 - first), min(bits - 1, bits + 2 - first)):
            for sign in {1, least}:
                for last in (1, 2, 0, least):
                    x = np.array([[sign << first], [1 << second], [last]], dtype)
                    ((result, exact, outside),) = by_python(x, "prod")
                    error = rounding_error(x, np.array([[result]], dtype), "prod")
                    assert error.overflowed == outside, x
                    assert error.max_ulp == pytest.approx(float(abs(result - exact)), rel=1e-12)
                    found += outside
    assert found
