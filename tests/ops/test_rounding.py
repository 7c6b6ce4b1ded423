from fractions import Fraction
from functools import cache

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import CASES, link, one_site

from emul import ArgumentError, World
from emul.ops import DTYPES, bound_of_any_order, rounding_error
from emul.plans import COLLECTIVES

TYPES = {"float64": 52, "float32": 23, "float16": 10, "bfloat16": 7}


def exact_ulps(x, output, digits, least):
    """The error of each element in ulp, in rational numbers."""
    found = []
    for column, value in zip(x.T, output, strict=True):
        total = sum((Fraction(float(v)) for v in column), Fraction(0))
        exponent = max(int(np.floor(np.log2(abs(float(total))))) if total else least, least)
        found.append(abs(Fraction(float(value)) - total) / Fraction(2) ** (exponent - digits))
    return [float(each) for each in found]


@pytest.mark.parametrize("dtype", TYPES)
@given(seed=st.integers(0, 1000))
def test_sums_are_off_by_as_many_ulp_as_rational_numbers_say(dtype, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(5, 20)).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    output = x[0].copy()
    for row in x[1:]:
        output = output + row
    ulps = exact_ulps(x, output, TYPES[dtype], {"float16": -14}.get(dtype, -126))
    error = rounding_error(x, output, "sum")
    assert error.max_ulp == pytest.approx(max(ulps), rel=1e-6, abs=1e-9)
    assert error.mean_ulp == pytest.approx(sum(ulps) / len(ulps), rel=1e-6, abs=1e-9)


def test_relative_error_is_that_of_the_value():
    x = np.array([[1.0, 3.0, 0.0], [1.0, 1.0, 0.0]], np.float32)
    error = rounding_error(x, np.array([2.0, 5.0, 0.0], np.float32), "sum")
    assert (error.max_relative, error.mean_relative) == (0.25, 0.125)
    assert error.max_ulp == 2.0**21
    assert error.mean_ulp == 2.0**21 / 3


def test_exact_results_have_no_error():
    x = np.arange(12.0).reshape(3, 4)
    for op, reduce in (("sum", np.sum), ("prod", np.prod), ("min", np.min), ("max", np.max)):
        error = rounding_error(x, reduce(x, axis=0), op)
        assert (error.max_ulp, error.max_relative) == (0.0, 0.0)


def test_infinities_and_nans_in_their_place_are_no_error():
    x = np.array([[np.inf, np.nan, 1.0], [1.0, 1.0, 1.0]], np.float32)
    right = np.array([np.inf, np.nan, 2.0], np.float32)
    assert rounding_error(x, right, "sum").max_ulp == 0
    wrong = np.array([np.inf, 1.0, 2.0], np.float32)
    assert rounding_error(x, wrong, "sum").max_ulp == np.inf


def test_algorithms_can_be_compared_by_value():
    world = World("three-campus")
    x = np.random.default_rng(0).normal(size=(24, 24 * 500)).astype(np.float32)
    errors = {}
    for algorithm in ("ring", "direct", "recursive_doubling"):
        errors[algorithm] = world.all_reduce(x, algorithm=algorithm).error
        assert 0 < errors[algorithm].mean_ulp < errors[algorithm].max_ulp
        assert 0 < errors[algorithm].mean_relative < errors[algorithm].max_relative
    # a tree of depth 5 rounds less than a chain of 23
    assert errors["recursive_doubling"].mean_ulp < errors["ring"].mean_ulp
    scattered = world.reduce_scatter(x, algorithm="ring").error
    assert scattered.mean_ulp == pytest.approx(errors["ring"].mean_ulp, rel=0.1)
    assert world.reduce(x, op="avg").error.max_ulp > 0


def test_what_is_not_rounded_has_no_error():
    world = World("three-campus")
    assert world.broadcast(np.ones((24, 3), np.float32)).error.max_ulp == 0
    assert world.all_reduce(np.ones((24, 3), np.int32)).error.max_ulp == 0
    assert world.all_reduce(np.ones((24, 0), np.float32)).error.max_ulp == 0


def test_the_error_in_place_is_refused():
    x = np.ones((24, 3), np.float32)
    run = World("three-campus").all_reduce(x, out=x)
    with pytest.raises(ArgumentError, match="error of a reduction in place: needed an input"):
        _ = run.error


