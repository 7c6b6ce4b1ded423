from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emul import ArgumentError, World
from emul.ops import rounding_error

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