def test_a_sum_near_zero_has_a_large_ulp_and_a_small_error_to_its_magnitudes():
    # 1e4 + 1 rounds to 1e4 + 1, less 1e4 is 1; in float16, 1e4 + 1 is 1e4 and 1 is lost.
    x = np.array([[1e4], [1.0], [-1e4]], np.float16)
    error = rounding_error(x, np.array([[0.0]], np.float16), "sum")
    assert (error.max_relative, error.max_ulp) == (1.0, 1024)
    assert error.max_relative_to_magnitudes == 1 / 20001
    assert error.max_relative_to_magnitudes <= bound_of_any_order(np.dtype(np.float16), 3)


@pytest.mark.parametrize(
    ("op", "output", "over"),
    [("sum", 4.5, 9), ("avg", 2.0, 3), ("prod", -23.5, 24), ("min", -1.5, 4), ("max", 4.5, 4)],
)
def test_magnitudes_are_those_of_the_reduction(op, output, over):
    x = np.array([[2.0], [-3.0], [4.0]])
    exact = {"sum": 3.0, "avg": 1.0, "prod": -24.0, "min": -3.0, "max": 4.0}[op]
    error = rounding_error(x, np.array([[output]]), op)
    assert error.max_relative_to_magnitudes == abs(output - exact) / over


def test_errors_over_no_magnitude_at_all():
    zeros = np.zeros((2, 2), np.float32)
    assert rounding_error(zeros, zeros[:1], "sum").max_relative_to_magnitudes == 0
    off = rounding_error(zeros, np.array([[0.0, 1.0]], np.float32), "sum")
    assert off.max_relative_to_magnitudes == np.inf
    infinite = np.full((2, 1), np.inf, np.float32)
    assert rounding_error(infinite, infinite[:1], "sum").max_relative_to_magnitudes == 0
    lost = rounding_error(infinite, np.array([[1.0]], np.float32), "sum")
    assert lost.max_relative_to_magnitudes == np.inf


def test_whole_numbers_that_wrap_are_off_by_their_magnitudes():
    x = np.full((2, 1), 100, np.int8)
    error = rounding_error(x, np.array([[-56]], np.int8), "sum")
    assert error.max_relative_to_magnitudes == 256 / 200
    products = rounding_error(np.full((40, 1), 1 << 30, np.int64), np.zeros((1, 1), int), "prod")
    assert products.max_relative_to_magnitudes == 1.0


def test_the_bound_is_that_of_higham():
    u = 2.0**-24
    assert bound_of_any_order(np.dtype(np.float32), 1) == 0
    assert bound_of_any_order(np.dtype(np.float32), 9) == 8 * u / (1 - 8 * u)
    assert bound_of_any_order(DTYPES["bfloat16"], 129) == 0.5 / 0.5
    assert bound_of_any_order(DTYPES["bfloat16"], 257) == np.inf


REDUCING = [case for case in CASES if COLLECTIVES[case[0]].reduces]
SITES = (3, 2)
SLACK = 1 + 1e-9
"""Of the reference, whose own division is rounded."""


@cache
def world_of(backend):
    return World(one_site(sum(SITES), link()), backend=backend)


@pytest.mark.covering(2)
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("backend", ["numpy", "cpu"])
@pytest.mark.parametrize("op", ["sum", "avg", "prod"])
def test_no_algorithm_is_beyond_the_bound_of_any_order(op, backend, dtype):
    ranks, width, largest = sum(SITES), 40 * sum(SITES), 0.0
    world = world_of(backend)
    generator = np.random.default_rng(7)
    # Sums that cancel, whose relative errors are without bound; products that stay normal.
    x = generator.normal(size=(ranks, width))
    if op == "prod":
        x = np.sign(x) * (0.5 + np.abs(x) % 1)
    else:
        x *= 2.0 ** generator.integers(-4, 5, x.shape)
        x[-1] = -x[:-1].sum(axis=0)
    x = x.astype(DTYPES[dtype])
    bound = bound_of_any_order(DTYPES[dtype], ranks + (op == "avg"))
    if (op, dtype) == ("prod", "float64"):
        bound *= 2
    for collective, algorithm in REDUCING:
        error = getattr(world, collective)(x, op=op, algorithm=algorithm).error
        assert error.max_relative_to_magnitudes <= bound * SLACK, (collective, algorithm)
        largest = max(largest, error.max_relative_to_magnitudes)
        if op == "sum":
            assert error.max_relative > bound
    assert largest > bound / 20
